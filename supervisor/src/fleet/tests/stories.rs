//! Single stories, told step by step.

use std::collections::VecDeque;
use std::time::Duration;

use super::config;
use crate::event::EventKind;
use crate::exit::ExitReason;
use crate::fleet::{
    Fleet, FleetConfig, Input, NodeIndex, Notice, OnFailed, Output, Ports, Sig, Time,
};
use crate::status::{FleetPhase, NodePhase};

pub(super) fn ms(ms: u64) -> Time {
    Duration::from_millis(ms)
}

/// A fleet whose shell does as it is told: claims and spawns succeed at once, nothing is
/// left of processes that ended.
pub(super) struct Story {
    pub(super) fleet: Fleet,
    next_pid: u32,
    pub(super) events: Vec<(Option<u16>, EventKind)>,
    pub(super) done: Vec<Output>,
}

impl Story {
    pub(super) fn begin(config: FleetConfig) -> Self {
        let mut story = Self {
            fleet: Fleet::new(config.clone()),
            next_pid: 1,
            events: Vec::new(),
            done: Vec::new(),
        };
        for index in 0..config.node_count {
            let ports = Ports {
                http: 8_081 + index,
                gossip: 9_081 + index,
            };
            story.give(
                0,
                Input::Claimed {
                    node: NodeIndex(index),
                    ports,
                },
            );
        }
        story.give(0, Input::Begin);
        story
    }

    pub(super) fn give(&mut self, at: u64, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.fleet.handle(input, ms(at)) {
                match &output {
                    Output::Spawn(node) => {
                        let (node, pid) = (*node, self.next_pid);
                        self.next_pid += 1;
                        inputs.push_back(Input::Spawned {
                            node,
                            pid,
                            generation: 1,
                        });
                    }
                    Output::Clear { node, pid, .. } => {
                        inputs.push_back(Input::Cleared {
                            node: *node,
                            pid: *pid,
                            left: 0,
                        });
                    }
                    Output::ClearStrays => inputs.push_back(Input::StraysCleared { left: 0 }),
                    Output::Emit { node, kind } => {
                        self.events.push((node.map(|node| node.0), kind.clone()));
                    }
                    _ => {}
                }
                self.done.push(output);
            }
        }
    }

    pub(super) fn pid(&self, node: u16) -> u32 {
        let view = self
            .fleet
            .views(Time::ZERO)
            .nth(node.into())
            .expect("it exists");
        view.pid.expect("it runs")
    }

    pub(super) fn notify(&mut self, at: u64, node: u16, notice: Notice) {
        let pid = self.pid(node);
        self.give(
            at,
            Input::Notified {
                node: NodeIndex(node),
                pid,
                notice,
            },
        );
    }

    pub(super) fn dies(&mut self, at: u64, node: u16) {
        let (pid, ended) = (self.pid(node), ExitReason::Signal(9).into());
        self.give(
            at,
            Input::Exited {
                node: NodeIndex(node),
                pid,
                ended,
            },
        );
    }

    pub(super) fn phases(&self) -> Vec<NodePhase> {
        self.fleet
            .views(Time::ZERO)
            .map(|view| view.phase)
            .collect()
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.fleet
            .next_deadline()
            .map(|time| u64::try_from(time.as_millis()).expect("small"))
    }

    pub(super) fn all_ready(count: u16) -> Self {
        Self::all_ready_with(config(count))
    }

    pub(super) fn all_ready_with(mut config: FleetConfig) -> Self {
        config.start_stagger = Duration::ZERO;
        let count = config.node_count;
        let mut story = Self::begin(config);
        for node in 0..count {
            story.notify(10, node, Notice::Ready);
            story.notify(10, node, Notice::Refilled);
            story.notify(10, node, Notice::Watchdog);
        }
        story
    }
}

use NodePhase::{Ready, Starting, Stopped, Stopping, Waiting};

#[test]
fn starts_are_staggered_and_the_fleet_says_when_it_is_ready() {
    let mut story = Story::begin(config(2));
    assert_eq!(story.phases(), [Starting, Waiting]);
    assert_eq!(story.deadline(), Some(200));
    story.notify(50, 0, Notice::Ready);
    assert_eq!(story.fleet.phase(), FleetPhase::Starting);
    story.give(200, Input::Tick);
    assert_eq!(story.phases(), [Ready, Starting]);
    story.notify(260, 1, Notice::Ready);
    let ready = EventKind::FleetReady {
        ready: 2,
        after_ms: 260,
    };
    assert_eq!(story.events.last(), Some(&(None, ready)));
    assert!(story.fleet.is_healthy());
    assert_eq!(story.fleet.phase(), FleetPhase::Running);
}

#[test]
fn the_first_restart_comes_at_once_and_the_next_later() {
    let mut story = Story::all_ready(3);
    story.dies(1_000, 1);
    assert_eq!(story.phases(), [Ready, Starting, Ready]);
    story.dies(1_010, 1);
    assert_eq!(story.phases(), [Ready, Waiting, Ready]);
    let at = story.deadline().expect("it is started again");
    assert!((1_090..=1_130).contains(&at), "{at}");
}

