//! The life of every node, and of the fleet as a whole, as one state machine.
//!
//! The core is told what happened ([`Input`]) and when, and answers with what is to be
//! done ([`Output`]), in order. It knows no process, no socket and no clock: time is the
//! span since the supervisor's start, chance comes from a seed. So every sequence of
//! events can be replayed, and the simulation in `tests` does.
//!
//! What it guarantees, whatever the order of the inputs:
//! - *one-process*: [`Output::Spawn`] is given for a node only when the node has no
//!   process and nothing of an earlier one is left;
//! - *accounted*: after the main process of a node ended, its group and strays are
//!   cleared before anything else happens to the node;
//! - *bounded-stop*: after [`Input::Stop`] nothing is spawned, everything gets SIGTERM at
//!   once and SIGKILL a second before the stop's time is over;
//! - *min-ready*: a rolling restart and a node that has to move take a ready node down only
//!   while more than MIN_READY nodes are ready, and one at a time; only a move whose time
//!   runs out does not wait;
//! - *untouched*: scaling ends no process of a node that stays;
//! - the restart budget binds, and many failures at once brake the fleet.

mod backoff;
mod brake;
mod change;
mod checks;
mod configure;
mod core;
mod exits;
mod gate;
mod health;
mod life;
mod moving;
mod node;
mod order;
mod outlook;
mod policy;
mod restart;
mod rolling;
mod scale;
mod stop;
#[cfg(test)]
mod tests;
mod types;
mod view;

pub use self::core::Fleet;
pub use backoff::RestartPolicy;
pub use change::ChangeView;
pub use configure::{ReloadOrder, ReloadSteps};
pub use exits::{EXITS_KEPT, EndedLife, ExitRecord};
pub use order::{Occasion, Plan, PlanAction, PlanStep, Refusal, RestartMode, RestartOrder, Ticket};
pub use policy::{Answer, Asks, Check, LivenessPolicy, ProbePolicy, ProbeRecord};
pub use types::{
    FleetConfig, Input, MaxNodes, NodeBound, NodeIndex, Notice, OnFailed, Output, Ports, Sig, Time,
};
pub use view::{NodeView, SiblingView};
