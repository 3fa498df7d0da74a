//! All counters under their metric names.

use std::sync::atomic::{AtomicU64, Ordering};

use super::ClusterCounters;
use super::node::{Node, lock};
use super::sockets::Sockets;
use crate::stream::StreamCounters;

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// The counters of `node` and its streams.
pub(super) fn of(node: &Node<Sockets>, streams: &StreamCounters) -> ClusterCounters {
    let mut values = Vec::with_capacity(64);
    values.extend(membership(node));
    values.extend(datagrams(node));
    values.extend(of_streams(streams));
    values.extend(writes(node));
    values.extend(reads(node));
    ClusterCounters { values }
}

type Value = (&'static str, &'static str, u64);

fn membership(node: &Node<Sockets>) -> Vec<Value> {
    let counters = &node.counters;
    let membership = lock(&node.membership).counters();
    vec![
        (
            "peer_joins_total",
            "Lives of peers that joined",
            read(&counters.joined),
        ),
        (
            "peer_evictions_total",
            "Peers that count as lost",
            read(&counters.forgotten),
        ),
        (
            "peer_deaths_total",
            "Peers whose supervisor said that they died",
            read(&counters.died),
        ),
        ("peer_leaves_total", "Peers that left", read(&counters.left)),
        (
            "left_behind_total",
            "Values that this node had, and could not hand over to others before it stopped",
            read(&counters.left_behind),
        ),
        (
            "ping_failures_total",
            "Times that a peer stopped answering",
            read(&counters.unreachable),
        ),
        (
            "confirmations_total",
            "Times that a peer was asked over TCP because datagrams were not answered",
            read(&counters.confirmations),
        ),
        (
            "confirmations_answered_total",
            "Times that it answered there",
            read(&counters.confirmed),
        ),
        (
            "confirmations_dropped_total",
            "Times that it was not asked because too many others were being asked",
            read(&node.world.counters.unconfirmed),
        ),
        (
            "membership_renewals_total",
            "Times that this node was declared down and came back",
            membership.renewals,
        ),
        (
            "membership_refused_total",
            "Authentic membership messages that made no sense",
            membership.refused,
        ),
        (
            "membership_undead_held_back_total",
            "Mistaken messages to live peers that were held back",
            membership.undead_held_back,
        ),
    ]
}

fn datagrams(node: &Node<Sockets>) -> Vec<Value> {
    let counters = &node.world.counters;
    vec![
        (
            "datagrams_sent_total",
            "Membership datagrams sent",
            read(&counters.sent),
        ),
        (
            "datagrams_received_total",
            "Membership datagrams received and believed",
            read(&counters.received),
        ),
        (
            "datagrams_malformed_total",
            "Datagrams that are not of this protocol",
            read(&counters.malformed),
        ),
        (
            "datagrams_version_total",
            "Datagrams of another version of the protocol",
            read(&counters.version),
        ),
        (
            "datagrams_foreign_total",
            "Datagrams of another domain or network",
            read(&counters.foreign),
        ),
        (
            "datagrams_unsigned_total",
            "Datagrams of peers with a secret where we have none, or the other way round",
            read(&counters.unsigned),
        ),
        (
            "datagrams_forged_total",
            "Datagrams with a wrong signature",
            read(&counters.forged),
        ),
        (
            "datagrams_stale_total",
            "Datagrams that were repeated or too old",
            read(&counters.stale),
        ),
    ]
}

fn of_streams(streams: &StreamCounters) -> Vec<Value> {
    vec![
        (
            "streams_opened_total",
            "Streams opened to peers",
            read(&streams.opened),
        ),
        (
            "streams_accepted_total",
            "Streams accepted from peers",
            read(&streams.accepted),
        ),
        (
            "streams_failed_total",
            "Attempts to open a stream that failed",
            read(&streams.failed),
        ),
        (
            "streams_refused_total",
            "Greetings with another secret, network or protocol",
            read(&streams.refused),
        ),
        (
            "streams_version_total",
            "Greetings of another version of the protocol",
            read(&streams.versions),
        ),
        (
            "streams_crowded_total",
            "Connections closed because there were too many, first the oldest of those that had not said who they are",
            read(&streams.crowded),
        ),
        (
            "streams_broken_total",
            "Streams closed because a record was not authentic or not understood",
            read(&streams.broken),
        ),
        (
            "stream_questions_dropped_total",
            "Questions that waited when their stream broke",
            read(&streams.dropped),
        ),
    ]
}

fn writes(node: &Node<Sockets>) -> Vec<Value> {
    let writes = lock(&node.writes).counters();
    vec![
        ("writes_total", "Writes begun", writes.begun),
        (
            "writes_acknowledged_total",
            "Writes that reached the quorum in time",
            writes.acknowledged,
        ),
        (
            "writes_pending_total",
            "Writes answered before the quorum had them",
            writes.pending,
        ),
        (
            "writes_full_total",
            "Writes refused because holders are full",
            writes.full,
        ),
        (
            "writes_unavailable_total",
            "Writes that nobody could take",
            writes.unavailable,
        ),
        (
            "writes_restamped_total",
            "New versions because a holder had a higher one",
            writes.restamped,
        ),
        (
            "writes_ahead_total",
            "Copies refused because a clock is too far ahead",
            writes.ahead,
        ),
        (
            "writes_retried_total",
            "Values sent to a holder once more",
            writes.retried,
        ),
        (
            "writes_abandoned_total",
            "Answered writes left to the refill before every holder had them",
            writes.abandoned,
        ),
    ]
}

fn reads(node: &Node<Sockets>) -> Vec<Value> {
    let counters = &node.counters;
    let refill = lock(&node.refill).progress();
    vec![
        (
            "reads_forwarded_total",
            "Questions for values to peers",
            read(&counters.reads_forwarded),
        ),
        (
            "reads_hedged_total",
            "Reads that asked one more peer",
            lock(&node.reads).hedged(),
        ),
        (
            "reads_unknown_total",
            "Reads that too few could answer",
            read(&counters.reads_unknown),
        ),
        (
            "values_served_total",
            "Values given to peers",
            read(&counters.values_served),
        ),
        (
            "values_fetched_total",
            "Values fetched by the refill",
            read(&counters.values_received),
        ),
        (
            "refill_entries_total",
            "Entries received by the refill",
            refill.entries,
        ),
        (
            "refill_bytes_total",
            "Bytes received by the refill",
            refill.bytes,
        ),
    ]
}
