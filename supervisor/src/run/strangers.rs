//! Naming who holds the ports that we did not get.

use repram_discovery::claim::{Refused, Rival};
use repram_discovery::holder::{Transport, holders_of, holders_of_taken, owners_of};
use repram_discovery::sockets::{SlotTaken, SocketKind};

/// One line for each slot that could not be had: the port, and who holds it.
pub(super) fn lines(tried: &[SlotTaken]) -> Vec<String> {
    tried.iter().map(line).collect()
}

/// The same where other hosts count, too.
pub(super) fn refused_lines(refused: &Refused) -> Vec<String> {
    let elsewhere = refused.rivals.iter().map(|Rival { port, uuid }| {
        format!("HTTP port {port} is held on another host of the domain, by the node {uuid}")
    });
    lines(&refused.tried).into_iter().chain(elsewhere).collect()
}

pub(super) fn line(taken: &SlotTaken) -> String {
    let (port, kind) = (taken.port(), taken.socket);
    let what = match kind {
        SocketKind::Http => "HTTP port",
        SocketKind::Gossip => "gossip port",
        SocketKind::GossipUdp => "gossip port (UDP)",
    };
    if !taken.is_in_use() {
        return format!("{what} {port}: {}", taken.source);
    }
    let holders = holders_of_taken(taken);
    if holders.is_empty() {
        return format!("{what} {port} is held by {}", unseen(port, kind));
    }
    let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
    format!("{what} {port} is held by {}", names.join(" and "))
}

/// Who holds a TCP port that is no node's.
pub(super) fn who(port: u16) -> String {
    let holders = holders_of(port, Transport::Tcp);
    if holders.is_empty() {
        return unseen(port, SocketKind::Http);
    }
    let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
    names.join(" and ")
}

/// A holder whose process the kernel does not show us.
fn unseen(port: u16, kind: SocketKind) -> String {
    let transport = match kind {
        SocketKind::Http | SocketKind::Gossip => Transport::Tcp,
        SocketKind::GossipUdp => Transport::Udp,
    };
    match owners_of(port, transport).first() {
        Some(uid) => format!("a process of uid {uid} that we may not see"),
        None => "a process that we may not see".to_owned(),
    }
}
