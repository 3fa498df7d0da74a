//! Streams between hosts in one process, over loopback.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use repram_discovery::own_address::{AddressOrigin, OwnAddress};
use repram_discovery::public_ports::PublicPorts;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::*;
use crate::clock::BootMillis;
use crate::door::Door;
use crate::membership::Identity;
use crate::membership::testing::identity;
use crate::reach::Reach;
use crate::store::Entry;
use crate::version::Version;
use crate::wire::frame::{Ack, Answer, Origin, Reply, Request};
use crate::wire::testing::seal;
use crate::wire::{Rope, SharedDigest};

/// Nothing here takes so long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq)]
enum Event {
    Connected(Uuid),
    Lost(Uuid),
    Replied(Reply),
}

/// Keeps what is put and tells what happens.
struct Keeper {
    identity: Identity,
    kept: Mutex<BTreeMap<Bytes, Entry>>,
    events: mpsc::UnboundedSender<Event>,
}

impl Host for Keeper {
    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn connected(&self, peer: &Identity) {
        let _ = self.events.send(Event::Connected(peer.uuid));
    }

    fn opened(&self, _: Uuid) {}

    fn reopened(&self, _: Uuid) {}

    fn closed(&self, _: Uuid) {}

    fn lost(&self, peer: Uuid) {
        let _ = self.events.send(Event::Lost(peer));
    }

    fn replied(&self, _: Uuid, source: IpAddr, replies: Vec<Reply>) {
        assert!(source.is_loopback());
        for reply in replies {
            let _ = self.events.send(Event::Replied(reply));
        }
    }

    fn answer(&self, _: &Identity, _: IpAddr, question: Request, answers: &mut Rope) {
        let mut kept = self.kept.lock().expect("not poisoned");
        match question {
            Request::Put { id, key, entry, .. } => {
                kept.insert(key, entry);
                Reply::Put {
                    id,
                    ack: Ack::Stored,
                    view: 0,
                }
                .encode(answers);
            }
            Request::Get { id, key, .. } => {
                let answer = kept
                    .get(&key)
                    .cloned()
                    .map_or(Answer::DoNotHave, Answer::Have);
                Reply::Get { id, answer }.encode(answers);
            }
            other => panic!("not asked here: {other:?}"),
        }
    }
}

struct Node {
    identity: Identity,
    shared: Arc<Shared>,
    streams: Streams,
    events: mpsc::UnboundedReceiver<Event>,
    server: Option<tokio::task::JoinHandle<std::convert::Infallible>>,
}

impl Node {
    async fn start(number: u16, secret: Option<&str>, clock: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::on(listener, number, secret, clock)
    }

    fn on(listener: TcpListener, number: u16, secret: Option<&str>, clock: u8) -> Self {
        let gossip = listener.local_addr().expect("an address");
        let identity = Identity {
            gossip,
            ..identity(number, 1)
        };
        let (tell, events) = mpsc::unbounded_channel();
        let kept = Mutex::default();
        let host = Arc::new(Keeper {
            identity: identity.clone(),
            kept,
            events: tell,
        });
        let greeter = Greeter {
            seal: seal(secret),
            clock: [clock; 16],
        };
        let shared = Arc::new(Shared {
            greeter,
            host,
            reach: Arc::new(Reach::new(
                OwnAddress::fixed(gossip.ip(), AddressOrigin::ThisMachine),
                PublicPorts::default(),
                gossip.ip(),
            )),
            counters: StreamCounters::default(),
            incoming: Incoming::default(),
        });
        let listener = listener.into_std().expect("is on this runtime");
        let door = Door::new(listener).expect("can be registered");
        let server = tokio::spawn(serve(door, Arc::clone(&shared)));
        let streams = Streams::new(Arc::clone(&shared), Handle::current());
        Self {
            identity,
            shared,
            streams,
            events,
            server: Some(server),
        }
    }

    async fn event(&mut self) -> Event {
        let event = tokio::time::timeout(LIMIT, self.events.recv()).await;
        event.expect("in time").expect("the host lives")
    }

    async fn connect(&mut self, other: &Self) {
        self.streams.keep(&other.identity);
        assert_eq!(self.event().await, Event::Connected(other.identity.uuid));
        assert!(self.streams.is_up(other.identity.uuid));
    }
}

fn entry(length: usize, deadline: u64) -> Entry {
    Entry {
        value: Bytes::from(vec![5; length]),
        version: Version::default(),
        created_unix_ms: 1,
        ttl_s: 2,
        deadline: BootMillis(deadline),
        kept_until: BootMillis(deadline),
    }
}

fn put(id: u64, length: usize) -> Request {
    let key = Bytes::from(id.to_string());
    Request::Put {
        id,
        origin: Origin::Client,
        key,
        entry: entry(length, 77_000),
        digest: SharedDigest::for_value(length),
    }
}

#[tokio::test]
async fn questions_are_answered_small_and_large() {
    for secret in [None, Some("a")] {
        let (mut near, far) = (
            Node::start(1, secret, 0).await,
            Node::start(2, secret, 0).await,
        );
        near.connect(&far).await;
        let lengths = [0, 10, 5_000, 300_000, 10 << 20, 1];
        for (id, length) in (1..).zip(lengths) {
            assert_eq!(
                near.streams.send(far.identity.uuid, put(id, length)),
                Ok(())
            );
        }
        for id in 1..=lengths.len() as u64 {
            let stored = Reply::Put {
                id,
                ack: Ack::Stored,
                view: 0,
            };
            assert_eq!(near.event().await, Event::Replied(stored));
        }
        for (id, length) in (1..).zip(lengths) {
            let key = Bytes::from(id.to_string());
            let get = Request::Get { id, view: 0, key };
            assert_eq!(near.streams.send(far.identity.uuid, get), Ok(()));
            let answer = Answer::Have(entry(length, 77_000));
            assert_eq!(
                near.event().await,
                Event::Replied(Reply::Get { id, answer })
            );
        }
    }
}

