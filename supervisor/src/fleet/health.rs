//! How a running process does: what it is asked, what it says of itself, and what follows.

use std::time::Duration;

use super::checks::{Asking, Checks, FIRST_PAUSE, Life, Phase};
use super::core::{Fleet, millis};
use super::exits::Ending;
use super::node::{Health, Node, Process, State, StopCause};
use super::policy::{Answer, Asks, Check, ProbeRecord};
use super::types::{FleetConfig, NodeIndex, Notice, Output, Time};
use crate::event::EventKind;
use crate::exit::ExitClass;

/// Longest STATUS text that is kept, in bytes.
const MESSAGE_MAX: usize = 256;

impl Fleet {
    pub(super) fn notified(&mut self, index: NodeIndex, pid: u32, notice: Notice, now: Time) {
        let liveness = self.config.liveness;
        let silence = self.silence_of(index);
        let node = self.node_mut(index);
        if node.process().is_none_or(|process| process.pid != pid) {
            return;
        }
        if let Notice::Status(text) = notice {
            node.message = Some(shortened(text));
            return;
        }
        let State::Running { process, health } = &mut node.state else {
            return;
        };
        match notice {
            Notice::Ready => {
                process.speaks_for_itself();
                let asks = liveness.map_or(Asks::Nobody, |policy| policy.asks);
                if matches!(process.checks.life, Life::Probed(_)) && asks != Asks::Unwatched {
                    process.checks.life = Life::Unchecked;
                }
                self.became_ready(index, now);
            }
            Notice::Stopping => {
                process.speaks_for_itself();
                self.no_longer_ready(index, "it says that it is stopping".into(), now);
            }
            Notice::Watchdog => {
                process.beats = true;
                // Before it is ready its life is not judged.
                if let (Health::Ready { .. } | Health::Unready { .. }, Some(silence)) =
                    (health, silence)
                {
                    // What was asked until now is watched from here on.
                    let deadline = now + silence;
                    process.checks.life = Life::Watchdog { deadline };
                }
            }
            Notice::WatchdogTrigger => {
                self.hang(index, ExitClass::Watchdog, "it asked for it".into(), now);
            }
            Notice::Refilled => drop(process.refilled.get_or_insert(now)),
            Notice::Status(_) | Notice::Conflict(_) => {}
        }
    }

    /// A process was started: from here on it is asked how it does, unless it is known to
    /// say so itself.
    pub(super) fn begin_checks(&mut self, index: NodeIndex, now: Time) {
        if self.config.notifies {
            return;
        }
        let Some(policy) = self.config.startup else {
            return self.begin_readiness(index, FIRST_PAUSE, now);
        };
        if let Some(checks) = self.checks_mut(index) {
            checks.startup = Some(Asking::from(now + policy.initial_delay));
        }
    }

    /// From here on the process is asked whether it is ready, `at_once` after its start-up at
    /// the earliest.
    fn begin_readiness(&mut self, index: NodeIndex, at_once: Duration, now: Time) {
        let Some(policy) = self.config.readiness else {
            return self.became_ready(index, now);
        };
        if let Some(checks) = self.checks_mut(index) {
            checks.readiness = Some(Asking::eager(now + policy.initial_delay.max(at_once)));
        }
    }

    pub(super) fn probed(
        &mut self,
        index: NodeIndex,
        pid: u32,
        check: Check,
        answer: Answer,
        now: Time,
    ) {
        let node = self.node_mut(index);
        if node.process().is_none_or(|process| process.pid != pid) {
            return;
        }
        let Answer {
            passed, summary, ..
        } = answer.clone();
        node.keep(ProbeRecord {
            time: now,
            pid,
            check,
            answer,
        });
        let Some(checks) = self.checks_mut(index) else {
            return;
        };
        assert_eq!(checks.asked.take(), Some(check), "an answer to a question");
        match check {
            Check::Startup => self.startup_answered(index, passed, &summary, now),
            Check::Readiness => self.readiness_answered(index, passed, summary, now),
            Check::Liveness => self.liveness_answered(index, passed, &summary, now),
        }
    }

