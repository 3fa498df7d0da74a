//! The front port: one port in front of all nodes, and nothing in between.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use nix::sys::signal::Signal;
use repram_tests::{
    Fleet, Load, LoadConfig, Node, PATIENCE, PortBlock, Sandbox, get, put, wait_until,
};

/// A port of the sandbox that is no node's.
fn front_port(sandbox: &Sandbox) -> u16 {
    sandbox.http_port(PortBlock::SLOTS - 1)
}

fn start(sandbox: Sandbox) -> (Fleet, u16) {
    let port = front_port(&sandbox);
    (sandbox.set("INGRESS_PORT", port).start(), port)
}

#[track_caller]
fn wait_until_refused(port: u16) {
    wait_until("a closed door", PATIENCE, || {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

/// The port is bound, though nobody is accepted.
#[track_caller]
fn assert_held(port: u16) {
    let stolen = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let error = stolen.expect_err("the port is the supervisor's");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

/// Who answers at the front.
#[track_caller]
fn who_answers(port: u16) -> String {
    wait_until("an answer at the front", PATIENCE, || {
        let node = Node::at(port)?;
        Ok(node.id)
    })
}

#[test]
fn whichever_node_is_free_takes_a_connection() {
    let (mut fleet, port) = start(Sandbox::new());
    let nodes = fleet.wait_for_nodes(3);
    let answer = put(port, "/data/greeting?ttl=600", b"hello").expect("the front answers");
    assert_eq!(answer.status, 201);
    // Who cannot answer does not take a connection away from those who can.
    let processes: Vec<_> = nodes.iter().map(|it| fleet.process_of(&it.id)).collect();
    for (free, node) in nodes.iter().enumerate() {
        let others = processes.iter().enumerate().filter(|(at, _)| *at != free);
        let others: Vec<_> = others.map(|(_, process)| process).collect();
        for process in &others {
            process.signal(Signal::SIGSTOP);
        }
        for _ in 0..20 {
            assert_eq!(who_answers(port), node.id);
        }
        for process in &others {
            process.signal(Signal::SIGCONT);
        }
    }
    let answer = get(port, "/data/greeting").expect("the front answers");
    assert_eq!(answer.text(), "hello");
    let events = fleet.finish(&["events"]).stdout;
    let opened = format!("front port {port} open");
    assert_eq!(events.matches(&opened).count(), 1, "{events}");
    fleet.stop();
}

#[test]
fn the_front_is_closed_and_held_as_long_as_no_node_is_ready() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 1);
    let program = sandbox.write("front.py", include_str!("../programs/front.py"));
    let command = format!("python3 {}", program.display());
    let (fleet, port) = start(sandbox.set("NODE_COMMAND", command));
    let handed = wait_until("a node that is handed its sockets", PATIENCE, || {
        std::fs::read_to_string(fleet.path("handed")).map_err(|error| error.to_string())
    });
    assert_eq!(handed, format!("4 {port}"));
    wait_until_refused(port);
    assert_held(port);

    fleet.write("go", "");
    wait_until("an open door", PATIENCE, || {
        let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        connection.map_err(|error| error.to_string())
    });

    fleet.write("pause", "");
    wait_until_refused(port);
    assert_held(port);
    let events = fleet.finish(&["events"]).stdout;
    let closed = format!("front port {port} closed: no node is ready");
    assert!(events.contains(&closed), "{events}");
    fleet.stop();
}

#[test]
fn no_request_fails_at_the_front_while_nodes_are_restarted() {
    let (mut fleet, port) = start(Sandbox::new());
    let before = fleet.wait_until_refilled(3);
    let load = Load::start(LoadConfig {
        ports: vec![port],
        sessions: 16,
        pause: Duration::from_millis(10),
        short_per_second: 100,
        seed: fastrand::u64(..),
    });
    let wait_for = |count: u64| {
        let goal = load.tally().answered() + count;
        wait_until("requests that are answered", PATIENCE, || {
            let tally = load.tally();
            let reached = tally.answered() >= goal;
            reached.then_some(()).ok_or_else(|| tally.to_string())
        });
    };
    wait_for(200);
    let done = fleet.finish(&["restart", "--rolling"]);
    assert_eq!(done.code(), Some(0), "{}", done.said());
    wait_for(200);
    let after = fleet.wait_for_nodes(3);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.generation, before.generation + 1, "{}", after.id);
    }
    let tally = load.finish();
    println!("3 nodes restarted behind one port: {tally}");
    assert_eq!(tally.failures.len(), 0, "{tally}");
    assert_eq!(tally.verified, tally.written, "{tally}");
    fleet.stop();
}

#[test]
fn a_front_port_that_is_taken_stops_the_start() {
    let sandbox = Sandbox::new();
    let port = front_port(&sandbox);
    let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it is ours");
    let sandbox = sandbox.set("INGRESS_PORT", port);
    let finished = sandbox.finish(&["run"]);
    assert_eq!(finished.code(), Some(69), "{}", finished.said());
    let pid = std::process::id();
    let said = format!("the front port {port} is held by pid {pid} (");
    assert!(finished.stderr.contains(&said), "{}", finished.said());
    assert!(
        finished.stderr.contains("another INGRESS_PORT"),
        "{}",
        finished.said()
    );
    drop(stranger);
    sandbox.assert_nothing_left();
}
