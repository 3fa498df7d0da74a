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

/// The whole environment of a process: what all of them get, and its own variables instead of
/// those with the same name.
#[must_use]
pub fn whole<'a>(common: &'a [Variable], own: &'a [Variable]) -> Vec<(&'a OsStr, &'a OsStr)> {
    let is_own = |name: &OsStr| own.iter().any(|(one, _)| one == name);
    let common = common.iter().filter(|(name, _)| !is_own(name));
    let borrowed = |(name, value): &'a Variable| (name.as_os_str(), value.as_os_str());
    common.chain(own).map(borrowed).collect()
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
        let variables = |all: &[(&str, &str)]| -> Vec<Variable> {
            let owned = |(name, value): &(&str, &str)| (name.into(), value.into());
            all.iter().map(owned).collect()
        };
        let (common, own) = (
            variables(&[("A", "1"), ("B", "2")]),
            variables(&[("A", "3")]),
        );
        let found = whole(&common, &own);
        assert_eq!(
            found,
            [("B", "2"), ("A", "3")].map(|(a, b)| (a.as_ref(), b.as_ref()))
        );
    }
}
