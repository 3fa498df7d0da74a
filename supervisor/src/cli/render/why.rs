//! Why nodes are as they are, as a person reads it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ending::{life_of, then};
use super::size::{percent, short_latency, short_size};
use super::span::{millis_between, short_span};
use super::status::{change_line, ended_by};
use super::view::View;
use super::wrap::wrapped;
use crate::event::{count, span};
use crate::exit::ExitClass;
use crate::status::{ChangeStatus, NodeExit, NodePhase, NodeStatus};
use crate::style::Colour;
use crate::why::{Earlier, FleetWhy, LifeWatch, NodeWhy, Outlook, Tally};

/// Lines that are shown of what a process wrote before its last end, and of the ends before.
const LINES_OF_LATEST: usize = 10;
const LINES_OF_EARLIER: usize = 2;

/// Width of the names of facts.
const LABEL: usize = 8;

/// For whom it is shown, and in which zone.
struct Teller<'a> {
    view: &'a View,
    zone: &'a TimeZone,
    text: String,
}

/// The whole stories of nodes that somebody asked about.
#[must_use]
pub fn why_nodes(why: &FleetWhy, view: &View, zone: &TimeZone) -> String {
    let mut teller = Teller::new(view, zone);
    for (index, node) in why.nodes.iter().enumerate() {
        if index > 0 {
            teller.text.push('\n');
        }
        teller.node(node, &why.changes);
    }
    teller.text
}

/// A paragraph for each node that is not fine, or that all are.
#[must_use]
pub fn why_fleet(why: &FleetWhy, view: &View, zone: &TimeZone) -> String {
    let mut teller = Teller::new(view, zone);
    teller.fleet(why);
    teller.text
}

impl<'a> Teller<'a> {
    fn new(view: &'a View, zone: &'a TimeZone) -> Self {
        let text = String::new();
        Self { view, zone, text }
    }

    fn fleet(&mut self, why: &FleetWhy) {
        let (ready, nodes) = (why.ready, count(why.count.into(), "node"));
        if why.nodes.is_empty() {
            let fine = self.view.style.paint(Colour::Green, "all is fine");
            self.line(&format!("{fine}: {ready} of {nodes} ready"));
        } else {
            let many = match why.nodes.len() {
                1 => "1 is".to_owned(),
                many => format!("{many} are"),
            };
            self.line(&format!("{ready} of {nodes} ready; {many} not fine:"));
        }
        if let Some(canary) = &why.canary {
            self.line(&format!(
                "braked: many nodes failed together, {canary} goes ahead alone"
            ));
        }
        for change in &why.changes {
            self.line(&change_line(change, self.view.now));
        }
        for node in &why.nodes {
            self.text.push('\n');
            self.paragraph(node);
        }
        if !why.nodes.is_empty() && !why.earlier.is_empty() {
            self.text.push('\n');
        }
        for earlier in &why.earlier {
            let Earlier {
                node,
                time,
                class,
                cause,
            } = earlier;
            let ago = self.ago(*time);
            self.line(&format!(
                "{node} is fine; it last failed {ago} ({class}): {cause}"
            ));
        }
    }

    /// One of several nodes.
    fn paragraph(&mut self, why: &NodeWhy) {
        self.headline(why);
        if let Some(exit) = why.exits.first() {
            self.exit("last exit ", exit, LINES_OF_EARLIER);
        } else {
            self.output(&why.lines, LINES_OF_EARLIER);
        }
        let number = why.status.node.trim_start_matches("flux-node-");
        let hint = format!("more: supervisor why {number}");
        self.indented(&self.view.style.paint(Colour::Dim, &hint));
    }

    fn node(&mut self, why: &NodeWhy, changes: &[ChangeStatus]) {
        let status = &why.status;
        self.headline(why);
        self.process(why);
        let (http, gossip) = (status.http_port, status.gossip_port);
        let ports = http
            .zip(gossip)
            .map(|(http, gossip)| format!("http {http}, gossip {gossip}"));
        self.fact("ports", ports.as_deref().unwrap_or("none"));
        self.fact("budget", &budget(status.failures, why.budget));
        self.life(why);
        if let Some(message) = &status.message {
            self.fact("says", message);
        }
        for change in changes {
            self.fact("change", &change_line(change, self.view.now));
        }
        if status.pid.is_some() && !why.lines.is_empty() {
            self.title("its last lines");
            self.output(&why.lines, LINES_OF_LATEST);
        }
        self.exits(&why.exits);
        self.probes(status);
    }

