//! A world of simulated processes around the core, driven by one seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::oracle::Oracle;
use crate::event::EventKind;
use crate::exit::{Ended, ExitReason, OomKills};
use crate::fleet::{
    Answer, Check, Fleet, FleetConfig, Input, NodeIndex, Notice, Occasion, Output, Ports,
    RestartMode, RestartOrder, Sig, Ticket, Time,
};
use crate::status::{FleetPhase, NodePhase};
use crate::stop_budget::StopBudget;

/// How nodes behave; chances in percent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nature {
    pub(super) spawn_fails: u8,
    pub(super) dies_early: u8,
    pub(super) never_ready: u8,
    pub(super) dies_later: u8,
    pub(super) hangs_later: u8,
    pub(super) ignores_term: u8,
    pub(super) leaves_helpers: u8,
    pub(super) claim_fails: u8,
    pub(super) slot_lost: u8,
    pub(super) claim_takes_time: u8,
    pub(super) never_refills: u8,
    /// Of what the supervisor adopted, at each look when it ends.
    pub(super) strays_linger: u8,
    pub(super) probe_fails: u8,
    pub(super) probe_is_slow: u8,
    pub(super) stumbles: u8,
}

#[derive(Debug)]
struct Process {
    node: NodeIndex,
    notifies: bool,
    hung: bool,
    ready: bool,
    ignores_term: bool,
    helpers: usize,
}

/// Processes that a main process left behind.
#[derive(Debug)]
struct Helpers {
    node: NodeIndex,
    count: usize,
    killed: bool,
}

/// The simulated machine: what lives on it, and what will happen when.
pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) now: Time,
    pub(super) exit: Option<(Time, u8)>,
    pub(super) stop_asked: Option<Time>,
    pub(super) spawns: u64,
    /// Everything that was given to the core, for the replay of a failure.
    pub(super) journal: Vec<(Time, Input)>,
    config: FleetConfig,
    nature: Nature,
    oracle: Oracle,
    /// When the whole machine freezes for a while, with every clock but the core's.
    freezes: BTreeSet<Time>,
    random: fastrand::Rng,
    next_pid: u32,
    alive: BTreeMap<u32, Process>,
    /// Helpers that outlive their main process, by its pid.
    left: BTreeMap<u32, Helpers>,
    future: BTreeMap<(Time, u64), Input>,
    sequence: u64,
    /// Nodes that the fleet has.
    members: u16,
    /// Changes that have begun and not ended.
    changes: BTreeSet<u64>,
    tickets: u64,
}

impl World {
    pub(super) fn new(config: FleetConfig, nature: Nature, seed: u64) -> Self {
        Self {
            fleet: Fleet::new(config.clone()),
            now: Time::ZERO,
            exit: None,
            stop_asked: None,
            oracle: Oracle::new(config.clone()),
            freezes: BTreeSet::new(),
            spawns: 0,
            journal: Vec::new(),
            config,
            nature,
            random: fastrand::Rng::with_seed(seed),
            next_pid: 100,
            alive: BTreeMap::new(),
            left: BTreeMap::new(),
            future: BTreeMap::new(),
            sequence: 0,
            members: 0,
            changes: BTreeSet::new(),
            tickets: 0,
        }
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(0..100) < percent
    }

    pub(super) fn after(&mut self, delay: Duration, input: Input) {
        self.sequence += 1;
        self.future.insert((self.now + delay, self.sequence), input);
    }

    /// Plans that a node must leave its slot, with or without another one.
    pub(super) fn plan_move(&mut self, delay: Duration) {
        let node = NodeIndex(self.random.u16(0..self.config.node_count));
        let until = self.now + delay + Duration::from_secs(30);
        let ports = Ports {
            http: 9_500 + node.0,
            gossip: 9_700 + node.0,
        };
        let ports = self.random.bool().then_some(ports);
        self.after(delay, Input::Move { node, ports, until });
        if ports.is_none() {
            let ports = Ports {
                http: 9_600 + node.0,
                gossip: 9_800 + node.0,
            };
            let later = delay + self.within(1, 60_000);
            self.after(later, Input::Claimed { node, ports });
        }
    }

