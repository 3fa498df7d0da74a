//! What the supervisor tells its own nodes, over the socket `REPRAM_SUPERVISOR_FD`.
//!
//! The socket is one end of a SOCK_SEQPACKET pair, so a message is one packet, and end of
//! file means that the supervisor is gone. Messages are JSON objects and go one way only.
//! The first is a [`Hello`]; every later one repeats the siblings in full or says who stops
//! together. Unknown fields are ignored, so that either side may be the newer one.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::claim::conversation::ClaimFields;
use crate::hex;
use crate::secret::Secret;

/// Bytes in one message, at most.
///
/// A packet is copied through the socket's send buffer as a whole, and the kernel's
/// default buffer (`net.core.wmem_default`, 208 KiB) takes one of this size even while
/// another is unread. It is room for 256 siblings with names of 64 bytes, and more of those
/// with usual names, beside two secrets of 1024 bytes.
pub const MESSAGE_MAX: usize = 64 * 1024;

/// The variable of a notification (sd_notify(3)) by which a node says that it holds again
/// what it should hold; its value is `1`.
pub const REFILLED_VARIABLE: &str = "X_REPRAM_REFILLED";

/// A message from the supervisor to one of its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SupervisorMessage {
    /// The first one.
    Hello(Hello),
    /// All other nodes of the fleet that have ports, after any of them changed.
    Siblings(Vec<Sibling>),
    /// The nodes that are about to be stopped together, the receiver among them: hand
    /// nothing over to these. SIGTERM follows.
    StopTogether(Vec<Uuid>),
}

/// What a node is told before anything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hello {
    /// Secret of the gossip network; absent when it is open. Its bytes travel in
    /// hexadecimal, because they need not be text.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "secret_to_hex"
    )]
    pub secret: Option<Secret>,
    /// The secret before the last change, still accepted.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "secret_to_hex"
    )]
    pub secret_previous: Option<Secret>,
    /// Number of this start of the node, from 1.
    pub generation: u64,
    /// The claim that the supervisor holds for the node, for the node to tell who asks.
    /// Absent where ports are unique within one host only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimFields>,
    /// All other nodes of the fleet that have ports.
    pub siblings: Vec<Sibling>,
}

/// Another node of the same supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sibling {
    /// Human name.
    pub node_id: String,
    /// Identity.
    pub uuid: Uuid,
    /// Number of its latest start; 0 before the first.
    pub generation: u64,
    /// HTTP port.
    pub port: u16,
    /// Gossip port, TCP and UDP.
    pub gossip_port: u16,
    /// What it does now.
    pub state: SiblingState,
}

/// What a sibling does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SiblingState {
    /// Its process runs and is not ready.
    Starting,
    /// It is ready.
    Ready,
    /// It has no process: what its memory held is gone.
    Dead,
    /// It was asked to stop.
    Stopping,
}

/// Why a message cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// It is longer than [`MESSAGE_MAX`].
    #[error("message of {length} bytes, more than {MESSAGE_MAX}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// It cannot be written as JSON.
    #[error("message cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

/// Why received bytes are not a message. Never quotes them, for they may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are longer than [`MESSAGE_MAX`].
    #[error("message of {length} bytes, more than {MESSAGE_MAX}")]
    TooLong {
        /// Their number.
        length: usize,
    },
    /// They are not JSON of the expected shape.
    #[error("message is malformed at column {column}")]
    Malformed {
        /// Where, counted in bytes from 1; 0 when it is no single place.
        column: usize,
    },
    /// They are a JSON object, but of none of the known kinds. A newer supervisor may send
    /// such; ignore it.
    #[error("message of an unknown kind")]
    UnknownKind,
}

