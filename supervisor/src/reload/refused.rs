//! Why the settings in use stay.

use std::fmt;

use repram_config::Problems;

use crate::fleet::Refusal;

/// Why the settings in use stay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadRefused {
    /// The new ones cannot be used.
    #[error("{0}")]
    Settings(ProblemTexts),
    /// The fleet cannot be changed as they want it now.
    #[error(transparent)]
    Fleet(#[from] Refusal),
    /// They could not be read at all.
    #[error("{0}")]
    Unread(String),
}

/// Problems with settings, one by one, and as a whole in the form of [`Problems`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemTexts {
    whole: String,
    each: Vec<String>,
}

impl From<Problems> for ReloadRefused {
    fn from(problems: Problems) -> Self {
        Self::Settings(ProblemTexts {
            whole: problems.to_string(),
            each: problems.iter().map(ToString::to_string).collect(),
        })
    }
}

impl fmt::Display for ProblemTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

impl ReloadRefused {
    /// All reasons, one by one.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::Settings(problems) => problems.each.clone(),
            Self::Fleet(_) | Self::Unread(_) => vec![self.to_string()],
        }
    }
}
