//! Questions.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::fields::{
    flag, head, kind, put_entry, put_lives, put_news, put_optional, put_short, put_sums,
    reserve_for, take_entry, take_lives, take_news, take_optional, take_payload, take_sums,
};
use super::{MAX_KEY, Origin, Sums};
use crate::membership::{MAX_NEWS, News};
use crate::store::Entry;
use crate::wire::{Malformed, Reader, Rope, SharedDigest};

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Keep this value.
    Put {
        /// Number of the question.
        id: u64,
        /// Why it is sent.
        origin: Origin,
        /// Its key.
        key: Bytes,
        /// The value and what belongs to it.
        entry: Entry,
        /// The digest of the value, shared with whoever else sends it.
        digest: SharedDigest,
    },
    /// What do you have under this key?
    Get {
        /// Number of the question.
        id: u64,
        /// Fingerprint of the members that the asker sees: "do not have" means something
        /// only for the same members. 0 when only the value is wanted.
        view: u64,
        /// The key.
        key: Bytes,
    },
    /// Which keys do you have?
    Keys {
        /// Number of the question.
        id: u64,
        /// Fingerprint of the members that the asker sees.
        view: u64,
        /// They start with this.
        prefix: Bytes,
        /// They come after this.
        after: Option<Bytes>,
        /// At most so many.
        limit: u32,
    },
    /// What do you have that I should hold?
    Digest {
        /// Number of the question.
        id: u64,
        /// Fingerprint of the members that the asker sees.
        view: u64,
        /// Fingerprint of the members for whom it knows all already, 0 for none.
        previous: u64,
        /// Keys after this one.
        after: Option<Bytes>,
        /// Whether short values are wanted with the keys.
        with_values: bool,
        /// What the asker has, when only what differs is wanted.
        sums: Option<Sums>,
    },
    /// This is what I know of the members; what do you know?
    PushPull {
        /// Number of the question.
        id: u64,
        /// The asker first.
        news: Vec<News>,
    },
    /// What does your clock say?
    Ping {
        /// Number of the question.
        id: u64,
    },
    /// I leave, and others with me; have you taken over what I have for you?
    Leaving {
        /// Number of the question.
        id: u64,
        /// Fingerprint of the members that stay, as the leaver sees them.
        view: u64,
        /// Who else leaves: identities and generations.
        together: Vec<(Uuid, u64)>,
        /// Whether this is the last word.
        going: bool,
    },
    /// Which members do you see?
    View {
        /// Number of the question.
        id: u64,
    },
    /// Take this as if it had come in a datagram; what do you say to it?
    Carry {
        /// Number of the question.
        id: u64,
        /// Whether it is for another member, who is to be asked on behalf of the asker.
        relay: bool,
        /// What the datagram would have carried.
        payload: Bytes,
    },
}

impl Request {
    /// Number of the question.
    #[must_use]
    pub const fn id(&self) -> u64 {
        match self {
            Self::Put { id, .. }
            | Self::Get { id, .. }
            | Self::Keys { id, .. }
            | Self::Digest { id, .. }
            | Self::PushPull { id, .. }
            | Self::Ping { id }
            | Self::Leaving { id, .. }
            | Self::View { id }
            | Self::Carry { id, .. } => *id,
        }
    }

    /// About how many bytes it takes on the wire and in a queue.
    #[must_use]
    pub fn size(&self) -> usize {
        let variable = match self {
            Self::Put { key, entry, .. } => key.len() + entry.value.len(),
            Self::Get { key, .. } => key.len(),
            Self::Keys { prefix, after, .. } => prefix.len() + after.as_ref().map_or(0, Bytes::len),
            Self::Digest { after, sums, .. } => {
                let ranges = sums.iter().flat_map(|sums| &sums.ranges);
                let ranges: usize = ranges.map(|range| range.last.len() + 10).sum();
                after.as_ref().map_or(0, Bytes::len) + ranges
            }
            Self::PushPull { news, .. } => news.len() * MAX_NEWS,
            Self::Leaving { together, .. } => together.len() * 24,
            Self::Carry { payload, .. } => payload.len(),
            Self::Ping { .. } | Self::View { .. } => 0,
        };
        variable + 96
    }

