//! A node's life between its start and its stop.

use std::sync::Arc;
use std::time::Duration;

use repram_discovery::supervised::REFILLED_VARIABLE;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::beginning::Moved;
use super::failure::Failure;
use super::orders::Orders;
use super::start::Node;
use super::stop::{self, Asked, Then};
use crate::clock;
use crate::door::Door;
use crate::http::{Doorman, Stage};
use crate::store::Store;
use crate::supervised::{notify, watchdog_period};

/// How often memory of entries that ended is given back: with the store's tick of 128 ms
/// that is within a second of their end.
const RECLAIM_EVERY: Duration = Duration::from_millis(500);

/// Pause between two looks at the refill.
const REFILL_LOOK: Duration = Duration::from_millis(100);

/// The signals that end a node.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over from the kernel.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|source| Failure::System {
                what: "signals cannot be had",
                source,
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Signal { name: "SIGTERM", number: 15 },
            _ = self.interrupt.recv() => Asked::Signal { name: "SIGINT", number: 2 },
            _ = self.hangup.recv() => Asked::Signal { name: "SIGHUP", number: 1 },
        }
    }
}

/// Runs `node` until it is asked to stop, and stops it. What comes back is what its next
/// life begins with, if it only has to move.
pub(super) async fn run(mut node: Node, signals: &mut Signals) -> Option<Moved> {
    let reclaiming = tokio::spawn(reclaim(Arc::clone(&node.store)));
    let mut alone = node.alone.take();
    let orders = node.line.take();
    let orders = orders.map_or_else(Orders::none, Orders::follow);
    let asked = {
        let moved = async {
            match alone.as_mut().and_then(|alone| alone.claims.as_mut()) {
                Some(claims) => Asked::Moved {
                    until: claims.must_move().await,
                },
                None => std::future::pending().await,
            }
        };
        let gone = async {
            orders.ended().await;
            Asked::SupervisorGone
        };
        tokio::select! {
            asked = signals.next() => asked,
            asked = gone => asked,
            asked = moved => asked,
            never = serve(&mut node) => match never {},
        }
    };
    let mut claims = alone.as_mut().and_then(|alone| alone.claims.as_mut());
    let conversation = async {
        match &mut claims {
            Some(claims) => claims.keep_up().await,
            None => std::future::pending().await,
        }
    };
    let then = tokio::select! {
        then = stop::stop(node, asked, &orders, signals) => then,
        never = conversation => match never {},
    };
    reclaiming.abort();
    match (then, alone) {
        (Then::Move, Some(alone)) => Moved::of(alone),
        _ => None,
    }
}

/// Joins the cluster, says so, and keeps saying that the node is alive.
async fn serve(node: &mut Node) -> std::convert::Infallible {
    node.cluster.joined().await;
    node.lifecycle.advance(Stage::Serving);
    if let Some(listener) = node.ingress.take() {
        open_ingress(&node.doorman, listener);
    }
    let peers = node.cluster.peers().len();
    info!(peers, "ready");
    notify(&[NotifyState::Ready, NotifyState::Status("ready")]);
    let ((), never) = tokio::join!(refilled(node), stay_alive(node));
    never
}

/// Waits until the node holds what it should hold, and says so once.
async fn refilled(node: &Node) {
    while !node.cluster.refill().complete() {
        sleep(REFILL_LOOK).await;
    }
    let text = format!("{REFILLED_VARIABLE}=1");
    notify(&[NotifyState::Custom(&text)]);
}

/// Says again and again that the node is alive.
async fn stay_alive(node: &Node) -> std::convert::Infallible {
    let Some(period) = watchdog_period(node.settings.liveness_period) else {
        return std::future::pending().await;
    };
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for worker in &node.workers {
            worker.is_turning().await;
        }
        notify(&[NotifyState::Watchdog]);
    }
}

/// Accepts on the port that all nodes share; one thread does, because the other nodes accept
/// on it too.
fn open_ingress(doorman: &Doorman, listener: std::net::TcpListener) {
    match Door::shared(listener) {
        Ok(door) => {
            tokio::spawn(doorman.clone().run(door));
        }
        Err(error) => warn!(%error, "the shared port cannot be used"),
    }
}

async fn reclaim(store: Arc<Store>) {
    loop {
        sleep(RECLAIM_EVERY).await;
        for removed in store.reclaim_in_batches(clock::boot_now()) {
            if removed > 0 {
                // Requests on this thread go first.
                tokio::task::yield_now().await;
            }
        }
    }
}
