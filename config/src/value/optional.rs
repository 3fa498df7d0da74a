//! Values that may be missing.

use super::{Kind, Rejected, TomlType};

/// A value that need not be set.
pub(crate) struct Optional<K>(pub(crate) K);

impl<K: Kind> Kind for Optional<K> {
    type Value = Option<K::Value>;

    fn parse(&self, text: &str) -> Result<Self::Value, Rejected> {
        self.0.parse(text).map(Some)
    }

    fn write(&self, value: &Self::Value) -> Option<String> {
        value.as_ref().and_then(|value| self.0.write(value))
    }

    fn absent(&self) -> Option<Self::Value> {
        Some(None)
    }

    fn allowed(&self) -> String {
        self.0.allowed()
    }

    fn toml_types(&self) -> &'static [TomlType] {
        self.0.toml_types()
    }

    fn words(&self) -> Vec<&'static str> {
        self.0.words()
    }

    fn is_secret(&self) -> bool {
        self.0.is_secret()
    }
}
