//! Stories of restarts, rolling restarts and scaling.

use std::time::Duration;

use super::config;
use super::stories::{Story, ms};
use crate::event::EventKind;
use crate::fleet::{
    FleetConfig, Input, MaxNodes, NodeBound, NodeIndex, Notice, Occasion, OnFailed, Output,
    PlanAction, Ports, Refusal, RestartMode, RestartOrder, Sig, Ticket,
};
use crate::status::NodePhase::{
    self, Clearing, Failed, NoPort, Ready, Starting, Stopped, Stopping, Waiting,
};

fn order(nodes: &[u16], mode: RestartMode) -> RestartOrder {
    RestartOrder {
        nodes: nodes.iter().copied().map(NodeIndex).collect(),
        mode,
        occasion: Occasion::Operator,
    }
}

/// Nodes that need not show signs of life, for stories that take longer.
fn unwatched(count: u16) -> FleetConfig {
    FleetConfig {
        liveness: None,
        ..config(count)
    }
}

const TOGETHER: RestartMode = RestartMode::Together { force: false };
const FORCED: RestartMode = RestartMode::Together { force: true };
const ROLLING: RestartMode = RestartMode::Rolling;

impl Story {
    fn restart(&mut self, at: u64, ticket: u64, nodes: &[u16], mode: RestartMode) {
        let input = Input::Restart {
            ticket: Ticket(ticket),
            order: order(nodes, mode),
            by: "pid 7".into(),
        };
        self.give(at, input);
    }

    fn scale(&mut self, at: u64, ticket: u64, to: u16) {
        let input = Input::Scale {
            ticket: Ticket(ticket),
            to,
            by: "pid 7".into(),
        };
        self.give(at, input);
    }

    /// A node gets a slot, as the shell answers a claim.
    fn claimed(&mut self, at: u64, node: u16) {
        let ports = Ports {
            http: 8_081 + node,
            gossip: 9_081 + node,
        };
        let node = NodeIndex(node);
        self.give(at, Input::Claimed { node, ports });
    }

    /// A process ends, the next one is ready and has its values.
    fn comes_back(&mut self, at: u64, node: u16) {
        self.dies(at, node);
        self.give(at, Input::Tick);
        self.notify(at, node, Notice::Ready);
        self.notify(at, node, Notice::Refilled);
    }

    /// What became of a change: nothing yet, done, or halted for a reason.
    fn outcome(&self, ticket: u64) -> Option<Result<(), (String, Vec<String>)>> {
        let mut outcomes = self.events.iter().filter_map(|(_, kind)| match kind {
            EventKind::ChangeDone { change, .. } if *change == ticket => Some(Ok(())),
            EventKind::ChangeHalted {
                change,
                reason,
                untouched,
            } if *change == ticket => Some(Err((reason.clone(), untouched.clone()))),
            _ => None,
        });
        let outcome = outcomes.next();
        assert_eq!(outcomes.next(), None, "a change ends once");
        outcome
    }

    fn signals(&self, signal: Sig) -> usize {
        let is_it = |output: &&Output| matches!(output, Output::Signal { signal: found, .. } if *found == signal);
        self.done.iter().filter(is_it).count()
    }

    fn failures(&self) -> Vec<u32> {
        let views = self.fleet.views(Duration::ZERO);
        views.map(|view| view.failures).collect()
    }
}

fn halted(reason: &str, untouched: &[&str]) -> Option<Result<(), (String, Vec<String>)>> {
    let untouched = untouched.iter().map(|name| (*name).to_owned()).collect();
    Some(Err((reason.to_owned(), untouched)))
}

#[test]
fn a_restart_costs_nothing_and_ends_when_all_are_ready() {
    let mut story = Story::all_ready(3);
    story.restart(1_000, 1, &[1], TOGETHER);
    assert_eq!(story.phases(), [Ready, Stopping, Ready]);
    assert_eq!(story.deadline(), Some(8_000), "killed after the grace");
    story.dies(1_100, 1);
    assert_eq!(story.phases(), [Ready, Starting, Ready]);
    assert_eq!(story.outcome(1), None);
    story.notify(1_200, 1, Notice::Ready);
    assert_eq!(story.outcome(1), Some(Ok(())));
    assert_eq!(story.failures(), [0, 0, 0]);
}

