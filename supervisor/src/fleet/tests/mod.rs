//! Tests of the fleet core: stories told step by step, and a simulation of bad days.

mod changes;
mod configuring;
mod oracle;
mod probing;
mod simulation;
mod stories;
mod world;

use std::time::Duration;

use super::{
    Asks, FleetConfig, LivenessPolicy, MaxNodes, NodeBound, OnFailed, ProbePolicy, RestartPolicy,
};

/// A probe as it is by default.
const PROBE: ProbePolicy = ProbePolicy {
    initial_delay: Duration::ZERO,
    period: Duration::from_secs(10),
    success_threshold: 1,
    failure_threshold: 3,
};

/// Settings as they are by default, with liveness on.
fn config(node_count: u16) -> FleetConfig {
    FleetConfig {
        node_count,
        start_stagger: Duration::from_millis(200),
        restart: RestartPolicy {
            delay: Duration::from_millis(100),
            delay_max: Duration::from_secs(30),
            stable: Duration::from_secs(5),
            budget: 10,
        },
        max_nodes: MaxNodes {
            count: 10,
            bound: NodeBound::Ports,
        },
        min_ready: node_count.saturating_sub(1),
        min_ready_follows: true,
        rolling_soak: Duration::from_secs(1),
        on_failed: OnFailed::SlowRetry,
        stop_timeout: Duration::from_secs(8),
        start_timeout: Duration::from_secs(30),
        startup: None,
        readiness: Some(PROBE),
        liveness: Some(LivenessPolicy {
            asks: Asks::Silent,
            probe: PROBE,
        }),
        notifies: true,
        seed: 7,
    }
}
