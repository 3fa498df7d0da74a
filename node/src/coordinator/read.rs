//! The core of one read.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use uuid::Uuid;

use super::GetOutcome;
use crate::placement::Placement;
use crate::store::Entry;
use crate::wire::frame::Answer;

/// What this node itself has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// This node is a holder.
    Holder(Answer),
    /// It is not, but a copy is left from when it was, or the value is on its way to the
    /// holders.
    Leftover(Option<Entry>),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this holder, and go on waiting.
    Ask(Uuid),
    /// Wait for those who were asked.
    Wait,
    /// The end.
    Done(GetOutcome),
}

/// One read of one key: asks one holder after the other, the next when one fails, cannot
/// tell, or takes too long.
#[derive(Debug)]
pub struct Read {
    /// Holders that were not asked yet, the last one first.
    unasked: Vec<Uuid>,
    outstanding: Vec<Uuid>,
    /// Holders that must say "do not have".
    needed: usize,
    denied: usize,
    leftover: Option<Entry>,
    found: Option<Entry>,
}

impl Read {
    /// A read of `key` by node `own`. Holders for which `prefer` is lower are asked first.
    #[must_use]
    pub fn new(
        placement: &Placement,
        key: &[u8],
        own: Uuid,
        local: Local,
        prefer: impl Fn(Uuid) -> u8,
    ) -> Self {
        let mut unasked: Vec<Uuid> = placement
            .holders(key)
            .into_iter()
            .map(|seat| seat.uuid)
            .filter(|uuid| *uuid != own)
            .collect();
        // Stable, so that among equals the first holder stays first.
        unasked.sort_by_key(|uuid| prefer(*uuid));
        unasked.reverse();
        let (denied, found, leftover) = match local {
            Local::Holder(Answer::Have(entry)) => (0, Some(entry), None),
            Local::Holder(Answer::DoNotHave) => (1, None, None),
            Local::Holder(Answer::DoNotKnow) => (0, None, None),
            Local::Leftover(leftover) => (0, None, leftover),
        };
        let needed = placement.miss_quorum();
        Self {
            unasked,
            outstanding: Vec::new(),
            needed,
            denied,
            leftover,
            found,
        }
    }

    /// The first step.
    pub fn start(&mut self) -> Step {
        self.next()
    }

    /// A holder answered, or could not be asked (`None`).
    pub fn answered(&mut self, from: Uuid, answer: Option<Answer>) -> Step {
        let Some(index) = self.outstanding.iter().position(|asked| *asked == from) else {
            return Step::Wait;
        };
        self.outstanding.remove(index);
        match answer {
            Some(Answer::Have(entry)) => self.found = Some(entry),
            Some(Answer::DoNotHave) => self.denied += 1,
            Some(Answer::DoNotKnow) | None => {}
        }
        self.next()
    }

    /// Those who were asked take long: ask one more.
    pub fn hedge(&mut self) -> Step {
        self.ask().unwrap_or(Step::Wait)
    }

    /// What can be said with what is known so far.
    #[must_use]
    pub fn give_up(self) -> GetOutcome {
        if let Some(entry) = self.found {
            return GetOutcome::Found(entry);
        }
        if self.denied >= self.needed {
            return GetOutcome::Missing;
        }
        self.leftover.map_or(GetOutcome::Unknown, GetOutcome::Found)
    }

    fn next(&mut self) -> Step {
        if let Some(entry) = self.found.take() {
            return Step::Done(GetOutcome::Found(entry));
        }
        if self.denied >= self.needed {
            return Step::Done(GetOutcome::Missing);
        }
        if !self.outstanding.is_empty() {
            return Step::Wait;
        }
        self.ask().unwrap_or_else(|| {
            let leftover = self.leftover.take();
            Step::Done(leftover.map_or(GetOutcome::Unknown, GetOutcome::Found))
        })
    }