#[test]
fn nodes_that_restart_together_are_told_and_start_staggered() {
    let mut story = Story::begin(config(3));
    for node in 0..3 {
        story.give(u64::from(node) * 200, Input::Tick);
        story.notify(u64::from(node) * 200, node, Notice::Ready);
    }
    story.restart(1_000, 1, &[], FORCED);
    assert_eq!(story.phases(), [Stopping, Stopping, Stopping]);
    let all = (0..3).map(NodeIndex).collect();
    assert!(story.done.contains(&Output::StopTogether(all)));
    for node in 0..3 {
        story.dies(1_100, node);
    }
    assert_eq!(story.phases(), [Starting, Waiting, Waiting]);
    story.give(1_300, Input::Tick);
    assert_eq!(story.phases(), [Starting, Starting, Waiting]);
    story.give(1_500, Input::Tick);
    assert_eq!(story.phases(), [Starting, Starting, Starting]);
}

#[test]
fn what_falls_below_min_ready_is_refused_with_the_numbers() {
    let story = Story::all_ready(3);
    let check = |nodes: &[u16], mode: RestartMode, expect: Option<Refusal>| {
        let found = story.fleet.plan_restart(&order(nodes, mode));
        assert_eq!(found.err(), expect, "{nodes:?} {mode:?}");
    };
    check(&[2], TOGETHER, None);
    check(&[2, 2], TOGETHER, None);
    let below = |left| {
        Some(Refusal::BelowMinReady {
            ready: 3,
            left,
            min_ready: 2,
        })
    };
    check(&[0, 1], TOGETHER, below(1));
    check(&[], TOGETHER, below(0));
    check(&[], FORCED, None);
    check(&[], ROLLING, None);
    let (node, nodes) = (NodeIndex(3), 3);
    check(&[0, 3], ROLLING, Some(Refusal::NoSuchNode { node, nodes }));
}

#[test]
fn a_node_that_is_down_may_always_be_restarted() {
    let mut config = config(2);
    (config.min_ready, config.restart.budget) = (2, 1);
    let mut story = Story::all_ready_with(config);
    story.dies(100, 1);
    assert_eq!(story.phases(), [Ready, Failed]);
    story.restart(200, 1, &[1], TOGETHER);
    assert_eq!(story.phases(), [Ready, Starting]);
    story.notify(300, 1, Notice::Ready);
    assert_eq!(story.outcome(1), Some(Ok(())));
}

#[test]
fn min_ready_of_all_nodes_leaves_none_to_roll() {
    let config = FleetConfig {
        min_ready: 3,
        ..config(3)
    };
    let story = Story::all_ready_with(config);
    let refusal = Refusal::NoneToSpare {
        min_ready: 3,
        nodes: 3,
    };
    let plan = story.fleet.plan_restart(&order(&[], ROLLING));
    assert_eq!(plan, Err(refusal));
}

#[test]
fn a_restart_that_fails_says_so_and_goes_on_by_itself() {
    let mut story = Story::all_ready(3);
    story.restart(1_000, 1, &[1], TOGETHER);
    story.dies(1_100, 1);
    story.dies(1_200, 1);
    let reason = "flux-node-2: it ended: SIGKILL";
    assert_eq!(story.outcome(1), halted(reason, &[]));
    assert_eq!(story.phases(), [Ready, Starting, Ready]);
    assert_eq!(story.failures(), [0, 1, 0]);
}

#[test]
fn a_rolling_restart_takes_one_after_the_other() {
    let mut story = Story::all_ready(3);
    story.restart(1_000, 1, &[], ROLLING);
    let mut at = 1_000;
    for node in 0..3 {
        let mut expect = [Ready; 3];
        expect[usize::from(node)] = Stopping;
        assert_eq!(story.phases(), expect);
        story.dies(at + 100, node);
        story.notify(at + 200, node, Notice::Ready);
        story.give(at + 5_000, Input::Tick);
        assert_eq!(story.phases(), [Ready; 3], "it has not its values yet");
        story.notify(at + 6_000, node, Notice::Refilled);
        assert_eq!(story.phases(), [Ready; 3], "it has not soaked yet");
        assert_eq!(story.deadline(), Some(at + 7_000));
        assert_eq!(story.outcome(1), None);
        story.give(at + 7_000, Input::Tick);
        at += 7_000;
    }
    assert_eq!(story.outcome(1), Some(Ok(())));
    let steps: Vec<_> = story
        .events
        .iter()
        .filter_map(|(node, kind)| match kind {
            EventKind::ChangeStep { step, of, .. } => Some((*node, *step, *of)),
            _ => None,
        })
        .collect();
    assert_eq!(steps, [(Some(0), 1, 3), (Some(1), 2, 3), (Some(2), 3, 3)]);
}

