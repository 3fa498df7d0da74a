//! How eagerly members watch each other.

use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::{Config, PeriodicParams};

use super::members::ENDED_REMEMBERED;
use crate::wire::MAX_PAYLOAD;

/// Members asked to probe on our behalf, and told news at a time. Three, as SWIM's authors
/// and memberlist use.
pub(super) const FANOUT: usize = 3;

/// How often each piece of news is sent by each member. Four times the logarithm of the
/// size reaches everyone with high probability (Das, Gupta, Motivala, "SWIM", 2002, section
/// 4.1); ten does for 300 members.
const TRANSMISSIONS: u8 = 10;

/// How eagerly members watch each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// All members are on this machine: round trips take microseconds, nothing is lost, and
    /// what is not answered within a second is hanging. A crash of a sibling is known from
    /// the supervisor long before.
    Machine,
    /// Members are on several hosts, maybe far apart: a direct probe may take 400 ms, and a
    /// suspected member has four seconds to object, so that a busy network or a pause of a
    /// virtual machine is not taken for a death.
    Network,
}

impl Profile {
    /// The protocol's periods.
    #[must_use]
    pub fn config(self) -> Config {
        let (period_ms, round_trip_ms, suspicion_ms, announce_s) = match self {
            Self::Machine => (500, 150, 1500, 5),
            Self::Network => (1000, 400, 4000, 15),
        };
        let periodic = |frequency, members| {
            let num_members = NonZeroUsize::new(members)?;
            Some(PeriodicParams {
                frequency,
                num_members,
            })
        };
        Config {
            probe_period: Duration::from_millis(period_ms),
            probe_rtt: Duration::from_millis(round_trip_ms),
            num_indirect_probes: NonZeroUsize::new(FANOUT).unwrap_or(NonZeroUsize::MIN),
            max_transmissions: NonZeroU8::new(TRANSMISSIONS).unwrap_or(NonZeroU8::MIN),
            suspect_to_down_after: Duration::from_millis(suspicion_ms),
            remove_down_after: Some(ENDED_REMEMBERED),
            max_packet_size: NonZeroUsize::new(MAX_PAYLOAD).unwrap_or(NonZeroUsize::MIN),
            notify_down_members: true,
            periodic_announce: periodic(Duration::from_secs(announce_s), 1),
            periodic_announce_to_down_members: periodic(Duration::from_secs(announce_s), 2),
            periodic_gossip: periodic(Duration::from_millis(200), FANOUT),
        }
    }
}
