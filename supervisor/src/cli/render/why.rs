//! Why nodes are as they are, as a person reads it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::size::{percent, short_latency, short_size};
use super::span::{millis_between, short_span};
use super::status::{change_line, ended_by};
use super::view::View;
use super::wrap::wrapped;
use crate::event::{count, span};
use crate::exit::ExitClass;
use crate::status::{EndedProcess, FollowUp, NodeExit, NodePhase, NodeStatus};
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

/// The whole story of one node.
#[must_use]
pub fn why_node(why: &NodeWhy, view: &View, zone: &TimeZone) -> String {
    let mut teller = Teller::new(view, zone);
    teller.node(why);
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
            let many = count(why.nodes.len() as u64, "node");
            self.line(&format!("{ready} of {nodes} ready; about {many}:"));
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
            let ended = format!("last exit {}: {}", self.ago(exit.time), story(exit));
            self.indented(&ended);
            self.output(exit.lines.as_deref().unwrap_or_default(), LINES_OF_EARLIER);
        } else {
            self.output(&why.lines, LINES_OF_EARLIER);
        }
        let number = why.status.node.trim_start_matches("flux-node-");
        let hint = format!("more: supervisor why {number}");
        self.indented(&self.view.style.paint(Colour::Dim, &hint));
    }

    fn node(&mut self, why: &NodeWhy) {
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
        for change in &why.changes {
            self.fact("change", &change_line(change, self.view.now));
        }
        self.probes(status);
        if status.pid.is_some() && !why.lines.is_empty() {
            self.title("its last lines");
            self.output(&why.lines, LINES_OF_LATEST);
        }
        self.exits(&why.exits);
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
            text += &format!("; processor {total}, {cpu} over {over}");
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
            let word = match exit.class.is_wanted() {
                true => ended_by(exit),
                false => self.view.style.paint(Colour::Red, &ended_by(exit)),
            };
            let time = format!("{} {}", self.clock(exit.time), self.ago(exit.time));
            self.indented(&format!("{time}: {word}; {}", story(exit)));
            let lines = exit.lines.as_deref().unwrap_or_default();
            let most = if index == 0 {
                LINES_OF_LATEST
            } else {
                LINES_OF_EARLIER
            };
            self.output(lines, most);
        }
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
        let title = self.view.style.paint(Colour::Bold, title);
        self.text += &format!("\n{title}\n");
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

/// What happened, and what was done about it.
fn story(exit: &NodeExit) -> String {
    let mut text = exit.cause.clone();
    if let Some(process) = &exit.process {
        let said = match exit.class {
            // The cause says it.
            ExitClass::ExitCode | ExitClass::Signal | ExitClass::OomKill => String::new(),
            _ => format!("; {}", process.how),
        };
        text += &format!("{said}; {}", life_of(process));
    }
    match &exit.follow_up {
        None => text + "; what it left behind is being ended",
        Some(follow_up) => format!("{text}; then: {}", then(follow_up)),
    }
}

fn life_of(process: &EndedProcess) -> String {
    let EndedProcess {
        pid,
        generation,
        ran_ms,
        ..
    } = process;
    let ready = if process.was_ready {
        ""
    } else {
        " and was never ready"
    };
    let killed = if process.killed {
        ", killed because it did not end in time"
    } else {
        ""
    };
    format!(
        "pid {pid}, generation {generation}, ran {}{ready}{killed}; it used {} of processor time \
         and at most {}",
        span(*ran_ms),
        span(process.user_ms + process.system_ms),
        short_size(process.max_rss),
    )
}

fn then(follow_up: &FollowUp) -> String {
    match follow_up {
        FollowUp::Restart {
            delay_ms,
            failures,
            budget,
        } => {
            let when = match delay_ms {
                0 => "at once".to_owned(),
                ms => format!("after {}", span(*ms)),
            };
            format!("started again {when} (failure {failures} of {budget})")
        }
        FollowUp::Brake { canary } => {
            format!("held back until {canary} is ready, because many nodes failed together")
        }
        FollowUp::Fail { failures, retry_ms } => {
            let retry = match retry_ms {
                Some(ms) => format!("; tried again every {}", span(*ms)),
                None => "; given up".to_owned(),
            };
            format!("failed, after {failures} failures without a stable run{retry}")
        }
        FollowUp::Move {
            http_port: Some(port),
        } => format!("moved to port {port}"),
        FollowUp::Move { http_port: None } => "left its port, and no other was free".to_owned(),
        FollowUp::LookForPort => "another port was looked for".to_owned(),
        FollowUp::StartAgain => "started again, as asked".to_owned(),
        FollowUp::StayDown => "left down, as asked".to_owned(),
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
