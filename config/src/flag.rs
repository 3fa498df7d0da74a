//! Settings on the command line.

/// One setting from the command line, as it was written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The setting's key.
    pub key: &'static str,
    /// What the user wrote.
    pub value: String,
}
