//! The status as a person reads it.

use jiff::Timestamp;

use super::size::{percent, short_latency, short_size};
use super::span::{millis_between, short_span};
use super::table::{Cell, Column, table_by_rank};
use super::view::View;
use super::wrap::wrapped;
use crate::control::Health;
use crate::event::span;
use crate::exit::ExitClass;
use crate::status::{
    ChangeStatus, FleetPhase, FleetStatus, IngressStatus, NodeExit, NodePhase, NodeStatus,
};
use crate::style::Colour;

/// The status for whoever looks at our stdout now: a line about the fleet, then a table of
/// the nodes.
#[must_use]
pub fn status(status: &FleetStatus) -> String {
    status_at(status, &View::of_stdout())
}

/// The same for somebody else at another time.
#[must_use]
pub fn status_at(status: &FleetStatus, view: &View) -> String {
    // Our own nodes notify and are not asked.
    let asked = status.nodes.iter().any(|node| !node.probes.is_empty());
    let probe_rank = if asked { 8 } else { Column::LEFT_OUT };
    let head = [
        Column::left("NODE", 0),
        Column::left("STATE", 0),
        Column::right("FOR", 1),
        Column::right("PID", 5),
        Column::right("HTTP", 2),
        Column::right("GOSSIP", 9),
        Column::right("RESTARTS", 3),
        Column::right("CPU", 7),
        Column::right("MEMORY", 6),
        Column::right("PROBE", probe_rank),
        Column::left("LAST EXIT", 4),
    ];
    let nodes = status.nodes.iter();
    let rows: Vec<_> = nodes.map(|node| row(node, view.now)).collect();
    let mut text = summary(status, view);
    text += &table_by_rank(head, &rows, view.style, view.width);
    text + &notes(status, view)
}

/// `healthy: 3 of 3 nodes ready, 2 needed; supervisor 4711, up 5 min 2 s`, and what is under
/// way.
fn summary(status: &FleetStatus, view: &View) -> String {
    let (word, colour) = word(status.healthy, status.phase);
    let up = span(millis_between(status.started, view.now));
    let rest = format!(
        "{}; supervisor {}, up {up}",
        counts(status.ready, status.nodes.len(), status.min_ready.max(1)),
        status.pid,
    );
    let mut text = wrapped("", "  ", &format!("{word}: {rest}"), view.width);
    // The first word is never broken off.
    text.replace_range(..word.len(), &view.style.paint(colour, word));
    if let Some(canary) = &status.canary {
        let what = format!(
            "many nodes failed together: {canary} goes ahead alone, the others follow when it is \
             ready"
        );
        text += &wrapped("", "  ", &what, view.width);
    }
    if let Some(IngressStatus { port, open }) = status.ingress {
        let what = match open {
            true => format!("front port {port}: open"),
            false => format!("front port {port}: closed, because no node is ready"),
        };
        text += &wrapped("", "  ", &what, view.width);
    }
    for change in &status.changes {
        text += &wrapped("", "  ", &change_line(change, view.now), view.width);
    }
    text
}

/// `change 3, rolling restart of flux-node-1, flux-node-2, for 12 s: at flux-node-2, 2 of 2`
pub(super) fn change_line(change: &ChangeStatus, now: Timestamp) -> String {
    let ChangeStatus {
        change,
        what,
        since,
        progress,
    } = change;
    let age = short_span(millis_between(*since, now));
    format!("change {change}, {what}, for {age}: {progress}")
}

/// A start that takes longer deserves a word; quicker ones would only flicker.
const LONG_START_MS: u64 = 5_000;

/// A line for each node that is not as it should be, and where more is told.
fn notes(status: &FleetStatus, view: &View) -> String {
    let mut text = String::new();
    let mut noted = Vec::new();
    for node in &status.nodes {
        if let Some(note) = note(node, view.now) {
            text += &wrapped("", "  ", &note, view.width);
            noted.push(node.node.trim_start_matches("flux-node-"));
        }
    }
    let which = match noted[..] {
        [] => return text,
        [one] => format!(" {one}"),
        _ => String::new(),
    };
    let hint = format!("`supervisor why{which}` tells more");
    text + &wrapped("", "  ", &view.style.paint(Colour::Dim, &hint), view.width)
}

