//! Stories of probes: when a program that does not notify is asked what, and what follows.

use std::collections::BTreeMap;
use std::time::Duration;

use super::stories::{Story, ms};
use super::{PROBE, config};
use crate::event::EventKind;
use crate::exit::ExitClass;
use crate::fleet::{
    Answer, Asks, Check, FleetConfig, Input, NodeIndex, Notice, Output, ProbePolicy, Sig,
};
use crate::status::NodePhase::{self, Ready, Starting, Stopping, Unready};

use Check::{Liveness, Readiness, Startup};

/// A fleet that does not notify, and starts at once.
fn silent(node_count: u16) -> FleetConfig {
    FleetConfig {
        notifies: false,
        start_stagger: Duration::ZERO,
        ..config(node_count)
    }
}

/// A question: when, of which node, what.
type Question = (u64, u16, Check);

/// A story in which questions are answered.
struct Asked {
    story: Story,
    now: u64,
    /// What was asked so far.
    questions: Vec<Question>,
    /// Answers that are on their way.
    answers: BTreeMap<(u64, u16), Input>,
    seen: usize,
}

impl Asked {
    fn begin(config: FleetConfig) -> Self {
        let story = Story::begin(config);
        Self {
            story,
            now: 0,
            questions: Vec::new(),
            answers: BTreeMap::new(),
            seen: 0,
        }
    }

    /// Lets time pass. `reply` says whether a question succeeds, and after how many ms.
    fn run(&mut self, until: u64, mut reply: impl FnMut(Question) -> (bool, u64)) -> &mut Self {
        loop {
            self.collect(&mut reply);
            let answer = self.answers.keys().next().map(|(at, _)| *at);
            // Whole milliseconds, and never before it is due.
            let due = self.story.fleet.next_deadline();
            let due = due.map(|due| due.as_nanos().div_ceil(1_000_000));
            let due = due.map(|due| u64::try_from(due).expect("small"));
            let next = answer.into_iter().chain(due).min();
            let Some(next) = next.filter(|next| *next <= until) else {
                self.now = until;
                return self;
            };
            self.now = next;
            let input = match answer {
                Some(at) if at == next => self.answers.pop_first().map(|(_, input)| input),
                _ => None,
            };
            self.story.give(next, input.unwrap_or(Input::Tick));
        }
    }

    fn collect(&mut self, reply: &mut impl FnMut(Question) -> (bool, u64)) {
        for output in &self.story.done[self.seen..] {
            let Output::Probe { node, pid, check } = *output else {
                continue;
            };
            let question = (self.now, node.0, check);
            self.questions.push(question);
            let (passed, took) = reply(question);
            let answer = Answer {
                passed,
                summary: format!("{check:?} at {}", self.now),
                latency: ms(took),
            };
            let input = Input::Probed {
                node,
                pid,
                check,
                answer,
            };
            let before = self.answers.insert((self.now + took, node.0), input);
            assert!(before.is_none(), "one question is under way at a time");
        }
        self.seen = self.story.done.len();
    }

    fn times(&self, check: Check) -> Vec<u64> {
        let of_check = self
            .questions
            .iter()
            .filter(|(_, _, asked)| *asked == check);
        of_check.map(|(at, _, _)| *at).collect()
    }

    #[track_caller]
    fn expect(&self, phases: &[NodePhase]) {
        assert_eq!(self.story.phases(), phases, "{:?}", self.questions);
    }
}

#[test]
fn a_starting_node_is_asked_at_once_and_then_less_and_less_often() {
    let mut asked = Asked::begin(silent(1));
    asked.run(4_999, |(at, ..)| (at > 4_000, 5));
    let expect = [20, 65, 150, 315, 640, 1_285, 2_290, 3_295, 4_300];
    assert_eq!(asked.times(Readiness), expect);
    assert_eq!(
        asked.times(Liveness),
        [0; 0],
        "its life counts from then on"
    );
    asked.expect(&[Ready]);
}

#[test]
fn ready_nodes_are_asked_once_a_period_each_at_its_own_moment() {
    let mut asked = Asked::begin(silent(3));
    asked.run(1_000, |_| (true, 5)).questions.clear();
    asked.run(21_000, |_| (true, 5));
    let mut moments: Vec<_> = asked.questions.iter().map(|(at, ..)| *at).collect();
    moments.dedup();
    let expect = [
        1_667, 3_334, 5_000, 6_667, 8_334, 10_000, 11_667, 13_334, 15_000, 16_667, 18_334, 20_000,
    ];
    assert_eq!(moments, expect);
    assert_eq!(asked.questions.len(), expect.len(), "one node at a time");
}

