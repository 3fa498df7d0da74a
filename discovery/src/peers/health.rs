use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::claim::conversation::ClaimFields;

/// What `GET /health` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether it serves; with anything but `healthy` the status code is 503.
    pub status: HealthStatus,
    /// Human name.
    pub node_id: String,
    /// Identity.
    pub uuid: Uuid,
    /// Number of this start.
    pub generation: u64,
    /// HTTP port.
    pub port: u16,
    /// Whole seconds since the start.
    pub uptime: u64,
    /// The domain that all nodes share.
    pub domain: String,
    /// Name of the network.
    pub network: String,
    /// Name of the enclave.
    pub enclave: String,
    /// Whether it looks for peers by itself.
    pub discovery_enabled: bool,
    /// Peers that answer, itself not counted.
    pub active_peers: usize,
    /// The claim of the port; absent where ports are unique within one host only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimFields>,
}

/// The word for how a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// It runs, but has not joined its peers yet.
    Starting,
    /// It serves.
    Healthy,
    /// The port is being claimed; no node runs there yet.
    Claiming,
    /// It stops, and takes nothing new.
    Draining,
}

/// What can be read of somebody's answer to `GET /health`.
///
/// Early versions leave most of it out, and anything may listen on the port, so a field
/// that is missing or of another type is absent, and everything else is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthAnswer {
    /// The word as it was given: a [`HealthStatus`] or something else.
    pub status: Option<String>,
    /// Human name.
    pub node_id: Option<String>,
    /// Identity.
    pub uuid: Option<Uuid>,
    /// Number of its start.
    pub generation: Option<u64>,
    /// HTTP port by its own account.
    pub port: Option<u16>,
    /// Whole seconds since its start.
    pub uptime: Option<u64>,
    /// Its domain.
    pub domain: Option<String>,
    /// Its network.
    pub network: Option<String>,
    /// Its enclave.
    pub enclave: Option<String>,
    /// Its claim of the port.
    pub claim: Option<ClaimFields>,
}

impl HealthStatus {
    /// The word as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Claiming => "claiming",
            Self::Draining => "draining",
        }
    }
}

impl HealthAnswer {
    /// Reads the body of an answer; nothing when it is not a JSON object.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
            return None;
        };
        let text = |name| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            status: text("status"),
            node_id: text("node_id"),
            uuid: fields
                .get("uuid")
                .and_then(Value::as_str)
                .and_then(|it| it.parse().ok()),
            generation: fields.get("generation").and_then(Value::as_u64),
            port: fields.get("port").and_then(port),
            uptime: fields.get("uptime").and_then(Value::as_u64),
            domain: text("domain"),
            network: text("network"),
            enclave: text("enclave"),
            claim: fields
                .get("claim")
                .and_then(|claim| serde_json::from_value(claim.clone()).ok()),
        })
    }

    /// Whether a node runs there that can be a peer: not a claimant that only answers
    /// for the port, nor a node that leaves.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let not_running = [HealthStatus::Claiming, HealthStatus::Draining];
        let status = self.status.as_deref();
        !not_running
            .into_iter()
            .any(|it| status == Some(it.as_str()))
    }

    /// Whether somebody answers for a port on which no node runs yet.
    #[must_use]
    pub fn is_claiming(&self) -> bool {
        self.status.as_deref() == Some(HealthStatus::Claiming.as_str())
    }
}

/// A port number in JSON.
pub(super) fn port(value: &Value) -> Option<u16> {
    value
        .as_u64()
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn health() -> Health {
        Health {
            status: HealthStatus::Healthy,
            node_id: "flux-node-1".to_owned(),
            uuid: Uuid::from_u128(1),
            generation: 3,
            port: 8081,
            uptime: 12,
            domain: "localhost".to_owned(),
            network: "public".to_owned(),
            enclave: "default".to_owned(),
            discovery_enabled: true,
            active_peers: 2,
            claim: None,
        }
    }

    #[test]
    fn as_it_is_written() {
        let expect = r#"{"status":"healthy","node_id":"flux-node-1","uuid":"00000000-0000-0000-0000-000000000001","generation":3,"port":8081,"uptime":12,"domain":"localhost","network":"public","enclave":"default","discovery_enabled":true,"active_peers":2}"#;
        assert_eq!(serde_json::to_string(&health()).unwrap(), expect);
        for status in [
            HealthStatus::Healthy,
            HealthStatus::Claiming,
            HealthStatus::Draining,
        ] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }

    #[test]
    fn as_it_is_read() {
        fn check(body: &str, expect: Option<HealthAnswer>) {
            assert_eq!(HealthAnswer::parse(body.as_bytes()), expect, "{body}");
        }
        let text = |text: &str| Some(text.to_owned());
        check(
            &serde_json::to_string(&health()).unwrap(),
            Some(HealthAnswer {
                status: text("healthy"),
                node_id: text("flux-node-1"),
                uuid: Some(Uuid::from_u128(1)),
                generation: Some(3),
                port: Some(8081),
                uptime: Some(12),
                domain: text("localhost"),
                network: text("public"),
                enclave: text("default"),
                claim: None,
            }),
        );
        // The first version.
        check(
            r#"{"status":"healthy","node_id":"n","discovery_enabled":true,"active_peers":0}"#,
            Some(HealthAnswer {
                status: text("healthy"),
                node_id: text("n"),
                ..HealthAnswer::default()
            }),
        );
        check(
            r#"{"status":1,"uuid":"no","port":70000,"generation":-1,"domain":null}"#,
            Some(HealthAnswer::default()),
        );
        check("{}", Some(HealthAnswer::default()));
        check("[]", None);
        check("OK", None);
        check("", None);
    }

    #[test]
    fn who_runs() {
        fn check(status: Option<&str>, expect: bool) {
            let status = status.map(str::to_owned);
            assert_eq!(
                HealthAnswer {
                    status,
                    ..HealthAnswer::default()
                }
                .is_running(),
                expect
            );
        }
        check(Some("healthy"), true);
        check(Some("starting"), true);
        check(None, true);
        check(Some("claiming"), false);
        check(Some("draining"), false);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = HealthAnswer::parse(&body);
        }
    }
}
