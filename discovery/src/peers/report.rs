use std::time::{Duration, Instant};

use serde::Serialize;

use super::Found;
use crate::chain::chain;

/// How one source of peers does, as `/cluster/discovery/health` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`super::PeerSource::name`].
    pub method: &'static str,
    /// Rounds that have ended, or questions of a source that asks at its own pace.
    pub tried: u64,
    /// How the last of them ended; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
    /// What went wrong in it, with its causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Candidates that it found.
    pub peers: usize,
    /// How long ago it ended, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything could be asked, though perhaps nobody was there.
    Ok,
    /// Something went wrong; there may be candidates nevertheless.
    Partial,
    /// Something went wrong, and nothing was found.
    Failed,
}

/// What is remembered of the rounds of one source.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    tried: u64,
    last: Option<Round>,
}

#[derive(Clone, Debug)]
struct Round {
    outcome: Outcome,
    error: Option<String>,
    peers: usize,
    duration: Duration,
    ended: Instant,
}

impl History {
    pub(super) fn record(&mut self, found: &Found, started: Instant, ended: Instant) {
        let outcome = match (&found.error, found.candidates.is_empty()) {
            (None, _) => Outcome::Ok,
            (Some(_), false) => Outcome::Partial,
            (Some(_), true) => Outcome::Failed,
        };
        let (tried, duration, ended) = match found.asked {
            Some(asked) => (asked.times, asked.duration, asked.ended),
            None => {
                let duration = ended.saturating_duration_since(started);
                (self.tried + 1, duration, ended)
            }
        };
        self.tried = tried;
        self.last = Some(Round {
            outcome,
            error: found.error.as_ref().map(|error| chain(error)),
            peers: found.candidates.len(),
            duration,
            ended,
        });
    }

    pub(super) fn report(&self, method: &'static str, now: Instant) -> Report {
        let last = self.last.as_ref();
        Report {
            method,
            tried: self.tried,
            result: last.map(|round| round.outcome),
            error: last.and_then(|round| round.error.clone()),
            duration_ms: last.map(|round| millis(round.duration)),
            peers: last.map_or(0, |round| round.peers),
            age_ms: last.map(|round| millis(now.saturating_duration_since(round.ended))),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;

    use super::*;
    use crate::domain::ResolveError;
    use crate::peers::{Asked, Candidate, SourceError};

    fn found(candidates: usize, fails: bool) -> Found {
        let address = SocketAddr::from(([127, 0, 0, 1], 8081));
        let candidate = Candidate {
            uuid: None,
            node_id: None,
            http: address,
            gossip: address,
            source: "test",
        };
        let source = io::Error::other("no such host");
        let unresolved = ResolveError::Failed {
            host: "a.test".to_owned(),
            source,
        };
        Found {
            candidates: vec![candidate; candidates],
            error: fails.then_some(SourceError::Unresolved(unresolved)),
            asked: None,
        }
    }

    #[test]
    fn the_last_round_is_reported() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut history = History::default();
        let check = |history: &History, now, expect: &str| {
            let report = serde_json::to_string(&history.report("test", now)).unwrap();
            assert_eq!(report, expect);
        };
        check(&history, at(0), r#"{"method":"test","tried":0,"peers":0}"#);

        history.record(&found(0, false), at(0), at(3));
        check(
            &history,
            at(10),
            r#"{"method":"test","tried":1,"result":"ok","duration_ms":3,"peers":0,"age_ms":7}"#,
        );

        history.record(&found(0, true), at(20), at(21));
        let error = "a.test does not resolve: no such host";
        check(
            &history,
            at(21),
            &format!(
                r#"{{"method":"test","tried":2,"result":"failed","error":"{error}","duration_ms":1,"peers":0,"age_ms":0}}"#
            ),
        );

        history.record(&found(2, true), at(30), at(30));
        let report = history.report("test", at(31));
        assert_eq!((report.result, report.peers), (Some(Outcome::Partial), 2));

        // A source that asks at its own pace speaks for itself.
        let mut found = found(1, false);
        found.asked = Some(Asked {
            times: 7,
            ended: at(35),
            duration: Duration::from_millis(2),
        });
        history.record(&found, at(40), at(41));
        check(
            &history,
            at(45),
            r#"{"method":"test","tried":7,"result":"ok","duration_ms":2,"peers":1,"age_ms":10}"#,
        );
    }
}
