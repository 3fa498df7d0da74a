//! A node that strangers besiege goes on serving, and its memory stays within its bounds.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use repram_tests::{Mutation, Node, PATIENCE, Sandbox, get, put, wait_until};
use tokio::net::TcpSocket;

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

/// Lets this process have as many descriptors as it may: the usual limit is 1024.
fn with_descriptors() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("every process has it");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("it is not above the hard limit");
}

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
    with_descriptors();
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

/// Connections of one stranger that stay open: more than a node lets anybody have who does
/// not say who it is, so that it is the node that ends them.
const CROWD: usize = 340;

/// Values of the fleet that grows.
const FEW_VALUES: usize = 20;

/// Where the crowd comes from: a neighbour of the fleet, and the address of the fleet itself.
const CROWDED_FROM: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::LOCALHOST];

/// Opens connections to the gossip ports one after the other, on which nothing is ever said,
/// until it is told to stop. How many.
fn crowd(ports: &[u16], over: &AtomicBool) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let opened = async {
        let (mut held, mut opened) = (VecDeque::new(), 0);
        while !over.load(Ordering::Relaxed) {
            let port = ports[opened % ports.len()];
            let from = CROWDED_FROM[opened / ports.len() % CROWDED_FROM.len()];
            let socket = TcpSocket::new_v4().expect("a descriptor");
            socket.bind(SocketAddr::from((from, 0))).expect("a port");
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            // Whoever finds the queue full tries again.
            held.extend(socket.connect(to).await.ok());
            opened += 1;
            if held.len() > CROWD * ports.len() {
                held.pop_front();
            }
        }
        opened
    };
    runtime.expect("a runtime").block_on(opened)
}

#[test]
fn a_fleet_grows_and_replicates_while_a_stranger_crowds_its_gossip_ports() {
    with_descriptors();
    let mut fleet = Sandbox::new()
        .set("NODE_COUNT", 2)
        .set("MAX_PORTS", 3)
        .start();
    let nodes = fleet.wait_until_refilled(2);
    let offset = fleet.ports().gossip_offset();
    let ports: Vec<u16> = nodes.iter().map(|node| node.port + offset).collect();
    let counted = |counter: &str| -> u64 {
        let count = |node: &Node| -> u64 {
            let page = node.get("/metrics").text();
            let line = page.lines().find_map(|line| line.strip_prefix(counter));
            let value = line.and_then(|value| value.trim().parse().ok());
            value.unwrap_or_else(|| panic!("no {counter} in {page}"))
        };
        nodes.iter().map(count).sum()
    };
    let over = AtomicBool::new(false);
    let opened = thread::scope(|scope| {
        let crowding = scope.spawn(|| crowd(&ports, &over));
        wait_until("the crowd gives way", PATIENCE, || {
            let gone = counted("repram_streams_crowded_total ");
            (gone > 0)
                .then_some(())
                .ok_or_else(|| format!("{gone} are gone"))
        });
        // The newcomer has an address of the crowd.
        let scaled = fleet.finish(&["scale", "3"]);
        assert_eq!(scaled.code(), Some(0), "{}", scaled.said());
        let all = fleet.wait_until_refilled(3);
        for number in 0..FEW_VALUES {
            let path = format!("/data/crowd-{number}?ttl=600");
            wait_until("a value on all nodes", PATIENCE, || {
                let written = put(all[number % 3].port, &path, b"value")?;
                if written.status != 201 {
                    return Err(written.text());
                }
                let read = get(all[(number + 1) % 3].port, &path)?;
                (read.status == 200)
                    .then_some(())
                    .ok_or_else(|| read.text())
            });
        }
        over.store(true, Ordering::Relaxed);
        crowding.join().expect("it does not panic")
    });
    println!("grown under {opened} connections of a stranger");
    // No peer had to give way: the streams between the first two are those of the beginning.
    let after = fleet.wait_for_nodes(3);
    for (before, after) in nodes.iter().zip(&after) {
        assert_eq!(before.generation, after.generation);
    }
    assert_eq!(counted("repram_streams_broken_total "), 0);
    fleet.stop();
}