#[test]
fn a_rolling_restart_waits_while_another_node_is_down() {
    let mut story = Story::all_ready(3);
    story.dies(500, 2);
    story.dies(510, 2);
    assert_eq!(story.phases(), [Ready, Ready, Waiting]);
    story.restart(520, 1, &[0, 1], ROLLING);
    assert_eq!(story.phases(), [Ready, Ready, Waiting]);
    let waits = "2 nodes are ready and MIN_READY is 2: flux-node-3 is waiting";
    let waiting = EventKind::ChangeWaiting {
        change: 1,
        reason: waits.to_owned(),
    };
    assert!(story.events.contains(&(None, waiting)));
    story.give(700, Input::Tick);
    story.notify(800, 2, Notice::Ready);
    assert_eq!(story.phases(), [Ready; 3], "it has not its values yet");
    story.notify(900, 2, Notice::Refilled);
    assert_eq!(story.phases(), [Stopping, Ready, Ready]);
}

#[test]
fn a_rolling_restart_ends_when_a_node_comes_back_worse() {
    let check = |happens: &dyn Fn(&mut Story), reason: &str| {
        let mut story = Story::all_ready_with(unwatched(3));
        story.restart(1_000, 1, &[], ROLLING);
        story.dies(1_100, 0);
        happens(&mut story);
        let expect = halted(reason, &["flux-node-2", "flux-node-3"]);
        assert_eq!(story.outcome(1), expect);
        story.give(60_000, Input::Tick);
        assert_eq!(story.phases()[1..], [Ready; 2]);
    };
    check(
        &|story| story.dies(1_200, 0),
        "flux-node-1: it ended: SIGKILL",
    );
    check(
        &|story| story.give(31_100, Input::Tick),
        "flux-node-1: it had to be ended: not ready within 30.0 s",
    );
    check(
        &|story| {
            story.notify(1_200, 0, Notice::Ready);
            story.notify(1_300, 0, Notice::Refilled);
            story.notify(2_299, 0, Notice::Stopping);
        },
        "flux-node-1: it is not ready: it says that it is stopping",
    );
}

#[test]
fn one_rolling_restart_at_a_time() {
    let mut story = Story::all_ready(3);
    story.restart(1_000, 1, &[], ROLLING);
    let refusal = story.fleet.plan_restart(&order(&[2], ROLLING));
    let refusal = refusal.expect_err("one is under way").to_string();
    assert!(
        refusal.contains("change 1 is under way") && refusal.contains("at flux-node-1, 1 of 3"),
        "{refusal}"
    );
    story.restart(1_100, 2, &[2], ROLLING);
    assert_eq!(story.outcome(2), halted(&refusal, &[]));
    assert_eq!(story.outcome(1), None);
}

#[test]
fn a_restart_a_stop_and_the_word_end_a_rolling_restart() {
    let check = |input: Input, reason: &str| {
        let mut story = Story::all_ready_with(unwatched(3));
        story.restart(1_000, 1, &[], ROLLING);
        story.give(1_100, input);
        assert_eq!(
            story.outcome(1),
            halted(reason, &["flux-node-2", "flux-node-3"])
        );
        story
    };
    let by = || "pid 8".to_owned();
    let mut story = check(Input::EndRolling { by: by() }, "pid 8 asked for its end");
    story.comes_back(1_200, 0);
    story.give(60_000, Input::Tick);
    assert_eq!(story.phases(), [Ready; 3]);
    let (by, now) = (by(), false);
    check(Input::Stop { by, now }, "the fleet is being stopped");
    let restart = Input::Restart {
        ticket: Ticket(2),
        order: order(&[2], FORCED),
        by: "pid 8".into(),
    };
    let reason = "a restart of flux-node-3, asked by pid 8, took its place";
    let story = check(restart, reason);
    assert_eq!(story.phases(), [Stopping, Ready, Stopping]);
}

#[test]
fn a_rolling_restart_and_a_move_never_overlap() {
    let mut story = Story::all_ready(3);
    story.restart(1_000, 1, &[0, 1], ROLLING);
    let (node, until) = (NodeIndex(2), ms(60_000));
    let ports = Some(Ports {
        http: 8_090,
        gossip: 9_090,
    });
    story.give(1_100, Input::Move { node, ports, until });
    assert_eq!(story.phases(), [Stopping, Ready, Ready]);
    story.comes_back(1_200, 0);
    story.give(2_200, Input::Tick);
    assert_eq!(
        story.phases(),
        [Ready, Ready, Stopping],
        "it has a deadline"
    );
    story.comes_back(2_300, 2);
    story.give(3_300, Input::Tick);
    assert_eq!(story.phases(), [Ready, Stopping, Ready]);
}

