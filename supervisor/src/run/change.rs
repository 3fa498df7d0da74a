//! Orders to change the running fleet, on their way from the control API to the core.

use super::shell::Shell;
use crate::control::{ChangeOrder, Decision};
use crate::fleet::{Input, Refusal, Ticket};

impl Shell {
    /// Begins a change, or only says what it would do.
    pub(super) fn change(
        &mut self,
        order: ChangeOrder,
        dry_run: bool,
        by: String,
    ) -> Result<Decision, Refusal> {
        let plan = match &order {
            ChangeOrder::Restart(order) => self.fleet.plan_restart(order)?,
            ChangeOrder::Scale { to } => self.fleet.plan_scale(*to)?,
        };
        if dry_run {
            return Ok(Decision::Planned(plan));
        }
        let ticket = self.next_ticket();
        self.feed(match order {
            ChangeOrder::Restart(order) => Input::Restart { ticket, order, by },
            ChangeOrder::Scale { to } => Input::Scale { ticket, to, by },
        });
        Ok(Decision::Begun(ticket, plan))
    }

    /// Ends the rolling restart that is under way.
    pub(super) fn end_rolling(&mut self, by: String) -> Result<(), Refusal> {
        if !self.fleet.is_rolling() {
            return Err(Refusal::NothingUnderWay);
        }
        self.feed(Input::EndRolling { by });
        Ok(())
    }

    /// The number of the next change.
    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.changes += 1;
        Ticket(self.changes)
    }
}