impl SupervisorMessage {
    /// The bytes of the message.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] when there are more siblings than fit.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let bytes = match self {
            Self::Hello(hello) => serde_json::to_vec(hello),
            Self::Siblings(siblings) => serde_json::to_vec(&SiblingsMessage { siblings }),
            Self::StopTogether(stop_together) => {
                serde_json::to_vec(&StopTogetherMessage { stop_together })
            }
        }
        .map_err(EncodeError::Json)?;
        if bytes.len() > MESSAGE_MAX {
            return Err(EncodeError::TooLong {
                length: bytes.len(),
            });
        }
        Ok(bytes)
    }

    /// The message in `bytes`, one packet.
    ///
    /// # Errors
    /// [`DecodeError`]; the packet is to be dropped.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MESSAGE_MAX {
            return Err(DecodeError::TooLong {
                length: bytes.len(),
            });
        }
        let raw: RawMessage =
            serde_json::from_slice(bytes).map_err(|error| DecodeError::Malformed {
                column: error.column(),
            })?;
        match raw {
            RawMessage {
                generation: Some(generation),
                siblings,
                secret,
                secret_previous,
                claim,
                ..
            } => {
                let siblings = siblings.unwrap_or_default();
                Ok(Self::Hello(Hello {
                    secret,
                    secret_previous,
                    generation,
                    claim,
                    siblings,
                }))
            }
            RawMessage {
                stop_together: Some(uuids),
                ..
            } => Ok(Self::StopTogether(uuids)),
            RawMessage {
                siblings: Some(siblings),
                ..
            } => Ok(Self::Siblings(siblings)),
            _ => Err(DecodeError::UnknownKind),
        }
    }
}

impl fmt::Display for SiblingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Dead => "dead",
            Self::Stopping => "stopping",
        })
    }
}

#[derive(Serialize)]
struct SiblingsMessage<'a> {
    siblings: &'a [Sibling],
}

#[derive(Serialize)]
struct StopTogetherMessage<'a> {
    stop_together: &'a [Uuid],
}

/// Any message, before its kind is known.
#[derive(Deserialize)]
struct RawMessage {
    #[serde(default, deserialize_with = "secret_from_hex")]
    secret: Option<Secret>,
    #[serde(default, deserialize_with = "secret_from_hex")]
    secret_previous: Option<Secret>,
    generation: Option<u64>,
    claim: Option<ClaimFields>,
    siblings: Option<Vec<Sibling>>,
    stop_together: Option<Vec<Uuid>>,
}

fn secret_to_hex<S: Serializer>(secret: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
    secret
        .as_ref()
        .map(|secret| hex::encode(secret.expose()))
        .serialize(to)
}