/// Why a node is not as it should be: `flux-node-2 is unready: /health answered 503 ...`
fn note(node: &NodeStatus, now: Timestamp) -> Option<String> {
    let fresh = millis_between(node.since, now) < LONG_START_MS;
    let state = node.state.as_str();
    let failure = node.last_exit.as_ref();
    let failure = failure.filter(|exit| !exit.class.is_wanted() && node.failures > 0);
    let failure = failure.map(|exit| exit.cause.as_str());
    let why = match node.state {
        NodePhase::Ready | NodePhase::Unready => node.reason.as_deref()?,
        NodePhase::Starting if fresh => return None,
        NodePhase::Starting => node.reason.as_deref().or(failure)?,
        NodePhase::Stopping => node.reason.as_deref()?,
        NodePhase::Waiting | NodePhase::Failed => failure?,
        NodePhase::NoPort => node.message.as_deref()?,
        NodePhase::Clearing | NodePhase::Stopped => return None,
    };
    let next = node.next_start.filter(|next| *next > now);
    let next = next.map_or(String::new(), |next| {
        format!("; next start in {}", short_span(millis_between(now, next)))
    });
    Some(format!("{} is {state}: {why}{next}", node.node))
}

/// One line that says whether enough nodes are ready, and what the others do.
#[must_use]
pub fn health_line(health: &Health) -> String {
    /// Nodes that are named.
    const NAMED: usize = 3;
    let word = word(health.healthy, health.phase).0;
    let mut line = format!(
        "{word}: {}",
        counts(health.ready, health.nodes.into(), health.needed)
    );
    let (named, more) = match health.lacking.split_at_checked(NAMED) {
        Some((named, more)) => (named, more.len()),
        None => (&health.lacking[..], 0),
    };
    if !named.is_empty() {
        line += &format!("; {}", named.join(", "));
    }
    if more > 0 {
        line += &format!(", and {more} more");
    }
    line + "\n"
}

fn counts(ready: u16, nodes: usize, needed: u16) -> String {
    format!("{ready} of {nodes} nodes ready, {needed} needed")
}

fn word(healthy: bool, phase: FleetPhase) -> (&'static str, Colour) {
    match (phase, healthy) {
        (FleetPhase::Stopping, _) => ("stopping", Colour::Yellow),
        (FleetPhase::Braked, _) => ("braked", Colour::Red),
        (FleetPhase::Starting, false) => ("starting", Colour::Yellow),
        (FleetPhase::Starting | FleetPhase::Running, true) => ("healthy", Colour::Green),
        (FleetPhase::Running, false) => ("unhealthy", Colour::Red),
    }
}

fn row(node: &NodeStatus, now: Timestamp) -> [Cell; 11] {
    let usage = node.usage.as_ref();
    let probe = node.probes.first();
    [
        Cell::new(&node.node),
        state_cell(node.state),
        Cell::new(short_span(millis_between(node.since, now))),
        Cell::optional(node.pid),
        Cell::optional(node.http_port),
        Cell::optional(node.gossip_port),
        Cell::new(node.restarts.to_string()),
        Cell::optional(usage.map(|usage| percent(usage.cpu_percent))),
        Cell::optional(usage.map(|usage| short_size(usage.rss))),
        Cell::optional(probe.map(|probe| short_latency(probe.latency_us))),
        Cell::optional(node.last_exit.as_ref().map(|exit| last_exit(exit, now))),
    ]
}

/// The state in its colour.
pub(super) fn state_cell(state: NodePhase) -> Cell {
    match state_colour(state) {
        Some(colour) => Cell::coloured(state.as_str(), colour),
        None => Cell::new(state.as_str()),
    }
}

fn state_colour(state: NodePhase) -> Option<Colour> {
    match state {
        NodePhase::Ready => Some(Colour::Green),
        NodePhase::Failed => Some(Colour::Red),
        NodePhase::NoPort | NodePhase::Unready => Some(Colour::Yellow),
        NodePhase::Starting
        | NodePhase::Waiting
        | NodePhase::Stopping
        | NodePhase::Clearing
        | NodePhase::Stopped => None,
    }
}

/// How and when the last process ended: `SIGKILL, 12 s ago`, `watchdog, 3 min ago`.
fn last_exit(exit: &NodeExit, now: Timestamp) -> String {
    let ago = short_span(millis_between(exit.time, now));
    format!("{}, {ago} ago", ended_by(exit))
}

