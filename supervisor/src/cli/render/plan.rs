//! What a change would do.

use super::table::{Align, Cell, table};
use crate::fleet::{Plan, PlanAction};
use crate::style::Style;

/// The steps of a plan, in order.
#[must_use]
pub fn plan(plan: &Plan) -> String {
    let Plan {
        change,
        ready,
        min_ready,
        steps,
    } = plan;
    let mut text = format!("{change}; ready now {ready}, MIN_READY {min_ready}\n");
    if steps.is_empty() {
        return text + "nothing to do\n";
    }
    let rows: Vec<[Cell; 5]> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let action = match step.action {
                PlanAction::Restart => "restart",
                PlanAction::Start => "start",
                PlanAction::Add => "add",
                PlanAction::Remove => "remove",
            };
            [
                Cell::new((index + 1).to_string()),
                Cell::new(action),
                Cell::new(step.node.clone()),
                Cell::optional(step.pid),
                Cell::optional(step.http_port),
            ]
        })
        .collect();
    let head = [
        ("STEP", Align::Right),
        ("ACTION", Align::Left),
        ("NODE", Align::Left),
        ("PID", Align::Right),
        ("HTTP", Align::Right),
    ];
    text += &table(head, &rows, Style::Plain, None);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::PlanStep;

    #[test]
    fn steps_stand_in_order() {
        let step = |node: &str, action, pid| PlanStep {
            node: node.to_owned(),
            action,
            pid,
            http_port: Some(8081),
        };
        let mut shown = Plan {
            change: "scale from 4 to 2 nodes".to_owned(),
            ready: 3,
            min_ready: 1,
            steps: vec![
                step("flux-node-4", PlanAction::Remove, None),
                step("flux-node-3", PlanAction::Remove, Some(77)),
            ],
        };
        let expect = "\
scale from 4 to 2 nodes; ready now 3, MIN_READY 1
STEP  ACTION  NODE         PID  HTTP
   1  remove  flux-node-4    -  8081
   2  remove  flux-node-3   77  8081
";
        assert_eq!(plan(&shown), expect);
        shown.steps.clear();
        assert!(plan(&shown).ends_with("nothing to do\n"));
    }
}
