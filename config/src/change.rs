//! What differs between the settings of a running program and those that it is to have.

use crate::declaration::{Declaration, Reload};
use crate::loaded::Loaded;
use crate::settings::{Difference, Settings};

/// One setting that is to have another value.
#[derive(Clone)]
pub struct Change {
    /// Which setting.
    pub declaration: &'static Declaration,
    /// Its value until now, as text; `None` when it was not set. A secret is masked.
    pub old: Option<String>,
    /// Its new value, the same way.
    pub new: Option<String>,
    /// Where the new value comes from, as [`Origin`](crate::Origin) says it.
    pub origin: String,
}

impl Change {
    /// What it takes.
    pub fn reload(&self) -> Reload {
        self.declaration.reload()
    }
}

impl Loaded {
    /// What becomes different when these settings replace those that `running` are, in the
    /// order of the table.
    pub fn changes_from(&self, running: &Settings) -> Vec<Change> {
        let differences = running.differences(&self.settings);
        let change = |difference: Difference| Change {
            origin: self.origin(difference.declaration.key()).to_string(),
            declaration: difference.declaration,
            old: difference.old,
            new: difference.new,
        };
        differences.into_iter().map(change).collect()
    }
}
