//! What a reload does, as a person reads it.

use super::table::{Align, Cell, table};
use super::view::View;
use crate::reload::{Effect, ReloadPlan, SettingChange};
use crate::style::Colour;

/// The plan for whoever looks at our stdout.
#[must_use]
pub fn reload(plan: &ReloadPlan) -> String {
    reload_for(plan, &View::of_stdout())
}

/// The same for somebody else.
#[must_use]
pub fn reload_for(plan: &ReloadPlan, view: &View) -> String {
    if plan.is_empty() {
        return "nothing is different\n".to_owned();
    }
    let head = [
        ("SETTING", Align::Left),
        ("NOW", Align::Left),
        ("NEW", Align::Left),
        ("EFFECT", Align::Left),
    ];
    let rows: Vec<_> = plan.settings.iter().map(row).collect();
    let mut text = table(head, &rows, view.style, view.width);
    for steps in plan.scale.iter().chain(&plan.restart) {
        text.push('\n');
        text += &super::plan(steps);
    }
    text
}

fn row(change: &SettingChange) -> [Cell; 4] {
    let value = |value: &Option<String>| {
        // Line ends and the like would break the columns.
        Cell::optional(value.as_ref().map(|value| value.escape_debug()))
    };
    let effect = match change.effect {
        Effect::Now => Cell::new(change.effect.to_string()),
        Effect::NodesRestart | Effect::Scale | Effect::NewStart | Effect::NoEffect => {
            Cell::coloured(change.effect.to_string(), Colour::Yellow)
        }
    };
    [
        Cell::new(&change.variable),
        value(&change.old),
        value(&change.new),
        effect,
    ]
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::style::Style;

    #[test]
    fn a_plan_is_a_table() {
        let view = View {
            now: Timestamp::UNIX_EPOCH,
            style: Style::Plain,
            width: None,
        };
        let change = |variable: &str, old: Option<&str>, new: Option<&str>, effect| SettingChange {
            variable: variable.to_owned(),
            key: variable.to_lowercase(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
            origin: "repram.toml:1".to_owned(),
            effect,
        };
        let plan = ReloadPlan {
            settings: vec![
                change("MIN_READY", Some("2"), Some("1"), Effect::Now),
                change("REPRAM_PEERS", None, Some("a:1"), Effect::NodesRestart),
            ],
            ..ReloadPlan::default()
        };
        let expect = "\
SETTING       NOW  NEW  EFFECT
MIN_READY     2    1    takes effect at once
REPRAM_PEERS  -    a:1  restarts the nodes, one after the other
";
        assert_eq!(reload_for(&plan, &view), expect);
        let nothing = reload_for(&ReloadPlan::default(), &view);
        assert_eq!(nothing, "nothing is different\n");
    }
}
