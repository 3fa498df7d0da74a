//! Every metric: its name, what it says, and by what it is told apart.

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Goes up and down.
    Gauge,
    /// Only grows, from 0 at the supervisor's start.
    Counter,
    /// Counts in classes, and a sum.
    Histogram,
    /// Always 1: what it says stands in its labels.
    Info,
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as queries have it.
    pub name: &'static str,
    /// Its type.
    pub kind: MetricKind,
    /// What tells its series apart.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

impl MetricKind {
    /// The word that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// What the names of such metrics end in.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

/// Declares metrics as constants, and all of them as a list.
macro_rules! catalogue {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) const $constant: Metric = Metric {
            name: $name,
            kind: MetricKind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)+

        /// Every metric, in the order of the reference page.
        pub const METRICS: &[Metric] = &[$($constant),+];
    };
}

catalogue! {
    BUILD = Info "repram_fleet_build_info" ["version"]
        "Which version the supervisor is";
    PHASE = Gauge "repram_fleet_phase" ["phase"]
        "What the fleet is doing: 1 for its phase, 0 for the others";
    HEALTHY = Gauge "repram_fleet_healthy" []
        "Whether enough nodes are ready, as supervisor health says it";
    NODES_WANTED = Gauge "repram_fleet_nodes_wanted" []
        "Nodes that are to run";
    NODES_READY = Gauge "repram_fleet_nodes_ready" []
        "Nodes that are ready";
    NODES_MIN_READY = Gauge "repram_fleet_nodes_min_ready" []
        "Nodes that the supervisor's own actions keep ready (MIN_READY)";
    NODES = Gauge "repram_fleet_nodes" ["state"]
        "Nodes by what they are doing";
    BRAKES = Counter "repram_fleet_brakes_total" []
        "How often so many nodes failed together that one went ahead alone";
    CHANGES_NOW = Gauge "repram_fleet_changes_in_progress" []
        "Restarts and changes of the number of nodes that are under way";
    CHANGES = Counter "repram_fleet_changes_total" ["outcome"]
        "Restarts and changes of the number of nodes that have ended";
    RELOADS = Counter "repram_fleet_reloads_total" ["outcome"]
        "Reloads of the settings";
    EVENTS_DROPPED = Counter "repram_fleet_events_dropped_total" []
        "Events that standard output could not show";
    NODE = Info "repram_fleet_node_info" ["node", "uuid", "http_port", "gossip_port"]
        "Who a node is and where it listens";
    NODE_READY = Gauge "repram_fleet_node_ready" ["node"]
        "Whether the node is ready";
    NODE_STATE = Gauge "repram_fleet_node_state" ["node", "state"]
        "What the node is doing: 1 for its state, 0 for the others";
    NODE_STATE_SINCE = Gauge "repram_fleet_node_state_start_time_seconds" ["node"]
        "Since when the node is in its state, since the Unix epoch";
    NODE_STARTED = Gauge "repram_fleet_node_start_time_seconds" ["node"]
        "When the node's process was started, since the Unix epoch";
    NODE_RESTARTS = Counter "repram_fleet_node_restarts_total" ["node"]
        "Starts of the node after its first";
    NODE_EXITS = Counter "repram_fleet_node_exits_total" ["node", "reason"]
        "Ends of the node's processes, and starts that came to nothing, by their reason";
    NODE_LAST_EXIT = Gauge "repram_fleet_node_last_exit_time_seconds" ["node", "reason"]
        "When the node's last process ended, since the Unix epoch";
    NODE_EXIT_CODE = Gauge "repram_fleet_node_last_exit_code" ["node"]
        "How the node's last process ended: its exit code, or 128 and the number of the signal";
    NODE_FAILURES = Gauge "repram_fleet_node_failures" ["node"]
        "Failures of the node since it last ran stably";
    NODE_NEXT_START = Gauge "repram_fleet_node_next_start_time_seconds" ["node"]
        "When the node is started again, since the Unix epoch";
    NODE_KILLS = Counter "repram_fleet_node_kills_total" ["node"]
        "How often the supervisor killed the node, or what was left of it";
    NODE_UNREADY = Counter "repram_fleet_node_unready_total" ["node"]
        "How often the node stopped being ready though its process lived";
    NODE_CLAIMS = Counter "repram_fleet_node_claims_total" ["node", "outcome"]
        "Slots that the node got after its first, and looks for one that found none";
    NODE_MOVES = Counter "repram_fleet_node_moves_total" ["node"]
        "How often the node had to leave its slot for the claim of another host";
    NODE_PROBES = Counter "repram_fleet_node_probes_total" ["node", "check", "outcome"]
        "Answers of the node to probes";
    NODE_PROBE_DURATION = Histogram "repram_fleet_node_probe_duration_seconds" ["node", "check"]
        "How long the node took to answer probes";
    NODE_CPU = Counter "repram_fleet_node_cpu_seconds_total" ["node"]
        "Processor time of the node's process";
    NODE_MEMORY = Gauge "repram_fleet_node_resident_memory_bytes" ["node"]
        "Memory of the node's process";
    NODE_LOG_READ_LINES = Counter "repram_fleet_node_log_read_lines_total" ["node"]
        "Lines that the node has written";
    NODE_LOG_READ_BYTES = Counter "repram_fleet_node_log_read_bytes_total" ["node"]
        "Bytes of the lines that the node has written";
    NODE_LOG_CUT_LINES = Counter "repram_fleet_node_log_cut_lines_total" ["node"]
        "Lines of the node that were longer than LOG_MAX_LINE";
    NODE_LOG_CUT_BYTES = Counter "repram_fleet_node_log_cut_bytes_total" ["node"]
        "Bytes that were cut off these lines";
    NODE_LOG_WRITTEN_LINES = Counter "repram_fleet_node_log_written_lines_total" ["node", "to"]
        "Lines of the node that got to their file or to standard output";
    NODE_LOG_WRITTEN_BYTES = Counter "repram_fleet_node_log_written_bytes_total" ["node", "to"]
        "Bytes of these lines";
    NODE_LOG_DROPPED_LINES = Counter "repram_fleet_node_log_dropped_lines_total" ["node", "to"]
        "Lines of the node that did not, because a disk or a reader was too slow or refused";
    NODE_LOG_DROPPED_BYTES = Counter "repram_fleet_node_log_dropped_bytes_total" ["node", "to"]
        "Bytes of the lines that were dropped";
    NODE_LOG_ROTATIONS = Counter "repram_fleet_node_log_rotations_total" ["node"]
        "How often the node's file was rotated";
    NODE_LOG_DELETED_FILES = Counter "repram_fleet_node_log_deleted_files_total" ["node"]
        "Rotated files that LOG_KEEP or LOG_TOTAL had no room for";
    NODE_LOG_DELETED_BYTES = Counter "repram_fleet_node_log_deleted_bytes_total" ["node"]
        "Bytes of the rotated files that were deleted";
    NODE_SCRAPE_SUCCESS = Gauge "repram_fleet_node_scrape_success" ["node"]
        "Whether the node's own metrics are on this page";
    NODE_SCRAPE_DURATION = Gauge "repram_fleet_node_scrape_duration_seconds" ["node"]
        "How long the node took to give its own metrics";
    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "Processor time of the supervisor";
    PROCESS_MEMORY = Gauge "process_resident_memory_bytes" []
        "Memory of the supervisor";
    PROCESS_FDS = Gauge "process_open_fds" []
        "Descriptors that the supervisor has open";
    PROCESS_FDS_MAX = Gauge "process_max_fds" []
        "Descriptors that the supervisor may have open";
    PROCESS_STARTED = Gauge "process_start_time_seconds" []
        "When the supervisor started, since the Unix epoch";
}