    /// Plans that somebody asks for a change, sensible or not.
    pub(super) fn plan_change(&mut self, delay: Duration) {
        self.tickets += 1;
        let (ticket, by) = (Ticket(self.tickets), "pid 7".to_owned());
        let many = self.random.usize(0..4);
        let nodes = (0..many)
            .map(|_| NodeIndex(self.random.u16(0..8)))
            .collect();
        let input = match self.random.u8(0..7) {
            0..=2 => {
                let mode = RestartMode::Rolling;
                let occasion = Occasion::Operator;
                let order = RestartOrder {
                    nodes,
                    mode,
                    occasion,
                };
                Input::Restart { ticket, order, by }
            }
            3 => {
                let force = self.random.bool();
                let mode = RestartMode::Together { force };
                let occasion = Occasion::Operator;
                let order = RestartOrder {
                    nodes,
                    mode,
                    occasion,
                };
                Input::Restart { ticket, order, by }
            }
            4 | 5 => {
                let to = self.random.u16(0..12);
                Input::Scale { ticket, to, by }
            }
            _ => Input::EndRolling { by },
        };
        self.after(delay, input);
    }

    pub(super) fn within(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        Duration::from_millis(self.random.u64(from_ms..=to_ms))
    }

    /// Claims and begins, as the shell does at its start.
    pub(super) fn begin(&mut self) {
        self.members = self.config.node_count;
        for index in 0..self.config.node_count {
            let input = self.claim_now(NodeIndex(index));
            self.give(input);
        }
        self.give(Input::Begin);
    }

    /// Lets the next thing happen, not later than `until`.
    pub(super) fn step(&mut self, until: Time) -> bool {
        let event = self.future.keys().next().copied();
        let deadline = self.fleet.next_deadline();
        let next = match (event, deadline) {
            (Some((at, _)), Some(deadline)) => at.min(deadline),
            (Some((at, _)), None) => at,
            (None, Some(deadline)) => deadline,
            (None, None) => return false,
        };
        if next > until || self.exit.is_some() {
            return false;
        }
        self.now = self.now.max(next);
        if self.freezes.first().is_some_and(|at| *at <= self.now) {
            self.freezes.pop_first();
            self.freeze();
        }
        let input = match event {
            Some(key) if key.0 <= self.now => self.future.remove(&key).expect("it was there"),
            _ => Input::Tick,
        };
        if self.still_true(&input) {
            self.give(input);
        }
        true
    }

    /// Plans that the whole machine freezes: a suspend that the monotonic clock counts, a
    /// paused container.
    pub(super) fn plan_freeze(&mut self, delay: Duration) {
        self.freezes.insert(self.now + delay);
    }

    /// Nothing happens for a while. What was to happen is late then, and so is the core. In
    /// a stop its time runs on all the same.
    fn freeze(&mut self) {
        if self.fleet.phase() == FleetPhase::Stopping {
            return;
        }
        let span = self.within(1_500, 100_000);
        let due = self.fleet.next_deadline();
        self.now += span;
        // It notices when something is more than a second late.
        if due.is_some_and(|due| due + Duration::from_secs(1) < self.now) {
            self.oracle.frozen(self.now);
        }
    }

    /// What was planned for a process happens only while it lives.
    fn still_true(&mut self, input: &Input) -> bool {
        match input {
            Input::Exited { pid, .. } => {
                let Some(process) = self.alive.remove(pid) else {
                    return false;
                };
                let helpers = Helpers {
                    node: process.node,
                    count: process.helpers,
                    killed: false,
                };
                if helpers.count > 0 {
                    self.left.insert(*pid, helpers);
                }
                true
            }
            // What was killed is gone now.
            Input::OrphanReaped => {
                self.left.retain(|_, helpers| !helpers.killed);
                true
            }
            // Nobody waits for the answer of a process that has ended.
            Input::Probed { pid, .. } => self.alive.contains_key(pid),
            Input::Notified { pid, notice, .. } => {
                let Some(process) = self.alive.get_mut(pid) else {
                    return false;
                };
                process.ready |= *notice == Notice::Ready;
                !process.hung
            }
            _ => true,
        }
    }

