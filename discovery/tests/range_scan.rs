//! The scan of the range against whoever may listen there.

mod ports;

use std::net::{IpAddr, Ipv4Addr};

use repram_discovery::peers::{
    ANSWER_MAX, Found, PeerSource, RangeScan, ScanConfig, SiblingPorts, SourceError, Sources,
};
use repram_discovery::public_ports::PublicPorts;
use repram_discovery::slot::PortRange;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::ports::pick;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const OFFSET: u16 = 1000;

/// What a port of the range does.
enum Port {
    /// Nobody listens.
    Closed,
    /// Answers every connection with these bytes, whatever it asked.
    Answers(Vec<u8>),
}

fn answer(status: &str, body: &str) -> Port {
    let length = body.len();
    Port::Answers(
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
            .into_bytes(),
    )
}

fn health(uuid: u128, status: &str, domain: &str, network: &str) -> String {
    let uuid = Uuid::from_u128(uuid);
    format!(
        r#"{{"status":"{status}","node_id":"n","uuid":"{uuid}","domain":"{domain}","network":"{network}","active_peers":0}}"#
    )
}

async fn serve(listener: TcpListener, bytes: Vec<u8>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).await.unwrap();
        assert!(request[..length].starts_with(b"GET /health HTTP/1.1\r\n"));
        // A client that has seen enough may close early.
        let _ = stream.write_all(&bytes).await;
    }
}

/// A range of ports that were free a moment ago, with a listener on each.
async fn listeners(count: u16) -> (PortRange, Vec<TcpListener>) {
    for _ in 0..100 {
        let base = pick().clamp(1024, 60_000);
        let range = PortRange::new(base, count, OFFSET).unwrap();
        let mut listeners = Vec::new();
        for slot in range.slots() {
            listeners.extend(TcpListener::bind((LOCALHOST, slot.http)).await.ok());
        }
        if listeners.len() == usize::from(count) {
            return (range, listeners);
        }
    }
    panic!("no {count} free ports in a row in 100 attempts")
}

/// Scans a range whose ports behave like `ports`, as the node 1 of network `public` in the
/// domain `127.0.0.1`. Returns the index of each slot found, with its identity.
async fn scan(ports: Vec<Port>) -> Vec<(u16, u128)> {
    let (range, listeners) = listeners(u16::try_from(ports.len()).unwrap()).await;
    let mut servers = tokio::task::JoinSet::new();
    for (listener, port) in listeners.into_iter().zip(ports) {
        match port {
            Port::Closed => drop(listener),
            Port::Answers(bytes) => {
                servers.spawn(serve(listener, bytes));
            }
        }
    }
    let Found {
        candidates, error, ..
    } = scanner("127.0.0.1", range).candidates().await;
    assert!(error.is_none());
    for candidate in &candidates {
        assert_eq!(candidate.http.ip(), LOCALHOST);
        assert_eq!(candidate.gossip.port(), candidate.http.port() + OFFSET);
        assert_eq!(candidate.source, "scan");
    }
    let found = candidates.iter().map(|candidate| {
        let slot = range.slot_of_http(candidate.http.port()).unwrap();
        (slot.index, candidate.uuid.unwrap().as_u128())
    });
    found.collect()
}

fn scanner(domain: &str, range: PortRange) -> RangeScan {
    let config = ScanConfig {
        domain: domain.to_owned(),
        network: "public".to_owned(),
        range,
        uuid: Uuid::from_u128(1),
        ports: PublicPorts::default(),
        siblings: SiblingPorts::default(),
    };
    RangeScan::new(config).unwrap()
}

#[tokio::test]
async fn peers_are_found_and_others_are_not() {
    let peer = |uuid| answer("200 OK", &health(uuid, "healthy", "127.0.0.1", "public"));
    let found = scan(vec![
        peer(5),
        Port::Closed,
        peer(4),
        // Ourselves, and a peer that was found on another port.
        peer(1),
        peer(4),
        // Not of our domain or network, or not saying so.
        answer("200 OK", &health(6, "healthy", "example.test", "public")),
        answer("200 OK", &health(7, "healthy", "127.0.0.1", "private")),
        answer(
            "200 OK",
            r#"{"status":"healthy","node_id":"n","active_peers":0}"#,
        ),
        // Nodes that are no peers, and one that is not ready but will be.
        answer(
            "503 Service Unavailable",
            &health(8, "claiming", "127.0.0.1", "public"),
        ),
        answer(
            "503 Service Unavailable",
            &health(9, "draining", "127.0.0.1", "public"),
        ),
        answer(
            "503 Service Unavailable",
            &health(10, "starting", "127.0.0.1", "public"),
        ),
    ])
    .await;
    assert_eq!(found, [(0, 5), (2, 4), (10, 10)]);
}

#[tokio::test]
async fn siblings_are_not_asked() {
    let (range, listeners) = listeners(2).await;
    let ports = SiblingPorts::default();
    let config = ScanConfig {
        domain: "127.0.0.1".to_owned(),
        network: "public".to_owned(),
        range,
        uuid: Uuid::from_u128(1),
        ports: PublicPorts::default(),
        siblings: ports.clone(),
    };
    let scan = RangeScan::new(config).unwrap();
    ports.set(range.slots().map(|slot| slot.http));
    let found = scan.candidates().await;
    assert!(found.candidates.is_empty() && found.error.is_none());
    for listener in listeners {
        let listener = listener.into_std().unwrap();
        let error = listener.accept().expect_err("nobody has connected");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[tokio::test]
async fn strangers_do_no_harm() {
    let padding = " ".repeat(ANSWER_MAX);
    let found = scan(vec![
        answer("200 OK", "<html>"),
        answer("200 OK", ""),
        answer(
            "200 OK",
            &(health(5, "healthy", "127.0.0.1", "public") + &padding),
        ),
        Port::Answers(b"220 smtp.example.test ESMTP\r\n".to_vec()),
        Port::Answers(Vec::new()),
        Port::Answers(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec()),
        Port::Answers(
            b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_vec(),
        ),
        answer("200 OK", &health(2, "healthy", "127.0.0.1", "public")),
    ])
    .await;
    assert_eq!(found, [(7, 2)]);
}

#[tokio::test]
async fn a_domain_that_does_not_resolve_is_reported() {
    let range = PortRange::new(8081, 10, OFFSET).unwrap();
    let domain = "a".repeat(64);
    let found = scanner(&domain, range).candidates().await;
    assert!(matches!(found.error, Some(SourceError::Unresolved(_))));

    let sources = Sources::new(vec![Box::new(scanner(&domain, range))]);
    assert_eq!(sources.round().await, []);
    let report = &sources.reports()[0];
    assert_eq!((report.method, report.tried), ("scan", 1));
    let error = report.error.as_deref().unwrap();
    assert!(
        error.starts_with(&format!("{domain} does not resolve: ")),
        "{error}"
    );
}
