//! Claims within one host, on the kernel.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU8, Ordering};

use repram_discovery::claim::{Claimant, NoSlot, claim_on_host};
use repram_discovery::slot::PortRange;
use repram_discovery::sockets::{SlotSockets, SocketKind};
use uuid::Uuid;

/// Between the ports that portpicker looks at and those that the kernel gives to clients.
const BASE: u16 = 26_100;

/// A loopback address that no other test uses, so that all its ports are free.
fn private_address() -> IpAddr {
    static TESTS: AtomicU8 = AtomicU8::new(1);
    let [high, low] = u16::try_from(std::process::id() % 0xffff)
        .expect("a remainder")
        .to_be_bytes();
    let test = TESTS.fetch_add(1, Ordering::Relaxed);
    // 127.0.x.x is where people have their own services.
    IpAddr::V4(Ipv4Addr::new(127, high | 1, low, test))
}

fn range(slots: u16) -> PortRange {
    PortRange::new(BASE, slots, 1000).expect("a range")
}

fn fresh(count: usize) -> Vec<Claimant> {
    remembering(&vec![None; count])
}

fn remembering(last_slots: &[Option<u16>]) -> Vec<Claimant> {
    last_slots
        .iter()
        .map(|&last_slot| Claimant {
            uuid: Uuid::new_v4(),
            last_slot,
        })
        .collect()
}

fn slots(results: &[Result<SlotSockets, NoSlot>]) -> Vec<Option<u16>> {
    results
        .iter()
        .map(|result| result.as_ref().ok().map(|held| held.slot().index))
        .collect()
}

#[tokio::test]
async fn on_a_free_range_claimant_i_gets_slot_i() {
    let claimed = claim_on_host(&range(5), private_address(), &fresh(5)).await;
    assert_eq!(slots(&claimed), [0, 1, 2, 3, 4].map(Some));
}

#[tokio::test]
async fn who_remembers_a_slot_gets_it_before_others_take_it() {
    let claimants = remembering(&[None, Some(0), Some(3), None, Some(9)]);
    let claimed = claim_on_host(&range(5), private_address(), &claimants).await;
    assert_eq!(slots(&claimed), [1, 0, 3, 2, 4].map(Some));
}

#[tokio::test]
async fn a_slot_with_one_taken_socket_is_passed_over_and_untouched() {
    let (address, range) = (private_address(), range(4));
    let [zero, one, two, three] = [0, 1, 2, 3].map(|i| range.slot(i).expect("in the range"));
    let _http = TcpListener::bind((address, zero.http)).expect("a free port");
    let _gossip = TcpListener::bind((address, one.gossip)).expect("a free port");
    let _gossip_udp = UdpSocket::bind((address, two.gossip)).expect("a free port");

    let claimed = claim_on_host(&range, address, &fresh(2)).await;

    assert_eq!(slots(&claimed), [Some(three.index), None]);
    let none = claimed[1].as_ref().expect_err("one slot is free");
    let tried: Vec<_> = none.tried.iter().map(|t| (t.slot, t.socket)).collect();
    let expect = [
        (zero, SocketKind::Http),
        (one, SocketKind::Gossip),
        (two, SocketKind::GossipUdp),
    ];
    assert_eq!(tried, expect);
    // What the passes took of those slots they gave back.
    TcpListener::bind((address, one.http)).expect("let go");
    TcpListener::bind((address, two.gossip)).expect("let go");
}

#[tokio::test]
async fn the_second_pass_finds_what_was_let_go() {
    let (address, range) = (private_address(), range(1));
    let slot = range.slot(0).expect("in the range");
    let stranger = TcpListener::bind((address, slot.http)).expect("a free port");

    let claimants = fresh(1);
    let mut claim = std::pin::pin!(claim_on_host(&range, address, &claimants));
    // The first pass is over as soon as the claim waits.
    std::future::poll_fn(|context| {
        assert!(
            claim.as_mut().poll(context).is_pending(),
            "the port is taken"
        );
        std::task::Poll::Ready(())
    })
    .await;
    drop(stranger);

    assert_eq!(slots(&claim.await), [Some(0)]);
}

#[tokio::test]
async fn a_claim_that_is_dropped_leaves_nothing_bound() {
    let (address, range) = (private_address(), range(2));
    {
        let claimants = fresh(3);
        let mut claim = std::pin::pin!(claim_on_host(&range, address, &claimants));
        std::future::poll_fn(|context| {
            assert!(claim.as_mut().poll(context).is_pending(), "one too many");
            std::task::Poll::Ready(())
        })
        .await;
    }
    let claimed = claim_on_host(&range, address, &fresh(2)).await;
    assert_eq!(slots(&claimed), [Some(0), Some(1)]);
}

/// Several processes in miniature: threads that start at the same instant.
#[test]
fn claims_at_the_same_instant_are_disjoint_and_complete() {
    const PROCESSES: usize = 3;
    const NODES: usize = 3;
    const ROUNDS: usize = 30;

    let address = private_address();
    let range = range(u16::try_from(PROCESSES * NODES).expect("few"));
    for _ in 0..ROUNDS {
        let barrier = Barrier::new(PROCESSES);
        let claimed: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..PROCESSES)
                .map(|_| {
                    scope.spawn(|| {
                        let runtime = tokio::runtime::Builder::new_current_thread()
                            .enable_time()
                            .build()
                            .expect("a runtime");
                        barrier.wait();
                        runtime.block_on(claim_on_host(&range, address, &fresh(NODES)))
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        let distinct: BTreeSet<u16> = slots(&claimed).into_iter().flatten().collect();
        assert!(distinct.into_iter().eq(0..range.count()), "{claimed:?}");
    }
}
