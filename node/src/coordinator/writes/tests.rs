use proptest::prelude::*;

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
            Members(members) => writes.members_changed(placement(members), now),
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
    let effects = writes.members_changed(Arc::new(reborn), NOW);
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

proptest! {
    /// Holders, streams and time do what they like: every client is answered exactly once
    /// and in time, "acknowledged" only with W copies among the holders that count, and in
    /// the end nothing is left behind.
    #[test]
    fn every_write_is_answered_once(
        steps in prop::collection::vec((0u8..8, any::<usize>(), 1u128..6), 1..200),
    ) {
        let all: Vec<u128> = (1..=5).collect();
        let mut writes: Writes<u64> = Writes::new(seat(1, 1), TIMEOUT, placement(&all));
        let mut now = NOW;
        let mut begun = 0u64;
        let mut answered = BTreeSet::new();
        // Per write number: whether each member said "stored".
        let mut stored: BTreeMap<u64, BTreeSet<u128>> = BTreeMap::new();
        let mut sent: Vec<(u64, u128)> = Vec::new();
        let mut members = all.clone();
        for (kind, choice, peer) in steps.into_iter().chain([(9, 0, 1)])
        {
            let effects = match kind {
                0 | 1 => {
                    begun += 1;
                    let key = Bytes::from(begun.to_string());
                    let write = NewWrite { key, ..value("") };
                    writes.begin(write, begun, now, WALL)
                }
                2 | 3 if !sent.is_empty() => {
                    let (id, from) = sent.swap_remove(choice % sent.len());
                    stored.entry(id).or_default().insert(from);
                    answer_of(&mut writes, id, uuid(from), Ack::Stored, now)
                }
                4 if !sent.is_empty() => {
                    let (id, from) = sent.swap_remove(choice % sent.len());
                    // Something at least as new is there, or the write starts over.
                    stored.entry(id).or_default().insert(from);
                    let above = version_above(WALL + choice as u64 % 1_000_000);
                    answer_of(&mut writes, id, uuid(from), Ack::Older(above), now)
                }
                5 => {
                    sent.retain(|(_, to)| *to != peer || peer == 1);
                    let mut effects = writes.lost(uuid(peer), now);
                    effects.extend(writes.connected(uuid(peer)));
                    effects
                }
                6 => {
                    members = all.iter().copied().filter(|it| *it == 1 || *it != peer).collect();
                    writes.members_changed(placement(&members), now)
                }
                9 => {
                    now = now + TIMEOUT;
                    writes.tick(now)
                }
                _ => {
                    now = now + Duration::from_millis(100);
                    writes.tick(now)
                }
            };
            for effect in effects {
                match effect {
                    Effect::Keep { .. } | Effect::AskView { .. } => {}
                    Effect::Store { id, .. } => sent.push((id, 1)),
                    Effect::Send { to, id, .. } => sent.push((id, to.as_u128())),
                    Effect::Answer { waiter, outcome } => {
                        prop_assert!(answered.insert(waiter), "write {waiter} twice");
                        if outcome == PutOutcome::Acknowledged {
                            let quorum = placement(&members).write_quorum();
                            prop_assert!(stored.values().any(|copies| copies.len() >= quorum));
                        }
                    }
                }
            }
        }
        prop_assert_eq!(answered.len() as u64, begun);
    }
}
