//! The gates: what must hold before a change is done.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};

use crate::command::{cannot_start, cargo, shown};
use crate::containers::{Engine, IMAGE};
use crate::count::{building, counting};
use crate::deny::Deny;
use crate::pages::PAGES;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// One gate of `verify`.
pub(crate) struct Gate {
    /// What the summary calls it.
    pub(crate) name: &'static str,
    /// Whether `--quick` leaves it out.
    pub(crate) pace: Pace,
    /// Performs it.
    pub(crate) run: fn(&mut Site<'_>) -> Verdict,
}

/// How long a gate takes on a tree that is built already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Seconds.
    Quick,
    /// Minutes, or it may have to install something.
    Slow,
}

/// What a gate found.
pub(crate) enum Verdict {
    /// All is well.
    Passed,
    /// All tests passed, so many.
    Counted(Tally),
    /// There is something to read, which fails nothing.
    Told(String),
    /// This machine cannot do it, and why.
    Skipped(String),
    /// Something is wrong.
    Failed {
        /// Everything that was said.
        output: String,
        /// The tests that ran, for the gate that runs tests.
        tally: Option<Tally>,
    },
}

impl Verdict {
    /// The verdict of a command that counts nothing.
    fn of(outcome: Result<String, String>) -> Self {
        match outcome {
            Ok(_) => Self::Passed,
            Err(output) => Self::Failed {
                output,
                tally: None,
            },
        }
    }
}

/// What gates work with.
pub(crate) struct Site<'a> {
    /// The workspace to be judged.
    pub(crate) workspace: &'a Workspace,
    /// Present unless no gate of this run needs it.
    pub(crate) deny: Option<Deny>,
}

/// How many tests of one binary run at the same time; as many as there are processors otherwise.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// The gate that tests the image.
pub(crate) const CONTAINERS: &str = "containers";

/// All gates, cheap ones first. A gate never changes a file of the repository:
/// `--locked` keeps cargo from writing even Cargo.lock.
pub(crate) const GATES: &[Gate] = &[
    Gate {
        name: "format",
        pace: Pace::Quick,
        run: format,
    },
    Gate {
        name: "clippy",
        pace: Pace::Quick,
        run: clippy,
    },
    Gate {
        name: "reference pages",
        pace: Pace::Quick,
        run: reference_pages,
    },
    Gate {
        name: "documentation",
        pace: Pace::Slow,
        run: documentation,
    },
    Gate {
        name: "tests",
        pace: Pace::Slow,
        run: tests,
    },
    Gate {
        name: "instructions",
        pace: Pace::Slow,
        run: instructions,
    },
    Gate {
        name: CONTAINERS,
        pace: Pace::Slow,
        run: containers,
    },
    Gate {
        name: "dependencies",
        pace: Pace::Slow,
        run: dependencies,
    },
];

fn format(site: &mut Site<'_>) -> Verdict {
    Verdict::of(site.judge(cargo(["fmt", "--all", "--check"])))
}

fn clippy(site: &mut Site<'_>) -> Verdict {
    let arguments = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    Verdict::of(site.judge(cargo(arguments)))
}

fn reference_pages(site: &mut Site<'_>) -> Verdict {
    let stale: Vec<String> = PAGES
        .iter()
        .filter_map(
            |page| match (page.generate(), fs::read(page.file(site.workspace))) {
                (Err(problem), _) => Some(problem),
                (Ok(_), Err(error)) => Some(format!("could not read {}: {error}", page.path)),
                (Ok(wanted), Ok(found)) if wanted == found => None,
                (Ok(_), Ok(_)) => Some(format!(
                    "{} differs from what `{}` prints; `cargo xtask fix` writes it anew",
                    page.path,
                    shown(&page.generator()),
                )),
            },
        )
        .collect();
    Verdict::of(if stale.is_empty() {
        Ok(String::new())
    } else {
        Err(stale.join("\n"))
    })
}

