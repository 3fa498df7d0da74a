//! A node that strangers besiege goes on serving, and its memory stays within its bounds.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use repram_tests::{Mutation, PATIENCE, Sandbox, get, put, wait_until};

/// Connections on which nothing whole is ever said, to each of both ports.
const HALF_OPEN: usize = 400;

/// Values that are written and read meanwhile.
const VALUES: usize = 100;

/// What a connection may hold, see the bounds of the node; and what the node may need more
/// than before in all: what its allocator keeps of a flood.
const CONNECTION_KIB: u64 = 40;
const ELSE_KIB: u64 = 16 * 1024;

/// Beginnings of what never ends.
const BEGINNINGS: [&[u8]; 4] = [
    b"",
    b"GET /data/va",
    b"PUT /data/value HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx",
    b"RPRM\x02",
];

/// Opens connections and begins to speak on each.
fn half_open(port: u16) -> Vec<TcpStream> {
    let open = |number: usize| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        let beginning = BEGINNINGS[number % BEGINNINGS.len()];
        // Whoever is refused by then was refused rightly.
        let _ = stream.write_all(beginning);
        stream
    };
    (0..HALF_OPEN).map(open).collect()
}

/// Sends noise as datagrams, and again each of them, until it is told to stop.
fn flood(port: u16, over: &AtomicBool) -> u64 {
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let mut mutation = Mutation::new(1);
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        let mut datagram = mutation.noise(1_400);
        if sent % 2 == 0 {
            // Something that looks right until its signature is checked.
            let head = b"rp\x02\x01";
            datagram.splice(..datagram.len().min(head.len()), head.iter().copied());
        }
        for _ in 0..2 {
            // A full queue of the socket refuses it, which is what is wanted.
            let _ = udp.send_to(&datagram, (Ipv4Addr::LOCALHOST, port));
        }
        sent += 1;
    }
    sent
}

#[test]
fn strangers_on_every_port_neither_stop_a_node_nor_fill_it() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 2).start();
    let nodes = fleet.wait_until_refilled(2);
    let victim = &nodes[0];
    let gossip = victim.port + fleet.ports().gossip_offset();
    let process = fleet.process_of(&victim.id);
    let before = process.memory_kib().expect("it runs");
    let descriptors = process.descriptors();
    let over = AtomicBool::new(false);
    let (sent, held) = thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(gossip, &over));
        let held = [victim.port, gossip].map(half_open);
        for number in 0..VALUES {
            let path = format!("/data/value-{number}");
            let body = path.as_bytes();
            wait_until("a value written and read", PATIENCE, || {
                let writer = &nodes[number % 2];
                let written = put(writer.port, &format!("{path}?ttl=600"), body)?;
                if written.status != 201 {
                    return Err(written.text());
                }
                let read = get(nodes[(number + 1) % 2].port, &path)?;
                (read.status == 200 && read.body == body)
                    .then_some(())
                    .ok_or_else(|| read.text())
            });
        }
        let now = process.memory_kib().expect("it runs");
        let most = before + 2 * HALF_OPEN as u64 * CONNECTION_KIB + ELSE_KIB;
        assert!(now <= most, "{now} KiB after {before}, {most} at most");
        over.store(true, Ordering::Relaxed);
        (flooding.join().expect("it does not panic"), held)
    });
    println!(
        "{VALUES} values under {} strangers and {sent} datagrams",
        2 * HALF_OPEN
    );
    let page = victim.get("/metrics").text();
    for counter in ["datagrams_malformed_total", "datagrams_foreign_total"] {
        let none = format!("repram_{counter} 0");
        assert!(!page.lines().any(|line| line == none), "{page}");
    }
    // Nobody was taken for silent, and the same processes serve.
    let after = fleet.wait_for_nodes(2);
    for (before, after) in nodes.iter().zip(&after) {
        assert_eq!(before.generation, after.generation);
    }
    // Strangers of the gossip port are cut off by the node; the others are when they leave.
    drop(held);
    wait_until("descriptors given back", PATIENCE, || {
        let now = process.descriptors();
        (now <= descriptors + 4)
            .then_some(())
            .ok_or_else(|| format!("{now} after {descriptors}"))
    });
    fleet.stop();
}