    /// `flux-node-2 is waiting since 12:00:01 (3 s): exit code 1; it is started in 2 s`
    fn headline(&mut self, why: &NodeWhy) {
        let NodeStatus {
            node, state, since, ..
        } = &why.status;
        let word = state.as_str();
        let mut text = format!("{node} is {word} since {}", self.moment(*since));
        if let Some(reason) = &why.status.reason {
            text += &format!(": {reason}");
        }
        let text = format!("{text}. {}", self.next(why));
        let colour = match state {
            NodePhase::Ready if why.status.is_fine() => Colour::Green,
            NodePhase::Failed => Colour::Red,
            _ => Colour::Yellow,
        };
        let mut lines = wrapped("", "  ", &text, self.view.width);
        // The name and the state are never broken off: they are short and stand first.
        let head = format!("{node} is {word}");
        if let Some(rest) = lines.strip_prefix(&head) {
            let painted = self.view.style.paint(colour, word);
            lines = format!("{node} is {painted}{rest}");
        }
        self.text += &lines;
    }

    /// What the supervisor will do next.
    fn next(&self, why: &NodeWhy) -> String {
        let at = |time: &Timestamp| self.moment(*time);
        match &why.next {
            Outlook::Watch => if_it_ends(why.status.failures, why.budget),
            Outlook::StartNow => "It is started now.".to_owned(),
            Outlook::Start { at: time } => format!("It is started at {}.", at(time)),
            Outlook::AwaitCanary { canary } => {
                format!("Many nodes failed together: it is started when {canary} is ready.")
            }
            Outlook::AwaitReady { until } => {
                let until = at(until);
                format!("Unless it is ready at {until}, it is ended and started again.")
            }
            Outlook::AwaitReadyAgain => {
                "It is left running, and counts again when it is ready.".to_owned()
            }
            Outlook::AwaitSpare { ready, min_ready } => format!(
                "It is ended when more than {min_ready} nodes (MIN_READY) are ready; now it is \
                 {ready}."
            ),
            Outlook::Kill { at: time } => {
                format!("It was told to end, and is killed at {}.", at(time))
            }
            Outlook::AwaitEnd => "It was killed, and the kernel has not ended it yet; when that \
                                  lasts, see `ps` for state D."
                .to_owned(),
            Outlook::Clear => {
                "What its process left behind is being ended; then comes the next.".to_owned()
            }
            Outlook::Move { http_port, until } => {
                let place = http_port.map_or("no other is free".to_owned(), |port| {
                    format!("it goes on at {port}")
                });
                let until = at(until);
                format!(
                    "It leaves its port when the others let it, at {until} the latest; {place}."
                )
            }
            Outlook::Claim { at: None } => "A free port is being looked for.".to_owned(),
            Outlook::Claim { at: Some(time) } => {
                format!("A free port is looked for again at {}.", at(time))
            }
            Outlook::Retry { at: time } => {
                format!(
                    "Its restart budget is used up; it is tried again at {}.",
                    at(time)
                )
            }
            Outlook::GivenUp => {
                let number = why.status.node.trim_start_matches("flux-node-");
                format!(
                    "Its restart budget is used up, and nothing more is done (ON_FAILED); \
                     `supervisor restart {number}` starts it again."
                )
            }
            Outlook::StayDown => "It stays down.".to_owned(),
        }
    }

    fn process(&mut self, why: &NodeWhy) {
        let status = &why.status;
        let generation = format!(
            "generation {}, {}",
            status.generation,
            count(status.restarts, "restart")
        );
        let Some(pid) = status.pid else {
            return self.fact("process", &format!("none; {generation}"));
        };
        let mut text = format!("pid {pid}, {generation}");
        if let Some(usage) = &status.usage {
            let cpu = percent(usage.cpu_percent);
            let over = short_span(usage.cpu_over_ms);
            let (rss, total) = (short_size(usage.rss), span(usage.cpu_ms));
            text += &format!("; memory {rss}");
            if let Some(pss) = why.pss {
                text += &format!(" ({} when shared pages are divided)", short_size(pss));
            }
            text += &format!("; processor time {total}");
            // Over less the share says nothing.
            if usage.cpu_over_ms >= 1_000 {
                text += &format!(", {cpu} over {over}");
            }
        }
        self.fact("process", &text);
    }

