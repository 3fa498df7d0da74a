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

/// The kind of a [`Secret`] that travels in a header of HTTP, so that it must consist of what
/// can stand there (RFC 9110, section 5.5).
pub(crate) struct Token;

impl Token {
    /// Takes 1 to 1024 visible characters of ASCII.
    pub(crate) fn of_bytes(bytes: Vec<u8>) -> Option<Secret> {
        let visible = bytes.iter().all(u8::is_ascii_graphic);
        Secret::new(bytes).filter(|_| visible)
    }
}

impl Kind for Token {
    type Value = Secret;

    fn parse(&self, text: &str) -> Result<Secret, Rejected> {
        Self::of_bytes(text.as_bytes().to_vec()).ok_or(Rejected::WHOLE)
    }

    fn write(&self, value: &Secret) -> Option<String> {
        Hidden.write(value)
    }

    fn allowed(&self) -> String {
        format!("1 to {SECRET_BYTES_MAX} letters, digits and punctuation marks of ASCII, no blanks")
    }

    fn toml_types(&self) -> &'static [TomlType] {
        Hidden.toml_types()
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

    #[test]
    fn a_token_can_stand_in_a_header() {
        assert!(Token.parse("AZaz09-._~+/=").is_ok());
        for text in ["", "two words", "tab\t", "line\n", "caf\u{e9}"] {
            assert!(Token.parse(text).is_err(), "{text:?}");
        }
    }
}
