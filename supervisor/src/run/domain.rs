//! Claims over a domain while nodes run: what the claimer says becomes inputs of the fleet,
//! and what the fleet does with a slot is told to the claimer.

use std::time::Duration;

use repram_discovery::claim::conversation::{ClaimFields, ConflictNotice};
use repram_discovery::claim::core::Claim;
use repram_discovery::claim::{ClaimEvent, Claimer, Refused};
use repram_discovery::sockets::SlotSockets;
use tokio::time::Instant;
use uuid::Uuid;

use super::shell::Shell;
use super::{slots, strangers};
use crate::fleet::{Input, NodeIndex, Ports};

impl Shell {
    /// Acts on what the claimer says.
    pub(super) fn take_claim_event(&mut self, event: ClaimEvent) {
        match event {
            ClaimEvent::Settled { claim, sockets } => self.settled(&claim, sockets),
            ClaimEvent::Yield { uuid, slot, until } => self.must_leave(uuid, slot, until),
            ClaimEvent::NoPort(refused) => self.without_port(&refused),
            ClaimEvent::Released { slot } => self.let_go(slot),
        }
    }

    fn settled(&mut self, claim: &Claim, sockets: SlotSockets) {
        let ports = Ports::of(sockets.slot());
        let Some(node) = self.node_with(claim.uuid) else {
            return;
        };
        // News from before the node left the fleet and came back.
        let of = |claimer: &Claimer| claimer.claim_of(claim.uuid);
        let now = self.claimer.as_ref().and_then(of);
        if now.is_none_or(|now| now.slot != claim.slot) {
            return;
        }
        let member = &mut self.members[node.at()];
        member.refused = None;
        self.state.remember_slot(&member.name, claim.slot);
        if member.slot.is_some() {
            member.next = Some(sockets);
            self.tell_to_move(node, Some(ports));
        } else {
            member.hold(sockets);
            self.feed(Input::Claimed { node, ports });
        }
    }

    fn must_leave(&mut self, uuid: Uuid, slot: u16, until: Instant) {
        let Some(node) = self.node_with(uuid) else {
            return;
        };
        let member = &mut self.members[node.at()];
        if member.slot.is_some_and(|held| held.index == slot) {
            // It moves when there is somewhere to move to, or nothing is free.
            member.leaves_by = Some(until);
            return;
        }
        // Nothing runs there yet.
        let lost = member.next.take_if(|next| next.slot().index == slot);
        drop(lost);
        self.tell_to_move(node, None);
        self.with_claimer(|claimer| claimer.vacated(uuid, slot));
    }

    fn without_port(&mut self, refused: &Refused) {
        let Some(node) = self.node_with(refused.uuid) else {
            return;
        };
        if self.members[node.at()].leaves_by.is_some() {
            return self.tell_to_move(node, None);
        }
        let holders = strangers::refused_lines(refused).join("; ");
        self.members[node.at()].refused = Some(holders.clone());
        self.feed(Input::NotClaimed { node, holders });
    }

    /// The time to leave a slot is over. The process that may still be there is killed by
    /// the fleet; its sockets stop listening whoever else has them.
    fn let_go(&mut self, slot: u16) {
        let held = |member: &&mut super::member::Member| {
            member.leaves_by.is_some() && member.slot.is_some_and(|held| held.index == slot)
        };
        let Some(member) = self.members.iter_mut().find(held) else {
            return;
        };
        let (node, stays) = (member.index, member.next.is_none());
        if let Some(sockets) = member.sockets.take()
            && let Err(error) = sockets.close_door()
        {
            let message = format!("the door of {} could not be closed: {error}", member.name);
            self.warn(message);
        }
        if stays {
            // There was no decision yet where it goes.
            self.tell_to_move(node, None);
        }
    }

    /// Says to the fleet where the node goes that has to leave its slot.
    fn tell_to_move(&mut self, node: NodeIndex, ports: Option<Ports>) {
        let Some(until) = self.members[node.at()].leaves_by else {
            return;
        };
        let until = until.saturating_duration_since(self.started);
        self.feed(Input::Move { node, ports, until });
    }

