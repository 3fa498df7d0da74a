//! What comes back.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::fields::ClaimFields;
use super::request::Kind;
use crate::claim::core::Claim;
use crate::slot::PortRange;

/// What whoever holds a port answers to a [`super::Request`] about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which request it answers.
    pub kind: Kind,
    /// Who answers.
    pub uuid: Uuid,
    /// Whether what was said is believed; if not, why.
    pub believed: Result<(), String>,
    /// Whether the other one is to give the port up.
    pub should_yield: bool,
    /// The claim of whoever answers to the port that was spoken of, if there is one and the
    /// port must be held only once.
    pub claim: Option<ClaimFields>,
}

#[derive(Serialize)]
struct Written<'a> {
    acknowledged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    my_uuid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    should_yield: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_uuid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<ClaimFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl Answer {
    /// The body, in the words that each request's senders expect.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let is_conflict = self.kind == Kind::Conflict;
        let written = Written {
            acknowledged: self.believed.is_ok(),
            my_uuid: (!is_conflict).then_some(self.uuid),
            should_yield: is_conflict.then_some(self.should_yield),
            peer_uuid: is_conflict.then_some(self.uuid),
            claim: self.claim,
            reason: self.believed.as_ref().err().map(String::as_str),
        };
        serde_json::to_vec(&written).expect("an answer is plain data")
    }

    /// The claim in somebody's answer, if it is one to `port`, the port that was spoken of.
    #[must_use]
    pub fn claim_in(body: &[u8], port: u16, range: &PortRange) -> Option<Claim> {
        let answer: Value = serde_json::from_slice(body).ok()?;
        let fields: ClaimFields = serde_json::from_value(answer.get("claim")?.clone()).ok()?;
        (fields.port == port).then_some(fields)?.claim(range)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claim::core::{Stamp, Standing};

    fn range() -> PortRange {
        PortRange::new(8081, 10, 1000).unwrap()
    }

    fn claim() -> Claim {
        Claim {
            uuid: Uuid::from_u128(7),
            slot: 2,
            standing: Standing::Settled,
            stamp: Stamp {
                incarnation: 3,
                sequence: 5,
            },
        }
    }

    #[test]
    fn as_they_are_written() {
        fn check(answer: Answer, expect: &str) {
            assert_eq!(String::from_utf8(answer.body()).unwrap(), expect);
        }
        let uuid = Uuid::from_u128(7);
        let fields = ClaimFields::of(&claim(), &range());
        let answer = |kind| Answer {
            kind,
            uuid,
            believed: Ok(()),
            should_yield: true,
            claim: fields,
        };
        let claim = format!(
            r#""claim":{{"port":8083,"uuid":"{uuid}","standing":"settled","incarnation":3,"sequence":5}}"#
        );
        check(
            answer(Kind::Announce),
            &format!(r#"{{"acknowledged":true,"my_uuid":"{uuid}",{claim}}}"#),
        );
        check(
            answer(Kind::Conflict),
            &format!(r#"{{"acknowledged":true,"should_yield":true,"peer_uuid":"{uuid}",{claim}}}"#),
        );
        check(
            Answer {
                claim: None,
                believed: Err("nobody is there".to_owned()),
                ..answer(Kind::Leave)
            },
            &format!(r#"{{"acknowledged":false,"my_uuid":"{uuid}","reason":"nobody is there"}}"#),
        );
    }

    #[test]
    fn the_claim_of_an_answer() {
        fn check(body: &str, expect: Option<Claim>) {
            assert_eq!(
                Answer::claim_in(body.as_bytes(), 8083, &range()),
                expect,
                "{body}"
            );
        }
        let uuid = Uuid::from_u128(7);
        let with = |port: u16, standing: &str| {
            format!(
                r#"{{"claim":{{"port":{port},"uuid":"{uuid}","standing":"{standing}","incarnation":3,"sequence":5,"more":1}}}}"#
            )
        };
        check(&with(8083, "settled"), Some(claim()));
        check(&with(8084, "settled"), None);
        check(&with(8083, "firm"), None);
        check(r#"{"acknowledged":true,"my_uuid":"x"}"#, None);
        check(r#"{"claim":null}"#, None);
        check("OK", None);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_ignored(body: Vec<u8>) {
            let _ = Answer::claim_in(&body, 8081, &range());
        }
    }
}