    fn life(&mut self, why: &NodeWhy) {
        if let Some(probing) = &why.probing {
            let check = serde_json::to_value(probing.check).unwrap_or_default();
            let check = check.as_str().unwrap_or_default().to_owned();
            let text = self.tally(&probing.tally);
            self.fact("probe", &format!("{check}: {text}"));
        }
        match &why.life {
            LifeWatch::None => {}
            LifeWatch::Watchdog { until } => {
                let text = format!("watchdog: it must notify until {}", self.moment(*until));
                self.fact("life", &text);
            }
            LifeWatch::Probe(tally) => {
                let text = format!("liveness: {}", self.tally(tally));
                self.fact("life", &text);
            }
        }
    }

    /// `1 of 3 failures, next in 8 s`
    fn tally(&self, tally: &Tally<Timestamp>) -> String {
        let next = match tally.next {
            None => "asked now".to_owned(),
            Some(next) => format!("asked next at {}", self.moment(next)),
        };
        let stand = if tally.failures > 0 {
            format!(
                "failed {} of {} times",
                tally.failures, tally.failure_threshold
            )
        } else {
            format!(
                "succeeded {} of {} times",
                tally.successes.min(tally.success_threshold),
                tally.success_threshold
            )
        };
        format!("{stand}, {next}")
    }

    /// What the node answered, the latest first.
    fn probes(&mut self, status: &NodeStatus) {
        if status.probes.is_empty() {
            return;
        }
        self.title("what it answered, the latest first");
        for probe in &status.probes {
            let check = serde_json::to_value(probe.check).unwrap_or_default();
            let text = format!(
                "{} {} {}: {}, {}",
                self.clock(probe.time),
                check.as_str().unwrap_or_default(),
                if probe.passed { "passed" } else { "failed" },
                probe.summary,
                short_latency(probe.latency_us),
            );
            self.indented(&text);
        }
    }

    fn exits(&mut self, exits: &[NodeExit]) {
        if exits.is_empty() {
            return self.title("none of its processes has ended");
        }
        self.title("last exits, the latest first");
        for (index, exit) in exits.iter().enumerate() {
            let most = if index == 0 {
                LINES_OF_LATEST
            } else {
                LINES_OF_EARLIER
            };
            self.exit("", exit, most);
        }
    }

    /// When and how a process ended, why, what it was like, what was done about it, and what
    /// it wrote last.
    fn exit(&mut self, before: &str, exit: &NodeExit, lines: usize) {
        let word = match exit.class.is_wanted() {
            true => ended_by(exit),
            false => self.view.style.paint(Colour::Red, &ended_by(exit)),
        };
        let (time, ago) = (self.clock(exit.time), self.ago(exit.time));
        if exit.class == ExitClass::ExitCode {
            self.indented(&format!("{before}{time} ({ago}): {word}, by itself"));
        } else {
            self.indented(&format!("{before}{time} ({ago}): {word}"));
            self.detail(&exit.cause);
        }
        if let Some(process) = &exit.process {
            self.detail(&life_of(process, exit.class));
        }
        match &exit.follow_up {
            None => self.detail("what it left behind is being ended"),
            Some(follow_up) => self.detail(&then(follow_up)),
        }
        self.output(exit.lines.as_deref().unwrap_or_default(), lines);
    }

    fn detail(&mut self, text: &str) {
        self.text += &wrapped("    ", "      ", text, self.view.width);
    }

    fn output(&mut self, lines: &[String], most: usize) {
        for line in &lines[lines.len().saturating_sub(most)..] {
            // What a node writes must not move the cursor.
            let line: String = line
                .chars()
                .map(|c| {
                    if c.is_control() && c != '\t' {
                        '\u{fffd}'
                    } else {
                        c
                    }
                })
                .collect();
            let line = match self.view.width {
                Some(width) => line.chars().take(width.saturating_sub(6)).collect(),
                None => line,
            };
            let line = self.view.style.paint(Colour::Dim, &format!("| {line}"));
            self.text += &format!("    {line}\n");
        }
    }

    fn line(&mut self, text: &str) {
        self.text += &wrapped("", "  ", text, self.view.width);
    }

