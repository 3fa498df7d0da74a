//! Claims within one network namespace: the first bind wins.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::core::{Claims, Config, Input, Newcomer, Output, Scope};
use crate::slot::{PortRange, Slot};
use crate::sockets::{SlotSockets, SlotTaken};

/// Somebody who wants a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claimant {
    /// Its identity, different from that of all others.
    pub uuid: Uuid,
    /// Index of the slot that it had before: its first choice. One that the range does
    /// not have any more counts as none.
    pub last_slot: Option<u16>,
}

/// A claimant found no slot.
#[derive(Debug, thiserror::Error)]
#[error(
    "no slot is free: {} could not be had, the others are held by claimants beside it",
    tried.len()
)]
pub struct NoSlot {
    /// Whom there is no slot for.
    pub uuid: Uuid,
    /// Why each slot could not be had when it was tried last, ascending. Slots that other
    /// claimants of the same call got are not among them.
    pub tried: Vec<SlotTaken>,
}

/// Claims a slot for each claimant, in their order, and holds its sockets.
///
/// Who remembers a slot is asked for first; everybody else, and whoever could not get the
/// slot it remembers, gets the lowest one that can be had. On a free range without history
/// claimant *i* gets slot *i*. A claimant that finds none goes through the range a second
/// time after 50 to 150 ms, because another process that lost a slot lets go of it.
///
/// The results stand in the order of the claimants. Dropping the future lets go of
/// everything.
///
/// # Errors
/// [`NoSlot`] for each claimant that got none.
///
/// # Panics
/// When two claimants have the same UUID.
pub async fn claim_on_host(
    range: &PortRange,
    bind: IpAddr,
    claimants: &[Claimant],
) -> Vec<Result<SlotSockets, NoSlot>> {
    let round = Round::new(range, |slot| SlotSockets::bind(bind, slot));
    round.run(claimants).await
}

/// One call of [`claim_on_host`]. `S` stands for the sockets of a slot.
struct Round<'a, S, B> {
    range: &'a PortRange,
    bind: B,
    core: Claims<fastrand::Rng>,
    begun: Instant,
    held: BTreeMap<u16, S>,
    /// Per claimant, why it did not get a slot when it asked for it last.
    taken: BTreeMap<Uuid, BTreeMap<u16, SlotTaken>>,
    /// The slot of each claimant that is done, or that there is none.
    ended: BTreeMap<Uuid, Option<u16>>,
}

impl<'a, S, B: FnMut(Slot) -> Result<S, SlotTaken>> Round<'a, S, B> {
    fn new(range: &'a PortRange, bind: B) -> Self {
        let config = Config {
            scope: Scope::Host,
            slots: range.count(),
            // Nobody outside hears of these claims.
            incarnation: 0,
        };
        Self {
            range,
            bind,
            core: Claims::new(config, fastrand::Rng::new()),
            begun: Instant::now(),
            held: BTreeMap::new(),
            taken: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    async fn run(mut self, claimants: &[Claimant]) -> Vec<Result<S, NoSlot>> {
        let newcomers = claimants.iter().map(|claimant| Newcomer {
            uuid: claimant.uuid,
            last_slot: claimant.last_slot,
            start: 0,
        });
        self.feed(Input::Join(newcomers.collect()));
        while self.ended.len() < claimants.len() {
            let deadline = self.core.next_deadline();
            let wake = deadline.expect("a claimant that has not ended waits for its second pass");
            tokio::time::sleep_until(self.begun + wake).await;
            self.feed(Input::Tick);
        }
        claimants
            .iter()
            .map(|claimant| self.result(claimant.uuid))
            .collect()
    }

    /// Hands `input` to the core and does what it says, and what that leads to.
    fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now: Duration = self.begun.elapsed();
            for output in self.core.handle(input, now) {
                inputs.extend(self.perform(output));
            }
        }
    }

    fn perform(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Bind { uuid, slot } => return Some(self.bind(uuid, slot)),
            Output::Release { slot } => drop(self.held.remove(&slot)),
            Output::Settled { uuid, slot } => drop(self.ended.insert(uuid, Some(slot))),
            Output::NoPort { uuid } => drop(self.ended.insert(uuid, None)),
            // Nobody outside takes part, so there is nobody to talk to or to yield to.
            Output::Tentative { .. } | Output::Yield { .. } | Output::Send { .. } => {}
        }
        None
    }

    fn bind(&mut self, uuid: Uuid, slot: u16) -> Input {
        let place = self.range.slot(slot);
        match (self.bind)(place.expect("the core knows how many slots there are")) {
            Ok(sockets) => {
                self.held.insert(slot, sockets);
                Input::Bound(slot)
            }
            Err(taken) => {
                tracing::debug!(%uuid, error = %taken, cause = %taken.source, "slot not had");
                self.taken.entry(uuid).or_default().insert(slot, taken);
                Input::Taken(slot)
            }
        }
    }

    fn result(&mut self, uuid: Uuid) -> Result<S, NoSlot> {
        let slot = self.ended.remove(&uuid).flatten();
        let sockets = slot.and_then(|slot| self.held.remove(&slot));
        sockets.ok_or_else(|| NoSlot {
            uuid,
            tried: self
                .taken
                .remove(&uuid)
                .into_iter()
                .flat_map(BTreeMap::into_values)
                .collect(),
        })
    }
}
