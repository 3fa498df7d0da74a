//! Runs one target on what comes on standard input: what a fuzzer calls.

use std::io::{self, Read as _};
use std::process::ExitCode;

use repram_fuzz::TARGETS;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("usage: repram-fuzz {} < input", names.join("|"));
        return ExitCode::from(64);
    };
    let mut input = Vec::new();
    if let Err(error) = io::stdin().read_to_end(&mut input) {
        eprintln!("standard input could not be read: {error}");
        return ExitCode::from(64);
    }
    (target.run)(&input);
    ExitCode::SUCCESS
}
