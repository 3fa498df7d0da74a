//! Every example is survived, and so are thousands of mutations of them.
//!
//! `REPRAM_FUZZ_RUNS=n` makes so many mutations for each target, and `REPRAM_FUZZ_SEED=n` the
//! same ones again.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use repram_fuzz::{TARGETS, Target};
use repram_tests::Mutation;

/// Mutations for each target: some seconds in all, in a debug build.
const RUNS: u64 = 5_000;

/// Bytes of an example at most: they are to show what there is, and to be quick.
const EXAMPLE_MAX: usize = 4_096;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The examples of a target, in the order of their names.
fn examples(target: &Target) -> Vec<Vec<u8>> {
    let folder = corpus().join(target.name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
    paths.sort();
    let read = |path: &PathBuf| fs::read(path).expect("it was listed");
    paths.iter().map(read).collect()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_target_has_examples_and_every_example_a_target() {
    let names: BTreeSet<String> = TARGETS.iter().map(|it| it.name.to_owned()).collect();
    let folders = fs::read_dir(corpus()).expect("it is committed").flatten();
    let folders = folders.map(|folder| folder.file_name().to_string_lossy().into_owned());
    assert_eq!(folders.collect::<BTreeSet<_>>(), names);
    for target in TARGETS {
        let examples = examples(target);
        assert!(!examples.is_empty(), "{}", target.name);
        for example in examples {
            assert!(example.len() <= EXAMPLE_MAX, "{}", target.name);
            (target.run)(&example);
        }
    }
}

#[test]
fn mutated_examples_are_survived() {
    let runs = setting("REPRAM_FUZZ_RUNS").unwrap_or(RUNS);
    let seed = setting("REPRAM_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    for target in TARGETS {
        let examples = examples(target);
        let mut mutation = Mutation::new(seed);
        for _ in 0..runs {
            let input = mutation.of(&examples);
            let survived = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
            assert!(
                survived.is_ok(),
                "REPRAM_FUZZ_SEED={seed}: {} does not survive {}",
                target.name,
                input.escape_ascii()
            );
        }
    }
}
