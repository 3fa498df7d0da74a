//! Members whose acknowledgements do not come, and what is tried before they count as down.
//!
//! SWIM asks by datagrams, directly and through others. A network or a firewall that drops
//! UDP makes all of that fail while the member lives. So the ping goes over a stream as well,
//! as in HashiCorp's memberlist (`state.go`, `probeNode`: the fallback over TCP):
//!
//! - when the direct ping was not acknowledged within the round-trip time, once over a
//!   connection of its own. An acknowledgement within the period counts like any other;
//! - when the member is suspected all the same, then and halfway to its being declared down:
//!   over a connection of its own, and by some others who do the same on our behalf, because
//!   the path between the two of us may be at fault alone. The ping says that it is
//!   suspected, and the acknowledgement refutes that.
//!
//! No attempt holds anything up: a member that is really dead is declared down at the same
//! moment as without them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use foca::{Config, Header, Message, ProbeNumber};
use uuid::Uuid;

use super::{Identity, codec};
use crate::clock::BootMillis;

/// Attempts for one suspicion: at its beginning, and halfway through.
const ATTEMPTS: u32 = 2;

/// A ping that is to go over a stream, because datagrams are not acknowledged.
#[derive(Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// Whom to ask, over a connection of its own.
    pub to: Identity,
    /// The ping.
    pub ping: Bytes,
    /// How long an acknowledgement is of use.
    pub within: Duration,
    /// Members who are to ask it as well.
    pub through: Vec<Uuid>,
    /// The member that wants to know, when it is not this node.
    pub on_behalf_of: Option<Uuid>,
}

/// Why a member is to be asked over a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A ping of ours was not acknowledged in time.
    Unanswered,
    /// It will be declared down by us, if it does not object.
    Suspected,
}

/// A member that is to be asked over a stream.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) to: Identity,
    pub(super) cause: Cause,
    /// How often it has been asked for this cause before.
    pub(super) attempt: u32,
    pub(super) ping: Header<Identity>,
    pub(super) within: Duration,
}

/// The ping that is under way, and the suspicions that follow from earlier ones.
#[derive(Debug)]
pub(super) struct Doubts {
    /// What is left of a period when the direct ping has had its time.
    rest_of_period: Duration,
    suspicion_half: Duration,
    /// An attempt for a suspicion ends so long before the next moment at which it matters, for
    /// the news of it to come back.
    round_trip: Duration,
    probe: Option<Probe>,
    /// At most one of each member.
    suspicions: BTreeMap<Uuid, Suspicion>,
}

#[derive(Debug)]
struct Probe {
    ping: Header<Identity>,
    number: ProbeNumber,
    to: Identity,
    acknowledged: bool,
}

#[derive(Debug)]
struct Suspicion {
    ping: Header<Identity>,
    to: Identity,
    attempts: u32,
    next: BootMillis,
}

impl Doubts {
    pub(super) const fn new(config: &Config) -> Self {
        Self {
            rest_of_period: config.probe_period.saturating_sub(config.probe_rtt),
            suspicion_half: Duration::from_millis(
                config.suspect_to_down_after.as_millis() as u64 / 2,
            ),
            round_trip: config.probe_rtt,
            probe: None,
            suspicions: BTreeMap::new(),
        }
    }

    /// How long an attempt for a suspicion may take: with a suspicion of four seconds long
    /// enough for one lost SYN, which the kernel repeats after a second.
    pub(super) const fn suspicion_attempt(&self) -> Duration {
        self.suspicion_half.saturating_sub(self.round_trip)
    }

    /// Something is sent to a member.
    pub(super) fn sent(&mut self, to: &Identity, payload: &Bytes) {
        if !codec::is_ping(payload) {
            return;
        }
        // It is our own, so it can be read.
        let decoded = codec::decode_payload(payload.clone());
        self.probe = decoded.ok().and_then(|(ping, _)| {
            let Message::Ping(number) = ping.message else {
                return None;
            };
            Some(Probe {
                ping,
                number,
                to: to.clone(),
                acknowledged: false,
            })
        });
    }

    /// Something has come from a member.
    pub(super) fn heard(&mut self, header: &Header<Identity>) {
        if let Message::Ack(number) = header.message
            && let Some(probe) = &mut self.probe
        {
            probe.acknowledged |= number == probe.number && header.src == probe.to;
        }
    }

    /// The round-trip time of the ping to `to` is over: whether that is to be doubted.
    pub(super) fn unanswered(&self, to: &Identity) -> Option<Doubt> {
        let probe = self.probe.as_ref()?;
        (probe.to == *to && !probe.acknowledged).then(|| Doubt {
            to: to.clone(),
            cause: Cause::Unanswered,
            attempt: 0,
            ping: probe.ping.clone(),
            within: self.rest_of_period,
        })
    }

    /// We will declare `to` down when its time to object is over.
    pub(super) fn suspected(&mut self, to: &Identity, now: BootMillis) {
        let Some(probe) = self.probe.as_ref().filter(|probe| probe.to == *to) else {
            return;
        };
        self.suspicions.entry(to.uuid).or_insert(Suspicion {
            ping: probe.ping.clone(),
            to: to.clone(),
            attempts: 0,
            next: now,
        });
    }

    /// Who is to be asked now because of a suspicion.
    pub(super) fn due(&mut self, now: BootMillis) -> Vec<Doubt> {
        let within = self.suspicion_attempt();
        let mut due = Vec::new();
        for suspicion in self.suspicions.values_mut() {
            if suspicion.next <= now {
                due.push(Doubt {
                    to: suspicion.to.clone(),
                    cause: Cause::Suspected,
                    attempt: suspicion.attempts,
                    ping: suspicion.ping.clone(),
                    within,
                });
                suspicion.attempts += 1;
                suspicion.next = now + self.suspicion_half;
            }
        }
        self.suspicions
            .retain(|_, suspicion| suspicion.attempts < ATTEMPTS);
        due
    }

    /// When [`Doubts::due`] has something next.
    pub(super) fn next_deadline(&self) -> Option<BootMillis> {
        self.suspicions.values().map(|it| it.next).min()
    }
}
