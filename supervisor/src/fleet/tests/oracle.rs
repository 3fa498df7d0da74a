//! A second opinion: what must hold by the rules alone, told from what the core was given and
//! what it answered, without a look into it. Where the rules leave a choice, it allows more.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::EventKind;
use crate::exit::{Ended, ExitClass, ExitReason};
use crate::fleet::{
    Asks, Check, EXITS_KEPT, ExitRecord, FleetConfig, Input, NodeIndex, NodeView, Notice, OnFailed,
    Output, Sig, Time,
};
use crate::status::NodePhase;

/// Keeps the books of a fleet.
pub(super) struct Oracle {
    config: FleetConfig,
    nodes: BTreeMap<NodeIndex, Books>,
    stopping: bool,
}

/// What is known of one node.
#[derive(Default)]
struct Books {
    process: Option<Process>,
    /// Failures since it was stable, or since somebody asked for a change: at least so many.
    failures: u32,
    failed_at: Option<Time>,
    /// Whether it starts when the canary is ready, not when its delay is over.
    behind_canary: bool,
    /// Whether it has no slot.
    slotless: bool,
    /// When it must have left its slot.
    leaves_by: Option<Time>,
    /// When somebody asked for a change of it, or a rolling restart came to it.
    asked_at: Option<Time>,
    /// The latest end, and how many there were.
    latest: Option<Latest>,
    ends: u64,
}

/// The latest end of a node, as it has to be told.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Latest {
    time: Time,
    /// None when no process could be started.
    pid: Option<u32>,
    class: ExitClass,
    killed: bool,
}

/// What is known of a process that lives.
struct Process {
    pid: u32,
    started: Time,
    has_started: bool,
    was_ready: bool,
    ready_since: Option<Time>,
    /// Whether it is known to notify.
    ours: bool,
    /// How long it may be silent, as it was told at its start.
    watchdog: Duration,
    /// Whether it says itself whether it is ready.
    notifies: bool,
    said_ready: bool,
    last_beat: Option<Time>,
    asked: Option<Check>,
    /// Answers in a row of one kind: successes are positive, failures negative.
    rows: BTreeMap<Check, i64>,
    told_to_end: Option<Told>,
    /// The class of the reason for which it was told to end first.
    told_class: Option<ExitClass>,
    killed: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Told {
    ByFault,
    ByWill,
}

impl Oracle {
    pub(super) fn new(config: FleetConfig) -> Self {
        Self {
            config,
            nodes: BTreeMap::new(),
            stopping: false,
        }
    }

    /// The nodes that are ready by the rules.
    pub(super) fn ready(&self) -> Vec<NodeIndex> {
        let ready = |books: &Books| {
            books.process.as_ref().is_some_and(|process| {
                process.ready_since.is_some() && process.told_to_end.is_none()
            })
        };
        let nodes = self.nodes.iter().filter(|(_, books)| ready(books));
        nodes.map(|(node, _)| *node).collect()
    }

    /// Nobody could look for a while.
    pub(super) fn frozen(&mut self, now: Time) {
        for books in self.nodes.values_mut() {
            if let Some(process) = &mut books.process {
                process.started = now;
                process.last_beat = process.last_beat.map(|_| now);
            }
        }
    }

    /// Takes note of an input, before the core gets it.
    pub(super) fn hears(&mut self, input: &Input, now: Time) {
        match input {
            Input::Spawned { node, pid, .. } => self.spawned(*node, *pid, now),
            Input::SpawnFailed { node, .. } => {
                self.failed(*node, now);
                self.ended(*node, ExitClass::StartFailed, now);
            }
            Input::Notified { node, pid, notice } => self.notified(*node, *pid, notice, now),
            Input::Probed {
                node,
                pid,
                check,
                answer,
            } => self.probed(*node, *pid, *check, answer.passed, now),
            Input::Exited { node, pid, ended } => self.exited(*node, *pid, ended, now),
            Input::Move { node, until, ports } => {
                let books = self.nodes.entry(*node).or_default();
                books.leaves_by = Some(*until);
                if books.slotless {
                    self.waited_for_a_slot(*node);
                }
                self.nodes.entry(*node).or_default().slotless = ports.is_none();
            }
            Input::Claimed { node, .. } => {
                self.waited_for_a_slot(*node);
                self.nodes.entry(*node).or_default().slotless = false;
            }
            Input::NotClaimed { node, .. } => {
                self.nodes.entry(*node).or_default().slotless = true;
            }
            Input::SlotLost { node, .. } => {
                self.nodes.entry(*node).or_default().slotless = true;
                self.ended(*node, ExitClass::PortConflict, now);
            }
            Input::Restart { order, .. } if order.nodes.is_empty() => self.forgive_all(now),
            Input::Restart { order, .. } => {
                for node in &order.nodes {
                    self.forgive(*node, now);
                }
            }
            Input::Scale { .. } => self.forgive_all(now),
            Input::Configure(config) if !self.stopping => self.configured(config, now),
            Input::Stop { .. } => self.stopping = true,
            _ => {}
        }
    }

