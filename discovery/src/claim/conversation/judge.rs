//! What a node answers for a slot whose claim is settled.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use uuid::Uuid;

use super::answer::Answer;
use super::desk::Heard;
use super::fields::ClaimFields;
use super::request::Kind;
use crate::claim::core::Claim;
use crate::slot::PortRange;

/// What is to be done about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The answer.
    pub answer: Answer,
    /// A claim that is stronger than ours to our slot: whoever holds our sockets is to know.
    pub stronger: Option<Claim>,
}

/// Answers for `uuid`, whose claim is `own`: nothing where a port need not be unique over
/// the hosts of a domain.
#[must_use]
pub fn judge(
    kind: Kind,
    heard: &Heard,
    uuid: Uuid,
    own: Option<&Claim>,
    range: &PortRange,
) -> Verdict {
    let own = own.filter(|own| own.slot == heard.slot());
    let (theirs, believed) = match heard {
        Heard::Claim { claim, .. } => (Some(*claim), Ok(())),
        Heard::Unbelieved { reason, .. } => (None, Err(reason.clone())),
        Heard::Ourselves { .. } | Heard::Left { .. } => (None, Ok(())),
    };
    let contest = own.zip(theirs);
    let stronger = contest.and_then(|(own, theirs)| (theirs.rank() < own.rank()).then_some(theirs));
    Verdict {
        answer: Answer {
            kind,
            uuid,
            believed,
            should_yield: contest.is_some() && stronger.is_none(),
            claim: own.and_then(|own| ClaimFields::of(own, range)),
        },
        stronger,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::claim::core::Standing::{Settled, Tentative};
    use crate::claim::core::{Stamp, Standing};

    fn claim(uuid: u128, slot: u16, standing: Standing) -> Claim {
        Claim {
            uuid: Uuid::from_u128(uuid),
            slot,
            standing,
            stamp: Stamp::default(),
        }
    }

    #[test]
    fn who_keeps_the_slot() {
        let range = PortRange::new(8081, 10, 1000).unwrap();
        let own = claim(5, 2, Settled);
        let check = |heard: Heard, own: Option<&Claim>, should_yield: bool, stronger: bool| {
            let uuid = Uuid::from_u128(5);
            let verdict = judge(Kind::Conflict, &heard, uuid, own, &range);
            assert_eq!(verdict.answer.should_yield, should_yield, "{heard:?}");
            assert_eq!(verdict.stronger.is_some(), stronger, "{heard:?}");
            let at_stake = own.is_some_and(|own| own.slot == heard.slot());
            assert_eq!(verdict.answer.claim.is_some(), at_stake, "{heard:?}");
        };
        let heard = |claim| Heard::Claim {
            claim,
            at: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };

        check(heard(claim(4, 2, Settled)), Some(&own), false, true);
        check(heard(claim(6, 2, Settled)), Some(&own), true, false);
        check(heard(claim(4, 2, Tentative)), Some(&own), true, false);
        check(heard(claim(4, 3, Settled)), Some(&own), false, false);
        check(heard(claim(4, 2, Settled)), None, false, false);
        let reason = "nobody there".to_owned();
        check(
            Heard::Unbelieved { slot: 2, reason },
            Some(&own),
            false,
            false,
        );
        check(Heard::Ourselves { slot: 2 }, Some(&own), false, false);
        let uuid = Uuid::from_u128(4);
        let stamp = None;
        check(
            Heard::Left {
                uuid,
                slot: 2,
                stamp,
            },
            Some(&own),
            false,
            false,
        );
    }
}
