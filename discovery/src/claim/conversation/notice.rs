//! What a node tells whoever holds its sockets: somebody has a stronger claim.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::fields::{ClaimFields, StandingWord};

/// The variable of a notification by which a node passes on a [`ConflictNotice`]
/// (sd_notify(3)).
pub const CONFLICT_VARIABLE: &str = "X_REPRAM_CONFLICT";

/// A stronger claim to the node's own slot, which the node has heard of and believes.
///
/// As text it is `PORT UUID`, which is all that a program needs to know to write one, and
/// then, each only with those before it, the standing, the two numbers of the stamp, and the
/// address of the host. A node has no reason to tell of a claim that is not settled, so that
/// is what an absent standing means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConflictNotice {
    /// The stronger claim.
    pub claim: ClaimFields,
    /// The host on which it is held.
    pub host: Option<IpAddr>,
}

/// The text is no [`ConflictNotice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not `PORT UUID [STANDING INCARNATION SEQUENCE [ADDRESS]]`")]
pub struct NoNotice;

impl fmt::Display for ConflictNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClaimFields {
            port,
            uuid,
            standing,
            incarnation,
            sequence,
        } = &self.claim;
        write!(
            f,
            "{port} {uuid} {} {incarnation} {sequence}",
            standing.as_str()
        )?;
        match self.host {
            Some(host) => write!(f, " {host}"),
            None => Ok(()),
        }
    }
}

impl FromStr for ConflictNotice {
    type Err = NoNotice;

    fn from_str(text: &str) -> Result<Self, NoNotice> {
        parse(text).ok_or(NoNotice)
    }
}

fn parse(text: &str) -> Option<ConflictNotice> {
    let mut words = text.split_ascii_whitespace();
    let port = words.next()?.parse().ok()?;
    let uuid = words.next()?.parse().ok()?;
    let rest: Vec<&str> = words.collect();
    let (standing, incarnation, sequence, host) = match rest[..] {
        [] => (StandingWord::Settled, 0, 0, None),
        [standing, incarnation, sequence, ref host @ ..] => {
            let host = match host {
                [] => None,
                // Words that a newer node adds are not for us.
                [host, ..] => Some(host.parse().ok()?),
            };
            (
                StandingWord::parse(standing)?,
                incarnation.parse().ok()?,
                sequence.parse().ok()?,
                host,
            )
        }
        _ => return None,
    };
    let claim = ClaimFields {
        port,
        uuid,
        standing,
        incarnation,
        sequence,
    };
    Some(ConflictNotice { claim, host })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn notice(standing: StandingWord, stamp: (u64, u64), host: Option<&str>) -> ConflictNotice {
        ConflictNotice {
            claim: ClaimFields {
                port: 8081,
                uuid: Uuid::from_u128(7),
                standing,
                incarnation: stamp.0,
                sequence: stamp.1,
            },
            host: host.map(|host| host.parse().unwrap()),
        }
    }

    #[test]
    fn as_it_is_written_and_read() {
        fn check(text: &str, expect: Option<ConflictNotice>) {
            let text = text.replace("UUID", "00000000-0000-0000-0000-000000000007");
            assert_eq!(text.parse().ok(), expect, "{text}");
        }
        use StandingWord::{Settled, Tentative};
        let full = notice(Tentative, (3, 5), Some("10.0.0.7"));
        let text = "8081 00000000-0000-0000-0000-000000000007 tentative 3 5 10.0.0.7";
        assert_eq!(full.to_string(), text);
        check(text, Some(full));
        check("8081 UUID", Some(notice(Settled, (0, 0), None)));
        check("8081 UUID settled 3 5", Some(notice(Settled, (3, 5), None)));
        check(
            "8081 UUID settled 3 5 ::1 x",
            Some(notice(Settled, (3, 5), Some("::1"))),
        );
        check("8081", None);
        check("8081 me", None);
        check("80810 UUID", None);
        check("8081 UUID settled", None);
        check("8081 UUID firm 3 5", None);
        check("8081 UUID settled 3 5 host", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<ConflictNotice>();
        }
    }
}
