//! How a real node starts and stops.

mod fixture;

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Output, Stdio};

use fixture::{Node, Sockets, command};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socketpair};
use serde_json::json;
use tempfile::TempDir;

const NODE: &str = env!("CARGO_BIN_EXE_repram-node");

#[test]
fn sigterm_finishes_what_is_under_way() {
    // A grace that no slow machine uses up.
    let mut node = Node::start(&[("STOP_TIMEOUT", "60s")]);
    let mut writer = node.client();
    writer.send(
        "PUT /data/k HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n",
    );
    assert_eq!(
        writer.answer().status,
        100,
        "the request is being worked on"
    );
    let mut reader = node.client();
    reader.send("GET /health HTTP/1.1\r\nhost: x\r\n");
    let mut idle = node.client();
    assert_eq!(idle.get("/live").status, 200);

    node.signal(Signal::SIGTERM);
    assert!(idle.is_closed(), "an idle connection is closed in the end");
    reader.send("\r\n");
    let health = reader.answer();
    assert_eq!(
        (health.status, &health.json()["status"]),
        (503, &json!("draining"))
    );
    assert_eq!(health.header("connection"), Some("close"));
    writer.send("abc");
    let written = writer.answer();
    assert_eq!(
        (written.status, written.header("connection")),
        (201, Some("close"))
    );
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
}

