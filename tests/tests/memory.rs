//! The memory of a node stays near what it may keep, whatever clients do.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::Duration;

use repram_tests::{Fleet, Node, PATIENCE, Sandbox, get, put, wait_until};
use serde_json::Value;

const MIB: u64 = 1024 * 1024;

/// What a node may keep.
const STORAGE_MB: u64 = 48;

/// What it needs beside that: large values on their way from a holder to a client (20 MiB), the
/// program itself (10 MiB), and buffers of connections and streams.
const BESIDE_MB: u64 = 20 + 10 + 30;

const CLIENTS: u64 = 12;

/// Statuses that a client may see when a store is full.
const WRITTEN: &[u16] = &[201, 202, 503, 507];
const READ: &[u16] = &[200, 404, 503];

/// Does something with clients that work at the same time; each has a number of its own.
fn by_many(task: impl Fn(u64) + Sync) {
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let task = &task;
            scope.spawn(move || task(client));
        }
    });
}

fn check_peaks(fleet: &Fleet, nodes: &[Node], when: &str) {
    for node in nodes {
        let peak = fleet.process_of(&node.id).resident_peak_kib();
        let peak_mb = peak.expect("it runs") / 1024;
        println!("{}: at most {peak_mb} MiB of {STORAGE_MB} {when}", node.id);
        assert!(peak_mb <= STORAGE_MB + BESIDE_MB, "{} {when}", node.id);
    }
}

fn used(node: &Node) -> Result<u64, String> {
    let status: Value = get(node.port, "/status")?.json();
    let store = &status["store"];
    assert!(store["used_bytes"].as_u64() <= store["limit_bytes"].as_u64());
    store["used_bytes"]
        .as_u64()
        .ok_or_else(|| status.to_string())
}

#[test]
fn large_values_stay_within_the_limit() {
    // One copy, so that most values come to a client from another node than it asks.
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", 2)
        .set("REPLICATION_FACTOR", 1)
        .set("REPRAM_MIN_TTL", 1)
        .set("REPRAM_MAX_STORAGE_MB", STORAGE_MB);
    let mut fleet = sandbox.start();
    let nodes = fleet.wait_until_refilled(2);
    let value = vec![7; 10 << 20];
    let port = |number: u64| nodes[usize::from(!number.is_multiple_of(2))].port;
    let path = |number: u64| format!("/data/large-{}?ttl=600", number % 16);
    by_many(|client| {
        for round in 0..3 {
            let number = client * 5 + round;
            let answer = put(port(client + round), &path(number), &value);
            let status = answer.map(|answer| answer.status);
            assert!(
                status.as_ref().is_ok_and(|it| WRITTEN.contains(it)),
                "{status:?}"
            );
        }
    });
    check_peaks(&fleet, &nodes, "after writes");
    by_many(|client| {
        for round in 0..3 {
            let answer = get(port(client + round), &path(client * 3 + round));
            let answer = answer.expect("an answer");
            assert!(READ.contains(&answer.status), "{}", answer.status);
            assert!(answer.status != 200 || answer.body == value);
        }
    });
    check_peaks(&fleet, &nodes, "after reads");
    // Clients that ask for large values and do not take them, while these are overwritten.
    let slow: Vec<TcpStream> = (0..CLIENTS)
        .map(|client| {
            let address = (Ipv4Addr::LOCALHOST, port(client));
            let mut stream = TcpStream::connect(address).expect("a node listens");
            let request = format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", path(client));
            stream.write_all(request.as_bytes()).expect("it listens");
            stream.read_exact(&mut [0; 1]).expect("an answer begins");
            stream
        })
        .collect();
    by_many(|client| {
        let status = put(port(client), &path(client), &value).map(|answer| answer.status);
        assert!(
            status.as_ref().is_ok_and(|it| WRITTEN.contains(it)),
            "{status:?}"
        );
    });
    check_peaks(&fleet, &nodes, "while nobody takes what was asked for");
    drop(slow);
    fleet.stop();
}

