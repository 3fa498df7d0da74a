//! Text in its several degrees of freedom.

use std::net::IpAddr;

use uuid::Uuid;

use super::{Kind, Rejected, TomlType};

/// The longest name of a domain (RFC 1035, 2.3.4).
const HOST_BYTES_MAX: usize = 253;
/// The longest label of a domain's name (RFC 1035, 2.3.4).
const LABEL_BYTES_MAX: usize = 63;
/// Names go into every message between nodes, so they are short.
const NAME_BYTES_MAX: usize = 64;
/// The kernel takes 128 KiB for one argument (`execve(2)`); a command line
/// that long is a mistake.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Any text that can stand in an environment and is not empty.
pub(crate) struct Text {
    /// What it is, with its article.
    pub(crate) what: &'static str,
}

impl Kind for Text {
    type Value = String;

    fn parse(&self, text: &str) -> Result<String, Rejected> {
        let blank = text.trim().is_empty();
        if blank || text.len() > TEXT_BYTES_MAX || text.contains('\0') {
            return Err(Rejected::WHOLE);
        }
        Ok(text.to_owned())
    }

    fn write(&self, value: &String) -> Option<String> {
        Some(value.clone())
    }

    fn allowed(&self) -> String {
        format!("{} of at most {TEXT_BYTES_MAX} bytes", self.what)
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }
}

/// A short name that is safe in paths, logs, metrics and messages.
pub(crate) struct Name;

impl Kind for Name {
    type Value = String;

    fn parse(&self, text: &str) -> Result<String, Rejected> {
        let text = text.trim();
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let all_well = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if starts_well && all_well && text.len() <= NAME_BYTES_MAX {
            Ok(text.to_owned())
        } else {
            Err(Rejected::WHOLE)
        }
    }

    fn write(&self, value: &String) -> Option<String> {
        Some(value.clone())
    }

    fn allowed(&self) -> String {
        format!(
            "1 to {NAME_BYTES_MAX} of the characters A-Z a-z 0-9 - _ . beginning with a letter \
             or digit"
        )
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }
}

/// A host: its name or its address, without a port.
pub(crate) struct Host;

impl Kind for Host {
    type Value = String;

    fn parse(&self, text: &str) -> Result<String, Rejected> {
        let text = text.trim();
        if is_host(text) {
            Ok(text.to_owned())
        } else {
            Err(Rejected::WHOLE)
        }
    }

    fn write(&self, value: &String) -> Option<String> {
        Some(value.clone())
    }

    fn allowed(&self) -> String {
        "a host name or an IP address, without a port".to_owned()
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }
}

/// Whether the text is an IP address or a name that a resolver can be asked.
pub(super) fn is_host(text: &str) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    // A last label of digits only is a mistyped IPv4 address (RFC 1123, 2.1).
    let last_is_number = name
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    name.len() <= HOST_BYTES_MAX && name.split('.').all(is_label) && !last_is_number
}

/// The identity of a node.
pub(crate) struct Identity;

impl Kind for Identity {
    type Value = Uuid;

    fn parse(&self, text: &str) -> Result<Uuid, Rejected> {
        match Uuid::try_parse(text.trim()) {
            Ok(uuid) if !uuid.is_nil() => Ok(uuid),
            Ok(_) | Err(_) => Err(Rejected::WHOLE),
        }
    }

    fn write(&self, value: &Uuid) -> Option<String> {
        Some(value.to_string())
    }

    fn allowed(&self) -> String {
        "a UUID that is not nil".to_owned()
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: bool) {
        assert_eq!(is_host(text), expect, "{text:?}");
    }

    #[test]
    fn hosts() {
        check("localhost", true);
        check("localhost.", true);
        check("app.example.org", true);
        check("my_service", true);
        check("127.0.0.1", true);
        check("::1", true);
        check("4com.example", true);
        check("", false);
        check(".", false);
        check("a..b", false);
        check("-a", false);
        check("localhost:8081", false);
        check("http://localhost", false);
        check("[::1]", false);
        check("two words", false);
        check("127.0.0.256", false);
        check("10", false);
        check("bücher.example", false);
        check(&"a".repeat(64), false);
        check(&"a.".repeat(128), false);
    }

    #[test]
    fn names() {
        let read = |text: &str| Name.parse(text).ok();
        assert_eq!(read(" flux-node-1 ").as_deref(), Some("flux-node-1"));
        assert_eq!(read("1.10").as_deref(), Some("1.10"));
        assert_eq!(read("true").as_deref(), Some("true"));
        for bad in [
            "",
            "../x",
            ".hidden",
            "a/b",
            "a b",
            "ä",
            "a\nb",
            &"x".repeat(65),
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn identities() {
        let uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        assert_eq!(
            Identity.parse(uuid).map(|id| id.to_string()),
            Ok(uuid.to_owned())
        );
        assert!(
            Identity
                .parse("00000000-0000-0000-0000-000000000000")
                .is_err()
        );
        assert!(Identity.parse("67e55044").is_err());
    }

    #[test]
    fn text_keeps_its_blanks() {
        let kind = Text { what: "a command" };
        assert_eq!(kind.parse(" a b ").as_deref(), Ok(" a b "));
        assert!(kind.parse("  ").is_err());
        assert!(kind.parse("a\0b").is_err());
    }
}
