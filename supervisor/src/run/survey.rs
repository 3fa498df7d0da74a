//! Finding out who holds the slots of the range.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use repram_discovery::claim::Claimer;
use repram_discovery::claim::conversation::StandingWord;
use repram_discovery::holder::{SocketTables, Transport};
use repram_discovery::peers::{HealthAnswer, health_at};
use repram_discovery::slot::{PortRange, Slot};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::shell::Shell;
use crate::claims::{CLAIMS_SCHEMA, Claims, Scope, SlotClaim, SlotHolder, Socket, Standing};
use crate::probe::reachable;

/// How long one port may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// How long all of them may take together: less than whoever asked for it waits. Ports that
/// have not answered by then count as silent.
const SURVEY_TIME: Duration = Duration::from_secs(3);

/// Ports that are asked at the same time: a fraction of the usual soft limit on descriptors.
const QUESTIONS_MAX: usize = 128;

/// What is known before anybody is asked.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) scope: Scope,
    pub(super) domain: String,
    pub(super) range: PortRange,
    pub(super) bind: IpAddr,
    /// The hosts of the domain, where they count.
    pub(super) hosts: Vec<IpAddr>,
    /// Our own nodes, by the index of their slot.
    pub(super) ours: BTreeMap<u16, SlotHolder>,
}

/// Who answered, where.
type Answers = BTreeMap<u16, Vec<(Option<IpAddr>, HealthAnswer)>>;

impl Survey {
    /// What the shell knows.
    pub(super) fn of(shell: &Shell) -> Self {
        let held = shell.members.iter().filter_map(|member| {
            let ours = SlotHolder::Ours {
                node: member.name.clone(),
                uuid: member.uuid,
                standing: Standing::Settled,
                since: member.held_since,
            };
            Some((member.slot?.index, ours))
        });
        let claimer = shell.claimer.as_ref();
        let claimed = claimer
            .into_iter()
            .flat_map(Claimer::own)
            .filter_map(|claim| {
                let mut members = shell.members.iter();
                let member = members.find(|member| member.uuid == claim.uuid)?;
                let since = claim.since.saturating_duration_since(shell.started);
                let ours = SlotHolder::Ours {
                    node: member.name.clone(),
                    uuid: claim.uuid,
                    standing: match claim.standing.map(StandingWord::from) {
                        Some(StandingWord::Settled) => Standing::Settled,
                        Some(StandingWord::Tentative) => Standing::Tentative,
                        None => Standing::Leaving,
                    },
                    since: shell.wall_clock().date(since),
                };
                Some((claim.slot, ours))
            });
        Self {
            scope: shell.settings.claim_scope.into(),
            domain: shell.settings.discovery_domain.clone(),
            range: shell.range,
            bind: shell.settings.bind_address,
            hosts: claimer.map_or_else(Vec::new, |claimer| claimer.hosts().to_vec()),
            // Of two that say something of a slot the claimer knows better.
            ours: held.chain(claimed).collect(),
        }
    }

    /// Asks everybody who may hold a slot, and the kernel.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub(super) async fn take(self) -> reqwest::Result<Claims> {
        let answers = self.ask().await?;
        // Reading the tables of the kernel takes a while where there are many processes.
        let taken = tokio::task::spawn_blocking(move || self.put_together(&answers)).await;
        Ok(taken.expect("it does not panic and is not ended"))
    }

    async fn ask(&self) -> reqwest::Result<Answers> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_TIME)
            .pool_max_idle_per_host(0)
            .build()?;
        let places = Arc::new(Semaphore::new(QUESTIONS_MAX));
        let mut questions = JoinSet::new();
        for (slot, host, address) in self.questions() {
            let (client, places) = (client.clone(), Arc::clone(&places));
            questions.spawn(async move {
                let _place = places.acquire().await;
                (slot, host, health_at(&client, address).await)
            });
        }
        let end = Instant::now() + SURVEY_TIME;
        let mut answers = Answers::new();
        while let Ok(Some(answer)) = timeout_at(end, questions.join_next()).await {
            if let Ok((slot, host, Some(answer))) = answer {
                answers.entry(slot).or_default().push((host, answer));
            }
        }
        for found in answers.values_mut() {
            found.sort_by_key(|(host, _)| *host);
        }
        Ok(answers)
    }

    /// Every port that is asked: on this host those that are not ours, elsewhere all.
    fn questions(&self) -> impl Iterator<Item = (u16, Option<IpAddr>, SocketAddr)> {
        let here = self
            .range
            .slots()
            .filter(|slot| !self.ours.contains_key(&slot.index));
        let here = here.map(|slot| (slot.index, None, reachable(self.bind, slot.http)));
        let elsewhere = self.hosts.iter().flat_map(|&host| {
            let ask = move |slot: Slot| {
                let address = SocketAddr::new(host, slot.http);
                (slot.index, Some(host), address)
            };
            self.range.slots().map(ask)
        });
        here.chain(elsewhere)
    }

    fn put_together(self, answers: &Answers) -> Claims {
        let tables = SocketTables::read();
        let slots = self.range.slots().map(|slot| {
            let answers = answers.get(&slot.index).map_or(&[][..], Vec::as_slice);
            SlotClaim {
                slot: slot.index,
                http_port: slot.http,
                gossip_port: slot.gossip,
                holders: self.holders(slot, answers, &tables),
            }
        });
        Claims {
            schema: CLAIMS_SCHEMA,
            scope: self.scope,
            slots: slots.collect(),
            domain: self.domain,
        }
    }

    fn holders(
        &self,
        slot: Slot,
        answers: &[(Option<IpAddr>, HealthAnswer)],
        tables: &SocketTables,
    ) -> Vec<SlotHolder> {
        let ours = self.ours.get(&slot.index);
        let mut known: BTreeSet<Uuid> = self.ours.values().filter_map(uuid).collect();
        let peers = answers
            .iter()
            .filter_map(|(host, answer)| peer(*host, answer));
        let mut holders: Vec<SlotHolder> = ours.into_iter().cloned().collect();
        let mut here = ours.is_some();
        for peer in peers {
            if uuid(&peer).is_some_and(|uuid| known.insert(uuid)) {
                here |= matches!(peer, SlotHolder::Peer { host: None, .. });
                holders.push(peer);
            }
        }
        if !here {
            holders.extend(strangers(slot, tables));
        }
        holders
    }
}

