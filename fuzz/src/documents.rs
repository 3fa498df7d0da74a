//! JSON of peers and platforms, and messages between supervisor and node.

use repram_discovery::claim::conversation::{Kind, Request};
use repram_discovery::flux::{parse_address, parse_instances};
use repram_discovery::peers::{HealthAnswer, PeersAnswer};
use repram_discovery::supervised::SupervisorMessage;
use repram_supervisor::notify;

/// What a peer or the platform answers to a question of discovery.
pub(crate) fn discovery(bytes: &[u8]) {
    let _health = HealthAnswer::parse(bytes);
    if let Some(list) = PeersAnswer::parse(bytes) {
        assert!(
            list.peers.iter().all(|peer| peer.port > 0),
            "ports are usable"
        );
    }
    let _address = parse_address(bytes);
    let _instances = parse_instances(bytes, "app");
}

/// What a peer says of its claim.
pub(crate) fn claim(bytes: &[u8]) {
    for kind in [Kind::Announce, Kind::Leave, Kind::Conflict] {
        if let Ok(request) = Request::parse(kind, bytes) {
            assert!(request.port > 0, "a port that can be had");
        }
    }
}

/// What a supervisor tells its nodes.
pub(crate) fn supervised(bytes: &[u8]) {
    if let Ok(message) = SupervisorMessage::decode(bytes)
        && let Ok(written) = message.encode()
    {
        let again = SupervisorMessage::decode(&written);
        assert!(again.is_ok_and(|again| again == message));
    }
}

/// What a node tells its supervisor over NOTIFY_SOCKET.
pub(crate) fn notify(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let notices = notify::parse(text);
        assert!(notices.len() <= text.lines().count());
    }
}
