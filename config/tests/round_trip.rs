//! The environment that settings are written to yields the same settings.

use std::ffi::OsString;

use proptest::prelude::*;
use proptest::sample::Index;
use repram_config::{Environment, Role, Settings, declarations, load};

fn settings_of(variables: &[(String, String)], pid1: bool, role: Role) -> Option<Settings> {
    let variables = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect();
    let environment = Environment {
        variables,
        pid1,
        uid: 1000,
        role,
    };
    load(&environment, None, &[])
        .ok()
        .map(|loaded| loaded.settings)
}

/// Text that some setting accepts.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..2000_u32).prop_map(|number| number.to_string()),
        2 => (0..70_000_u32).prop_map(|number| number.to_string()),
        2 => (0..5000_u32, prop_oneof!["ms", "s", "m"]).prop_map(|(n, unit)| format!("{n}{unit}")),
        2 => (0..5000_u32, prop_oneof!["B", "kB", " KiB", "MiB"])
            .prop_map(|(n, unit)| format!("{n}{unit}")),
        2 => prop_oneof![
            "on", "off", "yes", "false", "all", "events", "json", "slow-retry", "exit", "domain",
            "trace", "Host",
        ],
        2 => "[a-zA-Z0-9]{1,8}([-_.][a-z0-9]{1,4}){0,2}",
        1 => any::<std::net::IpAddr>().prop_map(|address| address.to_string()),
        1 => any::<std::net::SocketAddr>().prop_map(|address| address.to_string()),
        1 => any::<u128>().prop_map(|bits| uuid::Uuid::from_u128(bits).to_string()),
        1 => prop::collection::vec("[a-z]{1,5}:[1-9][0-9]{0,3}", 0..4)
            .prop_map(|peers| peers.join(", ")),
        1 => prop::collection::vec("[1-9][0-9]{0,3}:[1-9][0-9]{0,3}", 0..4)
            .prop_map(|pairs| pairs.join(",")),
        2 => "/[ -~äé]{0,20}",
        1 => "\\PC{1,20}",
    ]
}

proptest! {
    #[test]
    fn settings_survive_the_way_through_an_environment(
        values in prop::collection::vec((any::<Index>(), value()), 0..40),
        pid1: bool,
        is_node: bool,
    ) {
        let role = if is_node { Role::Node } else { Role::Supervisor };
        let mut variables: Vec<(String, String)> = Vec::new();
        let mut settings = settings_of(&variables, pid1, role).expect("defaults are good");
        // Variables that would be a problem stay out.
        for (index, value) in values {
            let declaration = index.get(declarations());
            if declaration.is_secret() || declaration.key() == "cluster_secret_file" {
                continue;
            }
            variables.push((declaration.variable().to_owned(), value));
            match settings_of(&variables, pid1, role) {
                Some(good) => settings = good,
                None => drop(variables.pop()),
            }
        }
        let written = settings.to_environment();
        for other in [role, Role::Node] {
            let read = settings_of(&written, !pid1, other);
            prop_assert_eq!(read.as_ref(), Some(&settings));
        }
    }
}