/// What stands above the table.
const INTRODUCTION: &str = "\
<!-- Generated from supervisor/src/metrics/catalogue.rs by `cargo xtask fix`. -->

# Metrics of the supervisor

`GET /metrics` on the control socket and on `ADMIN_ADDR`, and `supervisor metrics`. What to do \
about them stands in [operations](../operations.md#metrics).

| metric | type | labels | |
|---|---|---|---|
";

/// The reference page as Markdown.
#[must_use]
pub fn reference() -> String {
    let row = |metric: &Metric| {
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (name, kind, help) = (metric.name, metric.kind.as_str(), metric.help);
        format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "))
    };
    let rows: String = METRICS.iter().map(row).collect();
    format!("{INTRODUCTION}{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// <https://prometheus.io/docs/practices/naming/>: base units, and the unit last.
    const UNITS: [&str; 2] = ["seconds", "bytes"];

    #[test]
    fn names_follow_the_conventions() {
        for metric in METRICS {
            let name = metric.name;
            let plain = name.strip_suffix(metric.kind.ending()).unwrap_or_default();
            assert!(!plain.is_empty(), "{name} lacks its ending");
            assert!(
                metric.kind == MetricKind::Counter || !name.ends_with("_total"),
                "{name} is no counter"
            );
            let lower = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(name.bytes().all(lower), "{name}");
            assert!(
                name.starts_with("repram_fleet_") || name.starts_with("process_"),
                "{name}"
            );
            for unit in ["milli", "micro", "minutes", "kilo", "percent"] {
                assert!(!name.contains(unit), "{name} is not in base units");
            }
            for unit in UNITS {
                let inside = plain.contains(unit);
                assert!(
                    !inside || plain.ends_with(unit),
                    "{name}: the unit stands last"
                );
            }
            assert!(!metric.help.ends_with('.'), "{name}: {}", metric.help);
        }
    }

    #[test]
    fn names_are_unique() {
        for (index, metric) in METRICS.iter().enumerate() {
            assert!(
                METRICS[..index]
                    .iter()
                    .all(|other| other.name != metric.name)
            );
        }
    }
}