    /// Gives the core one input, performs what it answers, and checks the invariants.
    pub(super) fn give(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.journal.push((self.now, input.clone()));
            if let Input::Stop { .. } = input {
                self.stop_asked.get_or_insert(self.now);
            }
            if let Input::Configure(config) = &input
                && self.fleet.phase() != FleetPhase::Stopping
            {
                self.config = (**config).clone();
            }
            let (before, nodes) = (self.fleet.ready(), self.members);
            self.oracle.hears(&input, self.now);
            let outputs = self.fleet.handle(input.clone(), self.now);
            self.oracle
                .judges(&outputs, self.fleet.min_ready(), self.now);
            self.check_ready();
            self.check_why();
            self.check_min_ready(before, &outputs);
            self.check_untouched(&input, nodes, &outputs);
            for output in outputs {
                inputs.extend(self.perform(output));
            }
        }
        if let Some(deadline) = self.fleet.next_deadline() {
            assert!(
                deadline > self.now,
                "a deadline that is due was left, at {:?}",
                self.now
            );
        }
        self.check_bounded_stop();
    }

    /// Who is ready is told by the rules.
    fn check_ready(&self) {
        let views = self.fleet.views(self.now);
        let ready = views.filter(|view| view.phase == NodePhase::Ready);
        let ready: Vec<NodeIndex> = ready.map(|view| view.node).collect();
        assert_eq!(ready, self.oracle.ready(), "ready by the rules");
    }

    /// Every end is told with its reason, and what was done about it.
    fn check_why(&self) {
        for view in self.fleet.views(self.now) {
            self.oracle.check_why(&view);
        }
    }

    fn check_bounded_stop(&self) {
        if let (Some(asked), None) = (self.stop_asked, self.exit) {
            let spent = self.now.saturating_sub(asked);
            let budget = StopBudget::of(self.config.stop_timeout);
            assert!(
                spent <= budget.grace + budget.patience,
                "bounded-stop: {spent:?} and not ended"
            );
        }
    }

    /// A step of a rolling restart that is the only thing that happens leaves MIN_READY nodes.
    fn check_min_ready(&self, before: u16, outputs: &[Output]) {
        let count = |is_it: &dyn Fn(&EventKind) -> bool| {
            let events = outputs.iter().filter_map(|output| match output {
                Output::Emit { kind, .. } => Some(kind),
                _ => None,
            });
            events.filter(|kind| is_it(kind)).count()
        };
        let steps = count(&|kind| matches!(kind, EventKind::ChangeStep { .. }));
        let stops = count(&|kind| matches!(kind, EventKind::NodeStopping { .. }));
        let ours = count(
            &|kind| matches!(kind, EventKind::NodeStopping { reason, .. } if reason.starts_with("rolling restart")),
        );
        let others = count(&|kind| {
            matches!(
                kind,
                EventKind::NodeUnready { .. } | EventKind::NodeExited { .. }
            )
        });
        assert!(steps <= 1, "min-ready: one at a time");
        let after = self.fleet.ready();
        if (steps, stops, ours, others) == (1, 1, 1, 0) && after < before {
            let min_ready = self.fleet.min_ready();
            assert!(after >= min_ready, "min-ready: {after} of {min_ready}");
        }
    }

    /// An order to scale ends no process of a node that stays.
    fn check_untouched(&self, input: &Input, from: u16, outputs: &[Output]) {
        let Input::Scale { to, .. } = input else {
            return;
        };
        for output in outputs {
            // What is killed was told to end before.
            let Output::Signal {
                node: ended,
                signal: Sig::Term,
                ..
            } = output
            else {
                continue;
            };
            // With another MIN_READY something else may go on.
            let goes_on = outputs.iter().any(|output| match output {
                Output::Emit {
                    node: Some(node),
                    kind,
                } => {
                    node == ended
                        && match kind {
                            EventKind::ChangeStep { .. } => true,
                            EventKind::NodeStopping { reason, .. } => {
                                !reason.contains("scaled down")
                            }
                            _ => false,
                        }
                }
                _ => false,
            });
            assert!(
                ended.0 >= (*to).min(from) || goes_on,
                "untouched: {} stays",
                ended.name()
            );
        }
    }

    fn note_change(&mut self, kind: &EventKind) {
        match kind {
            EventKind::ChangeStarted { change, .. } => {
                assert!(self.changes.insert(*change), "a change begins once");
            }
            EventKind::ChangeStep { change, .. } | EventKind::ChangeWaiting { change, .. } => {
                assert!(self.changes.contains(change), "it is under way");
            }
            EventKind::ChangeDone { change, .. } => {
                assert!(self.changes.remove(change), "a change ends once");
            }
            // One that was refused has not begun.
            EventKind::ChangeHalted { change, .. } => drop(self.changes.remove(change)),
            _ => {}
        }
    }

    /// Changes that have begun and not ended.
    pub(super) fn under_way(&self) -> usize {
        self.changes.len()
    }

    fn perform(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Add(node) => {
                assert_eq!(node.0, self.members, "nodes join in order");
                self.members += 1;
                None
            }
            Output::Remove(node) => {
                self.members -= 1;
                assert_eq!(node.0, self.members, "the last leaves first");
                let mut alive = self.alive.values();
                assert!(
                    alive.all(|process| process.node != node),
                    "accounted: nothing of it runs"
                );
                None
            }
            Output::Claim(node) => self.claim(node),
            Output::Spawn(node) => Some(self.spawn(node)),
            Output::Signal { pid, signal, .. } => {
                self.signal(pid, signal);
                None
            }
            Output::Clear { node, pid, signal } => {
                Some(self.clear(node, pid, signal == Some(Sig::Kill)))
            }
            Output::ClearStrays => {
                assert!(self.alive.is_empty(), "accounted: strays are last");
                self.left.clear();
                let left = usize::from(self.chance(self.nature.strays_linger));
                Some(Input::StraysCleared { left })
            }
            Output::Probe { node, pid, check } => {
                self.ask(node, pid, check);
                None
            }
            Output::Exit { code } => {
                assert!(
                    self.alive.is_empty() && self.left.is_empty(),
                    "accounted: nothing is left behind"
                );
                assert!(self.exit.is_none(), "it ends once");
                self.exit = Some((self.now, code));
                None
            }
            Output::Vacated(node) => {
                assert!(
                    self.alive.values().all(|process| process.node != node),
                    "it has left"
                );
                None
            }
            Output::Emit { kind, .. } => {
                self.note_change(&kind);
                None
            }
            Output::Door { .. } | Output::Siblings | Output::StopTogether(_) => None,
        }
    }

    /// Plans the answer to a question.
    fn ask(&mut self, node: NodeIndex, pid: u32, check: Check) {
        let process = self.alive.get(&pid);
        let able = process.is_some_and(|process| process.ready && !process.hung);
        let passed = able && !self.chance(self.nature.probe_fails);
        let slow = self.chance(self.nature.probe_is_slow);
        let latency = self.within(0, if slow { 30_000 } else { 1_000 });
        let answer = Answer {
            passed,
            summary: "answered 200 or not".into(),
            latency,
        };
        self.after(
            latency,
            Input::Probed {
                node,
                pid,
                check,
                answer,
            },
        );
    }

    /// Claims in the background, so that much may have happened when it answers.
    fn claim(&mut self, node: NodeIndex) -> Option<Input> {
        assert!(node.0 < self.members, "only a node of the fleet claims");
        let answer = self.claim_now(node);
        if self.chance(self.nature.claim_takes_time) {
            let delay = self.within(1, 5_000);
            self.after(delay, answer);
            None
        } else {
            Some(answer)
        }
    }

    fn claim_now(&mut self, node: NodeIndex) -> Input {
        if self.chance(self.nature.claim_fails) {
            return Input::NotClaimed {
                node,
                holders: "8081 held by pid 1".into(),
            };
        }
        let ports = Ports {
            http: 8_081 + node.0,
            gossip: 9_081 + node.0,
        };
        Input::Claimed { node, ports }
    }

    fn spawn(&mut self, node: NodeIndex) -> Input {
        assert!(
            self.stop_asked.is_none(),
            "nothing is started after a stop was asked"
        );
        assert!(
            self.alive.values().all(|process| process.node != node),
            "one-process"
        );
        assert!(
            self.left.values().all(|left| left.node != node),
            "accounted: helpers are gone first"
        );
        if self.chance(self.nature.slot_lost) {
            return Input::SlotLost {
                node,
                holders: "8081 held by pid 1".into(),
            };
        }
        if self.chance(self.nature.spawn_fails) {
            return Input::SpawnFailed {
                node,
                error: "no such file".into(),
            };
        }
        self.spawns += 1;
        self.next_pid += 1;
        let pid = self.next_pid;
        let notifies = self.config.notifies || self.chance(50);
        let process = Process {
            node,
            notifies,
            hung: self.chance(self.nature.never_ready),
            ready: false,
            ignores_term: self.chance(self.nature.ignores_term),
            helpers: if self.chance(self.nature.leaves_helpers) {
                2
            } else {
                0
            },
        };
        self.alive.insert(pid, process);
        self.plan_life(node, pid);
        Input::Spawned {
            node,
            pid,
            generation: u64::from(pid),
        }
    }

    fn plan_life(&mut self, node: NodeIndex, pid: u32) {
        if self.chance(self.nature.dies_early) {
            let delay = self.within(0, 50);
            let ended = ExitReason::Code(1).into();
            return self.after(delay, Input::Exited { node, pid, ended });
        }
        let ready = self.within(5, 2_000);
        if self.alive[&pid].notifies {
            self.after(
                ready,
                Input::Notified {
                    node,
                    pid,
                    notice: Notice::Ready,
                },
            );
            if !self.chance(self.nature.never_refills) {
                let delay = ready + self.within(0, 3_000);
                let notice = Notice::Refilled;
                self.after(delay, Input::Notified { node, pid, notice });
            }
            let silent = if self.chance(self.nature.hangs_later) {
                20
            } else {
                400
            };
            for beat in 0..silent {
                let delay = ready + Duration::from_secs(10) * beat;
                self.after(
                    delay,
                    Input::Notified {
                        node,
                        pid,
                        notice: Notice::Watchdog,
                    },
                );
            }
        } else if let Some(process) = self.alive.get_mut(&pid) {
            process.ready = true;
        }
        if self.chance(self.nature.stumbles) {
            self.plan_stumble(node, pid);
        }
        if self.chance(self.nature.dies_later) {
            let delay = self.within(10, 60_000);
            let mut ended = Ended::from(ExitReason::Signal(11));
            if self.random.u8(0..3) == 0 {
                ended.reason = ExitReason::Signal(9);
                let (kills, since) = (1, self.now);
                ended.oom = Some(OomKills { kills, since });
            }
            self.after(delay, Input::Exited { node, pid, ended });
        }
    }

    /// Plans that a process says that it is not ready, and perhaps that it is again; or that
    /// it begins to send WATCHDOG=1 and stops doing so.
    fn plan_stumble(&mut self, node: NodeIndex, pid: u32) {
        let first = self.within(1, 60_000);
        let again = first + self.within(1, 20_000);
        let notices = match self.random.u8(0..3) {
            0 => vec![(first, Notice::Stopping)],
            1 => vec![(first, Notice::Stopping), (again, Notice::Ready)],
            _ => vec![(first, Notice::Watchdog), (again, Notice::Watchdog)],
        };
        for (delay, notice) in notices {
            self.after(delay, Input::Notified { node, pid, notice });
        }
    }

    fn signal(&mut self, pid: u32, signal: Sig) {
        let Some(process) = self.alive.get(&pid) else {
            return;
        };
        let node = process.node;
        let (reason, longest) = match signal {
            Sig::Term if process.ignores_term || process.hung => return,
            Sig::Term => (ExitReason::Code(0), 3_000),
            Sig::Kill => (ExitReason::Signal(9), 5),
        };
        let (delay, ended) = (self.within(0, longest), reason.into());
        self.after(delay, Input::Exited { node, pid, ended });
    }

    fn clear(&mut self, node: NodeIndex, pid: u32, kill: bool) -> Input {
        assert!(
            !self.alive.contains_key(&pid),
            "only an ended process is cleared"
        );
        let Some(helpers) = self.left.get_mut(&pid) else {
            return Input::Cleared { node, pid, left: 0 };
        };
        let left = helpers.count;
        if kill && !helpers.killed {
            helpers.killed = true;
            self.after(Duration::from_millis(1), Input::OrphanReaped);
        }
        Input::Cleared { node, pid, left }
    }
}
