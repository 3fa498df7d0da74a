//! From layers to settings.

use std::path::Path;

use crate::environment::Environment;
use crate::flag::Flag;
use crate::origin::{Origin, Origins};
use crate::problem::{Problem, Problems};
use crate::settings::Settings;
use crate::warning::Warning;

/// Settings that can be relied on, and how they came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The value of every setting.
    pub settings: Settings,
    /// Where each came from.
    pub origins: Origins,
    /// What the user should know, in a stable order.
    pub warnings: Vec<Warning>,
}

impl Loaded {
    /// Where the setting with this key came from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key)
    }

    /// A problem with a value that could only be judged by using it, such as
    /// a directory that cannot be written: `key: found ..., allowed is ...`,
    /// with the setting as the user wrote it.
    ///
    /// `found` and `allowed` are ends of these two sentences.
    ///
    /// # Panics
    ///
    /// Panics when no setting has this key.
    pub fn problem(&self, key: &str, found: &str, allowed: &str) -> Problem {
        todo!("{key} {found} {allowed}")
    }

    /// The effective settings as aligned columns: setting, value, origin.
    /// Secrets are masked.
    pub fn render(&self) -> String {
        todo!()
    }

    /// The same content for machines.
    pub fn to_json(&self) -> serde_json::Value {
        todo!()
    }
}

/// Reads all settings: defaults, then the TOML file, then the environment,
/// then flags; a later layer wins.
///
/// # Errors
///
/// Returns every problem of every layer at once.
pub fn load(
    environment: &Environment,
    config_flag: Option<&Path>,
    flags: &[Flag],
) -> Result<Loaded, Problems> {
    todo!("{environment:?} {config_flag:?} {flags:?}")
}
