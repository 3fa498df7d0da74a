//! The core of one read.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use uuid::Uuid;

use super::GetOutcome;
use crate::clock::BootMillis;
use crate::placement::Placement;
use crate::store::Entry;
use crate::version::Version;
use crate::wire::frame::Answer;

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
///
/// One holder that is sure of its value is enough. Others only vote: so many have to say
/// what they have that an acknowledged write must have met one of them, and then the newest
/// of it is the answer. One that was away and may have been left out, or has become a
/// holder just now, has no vote, and its value counts only when the others know of nothing newer. Where all others are
/// out of reach, the votes that there are have to do: a value is readable as long as one of its
/// copies can be reached. Whoever asks says who is out of reach; after having been away itself
/// it only cannot tell.
#[derive(Debug)]
pub struct Read {
    /// Holders that were not asked yet, the last one first.
    unasked: Vec<Uuid>,
    outstanding: Vec<Uuid>,
    /// Holders that must answer before nothing newer than what they know can have been
    /// acknowledged.
    needed: usize,
    /// Holders there are.
    holders: usize,
    /// Holders that said what they have, or that they have nothing.
    votes: usize,
    /// Votes that a value needs which nobody is sure of: more than `needed` while those who
    /// vote have not compared what they have since there were more copies.
    of: usize,
    /// Holders that could not be asked.
    unreached: usize,
    /// The newest value of those who vote, and of those who do not.
    best: Option<Entry>,
    /// The newest version that is known to have ended.
    over: Option<Version>,
    found: Option<Entry>,
}

impl Read {
    /// A read of `key` by node `own`, which says `local` itself when it is a holder. Holders for which `prefer` is lower are asked first.
    #[must_use]
    pub fn new(
        placement: &Placement,
        key: &[u8],
        own: Uuid,
        local: Option<Answer>,
        prefer: impl Fn(Uuid) -> u8,
    ) -> Self {
        let holders = placement.holders(key);
        let mut unasked: Vec<Uuid> = holders
            .iter()
            .map(|seat| seat.uuid)
            .filter(|uuid| *uuid != own)
            .collect();
        // Stable, so that among equals the first holder stays first.
        unasked.sort_by_key(|uuid| prefer(*uuid));
        unasked.reverse();
        let mut read = Self {
            unasked,
            outstanding: Vec::new(),
            needed: placement.miss_quorum(),
            holders: holders.len(),
            votes: 0,
            of: 0,
            unreached: 0,
            best: None,
            over: None,
            found: None,
        };
        if let Some(answer) = local {
            read.note(answer);
        }
        read
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
            Some(answer) => self.note(answer),
            None => self.unreached += 1,
        }
        self.next()
    }

    /// Those who were asked take long: ask one more.
    pub fn hedge(&mut self) -> Step {
        self.ask().unwrap_or(Step::Wait)
    }

    /// What can be said with what is known so far.
    #[must_use]
    pub fn give_up(mut self) -> GetOutcome {
        self.conclusion().unwrap_or(GetOutcome::Unknown)
    }

    /// What has ended by now is not served.
    pub fn expire(&mut self, now: BootMillis) {
        for known in [&mut self.found, &mut self.best] {
            known.take_if(|entry| entry.deadline <= now);
        }
    }

    fn note(&mut self, answer: Answer) {
        match answer {
            Answer::Have(entry) => self.found = newer(self.found.take(), entry),
            Answer::Perhaps(entry) => self.best = newer(self.best.take(), entry),
            Answer::Vote(entry, of) => {
                self.votes += 1;
                self.of = self.of.max(of.into());
                self.best = newer(self.best.take(), entry);
            }
            Answer::DoNotHave => self.votes += 1,
            Answer::Over(version) => {
                self.votes += 1;
                self.over = self.over.max(Some(version));
            }
            Answer::DoNotKnow => {}
        }
        // A value that something newer has replaced, though it has ended, is none.
        for known in [&mut self.found, &mut self.best] {
            known.take_if(|entry| Some(entry.version) < self.over);
        }
    }

    /// How the read ends, if that can be said yet.
    fn conclusion(&mut self) -> Option<GetOutcome> {
        if let Some(found) = self.found.take() {
            let newest = match self.best.take() {
                Some(best) if best.version > found.version => best,
                _ => found,
            };
            return Some(GetOutcome::Found(newest));
        }
        if self.votes < self.needed {
            return None;
        }
        if self.best.is_some() && self.votes < self.of.min(self.holders) {
            return None;
        }
        let best = self.best.take();
        Some(best.map_or(GetOutcome::Missing, GetOutcome::Found))
    }

    fn next(&mut self) -> Step {
        if let Some(outcome) = self.conclusion() {
            return Step::Done(outcome);
        }
        if !self.outstanding.is_empty() {
            return Step::Wait;
        }
        self.ask().unwrap_or_else(|| Step::Done(self.last_resort()))
    }

    /// What is said when nobody is left to be asked.
    fn last_resort(&mut self) -> GetOutcome {
        let everyone_else_is_gone = self.votes > 0 && self.votes + self.unreached == self.holders;
        let best = self.best.take().filter(|_| everyone_else_is_gone);
        best.map_or(GetOutcome::Unknown, GetOutcome::Found)
    }

    fn ask(&mut self) -> Option<Step> {
        let next = self.unasked.pop()?;
        self.outstanding.push(next);
        Some(Step::Ask(next))
    }
}