fn uuid(holder: &SlotHolder) -> Option<Uuid> {
    match holder {
        SlotHolder::Ours { uuid, .. } | SlotHolder::Peer { uuid, .. } => Some(*uuid),
        SlotHolder::Stranger { .. } | SlotHolder::Unseen { .. } => None,
    }
}

/// Whoever answers with a UUID is a node, or claims the slot for one.
fn peer(host: Option<IpAddr>, answer: &HealthAnswer) -> Option<SlotHolder> {
    let standing = match answer.claim.map(|claim| claim.standing) {
        Some(StandingWord::Settled) => Standing::Settled,
        Some(StandingWord::Tentative) => Standing::Tentative,
        None if answer.is_claiming() => Standing::Tentative,
        None => Standing::Settled,
    };
    let uptime = answer
        .uptime
        .and_then(|seconds| i64::try_from(seconds).ok());
    let since = uptime.and_then(|seconds| {
        Timestamp::now()
            .checked_sub(SignedDuration::from_secs(seconds))
            .ok()
    });
    Some(SlotHolder::Peer {
        node: answer.node_id.clone(),
        uuid: answer.uuid?,
        host,
        standing,
        since,
    })
}

/// The processes of this host that have a socket of the slot, each once.
fn strangers(slot: Slot, tables: &SocketTables) -> Vec<SlotHolder> {
    let sockets = [
        (Socket::Http, slot.http, Transport::Tcp),
        (Socket::Gossip, slot.gossip, Transport::Tcp),
        (Socket::GossipUdp, slot.gossip, Transport::Udp),
    ];
    let mut pids = BTreeSet::new();
    let mut found = Vec::new();
    for (socket, port, transport) in sockets {
        let holders = tables.holders_of(port, transport);
        if holders.is_empty() {
            let unseen = |uid| SlotHolder::Unseen { socket, port, uid };
            found.extend(tables.owners_of(port, transport).into_iter().map(unseen));
        }
        for holder in holders {
            if pids.insert(holder.pid) {
                found.push(SlotHolder::Stranger {
                    socket,
                    port,
                    pid: holder.pid,
                    command: holder.command,
                    uid: holder.uid,
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn survey(range: PortRange, ours: BTreeMap<u16, SlotHolder>) -> Survey {
        Survey {
            scope: Scope::Domain,
            domain: "hosts.test".to_owned(),
            range,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            hosts: Vec::new(),
            ours,
        }
    }

    fn ours(uuid: u128) -> SlotHolder {
        SlotHolder::Ours {
            node: "flux-node-1".to_owned(),
            uuid: Uuid::from_u128(uuid),
            standing: Standing::Settled,
            since: Timestamp::UNIX_EPOCH,
        }
    }

    fn answer(uuid: u128, status: &str) -> HealthAnswer {
        let uuid = Uuid::from_u128(uuid);
        let body = format!(r#"{{"status":"{status}","node_id":"n","uuid":"{uuid}"}}"#);
        HealthAnswer::parse(body.as_bytes()).expect("an object")
    }

    #[test]
    fn nodes_are_told_from_each_other_and_found_once() {
        // Nothing listens on port 1, as far as this test needs it.
        let range = PortRange::new(1, 1, 1).expect("a range");
        let host = |number| Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)));
        let answers = [
            (None, answer(2, "claiming")),
            (host(1), answer(2, "claiming")),
            (host(1), answer(1, "healthy")),
            (host(2), answer(3, "healthy")),
        ];
        let slot = range.slot(0).expect("it has one");
        let found = survey(range, BTreeMap::from([(0, ours(1))])).holders(
            slot,
            &answers,
            &SocketTables::read(),
        );
        let seen: Vec<_> = found
            .iter()
            .map(|holder| match holder {
                SlotHolder::Ours { uuid, standing, .. } => (uuid.as_u128(), *standing, None),
                SlotHolder::Peer {
                    uuid,
                    standing,
                    host,
                    ..
                } => (uuid.as_u128(), *standing, *host),
                other => panic!("{other:?}"),
            })
            .collect();
        let expect = [
            (1, Standing::Settled, None),
            (2, Standing::Tentative, None),
            (3, Standing::Settled, host(2)),
        ];
        assert_eq!(seen, expect);
    }

    #[tokio::test]
    async fn strangers_and_free_slots() {
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = stranger.local_addr().expect("bound").port();
        let range = PortRange::new(port.min(60_000), 1, 1000).expect("a range");
        if range.base() != port {
            return;
        }
        let claims = survey(range, BTreeMap::new())
            .take()
            .await
            .expect("a client");
        let holders = &claims.slots[0].holders;
        let us = std::process::id();
        assert!(
            matches!(
                holders[..],
                [SlotHolder::Stranger { pid, socket: Socket::Http, port: found, .. }]
                    if pid == us && found == port
            ),
            "{holders:?}"
        );
        drop(stranger);
        let claims = survey(range, BTreeMap::new())
            .take()
            .await
            .expect("a client");
        assert_eq!(claims.slots[0].holders, []);
    }
}
