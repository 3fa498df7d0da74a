//! Secrets.

use std::fmt;

use super::{Kind, Rejected, TomlType};

/// What is shown instead of a secret, whatever its length.
pub(crate) const MASK: &str = "********";

/// Longer ones add nothing to an HMAC-SHA256, and every message that carries
/// one has a bound.
pub(crate) const SECRET_BYTES_MAX: usize = 1024;

/// A secret. It is never shown: not by `Debug`, not by `Display`, and it does
/// not implement `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes 1 to 1024 bytes; `None` for anything else.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (1..=SECRET_BYTES_MAX)
            .contains(&bytes.len())
            .then_some(Self(bytes))
    }

    /// The secret itself, for a key derivation or a MAC, never for output.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({MASK})")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// The kind of [`Secret`]: the bytes as they stand, blanks included.
pub(crate) struct Hidden;

impl Kind for Hidden {
    type Value = Secret;

    fn parse(&self, text: &str) -> Result<Secret, Rejected> {
        Secret::new(text.as_bytes().to_vec()).ok_or(Rejected::WHOLE)
    }

    /// The mask: nothing that is written may hold a secret.
    fn write(&self, value: &Secret) -> Option<String> {
        Some(value.to_string())
    }

    fn allowed(&self) -> String {
        format!("1 to {SECRET_BYTES_MAX} bytes")
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }

    fn is_secret(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new(b"hunter2".to_vec()).unwrap();
        assert_eq!(format!("{secret} {secret:?}"), "******** Secret(********)");
        assert_eq!(Hidden.write(&secret).as_deref(), Some(MASK));
        assert_eq!(secret.expose(), b"hunter2");
    }

    #[test]
    fn a_secret_has_bounds() {
        assert!(Hidden.parse("").is_err());
        assert!(
            Hidden
                .parse(" x ")
                .is_ok_and(|secret| secret.expose() == b" x ")
        );
        assert!(Hidden.parse(&"x".repeat(1024)).is_ok());
        assert!(Hidden.parse(&"x".repeat(1025)).is_err());
    }
}