#[test]
fn scaling_up_claims_and_starts_staggered() {
    let mut config = config(3);
    config.start_stagger = Duration::from_millis(200);
    let mut story = Story::begin(config);
    for at in [0, 200, 400] {
        story.give(at, Input::Tick);
    }
    (0..3).for_each(|node| story.notify(500, node, Notice::Ready));
    let pids: Vec<u32> = (0..3).map(|node| story.pid(node)).collect();
    story.scale(1_000, 1, 5);
    assert_eq!(story.phases(), [Ready, Ready, Ready, NoPort, NoPort]);
    assert_eq!(story.fleet.min_ready(), 4, "one less than nodes");
    for node in 3..5 {
        assert!(story.done.contains(&Output::Add(NodeIndex(node))));
        assert!(story.done.contains(&Output::Claim(NodeIndex(node))));
    }
    story.claimed(1_010, 3);
    story.claimed(1_010, 4);
    assert_eq!(story.phases()[3..], [Starting, Waiting]);
    story.give(1_210, Input::Tick);
    assert_eq!(story.phases()[3..], [Starting, Starting]);
    story.notify(1_300, 3, Notice::Ready);
    assert_eq!(story.outcome(1), None);
    story.notify(1_300, 4, Notice::Ready);
    assert_eq!(story.outcome(1), Some(Ok(())));
    assert_eq!(pids, (0..3).map(|node| story.pid(node)).collect::<Vec<_>>());
    assert_eq!(story.signals(Sig::Term), 0);
}

#[test]
fn scaling_down_drains_the_highest_and_lets_go_of_their_slots_in_order() {
    let mut story = Story::all_ready(5);
    story.scale(1_000, 1, 2);
    let leaving: Vec<NodeIndex> = [4, 3, 2].map(NodeIndex).to_vec();
    assert!(story.done.contains(&Output::StopTogether(leaving)));
    assert_eq!(story.phases(), [Ready, Ready, Stopping, Stopping, Stopping]);
    assert!(story.done.contains(&Output::Door {
        node: NodeIndex(3),
        open: false
    }));
    story.dies(1_100, 2);
    assert_eq!(story.phases(), [Ready, Ready, Stopped, Stopping, Stopping]);
    story.dies(1_200, 4);
    assert_eq!(story.phases(), [Ready, Ready, Stopped, Stopping]);
    assert_eq!(story.outcome(1), None);
    story.dies(1_300, 3);
    assert_eq!(story.phases(), [Ready, Ready]);
    assert_eq!(story.outcome(1), Some(Ok(())));
    assert_eq!(story.fleet.min_ready(), 1);
    let removed: Vec<u16> = story
        .done
        .iter()
        .filter_map(|output| match output {
            Output::Remove(node) => Some(node.0),
            _ => None,
        })
        .collect();
    assert_eq!(removed, [4, 3, 2]);
}

#[test]
fn a_node_that_is_wanted_again_comes_back_from_its_way_out() {
    let mut story = Story::all_ready(3);
    story.scale(1_000, 1, 1);
    story.dies(1_100, 1);
    assert_eq!(story.phases(), [Ready, Stopped, Stopping]);
    story.scale(1_200, 2, 3);
    let reason = "a scale from 1 to 3 nodes, asked by pid 7, took its place";
    assert_eq!(story.outcome(1), halted(reason, &[]));
    assert_eq!(story.phases(), [Ready, Starting, Stopping]);
    story.dies(1_300, 2);
    assert_eq!(story.phases(), [Ready, Starting, Starting]);
    story.notify(1_400, 1, Notice::Ready);
    story.notify(1_400, 2, Notice::Ready);
    assert_eq!(story.outcome(2), Some(Ok(())));
}

#[test]
fn scaling_up_without_a_slot_says_who_holds_what() {
    let mut story = Story::all_ready(1);
    story.scale(1_000, 1, 2);
    let (node, holders) = (NodeIndex(1), "8082 held by pid 9".to_owned());
    story.give(1_100, Input::NotClaimed { node, holders });
    let reason = "flux-node-2: no slot is free for it: 8082 held by pid 9";
    assert_eq!(story.outcome(1), halted(reason, &[]));
    assert_eq!(story.phases(), [Ready, NoPort]);
    assert_eq!(story.deadline(), Some(6_100), "it is tried again");
}

