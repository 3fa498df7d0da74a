//! What looks wrong but does not stop the start.

use std::fmt;

use crate::declaration::{Declaration, Effect, declarations};
use crate::environment::{Environment, Role, SUPERVISOR_FD};
use crate::nearest::nearest_variable;
use crate::origin::Origins;
use crate::problem::Place;
use crate::settings::Settings;

/// Variables with our prefix that are no settings.
const RESERVED: [&str; 2] = ["REPRAM_CONFIG", SUPERVISOR_FD];

/// A shorter secret can be found by trying.
const SECRET_BYTES_MIN: usize = 16;

/// Something that the user should know. `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A variable that looks like one of ours and is none. Its value is not
    /// told, because it may be a secret under a misspelt name.
    UnknownVariable {
        /// Its name.
        name: String,
        /// The most similar name of ours, where one is similar.
        nearest: Option<&'static str>,
    },
    /// A setting that the supervisor sets for each of its nodes.
    SetPerNode {
        /// The setting.
        place: Place,
    },
    /// A secret that can be found by trying.
    ShortSecret {
        /// The setting.
        place: Place,
        /// Its length in bytes.
        length: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVariable {
                name,
                nearest: Some(nearest),
            } => {
                write!(f, "{name}: no such setting; did you mean {nearest}?")
            }
            Self::UnknownVariable {
                name,
                nearest: None,
            } => {
                write!(f, "{name}: no such setting, and none has a similar name")
            }
            Self::SetPerNode { place } => {
                write!(
                    f,
                    "{place}: has no effect, because the supervisor sets it for each node"
                )
            }
            Self::ShortSecret { place, length } => {
                write!(
                    f,
                    "{place}: a secret of {length} bytes can be found by trying; "
                )?;
                write!(f, "use at least {SECRET_BYTES_MIN} random bytes")
            }
        }
    }
}

/// All warnings, in a stable order. A node under a supervisor has none of its
/// own: it has the supervisor's environment, and the supervisor has warned.
pub(crate) fn warnings(
    environment: &Environment,
    settings: &Settings,
    origins: &Origins,
) -> Vec<Warning> {
    if environment.is_supervised_node() {
        return Vec::new();
    }
    let mut warnings = unknown_variables(environment);
    warnings.extend(set_per_node(environment.role, origins));
    warnings.extend(short_secrets(settings, origins));
    warnings
}

fn unknown_variables(environment: &Environment) -> Vec<Warning> {
    let known = |name: &str| {
        let mut declared = declarations()
            .iter()
            .flat_map(|declaration| declaration.variables());
        RESERVED.contains(&name) || declared.any(|variable| *variable == name)
    };
    let mut names: Vec<String> = environment
        .variables
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with("REPRAM_") && !known(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    let warning = |name: String| {
        let nearest = nearest_variable(&name);
        Warning::UnknownVariable { name, nearest }
    };
    names.into_iter().map(warning).collect()
}

/// Settings that somebody set in vain.
fn set_per_node(role: Role, origins: &Origins) -> Vec<Warning> {
    if role != Role::Supervisor {
        return Vec::new();
    }
    let is_vain = |declaration: &&Declaration| {
        declaration.effect == Effect::PerNode && origins.is_set(declaration.key())
    };
    let warning = |declaration: &'static Declaration| {
        let place = Place::new(declaration, origins.get(declaration.key()).clone());
        Warning::SetPerNode { place }
    };
    let vain = declarations().iter().filter(is_vain);
    vain.map(warning).collect()
}

fn short_secrets(settings: &Settings, origins: &Origins) -> Vec<Warning> {
    let secrets = [
        ("cluster_secret", &settings.cluster_secret),
        ("cluster_secret_previous", &settings.cluster_secret_previous),
        ("admin_token", &settings.admin_token),
    ];
    let short = secrets.into_iter().filter_map(|(key, secret)| {
        let length = secret.as_ref()?.expose().len();
        let declaration = crate::declaration(key)?;
        let place = Place::new(declaration, origins.get(key).clone());
        (length < SECRET_BYTES_MIN).then_some(Warning::ShortSecret { place, length })
    });
    short.collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::load;

    /// The warnings of one variable, beside what makes any value possible.
    fn warned(variable: &str, value: &str) -> Option<Vec<Warning>> {
        let variables = [("BIND_ADDRESS", "::"), (variable, value)]
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let environment = Environment {
            variables: variables.into(),
            pid1: false,
            uid: 0,
            role: Role::Supervisor,
        };
        load(&environment, None, &[])
            .ok()
            .map(|loaded| loaded.warnings)
    }

    /// A value of any setting that has no secret: one of these is none of
    /// its default and contradicts nothing.
    const VALUES: [&str; 10] = [
        "7s",
        "7",
        "70",
        "domain",
        "7:7",
        "127.0.0.1:70",
        "off",
        "a",
        "events",
        "error",
    ];

    #[test]
    fn a_setting_with_effect_is_not_mentioned() {
        for declaration in declarations()
            .iter()
            .filter(|one| one.effect == Effect::Effective)
        {
            let values = VALUES
                .into_iter()
                .filter_map(|value| warned(declaration.variable(), value));
            for told in values {
                let short = |one: &Warning| matches!(one, Warning::ShortSecret { .. });
                assert!(told.iter().all(short), "{told:?}");
            }
        }
    }

    #[test]
    fn warnings_are_sentences() {
        let flag = crate::Origin::Flag("--node-id".to_owned());
        let node_id = crate::declaration("node_id").expect("it is declared");
        let vain = Warning::SetPerNode {
            place: Place::new(node_id, flag),
        };
        assert_eq!(
            vain.to_string(),
            "--node-id: has no effect, because the supervisor sets it for each node"
        );
    }
}
