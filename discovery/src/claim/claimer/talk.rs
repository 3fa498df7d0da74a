//! What the claimer says to the others, and what it makes of what they say.

use std::net::{IpAddr, SocketAddr};

use uuid::Uuid;

use super::courier::Letter;
use super::fronts::Incoming;
use super::shell::Claimer;
use super::view::SlotView;
use crate::claim::conversation::{Answer, ClaimFields, Heard, Kind, Request, SpeakError};
use crate::claim::core::{Claim, Input, Message, NEIGHBOURS_MAX, Recipient, Stamp};
use crate::domain::ADDRESSES_MAX;

/// Acquaintances that are told at once, at most: as many as a domain has addresses. The
/// others forget us in time.
const ACQUAINTANCES_TOLD_MAX: usize = ADDRESSES_MAX;

impl Claimer {
    pub(super) fn send(&mut self, to: Recipient, message: &Message) {
        match (to, message) {
            (Recipient::Everyone, Message::Announce(claim)) => {
                let before = self.entry(claim.uuid).told.replace(*claim);
                let letter = self.letter(message, claim.slot);
                self.tell_holders(claim.slot, &letter);
                if before != Some(*claim) {
                    self.tell_acquaintances(&letter);
                }
            }
            (Recipient::Everyone, Message::Leave { uuid, .. }) => {
                let entry = self.applicants.get_mut(uuid);
                if let Some(told) = entry.and_then(|entry| entry.told.take()) {
                    let letter = self.letter(message, told.slot);
                    self.tell_holders(told.slot, &letter);
                    self.tell_acquaintances(&letter);
                }
            }
            (Recipient::Claimant(uuid), Message::Conflict(claim)) => {
                let letter = self.letter(message, claim.slot);
                match self.hosts.get(&uuid).copied() {
                    _ if self.answering == Some(uuid) => {}
                    Some(host) => self.courier.send(self.place(host, claim.slot), letter),
                    None => self.tell_holders(claim.slot, &letter),
                }
            }
            (Recipient::Everyone, Message::Conflict(_))
            | (Recipient::Claimant(_), Message::Announce(_) | Message::Leave { .. }) => {
                unreachable!("a conflict is a matter of two, everything else of all")
            }
        }
    }

    /// The request that carries `message`; `slot` is the one that it is about.
    fn letter(&self, message: &Message, slot: u16) -> Letter {
        let uuid = match message {
            Message::Announce(claim) | Message::Conflict(claim) => claim.uuid,
            Message::Leave { uuid, .. } => *uuid,
        };
        let node_id = self
            .applicants
            .get(&uuid)
            .map_or("", |entry| &entry.node_id);
        let (kind, request) = Request::of_message(message, slot, node_id, &self.range);
        Letter { kind, request }
    }

    /// Tells whoever holds `slot` on any host of the domain.
    fn tell_holders(&mut self, slot: u16, letter: &Letter) {
        for host in &*self.addresses.known() {
            let place = self.place(*host, slot);
            self.courier.send(place, letter.clone());
        }
    }

    /// Tells those whom we met, on the slots that they hold: what they believe of us is not
    /// true any more.
    fn tell_acquaintances(&mut self, letter: &Letter) {
        let places: Vec<SocketAddr> = self
            .others()
            .filter_map(|other| Some(self.place(other.host?, other.slot)))
            .take(ACQUAINTANCES_TOLD_MAX)
            .collect();
        for place in places {
            self.courier.send(place, letter.clone());
        }
    }

    fn place(&self, host: IpAddr, slot: u16) -> SocketAddr {
        let slot = self
            .range
            .slot(slot)
            .expect("claims are to slots of the range");
        SocketAddr::new(host, self.ports.at(host, slot.http))
    }

    pub(super) fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Heard {
                at,
                kind,
                heard,
                reply,
            } => {
                if let Some(answer) = self.hear(at, kind, heard) {
                    // The visitor may be gone.
                    let _ = reply.send(answer);
                }
            }
            Incoming::Asked { at, reply } => {
                if let Some(view) = self.view(at) {
                    let _ = reply.send(view);
                }
            }
            Incoming::Returned {
                place,
                kind,
                outcome,
            } => self.returned(place, kind, outcome),
        }
    }

    fn hear(&mut self, at: u16, kind: Kind, heard: Heard) -> Option<Answer> {
        let uuid = self.holder(at)?.uuid;
        let slot = heard.slot();
        let mut believed = Ok(());
        match heard {
            Heard::Claim { claim, at } => {
                let message = match kind {
                    Kind::Conflict => Message::Conflict(claim),
                    Kind::Announce | Kind::Leave => Message::Announce(claim),
                };
                self.note_host(claim.uuid, Some(at));
                self.answering = Some(claim.uuid);
                self.feed(Input::Received(message));
                self.answering = None;
            }
            Heard::Left { uuid, slot, stamp } => self.left(uuid, slot, stamp),
            Heard::Unbelieved { reason, .. } => believed = Err(reason),
            Heard::Ourselves { .. } => {}
        }
        let ours = self.holder(slot);
        Some(Answer {
            kind,
            uuid,
            believed,
            should_yield: ours.is_some(),
            claim: ours.and_then(|claim| ClaimFields::of(&claim, &self.range)),
        })
    }

    /// Somebody holds a slot no more. A statement whose age we may not trust takes back
    /// what is known of that slot, and nothing newer.
    fn left(&mut self, uuid: Uuid, slot: u16, stamp: Option<Stamp>) {
        let known = self
            .core
            .neighbours()
            .find(|claim| claim.uuid == uuid && claim.slot == slot);
        if let Some(stamp) = stamp.or(known.map(|claim| claim.stamp)) {
            self.feed(Input::Received(Message::Leave { uuid, stamp }));
        }
    }

    fn returned(
        &mut self,
        place: SocketAddr,
        kind: Kind,
        outcome: Result<Option<Claim>, SpeakError>,
    ) {
        self.courier.returned(place, outcome.as_ref().err());
        let Ok(Some(claim)) = outcome else { return };
        self.note_host(claim.uuid, Some(place.ip()));
        // Whoever was told of the conflict and still holds on is told again with the next
        // announcement, not at once and for ever.
        self.answering = (kind == Kind::Conflict).then_some(claim.uuid);
        self.feed(Input::Received(Message::Announce(claim)));
        self.answering = None;
    }

    fn view(&self, at: u16) -> Option<SlotView> {
        let claim = self.holder(at)?;
        let entry = &self.applicants[&claim.uuid];
        let slots = self
            .core
            .claims()
            .chain(self.core.neighbours())
            .map(|claim| claim.slot);
        let mut claimed_ports: Vec<u16> = slots
            .filter_map(|slot| Some(self.range.slot(slot)?.http))
            .collect();
        claimed_ports.sort_unstable();
        claimed_ports.dedup();
        Some(SlotView {
            node_id: entry.node_id.clone(),
            generation: entry.generation,
            claim: ClaimFields::of(&claim, &self.range)?,
            claimed_ports,
        })
    }

    pub(super) fn note_host(&mut self, uuid: Uuid, host: Option<IpAddr>) {
        let Some(host) = host else { return };
        if self.hosts.len() >= NEIGHBOURS_MAX && !self.hosts.contains_key(&uuid) {
            let known: Vec<Uuid> = self.core.neighbours().map(|claim| claim.uuid).collect();
            self.hosts
                .retain(|uuid, _| known.binary_search(uuid).is_ok());
        }
        if self.hosts.len() < NEIGHBOURS_MAX || self.hosts.contains_key(&uuid) {
            self.hosts.insert(uuid, host);
        }
    }
}
