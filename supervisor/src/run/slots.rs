//! The claims that are made before the first node is started.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use repram_config::{ClaimScope, Settings};
use repram_discovery::addresses::{DomainAddresses, DomainName};
use repram_discovery::auth::ClusterKeys;
use repram_discovery::claim::core::Timing;
use repram_discovery::claim::{
    About, Applicant, ClaimEvent, Claimant, Claimer, ClaimerConfig, claim_on_host,
};
use repram_discovery::look::free_range;
use repram_discovery::public_ports::PublicPorts;
use repram_discovery::slot::{PortRange, Slot};
use repram_discovery::sockets::SlotSockets;
use repram_discovery::state_dir::StateDir;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::launch::Secrets;
use super::member::Member;
use super::strangers;
use crate::fleet::NodeIndex;
use crate::leftovers;

/// The identity under which the supervisor counts its own starts, beside its nodes.
const SUPERVISOR: &str = "supervisor";

/// What came of the first claims.
pub(super) struct Slots {
    pub(super) members: Vec<Member>,
    /// The nodes that found no slot, and who holds what, line by line.
    pub(super) without: Vec<(NodeIndex, Vec<String>)>,
    /// What a person should know of how it went.
    pub(super) news: Vec<String>,
    /// Goes on claiming, where ports are unique over a domain.
    pub(super) claimer: Option<Claimer>,
}

/// Why there are none.
pub(super) enum NoSlots {
    /// Too few were free: what was found, line by line.
    TooFew(Vec<String>),
    /// The system refused something that always works.
    System(&'static str, io::Error),
}

impl Slots {
    /// Claims a slot for every node.
    pub(super) async fn claim(
        settings: &Settings,
        secrets: &Secrets,
        state: &mut StateDir,
    ) -> Result<Self, NoSlots> {
        // Of earlier runs, whose fleets may have been larger: what is new here nobody has.
        let all = (0..settings.max_ports).map(NodeIndex);
        let kept: Vec<(NodeIndex, Uuid)> = all
            .filter_map(|index| Some((index, state.kept_identity(&index.name())?.uuid)))
            .collect();
        let members = (0..settings.node_count).map(NodeIndex).map(|index| {
            let name = index.name();
            let uuid = state.identity(&name).uuid;
            Member::new(index, name, uuid)
        });
        let members: Vec<Member> = members.collect();
        let ended = leftovers::end(&of_our_fleets(&kept, &members)).await;
        wait_for_the_ending(settings, &members, state).await;
        let mut slots = match settings.claim_scope {
            ClaimScope::Host => Self::on_host(settings, members, state).await,
            ClaimScope::Domain => {
                let mut claimer = claimer(settings, secrets, state).await?;
                claimer.join(applicants(&members, state));
                let claims = first_claims(&mut claimer, members.len()).await;
                Self::over_domain(members, claims, claimer)
            }
        };
        if !ended.is_empty() {
            let ended = ended.join(", ");
            slots.news.push(format!(
                "ended what an earlier supervisor left behind: {ended}"
            ));
        }
        let held = slots.members.len() - slots.without.len();
        let needed = usize::from(settings.min_ready.max(1));
        match slots.without.first() {
            Some((_, lines)) if held < needed => {
                Err(NoSlots::TooFew(too_few(settings, held, needed, lines)))
            }
            _ => Ok(slots),
        }
    }

    async fn on_host(settings: &Settings, mut members: Vec<Member>, state: &mut StateDir) -> Self {
        let claimants: Vec<Claimant> = members
            .iter()
            .map(|member| Claimant {
                uuid: member.uuid,
                last_slot: state.identity(&member.name).last_slot,
            })
            .collect();
        let (range, bind) = (range(settings), settings.bind_address);
        let claims = claim_on_host(&range, bind, &claimants).await;
        let (mut without, mut news) = (Vec::new(), Vec::new());
        for ((member, claim), claimant) in members.iter_mut().zip(claims).zip(&claimants) {
            match claim {
                Ok(sockets) => {
                    news.extend(moved(member, &sockets, &range, claimant.last_slot));
                    member.hold(sockets);
                }
                Err(no_slot) => without.push((member.index, strangers::lines(&no_slot.tried))),
            }
        }
        Self {
            members,
            without,
            news,
            claimer: None,
        }
    }

