//! One process that runs a fleet of nodes.
//!
//! The decisions are made by [`fleet`], a state machine without I/O; [`run`](mod@run) is the shell
//! around it. What stands between a node and the outside is small and separate: [`spawn`]
//! starts processes, [`logs`] carries their lines, [`control`] answers the command line.
//! [`exec`](mod@exec) is the other thing that this program can be: an init for any one command.
//!
//! Order that others rely on: the slots of all nodes are claimed before the first node is
//! started; a node's new process is started only after its old one is reaped and nothing
//! of its process group is left; a node is told what its siblings do before it could find
//! out by itself; the last thing the supervisor does is to let go of the ports.

pub mod claims;
pub mod cli;
pub mod control;
pub mod environment;
pub mod event;
pub mod exec;
pub mod exit;
pub mod fleet;
pub mod flux_spec;
pub mod leftovers;
pub mod logs;
pub mod metrics;
pub mod notify;
pub mod oom;
pub mod probe;
pub mod program;
pub mod reaper;
pub mod reload;
pub mod run;
pub mod schema;
pub mod siblings;
pub mod signals;
pub mod spawn;
pub mod status;
mod stderr;
pub mod stop_budget;
pub mod style;
pub mod terminal;
pub mod usage;
pub mod wall_clock;
pub mod why;
