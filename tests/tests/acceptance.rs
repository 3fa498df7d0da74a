//! What somebody does who has just started a fleet: look for the nodes, ask who knows
//! whom, write to one, read from the others.

use std::collections::BTreeSet;

use repram_tests::{Fleet, Node, Sandbox};

/// The largest body that a node takes.
const LARGEST: usize = 10 * 1024 * 1024;

fn three_nodes() -> (Fleet, Vec<Node>) {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    let nodes = fleet.wait_for_nodes(3);
    (fleet, nodes)
}

#[test]
fn three_nodes_stand_on_the_first_ports_and_know_each_other() {
    let (fleet, nodes) = three_nodes();
    let ports: Vec<_> = nodes.iter().map(|node| node.port).collect();
    assert_eq!(ports, [0, 1, 2].map(|slot| fleet.http_port(slot)));
    let ids: Vec<_> = nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, ["flux-node-1", "flux-node-2", "flux-node-3"]);
    for node in &nodes {
        assert_eq!(node.generation, 1, "{}", node.id);
        let peers = node.get("/peers").json();
        let others = nodes.iter().filter(|other| other.id != node.id);
        for other in others {
            let listed = peers["peers"].as_array().expect("peers is a list");
            let entry = listed
                .iter()
                .find(|peer| peer["uuid"] == other.uuid.as_str());
            let entry = entry.unwrap_or_else(|| panic!("{} is missing in {peers}", other.id));
            assert_eq!(entry["node_id"], other.id.as_str(), "{peers}");
            assert_eq!(entry["port"], other.port, "{peers}");
        }
        let claimed: BTreeSet<_> = peers["claimed_ports"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_u64)
            .collect();
        assert!(
            ports.iter().all(|port| claimed.contains(&u64::from(*port))),
            "{peers}"
        );
    }
    fleet.stop();
}

#[test]
fn a_value_written_to_one_is_read_from_all() {
    let (fleet, nodes) = three_nodes();
    let every_byte: Vec<u8> = (0..=u8::MAX).cycle().take(64 * 1024 + 1).collect();
    let largest: Vec<u8> = every_byte.iter().copied().cycle().take(LARGEST).collect();
    let bodies: [(&str, &[u8]); 4] = [
        ("text", "Grüße, everyone\n".as_bytes()),
        ("binary", &every_byte),
        ("empty", b""),
        ("largest", &largest),
    ];
    for (writer, prefix) in nodes.iter().zip(["", "/v1", ""]) {
        for (name, body) in bodies {
            let key = format!("{name}-from-{}", writer.id);
            let written = writer.put(&format!("{prefix}/data/{key}?ttl=600"), body);
            assert_eq!(written.status, 201, "{key}: {}", written.text());
            for reader in &nodes {
                for prefix in ["", "/v1"] {
                    let read = reader.get(&format!("{prefix}/data/{key}"));
                    assert_eq!(
                        read.status,
                        200,
                        "{key} from {}: {}",
                        reader.id,
                        read.text()
                    );
                    assert!(
                        read.body == body,
                        "{key} from {} is not what was written",
                        reader.id
                    );
                    assert_eq!(read.header("X-Original-TTL"), Some("600"), "{key}");
                }
            }
        }
    }
    fleet.stop();
}

#[test]
fn every_node_lists_the_keys_of_all() {
    let (fleet, nodes) = three_nodes();
    for node in &nodes {
        assert_eq!(
            node.put(&format!("/data/list%2F{}", node.id), b"x").status,
            201
        );
    }
    assert_eq!(nodes[0].put("/data/other", b"x").status, 201);
    let expected: Vec<_> = nodes
        .iter()
        .map(|node| format!("list/{}", node.id))
        .collect();
    for node in &nodes {
        let listed = node.get("/keys?prefix=list%2F").json();
        assert_eq!(
            listed["keys"],
            serde_json::json!(expected),
            "from {}",
            node.id
        );
    }
    fleet.stop();
}

#[test]
fn what_cannot_be_stored_is_refused_with_a_reason() {
    let (fleet, nodes) = three_nodes();
    let too_large = vec![0; LARGEST + 1];
    let long_key = "k".repeat(1025);
    let cases: [(&str, &[u8], u16); 5] = [
        ("/data/large", &too_large, 413),
        ("/data/key?ttl=0", b"", 400),
        ("/data/key?ttl=soon", b"", 400),
        ("/data/%ff", b"", 400),
        (&format!("/data/{long_key}"), b"", 400),
    ];
    for (path, body, status) in cases {
        let answer = nodes[0].put(path, body);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(
            answer.header("Content-Type"),
            Some("application/problem+json"),
            "{path}"
        );
        assert!(
            answer.json()["detail"].is_string(),
            "{path}: {}",
            answer.text()
        );
    }
    assert_eq!(nodes[1].get("/data/never-written").status, 404);
    fleet.stop();
}
