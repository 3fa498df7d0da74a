//! Other policies while the fleet runs, and what follows from other settings.

use super::core::Fleet;
use super::node::State;
use super::order::{Occasion, Plan, Refusal, RestartMode, RestartOrder, Ticket};
use super::types::{FleetConfig, Input, NodeIndex, OnFailed, Time};

impl Fleet {
    /// Goes over to other policies, also for what has begun under the old ones: checks, the
    /// time for a start, and what follows when a node has failed. A pause before a restart
    /// that has begun goes on as it was. A fleet that stops goes over to nothing.
    pub(super) fn configure(&mut self, config: FleetConfig, now: Time) {
        assert!(
            config.restart.budget > 0,
            "a budget of no failures cannot be kept"
        );
        if self.stop.is_some() {
            return;
        }
        let node_count = self.config.node_count;
        let config = FleetConfig {
            node_count,
            seed: self.config.seed,
            ..config
        };
        let old = std::mem::replace(&mut self.config, config);
        self.config.min_ready = self.min_ready_of(node_count);
        let retry_at = match self.config.on_failed {
            OnFailed::SlowRetry => Some(now + self.config.restart.delay_max),
            OnFailed::Exit | OnFailed::Keep => None,
        };
        for index in self.indices() {
            if let State::Failed { retry_at: at } = &mut self.node_mut(index).state {
                *at = retry_at;
            }
            self.check_otherwise(index, &old, now);
        }
        self.end_if_too_few(now);
    }
    /// What a reload would set going beside the policies: another number of nodes, and a
    /// rolling restart of those that stay. It is tried on a copy of the fleet.
    ///
    /// # Errors
    /// [`Refusal`] when it would not be done.
    pub fn plan_reload(&self, order: &ReloadOrder, now: Time) -> Result<ReloadSteps, Refusal> {
        self.check_not_stopping()?;
        let mut trial = self.clone();
        trial.handle(Input::Configure(Box::new(order.config.clone())), now);
        let (count, min_ready) = (trial.config.node_count, trial.config.min_ready);
        let scale = match order.scale_to {
            Some(to) if to != count => Some(trial.plan_scale(to)?),
            _ if min_ready > count => {
                return Err(Refusal::FewerThanMinReady {
                    to: count,
                    min_ready,
                });
            }
            _ => None,
        };
        let staying = order.scale_to.map_or(count, |to| to.min(count));
        if let (Some(to), Some(_)) = (order.scale_to, &scale) {
            let (ticket, by) = (Ticket(0), String::new());
            trial.handle(Input::Scale { ticket, to, by }, now);
        }
        let rolling = RestartOrder {
            nodes: (0..staying).map(NodeIndex).collect(),
            mode: RestartMode::Rolling,
            occasion: Occasion::Reload,
        };
        let restart = match order.restarts {
            true => Some(trial.plan_restart(&rolling)?),
            false => None,
        };
        Ok(ReloadSteps {
            scale,
            restart: restart.map(|plan| (rolling, plan)),
        })
    }
}

/// What a reload asks of the fleet.
#[derive(Clone, Debug)]
pub struct ReloadOrder {
    /// The new policies.
    pub config: FleetConfig,
    /// Nodes to run, where that is to change.
    pub scale_to: Option<u16>,
    /// Whether the nodes have to be started anew.
    pub restarts: bool,
}

/// What a reload sets going.
#[derive(Clone, Debug)]
pub struct ReloadSteps {
    /// Another number of nodes.
    pub scale: Option<Plan>,
    /// A rolling restart: the order for it, and what it does.
    pub restart: Option<(RestartOrder, Plan)>,
}
