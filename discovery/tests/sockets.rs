//! What the kernel does with the sockets of a slot: whole or not at all, and doors.

mod ports;

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use repram_discovery::slot::Slot;
use repram_discovery::sockets::{SlotSockets, SlotTaken, SocketKind};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::ports::pick;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const ALL: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Runs `attempt` with freshly picked ports until one succeeds. `None` is what a test sees
/// when another user of the machine took a picked port meanwhile.
fn with_picked_slot<T>(mut attempt: impl FnMut(Slot) -> Option<T>) -> T {
    for _ in 0..100 {
        let http = pick();
        let gossip = pick();
        if http == gossip {
            continue;
        }
        if let Some(result) = attempt(Slot {
            index: 0,
            http,
            gossip,
        }) {
            return result;
        }
    }
    panic!("not one success in 100 attempts with different ports")
}

fn held(bind: IpAddr) -> SlotSockets {
    with_picked_slot(|slot| SlotSockets::bind(bind, slot).ok())
}

fn has_ipv6() -> bool {
    TcpListener::bind((V6, 0)).is_ok()
}

/// A TCP socket that is bound, with SO_REUSEADDR or without.
fn bound(address: IpAddr, port: u16, reuse: bool) -> io::Result<Socket> {
    let address = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(reuse)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

#[track_caller]
fn assert_in_use<T>(result: io::Result<T>) {
    match result {
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}"),
        Ok(_) => panic!("a second socket got the port"),
    }
}

#[track_caller]
fn assert_refused(address: IpAddr, port: u16) {
    match TcpStream::connect((address, port)) {
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}"),
        Ok(_) => panic!("{address} port {port} accepted a connection"),
    }
}

/// Whether no socket of the slot is bound any more.
fn is_free(slot: Slot) -> bool {
    bound(V4, slot.http, false).is_ok()
        && bound(V4, slot.gossip, false).is_ok()
        && UdpSocket::bind((V4, slot.gossip)).is_ok()
}

#[test]
fn a_held_slot_listens_on_both_tcp_ports() {
    let sockets = held(V4);
    let slot = sockets.slot();
    assert!(sockets.is_open().unwrap());
    for port in [slot.http, slot.gossip] {
        TcpStream::connect((V4, port)).unwrap();
        assert_in_use(bound(V4, port, false));
    }
    assert_in_use(UdpSocket::bind((V4, slot.gossip)));
}

#[test]
fn dropping_a_slot_frees_it() {
    with_picked_slot(|slot| {
        drop(SlotSockets::bind(V4, slot).ok()?);
        is_free(slot).then_some(())
    });
}

#[test]
fn one_socket_taken_and_the_slot_is_not_had() {
    fn check(expect: SocketKind, stranger: impl Fn(Slot) -> io::Result<Box<dyn AsFd>>) {
        let taken: SlotTaken = with_picked_slot(|slot| {
            let stranger = stranger(slot).ok()?;
            let taken = SlotSockets::bind(V4, slot).expect_err("a socket is taken");
            drop(stranger);
            (taken.socket == expect && is_free(slot)).then_some(taken)
        });
        assert!(taken.is_in_use(), "{}", taken.source);
        let port = if expect == SocketKind::Http {
            taken.slot.http
        } else {
            taken.slot.gossip
        };
        assert_eq!(taken.port(), port);
    }
    check(SocketKind::Http, |slot| {
        Ok(Box::new(TcpListener::bind((V4, slot.http))?))
    });
    check(SocketKind::Gossip, |slot| {
        Ok(Box::new(TcpListener::bind((V4, slot.gossip))?))
    });
    check(SocketKind::GossipUdp, |slot| {
        Ok(Box::new(UdpSocket::bind((V4, slot.gossip))?))
    });
    // Bound and not listening is taken, too.
    check(SocketKind::Http, |slot| {
        Ok(Box::new(bound(V4, slot.http, false)?))
    });
}

#[test]
fn an_address_of_another_machine_is_not_in_use() {
    // TEST-NET-1 (RFC 5737) belongs to nobody.
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let taken = SlotSockets::bind(
        elsewhere,
        Slot {
            index: 3,
            http: 8081,
            gossip: 9081,
        },
    )
    .expect_err("not an address of this machine");
    assert!(!taken.is_in_use());
    assert_eq!(taken.to_string(), "slot 3: HTTP on 192.0.2.1:8081");
}

