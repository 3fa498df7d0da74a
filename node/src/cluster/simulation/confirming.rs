//! Simulated nodes that are asked over connections of their own.

use std::net::IpAddr;

use bytes::Bytes;

use super::super::node::Node;
use super::event::Event;
use super::local::Local;
use super::universe::Universe;
use crate::membership::Confirmation;

/// A node is asked whether it lives.
#[derive(Debug)]
pub(super) struct Asking {
    /// Who asks.
    from: usize,
    life: u64,
    /// Who is asked.
    to: usize,
    confirmation: Confirmation,
}

/// It has answered.
#[derive(Debug)]
pub(super) struct Heard {
    /// Whoever asked.
    pub(super) slot: usize,
    pub(super) life: u64,
    source: IpAddr,
    confirmation: Confirmation,
    payloads: Vec<Bytes>,
}

impl Heard {
    pub(super) fn tell(self, node: &Node<Local>) {
        node.confirmed(&self.confirmation, self.source, self.payloads);
    }
}

impl Universe {
    /// Asks a node over a connection of its own whether it lives.
    pub(super) fn confirm(&mut self, from: usize, confirmation: Confirmation) {
        let Some(to) = self.slot_of(confirmation.to.uuid) else {
            return;
        };
        let life = self.slots[from].life.as_ref().map(|it| it.number);
        let Some(life) = life.filter(|_| !self.is_cut(from, to)) else {
            return;
        };
        let asking = Asking {
            from,
            life,
            to,
            confirmation,
        };
        let delay = self.delay_us(from, to);
        self.after(delay, Event::Ask(asking));
    }

    /// Nobody waits until a frozen node runs again.
    pub(super) fn be_asked(&mut self, asking: Asking) {
        let Asking {
            from,
            life,
            to,
            confirmation,
        } = asking;
        if self.slots[to].life.as_ref().is_none_or(|it| it.frozen) {
            return;
        }
        let source = self.slots[from].address.ip();
        let ping = confirmation.ping.clone();
        let mut payloads = Vec::new();
        self.with(to, |node| payloads = node.carried(source, false, ping));
        let delay = self.delay_us(to, from);
        let heard = Heard {
            slot: from,
            life,
            source: self.slots[to].address.ip(),
            confirmation,
            payloads,
        };
        self.after(delay, Event::Heard(heard));
    }
}
