use proptest::prelude::*;

use super::super::agreement::SETTLE_WITHIN;
use super::*;

const NOW: BootMillis = BootMillis(1_000);
const WALL: u64 = 1_800_000_000_000;

const TIMEOUT: Duration = Duration::from_secs(5);

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn seat(number: u128, generation: u64) -> Seat {
    Seat {
        uuid: uuid(number),
        generation,
        host: 0,
    }
}

fn placement(members: &[u128]) -> Arc<Placement> {
    Arc::new(Placement::new(
        members.iter().map(|number| seat(*number, 1)),
        3,
    ))
}

fn writes(own: u128, members: &[u128]) -> Writes<&'static str> {
    Writes::new(seat(own, 1), TIMEOUT, placement(members))
}

fn value(key: &'static str) -> NewWrite {
    let (key, value) = (
        Bytes::from_static(key.as_bytes()),
        Bytes::from_static(b"value"),
    );
    NewWrite {
        key,
        value,
        ttl_s: 600,
        held: None,
    }
}

/// A holder that sees the same members acknowledges.
fn answer_of<T>(
    writes: &mut Writes<T>,
    id: u64,
    from: Uuid,
    ack: Ack,
    now: BootMillis,
) -> Vec<Effect<T>> {
    let view = writes.placement.fingerprint();
    writes.acked(id, from, ack, view, now, WALL)
}

