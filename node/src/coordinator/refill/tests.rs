use proptest::prelude::*;

use super::doubts::RESENT_FOR;
use super::*;
use crate::placement::Seat;

const NOW: BootMillis = BootMillis(1_000);

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Members 0..count, each in the given generation; node 0 is ours.
fn placement(generations: &[u64]) -> Placement {
    let seats = (0u128..).zip(generations);
    let seat = |(n, generation): (u128, &u64)| Seat {
        uuid: uuid(n),
        generation: *generation,
        host: 0,
    };
    Placement::new(seats.map(seat), 3)
}

fn last_page() -> Page {
    Page::Items {
        wanted: vec![],
        next: None,
        entries: 0,
        bytes: 0,
        full: false,
    }
}

/// Whom the only question goes to, with its ticket.
fn asked(pulls: &[Pull]) -> (u128, u64) {
    let [Pull::Page { from, ticket, .. }] = pulls else {
        panic!("one page expected: {pulls:?}");
    };
    (from.as_u128(), *ticket)
}

/// A refill among three members, connected to both others; the first question is asked.
fn started() -> (Refill, Vec<Pull>) {
    let mut refill = Refill::new(uuid(0));
    assert!(refill.is_complete(), "alone");
    assert_eq!(refill.members_changed(&placement(&[1, 1, 1]), &[], NOW), []);
    assert!(!refill.is_complete());
    let pulls = refill.connected(uuid(1), NOW);
    assert_eq!(refill.connected(uuid(2), NOW), []);
    (refill, pulls)
}

#[test]
fn everyone_is_asked_before_it_is_complete() {
    let (mut refill, pulls) = started();
    let (from, ticket) = asked(&pulls);
    assert_eq!((from, refill.progress().waiting_for), (1, 2));
    let pulls = refill.page(ticket, last_page(), NOW);
    let (from, ticket) = asked(&pulls);
    assert_eq!((from, refill.progress().waiting_for), (2, 1));
    assert!(!refill.is_complete());
    assert_eq!(refill.page(ticket, last_page(), NOW), []);
    assert!(refill.is_complete());
    // Then the next comparison in passing.
    let next = refill.next_deadline().expect("there are others");
    let compares = refill.tick(next);
    assert!(
        matches!(compares[..], [Pull::Page { compare: true, .. }]),
        "{compares:?}"
    );
    assert!(refill.is_complete(), "whatever they find");
}

#[test]
fn values_come_with_the_first_member_only() {
    let (mut refill, pulls) = started();
    let wants = |pulls: &[Pull]| {
        matches!(
            pulls,
            [Pull::Page {
                with_values: true,
                ..
            }]
        )
    };
    assert!(wants(&pulls));
    let pulls = refill.page(asked(&pulls).1, last_page(), NOW);
    assert!(!wants(&pulls));
}

#[test]
fn a_new_life_is_asked_for_all_and_others_for_the_difference() {
    let (mut refill, pulls) = started();
    let pulls = refill.page(asked(&pulls).1, last_page(), NOW);
    refill.page(asked(&pulls).1, last_page(), NOW);
    let before = placement(&[1, 1, 1]).fingerprint();
    let after = placement(&[1, 2, 1]);
    let pulls = refill.members_changed(&after, &[], NOW);
    assert!(!refill.is_complete());
    let previous = |pulls: &[Pull]| {
        let [Pull::Page { previous, view, .. }] = pulls else {
            panic!("{pulls:?}")
        };
        assert_eq!(*view, after.fingerprint());
        *previous
    };
    assert_eq!((asked(&pulls).0, previous(&pulls)), (1, 0));
    let pulls = refill.page(asked(&pulls).1, last_page(), NOW);
    assert_eq!((asked(&pulls).0, previous(&pulls)), (2, before));
    let pulls = refill.apart(uuid(2), NOW);
    assert_eq!((asked(&pulls).0, previous(&pulls)), (2, 0));
}