#[test]
fn sigterm_waits_for_a_large_body_and_for_all_that_was_asked_at_once() {
    const HALF: usize = 2 * 1024 * 1024;
    let mut node = Node::start(&[("STOP_TIMEOUT", "60s")]);
    let mut writer = node.client();
    let length = 2 * HALF;
    writer.send(format!(
        "PUT /data/large HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"
    ));
    writer.send("x".repeat(HALF));
    let mut asks = node.client();
    asks.send("GET /live HTTP/1.1\r\nhos");
    // Accepted after the others.
    let mut idle = node.client();
    assert_eq!(idle.get("/live").status, 200);

    node.signal(Signal::SIGTERM);
    assert!(idle.is_closed(), "an idle connection is closed in the end");
    asks.send("t: x\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(asks.answer().status, 200);
    assert_eq!(asks.answer().json()["status"], "draining");
    assert!(asks.is_closed());
    writer.send("x".repeat(HALF));
    assert_eq!(writer.answer().status, 201);
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let mut node = Node::start(&[("STOP_TIMEOUT", "60s")]);
    let mut writer = node.client();
    writer.send(
        "PUT /data/k HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n",
    );
    assert_eq!(writer.answer().status, 100);
    let mut idle = node.client();
    assert_eq!(idle.get("/live").status, 200);
    node.signal(Signal::SIGTERM);
    // Two signals that come together count as one.
    assert!(idle.is_closed());
    node.signal(Signal::SIGTERM);
    assert_eq!(node.ended().code(), Some(128 + 15), "{}", node.log());
}

#[test]
fn a_closed_door_is_waited_for() {
    let node = Node::start(&[]);
    let mut kept = node.client();
    assert_eq!(kept.get("/live").status, 200);
    let door = socket2::SockRef::from(&node.sockets().http);
    door.shutdown(std::net::Shutdown::Both)
        .expect("is listening");
    assert!(
        std::net::TcpStream::connect(node.address()).is_err(),
        "refused at once"
    );
    assert_eq!(kept.get("/live").status, 200, "what is open stays open");
    door.listen(128).expect("is bound");
    assert_eq!(node.client().get("/live").status, 200);
    drop(node);
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    // 256 descriptors are not for clients.
    const LIMIT: usize = 24;
    let node = Node::start_after(&format!("ulimit -n {}", 256 + LIMIT), &[]);
    let mut clients = Vec::new();
    let (answer, mut refused) = loop {
        let mut client = node.client();
        let answer = client.get("/live");
        if answer.status != 200 {
            break (answer, client);
        }
        clients.push(client);
        assert!(clients.len() <= LIMIT);
    };
    answer.check_problem(503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(refused.is_closed());
    drop(clients);
    while node.client().get("/live").status != 200 {}
}

#[test]
fn the_supervisor_is_notified() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("can be bound");
    socket
        .set_read_timeout(Some(fixture::PATIENCE))
        .expect("is not zero");
    let next = || {
        let mut message = [0; 256];
        let count = socket.recv(&mut message).expect("a notification");
        String::from_utf8_lossy(&message[..count]).into_owned()
    };
    let path = path.display().to_string();
    let mut node = Node::start(&[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", "200000")]);
    assert!(next().contains("READY=1"));
    let beat_or_refilled = ["WATCHDOG=1", "X_REPRAM_REFILLED=1"];
    let mut beats = 0;
    while beats < 3 {
        let message = next();
        assert!(beat_or_refilled.contains(&message.trim()), "{message}");
        beats += usize::from(message.trim() == beat_or_refilled[0]);
    }
    node.signal(Signal::SIGTERM);
    while !next().contains("STOPPING=1") {}
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
}

/// A node whose supervisor is this test: its end of the pair is the node's standard input.
fn supervised(hello: &serde_json::Value) -> (Node, OwnedFd) {
    for _ in 0..20 {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).expect("a pair");
        send(
            ours.as_raw_fd(),
            hello.to_string().as_bytes(),
            MsgFlags::empty(),
        )
        .expect("fits");
        let sockets = Sockets::bind();
        let http = sockets.http.local_addr().expect("is bound");
        let gossip = sockets.gossip.local_addr().expect("is bound").port();
        drop(sockets);
        let directory = tempfile::tempdir().expect("a directory for the test");
        let log = Node::log_file(&directory);
        let mut child = command("/bin/sh", &directory)
            .args(["-c", &format!("exec 3<&0 </dev/null; exec {NODE}")])
            .env("REPRAM_SUPERVISOR_FD", "3")
            .env("REPRAM_NODE_ID", "flux-node-1")
            .env("REPRAM_NODE_UUID", "6f0f9cf6-4d0e-4d8e-8f5e-0b8f5f1d2c3b")
            .env("REPRAM_HTTP_PORT", http.port().to_string())
            .env("REPRAM_GOSSIP_PORT", gossip.to_string())
            .env_remove("REPRAM_CLUSTER_SECRET")
            .stdin(Stdio::from(theirs))
            .stderr(log.try_clone().expect("can be copied"))
            .stdout(log)
            .spawn()
            .expect("there is a shell");
        // Somebody may take a port between our letting go of it and the node's taking it.
        if fixture::lost_its_ports(&mut child, http) {
            continue;
        }
        return (Node::adopt(child, http, directory), ours);
    }
    panic!("the ports were taken twenty times in a row");
}

#[test]
fn the_supervisor_says_who_the_node_is_and_its_end_is_the_nodes() {
    let hello = json!({"secret": "00ff", "generation": 7, "siblings": []});
    let (mut node, ours) = supervised(&hello);
    let health = node.client().get("/health").json();
    assert_eq!(health["generation"], 7);
    assert_eq!(health["node_id"], "flux-node-1");
    assert!(!node.log().contains("00ff"), "{}", node.log());
    drop(ours);
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
}

#[test]
fn who_stops_with_all_others_waits_for_nobody() {
    let sibling = json!({
        "node_id": "flux-node-2", "uuid": "6f0f9cf6-4d0e-4d8e-8f5e-0b8f5f1d2c3c", "generation": 1,
        "port": 1, "gossip_port": 2, "state": "dead",
    });
    let hello = json!({"secret": "00ff", "generation": 7, "siblings": [sibling]});
    let (mut node, ours) = supervised(&hello);
    let mut idle = node.client();
    assert_eq!(idle.get("/live").status, 200);
    // In the order that is the less likely one.
    node.signal(Signal::SIGTERM);
    let order = json!({"stop_together": ["6f0f9cf6-4d0e-4d8e-8f5e-0b8f5f1d2c3b"]}).to_string();
    send(ours.as_raw_fd(), order.as_bytes(), MsgFlags::empty()).expect("fits");
    assert!(idle.is_closed());
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
}

#[test]
fn a_generation_is_counted_at_every_start() {
    let state = tempfile::tempdir().expect("a directory for the test");
    let path = state.path().display().to_string();
    let variables = [("STATE_DIR", path.as_str()), ("REPRAM_NODE_ID", "n")];
    let identity = || {
        let mut node = Node::start(&variables);
        let health = node.client().get("/health").json();
        node.signal(Signal::SIGTERM);
        assert_eq!(node.ended().code(), Some(0), "{}", node.log());
        (
            health["uuid"].clone(),
            health["generation"].as_u64().expect("a number"),
        )
    };
    let ((first, one), (second, two)) = (identity(), identity());
    assert_eq!((first, one + 1), (second, two));
}

fn run(directory: &TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut node: Command = command(NODE, directory);
    node.args(arguments)
        .envs(variables.iter().copied())
        .output()
        .expect("can be run")
}

#[test]
fn what_cannot_work_is_refused_with_its_reason() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let check = |arguments: &[&str], variables: &[(&str, &str)], code: i32, expect: &[&str]| {
        let output = run(&directory, arguments, variables);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        for expect in expect {
            assert!(text.contains(expect), "{expect} in {text}");
        }
    };
    check(&["--nonsense"], &[], 64, &["--nonsense", "--help"]);
    check(
        &[],
        &[("REPRAM_HTTP_PORT", "abc"), ("REPRAM_MIN_TTL", "-1")],
        78,
        &["REPRAM_HTTP_PORT", "abc", "REPRAM_MIN_TTL"],
    );
    check(&["--http-port", "0"], &[], 78, &["--http-port"]);
    check(
        &[],
        &[("REPRAM_SUPERVISOR_FD", "77")],
        70,
        &["REPRAM_SUPERVISOR_FD=77"],
    );

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("is bound").port().to_string();
    let me = std::process::id().to_string();
    check(&["--http-port", &port], &[], 69, &[&port, &me]);
    assert!(!directory.path().join("log").exists());
}

#[test]
fn help_and_version() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let text = |arguments: &[&str]| {
        let output = run(&directory, arguments, &[]);
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).expect("is text")
    };
    assert_eq!(
        text(&["--version"]),
        format!("repram-node {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert!(text(&["--help"]).contains("REPRAM_HTTP_PORT"));
}

#[test]
fn a_node_without_ports_claims_a_pair() {
    // The first slot of the range is taken.
    let taken = std::iter::repeat_with(Sockets::bind)
        .map(|sockets| sockets.http)
        .find(|http| http.local_addr().expect("is bound").port() < 65_000)
        .expect("never ends");
    let base = taken.local_addr().expect("is bound").port();
    let directory = tempfile::tempdir().expect("a directory for the test");
    let child = command(NODE, &directory)
        .env("USE_AUTO_DISCOVERY", "true")
        .env("BASE_PORT", base.to_string())
        .env("MAX_PORTS", "30")
        .env("GOSSIP_PORT_OFFSET", "100")
        .stdout(Node::log_file(&directory))
        .spawn()
        .expect("can be run");
    let port = fixture::port_in_log(&directory);
    assert!(port > base && port < base + 30, "{port}");
    let node = Node::adopt(child, SocketAddr::from(([127, 0, 0, 1], port)), directory);
    let health = node.client().get("/health").json();
    assert_eq!(
        (&health["port"], &health["discovery_enabled"]),
        (&json!(port), &json!(true))
    );
}
