//! The status of the fleet, put together from what the core and the shell know.

use std::time::Duration;

use repram_config::LogDir;

use super::ingress::Ingress;
use super::member::{Member, Running};
use super::shell::Shell;
use crate::cli::render;
use crate::control::{Figures, HEALTH_SCHEMA, Health, UnknownNode};
use crate::fleet::{ChangeView, ExitRecord, NodeIndex, NodeView, Time};
use crate::metrics::Target;
use crate::probe::reachable;
use crate::status::{
    ChangeStatus, EndedProcess, FleetStatus, NodeExit, NodePhase, NodeStatus, OomStatus,
    ProbeStatus, STATUS_SCHEMA,
};
use crate::wall_clock::WallClock;
use crate::why::{Earlier, FleetWhy, NodeWhy, WHY_SCHEMA};

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
            canary: self.fleet.canary().map(NodeIndex::name),
            changes: self.changes_under_way(dates),
            log_dir: match &self.settings.log_dir {
                LogDir::Off => None,
                LogDir::Path(path) => Some(path.display().to_string()),
            },
            ingress: self.ingress.as_ref().map(Ingress::status),
            nodes: self
                .fleet
                .views(now)
                .map(|view| self.node_status(view, dates))
                .collect(),
        }
    }

    /// Whether enough nodes are ready.
    pub(super) fn health(&self) -> Health {
        let lacking = self.fleet.views(self.now()).filter_map(|view| {
            let name = view.node.name();
            (view.phase != NodePhase::Ready).then(|| format!("{name} is {}", view.phase.as_str()))
        });
        Health {
            schema: HEALTH_SCHEMA,
            healthy: self.fleet.is_healthy(),
            phase: self.fleet.phase(),
            ready: self.fleet.ready(),
            nodes: u16::try_from(self.members.len()).expect("no more nodes than ports"),
            needed: self.fleet.min_ready().max(1),
            lacking: lacking.collect(),
        }
    }

    /// The stories of these nodes, or of all that are not fine, without what they wrote.
    pub(super) fn why(&self, asked: &[NodeIndex]) -> Result<FleetWhy, UnknownNode> {
        let count = u16::try_from(self.members.len()).expect("no more nodes than ports");
        if let Some(&node) = asked.iter().find(|node| node.0 >= count) {
            return Err(UnknownNode { node, nodes: count });
        }
        let (now, dates) = (self.now(), self.wall_clock());
        let (mut nodes, mut earlier) = (Vec::new(), Vec::new());
        for view in self.fleet.views(now) {
            let failures = view.exits.iter().filter(|exit| !exit.class.is_wanted());
            let last = failures.max_by_key(|exit| exit.time).map(|exit| Earlier {
                node: view.node.name(),
                time: dates.date(exit.time),
                class: exit.class,
                cause: exit.cause.clone(),
            });
            let is_asked = asked.contains(&view.node);
            let why = self.node_why(view, dates);
            if is_asked || (asked.is_empty() && !why.status.is_fine()) {
                nodes.push(why);
            } else if asked.is_empty() {
                earlier.extend(last);
            }
        }
        Ok(FleetWhy {
            schema: WHY_SCHEMA,
            phase: self.fleet.phase(),
            ready: self.fleet.ready(),
            count,
            canary: self.fleet.canary().map(NodeIndex::name),
            changes: self.changes_under_way(dates),
            nodes,
            earlier,
        })
    }

    fn node_why(&self, view: NodeView, dates: &WallClock) -> NodeWhy {
        let date = |time: Time| dates.date(time);
        NodeWhy {
            next: view.outlook.clone().map(date),
            life: view.life.clone().map(date),
            probing: view.probing.clone().map(|probing| probing.map(date)),
            budget: view.budget,
            pss: None,
            lines: Vec::new(),
            exits: view
                .exits
                .iter()
                .map(|exit| node_exit(exit, dates))
                .collect(),
            status: self.node_status(view, dates),
        }
    }

    fn changes_under_way(&self, dates: &WallClock) -> Vec<ChangeStatus> {
        let change = |view: ChangeView| ChangeStatus {
            change: view.ticket.0,
            what: view.what,
            since: dates.date(view.since),
            progress: view.progress,
        };
        self.fleet.changes().map(change).collect()
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
            started: view.started.map(|time| dates.date(time)),
            restarts: view.restarts,
            failures: view.failures,
            next_start: view.next_start.map(|time| dates.date(time)),
            last_exit: view.exits.first().map(|exit| node_exit(exit, dates)),
            exits: view.exit_counts,
            usage: member.process.as_ref().and_then(Running::usage),
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

    /// What metrics tell.
    pub(super) fn figures(&self) -> Figures {
        let bind = self.settings.bind_address;
        let target = |member: &Member| Target {
            node: member.name.clone(),
            // Without a process nobody would accept.
            address: member
                .slot
                .filter(|_| member.process.is_some())
                .map(|slot| reachable(bind, slot.http)),
        };
        Figures {
            status: self.status(),
            tally: self.tally.borrow().clone(),
            wanted: self.fleet.node_count(),
            targets: self.members.iter().map(target).collect(),
        }
    }

    /// Shows the status among the events, for whoever sent SIGUSR2.
    pub(super) fn print_status(&self) {
        self.logs.print(&render::status(&self.status()));
    }
}

/// The end of a process, with dates.
fn node_exit(record: &ExitRecord, dates: &WallClock) -> NodeExit {
    let process = record.life.as_ref().map(|life| EndedProcess {
        pid: life.pid,
        generation: life.generation,
        ran_ms: millis(record.time.saturating_sub(life.started)),
        was_ready: life.was_ready,
        killed: life.killed,
        reason: life.ended.reason,
        how: life.ended.reason.to_string(),
        user_ms: millis(life.ended.usage.user),
        system_ms: millis(life.ended.usage.system),
        max_rss: life.ended.usage.max_rss,
        oom: life.ended.oom.map(|oom| OomStatus {
            kills: oom.kills,
            since: dates.date(oom.since),
        }),
    });
    NodeExit {
        time: dates.date(record.time),
        class: record.class,
        cause: record.cause.clone(),
        process,
        follow_up: record.follow_up.clone(),
        lines: None,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
