//! The stop: nothing new, everything under way answered, peers told.

use std::fmt;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use super::node::Signals;
use super::start::Node;
use crate::http::{Drain, Stage};
use crate::supervised::notify;

/// The supervisor kills a second before STOP_TIMEOUT, and a node that ends by itself should
/// not be killed while it does.
const MARGIN: Duration = Duration::from_secs(2);
/// With a very short STOP_TIMEOUT there is still this.
const GRACE_MIN: Duration = Duration::from_millis(500);

/// How long connections that wait for their next request stay open: a client that is about
/// to send one gets its answer and learns that the connection closes.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// Who asked for the stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Signal { name: &'static str, number: u8 },
    SupervisorGone,
}

impl fmt::Display for Asked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal { name, .. } => out.write_str(name),
            Self::SupervisorGone => out.write_str("the supervisor is gone"),
        }
    }
}

/// Stops `node`. A second signal ends the process at once, with the code that shells give
/// to a process that a signal ended.
pub(super) async fn stop(node: Node, asked: Asked, mut signals: Signals) {
    notify(&[NotifyState::Stopping, NotifyState::Status("draining")]);
    info!(reason = %asked, "stopping");
    tokio::select! {
        () = drain(node) => info!("stopped"),
        () = insistence(&mut signals) => {}
    }
}

async fn insistence(signals: &mut Signals) {
    // A terminal that goes away says so to everyone, and that is no impatience.
    loop {
        if let Asked::Signal {
            name,
            number: number @ (2 | 15),
        } = signals.next().await
        {
            warn!("second {name}: ending at once");
            std::process::exit(128 + i32::from(number));
        }
    }
}

async fn drain(node: Node) {
    let grace = node
        .settings
        .stop_timeout
        .saturating_sub(MARGIN)
        .max(GRACE_MIN);
    let start = Instant::now();
    node.lifecycle.advance(Stage::Draining);
    node.drain.send_replace(Drain::DoorClosed);
    let close = async {
        tokio::select! {
            () = node.connections.closed() => return,
            () = sleep(IDLE_GRACE.min(grace / 2)) => {}
        }
        node.drain.send_replace(Drain::CloseIdle);
        node.connections.closed().await;
    };
    // The other half is for handing over what is kept here.
    if timeout_at(start + grace / 2, close).await.is_err() {
        warn!("some requests are still under way and are cut off");
    }
    node.cluster
        .leave((start + grace).saturating_duration_since(Instant::now()))
        .await;
    node.drain.send_replace(Drain::End);
    for worker in node.workers {
        worker.join();
    }
    drop(node.held);
}
