//! Which supervisor a command asks.

use nix::unistd::geteuid;
use repram_config::{Environment, LogDir, Problems, Role, Settings, load};

use super::Place;
use crate::control::{ClientError, ControlAddress, ControlClient};

/// Settings that say where a supervisor is, for a command that has nothing to do with the
/// others.
const NEEDED: [&str; 3] = ["state_dir", "base_port", "log_dir"];

/// Where a supervisor can be, and its files.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    /// Its control socket: the usual one first.
    pub(crate) addresses: Vec<ControlAddress>,
    /// What the settings say about its files.
    pub(crate) log_dir: LogDir,
    /// What the user should know.
    pub(crate) warning: Option<String>,
}

impl Located {
    /// What the settings say, in this process's surroundings.
    pub(crate) fn find(place: &Place) -> Result<Self, Problems> {
        Self::find_in(place, &Environment::of_this_process(Role::Supervisor))
    }

    /// The same in given surroundings. A mistake in other settings does not keep anybody from
    /// asking a supervisor that runs.
    fn find_in(place: &Place, environment: &Environment) -> Result<Self, Problems> {
        let problems = match load(environment, place.config.as_deref(), &place.flags) {
            Ok(loaded) => return Ok(Self::new(&loaded.settings, None)),
            Err(problems) => problems,
        };
        let mut needed = environment.clone();
        needed.variables.retain(|(name, _)| {
            name.to_str()
                .is_some_and(|name| !is_setting(name) || is_needed(name))
        });
        match load(&needed, None, &place.flags) {
            Ok(loaded) => {
                let warning = "there are problems with the settings, which `supervisor config` \
                               shows; a configuration file is not looked at"
                    .to_owned();
                Ok(Self::new(&loaded.settings, Some(warning)))
            }
            Err(_) => Err(problems),
        }
    }

    fn new(settings: &Settings, warning: Option<String>) -> Self {
        let addresses = vec![
            ControlAddress::in_directory(&settings.state_dir),
            ControlAddress::abstract_name(geteuid().as_raw(), settings.base_port),
        ];
        Self {
            addresses,
            log_dir: settings.log_dir.clone(),
            warning,
        }
    }

    /// The supervisor that answers.
    pub(crate) fn connect(&self) -> Result<ControlClient, ClientError> {
        ControlClient::find(&self.addresses)
    }
}

fn is_setting(variable: &str) -> bool {
    variable == "REPRAM_CONFIG"
        || repram_config::declarations()
            .iter()
            .any(|declaration| declaration.variables().contains(&variable))
}

fn is_needed(variable: &str) -> bool {
    NEEDED
        .iter()
        .filter_map(|key| repram_config::declaration(key))
        .any(|declaration| declaration.variables().contains(&variable))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use repram_config::Flag;

    use super::*;

    fn find(variables: &[(&str, &str)], place: &Place) -> Result<Located, Problems> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let environment = Environment {
            variables,
            pid1: false,
            uid: 7,
            role: Role::Supervisor,
        };
        Located::find_in(place, &environment)
    }

    #[test]
    fn the_settings_say_where_the_supervisor_is() {
        let check = |variables: &[(&str, &str)], flags: &[(&'static str, &str)], expect: &str| {
            let flags = flags.iter().map(|(key, value)| Flag {
                key,
                value: (*value).into(),
            });
            let place = Place {
                config: None,
                flags: flags.collect(),
            };
            let located = find(variables, &place).expect("located");
            assert_eq!(
                located.addresses[0],
                ControlAddress::in_directory(Path::new(expect))
            );
        };
        check(&[], &[], "/tmp/repram-7");
        check(&[("STATE_DIR", "/run/x")], &[], "/run/x");
        check(
            &[("STATE_DIR", "/run/x")],
            &[("state_dir", "/run/y")],
            "/run/y",
        );
    }

    #[test]
    fn a_mistake_elsewhere_is_a_warning() {
        let variables = [("STATE_DIR", "/run/x"), ("NODE_COUNT", "many")];
        let located = find(&variables, &Place::default()).expect("located");
        assert!(located.warning.is_some());
        assert_eq!(
            located.addresses[0],
            ControlAddress::in_directory(Path::new("/run/x"))
        );
        let place = Place {
            config: Some(PathBuf::from("/nonexistent")),
            flags: Vec::new(),
        };
        assert!(find(&[], &place).expect("located").warning.is_some());
    }

    #[test]
    fn a_mistake_here_is_a_problem() {
        assert!(find(&[("BASE_PORT", "x")], &Place::default()).is_err());
    }
}