#[test]
fn a_closed_door_refuses_at_once_and_keeps_the_ports() {
    let sockets = held(V4);
    let slot = sockets.slot();
    let mut waiting = TcpStream::connect((V4, slot.http)).unwrap();
    sockets.close_door().unwrap();
    assert!(!sockets.is_open().unwrap());

    let reset = waiting
        .read(&mut [0])
        .expect_err("the queued connection was reset");
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    for port in [slot.http, slot.gossip] {
        assert_refused(V4, port);
        assert_in_use(bound(V4, port, false));
        assert_in_use(bound(V4, port, true));
        assert_in_use(bound(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port, true));
    }
    sockets.close_door().expect("closing twice is harmless");
}

#[test]
fn a_reopened_door_accepts_again() {
    let sockets = held(V4);
    let slot = sockets.slot();
    for _ in 0..3 {
        sockets.close_door().unwrap();
        sockets.open_door().unwrap();
        sockets.open_door().expect("opening twice is harmless");
        assert!(sockets.is_open().unwrap());
    }
    let client = TcpStream::connect((V4, slot.http)).unwrap();
    let (_, peer) = sockets.into_parts().http.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
}

#[test]
fn a_door_opens_beside_connections_from_before_it_closed() {
    let sockets = held(V4);
    let slot = sockets.slot();
    let acceptor: TcpListener = sockets.http().try_clone_to_owned().unwrap().into();
    let client = TcpStream::connect((V4, slot.http)).unwrap();
    let (served, _) = acceptor.accept().unwrap();

    sockets.close_door().unwrap();
    assert_in_use(bound(V4, slot.http, true));
    sockets
        .open_door()
        .expect("an established connection does not hinder");
    sockets.close_door().unwrap();
    close_first(served, client);
    sockets.open_door().expect("nor one in TIME_WAIT");

    let _client = TcpStream::connect((V4, slot.http)).unwrap();
    acceptor
        .accept()
        .expect("another holder of the socket accepts again");
}

#[test]
fn another_holder_gets_an_error_from_a_closed_door_and_lives() {
    let sockets = held(V4);
    let acceptor: TcpListener = sockets.http().try_clone_to_owned().unwrap().into();
    sockets.close_door().unwrap();
    assert_eq!(
        acceptor.accept().unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
}

/// Closes a connection from the server's side, so that TIME_WAIT stays on its port.
fn close_first(server: TcpStream, mut client: TcpStream) {
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn connections_in_time_wait_do_not_block_the_next_start() {
    with_picked_slot(|slot| {
        let parts = SlotSockets::bind(V4, slot).ok()?.into_parts();
        let client = TcpStream::connect((V4, slot.http)).unwrap();
        let (server, _) = parts.http.accept().unwrap();
        close_first(server, client);
        drop(parts);

        assert_in_use(bound(V4, slot.http, false));
        SlotSockets::bind(V4, slot).ok().map(drop)
    });
}

#[test]
fn connections_in_time_wait_do_not_block_the_guard() {
    if !has_ipv6() {
        return;
    }
    with_picked_slot(|slot| {
        let earlier = SlotSockets::bind(V6, slot).ok()?.into_parts();
        let client = TcpStream::connect((V6, slot.http)).unwrap();
        let (server, _) = earlier.http.accept().unwrap();
        close_first(server, client);
        drop(earlier);

        assert_in_use(bound(V6, slot.http, false));
        SlotSockets::bind(V4, slot).ok().map(drop)
    });
}

#[test]
fn a_wildcard_slot_is_reached_over_both_families_and_excludes_both() {
    let sockets = held(ALL);
    let slot = sockets.slot();
    let families = if has_ipv6() { &[V4, V6][..] } else { &[V4] };
    let unspecified = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), ALL];

    let udp: UdpSocket = sockets.gossip_udp().try_clone_to_owned().unwrap().into();
    for &address in families {
        TcpStream::connect((address, slot.http)).unwrap();
        TcpStream::connect((address, slot.gossip)).unwrap();
        let sender = UdpSocket::bind((address, 0)).unwrap();
        sender.send_to(b"datagram", (address, slot.gossip)).unwrap();
        assert_eq!(udp.recv(&mut [0; 16]).unwrap(), 8);
    }
    for door_is_open in [true, false] {
        if !door_is_open {
            sockets.close_door().unwrap();
        }
        for &address in families.iter().chain(&unspecified[..families.len()]) {
            assert_in_use(bound(address, slot.http, true));
            assert_in_use(bound(address, slot.gossip, true));
            assert_in_use(UdpSocket::bind((address, slot.gossip)));
        }
    }
}