    fn startup_answered(&mut self, index: NodeIndex, passed: bool, summary: &str, now: Time) {
        let Some(policy) = self.config.startup else {
            return;
        };
        let Some(checks) = self.checks_mut(index) else {
            return;
        };
        // Gone when the process has said meanwhile that it is ready.
        let Some(asking) = &mut checks.startup else {
            return;
        };
        let regular = asking.next + policy.period;
        asking.count(passed, now, regular, &policy);
        let failures = asking.failures;
        if passed {
            checks.startup = None;
            self.begin_readiness(index, Duration::ZERO, now);
        } else if failures >= policy.failure_threshold {
            let reason = format!("not started after {failures} startup probes: {summary}");
            self.end_faulty(index, ExitClass::Probe, reason, now);
        }
    }

    fn readiness_answered(&mut self, index: NodeIndex, passed: bool, summary: String, now: Time) {
        let phase = self.phase_of(Check::Readiness, index);
        let Some(policy) = self.config.readiness else {
            return;
        };
        let State::Running { process, health } = &mut self.node_mut(index).state else {
            return;
        };
        let Some(asking) = &mut process.checks.readiness else {
            return;
        };
        let regular = match health {
            Health::Starting { .. } => now + policy.period,
            Health::Ready { .. } | Health::Unready { .. } => phase.after(now, policy.period),
        };
        asking.count(passed, now, regular, &policy);
        if asking.successes >= policy.success_threshold {
            asking.next = phase.after(now, policy.period);
            self.became_ready(index, now);
        } else if asking.failures >= policy.failure_threshold {
            self.no_longer_ready(index, summary, now);
        }
    }

    fn liveness_answered(&mut self, index: NodeIndex, passed: bool, summary: &str, now: Time) {
        let phase = self.phase_of(Check::Liveness, index);
        let Some(policy) = self.config.liveness else {
            return;
        };
        let Some(checks) = self.checks_mut(index) else {
            return;
        };
        let Some(asking) = checks.asking_mut(Check::Liveness) else {
            return;
        };
        let regular = phase.after(now, policy.probe.period);
        asking.count(passed, now, regular, &policy.probe);
        let just_now = asking.failures == policy.probe.failure_threshold;
        if just_now && !self.can_spare(self.node(index)) {
            let (ready, least) = (self.ready(), self.config.min_ready);
            let message = format!(
                "no sign of life: {summary}; it is not ended while {ready} nodes are ready and \
                 MIN_READY is {least}"
            );
            self.emit(Some(index), EventKind::Warning { message });
        }
    }

    /// Ends the nodes that show no life, as far as MIN_READY allows.
    pub(super) fn end_the_lifeless(&mut self, now: Time) {
        for index in self.indices() {
            let node = self.node(index);
            if self.is_lifeless(node) && self.can_spare(node) {
                let kept = node.probes.iter();
                let last = kept.rev().find(|record| record.check == Check::Liveness);
                let reason = last.map_or_else(String::new, |last| last.answer.summary.clone());
                self.hang(index, ExitClass::Probe, reason, now);
            }
        }
    }

    /// Whether its liveness probe has failed too often.
    pub(super) fn is_lifeless(&self, node: &Node) -> bool {
        let (State::Running { process, .. }, Some(policy)) = (&node.state, self.config.liveness)
        else {
            return false;
        };
        match &process.checks.life {
            Life::Probed(asking) => asking.failures >= policy.probe.failure_threshold,
            Life::Unchecked | Life::Watchdog { .. } => false,
        }
    }

    pub(super) fn became_ready(&mut self, index: NodeIndex, now: Time) {
        let life = self.first_life(index, now);
        let State::Running { process, health } = &mut self.node_mut(index).state else {
            return;
        };
        match health {
            Health::Starting { .. } => process.checks.life = life,
            Health::Ready { .. } => return,
            Health::Unready { .. } => {}
        }
        process.was_ready = true;
        *health = Health::Ready { since: now };
        let after_ms = millis(now.saturating_sub(process.started));
        self.node_mut(index).since = now;
        self.emit(Some(index), EventKind::NodeReady { after_ms });
        if self.brake.canary() == Some(index) {
            self.release_brake(now);
        }
    }