    /// Other rules count from now on. What began under the old ones, such as a pause before a
    /// start, is judged by neither.
    fn configured(&mut self, config: &FleetConfig, now: Time) {
        let old = std::mem::replace(&mut self.config, config.clone());
        let (startup, readiness) = (config.startup.is_some(), config.readiness.is_some());
        let mut ready = Vec::new();
        for (node, books) in &mut self.nodes {
            books.failed_at = None;
            let Some(process) = &mut books.process else {
                continue;
            };
            process.rows.remove(&Check::Liveness);
            if old.readiness.is_none() {
                process.rows.remove(&Check::Readiness);
            }
            if process.notifies {
                continue;
            }
            process.has_started |= !startup;
            if process.has_started && !readiness {
                ready.push(*node);
            }
        }
        for node in ready {
            self.ready_by_rules(node, now);
        }
    }

    /// A node that got another slot may start at once, unless it was given up.
    fn waited_for_a_slot(&mut self, node: NodeIndex) {
        let books = self.nodes.entry(node).or_default();
        let given_up = books.failures >= self.config.restart.budget;
        if !given_up || self.config.on_failed == OnFailed::SlowRetry {
            books.failed_at = None;
        }
    }

    fn forgive_all(&mut self, now: Time) {
        let nodes: Vec<_> = self.nodes.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.forgive(node, now));
    }

    fn forgive(&mut self, node: NodeIndex, now: Time) {
        let books = self.nodes.entry(node).or_default();
        books.asked_at = Some(now);
        (books.failures, books.failed_at) = (0, None);
        // What it is being ended for is forgiven, too.
        if let Some(process) = &mut books.process
            && process.told_to_end.is_some()
        {
            process.told_to_end = Some(Told::ByWill);
        }
    }

    fn spawned(&mut self, node: NodeIndex, pid: u32, now: Time) {
        let books = self.nodes.entry(node).or_default();
        assert!(books.process.is_none(), "one-process");
        let config = &self.config;
        let has_started = config.startup.is_none();
        let ready = has_started && config.readiness.is_none() && !config.notifies && !self.stopping;
        books.process = Some(Process {
            pid,
            started: now,
            has_started,
            was_ready: ready,
            ready_since: ready.then_some(now),
            ours: config.notifies,
            watchdog: config
                .liveness
                .map_or(Duration::ZERO, |policy| policy.watchdog()),
            notifies: config.notifies,
            said_ready: false,
            last_beat: None,
            asked: None,
            rows: BTreeMap::new(),
            told_to_end: None,
            told_class: None,
            killed: false,
        });
    }

    fn failed(&mut self, node: NodeIndex, now: Time) {
        let books = self.nodes.entry(node).or_default();
        books.failures += 1;
        books.failed_at = Some(now);
        books.behind_canary = false;
    }

    fn notified(&mut self, node: NodeIndex, pid: u32, notice: &Notice, now: Time) {
        let Some(process) = self.process(node, pid) else {
            return;
        };
        match notice {
            Notice::Ready => {
                (process.notifies, process.said_ready) = (true, true);
                self.ready_by_rules(node, now);
            }
            Notice::Stopping => {
                process.notifies = true;
                self.unready_by_rules(node, now);
            }
            Notice::Watchdog => process.last_beat = Some(now),
            _ => {}
        }
    }

