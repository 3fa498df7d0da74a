//! The stop: nothing new, everything under way answered, peers told.

use std::fmt;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use super::node::Signals;
use super::orders::Orders;
use super::start::Node;
use crate::cluster::{Cluster, HandOver};
use crate::http::{Drain, Stage};
use crate::supervised::notify;

/// The supervisor kills a second before STOP_TIMEOUT, and a node that ends by itself should
/// not be killed while it does.
const MARGIN: Duration = Duration::from_secs(2);
/// With a very short STOP_TIMEOUT there is still this.
const GRACE_MIN: Duration = Duration::from_millis(500);

/// How long connections that wait for their next request stay open: a client that is about
/// to send one gets its answer and learns that the connection closes.
///
/// This is for the sake of a successor, who takes the connections that come meanwhile. When
/// the whole fleet stops there is none, and a request that came a moment later would be lost
/// anyway: then idle connections are closed at once.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// What is kept of the grace for telling the peers, at most half of it.
const FAREWELL: Duration = Duration::from_millis(500);

/// Who asked for the stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Signal {
        name: &'static str,
        number: u8,
    },
    SupervisorGone,
    /// A stronger claim has the node's port, which it must have left at this moment.
    Moved {
        until: Instant,
    },
}

impl fmt::Display for Asked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal { name, .. } => out.write_str(name),
            Self::SupervisorGone => out.write_str("the supervisor is gone"),
            Self::Moved { .. } => out.write_str("its port is another's"),
        }
    }
}

/// What is to follow a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The end of the process.
    End,
    /// A life in another slot.
    Move,
}

/// Stops `node`. A second signal ends the process at once, with the code that shells give
/// to a process that a signal ended.
pub(super) async fn stop(node: Node, asked: Asked, orders: &Orders, signals: &mut Signals) -> Then {
    let start = Instant::now();
    let mut grace = node.settings.stop_timeout.saturating_sub(MARGIN);
    let mut then = Then::End;
    if let Asked::Moved { until } = asked {
        then = Then::Move;
        grace = grace.min(until.saturating_duration_since(start + GRACE_MIN));
        notify(&[NotifyState::Status("moving to another port")]);
    } else {
        notify(&[NotifyState::Stopping, NotifyState::Status("draining")]);
    }
    info!(reason = %asked, "stopping");
    let drained = drain(node, orders, start, grace.max(GRACE_MIN));
    let mut drained = std::pin::pin!(drained);
    loop {
        let signal = tokio::select! {
            () = &mut drained => {
                info!("stopped");
                return then;
            }
            signal = signals.next() => signal,
        };
        if then == Then::Move {
            then = Then::End;
        } else if let Asked::Signal {
            name,
            // A terminal that goes away says so to everyone, and that is no impatience.
            number: number @ (2 | 15),
        } = signal
        {
            warn!("second {name}: ending at once");
            std::process::exit(128 + i32::from(number));
        }
    }
}

/// Hands over to those who stay, whoever that is said to be meanwhile.
async fn hand_over(cluster: &Cluster, orders: &Orders) {
    loop {
        let together = orders.together();
        tokio::select! {
            () = cluster.hand_over(&together) => return,
            () = orders.others_than(&together) => {}
        }
    }
}

async fn drain(node: Node, orders: &Orders, start: Instant, grace: Duration) {
    node.lifecycle.advance(Stage::Draining);
    node.drain.send_replace(Drain::DoorClosed);
    let close = async {
        tokio::select! {
            () = node.connections.closed() => return,
            () = sleep(IDLE_GRACE.min(grace / 2)) => {}
            // The message and the signal come by different ways, in either order.
            () = orders.nobody_stays() => {}
        }
        node.drain.send_replace(Drain::CloseIdle);
        node.connections.closed().await;
    };
    let end = start + grace;
    let close = timeout_at(end - FAREWELL.min(grace / 2), close);
    // What is asked meanwhile is answered by those who take over.
    let (closed, _) = tokio::join!(
        close,
        timeout_at(start + grace / 2, hand_over(&node.cluster, orders))
    );
    if closed.is_err() {
        warn!("some requests are still under way and are cut off");
    }
    match node.cluster.count_left_behind() {
        HandOver::Complete => info!("all values are with those who stay"),
        HandOver::NobodyStays(values) => info!(values, "nobody stays to whom values could go"),
        HandOver::Incomplete(0) => warn!("not everybody who stays could be asked to take over"),
        HandOver::Incomplete(values) => warn!(values, "values were not handed over in time"),
    }
    let left = end.saturating_duration_since(Instant::now());
    node.cluster.leave(left, &orders.together()).await;
    node.drain.send_replace(Drain::End);
    for worker in node.workers {
        worker.join();
    }
    drop(node.held);
}