#[tokio::test]
async fn many_questions_share_records() {
    let (mut near, far) = (
        Node::start(1, Some("a"), 0).await,
        Node::start(2, Some("a"), 0).await,
    );
    near.connect(&far).await;
    for id in 0..5_000 {
        assert_eq!(near.streams.send(far.identity.uuid, put(id, 100)), Ok(()));
    }
    for id in 0..5_000 {
        assert_eq!(
            near.event().await,
            Event::Replied(Reply::Put {
                id,
                ack: Ack::Stored,
                view: 0,
            })
        );
    }
}

#[tokio::test]
async fn deadlines_are_converted_between_clocks() {
    let (mut near, far) = (Node::start(1, None, 1).await, Node::start(2, None, 2).await);
    near.connect(&far).await;
    near.streams
        .send(far.identity.uuid, put(1, 1))
        .expect("sent");
    near.event().await;
    near.streams
        .send(
            far.identity.uuid,
            Request::Get {
                view: 0,
                id: 1,
                key: "1".into(),
            },
        )
        .expect("sent");
    let Event::Replied(Reply::Get {
        answer: Answer::Have(back),
        ..
    }) = near.event().await
    else {
        panic!("no value");
    };
    // In truth both read one clock; each way may add the round trip, and never takes away.
    assert!(
        (77_000..77_000 + 40_000).contains(&back.deadline.0),
        "{:?}",
        back.deadline
    );
}

#[tokio::test]
async fn a_stream_that_breaks_is_opened_again() {
    let (mut near, mut far) = (Node::start(1, None, 0).await, Node::start(2, None, 0).await);
    near.connect(&far).await;
    let (uuid, address) = (far.identity.uuid, far.identity.gossip);
    let server = far.server.take().expect("it serves");
    server.abort();
    let _ = server.await;
    assert_eq!(near.event().await, Event::Lost(uuid));
    assert_eq!(near.streams.send(uuid, put(1, 1)), Err(NotSent::Closed));
    let listener = TcpListener::bind(address).await.expect("the port is free");
    let _far = Node::on(listener, 2, None, 0);
    assert_eq!(near.event().await, Event::Connected(uuid));
    near.streams.end(uuid);
    assert_eq!(near.event().await, Event::Lost(uuid));
    assert!(near.streams.up().is_empty());
}

#[tokio::test]
async fn a_peer_that_moved_is_followed() {
    let (mut near, old) = (Node::start(1, None, 0).await, Node::start(2, None, 0).await);
    near.connect(&old).await;
    let new = Node::start(2, None, 0).await;
    near.streams.keep(&new.identity);
    assert_eq!(near.event().await, Event::Lost(old.identity.uuid));
    assert_eq!(near.event().await, Event::Connected(new.identity.uuid));
}

#[tokio::test]
async fn a_socket_without_a_process_is_waited_for() {
    let mut near = Node::start(1, None, 0).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gossip: SocketAddr = listener.local_addr().expect("an address");
    near.streams.keep(&Identity {
        gossip,
        ..identity(2, 1)
    });
    // The connection is in the queue of a socket that nobody accepts from yet.
    let greeted = tokio::time::timeout(Duration::from_millis(50), near.events.recv()).await;
    assert!(greeted.is_err());
    let far = Node::on(listener, 2, None, 0);
    assert_eq!(near.event().await, Event::Connected(far.identity.uuid));
}

/// Nobody of another network, secret or identity gets through; the counter says so.
async fn refused(near: (u16, Option<&str>), far: (u16, Option<&str>)) -> u64 {
    let (near, far) = (
        Node::start(near.0, near.1, 0).await,
        Node::start(far.0, far.1, 0).await,
    );
    let question = Request::Get {
        view: 0,
        id: 1,
        key: Bytes::new(),
    };
    let asked = near
        .streams
        .ask_once(far.identity.gossip, &question, LIMIT)
        .await;
    assert!(asked.is_err());
    far.shared.counters.refused.load(Ordering::Relaxed)
}

#[tokio::test]
async fn strangers_are_refused() {
    assert_eq!(refused((1, Some("a")), (2, Some("b"))).await, 1);
    assert_eq!(refused((1, None), (2, Some("b"))).await, 1);
    assert_eq!(refused((1, Some("a")), (2, None)).await, 1);
    assert_eq!(refused((1, None), (1, None)).await, 0);
}

#[tokio::test]
async fn another_node_at_the_address_is_not_taken_for_the_peer() {
    let (near, far) = (Node::start(1, None, 0).await, Node::start(2, None, 0).await);
    near.streams.keep(&Identity {
        gossip: far.identity.gossip,
        ..identity(3, 1)
    });
    tokio::time::timeout(LIMIT, near.streams.tried())
        .await
        .expect("tried");
    assert!(near.streams.up().is_empty());
}

#[tokio::test]
async fn a_candidate_is_asked_once() {
    let (near, far) = (
        Node::start(1, Some("a"), 0).await,
        Node::start(2, Some("a"), 0).await,
    );
    let question = Request::Get {
        view: 0,
        id: 9,
        key: Bytes::from_static(b"none"),
    };
    let (channel, reply) = near
        .streams
        .ask_once(far.identity.gossip, &question, LIMIT)
        .await
        .expect("an answer");
    assert_eq!(channel.peer, far.identity);
    assert_eq!(
        reply,
        Reply::Get {
            id: 9,
            answer: Answer::DoNotHave
        }
    );
}
