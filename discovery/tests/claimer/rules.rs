//! Who gets what.

use std::collections::BTreeSet;
use std::time::Duration;

use repram_discovery::claim::ClaimEvent;
use repram_discovery::claim::core::{Standing, Timing};
use repram_discovery::sockets::SlotSockets;
use uuid::Uuid;

use crate::host::{Domain, PATIENCE, Said, Setup, TIMING, address, eventually, free_range};

#[tokio::test]
async fn alone_one_gets_what_one_remembers() {
    let range = free_range(3, &[2]);
    for domain in [Domain::default(), Domain::of(&[2])] {
        let mut host = Setup::new(2, range, &domain, &[(1, 2), (2, 0)])
            .start()
            .await;
        assert_eq!(host.settled(2).await, [(1, 2), (2, 0)]);
        host.farewell().await;
    }
}

#[tokio::test]
async fn of_two_that_want_one_slot_the_lower_uuid_gets_it() {
    let range = free_range(3, &[2, 3]);
    let domain = Domain::of(&[2, 3]);
    let mut higher = Setup::new(2, range, &domain, &[(9, 1)]).start().await;
    let mut lower = Setup::new(3, range, &domain, &[(4, 1)]).start().await;
    assert_eq!(lower.settled(1).await, [(4, 1)]);
    assert_eq!(higher.settled(1).await, [(9, 0)]);
}

#[tokio::test]
async fn three_hosts_share_a_range() {
    let hosts = [2, 3, 4];
    let range = free_range(7, &hosts);
    let domain = Domain::of(&hosts);
    let nodes = [[(10, 0), (40, 1)], [(20, 0), (50, 1)], [(30, 0), (60, 1)]];
    let mut running = Vec::new();
    for (number, nodes) in hosts.into_iter().zip(&nodes) {
        running.push(Setup::new(number, range, &domain, nodes).start().await);
    }
    let mut slots = BTreeSet::new();
    for host in &mut running {
        slots.extend(host.settled(2).await.into_iter().map(|(_, slot)| slot));
    }
    assert_eq!(slots.len(), 6, "{slots:?}");
}

#[tokio::test]
async fn a_settled_claim_is_kept_against_a_lower_uuid() {
    let range = free_range(2, &[2, 3]);
    let domain = Domain::of(&[2, 3]);
    let mut first = Setup::new(2, range, &domain, &[(9, 0)]).start().await;
    assert_eq!(first.settled(1).await, [(9, 0)]);
    let mut second = Setup::new(3, range, &domain, &[(4, 0)]).start().await;
    assert_eq!(second.settled(1).await, [(4, 1)]);
    assert_eq!(first.own().await, [(0, 9, Some(Standing::Settled))]);
}

#[tokio::test]
async fn when_two_parts_meet_the_higher_uuid_moves() {
    let range = free_range(2, &[2, 3]);
    let (left, right) = (Domain::of(&[2]), Domain::of(&[3]));
    let mut lower = Setup::new(2, range, &left, &[(4, 0)]).start().await;
    let mut higher = Setup::new(3, range, &right, &[(9, 0)]).start().await;
    assert_eq!(lower.settled(1).await, [(4, 0)]);
    assert_eq!(higher.settled(1).await, [(9, 0)]);

    left.set(&[2, 3]);
    right.set(&[2, 3]);
    assert_eq!(higher.said().await, Said::Yield { uuid: 9, slot: 0 });
    assert_eq!(higher.said().await, Said::Settled { uuid: 9, slot: 1 });
    let held = higher.own().await;
    assert_eq!(
        held,
        [(1, 9, Some(Standing::Settled)), (0, 9, None)],
        "both for a while"
    );

    higher
        .with(|claimer, _| claimer.vacated(Uuid::from_u128(9), 0))
        .await;
    assert_eq!(higher.said().await, Said::Released { slot: 0 });
    SlotSockets::bind(address(3), range.slot(0).unwrap()).expect("nothing is kept");
    assert_eq!(lower.own().await, [(0, 4, Some(Standing::Settled))]);
}

