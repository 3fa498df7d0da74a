//! Answers.

use bytes::{BufMut, Bytes, BytesMut};

use super::fields::{
    flag, head, kind, put_entry, put_news, put_optional, put_short, put_version, take_count,
    take_entry, take_news, take_optional, take_payload,
};
use super::{Ack, Answer, DigestItem, DigestPage, KeysPage, MAX_CARRIED, MAX_KEY, PAGE_ITEMS};
use crate::membership::News;
use crate::wire::{Malformed, Reader, Rope, SharedDigest};

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To [`Request::Put`](super::Request::Put).
    Put {
        /// Number of the question.
        id: u64,
        /// What became of it.
        ack: Ack,
        /// Fingerprint of the members that the answerer saw when it had stored the value.
        view: u64,
    },
    /// To [`Request::Get`](super::Request::Get).
    Get {
        /// Number of the question.
        id: u64,
        /// What is there.
        answer: Answer,
    },
    /// To [`Request::Keys`](super::Request::Keys).
    Keys {
        /// Number of the question.
        id: u64,
        /// A page.
        page: KeysPage,
    },
    /// To [`Request::Digest`](super::Request::Digest).
    Digest {
        /// Number of the question.
        id: u64,
        /// A page.
        page: DigestPage,
    },
    /// To [`Request::PushPull`](super::Request::PushPull).
    PushPull {
        /// Number of the question.
        id: u64,
        /// The answerer first.
        news: Vec<News>,
    },
    /// To [`Request::Ping`](super::Request::Ping).
    Pong {
        /// Number of the question.
        id: u64,
        /// The answerer's boot clock, in microseconds.
        boot_us: u64,
    },
    /// To [`Request::Leaving`](super::Request::Leaving).
    Farewell {
        /// Number of the question.
        id: u64,
        /// Whether the answerer has all that it should take over.
        done: bool,
    },
    /// To [`Request::View`](super::Request::View).
    View {
        /// Number of the question.
        id: u64,
        /// Fingerprint of the members that the answerer sees.
        view: u64,
    },
    /// To [`Request::Carry`](super::Request::Carry).
    Carried {
        /// Number of the question.
        id: u64,
        /// What the answerer would have sent back in datagrams, at most [`MAX_CARRIED`].
        payloads: Vec<Bytes>,
    },
}

impl Reply {
    /// Number of the question that it answers.
    #[must_use]
    pub const fn id(&self) -> u64 {
        match self {
            Self::Put { id, .. }
            | Self::Get { id, .. }
            | Self::Keys { id, .. }
            | Self::Digest { id, .. }
            | Self::PushPull { id, .. }
            | Self::Pong { id, .. }
            | Self::Farewell { id, .. }
            | Self::View { id, .. }
            | Self::Carried { id, .. } => *id,
        }
    }

    /// Writes the frame.
    pub fn encode(&self, out: &mut Rope) {
        match self {
            Self::Put { id, ack, view } => out.fields(|out| {
                head(out, kind::PUT, *id);
                out.put_u64(*view);
                put_ack(out, *ack);
            }),
            Self::Get { id, answer } => {
                let tag = match answer {
                    Answer::Have(_) => 0,
                    Answer::DoNotHave => 1,
                    Answer::DoNotKnow => 2,
                    Answer::Perhaps(_) => 3,
                    Answer::Over(_) => 4,
                    Answer::Vote(..) => 5,
                };
                out.fields(|out| {
                    head(out, kind::GET, *id);
                    out.put_u8(tag);
                });
                match answer {
                    Answer::Have(entry) | Answer::Perhaps(entry) => {
                        put_entry(out, entry, &SharedDigest::default());
                    }
                    Answer::Vote(entry, of) => {
                        out.fields(|out| out.put_u16(*of));
                        put_entry(out, entry, &SharedDigest::default());
                    }
                    Answer::Over(version) => out.fields(|out| put_version(out, *version)),
                    Answer::DoNotHave | Answer::DoNotKnow => {}
                }
            }
            Self::Keys { id, page } => out.fields(|out| {
                head(out, kind::KEYS, *id);
                put_keys(out, page);
            }),
            Self::Digest { id, page } => {
                out.fields(|out| head(out, kind::DIGEST, *id));
                put_digest(out, page);
            }
            Self::PushPull { id, news } => out.fields(|out| {
                head(out, kind::PUSH_PULL, *id);
                put_news(out, news);
            }),
            Self::Pong { id, boot_us } => out.fields(|out| {
                head(out, kind::PING, *id);
                out.put_u64(*boot_us);
            }),
            Self::Farewell { id, done } => out.fields(|out| {
                head(out, kind::LEAVING, *id);
                out.put_u8(u8::from(*done));
            }),
            Self::View { id, view } => out.fields(|out| {
                head(out, kind::VIEW, *id);
                out.put_u64(*view);
            }),
            Self::Carried { id, payloads } => out.fields(|out| {
                head(out, kind::CARRY, *id);
                out.put_u32(u32::try_from(payloads.len()).unwrap_or(u32::MAX));
                for payload in payloads {
                    put_short(out, payload);
                }
            }),
        }
    }

