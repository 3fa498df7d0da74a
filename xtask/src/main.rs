//! The habits of this repository, as `cargo xtask COMMAND`:
//!
//! - `verify [--quick]` runs every gate and changes no file of the repository;
//! - `containers` builds the image and tests it, which `verify` does as well;
//! - `count [ARGS]` counts the instructions of the hot paths, which `verify` does as well;
//! - `fix` formats, applies what clippy can mend and regenerates the reference pages;
//! - `run [ARGS]` builds both binaries in release mode and becomes `supervisor run ARGS`.
//!
//! It has no dependencies, so that a fresh clone gets to work within seconds.
//! Everything it needs comes with Rust, except cargo-deny, which `verify`
//! installs below the target directory when the machine has none.

mod command;
mod containers;
mod count;
mod deny;
mod fix;
mod gates;
mod pages;
mod run;
mod tally;
mod verify;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  verify [--quick]   run every gate; --quick leaves out the slow ones
  containers         build the image and test it in a Docker engine
  count [ARGS]       count the instructions of the hot paths: --against FILE, --write FILE
  fix                format, apply clippy's fixes, regenerate the reference pages
  run [ARGS]         build both binaries in release mode and run the fleet
";

/// The exit code of a command line that was not understood, as in sysexits(3).
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let workspace = Workspace::of_this_build();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.to_string_lossy(), rest),
        None => return usage("no command given"),
    };
    match (&*command, rest) {
        ("verify", []) => verify::verify(&workspace, verify::Extent::Everything),
        ("verify", [flag]) if flag == "--quick" => {
            verify::verify(&workspace, verify::Extent::Quick)
        }
        ("containers", []) => verify::verify(&workspace, verify::Extent::Containers),
        ("count", rest) => count::count(&workspace, rest),
        ("fix", []) => fix::fix(&workspace),
        ("run", rest) => run::run(&workspace, rest),
        ("help" | "--help" | "-h", []) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        ("verify" | "fix" | "containers", [stray, ..]) => usage(&format!(
            "{command} does not know the argument {}",
            stray.to_string_lossy()
        )),
        _ => usage(&format!("there is no command {command}")),
    }
}

fn usage(problem: &str) -> ExitCode {
    eprint!("xtask: {problem}\n\n{USAGE}");
    ExitCode::from(EX_USAGE)
}
