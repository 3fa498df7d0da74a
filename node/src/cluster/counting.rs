//! Who counts, and who is told when that changes.

use std::sync::{Arc, PoisonError};

use super::node::{Node, RECENT, lock, seat};
use super::world::World;
use crate::membership::{Liveness, Member};
use crate::placement::{Placement, Seat};

/// Who counts from now on, and who leaves and still answers.
#[derive(Debug, Default)]
struct Seats {
    staying: Vec<Seat>,
    leaving: Vec<Seat>,
}

impl<W: World> Node<W> {
    /// Tells the cores who counts now, if that is somebody else than before.
    pub(super) fn members_changed(&self) {
        // One at a time, and each looks at the members after it got its turn: so the last
        // one tells the latest.
        let turn = lock(&self.changing);
        let Seats { staying, leaving } = self.seats_now();
        let placement = Arc::new(Placement::new(staying.iter().copied(), self.copies));
        let wide = if leaving.is_empty() {
            Arc::clone(&placement)
        } else {
            let all = staying.iter().chain(&leaving).copied();
            Arc::new(Placement::new(all, self.copies))
        };
        let before = self.view();
        let other_view = placement.fingerprint() != before.placement.fingerprint();
        if !other_view && wide.fingerprint() == before.wide.fingerprint() {
            return;
        }
        let now = self.world.boot_now();
        // "Do not have" may be said for the new members only after the refill for them, so
        // the refill is told before they are seen.
        let pulls = {
            let mut refill = lock(&self.refill);
            let pulls = if placement.contains(self.own.uuid) {
                refill.members_changed(&placement, &leaving, now)
            } else {
                refill.retire(&placement);
                Vec::new()
            };
            self.note_completeness(&refill);
            pulls
        };
        // Writes go by the new members before anybody is told what this node has for them,
        // so that what is acknowledged for the old ones is among it.
        let effects = {
            let mut writes = lock(&self.writes);
            if other_view {
                writes.members_changed(Arc::clone(&placement), &leaving, now)
            } else {
                writes.leavers_changed(&leaving, now)
            }
        };
        let others = staying.iter().map(|seat| seat.uuid);
        let others = others.filter(|uuid| *uuid != self.own.uuid);
        lock(&self.leaving).hand_over_to(others);
        {
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            view.wide = wide;
            if other_view {
                let former = std::mem::replace(&mut view.placement, placement);
                view.recent.push_back(former);
                if view.recent.len() > RECENT {
                    view.recent.pop_front();
                }
            }
        }
        drop(turn);
        self.members_told.send_replace(());
        self.perform(effects);
        self.pull(pulls);
        // The last one that a leave waited for may be gone.
        self.look_whether_handed_over();
    }

    /// This node and the members of its enclave that count, or did until they said that they
    /// leave. When nobody stays nobody leaves either: values are where they are.
    fn seats_now(&self) -> Seats {
        let membership = lock(&self.membership);
        let leaving = lock(&self.leaving);
        let mut seats = Seats::default();
        let counting =
            |member: &&Member| member.counts() && member.identity.names.enclave == self.enclave;
        for member in membership.members().iter().filter(counting) {
            let seat = seat(&member.identity);
            if !leaving.leaves(&member.identity) {
                seats.staying.push(seat);
            } else if member.liveness == Liveness::Alive {
                seats.leaving.push(seat);
            }
        }
        if !leaving.is_own() {
            seats.staying.push(self.own);
        } else if seats.staying.is_empty() {
            seats.staying.append(&mut seats.leaving);
            seats.staying.push(self.own);
        } else {
            seats.leaving.push(self.own);
        }
        seats
    }
}
