use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use uuid::Uuid;

use super::fields::{head, kind, put_short};
use super::*;
use crate::clock::BootMillis;
use crate::membership::testing::identity;
use crate::membership::{DOWN_FORGET, News, Update};
use crate::store::Entry;
use crate::version::{HybridTime, Version};
use crate::wire::{ATTACHED_OVER, MAX_PAYLOAD, Malformed, Reader, Rope, SharedDigest};

fn bytes(limit: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..limit).prop_map(Bytes::from)
}

/// Short ones, and some that come behind the frames.
fn value() -> impl Strategy<Value = Bytes> {
    let long = (ATTACHED_OVER..ATTACHED_OVER + 3).prop_map(|length| Bytes::from(vec![7; length]));
    prop_oneof![5 => bytes(5000), 1 => long]
}

fn version() -> impl Strategy<Value = Version> {
    any::<(u64, u128, u64)>().prop_map(|(time, uuid, generation)| Version {
        time: HybridTime(time),
        uuid: Uuid::from_u128(uuid),
        generation,
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    (value(), version(), any::<(u64, u32, u64, u64)>()).prop_map(
        |(value, version, (created_unix_ms, ttl_s, deadline, kept_until))| Entry {
            value,
            version,
            created_unix_ms,
            ttl_s,
            deadline: BootMillis(deadline),
            kept_until: BootMillis(kept_until),
        },
    )
}

fn news() -> impl Strategy<Value = Vec<News>> {
    let silence = prop::option::of(0..DOWN_FORGET.as_millis() as u64);
    prop::collection::vec((any::<(u16, u64, u16)>(), silence), 0..5).prop_map(|members| {
        let one = |((number, generation, incarnation), silence): (_, Option<u64>)| {
            let id = identity(number % 1000, generation);
            let state = match silence {
                Some(_) => foca::State::Down,
                None => foca::State::Suspect,
            };
            News {
                update: Update::new(id, incarnation, state),
                silent_for: silence.map(Duration::from_millis),
            }
        };
        members.into_iter().map(one).collect()
    })
}

fn request() -> impl Strategy<Value = Request> {
    let after = || prop::option::of(bytes(50));
    prop_oneof![
        (any::<u64>(), any::<bool>(), bytes(MAX_KEY), entry()).prop_map(
            |(id, repair, key, entry)| {
                let origin = if repair {
                    Origin::Repair
                } else {
                    Origin::Client
                };
                Request::Put {
                    id,
                    origin,
                    key,
                    entry,
                    digest: SharedDigest::default(),
                }
            }
        ),
        (any::<(u64, u64)>(), bytes(MAX_KEY)).prop_map(|((id, view), key)| Request::Get {
            id,
            view,
            key
        }),
        (any::<(u64, u64)>(), bytes(50), after(), any::<u32>()).prop_map(
            |((id, view), prefix, after, limit)| {
                Request::Keys {
                    id,
                    view,
                    prefix,
                    after,
                    limit,
                }
            }
        ),
        (any::<(u64, u64, u64, bool)>(), after(), sums()).prop_map(
            |((id, view, previous, with_values), after, sums)| {
                Request::Digest {
                    id,
                    view,
                    previous,
                    after,
                    with_values,
                    sums,
                }
            }
        ),
        (any::<u64>(), news()).prop_map(|(id, news)| Request::PushPull { id, news }),
        any::<u64>().prop_map(|id| Request::Ping { id }),
        (
            any::<(u64, u64, bool)>(),
            prop::collection::vec(any::<(u128, u64)>(), 0..5)
        )
            .prop_map(|((id, view, going), lives)| Request::Leaving {
                id,
                view,
                together: lives
                    .into_iter()
                    .map(|(uuid, generation)| (Uuid::from_u128(uuid), generation))
                    .collect(),
                going,
            }),
        any::<u64>().prop_map(|id| Request::View { id }),
        (any::<(u64, bool)>(), bytes(MAX_PAYLOAD))
            .prop_map(|((id, relay), payload)| { Request::Carry { id, relay, payload } }),
    ]
}

fn sums() -> impl Strategy<Value = Option<Sums>> {
    let range = (bytes(50), any::<u64>()).prop_map(|(last, sum)| RangeSum { last, sum });
    let sums = (any::<bool>(), prop::collection::vec(range, 0..9));
    prop::option::of(sums.prop_map(|(to_the_end, ranges)| Sums { to_the_end, ranges }))
}

fn item() -> impl Strategy<Value = DigestItem> {
    (
        bytes(50),
        version(),
        any::<u32>(),
        prop::option::of(entry()),
    )
        .prop_map(|(key, version, length, entry)| {
            let version = entry.as_ref().map_or(version, |entry| entry.version);
            let length = entry
                .as_ref()
                .map_or(length, |entry| entry.value.len() as u32);
            DigestItem {
                key,
                version,
                length,
                entry,
            }
        })
}

fn reply() -> impl Strategy<Value = Reply> {
    let ack = prop_oneof![
        Just(Ack::Stored),
        version().prop_map(Ack::Older),
        Just(Ack::Full),
        Just(Ack::Ahead),
    ];
    let answer = prop_oneof![
        entry().prop_map(Answer::Have),
        Just(Answer::DoNotHave),
        Just(Answer::DoNotKnow),
        entry().prop_map(Answer::Perhaps),
        (entry(), any::<u16>()).prop_map(|(entry, of)| Answer::Vote(entry, of)),
        version().prop_map(Answer::Over),
    ];
    let keys = (
        prop::collection::vec(bytes(50), 0..9),
        any::<(bool, bool)>(),
    )
        .prop_map(|(keys, (more, complete))| KeysPage {
            keys,
            more,
            complete,
        });
    let digest = prop_oneof![
        Just(DigestPage::OtherView),
        (
            prop::collection::vec(item(), 0..5),
            prop::option::of(bytes(50))
        )
            .prop_map(|(items, next)| DigestPage::Items { items, next }),
    ];
    prop_oneof![
        (any::<(u64, u64)>(), ack).prop_map(|((id, view), ack)| Reply::Put { id, ack, view }),
        any::<(u64, u64)>().prop_map(|(id, view)| Reply::View { id, view }),
        (any::<u64>(), answer).prop_map(|(id, answer)| Reply::Get { id, answer }),
        (any::<u64>(), keys).prop_map(|(id, page)| Reply::Keys { id, page }),
        (any::<u64>(), digest).prop_map(|(id, page)| Reply::Digest { id, page }),
        (any::<u64>(), news()).prop_map(|(id, news)| Reply::PushPull { id, news }),
        any::<(u64, u64)>().prop_map(|(id, boot_us)| Reply::Pong { id, boot_us }),
        (
            any::<u64>(),
            prop::collection::vec(bytes(MAX_PAYLOAD), 0..=MAX_CARRIED)
        )
            .prop_map(|(id, payloads)| Reply::Carried { id, payloads }),
        any::<(u64, bool)>().prop_map(|(id, done)| Reply::Farewell { id, done }),
    ]
}

fn written(encode: impl FnOnce(&mut Rope)) -> Rope {
    let mut rope = Rope::new();
    encode(&mut rope);
    rope
}

/// Every frame of what looks like a record; it may not panic.
fn survives(bytes: &Bytes) {
    let mut reader = Reader::new(bytes.clone());
    while reader.remaining() > 0 && Request::decode(&mut reader).is_ok() {}
    let mut reader = Reader::new(bytes.clone());
    while reader.remaining() > 0 && Reply::decode(&mut reader).is_ok() {}
}

proptest! {
    #[test]
    fn requests_survive_the_wire(requests in prop::collection::vec(request(), 1..4)) {
        let rope = written(|rope| requests.iter().for_each(|request| request.encode(rope)));
        let length = rope.len();
        let mut reader = rope.into_reader();
        for request in &requests {
            prop_assert_eq!(&Request::decode(&mut reader).expect("a request"), request);
        }
        prop_assert_eq!(reader.finish(), Ok(()));
        prop_assert!(length <= requests.iter().map(Request::size).sum());
    }

    #[test]
    fn replies_survive_the_wire(replies in prop::collection::vec(reply(), 1..4)) {
        let rope = written(|rope| replies.iter().for_each(|reply| reply.encode(rope)));
        let mut reader = rope.into_reader();
        for reply in &replies {
            prop_assert_eq!(&Reply::decode(&mut reader).expect("a reply"), reply);
        }
        prop_assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes.into());
    }

    #[test]
    fn mutations_are_survived(
        request in request(),
        reply in reply(),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let frames = [written(|rope| request.encode(rope)), written(|rope| reply.encode(rope))];
        for bytes in frames {
            let mut bytes = bytes.into_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = with;
            let cut = cut.index(bytes.len());
            survives(&bytes[..cut].to_vec().into());
            survives(&bytes.into());
        }
    }
}

#[test]
fn lengths_are_bounded() {
    let mut long = BytesMut::new();
    head(&mut long, kind::GET, 1);
    long.put_u64(0);
    put_short(&mut long, &Bytes::from(vec![0; MAX_KEY + 1]));
    let expect = Malformed::TooLong {
        what: "key",
        found: MAX_KEY + 1,
        limit: MAX_KEY,
    };
    assert_eq!(
        Request::decode(&mut Reader::new(long.freeze())),
        Err(expect)
    );
    let mut many = BytesMut::new();
    head(&mut many, kind::KEYS, 1);
    many.put_slice(&[0, 0, 0xff, 0xff, 0xff, 0xff]);
    assert!(Reply::decode(&mut Reader::new(many.freeze())).is_err());
}

#[test]
fn the_largest_put_fits_a_frame() {
    let entry = Entry {
        value: Bytes::from(vec![1; MAX_VALUE]),
        version: Version::default(),
        created_unix_ms: 1,
        ttl_s: 1,
        deadline: BootMillis(1),
        kept_until: BootMillis(1),
    };
    let key = Bytes::from(vec![b'k'; MAX_KEY]);
    let put = Request::Put {
        id: 1,
        origin: Origin::Client,
        key,
        entry,
        digest: SharedDigest::default(),
    };
    let mut rope = Rope::new();
    put.encode(&mut rope);
    assert!(rope.len() <= MAX_FRAME);
}