    /// Reads one frame off the front.
    ///
    /// # Errors
    /// When it is not one.
    pub fn decode(from: &mut Reader) -> Result<Self, Malformed> {
        let (kind, id) = (from.u8()?, from.u64()?);
        match kind {
            kind::PUT => Ok(Self::Put {
                id,
                view: from.u64()?,
                ack: take_ack(from)?,
            }),
            kind::GET => Ok(Self::Get {
                id,
                answer: take_answer(from)?,
            }),
            kind::KEYS => Ok(Self::Keys {
                id,
                page: take_keys(from)?,
            }),
            kind::DIGEST => Ok(Self::Digest {
                id,
                page: take_digest(from)?,
            }),
            kind::PUSH_PULL => Ok(Self::PushPull {
                id,
                news: take_news(from)?,
            }),
            kind::PING => Ok(Self::Pong {
                id,
                boot_us: from.u64()?,
            }),
            kind::LEAVING => Ok(Self::Farewell {
                id,
                done: flag(from)?,
            }),
            kind::VIEW => Ok(Self::View {
                id,
                view: from.u64()?,
            }),
            kind::CARRY => {
                let count = take_count(from, "datagrams", MAX_CARRIED)?;
                let payloads = (0..count).map(|_| take_payload(from));
                let payloads = payloads.collect::<Result<_, Malformed>>()?;
                Ok(Self::Carried { id, payloads })
            }
            tag => Err(Malformed::UnknownTag {
                what: "answer",
                tag,
            }),
        }
    }
}

fn put_ack(out: &mut BytesMut, ack: Ack) {
    match ack {
        Ack::Stored => out.put_u8(0),
        Ack::Older(version) => {
            out.put_u8(1);
            put_version(out, version);
        }
        Ack::Full => out.put_u8(2),
        Ack::Ahead => out.put_u8(3),
    }
}

fn take_ack(from: &mut Reader) -> Result<Ack, Malformed> {
    match from.u8()? {
        0 => Ok(Ack::Stored),
        1 => Ok(Ack::Older(from.version()?)),
        2 => Ok(Ack::Full),
        3 => Ok(Ack::Ahead),
        tag => Err(Malformed::UnknownTag {
            what: "acknowledgement",
            tag,
        }),
    }
}

fn take_answer(from: &mut Reader) -> Result<Answer, Malformed> {
    match from.u8()? {
        0 => Ok(Answer::Have(take_entry(from)?)),
        1 => Ok(Answer::DoNotHave),
        2 => Ok(Answer::DoNotKnow),
        3 => Ok(Answer::Perhaps(take_entry(from)?)),
        4 => Ok(Answer::Over(from.version()?)),
        5 => {
            let of = from.u16()?;
            Ok(Answer::Vote(take_entry(from)?, of))
        }
        tag => Err(Malformed::UnknownTag {
            what: "answer",
            tag,
        }),
    }
}

fn put_keys(out: &mut BytesMut, page: &KeysPage) {
    out.put_u8(u8::from(page.more));
    out.put_u8(u8::from(page.complete));
    out.put_u32(u32::try_from(page.keys.len()).unwrap_or(u32::MAX));
    for key in &page.keys {
        put_short(out, key);
    }
}

fn take_keys(from: &mut Reader) -> Result<KeysPage, Malformed> {
    let (more, complete) = (flag(from)?, flag(from)?);
    let count = take_count(from, "keys", PAGE_ITEMS)?;
    // Nothing is reserved for a count: what is announced need not come.
    let mut keys = Vec::new();
    for _ in 0..count {
        keys.push(from.short("key", MAX_KEY)?);
    }
    Ok(KeysPage {
        keys,
        more,
        complete,
    })
}

fn put_digest(out: &mut Rope, page: &DigestPage) {
    let DigestPage::Items { items, next } = page else {
        out.fields(|out| out.put_u8(1));
        return;
    };
    out.fields(|out| {
        out.put_u8(0);
        put_optional(out, next.as_ref());
        out.put_u32(u32::try_from(items.len()).unwrap_or(u32::MAX));
    });
    for item in items {
        out.fields(|out| {
            put_short(out, &item.key);
            out.put_u8(u8::from(item.entry.is_some()));
            if item.entry.is_none() {
                put_version(out, item.version);
                out.put_u32(item.length);
            }
        });
        if let Some(entry) = &item.entry {
            put_entry(out, entry, &SharedDigest::default());
        }
    }
}

fn take_digest(from: &mut Reader) -> Result<DigestPage, Malformed> {
    if flag(from)? {
        return Ok(DigestPage::OtherView);
    }
    let next = take_optional(from)?;
    let count = take_count(from, "digest items", PAGE_ITEMS)?;
    let mut items = Vec::new();
    for _ in 0..count {
        let key = from.short("key", MAX_KEY)?;
        let (version, length, entry) = if flag(from)? {
            let entry = take_entry(from)?;
            let length = u32::try_from(entry.value.len()).unwrap_or(u32::MAX);
            (entry.version, length, Some(entry))
        } else {
            (from.version()?, from.u32()?, None)
        };
        items.push(DigestItem {
            key,
            version,
            length,
            entry,
        });
    }
    Ok(DigestPage::Items { items, next })
}