fn documentation(site: &mut Site<'_>) -> Verdict {
    let mut command = cargo(["doc", "--quiet", "--locked", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-Dwarnings");
    Verdict::of(site.judge(command))
}

fn tests(site: &mut Site<'_>) -> Verdict {
    // All binaries run, also after one failed: one round names every failure.
    let mut command = cargo(["test", "--locked", "--workspace", "--no-fail-fast"]);
    if std::env::var_os(TEST_THREADS).is_none() {
        // Most of what the black-box tests do is to wait; those that compute share what there is.
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        command.env(TEST_THREADS, (2 * processors).to_string());
    }
    counted(site.judge(command))
}

fn counted(outcome: Result<String, String>) -> Verdict {
    match outcome {
        Ok(output) => Tally::of_output(&output).map_or(Verdict::Passed, Verdict::Counted),
        Err(output) => Verdict::Failed {
            tally: Tally::of_output(&output),
            output,
        },
    }
}

/// Counts the instructions of the hot paths and compares them with the committed ones. Nothing
/// fails by it: another compiler or processor counts differently, and some cannot count at all.
fn instructions(site: &mut Site<'_>) -> Verdict {
    let valgrind = Command::new("valgrind").arg("--version").output();
    if let Err(error) = valgrind {
        return Verdict::Skipped(format!("valgrind cannot be started: {error}"));
    }
    let mut count = counting(site.workspace);
    let before = site.workspace.path("bench/instructions.json");
    count.arg("--against").arg(before);
    let outcome = site.judge(building()).and_then(|_| site.judge(count));
    match outcome {
        // The report comes last, behind what the benchmark says of its progress.
        Ok(said) => {
            let report = said.find("## ").map_or("", |start| &said[start..]);
            Verdict::Told(report.to_owned())
        }
        Err(output) => Verdict::Skipped(format!("could not count: {output}")),
    }
}

/// Builds the image as its users do, out of the base images or, where no registry can be
/// reached, out of images that are made to be like them; and tests it in an engine.
fn containers(site: &mut Site<'_>) -> Verdict {
    let engine = match Engine::find_or_start(site.workspace) {
        Ok(engine) => engine,
        Err(why) => return Verdict::Skipped(why),
    };
    let bases = engine.command(site.workspace.path("deploy/base-images.sh"));
    let mut build = engine.command("docker");
    build.current_dir(site.workspace.path("."));
    build.args([
        "build",
        "--file",
        "Dockerfile.flux-sim",
        "--tag",
        IMAGE,
        ".",
    ]);
    for step in [bases, build] {
        if let Err(output) = site.judge(step) {
            return Verdict::Failed {
                output,
                tally: None,
            };
        }
    }
    let mut tests = cargo(["test", "--locked", "--package", "repram-tests"]);
    tests.args(["--test", "containers", "--", "--ignored", "--nocapture"]);
    tests.env("REPRAM_IMAGE", IMAGE);
    engine.tell(&mut tests);
    counted(site.judge(tests))
}

fn dependencies(site: &mut Site<'_>) -> Verdict {
    let deny = site
        .deny
        .get_or_insert_with(|| Deny::find_or_install(site.workspace));
    match deny.program() {
        Ok(program) => {
            let mut command = Command::new(program);
            command.args(["--locked", "check", "bans", "licenses", "sources"]);
            Verdict::of(site.judge(command))
        }
        Err(output) => Verdict::Failed {
            output,
            tally: None,
        },
    }
}

impl Site<'_> {
    /// Runs a command to its end and gives back all it printed. The output goes
    /// through a file below the target directory, which an impatient person
    /// can follow.
    fn judge(&self, mut command: Command) -> Result<String, String> {
        let log = self.workspace.target().join("verify.log");
        let files = File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) =
            files.map_err(|error| format!("could not write {}: {error}", log.display()))?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let status = command
            .status()
            .map_err(|error| cannot_start(&command, &error))?;
        let said =
            fs::read(&log).map_err(|error| format!("could not read {}: {error}", log.display()))?;
        let said = String::from_utf8_lossy(&said).into_owned();
        if status.success() {
            return Ok(said);
        }
        Err(format!("{said}\n{} ended with {status}", shown(&command)))
    }
}
