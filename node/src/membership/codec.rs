//! foca's messages and member updates as bytes.
//!
//! The tag of a message comes first, so that it can be seen without decoding. The sender is
//! written in full, because a receiver may not know it; whoever is only addressed is
//! written as a reference.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use foca::{Header, Member, Message, State};

use super::{DOWN_FORGET, Fate, Identity, News};
use crate::wire::{Malformed, Reader};

/// Bytes of the longest update about a member: identity, incarnation, state.
pub const MAX_UPDATE: usize = super::identity::MAX_IDENTITY + 2 + 1;

/// The tag of [`Message::Ping`].
const PING: u8 = 0;

/// The tag of [`Message::TurnUndead`].
const TURN_UNDEAD: u8 = 10;

/// How foca's messages are written. It has no state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Codec;

/// Why a message could not be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CodecError {
    /// It does not fit what is left of the datagram.
    #[error("does not fit the datagram")]
    NoRoom,
    /// It is not one of ours.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Whether a message that foca wants to send tells its receiver that it is down.
#[must_use]
pub(super) fn is_turn_undead(payload: &[u8]) -> bool {
    payload.first() == Some(&TURN_UNDEAD)
}

/// Whether a message that foca wants to send is a ping.
#[must_use]
pub(super) fn is_ping(payload: &[u8]) -> bool {
    payload.first() == Some(&PING)
}

/// Writes what is known of a member.
pub fn encode_update(update: &Member<Identity>, out: &mut impl BufMut) {
    update.id().encode(out);
    out.put_u16(update.incarnation());
    out.put_u8(match (update.state(), update.id().fate) {
        (State::Alive, _) => 0,
        (State::Suspect, _) => 1,
        (State::Down, None) => 2,
        (State::Down, Some(Fate::Died)) => 3,
        (State::Down, Some(Fate::Left)) => 4,
    });
}

/// Reads what [`encode_update`] wrote.
///
/// # Errors
/// When the bytes are not an update.
pub fn decode_update(reader: &mut Reader) -> Result<Member<Identity>, Malformed> {
    let mut identity = Identity::decode(reader)?;
    let incarnation = reader.u16()?;
    let (state, fate) = match reader.u8()? {
        0 => (State::Alive, None),
        1 => (State::Suspect, None),
        2 => (State::Down, None),
        3 => (State::Down, Some(Fate::Died)),
        4 => (State::Down, Some(Fate::Left)),
        tag => {
            return Err(Malformed::UnknownTag {
                what: "member state",
                tag,
            });
        }
    };
    identity.fate = fate;
    Ok(Member::new(identity, incarnation, state))
}

/// The state of a member that does not answer and counts, for so long.
const SILENT: u8 = 5;

/// Bytes of the longest piece of news: an update, and for how long the member is silent.
pub const MAX_NEWS: usize = MAX_UPDATE + 4;

/// Writes what a member tells over a stream.
pub fn encode_news(news: &News, out: &mut impl BufMut) {
    let Some(silence) = news.silent_for else {
        return encode_update(&news.update, out);
    };
    news.update.id().encode(out);
    out.put_u16(news.update.incarnation());
    out.put_u8(SILENT);
    out.put_u32(u32::try_from(silence.as_millis()).unwrap_or(u32::MAX));
}

/// Reads what [`encode_news`] wrote. Who is said to be silent for longer than a member
/// counts is taken for one that does not.
///
/// # Errors
/// When the bytes are not news.
pub fn decode_news(reader: &mut Reader) -> Result<News, Malformed> {
    let mut ahead = reader.clone();
    let (identity, incarnation) = (Identity::decode(&mut ahead)?, ahead.u16()?);
    if ahead.u8()? != SILENT {
        return decode_update(reader).map(News::from);
    }
    let silence = Duration::from_millis(ahead.u32()?.into());
    *reader = ahead;
    Ok(News {
        update: Member::new(identity, incarnation, State::Down),
        silent_for: Some(silence).filter(|it| *it < DOWN_FORGET),
    })
}

/// The header and the updates of a whole payload.
///
/// # Errors
/// When it is not one that foca would take.
pub(super) fn decode_payload(
    payload: Bytes,
) -> Result<(Header<Identity>, Vec<Member<Identity>>), Malformed> {
    let mut reader = Reader::new(payload);
    let header = decode_header(&mut reader)?;
    let mut updates = Vec::new();
    if reader.remaining() > 0 {
        for _ in 0..reader.u16()? {
            updates.push(decode_update(&mut reader)?);
        }
    }
    reader.finish()?;
    Ok((header, updates))
}

/// The payload that [`decode_payload`] reads as `header` and `updates`.
#[must_use]
pub(super) fn encode_payload(header: &Header<Identity>, updates: &[Member<Identity>]) -> Bytes {
    let mut out = BytesMut::new();
    encode_header(header, &mut out);
    // foca takes no byte at all after some kinds of message, and no updates as none.
    if !updates.is_empty() {
        out.put_u16(u16::try_from(updates.len()).unwrap_or(u16::MAX));
        for update in updates {
            encode_update(update, &mut out);
        }
    }
    out.freeze()
}