fn secret_from_hex<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    let bytes = hex::decode(&text).ok_or_else(|| serde::de::Error::custom("not hexadecimal"))?;
    Ok(Some(Secret::new(bytes)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claim::conversation::StandingWord;

    fn sibling(name: &str, state: SiblingState) -> Sibling {
        Sibling {
            node_id: name.to_owned(),
            uuid: Uuid::from_u128(7),
            generation: 2,
            port: 8082,
            gossip_port: 9082,
            state,
        }
    }

    #[test]
    fn messages_as_they_are_written() {
        fn check(message: SupervisorMessage, expect: &str) {
            let bytes = message.encode().unwrap();
            assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expect);
            assert_eq!(SupervisorMessage::decode(&bytes), Ok(message));
        }
        let uuid = "00000000-0000-0000-0000-000000000007";
        check(
            SupervisorMessage::Hello(Hello {
                secret: Some(Secret::new(*b"ab\xff")),
                secret_previous: Some(Secret::new(*b"old")),
                generation: 3,
                claim: Some(ClaimFields {
                    port: 8081,
                    uuid: Uuid::from_u128(7),
                    standing: StandingWord::Settled,
                    incarnation: 1,
                    sequence: 4,
                }),
                siblings: vec![],
            }),
            &format!(
                r#"{{"secret":"6162ff","secret_previous":"6f6c64","generation":3,"claim":{{"port":8081,"uuid":"{uuid}","standing":"settled","incarnation":1,"sequence":4}},"siblings":[]}}"#
            ),
        );
        check(
            SupervisorMessage::Hello(Hello {
                secret: None,
                secret_previous: None,
                generation: 1,
                claim: None,
                siblings: vec![],
            }),
            r#"{"generation":1,"siblings":[]}"#,
        );
        check(
            SupervisorMessage::Siblings(vec![sibling("flux-node-2", SiblingState::Ready)]),
            &format!(
                r#"{{"siblings":[{{"node_id":"flux-node-2","uuid":"{uuid}","generation":2,"port":8082,"gossip_port":9082,"state":"ready"}}]}}"#
            ),
        );
        check(
            SupervisorMessage::StopTogether(vec![Uuid::from_u128(7)]),
            &format!(r#"{{"stop_together":["{uuid}"]}}"#),
        );
    }

    #[test]
    fn what_is_read() {
        fn check(text: &str, expect: Result<SupervisorMessage, DecodeError>) {
            assert_eq!(SupervisorMessage::decode(text.as_bytes()), expect, "{text}");
        }
        let malformed = |column| Err(DecodeError::Malformed { column });
        check(
            r#"{"siblings":[],"new":{}}"#,
            Ok(SupervisorMessage::Siblings(vec![])),
        );
        check(
            r#"{"generation":1,"secret":null,"new":1}"#,
            Ok(SupervisorMessage::Hello(Hello {
                secret: None,
                secret_previous: None,
                generation: 1,
                claim: None,
                siblings: vec![],
            })),
        );
        check("{}", Err(DecodeError::UnknownKind));
        check(r#"{"reload":true}"#, Err(DecodeError::UnknownKind));
        check("", malformed(0));
        check("[]", malformed(2));
        check(r#"{"generation":-1}"#, malformed(16));
        check(r#"{"secret":"xyz","generation":1}"#, malformed(15));
        check(r#"{"siblings":[{"node_id":"a"}]}"#, malformed(28));
        check(r#"{"stop_together":["me"]}"#, malformed(22));
    }

    #[test]
    fn the_bound_holds_on_both_sides() {
        let longest = Sibling {
            generation: u64::MAX,
            port: u16::MAX,
            gossip_port: u16::MAX,
            ..sibling(&"n".repeat(64), SiblingState::Starting)
        };
        let hello = |count| Hello {
            secret: Some(Secret::new([0; 1024])),
            secret_previous: Some(Secret::new([0; 1024])),
            generation: u64::MAX,
            claim: Some(ClaimFields {
                port: u16::MAX,
                uuid: Uuid::from_u128(7),
                standing: StandingWord::Tentative,
                incarnation: u64::MAX,
                sequence: u64::MAX,
            }),
            siblings: vec![longest.clone(); count],
        };
        SupervisorMessage::Hello(hello(256))
            .encode()
            .expect("256 siblings fit");
        let too_many = SupervisorMessage::Hello(hello(512)).encode();
        assert!(matches!(too_many, Err(EncodeError::TooLong { .. })));

        let mut bytes = br#"{"siblings":[]}"#.to_vec();
        bytes.resize(MESSAGE_MAX, b' ');
        assert_eq!(
            SupervisorMessage::decode(&bytes),
            Ok(SupervisorMessage::Siblings(vec![]))
        );
        bytes.push(b' ');
        let length = bytes.len();
        assert_eq!(
            SupervisorMessage::decode(&bytes),
            Err(DecodeError::TooLong { length })
        );
    }

    #[test]
    fn no_secret_is_shown() {
        let hello = Hello {
            secret: Some(Secret::new(*b"hunter2")),
            secret_previous: None,
            generation: 1,
            claim: None,
            siblings: vec![],
        };
        assert!(!format!("{hello:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes: Vec<u8>) {
            let _ = SupervisorMessage::decode(&bytes);
        }
    }
}
