//! No secret, no key and no value stands in any log, however much is logged.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use repram_tests::{Sandbox, ask_with, get, open_log, put, say};

const SECRET: &str = "correct-horse-battery-staple";
const PREVIOUS: &str = "tr0ub4dor-and-3-and-more";
const TOKEN: &str = "token-that-nobody-reads";
const VALUE: &str = "value-of-somebody-else";
const KEY: &str = "key-that-opens-it";

/// A text in the ways in which it could be written by somebody who formats bytes.
fn spellings(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{bytes:?}");
    vec![
        text.to_owned(),
        hex,
        list.trim_matches(['[', ']']).to_owned(),
    ]
}

/// Every file below a directory, as text.
fn texts(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("it is ours").flatten() {
        let mut text = String::new();
        let path = entry.path();
        let mut file = open_log(&path).expect("it was listed");
        file.read_to_string(&mut text).expect("logs are text");
        found.push((path.display().to_string(), text));
    }
    found
}

#[test]
fn no_secret_and_no_value_is_logged() {
    let sandbox = Sandbox::new()
        .unset("REPRAM_CLUSTER_SECRET_FILE")
        .set("REPRAM_CLUSTER_SECRET", SECRET)
        .set("REPRAM_CLUSTER_SECRET_PREVIOUS", PREVIOUS)
        .set("REPRAM_LOG_LEVEL", "trace")
        .set("REPRAM_MAX_STORAGE_MB", 4);
    let admin = sandbox.http_port(30);
    let sandbox = sandbox
        .set("ADMIN_ADDR", format!("127.0.0.1:{admin}"))
        .set("ADMIN_TOKEN", TOKEN);
    let mut fleet = sandbox.start();
    let nodes = fleet.wait_until_refilled(3);
    let port = nodes[0].port;
    let path = format!("/data/{KEY}?ttl=600");
    for node in &nodes {
        assert_eq!(node.put(&path, VALUE.as_bytes()).status, 201);
        assert_eq!(node.get(&path).text(), VALUE);
    }
    // What goes wrong is logged more than what does not.
    let full = VALUE.repeat(400_000);
    assert_eq!(
        put(port, &path, full.as_bytes()).map(|it| it.status),
        Ok(507)
    );
    let signed = [("X-Repram-Signature", SECRET)];
    let refused = ask_with("POST", port, "/peer_announce", &signed, VALUE.as_bytes());
    assert!(refused.is_ok_and(|answer| answer.status >= 400));
    let bearer = format!("Bearer {TOKEN}");
    let bearer = [("Authorization", bearer.as_str())];
    for path in ["/status", "/nothing"] {
        let _any = ask_with("GET", admin, path, &bearer, b"");
    }
    let malformed = format!("PUT /data/{KEY} HTTP/1.1\r\nHost: {SECRET}\r\nX-TTL: {VALUE}\r\n\r\n");
    say(port, malformed.as_bytes()).expect("the port is open");
    say(port + fleet.ports().gossip_offset(), VALUE.as_bytes()).expect("the port is open");
    // One that returns gets it from the others.
    fleet.process_of(&nodes[1].id).signal(Signal::SIGKILL);
    fleet.wait_until_refilled(3);
    assert!(get(port, &path).is_ok_and(|answer| answer.text() == VALUE));

    let logs = fleet.path("logs");
    let finished = fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(Signal::SIGTERM));
    let mut all = texts(&logs);
    all.push(("the supervisor's output".to_owned(), finished.said()));
    assert!(
        all.iter()
            .any(|(_, text)| text.contains(" TRACE ") || text.contains(" DEBUG ")),
        "much is logged"
    );
    for secret in [SECRET, PREVIOUS, TOKEN, VALUE, KEY] {
        for spelling in spellings(secret) {
            for (name, text) in &all {
                let line = text.lines().find(|line| line.contains(&spelling));
                assert_eq!(line, None, "{secret} in {name}");
            }
        }
    }
}