    fn probed(&mut self, node: NodeIndex, pid: u32, check: Check, passed: bool, now: Time) {
        let (startup, readiness) = (self.config.startup, self.config.readiness);
        let Some(process) = self.process(node, pid) else {
            return;
        };
        assert_eq!(process.asked.take(), Some(check), "one-question");
        if process.told_to_end.is_some() {
            return;
        }
        let row = process.rows.entry(check).or_default();
        *row = match (passed, *row > 0) {
            (true, true) => *row + 1,
            (true, false) => 1,
            (false, true) => -1,
            (false, false) => *row - 1,
        };
        let row = *row;
        match check {
            Check::Startup if passed && !process.notifies => {
                process.has_started = true;
                if startup.is_some() && readiness.is_none() {
                    self.ready_by_rules(node, now);
                }
            }
            Check::Readiness if !process.notifies => {
                // It is not asked any more, and an answer was on its way.
                let Some(policy) = readiness else { return };
                if row >= i64::from(policy.success_threshold) {
                    self.ready_by_rules(node, now);
                } else if -row >= i64::from(policy.failure_threshold) {
                    self.unready_by_rules(node, now);
                }
            }
            Check::Startup | Check::Readiness | Check::Liveness => {}
        }
    }

    fn ready_by_rules(&mut self, node: NodeIndex, now: Time) {
        let books = self.nodes.entry(node).or_default();
        let Some(process) = &mut books.process else {
            return;
        };
        if process.told_to_end.is_none() {
            process.was_ready = true;
            process.ready_since.get_or_insert(now);
        }
    }

    fn unready_by_rules(&mut self, node: NodeIndex, now: Time) {
        let stable = self.config.restart.stable;
        let books = self.nodes.entry(node).or_default();
        let Some(process) = &mut books.process else {
            return;
        };
        if process
            .ready_since
            .take()
            .is_some_and(|since| now - since >= stable)
        {
            (books.failures, books.failed_at) = (0, None);
        }
    }

    /// A start that came to nothing.
    fn ended(&mut self, node: NodeIndex, class: ExitClass, now: Time) {
        let books = self.nodes.entry(node).or_default();
        books.ends += 1;
        books.latest = Some(Latest {
            time: now,
            pid: None,
            class,
            killed: false,
        });
    }

    fn exited(&mut self, node: NodeIndex, pid: u32, ended: &Ended, now: Time) {
        self.unready_by_rules(node, now);
        let books = self.nodes.entry(node).or_default();
        let process = books.process.take().expect("it lived");
        assert_eq!(process.pid, pid, "accounted");
        let by_itself = match (ended.reason, ended.oom) {
            (ExitReason::Code(_), _) => ExitClass::ExitCode,
            (ExitReason::Signal(_), None) => ExitClass::Signal,
            (ExitReason::Signal(_), Some(_)) => ExitClass::OomKill,
        };
        books.ends += 1;
        books.latest = Some(Latest {
            time: now,
            pid: Some(pid),
            class: process.told_class.unwrap_or(by_itself),
            killed: process.killed,
        });
        let failed = process.told_to_end != Some(Told::ByWill);
        if failed && books.leaves_by.is_none() && !self.stopping {
            self.failed(node, now);
        }
    }

    /// Judges what the core answered. `min_ready` is what it is to keep.
    pub(super) fn judges(&mut self, outputs: &[Output], min_ready: u16, now: Time) {
        let mut why = (ExitClass::Stop, String::new());
        for output in outputs {
            match output {
                Output::Emit { node, kind } => {
                    if let EventKind::NodeStopping { class, reason } = kind {
                        why = (*class, reason.clone());
                    }
                    self.note(*node, kind, now);
                }
                Output::Spawn(node) => self.judge_spawn(*node, now),
                Output::Signal { node, pid, signal } => {
                    self.judge_signal(*node, *pid, *signal, &why, min_ready, now);
                }
                Output::Probe { node, pid, check } => self.judge_probe(*node, *pid, *check),
                Output::Vacated(node) => {
                    let books = self.nodes.entry(*node).or_default();
                    books.leaves_by = None;
                }
                Output::Remove(node) => drop(self.nodes.remove(node)),
                _ => {}
            }
        }
    }

