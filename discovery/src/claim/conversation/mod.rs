//! What claimants of a domain say to each other over HTTP, and whom they believe.
//!
//! Three requests carry the messages of the [core](super::core): `POST /peer_announce`,
//! `/conflict_resolution` and `/peer_leaving`. A [`Request`] is one of them as it is written
//! and read, in the spellings of both earlier versions; an [`Answer`] is what comes back,
//! with the claim of whoever holds the port that was spoken of.
//!
//! The [`Desk`] takes requests in: it limits them per client, checks their signature, and
//! asks the announced peer back before it believes anything. It does not decide: that is
//! done by the core of the process that holds the sockets, or by [`judge`] where a node
//! answers for a slot whose claim is settled. The [`Speaker`] sends requests out.

mod answer;
mod asker;
mod desk;
mod fields;
mod judge;
mod notice;
mod refusal;
mod request;
mod seal;
mod speaker;

pub use answer::Answer;
pub use asker::{ANSWER_TIME_MAX, CallBack, CallFuture, QUESTIONS_MAX};
pub use desk::{Desk, DeskConfig, Heard, POST_RATE, Posted};
pub use fields::{ClaimFields, StandingWord};
pub use judge::{Verdict, judge};
pub use notice::{CONFLICT_VARIABLE, ConflictNotice, NoNotice};
pub use refusal::Refusal;
pub use request::{Kind, REQUEST_MAX, Request, RequestError};
pub use seal::sign_answer;
pub use speaker::{SpeakError, Speaker};
