//! Ports for tests.

use std::net::{Ipv4Addr, TcpListener};

/// A port that was free a moment ago: a first look, so be ready to lose it and pick again.
///
/// `portpicker` finds nothing on a machine without IPv6; there the kernel is asked.
pub(crate) fn pick() -> u16 {
    portpicker::pick_unused_port().unwrap_or_else(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.local_addr().expect("it is bound").port()
    })
}
