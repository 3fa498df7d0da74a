//! The supervisor's own page.

use std::fmt;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::catalogue::{self as metric, Metric, MetricKind};
use super::process::OwnProcess;
use super::tally::{LATENCY_BOUNDS, NodeTally, ProbeTally};
use super::{Exposition, Scrape, Tally};
use crate::exit::ExitClass;
use crate::fleet::{Check, NodeIndex};
use crate::logs::LogStats;
use crate::status::{FleetPhase, FleetStatus, NodePhase, NodeStatus};

/// Everything that is on the page, as it is at the moment.
#[derive(Debug)]
pub struct Page<'a> {
    /// The fleet.
    pub status: &'a FleetStatus,
    /// What happened so far.
    pub tally: &'a Tally,
    /// Nodes that are to run.
    pub wanted: u16,
    /// What became of the lines.
    pub logs: &'a LogStats,
    /// The supervisor's own process.
    pub own: OwnProcess,
    /// What came of asking the nodes for their own pages; empty when they were not asked.
    pub scrapes: &'a [Scrape],
}

/// Puts the page together.
///
/// # Panics
/// When what the library has written is no page, which it is.
#[must_use]
pub fn page(page: &Page<'_>) -> Exposition {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Table::of(page)));
    let mut text = String::new();
    encode(&mut text, &registry).expect("a string takes everything");
    Exposition::parse(&text).expect("it is a page")
}