    fn note(&mut self, node: Option<NodeIndex>, kind: &EventKind, now: Time) {
        match (node, kind) {
            (None, EventKind::FleetBraked { .. } | EventKind::FleetReleased) => {
                for books in self.nodes.values_mut() {
                    books.behind_canary = true;
                }
            }
            (None, EventKind::FleetStopping { .. }) => self.stopping = true,
            (Some(node), EventKind::ChangeStep { .. }) => self.forgive(node, now),
            _ => {}
        }
    }

    fn judge_spawn(&mut self, node: NodeIndex, now: Time) {
        let policy = self.config.restart;
        assert!(!self.stopping, "nothing is started in a stop");
        let books = self.nodes.entry(node).or_default();
        assert!(books.process.is_none(), "one-process");
        let Some(failed_at) = books.failed_at else {
            return;
        };
        let waited = now - failed_at;
        if books.failures >= policy.budget {
            let retries = self.config.on_failed == OnFailed::SlowRetry;
            assert!(
                retries && waited >= policy.delay_max,
                "budget: {} failures, started after {waited:?}",
                books.failures
            );
        } else if books.failures >= 2 && !books.behind_canary {
            let doubled = policy.delay * 2_u32.pow((books.failures - 2).min(20));
            let least = doubled.min(policy.delay_max).mul_f64(0.799);
            assert!(
                waited >= least,
                "back-off: {} failures, started after {waited:?}",
                books.failures
            );
        }
    }

    fn judge_signal(
        &mut self,
        node: NodeIndex,
        pid: u32,
        signal: Sig,
        (class, why): &(ExitClass, String),
        min_ready: u16,
        now: Time,
    ) {
        let (stopping, ready) = (self.stopping, self.ready());
        let class = if stopping { ExitClass::Stop } else { *class };
        let possible = self.may_be(node, class, now);
        let fault = self.is_faulty(node, now);
        let move_now = self.must_go_now(node, now);
        let hung = self.missed_its_watchdog(node, now);
        let books = self.nodes.entry(node).or_default();
        let process = books.process.as_mut().expect("accounted: it lives");
        assert_eq!(process.pid, pid, "accounted");
        if signal == Sig::Kill {
            assert!(
                process.told_to_end.is_some() || stopping,
                "it was told to finish first"
            );
            process.killed = true;
            return;
        }
        assert!(possible, "why: no reason for {class}: {why}");
        process.told_class.get_or_insert(class);
        let by_fault = !stopping && why_is_fault(why);
        if by_fault {
            assert!(fault, "ended without a fault: {why}");
        }
        // What the operator wants needs no gate, see the checks of changes.
        let wanted = why.starts_with("restart, asked") || why.contains("scaled down");
        if !(stopping || wanted || move_now || hung) && ready.contains(&node) {
            assert!(
                ready.len() > usize::from(min_ready),
                "min-ready: {why}, {} ready, {min_ready} kept",
                ready.len()
            );
        }
        process.told_to_end = Some(if by_fault {
            Told::ByFault
        } else {
            Told::ByWill
        });
    }

    fn judge_probe(&mut self, node: NodeIndex, pid: u32, check: Check) {
        let asks = self.config.liveness.map(|policy| policy.asks);
        let process = self.process(node, pid).expect("only what lives is asked");
        assert!(!process.ours, "what is known to notify is not asked");
        assert_eq!(process.asked.replace(check), None, "one-question");
        assert!(process.told_to_end.is_none(), "it is told to end");
        match check {
            Check::Startup => assert!(!process.has_started && !process.notifies, "it started"),
            Check::Readiness => assert!(process.has_started && !process.notifies, "held"),
            Check::Liveness => {
                assert!(process.was_ready, "liveness is held until it was ready");
                assert_eq!(process.last_beat, None, "it has a watchdog");
                assert!(
                    asks == Some(Asks::Unwatched) || !process.said_ready,
                    "it notifies"
                );
            }
        }
    }