    /// Nothing of the node runs any more in the slot that it had to leave.
    pub(super) fn vacated(&mut self, node: NodeIndex) {
        let member = &mut self.members[node.at()];
        (member.sockets, member.leaves_by) = (None, None);
        let left = member.slot.take();
        if let Some(next) = member.next.take() {
            member.hold(next);
        }
        let uuid = member.uuid;
        if let Some(left) = left {
            self.with_claimer(|claimer| claimer.vacated(uuid, left.index));
        }
    }

    /// The claim under which the node runs in its slot, for the node to tell who asks. From
    /// now on the node answers there, and the claimer no more.
    pub(super) fn hand_over(&mut self, node: NodeIndex) -> Option<ClaimFields> {
        let member = &self.members[node.at()];
        let (uuid, slot) = (member.uuid, member.slot?);
        let claimer = self.claimer.as_mut()?;
        claimer.hand_over(slot.index);
        let claim = claimer.claim_of(uuid)?;
        let fields = ClaimFields::of(&claim, &self.range);
        fields.filter(|_| claim.slot == slot.index)
    }

    /// Closes the door of a node that will be away for a while. On a port that is claimed
    /// over a domain the claimer answers meanwhile: a claim that nobody can ask for is not
    /// believed.
    pub(super) fn stand_in(&mut self, node: NodeIndex) -> Option<std::io::Result<()>> {
        let member = &self.members[node.at()];
        let (slot, sockets) = (member.slot?, member.sockets.as_ref()?);
        let claimer = self.claimer.as_mut()?;
        let ours = claimer.claim_of(member.uuid)?.slot == slot.index;
        ours.then(|| {
            sockets.close_gossip_door()?;
            claimer.take_back(slot.index, sockets.http())
        })
    }

    /// A node has heard of a stronger claim to its slot.
    pub(super) fn take_conflict(&mut self, node: NodeIndex, notice: &ConflictNotice) {
        // What a node said that has left the fleet since is of no interest.
        let slot = self.members.get(node.at()).and_then(|member| member.slot);
        let claim = notice.claim.claim(&self.range);
        let about_its_own = |claim: &Claim| slot.is_some_and(|slot| slot.index == claim.slot);
        if let Some(claim) = claim.filter(about_its_own) {
            self.with_claimer(|claimer| claimer.heard(claim, notice.host));
        }
    }

    /// The fleet wants a slot for the node. The claimer looks by itself, unless it believes
    /// that the node has one: then that one was lost. Answers when it is known that there is
    /// none.
    pub(super) fn claim_anew(&mut self, node: NodeIndex) -> Option<Input> {
        let member = &self.members[node.at()];
        let (uuid, has_none) = (member.uuid, member.slot.is_none() && member.next.is_none());
        let applicants = slots::applicants(std::slice::from_ref(member), &mut self.state);
        self.with_claimer(|claimer| {
            if has_none && claimer.has_settled(uuid) {
                claimer.leave(uuid);
                claimer.join(applicants);
            }
        });
        let holders = self.members[node.at()].refused.clone()?;
        Some(Input::NotClaimed { node, holders })
    }

    /// Lets go of all ports and tells the domain so, within `limit`.
    pub(super) async fn leave_slots(&mut self, limit: Duration) {
        for member in &mut self.members {
            (member.sockets, member.next) = (None, None);
        }
        if let Some(claimer) = self.claimer.take() {
            claimer.farewell(limit).await;
        }
    }

    fn with_claimer(&mut self, act: impl FnOnce(&mut Claimer)) {
        if let Some(claimer) = &mut self.claimer {
            act(claimer);
        }
    }

    /// The node of this UUID; none when it has left the fleet since the claimer spoke of it.
    fn node_with(&self, uuid: Uuid) -> Option<NodeIndex> {
        let member = self.members.iter().find(|member| member.uuid == uuid);
        member.map(|member| member.index)
    }
}

/// Waits for the claimer to say something; where there is none, for ever.
pub(super) async fn next_claim(claimer: &mut Option<Claimer>) -> ClaimEvent {
    match claimer {
        Some(claimer) => claimer.next().await,
        None => std::future::pending().await,
    }
}
