//! The claim of a stand-alone node where ports are unique over a domain.

use std::sync::Arc;
use std::time::Duration;

use repram_config::Settings;
use repram_discovery::addresses::{DomainAddresses, DomainName};
use repram_discovery::auth::ClusterKeys;
use repram_discovery::claim::conversation::ConflictNotice;
use repram_discovery::claim::core::{Claim, Timing};
use repram_discovery::claim::{About, Applicant, ClaimEvent, Claimer, ClaimerConfig, Refused};
use repram_discovery::slot::PortRange;
use repram_discovery::sockets::SlotSockets;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};
use uuid::Uuid;

use super::address;
use super::failure::Failure;
use super::identity::Identity;

/// Conflicts that the HTTP side heard of and that were not looked at yet. They are told
/// again, so what finds no room is dropped.
const CONFLICTS_MAX: usize = 16;

/// The claim of a stand-alone node over a domain. Somebody has to wait on it for as long as
/// the node runs, because it does nothing by itself.
pub(super) struct DomainClaims {
    claimer: Claimer,
    range: PortRange,
    uuid: Uuid,
    conflicts: mpsc::Receiver<ConflictNotice>,
    tell: mpsc::Sender<ConflictNotice>,
    /// Index of the slot in which the node runs.
    slot: Option<u16>,
    /// What is left for stopping when nothing is decided: STOP_TIMEOUT, but no more than a
    /// quarter of MOVE_TIMEOUT, so that most of it is there for another slot to settle.
    stop_time: Duration,
    /// When it must have left that one, if a stronger claim has it.
    leaves_by: Option<Instant>,
    /// The slot that is settled and in which the node does not run yet.
    next: Option<Place>,
    /// Why there is none, if there is none.
    refused: Option<Refused>,
}

/// A settled slot.
pub(super) struct Place {
    pub(super) claim: Claim,
    pub(super) sockets: SlotSockets,
}

impl DomainClaims {
    /// Begins to claim a slot.
    ///
    /// # Errors
    /// When the system refuses what the conversation with other claimants needs.
    pub(super) async fn begin(
        settings: &Settings,
        range: PortRange,
        identity: &Identity,
        keys: Option<ClusterKeys>,
    ) -> Result<Self, Failure> {
        let domain = DomainName(settings.discovery_domain.clone());
        let config = ClaimerConfig {
            range,
            ports: address::public_ports(settings),
            bind: settings.bind_address,
            timing: Timing {
                settle: settings.claim_settle,
                refresh: settings.claim_refresh,
                move_timeout: settings.move_timeout,
            },
            incarnation: identity.generation,
            keys,
            addresses: Arc::new(DomainAddresses::new(Box::new(domain))),
            about: About {
                domain: settings.discovery_domain.clone(),
                network: settings.network.clone(),
                enclave: settings.enclave.clone(),
            },
        };
        let claimer = Claimer::new(config).await;
        let mut claimer = claimer.map_err(|error| Failure::System {
            what: "other claimants cannot be talked to",
            source: std::io::Error::other(error),
        })?;
        claimer.join(vec![Applicant {
            node_id: identity.node_id.clone(),
            uuid: identity.uuid,
            generation: identity.generation,
            last_slot: identity.last_slot,
            start: 0,
        }]);
        let (tell, conflicts) = mpsc::channel(CONFLICTS_MAX);
        Ok(Self {
            claimer,
            range,
            uuid: identity.uuid,
            conflicts,
            tell,
            slot: None,
            stop_time: settings.stop_timeout.min(settings.move_timeout / 4),
            leaves_by: None,
            next: None,
            refused: None,
        })
    }

