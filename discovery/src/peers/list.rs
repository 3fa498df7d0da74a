use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use super::health::port;

/// What `GET /peers` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Peers {
    /// The others.
    pub peers: Vec<ListedPeer>,
    /// All HTTP ports known to be held in this scope, ascending, our own included.
    pub claimed_ports: Vec<u16>,
    /// When the answer was made.
    pub last_updated: UnixMillis,
}

/// One of the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedPeer {
    /// Human name.
    pub node_id: String,
    /// Identity.
    pub uuid: Uuid,
    /// Host, name or address, without a port.
    pub address: String,
    /// HTTP port.
    pub port: u16,
    /// Gossip port.
    pub gossip_port: u16,
    /// What the answering node thinks of it, in one word.
    pub state: &'static str,
    /// When it was last heard of.
    pub last_seen: UnixMillis,
}

/// A wall-clock time in milliseconds since the Unix epoch, written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMillis(pub u64);

/// What can be read of somebody's answer to `GET /peers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeersAnswer {
    /// The peers that were given with a usable port.
    pub peers: Vec<PeerAnswer>,
    /// The usable ports among `claimed_ports`.
    pub claimed_ports: Vec<u16>,
}

/// What can be read of one peer. The first version lists ports only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAnswer {
    /// HTTP port.
    pub port: u16,
    /// Gossip port.
    pub gossip_port: Option<u16>,
    /// Host, name or address.
    pub address: Option<String>,
    /// Identity.
    pub uuid: Option<Uuid>,
    /// Human name.
    pub node_id: Option<String>,
}

impl UnixMillis {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl ListedPeer {
    /// The place of `http` and `gossip_port` as it is listed.
    #[must_use]
    pub fn address_of(http: SocketAddr) -> String {
        http.ip().to_canonical().to_string()
    }
}

impl Serialize for UnixMillis {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Past the year 9999 there is no such text; the last one is as wrong as any.
        let time = i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .unwrap_or(jiff::Timestamp::MAX);
        to.collect_str(&format_args!("{time:.3}"))
    }
}

impl PeersAnswer {
    /// Reads the body of an answer; nothing when it is not a JSON object. What is not as
    /// expected inside is left out.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
            return None;
        };
        let list = |name| {
            fields
                .get(name)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        Some(Self {
            peers: list("peers").filter_map(peer).collect(),
            claimed_ports: list("claimed_ports").filter_map(port).collect(),
        })
    }
}

fn peer(value: &Value) -> Option<PeerAnswer> {
    let text = |name| value.get(name).and_then(Value::as_str);
    let number = value.get("port").unwrap_or(value);
    Some(PeerAnswer {
        port: port(number)?,
        gossip_port: value.get("gossip_port").and_then(port),
        address: text("address").map(str::to_owned),
        uuid: text("uuid").and_then(|it| it.parse().ok()),
        node_id: text("node_id").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_and_back() {
        let peers = Peers {
            peers: vec![ListedPeer {
                node_id: "flux-node-2".to_owned(),
                uuid: Uuid::from_u128(2),
                address: "127.0.0.1".to_owned(),
                port: 8082,
                gossip_port: 9082,
                state: "alive",
                last_seen: UnixMillis(1_700_000_000_120),
            }],
            claimed_ports: vec![8081, 8082],
            last_updated: UnixMillis(1_700_000_000_000),
        };
        let text = serde_json::to_string(&peers).unwrap();
        let expect = r#"{"peers":[{"node_id":"flux-node-2","uuid":"00000000-0000-0000-0000-000000000002","address":"127.0.0.1","port":8082,"gossip_port":9082,"state":"alive","last_seen":"2023-11-14T22:13:20.120Z"}],"claimed_ports":[8081,8082],"last_updated":"2023-11-14T22:13:20.000Z"}"#;
        assert_eq!(text, expect);

        let answer = PeersAnswer::parse(text.as_bytes()).unwrap();
        assert_eq!(answer.claimed_ports, [8081, 8082]);
        let expect = PeerAnswer {
            port: 8082,
            gossip_port: Some(9082),
            address: Some("127.0.0.1".to_owned()),
            uuid: Some(Uuid::from_u128(2)),
            node_id: Some("flux-node-2".to_owned()),
        };
        assert_eq!(answer.peers, [expect]);
    }

    #[test]
    fn other_spellings() {
        fn check(body: &str, expect_ports: &[u16], expect_claimed: &[u16]) {
            let answer = PeersAnswer::parse(body.as_bytes()).unwrap();
            let ports: Vec<u16> = answer.peers.iter().map(|peer| peer.port).collect();
            assert_eq!(
                (&ports[..], &answer.claimed_ports[..]),
                (expect_ports, expect_claimed)
            );
        }
        check(
            r#"{"peers":[8081,8083],"last_updated":"x"}"#,
            &[8081, 8083],
            &[],
        );
        check(
            r#"{"peers":[{"port":8081,"uuid":"u","last_seen":1}]}"#,
            &[8081],
            &[],
        );
        check(
            r#"{"peers":[0,-1,70000,"a",{},{"port":"1"},null,1]}"#,
            &[1],
            &[],
        );
        check(r#"{"peers":{},"claimed_ports":[1,"2",3]}"#, &[], &[1, 3]);
        check("{}", &[], &[]);
        assert_eq!(PeersAnswer::parse(b"[]"), None);
    }

    #[test]
    fn times_without_a_text() {
        let text = |ms| serde_json::to_string(&UnixMillis(ms)).unwrap();
        assert_eq!(text(0), r#""1970-01-01T00:00:00.000Z""#);
        assert_eq!(text(u64::MAX), text(u64::MAX - 1));
    }

    #[test]
    fn addresses_are_listed_without_port_and_disguise() {
        let listed = |text: &str| ListedPeer::address_of(text.parse().unwrap());
        assert_eq!(listed("127.0.0.1:1"), "127.0.0.1");
        assert_eq!(listed("[::ffff:10.0.0.1]:1"), "10.0.0.1");
        assert_eq!(listed("[::1]:1"), "::1");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = PeersAnswer::parse(&body);
        }
    }
}