type Labels = Vec<(&'static str, String)>;

#[derive(Clone, Debug)]
enum Value {
    Whole(u64),
    Real(f64),
    Classes(ProbeTally),
}

/// Every series, by its metric.
#[derive(Debug, Default)]
struct Table(Vec<(Metric, Vec<(Labels, Value)>)>);

impl Table {
    fn of(page: &Page<'_>) -> Self {
        let mut table = Self::default();
        table.fleet(page);
        table.changes(page);
        table.process(page);
        for node in &page.status.nodes {
            table.node(node);
            table.exits(node);
            if let Some(index) = NodeIndex::parse(&node.node) {
                let none = NodeTally::default();
                let tally = page.tally.nodes.get(&index).unwrap_or(&none);
                table.tally(&node.node, tally);
            }
        }
        table.logs(page);
        table.scrapes(page.scrapes);
        table
    }

    fn put(&mut self, metric: Metric, labels: Labels, value: Value) {
        debug_assert!(
            labels.iter().map(|(name, _)| name).eq(metric.labels),
            "{} has other labels",
            metric.name
        );
        match self
            .0
            .iter_mut()
            .find(|(known, _)| known.name == metric.name)
        {
            Some((_, series)) => series.push((labels, value)),
            None => self.0.push((metric, vec![(labels, value)])),
        }
    }

    fn one(&mut self, metric: Metric, value: impl Into<u64>) {
        self.put(metric, Vec::new(), Value::Whole(value.into()));
    }

    fn fleet(&mut self, page: &Page<'_>) {
        let status = page.status;
        let version = vec![("version", status.version.clone())];
        self.put(metric::BUILD, version, Value::Whole(1));
        for phase in FleetPhase::ALL {
            let label = vec![("phase", phase.as_str().to_owned())];
            let is_it = u64::from(status.phase == phase);
            self.put(metric::PHASE, label, Value::Whole(is_it));
        }
        for state in NodePhase::ALL {
            let label = vec![("state", state.as_str().to_owned())];
            let nodes = status.nodes.iter().filter(|node| node.state == state);
            self.put(metric::NODES, label, Value::Whole(nodes.count() as u64));
        }
        self.one(metric::HEALTHY, status.healthy);
        self.one(metric::NODES_WANTED, page.wanted);
        self.one(metric::NODES_READY, status.ready);
        self.one(metric::NODES_MIN_READY, status.min_ready);
    }

    fn changes(&mut self, page: &Page<'_>) {
        let tally = page.tally;
        self.one(metric::BRAKES, tally.brakes);
        self.one(metric::CHANGES_NOW, page.status.changes.len() as u64);
        let outcomes = [
            (metric::CHANGES, "done", tally.changes_done),
            (metric::CHANGES, "halted", tally.changes_halted),
            (metric::RELOADS, "done", tally.reloads_done),
            (metric::RELOADS, "refused", tally.reloads_refused),
        ];
        for (metric, outcome, count) in outcomes {
            let label = vec![("outcome", outcome.to_owned())];
            self.put(metric, label, Value::Whole(count));
        }
    }

    fn process(&mut self, page: &Page<'_>) {
        let own = page.own;
        self.put(metric::PROCESS_CPU, Vec::new(), Value::Real(own.cpu_s));
        self.one(metric::PROCESS_MEMORY, own.resident);
        if let Some(open) = own.open_fds {
            self.one(metric::PROCESS_FDS, open);
        }
        if let Some(max) = own.max_fds {
            self.one(metric::PROCESS_FDS_MAX, max);
        }
        self.put(
            metric::PROCESS_STARTED,
            Vec::new(),
            date(page.status.started),
        );
    }

    fn node(&mut self, node: &NodeStatus) {
        let name = || ("node", node.node.clone());
        let port = |port: Option<u16>| port.map_or_else(String::new, |port| port.to_string());
        let who = vec![
            name(),
            ("uuid", node.uuid.to_string()),
            ("http_port", port(node.http_port)),
            ("gossip_port", port(node.gossip_port)),
        ];
        self.put(metric::NODE, who, Value::Whole(1));
        let ready = u64::from(node.state == NodePhase::Ready);
        self.put(metric::NODE_READY, vec![name()], Value::Whole(ready));
        for state in NodePhase::ALL {
            let labels = vec![name(), ("state", state.as_str().to_owned())];
            let is_it = u64::from(node.state == state);
            self.put(metric::NODE_STATE, labels, Value::Whole(is_it));
        }
        self.put(metric::NODE_STATE_SINCE, vec![name()], date(node.since));
        let restarts = Value::Whole(node.restarts);
        self.put(metric::NODE_RESTARTS, vec![name()], restarts);
        let failures = Value::Whole(node.failures.into());
        self.put(metric::NODE_FAILURES, vec![name()], failures);
        if let Some(started) = node.started {
            self.put(metric::NODE_STARTED, vec![name()], date(started));
        }
        if let Some(next) = node.next_start {
            self.put(metric::NODE_NEXT_START, vec![name()], date(next));
        }
        if let Some(usage) = node.usage {
            let cpu = Value::Real(usage.cpu_ms as f64 / 1000.0);
            self.put(metric::NODE_CPU, vec![name()], cpu);
            let memory = Value::Whole(usage.rss);
            self.put(metric::NODE_MEMORY, vec![name()], memory);
        }
    }

    fn exits(&mut self, node: &NodeStatus) {
        let name = || ("node", node.node.clone());
        for class in ExitClass::ALL {
            let labels = vec![name(), ("reason", class.as_str().to_owned())];
            let count = node.exits.get(&class).copied().unwrap_or(0);
            self.put(metric::NODE_EXITS, labels, Value::Whole(count));
        }
        let Some(last) = &node.last_exit else { return };
        let labels = vec![name(), ("reason", last.class.as_str().to_owned())];
        self.put(metric::NODE_LAST_EXIT, labels, date(last.time));
        if let Some(process) = &last.process {
            let code = u64::try_from(process.reason.shell_code()).unwrap_or(0);
            self.put(metric::NODE_EXIT_CODE, vec![name()], Value::Whole(code));
        }
    }

    fn tally(&mut self, node: &str, tally: &NodeTally) {
        let name = || ("node", node.to_owned());
        let counts = [
            (metric::NODE_KILLS, tally.kills),
            (metric::NODE_UNREADY, tally.unready),
            (metric::NODE_MOVES, tally.moves),
        ];
        for (metric, count) in counts {
            self.put(metric, vec![name()], Value::Whole(count));
        }
        for (outcome, count) in [("claimed", tally.claims), ("refused", tally.claims_refused)] {
            let labels = vec![name(), ("outcome", outcome.to_owned())];
            self.put(metric::NODE_CLAIMS, labels, Value::Whole(count));
        }
        for (check, probes) in &tally.probes {
            let check = ("check", word(*check).to_owned());
            for (outcome, count) in [("passed", probes.passed), ("failed", probes.failed)] {
                let labels = vec![name(), check.clone(), ("outcome", outcome.to_owned())];
                self.put(metric::NODE_PROBES, labels, Value::Whole(count));
            }
            let labels = vec![name(), check];
            self.put(metric::NODE_PROBE_DURATION, labels, Value::Classes(*probes));
        }
    }

    fn logs(&mut self, page: &Page<'_>) {
        self.one(metric::EVENTS_DROPPED, page.logs.events_dropped);
        for node in &page.logs.nodes {
            // One that has left the fleet has no series.
            if !page
                .status
                .nodes
                .iter()
                .any(|known| known.node == node.node)
            {
                continue;
            }
            let name = || ("node", node.node.clone());
            let counts = [
                (metric::NODE_LOG_READ_LINES, node.read.lines),
                (metric::NODE_LOG_READ_BYTES, node.read.bytes),
                (metric::NODE_LOG_CUT_LINES, node.cut.lines),
                (metric::NODE_LOG_CUT_BYTES, node.cut.bytes),
                (metric::NODE_LOG_ROTATIONS, node.rotations),
                (metric::NODE_LOG_DELETED_FILES, node.deleted.files),
                (metric::NODE_LOG_DELETED_BYTES, node.deleted.bytes),
            ];
            for (metric, count) in counts {
                self.put(metric, vec![name()], Value::Whole(count));
            }
            for (to, there) in [("file", node.file), ("stdout", node.stdout)] {
                let counts = [
                    (metric::NODE_LOG_WRITTEN_LINES, there.written.lines),
                    (metric::NODE_LOG_WRITTEN_BYTES, there.written.bytes),
                    (metric::NODE_LOG_DROPPED_LINES, there.dropped.lines),
                    (metric::NODE_LOG_DROPPED_BYTES, there.dropped.bytes),
                ];
                for (metric, count) in counts {
                    let labels = vec![name(), ("to", to.to_owned())];
                    self.put(metric, labels, Value::Whole(count));
                }
            }
        }
    }

    fn scrapes(&mut self, scrapes: &[Scrape]) {
        for scrape in scrapes {
            let name = || vec![("node", scrape.node.clone())];
            let success = u64::from(scrape.page.is_some());
            self.put(metric::NODE_SCRAPE_SUCCESS, name(), Value::Whole(success));
            let duration = Value::Real(scrape.duration.as_secs_f64());
            self.put(metric::NODE_SCRAPE_DURATION, name(), duration);
        }
    }
}

impl Collector for Table {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (metric, series) in &self.0 {
            let name = metric.name.strip_suffix(metric.kind.ending());
            let name = name.unwrap_or(metric.name);
            let kind = match metric.kind {
                MetricKind::Gauge => MetricType::Gauge,
                MetricKind::Counter => MetricType::Counter,
                MetricKind::Histogram => MetricType::Histogram,
                MetricKind::Info => MetricType::Info,
            };
            let mut family = encoder.encode_descriptor(name, metric.help, None, kind)?;
            for (labels, value) in series {
                if metric.kind == MetricKind::Info {
                    family.encode_info(labels)?;
                    continue;
                }
                let mut one = family.encode_family(labels)?;
                match (metric.kind, value) {
                    (MetricKind::Counter, Value::Whole(count)) => {
                        one.encode_counter::<NoLabelSet, _, f64>(count, None)?;
                    }
                    (MetricKind::Counter, Value::Real(sum)) => {
                        one.encode_counter::<NoLabelSet, _, f64>(sum, None)?;
                    }
                    (_, Value::Whole(number)) => {
                        one.encode_gauge(&i64::try_from(*number).unwrap_or(i64::MAX))?;
                    }
                    (_, Value::Real(number)) => one.encode_gauge(number)?,
                    (_, Value::Classes(probes)) => one.encode_histogram::<NoLabelSet>(
                        probes.duration.as_secs_f64(),
                        probes.latencies.iter().sum(),
                        &classes(probes),
                        None,
                    )?,
                }
            }
        }
        Ok(())
    }
}

/// Bounds in seconds with the counts between them; the last bound is infinity.
fn classes(probes: &ProbeTally) -> Vec<(f64, u64)> {
    let bounds = LATENCY_BOUNDS.into_iter().chain([f64::INFINITY]);
    bounds.zip(probes.latencies).collect()
}

/// A date in seconds since the Unix epoch.
fn date(time: Timestamp) -> Value {
    Value::Real(time.as_millisecond() as f64 / 1000.0)
}

fn word(check: Check) -> &'static str {
    match check {
        Check::Startup => "startup",
        Check::Readiness => "readiness",
        Check::Liveness => "liveness",
    }
}