    /// How the life of a node is watched that has just become ready for the first time. What
    /// notifies is watched from its first `WATCHDOG=1` on, so that a program that knows
    /// `READY=1` only is left alone.
    fn first_life(&self, index: NodeIndex, now: Time) -> Life {
        let (State::Running { process, .. }, Some(policy)) =
            (&self.node(index).state, self.config.liveness)
        else {
            return Life::Unchecked;
        };
        if let (true, Some(silence)) = (process.beats, self.silence_of(index)) {
            let deadline = now + silence;
            return Life::Watchdog { deadline };
        }
        let is_asked = match policy.asks {
            Asks::Nobody => false,
            Asks::Silent => !process.notifies,
            Asks::Unwatched => true,
        };
        if !is_asked || process.ours {
            return Life::Unchecked;
        }
        let phase = self.phase_of(Check::Liveness, index);
        let earliest = now + policy.probe.initial_delay;
        Life::Probed(Asking::from(phase.after(earliest, policy.probe.period)))
    }

    fn no_longer_ready(&mut self, index: NodeIndex, reason: String, now: Time) {
        let stable = self.is_stable(self.node(index), now);
        let node = self.node_mut(index);
        let State::Running { health, .. } = &mut node.state else {
            return;
        };
        match health {
            Health::Ready { .. } => {}
            // What it is now is told, the event was when it began.
            Health::Unready { reason: known } => {
                *known = reason;
                return;
            }
            Health::Starting { .. } => return,
        }
        *health = Health::Unready {
            reason: reason.clone(),
        };
        node.since = now;
        if stable {
            node.failures = 0;
        }
        self.emit(
            Some(index),
            EventKind::NodeUnready {
                reason: reason.clone(),
            },
        );
        self.came_back_worse(index, &format!("it is not ready: {reason}"));
    }

    /// The node shows no life. It does not count as ready any more, and is ended.
    fn hang(&mut self, index: NodeIndex, class: ExitClass, reason: String, now: Time) {
        self.no_longer_ready(index, reason.clone(), now);
        self.end_faulty(index, class, format!("no sign of life: {reason}"), now);
    }

    /// Ends a process for its own fault, which counts as a failure.
    pub(super) fn end_faulty(
        &mut self,
        index: NodeIndex,
        class: ExitClass,
        reason: String,
        now: Time,
    ) {
        let kill_at = now + self.grace();
        let worse = format!("it had to be ended: {reason}");
        let ending = Ending::new(class, reason.clone());
        if self.terminate(index, ending, StopCause::Fault(reason), kill_at, now) {
            self.came_back_worse(index, &worse);
        }
    }

    /// Something of a running process is due: the end of its start, a look at its watchdog,
    /// a question.
    pub(super) fn health_deadline(&mut self, index: NodeIndex, now: Time) {
        let silence = self.silence_of(index);
        let State::Running { process, health } = &mut self.node_mut(index).state else {
            return;
        };
        if matches!(health, Health::Starting { deadline } if *deadline <= now) {
            let limit = crate::event::span(millis(self.config.start_timeout));
            let reason = format!("not ready within {limit}");
            return self.end_faulty(index, ExitClass::StartTimeout, reason, now);
        }
        let (checks, pid) = (&mut process.checks, process.pid);
        if matches!(checks.life, Life::Watchdog { deadline } if deadline <= now) {
            let span = crate::event::span(millis(silence.unwrap_or_default()));
            let text = format!("no WATCHDOG=1 for {span}");
            return self.hang(index, ExitClass::Watchdog, text, now);
        }
        if let Some((check, time)) = checks.next_question()
            && time <= now
        {
            checks.asked = Some(check);
            let node = index;
            self.outputs.push(Output::Probe { node, pid, check });
        }
    }

