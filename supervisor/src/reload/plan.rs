//! What a reload does.

use std::fmt;

use repram_config::{Change, Reload};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::{Plan, Ticket};

/// What a reload does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReloadPlan {
    /// Settings that get another value, in the order of the reference page.
    pub settings: Vec<SettingChange>,
    /// What a person should know about the new settings.
    pub warnings: Vec<String>,
    /// Nodes that come and go.
    pub scale: Option<Plan>,
    /// The rolling restart.
    pub restart: Option<Plan>,
    /// The numbers of these changes, when they have begun; their events carry them.
    #[serde(default)]
    pub changes: Vec<Ticket>,
}

/// A setting that gets another value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingChange {
    /// Its first environment variable.
    pub variable: String,
    /// Its name in the file.
    pub key: String,
    /// The value in use; none when it is not set. A secret is masked.
    pub old: Option<String>,
    /// The new one, the same way.
    pub new: Option<String>,
    /// Where that comes from.
    pub origin: String,
    /// What it takes.
    pub effect: Effect,
}

/// What it takes to use another value.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing.
    Now,
    /// The nodes are restarted, one after the other.
    NodesRestart,
    /// Nodes are added or taken away.
    Scale,
    /// The supervisor must be started anew; such a reload is refused.
    NewStart,
    /// It does nothing for the nodes of a supervisor.
    NoEffect,
}

impl From<Reload> for Effect {
    fn from(reload: Reload) -> Self {
        match reload {
            Reload::Now => Self::Now,
            Reload::Nodes => Self::NodesRestart,
            Reload::Scale => Self::Scale,
            Reload::NewStart => Self::NewStart,
            Reload::Never => Self::NoEffect,
        }
    }
}

impl Effect {
    fn meaning(self) -> &'static str {
        match self {
            Self::Now => Reload::Now.meaning(),
            Self::NodesRestart => Reload::Nodes.meaning(),
            Self::Scale => Reload::Scale.meaning(),
            Self::NewStart => Reload::NewStart.meaning(),
            Self::NoEffect => Reload::Never.meaning(),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.meaning())
    }
}

impl From<&Change> for SettingChange {
    fn from(change: &Change) -> Self {
        Self {
            variable: change.declaration.variable().to_owned(),
            key: change.declaration.key().to_owned(),
            old: change.old.clone(),
            new: change.new.clone(),
            origin: change.origin.clone(),
            effect: change.reload().into(),
        }
    }
}

/// `MIN_READY 2 -> 1`.
impl fmt::Display for SettingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
        let (old, new) = (shown(&self.old), shown(&self.new));
        write!(f, "{} {old} -> {new}", self.variable)
    }
}

impl ReloadPlan {
    /// Whether nothing is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }

    /// Whether the nodes have to be restarted.
    #[must_use]
    pub fn restarts_nodes(&self) -> bool {
        self.needs(Effect::NodesRestart)
    }

    /// Whether the number of nodes changes.
    #[must_use]
    pub fn scales(&self) -> bool {
        self.needs(Effect::Scale)
    }

    fn needs(&self, effect: Effect) -> bool {
        self.settings.iter().any(|change| change.effect == effect)
    }
}
