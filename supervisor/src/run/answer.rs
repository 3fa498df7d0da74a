//! The status of the fleet, put together from what the core and the shell know.

use repram_config::LogDir;

use super::shell::Shell;
use crate::cli::render;
use crate::fleet::{NodeView, Time};
use crate::status::{FleetStatus, LastExit, NodeStatus, ProbeStatus, STATUS_SCHEMA};
use crate::wall_clock::WallClock;

impl Shell {
    /// The whole fleet at this moment.
    pub(super) fn status(&self) -> FleetStatus {
        let (now, dates) = (self.now(), self.wall_clock());
        FleetStatus {
            schema: STATUS_SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: dates.date(Time::ZERO),
            phase: self.fleet.phase(),
            ready: self.fleet.ready(),
            min_ready: self.fleet.min_ready(),
            healthy: self.fleet.is_healthy(),
            log_dir: match &self.settings.log_dir {
                LogDir::Off => None,
                LogDir::Path(path) => Some(path.display().to_string()),
            },
            nodes: self
                .fleet
                .views(now)
                .map(|view| self.node_status(view, dates))
                .collect(),
        }
    }

    fn node_status(&self, view: NodeView, dates: &WallClock) -> NodeStatus {
        let member = &self.members[usize::from(view.node.0)];
        NodeStatus {
            node: member.name.clone(),
            uuid: member.uuid,
            generation: view.generation,
            state: view.phase,
            since: dates.date(view.since),
            pid: view.pid,
            http_port: view.ports.map(|ports| ports.http),
            gossip_port: view.ports.map(|ports| ports.gossip),
            restarts: view.restarts,
            failures: view.failures,
            next_start: view.next_start.map(|time| dates.date(time)),
            last_exit: view.last_exit.map(|(time, reason, cause)| LastExit {
                time: dates.date(time),
                reason,
                cause,
            }),
            message: view.message,
            reason: view.reason,
            probes: view
                .probes
                .into_iter()
                .map(|record| ProbeStatus {
                    time: dates.date(record.time),
                    pid: record.pid,
                    check: record.check,
                    passed: record.answer.passed,
                    summary: record.answer.summary,
                    latency_us: u64::try_from(record.answer.latency.as_micros())
                        .unwrap_or(u64::MAX),
                })
                .collect(),
        }
    }

    /// Shows the status among the events, for whoever sent SIGUSR2.
    pub(super) fn print_status(&self) {
        self.logs.print(&render::status(&self.status()));
    }
}