    fn indented(&mut self, text: &str) {
        self.text += &wrapped("  ", "    ", text, self.view.width);
    }

    fn title(&mut self, title: &str) {
        let lines = wrapped("", "  ", title, self.view.width);
        self.text.push('\n');
        for line in lines.lines() {
            self.text += &format!("{}\n", self.view.style.paint(Colour::Bold, line));
        }
    }

    fn fact(&mut self, label: &str, text: &str) {
        let first = format!("  {label:LABEL$} ");
        let rest = match self.view.width {
            // A narrow terminal has no room for a column of names.
            Some(width) if width < 60 => "    ".to_owned(),
            _ => " ".repeat(LABEL + 3),
        };
        self.text += &wrapped(&first, &rest, text, self.view.width);
    }

    /// A time of day and how far away it is: `12:00:01.123 (in 3 s)`.
    fn moment(&self, time: Timestamp) -> String {
        let now = self.view.now;
        let away = if time > now {
            format!("in {}", span(millis_between(now, time)))
        } else {
            format!("for {}", span(millis_between(time, now)))
        };
        format!("{} ({away})", self.clock(time))
    }

    /// The time of day, with the date unless it is today.
    fn clock(&self, time: Timestamp) -> String {
        let (time, now) = (
            time.to_zoned(self.zone.clone()),
            self.view.now.to_zoned(self.zone.clone()),
        );
        let form = if time.date() == now.date() {
            "%H:%M:%S.%3f"
        } else {
            "%Y-%m-%d %H:%M:%S"
        };
        time.strftime(form).to_string()
    }

    /// `12 s ago`
    fn ago(&self, time: Timestamp) -> String {
        format!("{} ago", short_span(millis_between(time, self.view.now)))
    }
}

fn budget(failures: u32, budget: u32) -> String {
    let left = budget.saturating_sub(failures);
    match failures {
        0 => format!("no failure since it last ran stably, {left} of {budget} are left"),
        _ => format!(
            "{} since it last ran stably, {left} of {budget} are left",
            count(failures.into(), "failure")
        ),
    }
}

