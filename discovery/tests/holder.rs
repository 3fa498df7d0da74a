//! Whom the kernel names as the holder of a port.

mod ports;

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};

use repram_discovery::holder::{Transport, holders_of, holders_of_taken, owners_of};
use repram_discovery::slot::Slot;
use repram_discovery::sockets::SlotSockets;

use crate::ports::pick;

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn pids(port: u16, transport: Transport) -> Vec<u32> {
    holders_of(port, transport)
        .iter()
        .map(|holder| holder.pid)
        .collect()
}

#[test]
fn a_listener_is_ours() {
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let holders = holders_of(port, Transport::Tcp);
    assert_eq!(holders.len(), 1);
    assert_eq!(holders[0].pid, std::process::id());
    assert!(holders[0].command.contains("holder"), "{}", holders[0]);
    assert_eq!(holders[0].uid, nix::unistd::geteuid().as_raw());
    assert_eq!(owners_of(port, Transport::Tcp), [holders[0].uid]);
}

#[test]
fn a_datagram_socket_is_ours() {
    let socket = UdpSocket::bind((LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    assert_eq!(pids(port, Transport::Udp), [std::process::id()]);
}

#[test]
fn an_outgoing_connection_holds_its_port_too() {
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = client.local_addr().unwrap().port();
    assert_eq!(pids(port, Transport::Tcp), [std::process::id()]);
}

#[test]
fn whoever_holds_a_slot_is_found_even_behind_a_closed_door() {
    for _ in 0..100 {
        let (http, gossip) = (pick(), pick());
        let slot = Slot {
            index: 0,
            http,
            gossip,
        };
        let Ok(held) = SlotSockets::bind(LOCALHOST.into(), slot) else {
            continue;
        };
        for closed in [false, true] {
            if closed {
                held.close_door().unwrap();
            }
            let taken = SlotSockets::bind(LOCALHOST.into(), slot).unwrap_err();
            let pids: Vec<u32> = holders_of_taken(&taken).iter().map(|it| it.pid).collect();
            assert_eq!(pids, [std::process::id()]);
        }
        return;
    }
    panic!("no free slot in 100 attempts")
}
