//! A node that stops as it was asked to hands over what would lose copies without it.

use repram_tests::{Fleet, PATIENCE, Sandbox, get, put, wait_until};

/// Values that are written before the fleet shrinks.
const VALUES: usize = 500;

fn path(number: usize) -> String {
    format!("/data/value-{number}?ttl=3600")
}

/// Writes the values over all nodes, each acknowledged.
fn write_all(fleet: &Fleet, nodes: usize) {
    for number in 0..VALUES {
        let slot = u16::try_from(number % nodes).expect("a fleet is small");
        let body = format!("this is value {number}");
        let answer = put(fleet.http_port(slot), &path(number), body.as_bytes());
        assert_eq!(answer.expect("an answer").status, 201, "value {number}");
    }
}

/// Reads all values from a node; those that it serves now.
fn readable(port: u16) -> usize {
    let serves = |number: &usize| {
        let answer = get(port, &format!("/data/value-{number}"));
        answer.is_ok_and(|it| it.status == 200 && it.text() == format!("this is value {number}"))
    };
    (0..VALUES).filter(serves).count()
}

/// Shrinks a fleet at once from `before` nodes to `after`, each value being kept `copies`
/// times.
fn shrink(before: usize, after: usize, copies: usize) {
    let mut fleet = Sandbox::new()
        .set("NODE_COUNT", before)
        .set("REPLICATION_FACTOR", copies)
        .start();
    fleet.wait_until_refilled(before);
    write_all(&fleet, before);
    let finished = fleet.finish(&["scale", &after.to_string()]);
    assert_eq!(finished.code(), Some(0), "{}", finished.said());
    for slot in 0..after {
        let port = fleet.http_port(u16::try_from(slot).expect("a fleet is small"));
        wait_until("all values", PATIENCE, || match readable(port) {
            VALUES => Ok(()),
            fewer => Err(format!("{fewer} of {VALUES} at {port}")),
        });
    }
    fleet.stop();
}

#[test]
fn whoever_left_is_listed_as_such_for_those_who_look() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    let nodes = fleet.wait_until_refilled(3);
    let gone = &nodes[2];
    let finished = fleet.finish(&["scale", "2"]);
    assert_eq!(finished.code(), Some(0), "{}", finished.said());
    for node in &nodes[..2] {
        wait_until("a peer that left", PATIENCE, || {
            match states_of(node.port, &gone.uuid)? {
                [peers, topology] if peers == "left" && topology == "left" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        // Its port is held by nobody, and no counter says that it died.
        let listed = node.get("/peers").json();
        let held = listed["claimed_ports"].as_array().expect("a list");
        assert!(!held.iter().any(|port| *port == gone.port), "{listed}");
        let page = node.get("/metrics").text();
        for line in ["repram_peer_leaves_total 1", "repram_peer_deaths_total 0"] {
            assert!(
                page.lines().any(|found| found == line),
                "no {line} in {page}"
            );
        }
        assert_eq!(node.get("/status").json()["peers"]["left"], 1);
        assert_eq!(node.get("/health").json()["active_peers"], 1);
    }

    // It comes back as the same node, in another life.
    let finished = fleet.finish(&["scale", "3"]);
    assert_eq!(finished.code(), Some(0), "{}", finished.said());
    let back = fleet.wait_until_refilled(3);
    assert_eq!(back[2].uuid, gone.uuid);
    for node in &back[..2] {
        let alive = ["alive", "alive"].map(str::to_owned);
        assert_eq!(states_of(node.port, &gone.uuid), Ok(alive));
    }
    fleet.stop();
}

/// The state in which a node sees another, in `/peers` and in `/topology`.
fn states_of(port: u16, uuid: &str) -> Result<[String; 2], String> {
    let state = |path: &str| {
        let answer = get(port, path)?.json();
        let peers = answer["peers"].as_array().ok_or("no list")?;
        let peer = peers.iter().find(|peer| peer["uuid"] == uuid);
        let state = peer.and_then(|peer| peer["state"].as_str());
        state.map(str::to_owned).ok_or_else(|| answer.to_string())
    };
    Ok([state("/peers")?, state("/topology")?])
}

#[test]
fn going_from_six_nodes_to_two_at_once_loses_nothing() {
    shrink(6, 2, 3);
}

#[test]
fn whoever_stays_alone_has_everything() {
    shrink(4, 1, 2);
}

#[test]
fn without_copies_values_move() {
    shrink(3, 2, 1);
}
