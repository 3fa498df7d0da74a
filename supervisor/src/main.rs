//! `supervisor`: runs a fleet of nodes, and asks a running one.

use std::process::ExitCode;

use repram_supervisor::cli::{self, Invocation};
use repram_supervisor::exec;
use repram_supervisor::run;
use repram_supervisor::signals::HeldSignals;

fn main() -> ExitCode {
    let held = HeldSignals::hold();
    match cli::parse(std::env::args_os()) {
        Ok(Invocation::Run(options)) => run::run(options, held),
        Ok(Invocation::Exec(options)) => exec::exec(&options, held),
        Ok(other) => {
            drop(held);
            cli::execute(other)
        }
        Err(code) => code,
    }
}
