//! What looks wrong but does not stop the start.

/// Something that the user should know; `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A variable that looks like one of ours and is none.
    UnknownVariable {
        /// Its name.
        name: String,
        /// The most similar name of ours, where one is similar.
        nearest: Option<&'static str>,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}