#[test]
fn a_stable_run_forgives() {
    let mut story = Story::all_ready(3);
    story.dies(1_000, 1);
    story.notify(1_010, 1, Notice::Ready);
    story.dies(6_010, 1);
    assert_eq!(story.phases(), [Ready, Starting, Ready]);
    story.notify(6_020, 1, Notice::Ready);
    story.dies(11_019, 1);
    assert_eq!(story.phases(), [Ready, Waiting, Ready]);
}

#[test]
fn a_missed_watchdog_ends_the_node_and_a_kept_one_costs_no_timer() {
    let mut story = Story::all_ready(1);
    assert_eq!(story.deadline(), Some(30_010));
    story.notify(10_010, 0, Notice::Watchdog);
    story.notify(20_010, 0, Notice::Watchdog);
    assert_eq!(story.deadline(), Some(50_010), "nothing is due before");
    story.give(50_010, Input::Tick);
    assert_eq!(story.phases(), [Stopping]);
    let term = Output::Signal {
        node: NodeIndex(0),
        pid: 1,
        signal: Sig::Term,
    };
    assert!(story.done.contains(&term));
    story.give(57_010, Input::Tick);
    let kill = Output::Signal {
        node: NodeIndex(0),
        pid: 1,
        signal: Sig::Kill,
    };
    assert!(story.done.contains(&kill));
    story.dies(57_020, 0);
    assert_eq!(story.phases(), [Starting]);
}

#[test]
fn without_liveness_nothing_is_due_at_rest() {
    let mut config = config(2);
    (config.liveness, config.start_stagger) = (None, Duration::ZERO);
    let mut story = Story::begin(config);
    story.notify(5, 0, Notice::Ready);
    story.notify(6, 1, Notice::Ready);
    assert_eq!(story.deadline(), None);
}

#[test]
fn a_node_that_never_gets_ready_is_ended() {
    let mut story = Story::begin(config(1));
    assert_eq!(story.deadline(), Some(30_000));
    story.give(30_000, Input::Tick);
    assert_eq!(story.phases(), [Stopping]);
}

#[test]
fn half_of_the_fleet_failing_brakes_it() {
    let mut story = Story::all_ready(4);
    story.dies(100, 0);
    story.dies(110, 2);
    assert_eq!(story.phases(), [Starting, Ready, Starting, Ready]);
    story.dies(120, 0);
    assert_eq!(story.fleet.phase(), FleetPhase::Running);
    story.dies(130, 2);
    assert_eq!(story.fleet.phase(), FleetPhase::Braked);
    assert_eq!(story.phases(), [Waiting, Ready, Waiting, Ready]);
    story.give(300, Input::Tick);
    assert_eq!(
        story.phases(),
        [Starting, Ready, Waiting, Ready],
        "the canary goes ahead"
    );
    story.notify(310, 0, Notice::Ready);
    assert_eq!(story.fleet.phase(), FleetPhase::Running);
    assert_eq!(story.phases(), [Ready, Ready, Starting, Ready]);
}

#[test]
fn a_stop_reaches_all_at_once_and_ends_with_the_last() {
    let mut story = Story::all_ready(2);
    story.give(
        1_000,
        Input::Stop {
            by: "SIGTERM".into(),
            now: false,
        },
    );
    assert_eq!(story.phases(), [Stopping, Stopping]);
    let together = Output::StopTogether(vec![NodeIndex(0), NodeIndex(1)]);
    assert!(story.done.contains(&together));
    story.dies(1_010, 0);
    assert_eq!(story.phases(), [Stopped, Stopping]);
    assert_eq!(
        story.deadline(),
        Some(8_000),
        "killed a second before the time is over"
    );
    story.dies(1_020, 1);
    assert_eq!(story.done.last(), Some(&Output::Exit { code: 0 }));
}

#[test]
fn a_second_stop_kills() {
    let mut story = Story::all_ready(1);
    story.give(
        1_000,
        Input::Stop {
            by: "SIGTERM".into(),
            now: false,
        },
    );
    story.give(
        1_100,
        Input::Stop {
            by: "SIGTERM".into(),
            now: false,
        },
    );
    let kill = Output::Signal {
        node: NodeIndex(0),
        pid: 1,
        signal: Sig::Kill,
    };
    assert!(story.done.contains(&kill));
}

#[test]
fn a_stop_while_starting_starts_nothing_more() {
    let mut story = Story::begin(config(3));
    story.give(
        100,
        Input::Stop {
            by: "SIGINT".into(),
            now: false,
        },
    );
    assert_eq!(story.phases(), [Stopping, Stopped, Stopped]);
    story.dies(150, 0);
    assert_eq!(story.done.last(), Some(&Output::Exit { code: 0 }));
}

#[test]
fn failing_for_good_ends_the_supervisor_only_when_asked_to() {
    let check = |on_failed: OnFailed, expect: Option<u8>| {
        let mut config = config(1);
        (config.on_failed, config.restart.budget) = (on_failed, 1);
        let mut story = Story::begin(config);
        story.dies(5, 0);
        let code = story.done.iter().find_map(|output| match output {
            Output::Exit { code } => Some(*code),
            _ => None,
        });
        assert_eq!(code, expect, "{on_failed:?}");
        assert!(!story.fleet.is_healthy());
    };
    check(OnFailed::SlowRetry, None);
    check(OnFailed::Keep, None);
    check(OnFailed::Exit, Some(1));
}

