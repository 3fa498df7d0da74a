use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::{Client, redirect};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Candidate, Found, FoundFuture, HealthAnswer, PeerSource, SourceError, health_at};
use crate::domain;
use crate::public_ports::PublicPorts;
use crate::slot::{PortRange, Slot};

/// How long one port may take to answer, from connecting to the last byte.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Ports asked at the same time: a domain of a dozen hosts with ranges of usual length
/// takes one [`PROBE_TIMEOUT`] at most, and the descriptors stay a fraction of the usual
/// limit of 1024.
pub const PROBES_MAX: usize = 128;

const NAME: &str = "scan";

/// What a [`RangeScan`] looks for.
#[derive(Clone, Debug)]
pub struct ScanConfig {
    /// The domain whose hosts are asked, and that peers must name.
    pub domain: String,
    /// The network that peers must name.
    pub network: String,
    /// The ports that are asked.
    pub range: PortRange,
    /// Their public numbers, by which other hosts are asked.
    pub ports: PublicPorts,
    /// Our own identity, which is not a peer.
    pub uuid: Uuid,
    /// HTTP ports on this machine that are not asked.
    pub siblings: SiblingPorts,
}

/// The HTTP ports of siblings under the same supervisor, which says more of them than a
/// question could: while a sibling has not started yet, its socket takes connections and
/// nobody answers. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct SiblingPorts(Arc<RwLock<BTreeSet<u16>>>);

impl SiblingPorts {
    /// Replaces the list.
    pub fn set(&self, ports: impl IntoIterator<Item = u16>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ports.into_iter().collect();
    }

    fn get(&self) -> BTreeSet<u16> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Whether an address is one of this machine's: only then can a socket be bound to it.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Asks `GET /health` on every HTTP port of the range at every address of the domain.
///
/// Whoever answers with a UUID, the same domain and the same network is a candidate, unless
/// it says that it only claims the port or that it leaves.
#[derive(Clone, Debug)]
pub struct RangeScan {
    config: ScanConfig,
    client: Client,
}

impl RangeScan {
    /// Sets up the scan. Proxies of the environment are not used and redirections not
    /// followed: what counts is who listens on the port.
    ///
    /// # Errors
    /// [`SourceError::Client`] when the HTTP client cannot be made.
    pub fn new(config: ScanConfig) -> Result<Self, SourceError> {
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(PROBE_TIMEOUT)
            // Each port is asked once in a round, and rounds are seldom close together.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(SourceError::Client)?;
        Ok(Self { config, client })
    }

    async fn find(&self) -> Found {
        let addresses = match domain::resolve(&self.config.domain).await {
            Ok(addresses) => addresses,
            Err(error) => {
                return Found {
                    error: Some(error.into()),
                    ..Found::default()
                };
            }
        };
        let siblings = self.config.siblings.get();
        let mut places = addresses
            .into_iter()
            .flat_map(|address| {
                let local = !siblings.is_empty() && is_local(address);
                let slots = self.config.range.slots().map(move |slot| (address, slot));
                let siblings = &siblings;
                slots.filter(move |(_, slot)| !(local && siblings.contains(&slot.http)))
            })
            .enumerate();
        let mut probes = JoinSet::new();
        let mut answers = Vec::new();
        loop {
            while probes.len() < PROBES_MAX
                && let Some((position, (address, slot))) = places.next()
            {
                let client = self.client.clone();
                let http = self.config.ports.at(address, slot.http);
                probes.spawn(async move {
                    let answer = health_at(&client, SocketAddr::new(address, http)).await;
                    (position, address, slot, answer)
                });
            }
            match probes.join_next().await {
                None => break,
                Some(Ok((position, address, slot, Some(answer)))) => {
                    answers.push((position, address, slot, answer));
                }
                // Nobody there, or nothing that we understand: the usual case.
                Some(Ok((_, _, _, None))) => {}
                Some(Err(error)) => tracing::error!(%error, "a probe of the scan ended early"),
            }
        }
        // The order of the answers says nothing; that of the range does.
        answers.sort_unstable_by_key(|(position, ..)| *position);
        let answers = answers
            .into_iter()
            .map(|(_, address, slot, answer)| (address, slot, answer));
        Found {
            candidates: self.peers_among(answers),
            ..Found::default()
        }
    }

    /// Those who are peers, each once: a host may have several addresses.
    fn peers_among(
        &self,
        answers: impl Iterator<Item = (IpAddr, Slot, HealthAnswer)>,
    ) -> Vec<Candidate> {
        let ScanConfig {
            domain,
            network,
            uuid: own_uuid,
            ports,
            ..
        } = &self.config;
        let mut candidates: Vec<Candidate> = Vec::new();
        for (address, slot, answer) in answers {
            let same_domain = answer
                .domain
                .as_ref()
                .is_some_and(|theirs| theirs.eq_ignore_ascii_case(domain));
            let same_network = answer.network.as_ref() == Some(network);
            let known = |uuid| {
                candidates
                    .iter()
                    .any(|candidate| candidate.uuid == Some(uuid))
            };
            let running = answer.is_running();
            let Some(uuid) = answer.uuid else { continue };
            if same_domain && same_network && running && uuid != *own_uuid && !known(uuid) {
                candidates.push(Candidate {
                    uuid: Some(uuid),
                    node_id: answer.node_id,
                    http: SocketAddr::new(address, ports.at(address, slot.http)),
                    gossip: SocketAddr::new(address, ports.at(address, slot.gossip)),
                    source: NAME,
                });
            }
        }
        candidates
    }
}

impl PeerSource for RangeScan {
    fn name(&self) -> &'static str {
        NAME
    }

    fn candidates(&self) -> FoundFuture<'_> {
        Box::pin(self.find())
    }
}