/// What follows on the next failure.
fn if_it_ends(failures: u32, budget: u32) -> String {
    if failures + 1 >= budget {
        return "Should it fail now, its restart budget is used up.".to_owned();
    }
    let when = match failures {
        0 => "at once",
        _ => "after a delay",
    };
    format!("Should it end, it is started again {when}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Check;
    use crate::status::{FollowUp, ProbeStatus};
    use crate::style::Style;
    use crate::why::Probing;
    use crate::why::sample::{self, crashed, exit, node, now};

    fn view(width: Option<usize>) -> View {
        View {
            now: now(),
            style: Style::Plain,
            width,
        }
    }

    fn told(why: &NodeWhy) -> String {
        why_nodes(
            &fleet(vec![why.clone()], Vec::new()),
            &view(None),
            &TimeZone::UTC,
        )
    }

    fn fleet(nodes: Vec<NodeWhy>, earlier: Vec<Earlier>) -> FleetWhy {
        FleetWhy {
            nodes,
            earlier,
            ..sample::fleet()
        }
    }

    fn ago(seconds: i64) -> Timestamp {
        now() - jiff::SignedDuration::from_secs(seconds)
    }

    /// Checks the sentence in which a node's headline ends.
    #[track_caller]
    fn check_next(state: NodePhase, next: Outlook<Timestamp>, expect: &str) {
        let text = told(&node(state, next));
        let first = text.lines().next().expect("a line");
        let word = state.as_str();
        let since = format!("flux-node-2 is {word} since 11:59:58.800 (for 1.2 s). ");
        assert_eq!(first.strip_prefix(&since), Some(expect), "{first}");
    }

    const THEN: &str = "12:00:03.000 (in 3.0 s)";

    #[test]
    fn what_comes_next_for_a_process_that_runs() {
        let check = check_next;
        let (at, then, ready) = (ago(-3), THEN, NodePhase::Ready);
        check(
            ready,
            Outlook::Watch,
            "Should it end, it is started again at once.",
        );
        check(NodePhase::Starting, Outlook::StartNow, "It is started now.");
        check(
            NodePhase::Waiting,
            Outlook::Start { at },
            &format!("It is started at {then}."),
        );
        check(
            NodePhase::Waiting,
            Outlook::AwaitCanary {
                canary: "flux-node-1".to_owned(),
            },
            "Many nodes failed together: it is started when flux-node-1 is ready.",
        );
        check(
            NodePhase::Starting,
            Outlook::AwaitReady { until: at },
            &format!("Unless it is ready at {then}, it is ended and started again."),
        );
        check(
            NodePhase::Unready,
            Outlook::AwaitReadyAgain,
            "It is left running, and counts again when it is ready.",
        );
        check(
            ready,
            Outlook::AwaitSpare {
                ready: 2,
                min_ready: 2,
            },
            "It is ended when more than 2 nodes (MIN_READY) are ready; now it is 2.",
        );
        check(
            NodePhase::Stopping,
            Outlook::Kill { at },
            &format!("It was told to end, and is killed at {then}."),
        );
        check(
            NodePhase::Stopping,
            Outlook::AwaitEnd,
            "It was killed, and the kernel has not ended it yet; when that lasts, see `ps` for \
             state D.",
        );
        check(
            NodePhase::Clearing,
            Outlook::Clear,
            "What its process left behind is being ended; then comes the next.",
        );
        check(
            ready,
            Outlook::Move {
                http_port: Some(8090),
                until: at,
            },
            &format!(
                "It leaves its port when the others let it, at {then} the latest; it goes on at \
                 8090."
            ),
        );
    }

    #[test]
    fn what_comes_next_without_a_process() {
        let check = check_next;
        let (at, then) = (ago(-3), THEN);
        check(NodePhase::Starting, Outlook::StartNow, "It is started now.");
        check(
            NodePhase::Waiting,
            Outlook::Start { at },
            &format!("It is started at {then}."),
        );
        check(
            NodePhase::Waiting,
            Outlook::AwaitCanary {
                canary: "flux-node-1".to_owned(),
            },
            "Many nodes failed together: it is started when flux-node-1 is ready.",
        );
        check(
            NodePhase::NoPort,
            Outlook::Claim { at: Some(at) },
            &format!("A free port is looked for again at {then}."),
        );
        check(
            NodePhase::NoPort,
            Outlook::Claim { at: None },
            "A free port is being looked for.",
        );
        check(
            NodePhase::Failed,
            Outlook::Retry { at },
            &format!("Its restart budget is used up; it is tried again at {then}."),
        );
        check(
            NodePhase::Failed,
            Outlook::GivenUp,
            "Its restart budget is used up, and nothing more is done (ON_FAILED); `supervisor \
             restart 2` starts it again.",
        );
        check(NodePhase::Stopped, Outlook::StayDown, "It stays down.");
    }

    /// A node to which much has happened, and one to which nothing has.
    fn eventful() -> FleetWhy {
        let mut why = crashed();
        why.exits[0].lines = Some(vec!["one".to_owned(), "two\u{1b}[2J\tend".to_owned()]);
        why.exits[1] = NodeExit {
            class: ExitClass::OomKill,
            follow_up: Some(FollowUp::Fail {
                failures: 10,
                retry_ms: None,
            }),
            ..why.exits[1].clone()
        };
        why.exits.push(NodeExit {
            cause: "it could not be started: no such file".to_owned(),
            follow_up: None,
            ..exit(90_000_000, ExitClass::StartFailed, None)
        });
        why.probing = Some(Probing {
            check: Check::Startup,
            tally: Tally {
                failures: 1,
                failure_threshold: 3,
                successes: 0,
                success_threshold: 1,
                next: Some(ago(-1)),
            },
        });
        why.status.probes = vec![ProbeStatus {
            time: ago(1),
            pid: 7,
            check: Check::Startup,
            passed: false,
            summary: "/started answered 500".to_owned(),
            latency_us: 1_250,
        }];
        let mut why = fleet(
            vec![why.clone(), node(NodePhase::Stopped, Outlook::StayDown)],
            Vec::new(),
        );
        why.changes = vec![ChangeStatus {
            change: 3,
            what: "rolling restart of flux-node-1".to_owned(),
            since: ago(12),
            progress: "0 of 1 done, waits: flux-node-2 is not back yet".to_owned(),
        }];
        why
    }

    #[test]
    fn the_whole_story() {
        let why = eventful();
        let expect = "\
flux-node-2 is waiting since 11:59:58.800 (for 1.2 s). It is started at 12:00:03.100 (in 3.1 s).
  process  none; generation 2, 1 restart
  ports    http 8082, gossip 9082
  budget   2 failures since it last ran stably, 8 of 10 are left
  probe    startup: failed 1 of 3 times, asked next at 12:00:01.000 (in 1.0 s)
  change   change 3, rolling restart of flux-node-1, for 12 s: 0 of 1 done, waits: flux-node-2 is not back yet

last exits, the latest first
  11:59:58.800 (1 s ago): exit code 78, by itself
    pid 4711, generation 1, ran 1.5 s, was never ready; used 15 ms of processor time and at most 6.1 MiB
    started again at once (failure 1 of 10)
    | one
    | two\u{fffd}[2J\tend
  11:59:51.000 (9 s ago): oom-kill
    it ended by itself
    pid 4711, generation 0, ran 1.5 s, was never ready, ended with SIGSEGV; used 15 ms of processor time and at most 6.1 MiB
    failed, after 10 failures without a stable run; given up
  2026-11-19 11:00:00 (25 h ago): start-failed
    it could not be started: no such file
    what it left behind is being ended

what it answered, the latest first
  11:59:59.000 startup failed: /started answered 500, 1.2 ms

flux-node-2 is stopped since";
        let text = why_nodes(&why, &view(None), &TimeZone::UTC);
        assert!(text.starts_with(expect), "{text}");
        for width in [30, 40, 80] {
            let text = why_nodes(&why, &view(Some(width)), &TimeZone::UTC);
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{width}:\n{text}");
        }
    }

    #[test]
    fn a_running_process_is_measured() {
        let mut why = node(NodePhase::Ready, Outlook::Watch);
        why.status.pid = Some(7);
        why.status.message = Some("warm".to_owned());
        why.life = LifeWatch::Watchdog { until: ago(-28) };
        why.lines = vec!["ready".to_owned()];
        why.pss = Some(3 << 20);
        why.status.usage = Some(crate::status::ProcessUsage {
            rss: 6 << 20,
            cpu_ms: 1_500,
            cpu_percent: 12.4,
            cpu_over_ms: 2_000,
        });
        let expect = "\
flux-node-2 is ready since 11:59:58.800 (for 1.2 s). Should it end, it is started again at once.
  process  pid 7, generation 2, 1 restart; memory 6.0 MiB (3.0 MiB when shared pages are divided); processor time 1.5 s, 12% over 2 s
  ports    http 8082, gossip 9082
  budget   no failure since it last ran stably, 10 of 10 are left
  life     watchdog: it must notify until 12:00:28.000 (in 28.0 s)
  says     warm

its last lines
    | ready

none of its processes has ended
";
        assert_eq!(told(&why), expect);
    }

    #[test]
    fn a_fleet_is_fine_or_has_paragraphs() {
        let check = |why: &FleetWhy, expect: &str| {
            assert_eq!(why_fleet(why, &view(None), &TimeZone::UTC), expect);
        };
        check(
            &fleet(Vec::new(), Vec::new()),
            "all is fine: 2 of 3 nodes ready\n",
        );
        let earlier = Earlier {
            node: "flux-node-3".to_owned(),
            time: ago(7_300),
            class: ExitClass::Watchdog,
            cause: "no sign of life: no WATCHDOG=1 for 30.0 s".to_owned(),
        };
        let mut crashed = crashed();
        crashed.exits[0].lines = Some(["1", "2", "3"].map(str::to_owned).to_vec());
        let mut why = fleet(vec![crashed], vec![earlier]);
        why.canary = Some("flux-node-1".to_owned());
        check(
            &why,
            "\
2 of 3 nodes ready; 1 is not fine:
braked: many nodes failed together, flux-node-1 goes ahead alone

flux-node-2 is waiting since 11:59:58.800 (for 1.2 s). It is started at 12:00:03.100 (in 3.1 s).
  last exit 11:59:58.800 (1 s ago): exit code 78, by itself
    pid 4711, generation 1, ran 1.5 s, was never ready; used 15 ms of processor time and at most 6.1 MiB
    started again at once (failure 1 of 10)
    | 2
    | 3
  more: supervisor why 2

flux-node-3 is fine; it last failed 2 h ago (watchdog): no sign of life: no WATCHDOG=1 for 30.0 s
",
        );
    }
}