#[test]
fn a_node_that_fails_is_unready_and_stays_and_comes_back() {
    let config = FleetConfig {
        readiness: Some(ProbePolicy {
            success_threshold: 2,
            ..PROBE
        }),
        ..silent(1)
    };
    let mut asked = Asked::begin(config);
    // Twice in a row, a period apart, before it is ready.
    asked.run(10_000, |_| (true, 0)).expect(&[Starting]);
    asked.run(10_020, |_| (true, 0)).expect(&[Ready]);
    let failing = |(_, _, check)| (check != Readiness, 0);
    asked.run(39_999, failing).expect(&[Ready]);
    asked.run(40_000, failing).expect(&[Unready]);
    let view = asked.story.fleet.views(ms(0)).next().expect("it exists");
    assert_eq!(view.reason.as_deref(), Some("Readiness at 40000"));
    assert_eq!(view.probes.len(), 8);
    assert_eq!(view.probes[0].answer.summary, "Readiness at 40000");
    // One success is not enough, and a failure begins the count anew.
    asked.run(50_000, |_| (true, 0)).expect(&[Unready]);
    asked.run(60_000, failing).expect(&[Unready]);
    asked.run(70_000, |_| (true, 0)).expect(&[Unready]);
    asked.run(80_000, |_| (true, 0)).expect(&[Ready]);
    let started = asked.story.done.iter();
    let started = started.filter(|output| matches!(output, Output::Spawn(_)));
    assert_eq!(started.count(), 1, "it was never ended");
    let view = asked.story.fleet.views(ms(0)).next().expect("it exists");
    assert_eq!((view.reason, view.probes.len()), (None, 10));
}

#[test]
fn a_startup_probe_comes_first_and_has_its_own_patience() {
    let config = |failure_threshold| FleetConfig {
        startup: Some(ProbePolicy {
            initial_delay: ms(500),
            period: ms(2_000),
            failure_threshold,
            ..PROBE
        }),
        ..silent(1)
    };
    let mut asked = Asked::begin(config(5));
    asked.run(8_510, |(at, ..)| (at > 8_000, 10));
    assert_eq!(asked.times(Startup), [500, 2_500, 4_500, 6_500, 8_500]);
    assert_eq!(asked.times(Readiness), [8_510], "at once after it");
    asked.run(30_000, |_| (true, 0)).expect(&[Ready]);
    assert_eq!(asked.times(Startup).len(), 5, "once it has started it has");

    let mut asked = Asked::begin(config(3));
    asked.run(4_509, |_| (false, 10)).expect(&[Starting]);
    asked.run(4_510, |_| (false, 10)).expect(&[Stopping]);
    let reason = "not started after 3 startup probes: Startup at 4500".to_owned();
    let class = ExitClass::Probe;
    let stopping = EventKind::NodeStopping { class, reason };
    assert_eq!(asked.story.events.last(), Some(&(Some(0), stopping)));
}

#[test]
fn without_a_readiness_probe_a_node_is_ready_when_it_has_started() {
    let config = FleetConfig {
        readiness: None,
        ..silent(1)
    };
    Asked::begin(config.clone()).expect(&[Ready]);
    let config = FleetConfig {
        startup: Some(PROBE),
        ..config
    };
    let mut asked = Asked::begin(config);
    asked.expect(&[Starting]);
    asked.run(0, |_| (true, 0)).expect(&[Ready]);
}

#[test]
fn delays_count_from_the_start_and_from_readiness() {
    let later = |initial_delay| ProbePolicy {
        initial_delay: ms(initial_delay),
        ..PROBE
    };
    let mut config = silent(1);
    config.readiness = Some(later(3_000));
    config.liveness.as_mut().expect("it is on").probe = later(7_000);
    let mut asked = Asked::begin(config);
    asked.run(30_000, |_| (true, 0));
    assert_eq!(asked.times(Readiness), [3_000, 10_000, 20_000, 30_000]);
    assert_eq!(asked.times(Liveness), [15_000, 25_000]);
}