    fn ask(&mut self) -> Option<Step> {
        let next = self.unasked.pop()?;
        self.outstanding.push(next);
        Some(Step::Ask(next))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::BootMillis;
    use crate::placement::Seat;
    use crate::version::Version;

    fn uuid(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn entry(text: &'static str) -> Entry {
        Entry {
            value: Bytes::from_static(text.as_bytes()),
            version: Version::default(),
            created_unix_ms: 0,
            ttl_s: 0,
            deadline: BootMillis(0),
        }
    }

    /// What happens in a read, holders by their rank as they are asked.
    #[derive(Clone, Copy)]
    enum Event {
        Has(usize),
        HasNot(usize),
        KnowsNot(usize),
        Fails(usize),
        Late,
    }
    use Event::{Fails, Has, HasNot, KnowsNot, Late};

    /// A read by a node that is a holder (or not) of three copies among `members`; the
    /// steps as text, holders by the order in which they are asked.
    fn check(local: Local, holder: bool, events: &[Event], expect: &[&str]) {
        let seats = (1..=5).map(|n| Seat {
            uuid: uuid(n),
            generation: 1,
            host: 0,
        });
        let placement = Placement::new(seats, 3);
        let ranks: Vec<Uuid> = placement
            .holders(b"key")
            .iter()
            .map(|seat| seat.uuid)
            .collect();
        let own = if holder { ranks[0] } else { uuid(99) };
        let asked: Vec<Uuid> = ranks.into_iter().filter(|uuid| *uuid != own).collect();
        let mut read = Read::new(&placement, b"key", own, local, |_| 0);
        let mut steps = vec![read.start()];
        for event in events {
            steps.push(match event {
                Has(n) => read.answered(asked[*n], Some(Answer::Have(entry("theirs")))),
                HasNot(n) => read.answered(asked[*n], Some(Answer::DoNotHave)),
                KnowsNot(n) => read.answered(asked[*n], Some(Answer::DoNotKnow)),
                Fails(n) => read.answered(asked[*n], None),
                Late => read.hedge(),
            });
        }
        let steps: Vec<String> = steps
            .into_iter()
            .map(|step| match step {
                Step::Ask(holder) => {
                    format!(
                        "ask {}",
                        asked.iter().position(|it| *it == holder).expect("known")
                    )
                }
                Step::Wait => "wait".to_owned(),
                Step::Done(GetOutcome::Found(entry)) => {
                    String::from_utf8(entry.value.to_vec()).expect("text")
                }
                Step::Done(GetOutcome::Missing) => "missing".to_owned(),
                Step::Done(GetOutcome::Unknown) => "unknown".to_owned(),
            })
            .collect();
        assert_eq!(steps, expect);
    }

    #[test]
    fn a_holder_answers_for_itself() {
        check(
            Local::Holder(Answer::Have(entry("ours"))),
            true,
            &[],
            &["ours"],
        );
    }

    #[test]
    fn a_miss_needs_two_of_three() {
        let missing = || Local::Holder(Answer::DoNotHave);
        check(missing(), true, &[HasNot(0)], &["ask 0", "missing"]);
        check(missing(), true, &[Has(0)], &["ask 0", "theirs"]);
        check(
            missing(),
            true,
            &[KnowsNot(0), HasNot(1)],
            &["ask 0", "ask 1", "missing"],
        );
        check(
            missing(),
            true,
            &[Fails(0), Fails(1)],
            &["ask 0", "ask 1", "unknown"],
        );
        check(
            missing(),
            true,
            &[Fails(0), Has(1)],
            &["ask 0", "ask 1", "theirs"],
        );
        let unsure = || Local::Holder(Answer::DoNotKnow);
        check(
            unsure(),
            true,
            &[HasNot(0), HasNot(1)],
            &["ask 0", "ask 1", "missing"],
        );
        check(
            unsure(),
            true,
            &[HasNot(0), KnowsNot(1)],
            &["ask 0", "ask 1", "unknown"],
        );
    }

    #[test]
    fn who_holds_nothing_asks() {
        let nothing = || Local::Leftover(None);
        check(nothing(), false, &[Has(0)], &["ask 0", "theirs"]);
        check(
            nothing(),
            false,
            &[HasNot(0), HasNot(1)],
            &["ask 0", "ask 1", "missing"],
        );
        check(
            nothing(),
            false,
            &[HasNot(0), KnowsNot(1), Fails(2)],
            &["ask 0", "ask 1", "ask 2", "unknown"],
        );
    }

    #[test]
    fn a_leftover_is_the_last_resort() {
        let leftover = || Local::Leftover(Some(entry("left")));
        check(leftover(), false, &[Has(0)], &["ask 0", "theirs"]);
        check(
            leftover(),
            false,
            &[HasNot(0), HasNot(1)],
            &["ask 0", "ask 1", "missing"],
        );
        check(
            leftover(),
            false,
            &[Fails(0), HasNot(1), KnowsNot(2)],
            &["ask 0", "ask 1", "ask 2", "left"],
        );
    }

    #[test]
    fn the_slow_are_hedged() {
        let nothing = || Local::Leftover(None);
        check(
            nothing(),
            false,
            &[Late, Has(1)],
            &["ask 0", "ask 1", "theirs"],
        );
        check(
            nothing(),
            false,
            &[Late, Fails(1), Has(0)],
            &["ask 0", "ask 1", "wait", "theirs"],
        );
        check(
            nothing(),
            false,
            &[Late, Late, Late, HasNot(2), HasNot(0)],
            &["ask 0", "ask 1", "ask 2", "wait", "wait", "missing"],
        );
        check(nothing(), false, &[Has(1)], &["ask 0", "wait"]);
    }

    #[test]
    fn the_preferred_are_asked_first() {
        let seats = (1..=3).map(|n| Seat {
            uuid: uuid(n),
            generation: 1,
            host: 0,
        });
        let placement = Placement::new(seats, 3);
        for first in 1..=3 {
            let prefer = |it| u8::from(it != uuid(first));
            let local = Local::Leftover(None);
            let mut read = Read::new(&placement, b"k", uuid(99), local, prefer);
            assert_eq!(read.start(), Step::Ask(uuid(first)));
        }
    }

    #[test]
    fn a_lonely_node_knows_by_itself() {
        let seat = Seat {
            uuid: uuid(1),
            generation: 1,
            host: 0,
        };
        let placement = Placement::new([seat], 3);
        let local = Local::Holder(Answer::DoNotHave);
        let mut read = Read::new(&placement, b"k", uuid(1), local, |_| 0);
        assert_eq!(read.start(), Step::Done(GetOutcome::Missing));
    }
}