/// The newer of what is known and what comes.
fn newer(known: Option<Entry>, entry: Entry) -> Option<Entry> {
    match known {
        Some(known) if known.version >= entry.version => Some(known),
        _ => Some(entry),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::BootMillis;
    use crate::placement::Seat;

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
            kept_until: BootMillis(0),
        }
    }

    /// What happens in a read, holders by their rank as they are asked.
    #[derive(Clone, Copy)]
    enum Event {
        Has(usize),
        HasNot(usize),
        KnowsNot(usize),
        Fails(usize),
        /// It had something newer, which has ended.
        Ended(usize),
        Late,
    }
    use Event::{Ended, Fails, Has, HasNot, KnowsNot, Late};

    /// A read by a node that is a holder (or not) of three copies among `members`; the
    /// steps as text, holders by the order in which they are asked.
    fn check(local: Option<Answer>, holder: bool, events: &[Event], expect: &[&str]) {
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
                Ended(n) => {
                    let generation = 9;
                    let newer = Version {
                        generation,
                        ..Version::default()
                    };
                    read.answered(asked[*n], Some(Answer::Over(newer)))
                }
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
        check(Some(Answer::Have(entry("ours"))), true, &[], &["ours"]);
    }

    #[test]
    fn a_miss_needs_two_of_three() {
        let missing = || Some(Answer::DoNotHave);
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
        let unsure = || Some(Answer::DoNotKnow);
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
        let nothing = || None;
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
    fn who_was_away_asks_whether_there_is_something_newer() {
        let perhaps = || Some(Answer::Perhaps(entry("ours")));
        check(perhaps(), true, &[Has(0)], &["ask 0", "theirs"]);
        check(
            perhaps(),
            true,
            &[HasNot(0), HasNot(1)],
            &["ask 0", "ask 1", "ours"],
        );
        check(
            perhaps(),
            true,
            &[HasNot(0), Fails(1)],
            &["ask 0", "ask 1", "unknown"],
        );
    }

    #[test]
    fn who_may_have_missed_something_votes() {
        let vote = |of| Some(Answer::Vote(entry("ours"), of));
        check(vote(2), true, &[HasNot(0)], &["ask 0", "ours"]);
        check(vote(2), true, &[Has(0)], &["ask 0", "theirs"]);
        let steps = ["ask 0", "ask 1", "ours"];
        check(vote(2), true, &[KnowsNot(0), HasNot(1)], &steps);
        check(vote(3), true, &[HasNot(0), HasNot(1)], &steps);
        check(vote(9), true, &[HasNot(0), HasNot(1)], &steps);
        check(vote(2), true, &[Fails(0), Fails(1)], &steps);
        let steps = ["ask 0", "ask 1", "unknown"];
        check(vote(2), true, &[Fails(0), KnowsNot(1)], &steps);
    }

    #[test]
    fn what_was_replaced_is_over_though_its_successor_has_ended() {
        let old = Some(Answer::Perhaps(entry("old")));
        let steps = ["ask 0", "ask 1", "missing"];
        check(old, true, &[Ended(0), HasNot(1)], &steps);
    }

    #[test]
    fn the_slow_are_hedged() {
        let nothing = || None;
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
            let local = None;
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
        let local = Some(Answer::DoNotHave);
        let mut read = Read::new(&placement, b"k", uuid(1), local, |_| 0);
        assert_eq!(read.start(), Step::Done(GetOutcome::Missing));
    }
}
