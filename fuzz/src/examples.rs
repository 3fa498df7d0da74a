//! What travels between nodes, as it is written now.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use repram_node::clock::BootMillis;
use repram_node::membership::{Input, Membership, News, Profile, Update};
use repram_node::store::Entry;
use repram_node::version::{HybridTime, Version};
use repram_node::wire::frame::{
    Ack, Answer, DigestItem, DigestPage, KeysPage, Origin, RangeSum, Reply, Request, Sums,
};
use repram_node::wire::hello::{self, Hello};
use repram_node::wire::{Datagrams, Rope, SharedDigest};
use uuid::Uuid;

use crate::between_nodes::{NOW_UNIX_MS, identity, open_seal, sealed};

/// Target, name and bytes of each example of the protocol between nodes.
#[must_use]
pub fn examples() -> Vec<(&'static str, String, Bytes)> {
    let mut examples = Vec::new();
    let numbered = |kind: &str, number: usize| format!("{kind}-{number:02}");
    let mut records = Rope::new();
    for (number, question) in questions().iter().enumerate() {
        let mut rope = Rope::new();
        question.encode(&mut rope);
        question.encode(&mut records);
        examples.push(("question", numbered("question", number), rope.into_bytes()));
    }
    examples.push(("record", numbered("questions", 0), sealed(records).into()));
    let mut ping = Rope::new();
    Request::Ping { id: 1 }.encode(&mut ping);
    let mut two = BytesMut::from(&sealed(ping)[..]);
    two.extend_from_slice(&sealed(Rope::new()));
    examples.push(("record", numbered("two", 0), two.freeze()));
    // A node puts only long values behind its frames, but reads short ones.
    let values = b"\0\0\0\0\0\x03\0\0\0\x05\0\0\0\0\0\0\0\x02firstso";
    let values = Bytes::from_static(values);
    examples.push(("record", numbered("values", 0), values));
    for (number, answer) in answers().iter().enumerate() {
        let mut rope = Rope::new();
        answer.encode(&mut rope);
        examples.push(("answer", numbered("answer", number), rope.into_bytes()));
    }
    for (number, datagram) in datagrams().into_iter().enumerate() {
        examples.push(("datagram", numbered("datagram", number), datagram));
    }
    let greeting = Hello {
        nonce: [7; 16],
        clock: [3; 16],
        boot_us: 5_000_000,
        sees_at: [192, 0, 2, 1].into(),
        identity: identity(2),
    };
    let greeting = hello::encode(&open_seal(), &greeting, None);
    examples.push(("hello", numbered("hello", 0), greeting));
    examples
}

fn entry() -> Entry {
    Entry {
        value: Bytes::from_static(b"a value"),
        version: version(),
        created_unix_ms: NOW_UNIX_MS,
        ttl_s: 600,
        deadline: BootMillis(600_000),
        kept_until: BootMillis(700_000),
    }
}

fn version() -> Version {
    Version {
        time: HybridTime(NOW_UNIX_MS << 16),
        uuid: Uuid::from_u128(2),
        generation: 3,
    }
}

fn news() -> Vec<News> {
    let silent = News {
        update: Update::down(identity(4)),
        silent_for: Some(Duration::from_secs(20)),
    };
    let others = [Update::alive(identity(2)), Update::down(identity(3))];
    others.map(News::from).into_iter().chain([silent]).collect()
}

fn questions() -> Vec<Request> {
    let key = Bytes::from_static(b"key");
    let sums = Sums {
        to_the_end: true,
        ranges: vec![RangeSum {
            last: key.clone(),
            sum: 77,
        }],
    };
    vec![
        Request::Put {
            id: 1,
            origin: Origin::Client,
            key: key.clone(),
            entry: entry(),
            digest: SharedDigest::default(),
        },
        Request::Get {
            id: 2,
            view: 5,
            key: key.clone(),
        },
        Request::Keys {
            id: 3,
            view: 5,
            prefix: key.clone(),
            after: Some(key.clone()),
            limit: 10,
        },
        Request::Digest {
            id: 4,
            view: 5,
            previous: 4,
            after: Some(key),
            with_values: true,
            sums: Some(sums),
        },
        Request::PushPull {
            id: 5,
            news: news(),
        },
        Request::Ping { id: 6 },
        Request::Leaving {
            id: 7,
            view: 5,
            together: vec![(Uuid::from_u128(3), 1)],
            going: false,
        },
        Request::View { id: 8 },
        Request::Carry {
            id: 9,
            relay: true,
            payload: Bytes::from_static(b"payload"),
        },
    ]
}

fn answers() -> Vec<Reply> {
    let key = Bytes::from_static(b"key");
    let put = |ack| Reply::Put {
        id: 1,
        ack,
        view: 5,
    };
    let get = |answer| Reply::Get { id: 2, answer };
    let item = |entry| DigestItem {
        key: Bytes::from_static(b"key"),
        version: version(),
        length: 7,
        entry,
    };
    vec![
        put(Ack::Stored),
        put(Ack::Older(version())),
        put(Ack::Full),
        put(Ack::Ahead),
        get(Answer::Have(entry())),
        get(Answer::DoNotHave),
        get(Answer::DoNotKnow),
        get(Answer::Perhaps(entry())),
        get(Answer::Vote(entry(), 2)),
        get(Answer::Over(version())),
        Reply::Keys {
            id: 3,
            page: KeysPage {
                keys: vec![key.clone(), key.clone()],
                more: true,
                complete: false,
            },
        },
        Reply::Digest {
            id: 4,
            page: DigestPage::OtherView,
        },
        Reply::Digest {
            id: 4,
            page: DigestPage::Items {
                items: vec![item(None), item(Some(entry()))],
                next: Some(key),
            },
        },
        Reply::PushPull {
            id: 5,
            news: news(),
        },
        Reply::Pong { id: 6, boot_us: 9 },
        Reply::Farewell { id: 7, done: true },
        Reply::View { id: 8, view: 5 },
        Reply::Carried {
            id: 9,
            payloads: vec![Bytes::from_static(b"payload")],
        },
    ]
}

/// What a node sends to the one that the target is, over a quarter of a minute.
fn datagrams() -> Vec<Bytes> {
    let (own, other) = (identity(1), identity(2));
    let mut datagrams = Datagrams::new(&open_seal(), other.uuid, other.generation);
    let mut peer = Membership::new(other, Profile::Network, 1);
    let learned = Input::Learned {
        source: [127, 0, 0, 1].into(),
        news: vec![Update::alive(own).into(), Update::alive(identity(3)).into()],
    };
    let mut sent = peer.handle(learned, BootMillis(1)).datagrams;
    while let Some(at) = peer.next_deadline().filter(|at| *at < BootMillis(16_000)) {
        sent.extend(peer.handle(Input::Tick, at).datagrams);
    }
    sent.extend(peer.handle(Input::Leave, BootMillis(16_000)).datagrams);
    // One of each kind, which the first byte tells, and of each length.
    let mut kinds = std::collections::BTreeMap::new();
    for (_, payload) in sent {
        kinds.entry((payload[0], payload.len())).or_insert(payload);
    }
    let framed = kinds.values();
    framed.map(|it| datagrams.frame(it, NOW_UNIX_MS)).collect()
}
