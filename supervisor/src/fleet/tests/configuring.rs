//! Stories of policies that change while the fleet runs.

use super::stories::{Story, ms};
use super::{PROBE, config};
use crate::fleet::{FleetConfig, Input, LivenessPolicy, Notice, OnFailed, Output};
use crate::status::NodePhase::{self, Failed, Ready, Starting, Stopped, Stopping};

impl Story {
    fn configure(&mut self, at: u64, config: FleetConfig) {
        self.give(at, Input::Configure(Box::new(config)));
    }

    #[track_caller]
    fn expect(&self, phases: &[NodePhase]) {
        assert_eq!(self.phases(), phases, "{:?}", self.events);
    }
}

/// Nodes that are given up at their first failure.
fn brittle(count: u16, on_failed: OnFailed) -> FleetConfig {
    let mut config = config(count);
    config.restart.budget = 1;
    config.on_failed = on_failed;
    config.min_ready = 1;
    config.min_ready_follows = false;
    config
}

#[test]
fn a_node_that_was_given_up_is_tried_again_when_that_is_wanted() {
    let mut story = Story::all_ready_with(brittle(2, OnFailed::Keep));
    story.dies(1_000, 0);
    story.expect(&[Failed, Ready]);
    assert!(story.deadline() > Some(30_000), "nothing is tried again");
    story.configure(2_000, brittle(2, OnFailed::SlowRetry));
    story.notify(20_000, 1, Notice::Watchdog);
    story.give(32_000, Input::Tick);
    story.expect(&[Starting, Ready]);
}

#[test]
fn a_fleet_with_too_few_nodes_ends_when_that_is_wanted() {
    let mut story = Story::all_ready_with(brittle(2, OnFailed::Keep));
    story.configure(1_000, brittle(2, OnFailed::Exit));
    story.dies(2_000, 0);
    story.expect(&[Failed, Ready]);
    let mut strict = brittle(2, OnFailed::Exit);
    strict.min_ready = 2;
    story.configure(3_000, strict);
    story.expect(&[Stopped, Stopping]);
    story.dies(3_001, 1);
    assert!(story.done.contains(&Output::Exit { code: 1 }));
}

#[test]
fn a_start_gets_the_time_that_is_allowed_now() {
    let timeout = |start_timeout| FleetConfig {
        start_timeout: ms(start_timeout),
        ..config(1)
    };
    let mut story = Story::begin(timeout(30_000));
    story.configure(1_000, timeout(60_000));
    story.give(59_999, Input::Tick);
    story.expect(&[Starting]);
    story.configure(59_999, timeout(10_000));
    story.expect(&[Stopping]);
}

#[test]
fn liveness_can_be_switched_off_and_on() {
    let off = FleetConfig {
        liveness: None,
        ..config(1)
    };
    let mut story = Story::all_ready(1);
    story.configure(1_000, off);
    assert_eq!(story.deadline(), None, "nobody waits for a sign of life");
    story.configure(100_000, config(1));
    assert_eq!(story.deadline(), Some(130_000));
    story.give(130_000, Input::Tick);
    story.expect(&[Stopping]);
}

#[test]
fn a_node_may_be_silent_for_as_long_as_it_was_told() {
    let every = |period| FleetConfig {
        liveness: config(1).liveness.map(|policy| LivenessPolicy {
            probe: super::ProbePolicy {
                period: ms(period),
                ..PROBE
            },
            ..policy
        }),
        ..config(1)
    };
    let mut story = Story::all_ready(1);
    story.configure(1_000, every(1_000));
    story.notify(10_000, 0, Notice::Watchdog);
    story.give(30_010, Input::Tick);
    story.give(39_999, Input::Tick);
    story.expect(&[Ready]);
    story.configure(39_999, every(100_000));
    story.notify(39_999, 0, Notice::Watchdog);
    story.give(40_000, Input::Tick);
    story.give(339_998, Input::Tick);
    story.expect(&[Ready]);
    story.give(339_999, Input::Tick);
    story.expect(&[Stopping]);
    // The next process is told the new time.
    story.configure(340_000, every(1_000));
    story.dies(340_001, 0);
    story.notify(341_000, 0, Notice::Ready);
    story.notify(341_000, 0, Notice::Watchdog);
    story.give(344_000, Input::Tick);
    story.expect(&[Stopping]);
}

#[test]
fn a_fleet_that_stops_goes_over_to_nothing() {
    let mut story = Story::all_ready(1);
    let stop = Input::Stop {
        by: "a test".into(),
        now: false,
    };
    story.give(1_000, stop);
    let deadline = story.deadline();
    let longer = FleetConfig {
        stop_timeout: ms(60_000),
        ..config(1)
    };
    story.configure(2_000, longer);
    assert_eq!(story.deadline(), deadline);
}
