//! What comes over the gossip port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use repram_node::clock::BootMillis;
use repram_node::membership::{Identity, Input, Membership, Names, Profile};
use repram_node::wire::frame::{Reply, Request};
use repram_node::wire::record::{RecordReader, RecordWriter};
use repram_node::wire::{Datagrams, PROTOCOL_VERSION, Purpose, Reader, Rope, Seal, hello};
use uuid::Uuid;

/// A moment that the stamps of the examples are near to.
pub(crate) const NOW_UNIX_MS: u64 = 1_800_000_000_000;

/// Without a secret, so that what is mutated gets behind the signature.
pub(crate) fn open_seal() -> Seal {
    Seal::new(None, "localhost", "public")
}

/// A node of this number.
pub(crate) fn identity(number: u16) -> Identity {
    Identity {
        uuid: Uuid::from_u128(u128::from(number)),
        generation: 1,
        renewal: 0,
        host: 1,
        gossip: SocketAddr::from((Ipv4Addr::LOCALHOST, 9000 + number)),
        http_port: 8000 + number,
        names: Arc::new(Names::new("flux-node-1", "default")),
        fate: None,
    }
}

/// A datagram, and the membership behind it.
pub(crate) fn datagram(bytes: &[u8]) {
    let own = identity(1);
    let mut datagrams = Datagrams::new(&open_seal(), own.uuid, own.generation);
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(payload) = datagrams.unframe(bytes, NOW_UNIX_MS) else {
        return;
    };
    for source in [[127, 0, 0, 1], [192, 0, 2, 1]].map(IpAddr::from) {
        for relay in [false, true] {
            let mut membership = Membership::new(own.clone(), Profile::Network, 1);
            let payload = payload.clone();
            let input = Input::Carried {
                source,
                payload: payload.clone(),
                relay,
            };
            membership.handle(input, BootMillis(1));
            membership.handle(Input::Datagram { source, payload }, BootMillis(2));
            membership.handle(Input::Tick, BootMillis(10_000));
            // What it knows can be told.
            let news = membership.knowledge(BootMillis(10_000));
            let mut rope = Rope::new();
            Request::PushPull { id: 1, news }.encode(&mut rope);
            let told = Request::decode(&mut Reader::new(rope.into_bytes()));
            assert!(told.is_ok(), "{told:?}");
        }
    }
}

/// A greeting, of either side.
pub(crate) fn hello(bytes: &[u8]) {
    let seal = open_seal();
    let Some(prefix) = bytes.first_chunk() else {
        return;
    };
    let Ok(rest) = hello::rest_length(&seal, prefix) else {
        return;
    };
    assert_eq!(bytes[4], PROTOCOL_VERSION, "no other version is read");
    let whole = Bytes::copy_from_slice(bytes);
    if whole.len() < hello::PREFIX_LENGTH + rest {
        return;
    }
    let whole = whole.slice(..hello::PREFIX_LENGTH + rest);
    if let Ok(read) = hello::decode(&seal, &whole, None) {
        assert_eq!(hello::encode(&seal, &read, None), whole);
    }
}

/// A stream after the greeting: records, and the questions in them.
pub(crate) fn record(bytes: &[u8]) {
    let signer = open_seal().signer(Purpose::ClientRecord, &[]);
    let mut reader = RecordReader::of_stranger(signer);
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(mut frames)) = reader.next(&mut buffer) {
        while frames.remaining() > 0 && Request::decode(&mut frames).is_ok() {}
    }
}

/// A record around `body`, as it is written.
pub(crate) fn sealed(body: Rope) -> Vec<u8> {
    let signer = open_seal().signer(Purpose::ClientRecord, &[]);
    RecordWriter::new(signer).seal(body).concat()
}

/// A frame that asks.
pub(crate) fn question(bytes: &[u8]) {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
    if let Ok(question) = Request::decode(&mut reader) {
        let mut rope = Rope::new();
        question.encode(&mut rope);
        let again = Request::decode(&mut Reader::new(rope.into_bytes()));
        assert_eq!(again.as_ref(), Ok(&question));
    }
}

/// A frame that answers.
pub(crate) fn answer(bytes: &[u8]) {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
    if let Ok(answer) = Reply::decode(&mut reader) {
        let mut rope = Rope::new();
        answer.encode(&mut rope);
        let again = Reply::decode(&mut Reader::new(rope.into_bytes()));
        assert_eq!(again.as_ref(), Ok(&answer));
    }
}