#[test]
fn who_sees_other_members_is_asked_again_later() {
    let (mut refill, pulls) = started();
    let pulls = refill.page(asked(&pulls).1, Page::OtherView, NOW);
    let (from, ticket) = asked(&pulls);
    assert_eq!(from, 2, "the other one meanwhile");
    assert_eq!(refill.page(ticket, last_page(), NOW), []);
    let retry = NOW + RETRY_FIRST;
    assert_eq!(refill.next_deadline(), Some(retry));
    assert_eq!(refill.tick(NOW), []);
    let pulls = refill.tick(retry);
    assert_eq!(asked(&pulls).0, 1);
    assert_eq!(refill.failed(asked(&pulls).1, retry), []);
    assert_eq!(refill.next_deadline(), Some(retry + RETRY_FIRST * 2));
}

#[test]
fn a_broken_stream_and_a_late_answer_change_nothing_else() {
    let (mut refill, pulls) = started();
    let (_, late) = asked(&pulls);
    let pulls = refill.lost(uuid(1), NOW);
    assert_eq!(asked(&pulls).0, 2);
    assert_eq!(refill.page(late, last_page(), NOW), []);
    assert_eq!(
        refill.value(late, &Bytes::from_static(b"k"), Value::Gone, NOW),
        []
    );
    assert_eq!(refill.page(asked(&pulls).1, last_page(), NOW), []);
    assert!(!refill.is_complete(), "the first was not heard");
    let pulls = refill.connected(uuid(1), NOW);
    refill.page(asked(&pulls).1, last_page(), NOW);
    assert!(refill.is_complete());
}

#[test]
fn who_does_not_answer_is_left_for_another() {
    let (mut refill, pulls) = started();
    let late = NOW + ANSWER_WITHIN;
    assert_eq!((asked(&pulls).0, refill.next_deadline()), (1, Some(late)));
    let pulls = refill.tick(late);
    assert_eq!(asked(&pulls).0, 2);
    refill.page(asked(&pulls).1, last_page(), late);
    assert_eq!(asked(&refill.tick(late + RETRY_FIRST)).0, 1);
}

#[test]
fn after_having_been_away_everyone_is_asked_for_all() {
    let (mut refill, pulls) = started();
    let pulls = refill.page(asked(&pulls).1, last_page(), NOW);
    refill.page(asked(&pulls).1, last_page(), NOW);
    assert!(refill.is_complete());
    let pulls = refill.away(false, NOW);
    assert_eq!(refill.votes(), Some(2));
    assert!(matches!(pulls[..], [Pull::Page { previous: 0, .. }]));
    assert_eq!(refill.progress().waiting_for, 2);
}

#[test]
fn whoever_was_away_waits_for_those_in_reach_alone() {
    let mut refill = settled();
    assert!(refill.has_heard_reachable());
    // The second one is dead, and counts still.
    refill.lost(uuid(2), NOW);
    let pulls = refill.away(false, NOW);
    assert!(!refill.has_heard_reachable());
    answer_all(&mut refill, pulls);
    assert!(refill.has_heard_reachable() && !refill.is_complete());
    refill.lost(uuid(1), NOW);
    assert!(!refill.has_heard_reachable(), "nobody can tell");
}

/// A refill among three members, each with a stream to the other, that is complete.
fn settled() -> Refill {
    let (mut refill, mut pulls) = started();
    for peer in [1, 2] {
        assert!(!refill.is_sure());
        pulls = refill.page(asked(&pulls).1, last_page(), NOW);
        refill.heard(uuid(peer), NOW);
    }
    assert!(refill.is_complete() && refill.is_sure());
    assert_eq!(pulls, []);
    refill
}

/// Answers every question until there is none.
fn answer_all(refill: &mut Refill, mut pulls: Vec<Pull>) {
    while !pulls.is_empty() {
        let (_, ticket) = asked(&pulls);
        pulls = refill.page(ticket, last_page(), NOW);
    }
}

