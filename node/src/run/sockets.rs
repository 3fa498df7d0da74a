//! The node's sockets: inherited, claimed, or bound to fixed ports.

use std::io;
use std::net::{TcpListener, UdpSocket};

use repram_config::Settings;
use repram_discovery::claim::{Claimant, claim_on_host};
use repram_discovery::slot::{PortRange, Slot};
use repram_discovery::sockets::{LoopbackGuard, SlotSockets};
use repram_discovery::state_dir::StateDir;

use super::failure::Failure;
use super::identity::Identity;
use crate::supervised::InheritedSockets;

/// The HTTP port of a stand-alone node that was told none and does not look for one: the
/// original's.
const HTTP_PORT: u16 = 8080;

/// Everything a node listens on.
pub(super) struct NodeSockets {
    pub(super) http: TcpListener,
    pub(super) gossip: TcpListener,
    pub(super) gossip_udp: UdpSocket,
    pub(super) ingress: Option<TcpListener>,
    /// Keeps strangers from sitting behind `localhost`, for as long as the node lives.
    pub(super) guard: Option<LoopbackGuard>,
}

impl NodeSockets {
    pub(super) fn http_port(&self) -> io::Result<u16> {
        Ok(self.http.local_addr()?.port())
    }

    pub(super) fn gossip_port(&self) -> io::Result<u16> {
        Ok(self.gossip.local_addr()?.port())
    }
}

impl From<InheritedSockets> for NodeSockets {
    fn from(sockets: InheritedSockets) -> Self {
        Self {
            http: sockets.http,
            gossip: sockets.gossip,
            gossip_udp: sockets.gossip_udp,
            ingress: sockets.ingress,
            guard: None,
        }
    }
}

impl From<SlotSockets> for NodeSockets {
    fn from(sockets: SlotSockets) -> Self {
        let parts = sockets.into_parts();
        Self {
            http: parts.http,
            gossip: parts.gossip,
            gossip_udp: parts.gossip_udp,
            ingress: None,
            guard: Some(parts.guard),
        }
    }
}

/// Binds the ports that the settings name.
///
/// # Errors
/// When one of them cannot be had.
pub(super) fn bind_fixed(settings: &Settings) -> Result<NodeSockets, Failure> {
    let slot = fixed_slot(settings);
    SlotSockets::bind(settings.bind_address, slot)
        .map(NodeSockets::from)
        .map_err(Failure::PortTaken)
}

/// The ports that the settings name; the gossip port follows the HTTP port, because that is
/// where peers who were told the HTTP port look for it.
fn fixed_slot(settings: &Settings) -> Slot {
    let http = settings.http_port.unwrap_or(HTTP_PORT);
    let derived = http.saturating_add(settings.gossip_port_offset);
    Slot {
        index: 0,
        http,
        gossip: settings.gossip_port.unwrap_or(derived),
    }
}

/// Whether the ports are to be claimed rather than bound as given.
pub(super) const fn are_claimed(settings: &Settings) -> bool {
    settings.use_auto_discovery && settings.http_port.is_none() && settings.gossip_port.is_none()
}

/// Claims a pair of ports of the range, the last one first, and remembers it.
///
/// # Errors
/// When none can be had.
pub(super) async fn claim(
    settings: &Settings,
    range: &PortRange,
    identity: &Identity,
    state: &mut StateDir,
) -> Result<NodeSockets, Failure> {
    let claimant = Claimant {
        uuid: identity.uuid,
        last_slot: identity.last_slot,
    };
    let mut claimed = claim_on_host(range, settings.bind_address, &[claimant]).await;
    let sockets = claimed
        .pop()
        .expect("one answer for one claimant")
        .map_err(Failure::NoSlot)?;
    state.remember_slot(&identity.node_id, sockets.slot().index);
    Ok(sockets.into())
}
