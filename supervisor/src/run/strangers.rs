//! Naming who holds the ports that we did not get.

use repram_discovery::claim::NoSlot;
use repram_discovery::holder::{Holder, Transport, holders_of};
use repram_discovery::sockets::{SlotTaken, SocketKind};

/// One line for each slot that could not be had: the port, and who holds it.
pub(super) fn lines(no_slot: &NoSlot) -> Vec<String> {
    no_slot.tried.iter().map(line).collect()
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
    let transport = match kind {
        SocketKind::Http | SocketKind::Gossip => Transport::Tcp,
        SocketKind::GossipUdp => Transport::Udp,
    };
    let holders: Vec<String> = holders_of(port, transport).iter().map(name).collect();
    match holders.as_slice() {
        [] => format!("{what} {port} is held by a process that we may not see"),
        holders => format!("{what} {port} is held by {}", holders.join(" and ")),
    }
}

fn name(holder: &Holder) -> String {
    format!("pid {} ({})", holder.pid, holder.command)
}