#[test]
fn without_a_stream_of_everyone_it_only_votes() {
    let mut refill = settled();
    refill.unheard(uuid(2), NOW);
    assert!(!refill.is_sure());
    assert_eq!(refill.votes(), Some(2));
    assert_eq!(refill.heard(uuid(2), NOW + RESENT_FOR), []);
    assert!(refill.is_sure(), "what it missed is sent again");
    refill.unheard(uuid(2), NOW);
    let later = NOW + RESENT_FOR + Duration::from_millis(1);
    let pulls = refill.heard(uuid(2), later);
    assert!(!refill.is_sure(), "what it missed may be anywhere");
    answer_all(&mut refill, pulls);
    assert!(refill.is_sure());
}

#[test]
fn who_comes_by_another_stream_may_have_been_cut_off_for_long() {
    let mut refill = settled();
    let pulls = refill.reheard(uuid(2), NOW);
    assert!(!refill.is_sure(), "nobody saw when the former one broke");
    answer_all(&mut refill, pulls);
    assert!(refill.is_sure());
}

#[test]
fn after_a_departure_it_votes_as_among_those_before() {
    let mut refill = settled();
    let pulls = refill.members_changed(&placement(&[1, 1]), &[], NOW);
    assert!(!refill.is_sure());
    assert_eq!(refill.votes(), Some(2), "of the two that are left");
    answer_all(&mut refill, pulls);
    assert!(refill.is_sure());
    assert_eq!(refill.votes(), Some(1));
}

#[test]
fn after_a_long_absence_it_has_no_vote() {
    let mut refill = settled();
    let pulls = refill.away(true, NOW);
    assert_eq!(refill.votes(), None);
    answer_all(&mut refill, pulls);
    assert_eq!(refill.votes(), Some(2));
    let pulls = refill.apart(uuid(1), NOW);
    assert_eq!(refill.votes(), None);
    answer_all(&mut refill, pulls);
    assert!(refill.is_sure());
}

#[test]
fn values_fly_within_their_bound() {
    let (mut refill, pulls) = started();
    let (_, ticket) = asked(&pulls);
    let huge = u32::try_from(FLYING_BYTES).expect("fits") + 1;
    let key = |n: u8| Bytes::copy_from_slice(&[n]);
    let wanted = vec![(key(0), 10), (key(1), huge), (key(2), 10)];
    let page = Page::Items {
        wanted,
        next: None,
        entries: 0,
        bytes: 0,
        full: false,
    };
    let value = |n| Pull::Value {
        from: uuid(1),
        ticket,
        key: key(n),
    };
    assert_eq!(refill.page(ticket, page, NOW), [value(0)]);
    assert_eq!(
        refill.value(ticket, &key(0), Value::Stored(11), NOW),
        [value(1)]
    );
    assert_eq!(refill.value(ticket, &key(1), Value::Gone, NOW), [value(2)]);
    assert_eq!(
        asked(&refill.value(ticket, &key(2), Value::Stored(11), NOW)).0,
        2
    );
    let progress = refill.progress();
    assert_eq!((progress.entries, progress.bytes), (2, 22));
}

#[test]
fn the_pace_is_bounded() {
    let (mut refill, pulls) = started();
    let (_, ticket) = asked(&pulls);
    let (next, bytes) = (Some(Bytes::from_static(b"k")), BYTES_PER_SECOND);
    let page = Page::Items {
        wanted: vec![],
        next,
        entries: 9,
        bytes,
        full: false,
    };
    assert_eq!(refill.page(ticket, page, NOW), []);
    let later = NOW + Duration::from_secs(1);
    assert_eq!(refill.next_deadline(), Some(later));
    let pulls = refill.tick(later);
    assert!(matches!(&pulls[..], [Pull::Page { after: Some(after), .. }] if after == "k"));
}

#[test]
fn a_full_store_is_not_a_complete_refill() {
    let (mut refill, pulls) = started();
    let page = Page::Items {
        wanted: vec![],
        next: None,
        entries: 0,
        bytes: 0,
        full: true,
    };
    let pulls = refill.page(asked(&pulls).1, page, NOW);
    refill.page(asked(&pulls).1, last_page(), NOW);
    assert!(!refill.is_complete());
    assert_eq!(refill.next_deadline(), Some(NOW + RETRY_FULL));
}