/// The end in a word or two: the class, where it says more than the code or the signal.
pub(super) fn ended_by(exit: &NodeExit) -> String {
    match (exit.class, &exit.process) {
        (ExitClass::ExitCode | ExitClass::Signal, Some(process)) => process.how.clone(),
        (class, _) => class.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::SignedDuration;
    use uuid::Uuid;

    use super::*;
    use crate::control::HEALTH_SCHEMA;
    use crate::exit::{ExitClass, ExitReason};
    use crate::status::{EndedProcess, NodeExit, ProbeStatus, ProcessUsage, STATUS_SCHEMA};
    use crate::style::Style;

    fn now() -> Timestamp {
        Timestamp::from_second(1_795_176_000).expect("in range")
    }

    fn ago(seconds: i64) -> Timestamp {
        now() - SignedDuration::from_secs(seconds)
    }

    fn node(number: u16, state: NodePhase) -> NodeStatus {
        NodeStatus {
            node: format!("flux-node-{number}"),
            uuid: Uuid::nil(),
            generation: 1,
            state,
            since: ago(42),
            pid: Some(1000 + u32::from(number)),
            http_port: Some(8080 + number),
            gossip_port: Some(9080 + number),
            started: None,
            restarts: 0,
            failures: 0,
            next_start: None,
            last_exit: None,
            exits: BTreeMap::new(),
            usage: Some(ProcessUsage {
                rss: 6_400_000,
                cpu_ms: 120,
                cpu_percent: 0.28,
                cpu_over_ms: 42_000,
            }),
            message: None,
            reason: None,
            probes: Vec::new(),
        }
    }

    fn fleet(nodes: Vec<NodeStatus>) -> FleetStatus {
        let ready = nodes
            .iter()
            .filter(|node| node.state == NodePhase::Ready)
            .count();
        FleetStatus {
            schema: STATUS_SCHEMA,
            version: "0.1.0".to_owned(),
            pid: 4711,
            started: ago(302),
            phase: FleetPhase::Running,
            ready: u16::try_from(ready).expect("few"),
            min_ready: 2,
            healthy: ready >= 2,
            canary: None,
            changes: Vec::new(),
            log_dir: None,
            ingress: None,
            nodes,
        }
    }

    fn view(style: Style, width: Option<usize>) -> View {
        View {
            now: now(),
            style,
            width,
        }
    }

    fn exited(reason: ExitReason) -> Option<NodeExit> {
        Some(NodeExit {
            time: ago(9),
            class: ExitClass::ExitCode,
            cause: "it ended by itself".to_owned(),
            process: Some(EndedProcess {
                pid: 7,
                generation: 1,
                ran_ms: 1_000,
                was_ready: true,
                killed: false,
                reason,
                how: reason.to_string(),
                user_ms: 10,
                system_ms: 5,
                max_rss: 1 << 20,
                oom: None,
            }),
            follow_up: None,
            lines: None,
        })
    }

    #[test]
    fn a_healthy_fleet() {
        let status = fleet(vec![node(1, NodePhase::Ready), node(2, NodePhase::Ready)]);
        let expect = "\
healthy: 2 of 2 nodes ready, 2 needed; supervisor 4711, up 5 min 2 s
NODE         STATE   FOR   PID  HTTP  GOSSIP  RESTARTS   CPU   MEMORY  LAST EXIT
flux-node-1  ready  42 s  1001  8081    9081         0  0.3%  6.1 MiB  -
flux-node-2  ready  42 s  1002  8082    9082         0  0.3%  6.1 MiB  -
";
        assert_eq!(status_at(&status, &view(Style::Plain, Some(80))), expect);
    }

    fn bad_hour() -> FleetStatus {
        let waiting = NodeStatus {
            since: ago(5),
            pid: None,
            usage: None,
            restarts: 12_345,
            failures: 3,
            next_start: Some(now() + SignedDuration::from_secs(25)),
            last_exit: exited(ExitReason::Code(101)),
            ..node(1, NodePhase::Waiting)
        };
        let probe = ProbeStatus {
            time: ago(1),
            pid: 4_194_304,
            check: crate::fleet::Check::Readiness,
            passed: false,
            summary: "/health answered 503".to_owned(),
            latency_us: 1_234,
        };
        let starting = NodeStatus {
            since: ago(86_400 * 3),
            pid: Some(4_194_304),
            restarts: 1,
            last_exit: exited(ExitReason::Signal(9)),
            probes: vec![probe],
            ..node(2, NodePhase::Starting)
        };
        let none = NodeStatus {
            pid: None,
            usage: None,
            http_port: None,
            gossip_port: None,
            since: ago(7_300),
            message: Some("HTTP port 8083 is held by pid 7 (nc)".to_owned()),
            ..node(10, NodePhase::NoPort)
        };
        fleet(vec![waiting, starting, none])
    }

    #[test]
    fn a_bad_hour_fits_any_terminal() {
        let check = |width: Option<usize>, expect: &str| {
            let text = status_at(&bad_hour(), &view(Style::Plain, width));
            assert_eq!(text, expect, "{width:?}");
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(width.is_none_or(|width| widest <= Some(width)), "{width:?}");
        };
        check(
            None,
            "\
unhealthy: 0 of 3 nodes ready, 2 needed; supervisor 4711, up 5 min 2 s
NODE          STATE     FOR      PID  HTTP  GOSSIP  RESTARTS   CPU   MEMORY   PROBE  LAST EXIT
flux-node-1   waiting   5 s        -  8081    9081     12345     -        -       -  exit code 101, 9 s ago
flux-node-2   starting  3 d  4194304  8082    9082         1  0.3%  6.1 MiB  1.2 ms  SIGKILL, 9 s ago
flux-node-10  no-port   2 h        -     -       -         0     -        -       -  -
flux-node-1 is waiting: it ended by itself; next start in 25 s
flux-node-10 is no-port: HTTP port 8083 is held by pid 7 (nc)
`supervisor why` tells more
",
        );
        check(
            Some(80),
            "\
unhealthy: 0 of 3 nodes ready, 2 needed; supervisor 4711, up 5 min 2 s
NODE          STATE     FOR      PID  HTTP  RESTARTS  LAST EXIT
flux-node-1   waiting   5 s        -  8081     12345  exit code 101, 9 s ago
flux-node-2   starting  3 d  4194304  8082         1  SIGKILL, 9 s ago
flux-node-10  no-port   2 h        -     -         0  -
flux-node-1 is waiting: it ended by itself; next start in 25 s
flux-node-10 is no-port: HTTP port 8083 is held by pid 7 (nc)
`supervisor why` tells more
",
        );
        check(
            Some(40),
            "\
unhealthy: 0 of 3 nodes ready, 2 needed;
  supervisor 4711, up 5 min 2 s
NODE          STATE     FOR  HTTP
flux-node-1   waiting   5 s  8081
flux-node-2   starting  3 d  8082
flux-node-10  no-port   2 h     -
flux-node-1 is waiting: it ended by
  itself; next start in 25 s
flux-node-10 is no-port: HTTP port 8083
  is held by pid 7 (nc)
`supervisor why` tells more
",
        );
        check(
            Some(30),
            "\
unhealthy: 0 of 3 nodes ready,
  2 needed; supervisor 4711,
  up 5 min 2 s
NODE          STATE     FOR
flux-node-1   waiting   5 s
flux-node-2   starting  3 d
flux-node-10  no-port   2 h
flux-node-1 is waiting: it
  ended by itself; next start
  in 25 s
flux-node-10 is no-port: HTTP
  port 8083 is held by pid 7
  (nc)
`supervisor why` tells more
",
        );
    }

    #[test]
    fn what_is_under_way_stands_above_the_table() {
        let status = FleetStatus {
            canary: Some("flux-node-2".to_owned()),
            changes: vec![ChangeStatus {
                change: 3,
                what: "rolling restart of flux-node-1, flux-node-2".to_owned(),
                since: ago(12),
                progress: "at flux-node-2, 2 of 2".to_owned(),
            }],
            ..fleet(Vec::new())
        };
        let text = status_at(&status, &view(Style::Plain, None));
        let expect = "\
many nodes failed together: flux-node-2 goes ahead alone, the others follow when it is ready
change 3, rolling restart of flux-node-1, flux-node-2, for 12 s: at flux-node-2, 2 of 2
NODE";
        assert!(text.contains(expect), "{text}");
    }

    #[test]
    fn the_front_port_is_shown_where_there_is_one() {
        let check = |open: bool, expect: &str| {
            let ingress = Some(IngressStatus { port: 8080, open });
            let status = FleetStatus {
                ingress,
                ..fleet(Vec::new())
            };
            let text = status_at(&status, &view(Style::Plain, None));
            assert_eq!(text.lines().nth(1), Some(expect), "{text}");
        };
        check(true, "front port 8080: open");
        check(false, "front port 8080: closed, because no node is ready");
    }

    #[test]
    fn below_the_table_stands_why() {
        let with = |number, state, since, reason: &str| NodeStatus {
            since,
            reason: Some(reason.to_owned()),
            ..node(number, state)
        };
        let refused = "/health refused the connection";
        let status = fleet(vec![
            with(1, NodePhase::Starting, ago(4), refused),
            with(2, NodePhase::Starting, ago(5), refused),
            with(
                3,
                NodePhase::Unready,
                ago(4),
                "/health answered 503 Service Unavailable",
            ),
            node(4, NodePhase::Ready),
        ]);
        let text = status_at(&status, &view(Style::Plain, Some(80)));
        let expect = "\
flux-node-2 is starting: /health refused the connection
flux-node-3 is unready: /health answered 503 Service Unavailable
`supervisor why` tells more
";
        assert!(text.ends_with(expect), "{text}");
        assert_eq!(text.lines().count(), 2 + 4 + 3, "{text}");
    }

    fn health(phase: FleetPhase, healthy: bool, lacking: &[&str]) -> Health {
        Health {
            schema: HEALTH_SCHEMA,
            healthy,
            phase,
            ready: 1,
            nodes: 5,
            needed: 4,
            lacking: lacking.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn health_is_one_line_with_the_reason() {
        let check = |lacking: &[&str], expect: &str| {
            let health = health(FleetPhase::Running, lacking.is_empty(), lacking);
            assert_eq!(health_line(&health), expect);
        };
        check(&[], "healthy: 1 of 5 nodes ready, 4 needed\n");
        check(
            &["flux-node-2 is failed"],
            "unhealthy: 1 of 5 nodes ready, 4 needed; flux-node-2 is failed\n",
        );
        check(
            &["a", "b", "c", "d", "e"],
            "unhealthy: 1 of 5 nodes ready, 4 needed; a, b, c, and 2 more\n",
        );
    }

    #[test]
    fn the_fleet_is_in_one_word() {
        let check = |phase: FleetPhase, healthy: bool, expect: &str| {
            let status = FleetStatus {
                phase,
                healthy,
                ..fleet(Vec::new())
            };
            let text = status_at(&status, &view(Style::Plain, None));
            assert!(text.starts_with(&format!("{expect}: ")), "{text}");
            assert!(health_line(&health(phase, healthy, &[])).starts_with(expect));
        };
        check(FleetPhase::Starting, false, "starting");
        check(FleetPhase::Starting, true, "healthy");
        check(FleetPhase::Running, true, "healthy");
        check(FleetPhase::Running, false, "unhealthy");
        check(FleetPhase::Braked, false, "braked");
        check(FleetPhase::Stopping, true, "stopping");
    }

    #[test]
    fn colours_are_only_added() {
        let status = fleet(vec![node(1, NodePhase::Ready), node(2, NodePhase::Failed)]);
        let plain = status_at(&status, &view(Style::Plain, Some(80)));
        let coloured = status_at(&status, &view(Style::Coloured, Some(80)));
        assert!(coloured.contains("\x1b[32mready\x1b[0m"));
        assert!(coloured.contains("\x1b[31mfailed\x1b[0m"));
        let mut stripped = coloured;
        for code in ["\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m"] {
            stripped = stripped.replace(code, "");
        }
        assert_eq!(stripped, plain);
    }

    #[test]
    fn a_clock_that_was_set_back_does_no_harm() {
        let node = NodeStatus {
            since: ago(-60),
            ..node(1, NodePhase::Ready)
        };
        let text = status_at(&fleet(vec![node]), &view(Style::Plain, None));
        assert!(text.contains("ready  0 s"), "{text}");
    }
}