fn encode_header(header: &Header<Identity>, out: &mut impl BufMut) {
    let (tag, about, probe) = match &header.message {
        Message::Ping(probe) => (PING, None, Some(*probe)),
        Message::Ack(probe) => (1, None, Some(*probe)),
        Message::PingReq {
            target,
            probe_number,
        } => (2, Some(target), Some(*probe_number)),
        Message::IndirectPing {
            origin,
            probe_number,
        } => (3, Some(origin), Some(*probe_number)),
        Message::IndirectAck {
            target,
            probe_number,
        } => (4, Some(target), Some(*probe_number)),
        Message::ForwardedAck {
            origin,
            probe_number,
        } => (5, Some(origin), Some(*probe_number)),
        Message::Announce => (6, None, None),
        Message::Feed => (7, None, None),
        Message::Gossip => (8, None, None),
        Message::Broadcast => (9, None, None),
        Message::TurnUndead => (TURN_UNDEAD, None, None),
    };
    out.put_u8(tag);
    header.src.encode(out);
    out.put_u16(header.src_incarnation);
    header.dst.encode_reference(out);
    if let Some(about) = about {
        about.encode_reference(out);
    }
    if let Some(probe) = probe {
        out.put_u8(probe);
    }
}

fn decode_header(reader: &mut Reader) -> Result<Header<Identity>, Malformed> {
    let tag = reader.u8()?;
    let src = Identity::decode(reader)?;
    let src_incarnation = reader.u16()?;
    let dst = Identity::decode_reference(reader)?;
    let message = match tag {
        PING => Message::Ping(reader.u8()?),
        1 => Message::Ack(reader.u8()?),
        2 => Message::PingReq {
            target: Identity::decode_reference(reader)?,
            probe_number: reader.u8()?,
        },
        3 => Message::IndirectPing {
            origin: Identity::decode_reference(reader)?,
            probe_number: reader.u8()?,
        },
        4 => Message::IndirectAck {
            target: Identity::decode_reference(reader)?,
            probe_number: reader.u8()?,
        },
        5 => Message::ForwardedAck {
            origin: Identity::decode_reference(reader)?,
            probe_number: reader.u8()?,
        },
        6 => Message::Announce,
        7 => Message::Feed,
        8 => Message::Gossip,
        9 => Message::Broadcast,
        TURN_UNDEAD => Message::TurnUndead,
        tag => {
            return Err(Malformed::UnknownTag {
                what: "membership message",
                tag,
            });
        }
    };
    Ok(Header {
        src,
        src_incarnation,
        dst,
        message,
    })
}

/// Runs a decoder over the front of foca's buffer and moves on what it took.
fn decode_from<T>(
    buf: &mut impl Buf,
    decode: impl FnOnce(&mut Reader) -> Result<T, Malformed>,
) -> Result<T, CodecError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(buf.chunk()));
    let before = reader.remaining();
    let decoded = decode(&mut reader)?;
    buf.advance(before - reader.remaining());
    Ok(decoded)
}

/// Writes all or nothing: foca's buffer ends where the datagram would.
fn encode_into(
    buf: &mut impl BufMut,
    encode: impl FnOnce(&mut BytesMut),
) -> Result<(), CodecError> {
    let mut bytes = BytesMut::with_capacity(MAX_UPDATE);
    encode(&mut bytes);
    if bytes.len() > buf.remaining_mut() {
        return Err(CodecError::NoRoom);
    }
    buf.put_slice(&bytes);
    Ok(())
}

impl foca::Codec<Identity> for Codec {
    type Error = CodecError;

    fn encode_header(
        &mut self,
        header: &Header<Identity>,
        mut buf: impl BufMut,
    ) -> Result<(), CodecError> {
        encode_into(&mut buf, |out| encode_header(header, out))
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Identity>, CodecError> {
        decode_from(&mut buf, decode_header)
    }

    fn encode_member(
        &mut self,
        member: &Member<Identity>,
        mut buf: impl BufMut,
    ) -> Result<(), CodecError> {
        encode_into(&mut buf, |out| encode_update(member, out))
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<Identity>, CodecError> {
        decode_from(&mut buf, decode_update)
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::tests::identity;
    use super::*;

    /// A silent member of so many milliseconds over the wire, and what was read of it.
    fn over_the_wire(silent_ms: u64) -> News {
        let news = News {
            update: Member::new(identity(3, 2), 5, State::Down),
            silent_for: Some(Duration::from_millis(silent_ms)),
        };
        let mut out = BytesMut::new();
        encode_news(&news, &mut out);
        assert!(out.len() <= MAX_NEWS);
        let mut reader = Reader::new(out.freeze());
        let read = decode_news(&mut reader).expect("news");
        assert_eq!(reader.finish(), Ok(()));
        assert_eq!(read.update, news.update);
        read
    }

    #[test]
    fn a_silence_travels_as_long_as_its_member_counts() {
        let limit = u64::try_from(DOWN_FORGET.as_millis()).expect("a minute");
        for silent_ms in [0, 1, limit - 1] {
            let expected = Some(Duration::from_millis(silent_ms));
            assert_eq!(over_the_wire(silent_ms).silent_for, expected);
        }
        for silent_ms in [limit, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(over_the_wire(silent_ms).silent_for, None);
        }
    }

    #[test]
    fn datagrams_know_of_no_silence() {
        let mut out = BytesMut::new();
        identity(3, 2).encode(&mut out);
        out.put_u16(5);
        out.put_u8(SILENT);
        let whole = out.freeze();
        let tag = SILENT;
        let unknown = Malformed::UnknownTag {
            what: "member state",
            tag,
        };
        let read = decode_update(&mut Reader::new(whole.clone()));
        assert_eq!(read.err(), Some(unknown));
        let cut_off = decode_news(&mut Reader::new(whole));
        assert_eq!(cut_off.err(), Some(Malformed::Truncated));
    }
}
