//! What comes next, for people who ask: a reading of the state, which decides nothing.

use super::checks::{Asking, Life};
use super::core::Fleet;
use super::node::{Health, Node, Process, State};
use super::policy::{Check, ProbePolicy};
use super::types::Time;
use crate::why::{LifeWatch, Outlook, Probing, Tally};

impl Fleet {
    /// What will be done with the node next.
    pub(super) fn outlook(&self, node: &Node) -> Outlook<Time> {
        match &node.state {
            State::NoPort { retry_at } => Outlook::Claim { at: *retry_at },
            State::Waiting { start_at: Some(at) } => Outlook::Start { at: *at },
            State::Waiting { start_at: None } => match self.brake.canary() {
                Some(canary) => Outlook::AwaitCanary {
                    canary: canary.name(),
                },
                None => Outlook::StartNow,
            },
            State::Spawning => Outlook::StartNow,
            State::Running { .. } if node.moving.is_some() => self.outlook_of_a_move(node),
            State::Running { health, .. } => match health {
                Health::Starting { deadline } => Outlook::AwaitReady { until: *deadline },
                Health::Ready { .. } if self.is_lifeless(node) => Outlook::AwaitSpare {
                    ready: self.ready(),
                    min_ready: self.config.min_ready,
                },
                Health::Ready { .. } => Outlook::Watch,
                Health::Unready { .. } => Outlook::AwaitReadyAgain,
            },
            State::Stopping { .. } => match self.killed_at(node) {
                Some(at) => Outlook::Kill { at },
                None => Outlook::AwaitEnd,
            },
            State::Clearing { .. } => Outlook::Clear,
            State::Failed { retry_at: Some(at) } => Outlook::Retry { at: *at },
            State::Failed { retry_at: None } => Outlook::GivenUp,
            State::Stopped => Outlook::StayDown,
        }
    }

    fn outlook_of_a_move(&self, node: &Node) -> Outlook<Time> {
        let Some(going) = node.moving else {
            return Outlook::Watch;
        };
        Outlook::Move {
            http_port: going.ports.map(|ports| ports.http),
            until: self.move_at_latest(going),
        }
    }

    /// When a process that was told to finish is killed; none when it was.
    fn killed_at(&self, node: &Node) -> Option<Time> {
        let State::Stopping {
            process, kill_at, ..
        } = &node.state
        else {
            return None;
        };
        let all = self.stop_kills_at().into_iter().chain(*kill_at);
        all.min().filter(|_| !process.killed)
    }

    /// How the life of the node's process is watched.
    pub(super) fn life_watch(&self, node: &Node) -> LifeWatch<Time> {
        let (State::Running { process, .. }, Some(policy)) = (&node.state, self.config.liveness)
        else {
            return LifeWatch::None;
        };
        match &process.checks.life {
            Life::Unchecked => LifeWatch::None,
            Life::Watchdog { deadline } => LifeWatch::Watchdog { until: *deadline },
            Life::Probed(asking) => {
                LifeWatch::Probe(tally(process, Check::Liveness, asking, &policy.probe))
            }
        }
    }

    /// The probe that says whether the node's process has started or is ready.
    pub(super) fn probing(&self, node: &Node) -> Option<Probing<Time>> {
        let State::Running { process, .. } = &node.state else {
            return None;
        };
        let checks = &process.checks;
        let startup = checks.startup.as_ref().zip(self.config.startup);
        let readiness = checks.readiness.as_ref().zip(self.config.readiness);
        let (check, (asking, policy)) = match (startup, readiness) {
            (Some(startup), _) => (Check::Startup, startup),
            (None, Some(readiness)) => (Check::Readiness, readiness),
            (None, None) => return None,
        };
        let tally = tally(process, check, asking, &policy);
        Some(Probing { check, tally })
    }
}

fn tally(process: &Process, check: Check, asking: &Asking, policy: &ProbePolicy) -> Tally<Time> {
    Tally {
        failures: asking.failures,
        failure_threshold: policy.failure_threshold,
        successes: asking.successes,
        success_threshold: policy.success_threshold,
        next: (process.checks.asked != Some(check)).then_some(asking.next),
    }
}