    /// Waits for the first slot, into which the node may go.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn first(&mut self) -> Result<Place, Failure> {
        loop {
            if let Some(place) = self.take_place() {
                return Ok(place);
            }
            if let Some(refused) = self.refused.take() {
                return Err(Failure::NoSlotInDomain(refused));
            }
            self.step().await;
        }
    }

    /// Waits for a slot for as long as it takes.
    pub(super) async fn another(&mut self) -> Place {
        loop {
            if let Some(place) = self.take_place() {
                return place;
            }
            self.step().await;
        }
    }

    /// Waits until the node has to move: a stronger claim has its slot, and there is another
    /// one for it, or none, or no more time than it takes to stop. Returns the last moment
    /// for it. May be dropped at any time.
    pub(super) async fn must_move(&mut self) -> Instant {
        loop {
            let decided = self.next.is_some() || self.refused.is_some();
            match self.leaves_by {
                Some(until) if decided => return until,
                Some(until) => {
                    let at_latest = until.checked_sub(self.stop_time).unwrap_or(until);
                    tokio::select! {
                        () = self.step() => {}
                        () = sleep_until(at_latest) => return until,
                    }
                }
                None => self.step().await,
            }
        }
    }

    /// Keeps the conversation going.
    pub(super) async fn keep_up(&mut self) -> std::convert::Infallible {
        loop {
            self.step().await;
        }
    }

    /// Nothing of the node runs any more in the slot that it had to leave.
    pub(super) fn vacated(&mut self) {
        self.leaves_by = None;
        if let Some(slot) = self.slot.take() {
            self.claimer.vacated(self.uuid, slot);
        }
    }

    /// What tells of conflicts that the node hears of.
    pub(super) fn teller(&self) -> mpsc::Sender<ConflictNotice> {
        self.tell.clone()
    }

    fn take_place(&mut self) -> Option<Place> {
        let place = self.next.take()?;
        self.slot = Some(place.claim.slot);
        self.claimer.hand_over(place.claim.slot);
        Some(place)
    }

    async fn step(&mut self) {
        tokio::select! {
            event = self.claimer.next() => self.take(event),
            Some(notice) = self.conflicts.recv() => {
                if let Some(claim) = notice.claim.claim(&self.range) {
                    self.claimer.heard(claim, notice.host);
                }
            }
        }
    }

    fn take(&mut self, event: ClaimEvent) {
        match event {
            ClaimEvent::Settled { claim, sockets } => {
                info!(port = sockets.slot().http, "port settled over the domain");
                self.refused = None;
                self.next = Some(Place { claim, sockets });
            }
            ClaimEvent::Yield { slot, until, .. } if self.slot == Some(slot) => {
                warn!(slot, "a stronger claim of the domain has this node's port");
                self.leaves_by = Some(until);
            }
            ClaimEvent::Yield { slot, .. } => {
                // The node never ran there.
                self.next = None;
                self.claimer.vacated(self.uuid, slot);
            }
            ClaimEvent::NoPort(refused) => self.refused = Some(refused),
            // The node leaves before its time is up.
            ClaimEvent::Released { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use tokio::time::timeout;

    use super::*;

    /// What nobody waits for longer; a machine may be busy.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// The claims of a node without a slot whose next claim never settles.
    async fn unsettled() -> DomainClaims {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let base = free.local_addr().expect("bound").port().min(60_000);
        drop(free);
        let range = PortRange::new(base, 1, 1).expect("a range");
        let name = DomainName("localhost".to_owned());
        let config = ClaimerConfig {
            range,
            ports: repram_discovery::public_ports::PublicPorts::default(),
            bind: Ipv4Addr::LOCALHOST.into(),
            timing: Timing {
                settle: Duration::from_secs(3600),
                ..Timing::default()
            },
            incarnation: 1,
            keys: None,
            addresses: Arc::new(DomainAddresses::new(Box::new(name))),
            about: About {
                domain: "localhost".to_owned(),
                network: "public".to_owned(),
                enclave: "default".to_owned(),
            },
        };
        let (tell, conflicts) = mpsc::channel(CONFLICTS_MAX);
        DomainClaims {
            claimer: Claimer::new(config).await.expect("a client"),
            range,
            uuid: Uuid::from_u128(1),
            conflicts,
            tell,
            slot: None,
            stop_time: Duration::from_secs(8),
            leaves_by: None,
            next: None,
            refused: None,
        }
    }

    #[tokio::test]
    async fn a_node_leaves_in_time_though_nothing_is_decided() {
        let mut claims = unsettled().await;
        let until = Instant::now() + Duration::from_secs(8);
        (claims.slot, claims.leaves_by) = (Some(0), Some(until));
        let left = timeout(PATIENCE, claims.must_move()).await;
        assert_eq!(left, Ok(until));
    }
}
