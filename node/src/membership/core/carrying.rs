//! Pings over streams: asking, answering and passing on.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::IpAddr;

use bytes::Bytes;
use foca::{Message, State};
use uuid::Uuid;

use super::{Membership, Output, localized};
use crate::clock::BootMillis;
use crate::membership::Identity;
use crate::membership::codec;
use crate::membership::doubts::{Cause, Confirmation, Doubt};
use crate::membership::members::Liveness;
use crate::membership::profile::FANOUT;
use crate::wire::frame::MAX_CARRIED;

impl Membership {
    /// Has a member asked over a stream, if foca still has it among those that live. A
    /// suspected one is told so, that it can object.
    pub(super) fn confirm(&self, doubt: Doubt, output: &mut Output) {
        let mut active = self.foca.iter_members();
        let Some(state) = active.find(|it| *it.id() == doubt.to) else {
            return;
        };
        let suspected = state.state() == State::Suspect;
        let (suspicion, through) = match doubt.cause {
            Cause::Unanswered => (suspected, Vec::new()),
            // Somebody has heard of it already.
            Cause::Suspected if !suspected => return,
            Cause::Suspected => (true, self.go_betweens(&doubt.to, doubt.attempt)),
        };
        let updates = if suspicion {
            std::slice::from_ref(state)
        } else {
            &[]
        };
        output.confirmations.push(Confirmation {
            to: self.best_known(&doubt.to).clone(),
            ping: codec::encode_payload(&doubt.ping, updates),
            within: doubt.within,
            through,
            on_behalf_of: None,
        });
    }

    /// A ping for somebody else is passed on. Everything else is taken like a datagram, and
    /// what it is answered with goes back the way it came.
    pub(super) fn carried(
        &mut self,
        source: IpAddr,
        payload: Bytes,
        relay: bool,
        now: BootMillis,
        output: &mut Output,
    ) {
        let Ok((header, _)) = codec::decode_payload(payload.clone()) else {
            self.counters.refused += 1;
            return;
        };
        if header.dst == *self.foca.identity() {
            let own_news = output.datagrams.len();
            self.datagram(source, payload, now, output);
            let asker = header.src.heard_from(source);
            let place = self.best_known(&asker).gossip;
            let back = output
                .datagrams
                .extract_if(own_news.., |(to, _)| *to == place);
            let back = back.map(|(_, payload)| payload).take(MAX_CARRIED);
            output.answers.extend(back);
            return;
        }
        let target = self.table.get(header.dst.uuid);
        let target = target.filter(|member| member.identity == header.dst);
        match target.filter(|_| relay && matches!(header.message, Message::Ping(_))) {
            Some(member) => output.confirmations.push(Confirmation {
                to: member.identity.clone(),
                ping: localized_payload(payload, source),
                within: self.doubts.suspicion_attempt(),
                through: Vec::new(),
                on_behalf_of: Some(header.src.uuid),
            }),
            None => self.counters.refused += 1,
        }
    }

    /// Who may ask `target` on our behalf: those that live, on other hosts first, beginning
    /// behind ourselves, so that not everybody asks the same ones.
    fn go_betweens(&self, target: &Identity, attempt: u32) -> Vec<Uuid> {
        let own = self.foca.identity();
        let mut others: Vec<&Identity> = self
            .table
            .iter()
            .filter(|member| member.liveness == Liveness::Alive && member.identity != *target)
            .map(|member| &member.identity)
            .collect();
        others.sort_by_key(|it| (it.host == own.host, it.uuid < own.uuid, it.uuid));
        let skipped = usize::try_from(attempt).unwrap_or(0) * FANOUT;
        let chosen = others
            .iter()
            .cycle()
            .skip(skipped)
            .take(FANOUT.min(others.len()));
        chosen.map(|it| it.uuid).collect()
    }
}

/// A payload that came from `source`, for somebody who does not hear it from there.
#[must_use]
pub fn localized_payload(payload: Bytes, source: IpAddr) -> Bytes {
    let Ok((mut header, updates)) = codec::decode_payload(payload.clone()) else {
        return payload;
    };
    header.src = header.src.heard_from(source);
    let updates = updates.into_iter().map(|update| localized(update, source));
    codec::encode_payload(&header, &updates.collect::<Vec<_>>())
}