#[test]
fn old_news_of_an_earlier_process_is_ignored() {
    let mut story = Story::all_ready(1);
    let old = story.pid(0);
    story.dies(100, 0);
    let notice = Notice::Ready;
    story.give(
        110,
        Input::Notified {
            node: NodeIndex(0),
            pid: old,
            notice,
        },
    );
    assert_eq!(story.phases(), [Starting]);
}

#[test]
fn a_node_whose_slot_is_lost_goes_on_in_another_without_a_failure() {
    let mut story = Story::all_ready(2);
    let (node, ports) = (
        NodeIndex(0),
        Ports {
            http: 8_090,
            gossip: 9_090,
        },
    );
    story.give(
        1_000,
        Input::Move {
            node,
            ports: Some(ports),
            until: ms(31_000),
        },
    );
    assert_eq!(story.phases(), [Stopping, Ready]);
    assert_eq!(
        story.deadline(),
        Some(30_010),
        "the other one's watchdog comes first"
    );
    story.dies(1_100, 0);
    assert!(story.done.contains(&Output::Vacated(node)));
    let view = story.fleet.views(ms(1_100)).next().expect("it exists");
    assert_eq!(
        (view.phase, view.ports, view.failures),
        (Starting, Some(ports), 0)
    );
}

/// Two of three nodes must move, until the 31st second.
fn two_must_move(config: FleetConfig) -> Story {
    let mut story = Story::all_ready_with(config);
    for index in 0..2 {
        let ports = Some(Ports {
            http: 8_090 + index,
            gossip: 9_090 + index,
        });
        let (node, until) = (NodeIndex(index), ms(31_000));
        story.give(1_000, Input::Move { node, ports, until });
    }
    story
}

#[test]
fn nodes_move_one_after_the_other() {
    let lenient = FleetConfig {
        min_ready: 0,
        ..config(3)
    };
    for config in [config(3), lenient] {
        let mut story = two_must_move(config);
        assert_eq!(story.phases(), [Stopping, Ready, Ready]);
        story.dies(1_100, 0);
        story.notify(1_200, 0, Notice::Ready);
        assert_eq!(story.phases(), [Ready, Ready, Ready]);
        // What it should hold it has not got yet.
        story.give(5_000, Input::Tick);
        assert_eq!(story.phases(), [Ready, Ready, Ready]);
        story.notify(5_000, 0, Notice::Refilled);
        assert_eq!(story.deadline(), Some(6_000));
        story.give(6_000, Input::Tick);
        assert_eq!(story.phases(), [Ready, Stopping, Ready]);
    }
}

/// It failed before it was told to leave, which another slot does not undo.
#[test]
fn a_node_that_must_move_while_it_is_cleared_waits_as_it_would_have() {
    let mut config = config(3);
    config.restart.budget = 1;
    let mut story = Story::all_ready_with(config);
    let (node, pid, ended) = (NodeIndex(0), story.pid(0), ExitReason::Signal(9).into());
    let ports = Ports {
        http: 8_090,
        gossip: 9_090,
    };
    let inputs = [
        Input::Exited { node, pid, ended },
        Input::Move {
            node,
            ports: Some(ports),
            until: ms(31_000),
        },
        Input::Cleared { node, pid, left: 0 },
    ];
    // What is left of it takes its time, in contrast to other stories.
    for input in inputs {
        story.fleet.handle(input, ms(1_000));
    }
    let view = story.fleet.views(ms(1_000)).next().expect("it exists");
    assert_eq!((view.phase, view.ports), (NodePhase::Failed, Some(ports)));
}

#[test]
fn a_node_whose_time_runs_out_moves_whatever_the_others_do() {
    let mut story = two_must_move(config(3));
    // 8 s before, so that it can finish in order.
    assert_eq!(story.deadline(), Some(23_000));
    story.give(23_000, Input::Tick);
    assert_eq!(story.phases(), [Stopping, Stopping, Ready]);
}

#[test]
fn a_node_that_is_not_ready_moves_at_once() {
    let mut story = two_must_move(config(3));
    story.notify(1_100, 1, Notice::Stopping);
    assert_eq!(story.phases(), [Stopping, Stopping, Ready]);
}

#[test]
fn a_node_whose_slot_is_lost_without_another_waits_for_one() {
    let mut story = Story::all_ready(2);
    let node = NodeIndex(0);
    story.give(
        1_000,
        Input::Move {
            node,
            ports: None,
            until: ms(31_000),
        },
    );
    story.dies(1_100, 0);
    assert_eq!(story.phases(), [NodePhase::NoPort, Ready]);
    let ports = Ports {
        http: 8_090,
        gossip: 9_090,
    };
    story.give(5_000, Input::Claimed { node, ports });
    assert_eq!(story.phases(), [Starting, Ready]);
}
