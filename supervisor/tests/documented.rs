//! `docs/operations.md` names everything that the supervisor may tell.

use std::collections::{BTreeMap, BTreeSet};

use repram_supervisor::exit::ExitClass;
use repram_supervisor::schema::OUTPUTS;
use serde_json::Value;

const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// The rows of the table whose head begins with this name: the cells of each.
fn table(head: &str) -> Vec<Vec<&'static str>> {
    let head = format!("| {head} |");
    let lines = OPERATIONS
        .lines()
        .skip_while(|line| !line.starts_with(&head));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// What stands between backticks in a cell.
fn names(cell: &str) -> BTreeSet<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Every kind of event with its fields, beside those that all have.
fn events() -> BTreeMap<String, BTreeSet<String>> {
    let output = OUTPUTS.iter().find(|output| output.name == "event");
    let schema = output.expect("events are printed").document();
    let kinds = schema["oneOf"].as_array().expect("one of several kinds");
    let kind = |kind: &Value| {
        let fields = kind["properties"].as_object().expect("an object");
        let name = fields["event"]["const"].as_str().expect("its name");
        let fields = fields.keys().filter(|field| *field != "event");
        (name.to_owned(), fields.cloned().collect())
    };
    kinds.iter().map(kind).collect()
}

#[test]
fn every_event_is_documented_with_its_fields() {
    let mut documented = BTreeMap::new();
    for row in table("event") {
        let fields: BTreeSet<String> = names(row[1]).into_iter().map(str::to_owned).collect();
        for event in names(row[0]) {
            documented.insert(event.to_owned(), fields.clone());
        }
    }
    assert_eq!(documented, events());
}

#[test]
fn every_class_of_exits_is_documented() {
    let rows = table("class");
    let documented: Vec<&str> = rows.iter().flat_map(|row| names(row[0])).collect();
    assert_eq!(documented, ExitClass::ALL.map(ExitClass::as_str));
}
