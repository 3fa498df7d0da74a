//! `supervisor`: runs a fleet of nodes, and asks a running one.

use std::process::ExitCode;

use repram_supervisor::cli::{self, Invocation};
use repram_supervisor::run;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Invocation::Run(options)) => run::run(&options),
        Ok(other) => cli::execute(other),
        Err(code) => code,
    }
}
