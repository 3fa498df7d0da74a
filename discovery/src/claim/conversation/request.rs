//! The three requests, in all their spellings.

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::fields::StandingWord;
use crate::claim::core::{Claim, Message, Stamp};
use crate::slot::PortRange;

/// Bytes of a request's body, at most. Ours have 300; a node's name may have some more.
pub const REQUEST_MAX: usize = 4096;

/// Which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `POST /peer_announce`: somebody holds a port.
    Announce,
    /// `POST /conflict_resolution`: somebody holds a port that the receiver holds as well.
    Conflict,
    /// `POST /peer_leaving`: somebody holds a port no more.
    Leave,
}

/// What a request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The HTTP port that it is about.
    pub port: u16,
    /// Whose port it is. The first version does not tell.
    pub uuid: Option<Uuid>,
    /// The human name of it.
    pub node_id: Option<String>,
    /// How firm the claim is; absent from earlier versions, and when it is given up.
    pub standing: Option<StandingWord>,
    /// The age of the statement; absent from earlier versions.
    pub stamp: Option<Stamp>,
}

/// Why a body is not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is not a JSON object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// It names no port.
    #[error("the body names no port from 1 to 65535 as `{}` or `{}`", names[0], names[1])]
    NoPort {
        /// How the port is called in the two spellings.
        names: [&'static str; 2],
    },
}

/// How the fields are called, ours and the first version's name before the second's.
struct Names {
    port: [&'static str; 2],
    uuid: &'static str,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Announce, Self::Conflict, Self::Leave];

    /// The path, without a prefix.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Announce => "/peer_announce",
            Self::Conflict => "/conflict_resolution",
            Self::Leave => "/peer_leaving",
        }
    }

    /// The kind with this path.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.path() == path)
    }

    const fn names(self) -> Names {
        match self {
            Self::Announce => Names {
                port: ["http_port", "new_peer_port"],
                uuid: "new_peer_uuid",
            },
            Self::Conflict => Names {
                port: ["http_port", "conflicting_port"],
                uuid: "my_uuid",
            },
            Self::Leave => Names {
                port: ["http_port", "departing_port"],
                uuid: "departing_uuid",
            },
        }
    }
}

/// A request as it is written: both spellings at once.
#[derive(Serialize)]
struct Written<'a> {
    node_id: &'a str,
    http_port: u16,
    /// Seconds since the Unix epoch, for people; what counts is the signature's.
    timestamp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<StandingWord>,
    incarnation: u64,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(flatten)]
    spelled: Map<String, Value>,
}