    /// Whether the process may be ended for its own fault.
    fn is_faulty(&self, node: NodeIndex, now: Time) -> bool {
        let Some(process) = self
            .nodes
            .get(&node)
            .and_then(|books| books.process.as_ref())
        else {
            return false;
        };
        let failed = |check: Check, threshold: Option<u32>| {
            let row = process.rows.get(&check).copied().unwrap_or(0);
            threshold.is_some_and(|threshold| -row >= i64::from(threshold))
        };
        let startup = self.config.startup.map(|policy| policy.failure_threshold);
        let liveness = self
            .config
            .liveness
            .map(|policy| policy.probe.failure_threshold);
        let late = !process.was_ready && now - process.started >= self.config.start_timeout;
        late || failed(Check::Startup, startup)
            || failed(Check::Liveness, liveness)
            || self.missed_its_watchdog(node, now)
    }

    /// Whether there is a reason of this class to end the process now.
    fn may_be(&self, node: NodeIndex, class: ExitClass, now: Time) -> bool {
        let books = self.nodes.get(&node);
        let process = books.and_then(|books| books.process.as_ref());
        let late = process.is_some_and(|process| {
            !process.was_ready && now - process.started >= self.config.start_timeout
        });
        match class {
            ExitClass::Watchdog => self.missed_its_watchdog(node, now),
            ExitClass::StartTimeout => late,
            ExitClass::Probe => self.is_faulty(node, now),
            ExitClass::PortConflict => books.is_some_and(|books| books.leaves_by.is_some()),
            ExitClass::Operator | ExitClass::ScaleDown => {
                // At once, or when it has just been started and is not wanted any more.
                let asked = books.and_then(|books| books.asked_at);
                !self.stopping && (asked == Some(now) || class == ExitClass::ScaleDown)
            }
            ExitClass::Stop => self.stopping,
            ExitClass::Reload
            | ExitClass::ExitCode
            | ExitClass::Signal
            | ExitClass::OomKill
            | ExitClass::StartFailed => false,
        }
    }

    /// What `why` tells of the ends of a node is what happened.
    pub(super) fn check_why(&self, view: &NodeView) {
        let Some(books) = self.nodes.get(&view.node) else {
            return;
        };
        let told = view.exits.first().map(|exit| Latest {
            time: exit.time,
            pid: exit.life.as_ref().map(|life| life.pid),
            class: exit.class,
            killed: exit.life.as_ref().is_some_and(|life| life.killed),
        });
        assert_eq!(told, books.latest, "why: the latest end");
        let kept = usize::try_from(books.ends).expect("few").min(EXITS_KEPT);
        assert_eq!(view.exits.len(), kept, "why: the last ends are kept");
        let counted: u64 = view.exit_counts.values().sum();
        assert_eq!(counted, books.ends, "why: every end is counted");
        let (followed, open) = match view.phase {
            NodePhase::Clearing => (view.exits.get(1..).unwrap_or_default(), true),
            _ => (&view.exits[..], false),
        };
        let done = |exit: &ExitRecord| exit.follow_up.is_some();
        assert!(followed.iter().all(done), "why: what was done is told");
        assert!(!open || !done(&view.exits[0]), "why: nothing was done yet");
    }

    fn missed_its_watchdog(&self, node: NodeIndex, now: Time) -> bool {
        let books = self.nodes.get(&node);
        let process = books.and_then(|books| books.process.as_ref());
        let beat = process.and_then(|process| process.last_beat);
        let told = process.map_or(Duration::ZERO, |process| process.watchdog);
        let span = self.config.liveness;
        let span = span.map(|policy| policy.watchdog().max(told));
        matches!((beat, span), (Some(beat), Some(span)) if now - beat >= span)
    }

    fn must_go_now(&self, node: NodeIndex, now: Time) -> bool {
        let until = self.nodes.get(&node).and_then(|books| books.leaves_by);
        until.is_some_and(|until| until.saturating_sub(self.config.stop_timeout) <= now)
    }

    fn process(&mut self, node: NodeIndex, pid: u32) -> Option<&mut Process> {
        let process = self.nodes.get_mut(&node)?.process.as_mut()?;
        (process.pid == pid).then_some(process)
    }
}

/// Whether the core says that it ends the process for its own fault.
fn why_is_fault(why: &str) -> bool {
    ["no sign of life", "not ready within", "not started after"]
        .iter()
        .any(|begin| why.starts_with(begin))
}
