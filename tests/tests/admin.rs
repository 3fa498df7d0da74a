//! The control API on a network address: who may do what, and what a stranger there cannot.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use repram_tests::{Answer, Fleet, PATIENCE, Sandbox, ask_with, wait_until};

const TOKEN: &str = "correct-horse-battery-staple";

/// Connections that ADMIN_ADDR serves at one time, as the documentation has it.
const CONNECTIONS_MAX: usize = 32;

/// A port of the test's block that no node has.
fn admin_port(sandbox: &Sandbox) -> u16 {
    sandbox.http_port(20)
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().set("NODE_COUNT", 2);
    let port = admin_port(&sandbox);
    sandbox.set("ADMIN_ADDR", format!("127.0.0.1:{port}"))
}

/// A fleet whose API wants [`TOKEN`].
fn with_token() -> Fleet {
    let sandbox = sandbox();
    let path = sandbox.write("token", &format!("{TOKEN}\n"));
    let mut fleet = sandbox.set("ADMIN_TOKEN_FILE", path.display()).start();
    fleet.wait_for_nodes(2);
    fleet
}

#[track_caller]
fn ask(fleet: &Fleet, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask_with(method, admin_port(fleet), path, headers, b"").expect("it answers")
}

#[track_caller]
fn is_problem(answer: &Answer, status: u16, words: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/problem+json"), "{}", answer.text());
    assert_eq!(answer.json()["status"], status);
    for word in words {
        let text = answer.text();
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

#[test]
fn reading_needs_no_token_and_changing_does() {
    let fleet = with_token();
    for path in [
        "/status", "/health", "/claims", "/logs", "/events", "/metrics",
    ] {
        let answer = ask(&fleet, "GET", path, &[]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(!answer.text().contains(TOKEN), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let restart = "/restart?node=1&wait=false&force=true";
    let refused = ask(&fleet, "POST", restart, &[]);
    is_problem(
        &refused,
        401,
        &["Authorization: Bearer", "ADMIN_TOKEN_FILE"],
    );
    let challenge = refused
        .header("www-authenticate")
        .expect("RFC 9110 wants one");
    assert!(challenge.starts_with("Bearer"), "{challenge}");
    let wrong = ask(
        &fleet,
        "POST",
        restart,
        &[("Authorization", "Bearer guessed")],
    );
    is_problem(&wrong, 401, &["token is wrong"]);
    let bearer = format!("Bearer {TOKEN}");
    let right = ask(&fleet, "POST", restart, &[("Authorization", &bearer)]);
    assert_eq!(right.status, 202, "{}", right.text());
    fleet.wait_for_status("a second generation", |status| {
        status["nodes"][0]["generation"] == 2 && status["nodes"][0]["state"] == "ready"
    });
    let events = ask(&fleet, "GET", "/events", &[]).text();
    assert!(events.contains("over ADMIN_ADDR"), "{events}");
    // Nobody is told the token: not who asks for the settings, and no node.
    assert!(!fleet.finish(&["config"]).said().contains(TOKEN));
    for process in fleet.processes() {
        let token = process.variable("ADMIN_TOKEN");
        assert_eq!(token, None, "{process:?}");
    }
    fleet.stop();
}

#[test]
fn without_a_token_nothing_can_be_changed() {
    let mut fleet = sandbox().start();
    fleet.wait_for_nodes(2);
    let bearer = [("Authorization", "Bearer anything")];
    for call in [
        "/stop",
        "/restart",
        "/scale?to=1",
        "/reload",
        "/logs/rotate",
    ] {
        let refused = ask(&fleet, "POST", call, &bearer);
        is_problem(&refused, 403, &["ADMIN_TOKEN_FILE", "command line"]);
    }
    is_problem(&ask(&fleet, "DELETE", "/status", &[]), 405, &["GET"]);
    assert_eq!(
        ask(&fleet, "PUT", "/stop", &[]).header("allow"),
        Some("POST")
    );
    is_problem(&ask(&fleet, "GET", "/nothing", &[]), 404, &["GET /status"]);
    assert_eq!(fleet.wait_for_nodes(2).len(), 2);
    fleet.stop();
}

#[test]
fn a_name_that_was_bound_to_this_machine_is_no_way_in() {
    let fleet = with_token();
    let host = |name: &str| ask(&fleet, "GET", "/status", &[("Host", name)]).status;
    assert_eq!(host("localhost:9000"), 200);
    assert_eq!(host("127.0.0.1"), 200);
    let refused = ask(&fleet, "GET", "/logs", &[("Host", "attacker.example:80")]);
    is_problem(&refused, 403, &["attacker.example", "localhost"]);
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("Host", "attacker.example"), ("Authorization", &bearer)];
    is_problem(
        &ask(&fleet, "POST", "/stop", &headers),
        403,
        &["attacker.example"],
    );
    fleet.stop();
}

#[test]
fn a_reload_changes_the_token() {
    let fleet = with_token();
    fs::write(fleet.path("token"), "quite-another-token-it-is").expect("the directory is ours");
    let done = fleet.finish(&["reload"]);
    assert_eq!(done.code(), Some(0), "{}", done.said());
    assert!(done.stdout.contains("ADMIN_TOKEN"), "{}", done.said());
    let shows = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        ask(&fleet, "POST", "/restart?dry_run=true&force=true", &headers).status
    };
    assert_eq!(shows(TOKEN), 401);
    assert_eq!(shows("quite-another-token-it-is"), 200);
    fleet.stop();
}

#[test]
fn an_address_that_cannot_be_had_ends_the_start() {
    let sandbox = sandbox();
    let port = admin_port(&sandbox);
    let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the block is ours");
    let refused = sandbox.finish(&["run"]);
    assert_eq!(refused.code(), Some(69), "{}", refused.said());
    let us = format!("pid {}", std::process::id());
    for word in ["ADMIN_ADDR", &us, &port.to_string()] {
        assert!(
            refused.stderr.contains(word),
            "no {word} in {}",
            refused.said()
        );
    }
    drop(stranger);
    // Documentation addresses (RFC 5737) are nobody's.
    let elsewhere = sandbox.set("ADMIN_ADDR", "192.0.2.1:9000");
    let refused = elsewhere.finish(&["run"]);
    assert_eq!(refused.code(), Some(78), "{}", refused.said());
    assert!(refused.stderr.contains("ADMIN_ADDR"), "{}", refused.said());
    elsewhere.assert_nothing_left();
}

#[test]
fn clients_that_say_nothing_are_cut_off_and_shut_nobody_out() {
    let fleet = with_token();
    let address = (Ipv4Addr::LOCALHOST, admin_port(&fleet));
    let connect = || TcpStream::connect(address).expect("the kernel takes it");
    let mut idle: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| connect()).collect();
    let mut slow = connect();
    slow.write_all(b"GET /status HTTP/1.1\r\n")
        .expect("written");
    // The command line has a way in of its own.
    let status = fleet.finish(&["status"]);
    assert_eq!(status.code(), Some(0), "{}", status.said());
    let cut_off = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let mut said = Vec::new();
        // An error is a connection that was reset.
        let _ = stream.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    };
    for stream in &mut idle {
        let said = cut_off(stream);
        assert!(said.is_empty() || said.contains("408"), "{said}");
    }
    // Its time began when there was room for it.
    let said = cut_off(&mut slow);
    assert!(!said.contains("200 OK"), "{said}");
    assert_eq!(ask(&fleet, "GET", "/health", &[]).status, 200);
    fleet.stop();
}

#[test]
fn requests_have_bounds() {
    let fleet = with_token();
    let address = (Ipv4Addr::LOCALHOST, admin_port(&fleet));
    let says = |request: &[u8]| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        // It may have been refused before all was written.
        let _ = stream.write_all(request);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    };
    let long = format!(
        "GET /status?{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "x".repeat(32 << 10)
    );
    let said = says(long.as_bytes());
    assert!(!said.contains("200 OK"), "{said}");
    let head = "GET /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n";
    let said = says(&[head.as_bytes(), &vec![b'x'; 70_000]].concat());
    assert!(said.contains("413"), "{said}");
    let said = says(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert!(!said.contains("200 OK"), "{said}");
    assert_eq!(ask(&fleet, "GET", "/health", &[]).status, 200);
    fleet.stop();
}

#[test]
fn followers_on_the_network_leave_room_for_the_command_line() {
    let fleet = with_token();
    let address = (Ipv4Addr::LOCALHOST, admin_port(&fleet));
    let follow = || {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let request = b"GET /events?follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).expect("written");
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("an answer");
        (stream, String::from_utf8_lossy(&head).into_owned())
    };
    let followers: Vec<_> = (0..8).map(|_| follow()).collect();
    let refused = followers.iter().filter(|(_, head)| head.ends_with("503"));
    assert_eq!(refused.count(), 4, "{followers:?}");
    let restart = fleet.finish(&["restart", "1", "--force"]);
    assert_eq!(restart.code(), Some(0), "{}", restart.said());
    drop(followers);
    wait_until("room for another follower", PATIENCE, || match follow() {
        (_, head) if head.ends_with("200") => Ok(()),
        (_, head) => Err(head),
    });
    fleet.stop();
}
