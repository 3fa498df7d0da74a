//! The hot paths of a node, each without anything around it.

use std::hint::black_box;
use std::iter;

use bytes::Bytes;
use repram_discovery::auth::ClusterKeys;
use repram_discovery::secret::Secret;
use repram_node::clock::BootMillis;
use repram_node::http::route;
use repram_node::placement::{Placement, Seat};
use repram_node::store::{Entry, Store, StoreConfig};
use repram_node::version::{HybridTime, Version};
use repram_node::wire::frame::{Origin, Request};
use repram_node::wire::{Datagrams, Reader, Rope, Seal, SharedDigest};
use uuid::Uuid;

/// One hot path.
pub(crate) struct Core {
    /// What the report calls it.
    pub(crate) name: &'static str,
    /// Makes everything that it needs; what comes back goes down the path once.
    pub(crate) prepare: fn() -> Box<dyn FnMut()>,
}

/// All of them.
pub(crate) const CORES: [Core; 7] = [
    Core {
        name: "find the endpoint of a path",
        prepare: endpoint,
    },
    Core {
        name: "find the holders of a key among 30",
        prepare: holders,
    },
    Core {
        name: "read 100 bytes from the store",
        prepare: store_get,
    },
    Core {
        name: "write 100 bytes into the store",
        prepare: store_put,
    },
    Core {
        name: "put a write into a frame",
        prepare: encode,
    },
    Core {
        name: "take a write out of a frame",
        prepare: decode,
    },
    Core {
        name: "make a datagram, and check it",
        prepare: datagram,
    },
];

/// Keys in the store: more than fit into the first table, so that growth is in the past.
const KEYS: u64 = 4096;

/// The moment at which everything happens.
const NOW: BootMillis = BootMillis(1_000_000);
const NOW_UNIX_MS: u64 = 1_700_000_000_000;

const TTL_MS: u64 = 3_600_000;

fn key(number: u64) -> Bytes {
    Bytes::from(format!("bench-{number:010}"))
}

/// A value of 100 bytes in its `version`-th version.
fn entry(version: u64) -> Entry {
    let deadline = BootMillis(NOW.0 + TTL_MS);
    Entry {
        value: Bytes::from_static(&[b'v'; 100]),
        version: Version {
            time: HybridTime(version),
            uuid: Uuid::from_u128(1),
            generation: 1,
        },
        created_unix_ms: NOW_UNIX_MS,
        ttl_s: 3600,
        deadline,
        kept_until: deadline,
    }
}

/// The numbers of the keys, again and again.
fn numbers() -> impl Iterator<Item = u64> {
    (0..KEYS).cycle()
}

fn endpoint() -> Box<dyn FnMut()> {
    Box::new(|| {
        black_box(route::find(black_box("/v1/data/bench-0000000001")));
    })
}

fn holders() -> Box<dyn FnMut()> {
    let seats = (1..=30).map(|number| Seat {
        uuid: Uuid::from_u128(number),
        generation: 1,
        host: 0,
    });
    let placement = Placement::new(seats, 3);
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    let mut numbers = numbers();
    Box::new(move || {
        let number = numbers.next().unwrap_or_default();
        black_box(placement.holders(&keys[number as usize]));
    })
}

/// A store that has every key, and the keys.
fn store() -> (Store, Vec<Bytes>) {
    let store = Store::new(StoreConfig {
        limit_bytes: 1 << 30,
        shards: 16,
    });
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    for key in &keys {
        store
            .put(key.clone(), entry(0), NOW)
            .expect("there is room");
    }
    (store, keys)
}

fn store_get() -> Box<dyn FnMut()> {
    let (store, keys) = store();
    let mut numbers = numbers();
    Box::new(move || {
        let number = numbers.next().unwrap_or_default();
        black_box(store.get(&keys[number as usize], NOW));
    })
}

fn store_put() -> Box<dyn FnMut()> {
    let (store, keys) = store();
    let mut versions = iter::successors(Some(1), |version| Some(version + 1));
    Box::new(move || {
        let version = versions.next().unwrap_or_default();
        let key = keys[(version % KEYS) as usize].clone();
        let put = store.put(key, entry(version), NOW);
        black_box(put).expect("there is room");
    })
}

fn write() -> Request {
    Request::Put {
        id: 7,
        origin: Origin::Client,
        key: key(1),
        entry: entry(1),
        digest: SharedDigest::default(),
    }
}

fn encode() -> Box<dyn FnMut()> {
    let write = write();
    Box::new(move || {
        let mut rope = Rope::new();
        black_box(&write).encode(&mut rope);
        black_box(rope.into_pieces());
    })
}

fn decode() -> Box<dyn FnMut()> {
    let mut rope = Rope::new();
    write().encode(&mut rope);
    let frame = rope.into_bytes();
    Box::new(move || {
        let mut reader = Reader::new(black_box(frame.clone()));
        black_box(Request::decode(&mut reader)).expect("it is one");
    })
}

fn datagram() -> Box<dyn FnMut()> {
    let secret = Secret::new("correct horse battery staple");
    let keys = ClusterKeys::new(&secret, None);
    let seal = Seal::new(Some(keys), "localhost", "public");
    let (mut from, mut to) = (
        Datagrams::new(&seal, Uuid::from_u128(1), 1),
        Datagrams::new(&seal, Uuid::from_u128(2), 1),
    );
    Box::new(move || {
        let datagram = from.frame(black_box(&[b'p'; 200]), NOW_UNIX_MS);
        black_box(to.unframe(datagram, NOW_UNIX_MS)).expect("it is good");
    })
}