/// What other members hold, and what ours has got so far.
struct Model {
    held: Vec<BTreeMap<Bytes, u32>>,
    got: BTreeMap<Bytes, u32>,
}

impl Model {
    /// Serves a page of at most two keys, as a member would, and uses it as ours would.
    fn page(&mut self, from: Uuid, after: Option<&Bytes>, with_values: bool) -> Page {
        let held = &self.held[from.as_u128() as usize - 1];
        let rest = || {
            held.iter()
                .filter(|(key, _)| after.is_none_or(|after| *key > after))
        };
        let (mut wanted, mut entries, mut bytes) = (vec![], 0, 0);
        for (key, length) in rest().take(2) {
            if with_values && *length < 50 {
                self.got.insert(key.clone(), *length);
                entries += 1;
                bytes += u64::from(*length);
            } else if !self.got.contains_key(key) {
                wanted.push((key.clone(), *length));
            }
        }
        let next = rest()
            .nth(1)
            .map(|(key, _)| key.clone())
            .filter(|_| rest().count() > 2);
        Page::Items {
            wanted,
            next,
            entries,
            bytes,
            full: false,
        }
    }
}

proptest! {
    /// Whatever breaks on the way, in the end everything is there.
    #[test]
    fn everything_is_pulled(
        held in prop::collection::vec(
            prop::collection::btree_map("[a-d]{1,3}", 0u32..100, 0..20), 1..4
        ),
        accidents in prop::collection::vec(0u8..20, 0..300),
    ) {
        let held: Vec<BTreeMap<Bytes, u32>> = held
            .into_iter()
            .map(|keys| keys.into_iter().map(|(key, length)| (key.into(), length)).collect())
            .collect();
        let mut model = Model { held: held.clone(), got: BTreeMap::new() };
        let mut generations = vec![1; held.len() + 1];
        let (mut refill, mut now) = (Refill::new(uuid(0)), NOW);
        let mut pulls = VecDeque::from(refill.members_changed(&placement(&generations), &[], now));
        for peer in 1..=held.len() {
            pulls.extend(refill.connected(uuid(peer as u128), now));
        }
        let mut accidents = accidents.into_iter();
        for _ in 0..100_000 {
            let Some(pull) = pulls.pop_front() else {
                if refill.is_complete() {
                    break;
                }
                let Some(at) = refill.next_deadline() else { break };
                now = now.max(at);
                pulls.extend(refill.tick(now));
                continue;
            };
            let (from, ticket) = match &pull {
                Pull::Page { from, ticket, .. } | Pull::Value { from, ticket, .. } => {
                    (*from, *ticket)
                }
            };
            let more = match accidents.next() {
                Some(0) => refill.failed(ticket, now),
                Some(1) => {
                    let mut more = refill.lost(from, now);
                    more.extend(refill.connected(from, now));
                    more
                }
                Some(2) => {
                    generations[from.as_u128() as usize] += 1;
                    refill.members_changed(&placement(&generations), &[], now)
                }
                Some(3) => refill.page(ticket, Page::OtherView, now),
                _ => match pull {
                    Pull::Page { from, ticket, after, with_values, .. } => {
                        let page = model.page(from, after.as_ref(), with_values);
                        refill.page(ticket, page, now)
                    }
                    Pull::Value { from, ticket, key } => {
                        let length = model.held[from.as_u128() as usize - 1][&key];
                        model.got.insert(key.clone(), length);
                        refill.value(ticket, &key, Value::Stored(length.into()), now)
                    }
                },
            };
            pulls.extend(more);
        }
        prop_assert!(refill.is_complete());
        for key in held.iter().flat_map(BTreeMap::keys) {
            prop_assert!(model.got.contains_key(key), "{:?} is missing", key);
        }
    }
}