#[test]
fn a_node_without_life_is_ended_as_soon_as_min_ready_allows() {
    let lifeless = |(_, node, check)| (node == 1 || check != Liveness, 0);
    let lenient = FleetConfig {
        min_ready: 1,
        ..silent(2)
    };
    let mut asked = Asked::begin(lenient);
    asked.run(22_499, lifeless).expect(&[Ready, Ready]);
    asked.run(22_500, lifeless).expect(&[Stopping, Ready]);

    let strict = FleetConfig {
        min_ready: 2,
        ..silent(2)
    };
    let mut asked = Asked::begin(strict);
    asked.run(100_000, lifeless).expect(&[Ready, Ready]);
    let warnings = asked.story.events.iter().filter(
        |(_, kind)| matches!(kind, EventKind::Warning { message } if message.contains("MIN_READY")),
    );
    assert_eq!(warnings.count(), 1, "it is told once");
    let view = asked.story.fleet.views(ms(0)).next().expect("it exists");
    assert!(
        view.reason
            .is_some_and(|reason| reason.contains("MIN_READY"))
    );
    // A node that is not ready may always be ended.
    let hung = |(_, node, _)| (node == 1, 0);
    asked.run(131_000, hung).expect(&[Stopping, Ready]);
}

#[test]
fn a_sign_of_life_forgives() {
    let mut asked = Asked::begin(FleetConfig {
        min_ready: 1,
        ..silent(1)
    });
    asked.run(45_000, |(_, _, check)| (check != Liveness, 0));
    asked.run(56_000, |_| (true, 0));
    asked.story.fleet.config.min_ready = 0;
    asked.run(76_000, |(_, _, check)| (check != Liveness, 0));
    asked.expect(&[Ready]);
    asked.run(86_000, |(_, _, check)| (check != Liveness, 0));
    asked.expect(&[Stopping]);
}

#[test]
fn slow_answers_never_overlap() {
    let quick = ProbePolicy {
        period: ms(1_000),
        failure_threshold: 1_000,
        ..PROBE
    };
    let mut config = silent(1);
    config.readiness = Some(quick);
    config.liveness.as_mut().expect("it is on").probe = quick;
    let mut asked = Asked::begin(config);
    // `collect` refuses a second question while the first is under way.
    asked.run(100_000, |(at, ..)| (at % 3 == 0, 2_500));
    assert!((38..=41).contains(&asked.questions.len()));
}

#[test]
fn what_notifies_is_not_asked_any_more() {
    let check = |asks: Asks, notices: &[Notice], expect: &[Check]| {
        let mut config = silent(1);
        config.liveness.as_mut().expect("it is on").asks = asks;
        let mut asked = Asked::begin(config);
        asked.run(30, |_| (true, 0)).questions.clear();
        for notice in notices {
            asked.story.notify(30, 0, notice.clone());
        }
        asked.run(20_000, |_| (true, 0));
        let mut kinds: Vec<_> = asked.questions.iter().map(|(.., check)| *check).collect();
        kinds.sort();
        kinds.dedup();
        assert_eq!(kinds, expect, "{asks:?} {notices:?}");
    };
    check(Asks::Silent, &[], &[Readiness, Liveness]);
    check(Asks::Silent, &[Notice::Ready], &[]);
    check(Asks::Silent, &[Notice::Stopping], &[Liveness]);
    check(Asks::Silent, &[Notice::Watchdog], &[Readiness]);
    check(Asks::Silent, &[Notice::Ready, Notice::Watchdog], &[]);
    check(Asks::Unwatched, &[Notice::Ready], &[Liveness]);
    check(Asks::Unwatched, &[Notice::Ready, Notice::Watchdog], &[]);
    check(Asks::Nobody, &[], &[Readiness]);
}

#[test]
fn an_answer_that_comes_after_a_notification_changes_nothing() {
    let mut asked = Asked::begin(silent(1));
    asked.run(20, |_| (false, 100));
    asked.story.notify(50, 0, Notice::Ready);
    asked.run(1_000, |_| (false, 0)).expect(&[Ready]);
    let view = asked.story.fleet.views(ms(0)).next().expect("it exists");
    assert_eq!(view.probes.len(), 1, "it is kept all the same");
}

#[test]
fn who_was_frozen_together_with_its_nodes_does_not_judge_them() {
    let mut story = Story::all_ready(2);
    // A minute in which nobody ran; the notifications of that time are still unread.
    story.give(90_000, Input::Tick);
    assert_eq!(story.phases(), [Ready, Ready]);
    assert_eq!(story.deadline(), Some(120_000));
    story.notify(90_001, 0, Notice::Watchdog);
    story.give(120_000, Input::Tick);
    assert_eq!(story.phases(), [Ready, Stopping]);

    let mut story = Story::begin(FleetConfig {
        start_stagger: Duration::ZERO,
        ..config(1)
    });
    story.give(500_000, Input::Tick);
    assert_eq!(story.phases(), [Starting]);
    story.give(530_000, Input::Tick);
    assert_eq!(story.phases(), [Stopping]);
    let term = Output::Signal {
        node: NodeIndex(0),
        pid: 1,
        signal: Sig::Term,
    };
    assert!(story.done.contains(&term));
}
