//! Who is in the cluster: SWIM by foca behind a guard, and the table of who counts.
//!
//! [`Membership`] is sans-IO: datagrams, push-pulls, news of the supervisor and the passing
//! of time go in; datagrams and [`Change`]s come out. A member is identified by its UUID,
//! whatever address it has at the moment, and a life of it by generation and renewal; a
//! higher generation replaces a lower one at once, so a node that restarts, on its old port
//! or another, needs no one to notice its death. Another node on a port that a member had
//! before is another member; the one that moved away or died is found by its silence, since
//! messages carry the UUID they are meant for.
//!
//! "Down" in the sense of SWIM is not the end: such a member is [`Liveness::Unreachable`]
//! and counts for [`DOWN_FORGET`] more. A life ends when its supervisor says so or when it
//! says itself that it leaves; both travel as the [`Fate`] in the news that it is down.

mod codec;
mod core;
mod doubts;
mod identity;
mod members;
mod news;
mod profile;
#[cfg(test)]
mod tests;

pub use self::core::carrying::localized_payload;
pub use self::core::{Input, Membership, MembershipCounters, Output};
pub use codec::{MAX_NEWS, MAX_UPDATE, decode_news, decode_update, encode_news, encode_update};
pub use doubts::Confirmation;
pub use identity::{Fate, Identity, MAX_IDENTITY, MAX_NAME, Names, Update, put_ip, take_ip};
pub use members::{Change, DOWN_FORGET, Liveness, MAX_MEMBERS, Member, Members};
pub use news::News;
pub use profile::Profile;

#[cfg(test)]
pub(crate) mod testing {
    pub(crate) use super::identity::tests::identity;
}
