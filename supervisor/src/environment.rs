//! The environment of a node process.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use repram_config::{Settings, declarations};

/// A variable and its value.
pub type Variable = (OsString, OsString);

/// Variables that belong to one process and are never handed down.
const NOT_HANDED_DOWN: [&str; 4] = [
    "NOTIFY_SOCKET",
    "REPRAM_CONFIG",
    "REPRAM_SUPERVISOR_FD",
    "PORT",
];

/// The same, by the beginning of their names.
const FAMILIES_NOT_HANDED_DOWN: [&str; 2] = ["LISTEN_", "WATCHDOG_"];

/// What every node gets: our own environment without what is only ours, and the
/// effective value of every setting under its first name. No secret is among it.
#[must_use]
pub fn common(ours: impl IntoIterator<Item = Variable>, settings: &Settings) -> Vec<Variable> {
    let handed_down = ours.into_iter().filter(|(name, _)| is_handed_down(name));
    let effective = settings
        .to_environment()
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()));
    handed_down.chain(effective).collect()
}

fn is_handed_down(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    let is_setting = || {
        declarations()
            .iter()
            .flat_map(|one| one.variables())
            .any(|one| *one == name)
    };
    !NOT_HANDED_DOWN.iter().any(|one| *one == name)
        && !FAMILIES_NOT_HANDED_DOWN
            .iter()
            .any(|family| bytes.starts_with(family.as_bytes()))
        && !is_setting()
}

/// Sets a variable, whether or not it is there.
pub fn set(environment: &mut Vec<Variable>, name: &str, value: impl Into<OsString>) {
    environment.retain(|(present, _)| present != name);
    environment.push((name.into(), value.into()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_ours_stays_with_us() {
        let check = |name: &str, expect: bool| {
            assert_eq!(is_handed_down(OsStr::new(name)), expect, "{name}");
        };
        check("PATH", true);
        check("LISTENER", true);
        check("LISTEN_FDS", false);
        check("WATCHDOG_USEC", false);
        check("NOTIFY_SOCKET", false);
        check("REPRAM_CONFIG", false);
        check("REPRAM_CLUSTER_SECRET", false);
        check("REPRAM_CLUSTER_SECRET_FILE", false);
        check("REPRAM_CLUSTER_SECRET_PREVIOUS", false);
        // Settings come with their effective value instead, under their first name.
        check("NODE_COUNT", false);
        check("REPRAM_REPLICATION", false);
    }

    #[test]
    fn a_variable_is_set_once() {
        let mut environment = vec![("A".into(), "1".into()), ("B".into(), "2".into())];
        set(&mut environment, "A", "3");
        assert_eq!(
            environment,
            [("B".into(), "2".into()), ("A".into(), OsString::from("3"))]
        );
    }
}
