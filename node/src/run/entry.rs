//! The program's first and last steps.

use std::process::ExitCode;

use repram_config::{Environment, Flag, Loaded, Problems, Role, load};
use repram_discovery::chain::chain;
use repram_discovery::descriptors::make_room;
use tracing::warn;

use super::arguments::{self, Invocation};
use super::beginning::Origin;
use super::failure::{self, Failure};
use super::node::{self, Signals};
use super::{logging, panic, start, workers};
use crate::limits::raise_descriptor_limit;
use crate::supervised::{InheritedSockets, inherit_sockets};

/// Descriptors for which there is room from the start: enough for all but the busiest node.
const ROOM: u16 = 2048;

/// The variable by which a supervisor makes itself known.
const SUPERVISOR_FD: &str = "REPRAM_SUPERVISOR_FD";

/// Runs the node that the command line and the environment describe, until it is asked to
/// stop. The exit code is 0 after a stop, else as sysexits.h has it: 64 for a command line
/// and 78 for settings that cannot be used, 69 when there is no port, 70 for anything else.
#[must_use]
pub fn main() -> ExitCode {
    match arguments::parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Help) => {
            print!("{}", arguments::help());
            ExitCode::SUCCESS
        }
        Ok(Invocation::Version) => {
            println!("repram-node {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Invocation::Run { config, flags }) => match settings(config.as_deref(), &flags) {
            Ok(loaded) => run(loaded),
            Err(problems) => {
                eprintln!("{problems}");
                ExitCode::from(Problems::EXIT_CODE)
            }
        },
        Err(usage) => {
            eprintln!("repram-node: {usage}");
            ExitCode::from(failure::USAGE)
        }
    }
}

fn settings(config: Option<&std::path::Path>, flags: &[Flag]) -> Result<Loaded, Problems> {
    load(&Environment::of_this_process(Role::Node), config, flags)
}

fn run(loaded: Loaded) -> ExitCode {
    panic::ends_the_process();
    logging::start(&loaded.settings, std::env::var_os(SUPERVISOR_FD).is_some());
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    raise_descriptor_limit();
    make_room(ROOM);
    // Descriptors are taken before there is a second thread, because their variables are
    // taken out of the environment.
    let ended = inherit_sockets()
        .map_err(Failure::from)
        .and_then(|inherited| {
            let runtime = workers::runtime().map_err(|source| Failure::System {
                what: "there is no event loop",
                source,
            })?;
            runtime.block_on(live(loaded, inherited))
        });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("repram-node: {}", chain(&failure));
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn live(loaded: Loaded, inherited: Option<InheritedSockets>) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let mut origin = Origin::Fresh(inherited);
    loop {
        let node = tokio::select! {
            node = start::start(loaded.clone(), origin) => node?,
            // Nobody knows this node yet, so nobody has to be told.
            _ = signals.next() => return Ok(()),
        };
        match node::run(node, &mut signals).await {
            Some(moved) => origin = Origin::Moved(Box::new(moved)),
            None => return Ok(()),
        }
    }
}