impl Request {
    /// Reads a body. What is not as expected beside the port counts as absent.
    ///
    /// # Errors
    /// [`RequestError`]; the answer is 400.
    pub fn parse(kind: Kind, body: &[u8]) -> Result<Self, RequestError> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
            return Err(RequestError::NotAnObject);
        };
        let names = kind.names();
        let number = |name| fields.get(name).and_then(Value::as_u64);
        let text = |name| fields.get(name).and_then(Value::as_str);
        let port = names.port.into_iter().find_map(|name| {
            let port = u16::try_from(number(name)?).ok()?;
            (port != 0).then_some(port)
        });
        let stamp = number("incarnation").zip(number("sequence"));
        Ok(Self {
            port: port.ok_or(RequestError::NoPort { names: names.port })?,
            uuid: text(names.uuid).and_then(|uuid| uuid.parse().ok()),
            node_id: text("node_id").map(str::to_owned),
            standing: fields
                .get("standing")
                .and_then(|word| serde_json::from_value(word.clone()).ok()),
            stamp: stamp.map(|(incarnation, sequence)| Stamp {
                incarnation,
                sequence,
            }),
        })
    }

    /// The request that carries `message`. A leave does not say which port it is about:
    /// that is `last`, the slot that was claimed last.
    ///
    /// # Panics
    /// When the range has no such slot.
    #[must_use]
    pub fn of_message(
        message: &Message,
        last: u16,
        node_id: &str,
        range: &PortRange,
    ) -> (Kind, Self) {
        let with_claim = |claim: &Claim| (claim.slot, claim.uuid, Some(claim.standing));
        let (kind, (slot, uuid, standing), stamp) = match message {
            Message::Announce(claim) => (Kind::Announce, with_claim(claim), claim.stamp),
            Message::Conflict(claim) => (Kind::Conflict, with_claim(claim), claim.stamp),
            Message::Leave { uuid, stamp } => (Kind::Leave, (last, *uuid, None), *stamp),
        };
        let request = Self {
            port: range
                .slot(slot)
                .expect("claims are to slots of the range")
                .http,
            uuid: Some(uuid),
            node_id: Some(node_id.to_owned()),
            standing: standing.map(StandingWord::from),
            stamp: Some(stamp),
        };
        (kind, request)
    }

    /// The body, at the wall-clock time `now_ms` since the Unix epoch.
    #[must_use]
    pub fn body(&self, kind: Kind, now_ms: u64) -> Vec<u8> {
        let names = kind.names();
        let mut spelled = Map::new();
        spelled.insert(names.port[1].to_owned(), self.port.into());
        spelled.insert(
            names.uuid.to_owned(),
            self.uuid.map(|uuid| uuid.to_string()).into(),
        );
        let stamp = self.stamp.unwrap_or(Stamp {
            incarnation: 0,
            sequence: 0,
        });
        let written = Written {
            node_id: self.node_id.as_deref().unwrap_or_default(),
            http_port: self.port,
            timestamp: now_ms / 1000,
            standing: self.standing,
            incarnation: stamp.incarnation,
            sequence: stamp.sequence,
            reason: (kind == Kind::Leave).then_some("released"),
            spelled,
        };
        serde_json::to_vec(&written).expect("a request is plain data")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claim::core::Standing;

    fn range() -> PortRange {
        PortRange::new(8081, 10, 1000).unwrap()
    }

    fn claim() -> Claim {
        Claim {
            uuid: Uuid::from_u128(7),
            slot: 2,
            standing: Standing::Tentative,
            stamp: Stamp {
                incarnation: 3,
                sequence: 5,
            },
        }
    }

    #[test]
    fn as_they_are_written_and_read_back() {
        fn check(message: Message, kind: Kind, expect: &str) {
            let (found, request) = Request::of_message(&message, 2, "flux-node-1", &range());
            assert_eq!(found, kind);
            let body = request.body(kind, 1_700_000_000_999);
            assert_eq!(String::from_utf8(body.clone()).unwrap(), expect);
            assert_eq!(Request::parse(kind, &body), Ok(request));
        }
        let uuid = Uuid::from_u128(7);
        let head = r#"{"node_id":"flux-node-1","http_port":8083,"timestamp":1700000000"#;
        let stamp = r#""incarnation":3,"sequence":5"#;
        check(
            Message::Announce(claim()),
            Kind::Announce,
            &format!(
                r#"{head},"standing":"tentative",{stamp},"new_peer_port":8083,"new_peer_uuid":"{uuid}"}}"#
            ),
        );
        check(
            Message::Conflict(Claim {
                standing: Standing::Settled,
                ..claim()
            }),
            Kind::Conflict,
            &format!(
                r#"{head},"standing":"settled",{stamp},"conflicting_port":8083,"my_uuid":"{uuid}"}}"#
            ),
        );
        check(
            Message::Leave {
                uuid,
                stamp: claim().stamp,
            },
            Kind::Leave,
            &format!(
                r#"{head},{stamp},"reason":"released","departing_port":8083,"departing_uuid":"{uuid}"}}"#
            ),
        );
    }

    #[test]
    fn earlier_spellings() {
        fn check(kind: Kind, body: &str, port: u16, uuid: Option<u128>, node_id: Option<&str>) {
            let expect = Request {
                port,
                uuid: uuid.map(Uuid::from_u128),
                node_id: node_id.map(str::to_owned),
                standing: None,
                stamp: None,
            };
            assert_eq!(Request::parse(kind, body.as_bytes()), Ok(expect), "{body}");
        }
        let uuid = "00000000-0000-0000-0000-000000000009";
        check(
            Kind::Announce,
            r#"{"node_id":"n","http_port":8081,"timestamp":1}"#,
            8081,
            None,
            Some("n"),
        );
        check(
            Kind::Announce,
            &format!(r#"{{"new_peer_port":8082,"new_peer_uuid":"{uuid}","timestamp":"now"}}"#),
            8082,
            Some(9),
            None,
        );
        check(
            Kind::Leave,
            r#"{"node_id":"n","http_port":8081,"reason":"shutdown"}"#,
            8081,
            None,
            Some("n"),
        );
        check(
            Kind::Leave,
            &format!(r#"{{"departing_port":8081,"departing_uuid":"{uuid}","reason":1}}"#),
            8081,
            Some(9),
            None,
        );
        check(
            Kind::Conflict,
            &format!(r#"{{"conflicting_port":8081,"my_uuid":"{uuid}","timestamp":1}}"#),
            8081,
            Some(9),
            None,
        );
    }

    #[test]
    fn what_is_no_request() {
        fn check(body: &str, expect: &str) {
            let error = Request::parse(Kind::Announce, body.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), expect, "{body}");
        }
        let no_port = "the body names no port from 1 to 65535 as `http_port` or `new_peer_port`";
        check("", "the body is not a JSON object");
        check("[1]", "the body is not a JSON object");
        check("{}", no_port);
        check(r#"{"http_port":0}"#, no_port);
        check(r#"{"http_port":65536}"#, no_port);
        check(r#"{"http_port":"8081"}"#, no_port);
        check(r#"{"departing_port":8081}"#, no_port);
    }

    #[test]
    fn paths() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_path(kind.path()), Some(kind));
        }
        assert_eq!(Kind::of_path("/health"), None);
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body: Vec<u8>) {
            for kind in Kind::ALL {
                let _ = Request::parse(kind, &body);
            }
        }
    }
}