    /// Writes the frame.
    pub fn encode(&self, out: &mut Rope) {
        match self {
            Self::Put {
                id,
                origin,
                key,
                entry,
                digest,
            } => {
                reserve_for(out, key, entry);
                out.fields(|out| put_origin(out, *id, *origin, key));
                put_entry(out, entry, digest);
            }
            Self::Get { id, view, key } => out.fields(|out| {
                head(out, kind::GET, *id);
                out.put_u64(*view);
                put_short(out, key);
            }),
            Self::Keys {
                id,
                view,
                prefix,
                after,
                limit,
            } => out.fields(|out| {
                head(out, kind::KEYS, *id);
                out.put_u64(*view);
                put_short(out, prefix);
                put_optional(out, after.as_ref());
                out.put_u32(*limit);
            }),
            Self::Digest {
                id,
                view,
                previous,
                after,
                with_values,
                sums,
            } => out.fields(|out| {
                head(out, kind::DIGEST, *id);
                out.put_u64(*view);
                out.put_u64(*previous);
                put_optional(out, after.as_ref());
                out.put_u8(u8::from(*with_values));
                put_sums(out, sums.as_ref());
            }),
            Self::PushPull { id, news } => out.fields(|out| {
                head(out, kind::PUSH_PULL, *id);
                put_news(out, news);
            }),
            Self::Ping { id } => out.fields(|out| head(out, kind::PING, *id)),
            Self::Leaving {
                id,
                view,
                together,
                going,
            } => out.fields(|out| {
                head(out, kind::LEAVING, *id);
                out.put_u64(*view);
                out.put_u8(u8::from(*going));
                put_lives(out, together);
            }),
            Self::View { id } => out.fields(|out| head(out, kind::VIEW, *id)),
            Self::Carry { id, relay, payload } => out.fields(|out| {
                head(out, kind::CARRY, *id);
                out.put_u8(u8::from(*relay));
                put_short(out, payload);
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
                origin: if flag(from)? {
                    Origin::Repair
                } else {
                    Origin::Client
                },
                key: from.short("key", MAX_KEY)?,
                entry: take_entry(from)?,
                digest: SharedDigest::default(),
            }),
            kind::GET => Ok(Self::Get {
                id,
                view: from.u64()?,
                key: from.short("key", MAX_KEY)?,
            }),
            kind::KEYS => Ok(Self::Keys {
                id,
                view: from.u64()?,
                prefix: from.short("prefix", MAX_KEY)?,
                after: take_optional(from)?,
                limit: from.u32()?,
            }),
            kind::DIGEST => Ok(Self::Digest {
                id,
                view: from.u64()?,
                previous: from.u64()?,
                after: take_optional(from)?,
                with_values: flag(from)?,
                sums: take_sums(from)?,
            }),
            kind::PUSH_PULL => Ok(Self::PushPull {
                id,
                news: take_news(from)?,
            }),
            kind::PING => Ok(Self::Ping { id }),
            kind::LEAVING => {
                let (view, going) = (from.u64()?, flag(from)?);
                Ok(Self::Leaving {
                    id,
                    view,
                    together: take_lives(from)?,
                    going,
                })
            }
            kind::VIEW => Ok(Self::View { id }),
            kind::CARRY => Ok(Self::Carry {
                id,
                relay: flag(from)?,
                payload: take_payload(from)?,
            }),
            tag => Err(Malformed::UnknownTag {
                what: "question",
                tag,
            }),
        }
    }
}

/// What stands before the entry that is to be kept.
fn put_origin(out: &mut BytesMut, id: u64, origin: Origin, key: &Bytes) {
    head(out, kind::PUT, id);
    out.put_u8(u8::from(origin == Origin::Repair));
    put_short(out, key);
}
