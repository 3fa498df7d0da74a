//! Where a setting's value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where one value came from, in the words of the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the configuration file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag, with its leading hyphens.
    Flag(String),
    /// The file that another setting names, as for a secret.
    Contents(PathBuf),
    /// The platform on which this runs; the words say how it told.
    Platform(String),
}

impl Origin {
    /// The layer's name, for machines.
    pub fn layer(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File { .. } => "file",
            Self::Variable(_) => "environment",
            Self::Flag(_) => "flag",
            Self::Contents(_) => "contents",
            Self::Platform(_) => "platform",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "environment, {name}"),
            Self::Flag(name) => f.write_str(name),
            Self::Contents(path) => write!(f, "contents of {}", path.display()),
            Self::Platform(how) => f.write_str(how),
        }
    }
}

/// The origin of every setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<&'static str, Origin>);

impl Origins {
    /// The origin of the setting with this key; [`Origin::Default`] for a
    /// setting that no layer sets.
    pub fn get(&self, key: &str) -> &Origin {
        self.0.get(key).unwrap_or(&Origin::Default)
    }

    /// Whether somebody set it.
    pub fn is_set(&self, key: &str) -> bool {
        *self.get(key) != Origin::Default
    }

    pub(crate) fn insert(&mut self, key: &'static str, origin: Origin) {
        self.0.insert(key, origin);
    }
}