    fn over_domain(
        mut members: Vec<Member>,
        mut claims: BTreeMap<Uuid, Result<SlotSockets, Vec<String>>>,
        claimer: Claimer,
    ) -> Self {
        let mut without = Vec::new();
        for member in &mut members {
            match claims.remove(&member.uuid).expect("each has its outcome") {
                Ok(sockets) => member.hold(sockets),
                Err(lines) => without.push((member.index, lines)),
            }
        }
        Self {
            members,
            without,
            news: Vec::new(),
            claimer: Some(claimer),
        }
    }
}

/// Waits while a slot that a node had before is held by processes that are ending: it is
/// free in a moment, and a node had better keep its ports.
async fn wait_for_the_ending(settings: &Settings, members: &[Member], state: &mut StateDir) {
    let deadline = Instant::now() + leftovers::PATIENCE;
    let (range, bind) = (range(settings), settings.bind_address);
    let mut last_slot = |member: &Member| state.identity(&member.name).last_slot;
    let before: Vec<Slot> = members
        .iter()
        .filter_map(|member| range.slot(last_slot(member)?))
        .collect();
    let is_ending = |slot: &Slot| {
        let taken = SlotSockets::bind(bind, *slot).err();
        taken.is_some_and(|taken| leftovers::is_ending(&taken))
    };
    while before.iter().any(is_ending) && Instant::now() < deadline {
        sleep(leftovers::PAUSE).await;
    }
}

/// Says so when a node could not get the slot that it had before.
fn moved(
    member: &Member,
    got: &SlotSockets,
    range: &PortRange,
    last_slot: Option<u16>,
) -> Option<String> {
    let (had, has) = (range.slot(last_slot?)?, got.slot());
    (had != has).then(|| {
        let name = &member.name;
        format!(
            "{name} had port {}, which is taken, and goes on at {}",
            had.http, has.http
        )
    })
}

/// The range of the settings, which were checked as a whole when they were loaded.
pub(super) fn range(settings: &Settings) -> PortRange {
    PortRange::new(
        settings.base_port,
        settings.max_ports,
        settings.gossip_port_offset,
    )
    .expect("the settings were checked")
}

/// How a node applies for a slot. On a free range without history each has its own.
pub(super) fn applicants(members: &[Member], state: &mut StateDir) -> Vec<Applicant> {
    let applicant = |member: &Member| {
        let identity = state.identity(&member.name);
        Applicant {
            node_id: member.name.clone(),
            uuid: member.uuid,
            generation: identity.generation,
            last_slot: identity.last_slot,
            start: member.index.0,
        }
    };
    members.iter().map(applicant).collect()
}

/// Of the UUIDs that are kept those with which only nodes of ours have run. Where a member got
/// another one, a program that is not ours holds the one that is kept, and runs.
fn of_our_fleets(kept: &[(NodeIndex, Uuid)], members: &[Member]) -> Vec<Uuid> {
    let ours = kept.iter().filter(|(index, uuid)| {
        let member = members.get(usize::from(index.0));
        member.is_none_or(|member| member.uuid == *uuid)
    });
    ours.map(|(_, uuid)| *uuid).collect()
}

async fn claimer(
    settings: &Settings,
    secrets: &Secrets,
    state: &mut StateDir,
) -> Result<Claimer, NoSlots> {
    let current = secrets.current.as_ref();
    let domain = DomainName(settings.discovery_domain.clone());
    let config = ClaimerConfig {
        range: range(settings),
        ports: public_ports(settings),
        bind: settings.bind_address,
        timing: Timing {
            settle: settings.claim_settle,
            refresh: settings.claim_refresh,
            move_timeout: settings.move_timeout,
        },
        incarnation: state.next_generation(SUPERVISOR),
        keys: current.map(|current| ClusterKeys::new(current, secrets.previous.as_ref())),
        addresses: Arc::new(DomainAddresses::new(Box::new(domain))),
        about: About {
            domain: settings.discovery_domain.clone(),
            network: settings.network.clone(),
            enclave: settings.enclave.clone(),
        },
    };
    Claimer::new(config)
        .await
        .map_err(|error| NoSlots::System("the HTTP client", io::Error::other(error)))
}

fn public_ports(settings: &Settings) -> PublicPorts {
    let pairs = settings.advertise_ports.iter();
    PublicPorts::new(pairs.map(|pair| (pair.container, pair.public)))
}

/// Waits until each of `count` claimants has a settled slot or knows that there is none.
async fn first_claims(
    claimer: &mut Claimer,
    count: usize,
) -> BTreeMap<Uuid, Result<SlotSockets, Vec<String>>> {
    let mut claims = BTreeMap::new();
    while claims.len() < count {
        match claimer.next().await {
            ClaimEvent::Settled { claim, sockets } => {
                claims.insert(claim.uuid, Ok(sockets));
            }
            // No node runs there yet, so nothing has to move.
            ClaimEvent::Yield { uuid, slot, .. } => {
                claims.remove(&uuid);
                claimer.vacated(uuid, slot);
            }
            ClaimEvent::NoPort(refused) => {
                claims.insert(refused.uuid, Err(strangers::refused_lines(&refused)));
            }
            ClaimEvent::Released { .. } => {}
        }
    }
    claims
}

fn too_few(settings: &Settings, held: usize, needed: usize, found: &[String]) -> Vec<String> {
    let last = settings.base_port + (settings.max_ports - 1);
    let base = settings.base_port;
    let mut lines = vec![format!(
        "of the {needed} nodes that are needed, {held} found free ports in {base} to {last}:"
    )];
    lines.extend(found.iter().map(|line| format!("  {line}")));
    let advice = match free_range(settings.max_ports, settings.gossip_port_offset) {
        Some(range) => format!(
            "end these, or use a range that looks free: BASE_PORT={}",
            range.base()
        ),
        None => "end these, or choose another range with BASE_PORT and MAX_PORTS".to_owned(),
    };
    lines.push(advice);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_not_ours_keeps_its_process() {
        let uuid = |number: u16| Uuid::from_u128(number.into());
        let member = |number: u16, uuid| {
            let index = NodeIndex(number);
            Member::new(index, index.name(), uuid)
        };
        let kept = [0, 1, 2].map(|number| (NodeIndex(number), uuid(number)));
        // Somebody else holds the lock of the second one, and the third is of a larger fleet.
        let members = [member(0, uuid(0)), member(1, uuid(9))];
        assert_eq!(of_our_fleets(&kept, &members), [uuid(0), uuid(2)]);
        assert!(of_our_fleets(&[], &members).is_empty());
    }
}