#[test]
fn a_stranger_on_either_family_takes_a_wildcard_slot() {
    let families = if has_ipv6() { &[V4, V6][..] } else { &[V4] };
    for &address in families {
        with_picked_slot(|slot| {
            let _stranger = TcpListener::bind((address, slot.gossip)).ok()?;
            let taken = SlotSockets::bind(ALL, slot).expect_err("a stranger is there");
            assert!(taken.is_in_use());
            (taken.socket == SocketKind::Gossip).then_some(())
        });
    }
}

#[test]
fn nobody_gets_behind_localhost() {
    if !has_ipv6() {
        return;
    }
    let sockets = held(V4);
    let slot = sockets.slot();
    let parts = sockets.into_parts();
    for port in [slot.http, slot.gossip] {
        assert_refused(V6, port);
        assert_in_use(bound(V6, port, false));
        assert_in_use(bound(V6, port, true));
        assert_in_use(bound(ALL, port, true));
    }
    drop(parts.guard);
    drop(bound(V6, slot.http, true).expect("the guard held it"));
}

#[test]
fn a_stranger_behind_localhost_takes_the_slot() {
    if !has_ipv6() {
        return;
    }
    for (expect, listens) in [(SocketKind::Http, true), (SocketKind::Gossip, false)] {
        let taken = with_picked_slot(|slot| {
            let port = if expect == SocketKind::Http {
                slot.http
            } else {
                slot.gossip
            };
            let stranger = bound(V6, port, false).ok()?;
            if listens {
                stranger.listen(1).ok()?;
            }
            let taken = SlotSockets::bind(V4, slot).expect_err("a stranger is there");
            drop(stranger);
            (taken.socket == expect && is_free(slot)).then_some(taken)
        });
        assert_eq!(taken.address.ip(), V6);
    }
}

#[test]
fn other_addresses_have_no_guard() {
    if !has_ipv6() {
        return;
    }
    with_picked_slot(|slot| {
        let _sockets = SlotSockets::bind(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), slot).ok()?;
        bound(V6, slot.http, false).ok()?;
        Some(())
    });
}

#[test]
fn descriptors_close_on_exec_and_never_share_their_port() {
    let sockets = held(V4);
    let all = [sockets.http(), sockets.gossip(), sockets.gossip_udp()];
    for descriptor in all {
        let flags = fcntl(descriptor, FcntlArg::F_GETFD).unwrap();
        assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
        assert!(!SockRef::from(&descriptor).reuse_port().unwrap());
    }
    assert!(
        !SockRef::from(&sockets.gossip_udp())
            .reuse_address()
            .unwrap()
    );
}

#[test]
fn sockets_are_handed_over_blocking() {
    fn nonblocking(descriptor: BorrowedFd<'_>) -> bool {
        let flags = fcntl(descriptor, FcntlArg::F_GETFL).unwrap();
        OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK)
    }
    let sockets = held(V4);
    let all = [sockets.http(), sockets.gossip(), sockets.gossip_udp()];
    assert!(!all.into_iter().any(nonblocking));

    // What a node does to its own descriptors shows on ours: they are the same socket.
    for descriptor in all {
        let inherited: TcpListener = descriptor.try_clone_to_owned().unwrap().into();
        inherited.set_nonblocking(true).unwrap();
    }
    assert!(all.into_iter().all(nonblocking));
    sockets.prepare_handover().unwrap();
    assert!(!all.into_iter().any(nonblocking));
}

#[test]
fn of_two_sockets_that_are_bound_one_listens() {
    with_picked_slot(|slot| {
        // A stranger with SO_REUSEADDR that has not listened yet does not hinder, and
        // has lost.
        let slow = bound(V4, slot.http, true).ok()?;
        let sockets = SlotSockets::bind(V4, slot).ok()?;
        assert_in_use(slow.listen(1));
        drop(sockets);

        // One that was faster between our bind and our listen is a slot that is taken.
        slow.listen(1).ok()?;
        let taken = SlotSockets::bind(V4, slot).expect_err("a stranger listens");
        assert!(taken.is_in_use());
        Some(())
    });
}

#[test]
fn connections_wait_for_whoever_holds_the_socket_next() {
    let sockets = held(V4);
    let client = TcpStream::connect((V4, sockets.slot().http)).unwrap();
    let first: TcpListener = sockets.http().try_clone_to_owned().unwrap().into();
    drop(first);
    let second: TcpListener = sockets.http().try_clone_to_owned().unwrap().into();
    let (_, peer) = second.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
}