#[tokio::test]
async fn who_has_to_leave_and_does_not_is_told_again() {
    let range = free_range(1, &[2, 3]);
    let (left, right) = (Domain::of(&[2]), Domain::of(&[3]));
    let mut lower = Setup::new(2, range, &left, &[(4, 0)]).start().await;
    let mut higher = Setup::new(3, range, &right, &[(9, 0)]);
    higher.timing.move_timeout = Duration::from_millis(100);
    let mut higher = higher.start().await;
    assert_eq!(lower.settled(1).await, [(4, 0)]);
    assert_eq!(higher.settled(1).await, [(9, 0)]);

    right.set(&[2, 3]);
    let port = range.slot(0).unwrap().http;
    let mut said = [
        higher.said().await,
        higher.said().await,
        higher.said().await,
    ];
    // The passes over the range and the time to leave run side by side.
    said[1..].sort_by_key(|said| matches!(said, Said::Released { .. }));
    let no_port = Said::NoPort {
        uuid: 9,
        tried: vec![],
        rivals: vec![(port, 4)],
    };
    assert_eq!(
        said,
        [
            Said::Yield { uuid: 9, slot: 0 },
            no_port,
            Said::Released { slot: 0 }
        ]
    );
}

#[tokio::test]
async fn without_a_free_slot_one_learns_who_has_them() {
    let range = free_range(2, &[2, 3]);
    let domain = Domain::of(&[2, 3]);
    let stranger = SlotSockets::bind(address(3), range.slot(1).unwrap()).unwrap();
    let mut first = Setup::new(2, range, &domain, &[(9, 0)]).start().await;
    assert_eq!(first.settled(1).await, [(9, 0)]);
    let mut second = Setup::new(3, range, &domain, &[(4, 0)]).start().await;
    let rivals = vec![(range.slot(0).unwrap().http, 9)];
    let expect = Said::NoPort {
        uuid: 4,
        tried: vec![1],
        rivals,
    };
    assert_eq!(second.said().await, expect);
    drop(stranger);
    assert_eq!(second.said().await, Said::Settled { uuid: 4, slot: 1 });
}

#[tokio::test]
async fn who_leaves_is_forgotten() {
    let range = free_range(2, &[2, 3]);
    let domain = Domain::of(&[2, 3]);
    for secret in [None, Some("secret")] {
        let setup = |number, nodes| Setup {
            secret,
            timing: Timing {
                // Nobody is forgotten for being silent.
                refresh: PATIENCE * 10,
                ..TIMING
            },
            ..Setup::new(number, range, &domain, nodes)
        };
        let mut first = setup(2, &[(4, 0)]).start().await;
        assert_eq!(first.settled(1).await, [(4, 0)]);
        let mut second = setup(3, &[(9, 0)]).start().await;
        assert_eq!(second.settled(1).await, [(9, 1)]);
        let known = || second.with(|claimer, _| claimer.others().count());
        assert_eq!(known().await, 1, "they met on slot 0");
        first.farewell().await;
        eventually("nobody is there", || async { known().await == 0 }).await;
        second.farewell().await;
    }
}

#[tokio::test]
async fn another_secret_is_another_domain() {
    let range = free_range(2, &[2, 3]);
    let domain = Domain::of(&[2, 3]);
    let setup = |number, secret, nodes| Setup {
        secret: Some(secret),
        ..Setup::new(number, range, &domain, nodes)
    };
    let mut one = setup(2, "a", &[(4, 0)]).start().await;
    let mut other = setup(3, "b", &[(9, 0)]).start().await;
    assert_eq!(one.settled(1).await, [(4, 0)]);
    assert_eq!(other.settled(1).await, [(9, 0)]);
    other.farewell().await;

    let mut friend = setup(3, "a", &[(9, 0)]).start().await;
    assert_eq!(friend.settled(1).await, [(9, 1)]);
}

#[tokio::test]
async fn nobody_hears_of_a_slot_for_somebody_who_left() {
    let range = free_range(2, &[2]);
    let nowhere = Domain::default();
    let setup = Setup {
        timing: Timing {
            settle: Duration::ZERO,
            ..TIMING
        },
        ..Setup::new(2, range, &nowhere, &[(1, 0), (2, 1)])
    };
    let mut claimer = setup.claimer().await;
    // Both settle at once, so that the second one's event waits when the first one's is taken.
    let ClaimEvent::Settled { claim, sockets } = claimer.next().await else {
        panic!("nothing else happens");
    };
    assert_eq!(claim.uuid, Uuid::from_u128(1));
    let other = Uuid::from_u128(2);
    assert!(claimer.has_settled(other));
    claimer.leave(other);
    let place = range.slot(1).unwrap();
    drop(SlotSockets::bind(address(2), place).expect("it was let go"));
    match claimer.next().await {
        ClaimEvent::Released { slot: 1 } => {}
        event => panic!("it has left: {event:?}"),
    }
    drop(sockets);
}