    /// Nobody looked for a while, because the supervisor itself was stopped or frozen, often
    /// together with its nodes. What nodes said meanwhile is not read yet, so that whatever
    /// they are waited for begins anew.
    pub(super) fn overslept(&mut self, now: Time) {
        let until_ready = now + self.config.start_timeout;
        for index in self.indices() {
            let watchdog = self.silence_of(index).map(|silence| now + silence);
            let State::Running { process, health } = &mut self.node_mut(index).state else {
                continue;
            };
            if let Health::Starting { deadline } = health {
                *deadline = until_ready;
            }
            if let (Life::Watchdog { .. }, Some(until)) = (&process.checks.life, watchdog) {
                process.checks.life = Life::Watchdog { deadline: until };
            }
        }
    }

    /// How long a node that notifies may be silent: what it was told at its start, and longer
    /// when more is allowed now. None when nobody's life is checked.
    fn silence_of(&self, index: NodeIndex) -> Option<Duration> {
        let allowed = self.config.liveness?.watchdog();
        let told = self.node(index).process()?.watchdog;
        Some(allowed.max(told.unwrap_or_default()))
    }

    /// The checks are others now: a running process goes over to them. Questions that stay
    /// go on with what was counted.
    pub(super) fn check_otherwise(&mut self, index: NodeIndex, old: &FleetConfig, now: Time) {
        let config = &self.config;
        let (startup, readiness) = (config.startup, config.readiness);
        let (longer, shorter) = (config.start_timeout, old.start_timeout);
        let silence = self.silence_of(index);
        let phase = self.phase_of(Check::Readiness, index);
        let life = self.first_life(index, now);
        let State::Running { process, health } = &mut self.node_mut(index).state else {
            return;
        };
        let starting = matches!(health, Health::Starting { .. });
        if let Health::Starting { deadline: until } = health {
            *until = (*until + longer).saturating_sub(shorter);
        }
        let silent = !process.ours && !process.notifies;
        let checks = &mut process.checks;
        match (&mut checks.life, silence) {
            (Life::Watchdog { deadline }, Some(silence)) => {
                *deadline = (*deadline).max(now + silence);
            }
            _ if starting => {}
            (current, _) => *current = life,
        }
        if checks.startup.is_some() && startup.is_none() {
            checks.startup = None;
            return self.begin_readiness(index, Duration::ZERO, now);
        }
        if !silent || checks.startup.is_some() {
            return;
        }
        match (readiness, &mut checks.readiness) {
            (Some(policy), Some(asking)) => {
                let regular = phase.after(now, policy.period);
                asking.next = asking.next.min(regular);
            }
            (Some(policy), none @ None) => {
                *none = Some(Asking::from(phase.after(now, policy.period)));
            }
            (None, asking) => {
                *asking = None;
                self.became_ready(index, now);
            }
        }
    }

    /// Whether the node has been ready for long enough to be forgiven.
    pub(super) fn is_stable(&self, node: &Node, now: Time) -> bool {
        match node.state {
            State::Running {
                health: Health::Ready { since },
                ..
            } => now.saturating_sub(since) >= self.config.restart.stable,
            _ => false,
        }
    }

    fn checks_mut(&mut self, index: NodeIndex) -> Option<&mut Checks> {
        match &mut self.node_mut(index).state {
            State::Running { process, .. } => Some(&mut process.checks),
            _ => None,
        }
    }

    fn phase_of(&self, check: Check, index: NodeIndex) -> Phase {
        let count = u16::try_from(self.nodes.len()).expect("no more nodes than ports");
        Phase::of(check, index, count)
    }
}

impl Process {
    /// It notifies, so that nobody has to ask whether it is ready.
    fn speaks_for_itself(&mut self) {
        self.notifies = true;
        self.checks.startup = None;
        self.checks.readiness = None;
    }
}

fn shortened(mut text: String) -> String {
    let mut end = text.len().min(MESSAGE_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