/// The effects in words, members by number.
fn words(effects: &[Effect<&'static str>]) -> Vec<String> {
    let word = |effect: &Effect<&str>| match effect {
        Effect::Store { id, .. } => format!("store {id}"),
        Effect::Send { to, id, .. } => format!("send {id} to {}", to.as_u128()),
        Effect::Keep { .. } => "keep".to_owned(),
        Effect::AskView { to } => format!("ask view of {}", to.as_u128()),
        Effect::Answer { waiter, outcome } => format!("{waiter}: {outcome:?}"),
    };
    let mut words: Vec<String> = effects.iter().map(word).collect();
    // The order among holders is the key's business.
    words.sort_unstable();
    words
}

fn version_above(millis: u64) -> Version {
    Version {
        time: HybridTime::from_millis(millis),
        uuid: uuid(9),
        generation: 1,
    }
}

/// What happens to the first write.
enum Event {
    /// This member acknowledges write number `id`.
    Ack(u64, u128, Ack),
    /// Too much waits for this member, which answers.
    Crowded(u64, u128),
    Silent(u64, u128),
    Lost(u128),
    Connected(u128),
    Members(&'static [u128]),
    After(u64),
}
use Event::{After, Connected, Crowded, Lost, Members, Silent};

/// Begins a write at member 1 of `members`, plays the events, and compares what follows
/// each of them.
fn check(members: &[u128], events: &[(Event, &[&str])]) -> Writes<&'static str> {
    let mut writes = writes(1, members);
    writes.begin(value("key"), "client", NOW, WALL);
    let mut now = NOW;
    for (number, (event, expect)) in events.iter().enumerate() {
        let effects = match event {
            Event::Ack(id, from, ack) => answer_of(&mut writes, *id, uuid(*from), *ack, now),
            Crowded(id, to) => {
                writes.unsent(*id, uuid(*to), Unsent::Crowded, now);
                vec![]
            }
            Silent(id, to) => {
                writes.unsent(*id, uuid(*to), Unsent::Silent, now);
                vec![]
            }
            Lost(peer) => writes.lost(uuid(*peer), now),
            Connected(peer) => writes.connected(uuid(*peer)),
            Members(members) => writes.members_changed(placement(members), &[], now),
            After(millis) => {
                now = NOW + Duration::from_millis(*millis);
                writes.tick(now)
            }
        };
        assert_eq!(words(&effects), *expect, "event {number}");
    }
    writes
}

const fn ack(from: u128) -> Event {
    Event::Ack(1, from, Ack::Stored)
}

#[test]
fn a_write_goes_to_all_holders_at_once() {
    let mut writes = writes(1, &[1, 2, 3]);
    let effects = writes.begin(value("key"), "client", NOW, WALL);
    assert_eq!(words(&effects), ["send 1 to 2", "send 1 to 3", "store 1"]);
    let Some(Effect::Store { entry, .. }) = effects
        .iter()
        .find(|effect| matches!(effect, Effect::Store { .. }))
    else {
        panic!("{effects:?}")
    };
    assert_eq!(entry.version.time, HybridTime::from_millis(WALL));
    assert_eq!((entry.version.uuid, entry.version.generation), (uuid(1), 1));
    assert_eq!(entry.deadline, NOW + Duration::from_secs(600) + TICK);
    assert_eq!((entry.created_unix_ms, entry.ttl_s), (WALL, 600));
}

#[test]
fn a_lonely_node_acknowledges_alone() {
    let writes = check(&[1], &[(ack(1), &["client: Acknowledged"])]);
    assert_eq!(writes.under_way(), (0, 0));
}

#[test]
fn two_of_three_acknowledge_and_the_third_follows() {
    let writes = check(
        &[1, 2, 3],
        &[
            (ack(1), &[]),
            (ack(3), &["client: Acknowledged"]),
            (ack(2), &[]),
        ],
    );
    assert_eq!(writes.under_way(), (0, 0));
    assert_eq!(writes.next_deadline(), None);
    let writes = check(
        &[1, 2, 3],
        &[(ack(1), &[]), (ack(3), &["client: Acknowledged"])],
    );
    assert_eq!(writes.under_way().0, 1);
}

#[test]
fn one_holder_counts_once() {
    check(&[1, 2, 3], &[(ack(1), &[]), (ack(1), &[]), (ack(7), &[])]);
}

#[test]
fn the_time_out_answers_pending_and_the_value_spreads_on() {
    check(
        &[1, 2, 3],
        &[
            (ack(1), &[]),
            (After(4_999), &[]),
            (After(5_000), &["client: Pending"]),
            (ack(2), &[]),
            (Lost(3), &[]),
            (Connected(2), &[]),
            (Connected(3), &["send 1 to 3"]),
            (ack(3), &[]),
            (Connected(3), &[]),
        ],
    );
}

#[test]
fn what_could_not_be_sent_is_tried_again() {
    check(
        &[1, 2, 3],
        &[
            (Silent(1, 2), &[]),
            (After(199), &[]),
            (After(200), &["send 1 to 2"]),
            (Silent(1, 2), &[]),
            (Silent(1, 3), &[]),
            (After(399), &[]),
            (After(400), &["send 1 to 2", "send 1 to 3"]),
            (After(600), &[]),
        ],
    );
}

#[test]
fn full_holders() {
    let full = |from| Event::Ack(1, from, Ack::Full);
    check(
        &[1, 2, 3],
        &[(full(1), &[]), (full(2), &[]), (full(3), &["client: Full"])],
    );
    check(
        &[1, 2, 3],
        &[
            (full(1), &[]),
            (ack(2), &[]),
            (ack(3), &["client: Acknowledged"]),
        ],
    );
    // One copy is there: it may still become two.
    check(
        &[1, 2, 3],
        &[
            (ack(1), &[]),
            (full(2), &[]),
            (full(3), &[]),
            (After(200), &["send 1 to 2", "send 1 to 3"]),
            (ack(3), &["client: Acknowledged"]),
        ],
    );
    check(
        &[1, 2, 3],
        &[(full(1), &[]), (After(5_000), &["client: Full"])],
    );
}

#[test]
fn a_newer_version_raises_the_clock_before_the_answer() {
    let above = version_above(WALL + 50_000);
    let writes = check(
        &[1, 2, 3],
        &[
            (ack(1), &[]),
            (
                Event::Ack(1, 2, Ack::Older(above)),
                &["send 2 to 2", "send 2 to 3", "store 2"],
            ),
            // The first number is not heard any more.
            (ack(3), &[]),
            (Event::Ack(2, 1, Ack::Stored), &[]),
            (Event::Ack(2, 3, Ack::Stored), &["client: Acknowledged"]),
        ],
    );
    assert!(writes.hybrid_now(WALL) > above.time);
    assert_eq!(writes.counters().restamped, 1);
}

#[test]
fn a_newer_version_after_the_answer_is_as_good_as_stored() {
    let above = version_above(WALL + 50_000);
    let writes = check(
        &[1, 2, 3],
        &[
            (ack(1), &[]),
            (ack(2), &["client: Acknowledged"]),
            (Event::Ack(1, 3, Ack::Older(above)), &[]),
        ],
    );
    assert_eq!(writes.under_way(), (0, 0));
    assert!(writes.hybrid_now(WALL) >= above.time);
}

#[test]
fn overtaking_ends() {
    let mut writes = writes(1, &[1, 2]);
    writes.begin(value("key"), "client", NOW, WALL);
    for id in 1..=u64::from(MAX_RESTAMPS) {
        let above = version_above(WALL + id * 1_000);
        let effects = answer_of(&mut writes, id, uuid(2), Ack::Older(above), NOW);
        assert_eq!(effects.len(), 2, "write {id}");
    }
    let id = u64::from(MAX_RESTAMPS) + 1;
    let above = version_above(WALL + 900_000);
    assert_eq!(
        answer_of(&mut writes, id, uuid(2), Ack::Older(above), NOW),
        []
    );
    let effects = answer_of(&mut writes, id, uuid(1), Ack::Stored, NOW);
    assert_eq!(words(&effects), ["client: Acknowledged"]);
}

#[test]
fn a_clock_too_far_ahead_is_refused_by_a_majority() {
    let ahead = |from| Event::Ack(1, from, Ack::Ahead);
    let writes = check(
        &[1, 2, 3],
        &[
            (ack(1), &[]),
            (ahead(2), &[]),
            (ahead(3), &["client: Unavailable"]),
        ],
    );
    assert_eq!(writes.under_way(), (0, 0));
    let writes = check(
        &[1, 2, 3],
        &[
            (ack(1), &[]),
            (ahead(2), &[]),
            (ack(3), &["client: Acknowledged"]),
        ],
    );
    assert_eq!(writes.under_way(), (0, 0));
}

#[test]
fn when_a_holder_no_longer_counts_fewer_are_needed() {
    check(
        &[1, 2, 3],
        &[
            (ack(1), &[]),
            (Members(&[1, 2]), &["ask view of 2"]),
            (ack(2), &["client: Acknowledged"]),
        ],
    );
    check(
        &[1, 2],
        &[(ack(1), &[]), (Members(&[1]), &["client: Acknowledged"])],
    );
    check(
        &[1],
        &[
            (
                Members(&[1, 2, 3]),
                &[
                    "ask view of 2",
                    "ask view of 3",
                    "send 1 to 2",
                    "send 1 to 3",
                ],
            ),
            (ack(1), &[]),
            // Two copies are enough when nobody is waited for any more.
            (ack(2), &[]),
            (ack(3), &["client: Acknowledged"]),
        ],
    );
}

#[test]
fn a_new_life_has_no_copy() {
    let mut writes = writes(1, &[1, 2]);
    writes.begin(value("key"), "client", NOW, WALL);
    answer_of(&mut writes, 1, uuid(2), Ack::Stored, NOW);
    let reborn = Placement::new([seat(1, 1), seat(2, 2)], 3);
    let effects = writes.members_changed(Arc::new(reborn), &[], NOW);
    assert_eq!(words(&effects), ["ask view of 2", "send 1 to 2"]);
    assert_eq!(
        words(&answer_of(&mut writes, 1, uuid(1), Ack::Stored, NOW)),
        [""; 0]
    );
}

#[test]
fn a_hint_is_kept_until_every_holder_has_it() {
    let members: Vec<u128> = (1..=6).collect();
    let placement = placement(&members);
    let held: BTreeSet<u128> = placement
        .holders(b"key")
        .iter()
        .map(|seat| seat.uuid.as_u128())
        .collect();
    let own = (1..=6)
        .find(|number| !held.contains(number))
        .expect("not all hold it");
    let mut writes: Writes<&str> = Writes::new(seat(own, 1), TIMEOUT, placement);
    let effects = writes.begin(value("key"), "client", NOW, WALL);
    assert!(
        effects
            .iter()
            .all(|effect| matches!(effect, Effect::Send { .. }))
    );
    assert_eq!(effects.len(), 3);
    // Nobody answers: the hint is what is left.
    assert_eq!(
        words(&writes.tick(NOW + TIMEOUT)),
        ["client: Pending", "keep"]
    );
    for holder in held {
        assert_eq!(writes.under_way().0, 1);
        answer_of(&mut writes, 1, uuid(holder), Ack::Stored, NOW);
    }
    assert_eq!(writes.under_way(), (0, 0));
}

#[test]
fn a_holder_that_answers_is_sent_the_value_before_it_is_acknowledged() {
    check(
        &[1, 2, 3],
        &[
            (Crowded(1, 3), &[]),
            (ack(1), &[]),
            (ack(2), &[]),
            (After(200), &["send 1 to 3"]),
            (After(400), &["client: Acknowledged"]),
        ],
    );
    let crowded = || [(Crowded(1, 3), &[][..]), (ack(1), &[]), (ack(2), &[])];
    let end = |event| {
        crowded()
            .into_iter()
            .chain([(event, &["client: Acknowledged"][..])])
    };
    check(&[1, 2, 3], &end(Lost(3)).collect::<Vec<_>>());
    let late = (After(5_000), &["client: Pending", "send 1 to 3"][..]);
    check(
        &[1, 2, 3],
        &crowded().into_iter().chain([late]).collect::<Vec<_>>(),
    );
}

#[test]
fn a_value_that_ended_is_not_offered_any_more() {
    let mut writes = writes(1, &[1, 2]);
    let brief = NewWrite {
        ttl_s: 10,
        ..value("key")
    };
    writes.begin(brief, "client", NOW, WALL);
    writes.unsent(1, uuid(2), Unsent::Silent, NOW);
    answer_of(&mut writes, 1, uuid(1), Ack::Stored, NOW);
    writes.tick(NOW + TIMEOUT);
    writes.unsent(1, uuid(2), Unsent::Silent, NOW + TIMEOUT);
    assert_eq!(writes.tick(NOW + Duration::from_secs(10) + TICK), []);
    assert_eq!(writes.under_way(), (0, 0));
}

#[test]
fn what_is_under_way_is_bounded() {
    let mut writes = writes(1, &[1, 2, 3]);
    let large = || NewWrite {
        value: Bytes::from(vec![0; 1 << 20]),
        ..value("key")
    };
    let mut begun = 0;
    loop {
        let effects = writes.begin(large(), "client", NOW, WALL);
        if words(&effects) == ["client: Unavailable"] {
            break;
        }
        begun += 1;
    }
    assert_eq!(begun, MAX_PENDING_BYTES as u64 / (1 << 20) - 1);
    // Answered ones make room for new ones, the oldest first.
    for id in 1..=2 {
        answer_of(&mut writes, id, uuid(1), Ack::Stored, NOW);
        answer_of(&mut writes, id, uuid(2), Ack::Stored, NOW);
    }
    assert_eq!(writes.begin(large(), "client", NOW, WALL).len(), 3);
    assert_eq!(writes.counters().abandoned, 1);
    assert_eq!(answer_of(&mut writes, 1, uuid(3), Ack::Stored, NOW), []);
}

/// Writes by node 1 among up to five, and what is known of them from outputs and inputs alone.
struct Model {
    writes: Writes<u64>,
    now: BootMillis,
    members: Arc<Placement>,
    /// Members that have not said whom they see, and until when they are waited for.
    awaited: BTreeSet<u128>,
    settle_by: BootMillis,
    /// Members that said that they see the same.
    agreeing: BTreeSet<u128>,
    /// What was sent and not answered: the write's number, and to whom.
    sent: Vec<(u64, u128)>,
    /// The key of each number that a write has had, and by when its client is to be answered.
    keys: BTreeMap<u64, u64>,
    answer_by: BTreeMap<u64, BootMillis>,
    stored: BTreeSet<(u64, u128)>,
    crowded: BTreeSet<(u64, u128)>,
    answered: BTreeMap<u64, PutOutcome>,
}

impl Model {
    fn new() -> Self {
        let members = placement(&[1, 2, 3, 4, 5]);
        Self {
            writes: Writes::new(seat(1, 1), TIMEOUT, Arc::clone(&members)),
            now: NOW,
            members,
            awaited: BTreeSet::new(),
            settle_by: BootMillis(0),
            agreeing: BTreeSet::new(),
            sent: Vec::new(),
            keys: BTreeMap::new(),
            answer_by: BTreeMap::new(),
            stored: BTreeSet::new(),
            crowded: BTreeSet::new(),
            answered: BTreeMap::new(),
        }
    }

    fn begin(&mut self) -> Vec<Effect<u64>> {
        let begun = self.answer_by.len() as u64 + 1;
        self.answer_by.insert(begun, self.now + TIMEOUT);
        let key = Bytes::from(begun.to_string());
        self.writes
            .begin(NewWrite { key, ..value("") }, begun, self.now, WALL)
    }

    /// Some holder answers something that it was sent.
    fn answer(&mut self, choice: usize, ack: Ack) -> Vec<Effect<u64>> {
        if self.sent.is_empty() {
            return Vec::new();
        }
        let (id, from) = self.sent.swap_remove(choice % self.sent.len());
        // What is there needs no room.
        let is_there = ack == Ack::Full && self.stored.contains(&(id, from));
        let ack = if is_there { Ack::Stored } else { ack };
        if matches!(ack, Ack::Stored | Ack::Older(_)) {
            // Something at least as new is there, or the write starts over with a new number.
            self.stored.insert((id, from));
        }
        if from != 1 {
            self.told(from);
        }
        answer_of(&mut self.writes, id, uuid(from), ack, self.now)
    }

    fn told(&mut self, peer: u128) {
        self.awaited.remove(&peer);
        self.agreeing.insert(peer);
    }

    /// A member sees others than this node.
    fn differs(&mut self, peer: u128) -> Vec<Effect<u64>> {
        self.agreeing.remove(&peer);
        if self.members.contains(uuid(peer)) {
            if self.settle_by <= self.now {
                self.awaited.clear();
            }
            self.awaited.insert(peer);
            self.settle_by = self.now + SETTLE_WITHIN;
        }
        let other = self.members.fingerprint() ^ 1;
        self.writes.view_told(uuid(peer), other, self.now)
    }

    /// Something cannot be sent after all.
    fn unsent(&mut self, choice: usize, why: Unsent) -> Vec<Effect<u64>> {
        let others = self.sent.iter().filter(|(_, to)| *to != 1);
        let Some(&(id, to)) = others.clone().nth(choice % others.count().max(1)) else {
            return Vec::new();
        };
        self.sent.retain(|sent| *sent != (id, to));
        if why == Unsent::Crowded {
            self.crowded.insert((id, to));
        }
        self.writes.unsent(id, uuid(to), why, self.now);
        Vec::new()
    }

    /// A stream breaks and is there again.
    fn reconnect(&mut self, peer: u128) -> Vec<Effect<u64>> {
        self.sent.retain(|(_, to)| *to != peer);
        self.crowded.retain(|(_, to)| *to != peer);
        let mut effects = self.writes.lost(uuid(peer), self.now);
        effects.extend(self.writes.connected(uuid(peer)));
        effects
    }

    fn silent(&mut self, peer: u128) -> Vec<Effect<u64>> {
        self.crowded.retain(|(_, to)| *to != peer);
        self.awaited.remove(&peer);
        self.writes.silent(uuid(peer), self.now)
    }

    /// All but `peer` count, or all when that is this node.
    fn count_without(&mut self, peer: u128) -> Vec<Effect<u64>> {
        let others: BTreeSet<u128> = (2..=5).filter(|it| *it != peer).collect();
        let members: Vec<u128> = [1].into_iter().chain(others.iter().copied()).collect();
        self.members = placement(&members);
        self.agreeing.clear();
        self.awaited = others;
        self.settle_by = self.now + SETTLE_WITHIN;
        self.writes
            .members_changed(Arc::clone(&self.members), &[], self.now)
    }

    fn pass(&mut self, time: Duration) -> Vec<Effect<u64>> {
        self.now = self.now + time;
        self.writes.tick(self.now)
    }

    /// Holds what the writes ask for against what is known.
    fn follow(&mut self, effects: Vec<Effect<u64>>) -> Result<(), TestCaseError> {
        for effect in effects {
            let (id, key, to) = match effect {
                Effect::Keep { .. } | Effect::AskView { .. } => continue,
                Effect::Answer { waiter, outcome } => {
                    let before = self.answered.insert(waiter, outcome);
                    prop_assert!(before.is_none(), "write {waiter} is answered twice");
                    self.check_answer(waiter, outcome)?;
                    continue;
                }
                Effect::Store { id, key, .. } => (id, key, 1),
                Effect::Send { to, id, key, .. } => (id, key, to.as_u128()),
            };
            let key = std::str::from_utf8(&key)
                .ok()
                .and_then(|key| key.parse().ok());
            self.keys.insert(id, key.expect("a number"));
            self.crowded.remove(&(id, to));
            self.sent.push((id, to));
        }
        let mut due = self.answer_by.iter().filter(|(_, at)| **at <= self.now);
        let late = due.find(|(waiter, _)| !self.answered.contains_key(waiter));
        prop_assert!(late.is_none(), "{late:?} is not answered in time");
        Ok(())
    }

    fn check_answer(&self, waiter: u64, outcome: PutOutcome) -> Result<(), TestCaseError> {
        let numbers = self.keys.iter().filter(|(_, key)| **key == waiter);
        let id = numbers.map(|(id, _)| *id).max().unwrap_or(0);
        let holders = self.members.holders(waiter.to_string().as_bytes());
        let holders = || holders.iter().map(|seat| seat.uuid.as_u128());
        let stored = || holders().filter(|holder| self.stored.contains(&(id, *holder)));
        match outcome {
            PutOutcome::Acknowledged => {
                let waited = self.settle_by <= self.now;
                let agrees = |it: &u128| *it == 1 || waited || self.agreeing.contains(it);
                let counted = stored().filter(agrees).count();
                let quorum = self.members.write_quorum();
                prop_assert!(counted >= quorum, "{waiter}: {counted} of {quorum}");
                prop_assert!(
                    waited || self.awaited.is_empty(),
                    "{waiter} before all agree"
                );
                let held_back = holders().find(|it| self.crowded.contains(&(id, *it)));
                prop_assert_eq!(held_back, None, "{} is not on its way", waiter);
            }
            PutOutcome::Full | PutOutcome::Unavailable => {
                prop_assert_eq!(stored().count(), 0, "{} is refused, and there", waiter);
            }
            PutOutcome::Pending => {}
        }
        Ok(())
    }

    /// From now on everyone is there and has room.
    fn end(&mut self) -> Result<(), TestCaseError> {
        for peer in 2..=5 {
            let effects = self.reconnect(peer);
            self.follow(effects)?;
        }
        for _ in 0..100 {
            while !self.sent.is_empty() {
                let effects = self.answer(0, Ack::Stored);
                self.follow(effects)?;
            }
            let effects = self.pass(RETRY);
            self.follow(effects)?;
        }
        prop_assert_eq!(self.answered.len(), self.answer_by.len());
        prop_assert_eq!(self.writes.under_way(), (0, 0), "nothing is left behind");
        Ok(())
    }
}

proptest! {
    /// Holders, streams and time do what they like: every client is answered exactly once
    /// and in time, "acknowledged" only when W of the holders that count have what it wrote,
    /// everyone sees the same members or was waited for, and no holder that answers is without
    /// it unawares; and in the end nothing is left behind.
    #[test]
    fn every_write_is_answered_once(
        steps in prop::collection::vec((0u8..15, any::<usize>(), 2u128..6), 1..200),
    ) {
        let mut model = Model::new();
        for (kind, choice, peer) in steps {
            let effects = match kind {
                0..=2 => model.begin(),
                3..=5 => model.answer(choice, Ack::Stored),
                6 => {
                    let above = version_above(WALL + choice as u64 % 1_000_000);
                    model.answer(choice, Ack::Older(above))
                }
                7 => model.answer(choice, Ack::Full),
                8 => {
                    let why = [Unsent::NoStream, Unsent::Silent, Unsent::Crowded][choice % 3];
                    model.unsent(choice, why)
                }
                9 => model.reconnect(peer),
                10 => model.silent(peer),
                // Sometimes everyone counts.
                11 => model.count_without(if choice % 3 == 0 { 1 } else { peer }),
                12 => {
                    model.told(peer);
                    let view = model.members.fingerprint();
                    model.writes.view_told(uuid(peer), view, model.now)
                }
                13 => model.differs(peer),
                _ => model.pass(Duration::from_millis(100)),
            };
            model.follow(effects)?;
        }
        model.end()?;
    }
}
