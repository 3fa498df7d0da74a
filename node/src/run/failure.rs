//! Why a node could not start, and the exit code of each reason (sysexits.h).

use std::io;

use repram_config::Problems;
use repram_discovery::chain::chain;
use repram_discovery::claim::{NoSlot, Refused};
use repram_discovery::holder::holders_of_taken;
use repram_discovery::sockets::SlotTaken;

use crate::cluster::StartError;
use crate::supervised::{ChannelError, InheritError};

pub(super) const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const INTERNAL: u8 = 70;

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Settings(#[from] Problems),
    #[error("the ports cannot be had\n{}", strangers(std::slice::from_ref(.0)))]
    PortTaken(SlotTaken),
    #[error("no port of the range can be had\n{}", strangers(&.0.tried))]
    NoSlot(NoSlot),
    #[error("no port of the range can be had over the domain\n{}", rivals(.0))]
    NoSlotInDomain(Refused),
    #[error("the sockets that were passed cannot be used")]
    Inherited(#[from] InheritError),
    #[error("the supervisor cannot be heard")]
    Supervisor(#[from] ChannelError),
    #[error("the cluster could not be started")]
    Cluster(#[from] StartError),
    #[error("{what}")]
    System {
        what: &'static str,
        #[source]
        source: io::Error,
    },
}

impl Failure {
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => Problems::EXIT_CODE,
            Self::PortTaken(_) | Self::NoSlot(_) | Self::NoSlotInDomain(_) => UNAVAILABLE,
            Self::Inherited(_) | Self::Supervisor(_) | Self::Cluster(_) | Self::System { .. } => {
                INTERNAL
            }
        }
    }
}

/// Which ports are taken, on this host and on others.
fn rivals(refused: &Refused) -> String {
    let mut lines = vec![strangers(&refused.tried)];
    lines.retain(|lines| !lines.is_empty());
    lines.extend(refused.rivals.iter().map(|rival| {
        format!(
            "  port {} is held on another host, by the node {}",
            rival.port, rival.uuid
        )
    }));
    lines.join("\n")
}

/// Which ports are taken, and by whom where the kernel tells.
fn strangers(taken: &[SlotTaken]) -> String {
    let lines = taken.iter().map(|taken| {
        let holders = holders_of_taken(taken).into_iter();
        let holders: Vec<_> = holders
            .map(|holder| format!("pid {} {}", holder.pid, holder.command))
            .collect();
        let by = if holders.is_empty() {
            String::new()
        } else {
            format!(" ({})", holders.join(", "))
        };
        format!("  {}{by}", chain(taken))
    });
    lines.collect::<Vec<_>>().join("\n")
}
