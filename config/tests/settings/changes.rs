//! What differs between the settings before and after a reload.

use repram_config::{Loaded, Reload, declarations};

use crate::case::Case;

/// The changes between two files of one user, one per line.
#[track_caller]
fn check(before: &str, after: &str, expect: &[&str]) {
    let case = Case::new().file(before);
    let old = case.good();
    case.write("repram.toml", after);
    assert_eq!(changes(&old, &case.good()), expect);
}

fn changes(old: &Loaded, new: &Loaded) -> Vec<String> {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let line = |change: &repram_config::Change| {
        format!(
            "{} {} -> {} ({})",
            change.declaration.variable(),
            shown(&change.old),
            shown(&change.new),
            change.reload().word(),
        )
    };
    new.changes_from(&old.settings).iter().map(line).collect()
}

#[test]
fn changes_say_what_they_take() {
    check("", "", &[]);
    check("stop_timeout = 8", "stop_timeout = '8s'", &[]);
    check(
        "start_stagger = '1s'",
        "start_stagger = '2s'",
        &["START_STAGGER 1s -> 2s (now)"],
    );
    check(
        "",
        "min_ttl = 400",
        &["REPRAM_MIN_TTL 300 -> 400 (nodes-restart)"],
    );
    check(
        "node_count = 3",
        "node_count = 5",
        &["NODE_COUNT 3 -> 5 (scale)", "MIN_READY 2 -> 4 (now)"],
    );
    check(
        "base_port = 9081",
        "",
        &["BASE_PORT 9081 -> 8081 (new-start)"],
    );
    check(
        "",
        "http_port = 9000",
        &["REPRAM_HTTP_PORT - -> 9000 (no-effect)"],
    );
}

#[test]
fn a_secret_differs_by_what_it_is() {
    let case = Case::new();
    let path = case.write("secret", "one-secret-and-not-two\n");
    let path = path.display().to_string();
    let case = case.variable("REPRAM_CLUSTER_SECRET_FILE", path.as_bytes());
    let old = case.good();
    case.write("secret", "one-secret-and-not-two");
    assert_eq!(changes(&old, &case.good()), [""; 0]);
    case.write("secret", "quite-another-secret-it-is");
    assert_eq!(
        changes(&old, &case.good()),
        ["REPRAM_CLUSTER_SECRET ******** -> ******** (nodes-restart)"]
    );
    let origin = &case.good().changes_from(&old.settings)[0].origin;
    assert_eq!(*origin, format!("contents of {path}"));
}

#[test]
fn what_only_a_node_alone_has_is_never_reloaded() {
    for declaration in declarations() {
        if declaration.is_per_node() {
            assert_eq!(
                declaration.reload(),
                Reload::Never,
                "{}",
                declaration.variable()
            );
        }
    }
}