#[test]
fn a_value_that_fits_is_taken_and_its_memory_given_back() {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", 1)
        .set("REPRAM_MIN_TTL", 1)
        .set("REPRAM_MAX_STORAGE_MB", 12);
    let mut fleet = sandbox.start();
    let node = &fleet.wait_until_refilled(1)[0];
    let process = fleet.process_of(&node.id);
    let before = process.memory_kib().expect("it runs");
    let value = vec![7; 10 << 20];
    for round in 0..3 {
        let answer = node.put("/data/k?ttl=2", &value);
        assert_eq!(answer.status, 201, "{round}: {}", answer.text());
        assert_eq!(used(node).map(|bytes| bytes / MIB), Ok(10));
        let refused = node.put("/data/other?ttl=2", &value);
        assert_eq!(refused.status, 507, "{}", refused.text());
        wait_until("the end of the value", PATIENCE, || match used(node)? {
            0 => Ok(()),
            bytes => Err(format!("{bytes} bytes are kept")),
        });
        wait_until("its memory given back", PATIENCE, || {
            let now = process.memory_kib().expect("it runs");
            let most = before + 6 * 1024;
            (now <= most)
                .then_some(())
                .ok_or_else(|| format!("{now} KiB, {before} before"))
        });
    }
    fleet.stop();
}

/// Clients that take nothing of what they asked for, and how often each asks.
const SLOW_CLIENTS: usize = 300;
const ASKED: usize = 500;

/// Between two looks at whether the node has anything left to do.
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// What a connection may hold beside what is accounted, and what else the node may need more
/// than before.
const CONNECTION_KIB: u64 = 88;
const ELSE_KIB: u64 = 4 * 1024;

#[test]
fn small_values_that_nobody_takes_are_bounded_by_the_connection() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 1).start();
    let node = &fleet.wait_until_refilled(1)[0];
    // Not counted for the limit, and as large as such a value can be.
    let written = node.put("/data/small?ttl=600", &vec![7; 15_000]);
    assert_eq!(written.status, 201, "{}", written.text());
    let process = fleet.process_of(&node.id);
    let before = process.memory_kib().expect("it runs");
    let request = "GET /data/small HTTP/1.1\r\nHost: a\r\n\r\n";
    let requests = request.repeat(ASKED).into_bytes();
    let mut slow = Vec::new();
    for _ in 0..SLOW_CLIENTS {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, node.port)).expect("it listens");
        stream.set_nonblocking(true).expect("it is a socket");
        // What does not fit the kernel's buffers is as good as not asked.
        let _ = stream.write(&requests).expect("there is room at first");
        slow.push(stream);
    }
    // Answers are given until no buffer has room.
    let mut answered = 0;
    wait_until("answers that nobody takes", PATIENCE, || {
        thread::sleep(BETWEEN_LOOKS);
        let page = node.get("/metrics").text();
        let counted = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
        let lines = page.lines();
        let requests = lines.filter(|line| line.starts_with("repram_http_requests_total{"));
        let now = requests
            .filter(|line| line.contains(r#"route="data""#))
            .filter_map(counted)
            .sum::<u64>();
        let before = std::mem::replace(&mut answered, now);
        (now == before && now > SLOW_CLIENTS as u64)
            .then_some(())
            .ok_or_else(|| format!("{now} after {before}"))
    });
    let most = before + SLOW_CLIENTS as u64 * CONNECTION_KIB + ELSE_KIB;
    let now = process.memory_kib().expect("it runs");
    println!("{before} KiB, {now} KiB with {SLOW_CLIENTS} slow clients");
    assert!(now <= most, "{now} KiB after {before}, {most} at most");
    // Others are served meanwhile.
    assert_eq!(node.get("/data/small").status, 200);
    drop(slow);
    fleet.stop();
}

/// Clients that have sent a large value once and keep their connection.
const KEPT_CONNECTIONS: usize = 200;

#[test]
fn a_connection_keeps_no_large_buffer_of_what_it_sent() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 1).start();
    let node = &fleet.wait_until_refilled(1)[0];
    let process = fleet.process_of(&node.id);
    let value = vec![7; 4 << 20];
    let send = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, node.port)).expect("it listens");
        let head = format!(
            "PUT /data/large?ttl=600 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            value.len()
        );
        stream.write_all(head.as_bytes()).expect("it listens");
        stream.write_all(&value).expect("it listens");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("an answer");
        assert_eq!(status, *b"HTTP/1.1 201");
        stream
    };
    // The value itself, and what the allocator keeps of the one before.
    let first = send();
    let before = process.memory_kib().expect("it runs") + 2 * 4 * 1024;
    let kept: Vec<TcpStream> = (1..KEPT_CONNECTIONS).map(|_| send()).collect();
    let most = before + KEPT_CONNECTIONS as u64 * CONNECTION_KIB + ELSE_KIB;
    // What is freed is given back in a moment.
    wait_until("memory of values given back", PATIENCE, || {
        let now = process.memory_kib().expect("it runs");
        println!("{now} KiB with {KEPT_CONNECTIONS} kept connections");
        (now <= most)
            .then_some(())
            .ok_or_else(|| format!("{now} KiB, {most} at most"))
    });
    drop((first, kept));
    fleet.stop();
}
