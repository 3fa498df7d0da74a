//! Fixtures for black-box tests: the real binaries, real processes, real sockets.
//!
//! A [`Sandbox`] is everything that one test owns: a temporary directory, a range
//! of ports that no other test uses, a secret, and a mark in the environment by
//! which every process it ever caused is found again. [`Sandbox::start`] turns it
//! into a [`Fleet`], a supervisor that runs. Both end everything they started when
//! they are dropped, by pid, and show what was said when the test failed.
//!
//! This package depends on none of ours: it knows what outsiders know. Waiting is
//! always for a condition, with a deadline and a report of how far it got
//! ([`wait_until`]).

mod binaries;
mod cgroup;
mod churn;
mod container;
mod docker;
mod fleet;
mod flux;
mod http;
mod kept;
mod ledger;
mod load;
mod mutation;
mod network;
mod ports;
mod process;
mod raw;
mod sandbox;
mod scribe;
mod service;
mod stranger;
mod wait;

pub use binaries::{Binaries, repository};
pub use cgroup::Cgroup;
pub use churn::{Churn, ChurnConfig, Report};
pub use container::{Container, skip};
pub use docker::{DockerContainer, DockerNetwork, docker, docker_ok, image};
pub use fleet::{Fleet, Node};
pub use flux::Flux;
pub use http::{Answer, ask, ask_with, get, put};
pub use kept::KeptConnection;
pub use ledger::{Ledger, log_files, open_log};
pub use load::{Failure, Load, LoadConfig, Tally};
pub use mutation::Mutation;
pub use network::{Network, ask_in};
pub use ports::PortBlock;
pub use process::Process;
pub use raw::{RawAnswer, say};
pub use sandbox::{Finished, Output, Sandbox};
pub use scribe::{Order, Scribe};
pub use service::{Mood, Service};
pub use stranger::Stranger;
pub use wait::{PATIENCE, poll_until, wait_until};
