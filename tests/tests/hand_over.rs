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