#[test]
fn a_scale_that_makes_no_sense_is_refused() {
    let check = |min_ready: Option<u16>, to: u16, expect: Option<Refusal>| {
        let mut config = config(3);
        if let Some(min_ready) = min_ready {
            (config.min_ready, config.min_ready_follows) = (min_ready, false);
        }
        let story = Story::all_ready_with(config);
        assert_eq!(story.fleet.plan_scale(to).err(), expect, "{to}");
    };
    let max = config(3).max_nodes;
    check(None, 0, Some(Refusal::OutOfRange { to: 0, max }));
    check(None, 11, Some(Refusal::OutOfRange { to: 11, max }));
    check(None, 10, None);
    check(None, 1, None);
    let told = |bound| MaxNodes { bound, ..max }.to_string();
    assert_eq!(told(NodeBound::Ports), "10 (MAX_PORTS)");
    assert_eq!(told(NodeBound::Setting), "10 (the largest NODE_COUNT)");
    assert_eq!(
        told(NodeBound::Descriptors(170)),
        "10 (the limit on open files is 170)"
    );
    check(Some(2), 2, None);
    let refusal = Refusal::FewerThanMinReady {
        to: 1,
        min_ready: 2,
    };
    check(Some(2), 1, Some(refusal));
}

#[test]
fn plans_say_what_would_happen_in_order() {
    let story = Story::all_ready(3);
    let steps = |plan: crate::fleet::Plan| -> Vec<(String, PlanAction)> {
        let steps = plan.steps.into_iter();
        steps.map(|step| (step.node, step.action)).collect()
    };
    let name = |number: u16| NodeIndex(number - 1).name();
    let plan = story.fleet.plan_restart(&order(&[2, 0], ROLLING));
    let plan = plan.expect("possible");
    assert_eq!(plan.change, "rolling restart of flux-node-1, flux-node-3");
    assert_eq!(
        steps(plan),
        [
            (name(1), PlanAction::Restart),
            (name(3), PlanAction::Restart)
        ]
    );
    let plan = story.fleet.plan_scale(1).expect("possible");
    assert_eq!(
        (plan.change.as_str(), plan.min_ready),
        ("scale from 3 to 1 nodes", 0)
    );
    assert_eq!(
        steps(plan),
        [(name(3), PlanAction::Remove), (name(2), PlanAction::Remove)]
    );
    let plan = story.fleet.plan_scale(4).expect("possible");
    assert_eq!(steps(plan), [(name(4), PlanAction::Add)]);
}

#[test]
fn while_the_fleet_stops_nothing_is_changed() {
    let mut story = Story::all_ready(2);
    let (by, now) = ("SIGTERM".into(), false);
    story.give(1_000, Input::Stop { by, now });
    assert_eq!(story.fleet.plan_scale(1), Err(Refusal::Stopping));
    story.restart(1_100, 1, &[], FORCED);
    assert_eq!(story.outcome(1), halted("the fleet is being stopped", &[]));
    story.dies(1_200, 0);
    story.dies(1_200, 1);
    assert_eq!(story.done.last(), Some(&Output::Exit { code: 0 }));
}

#[test]
fn the_brake_holds_restarted_and_new_nodes() {
    let mut story = Story::all_ready(4);
    for at in [100, 120] {
        story.dies(at, 0);
        story.dies(at + 10, 2);
    }
    assert_eq!(story.phases(), [Waiting, Ready, Waiting, Ready]);
    story.restart(140, 1, &[1], FORCED);
    story.dies(150, 1);
    assert_eq!(story.phases(), [Waiting, Waiting, Waiting, Ready]);
    story.scale(160, 2, 5);
    story.claimed(170, 4);
    story.give(300, Input::Tick);
    let expect: [NodePhase; 5] = [Starting, Waiting, Waiting, Ready, Waiting];
    assert_eq!(story.phases(), expect, "only the canary goes ahead");
}

#[test]
fn what_is_left_of_a_process_is_gone_before_its_node_starts_again() {
    let mut config = config(1);
    config.on_failed = OnFailed::Keep;
    let mut story = Story::all_ready_with(config);
    story.restart(1_000, 1, &[], FORCED);
    let pid = story.pid(0);
    let node = NodeIndex(0);
    let ended = crate::exit::ExitReason::Code(0).into();
    // Without the story's shell, which has nothing left of a process.
    let outputs = story
        .fleet
        .handle(Input::Exited { node, pid, ended }, ms(1_100));
    assert!(!outputs.contains(&Output::Spawn(node)));
    assert_eq!(story.phases(), [Clearing]);
    story.give(1_200, Input::Cleared { node, pid, left: 1 });
    assert_eq!(story.phases(), [Starting], "the next look found nothing");
}
