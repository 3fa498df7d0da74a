//! Switches.

use super::{Kind, Rejected, TomlType};

/// Every word that is read, without regard to case.
const WORDS: [(&str, bool); 8] = [
    ("true", true),
    ("false", false),
    ("on", true),
    ("off", false),
    ("yes", true),
    ("no", false),
    ("1", true),
    ("0", false),
];

/// Something that is on or off. All words are read; the variants say which
/// pair of them is written.
pub(crate) enum Switch {
    OnOff,
    TrueFalse,
}

impl Kind for Switch {
    type Value = bool;

    fn parse(&self, text: &str) -> Result<bool, Rejected> {
        let text = text.trim();
        WORDS
            .into_iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text))
            .map(|(_, value)| value)
            .ok_or(Rejected::WHOLE)
    }

    fn write(&self, value: &bool) -> Option<String> {
        let word = match (self, value) {
            (Self::OnOff, true) => "on",
            (Self::OnOff, false) => "off",
            (Self::TrueFalse, true) => "true",
            (Self::TrueFalse, false) => "false",
        };
        Some(word.to_owned())
    }

    fn allowed(&self) -> String {
        match self {
            Self::OnOff => "on or off (also yes/no, true/false, 1/0)".to_owned(),
            Self::TrueFalse => "true or false (also on/off, yes/no, 1/0)".to_owned(),
        }
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::Boolean, TomlType::String]
    }

    fn words(&self) -> Vec<&'static str> {
        match self {
            Self::OnOff => vec!["on", "off"],
            Self::TrueFalse => vec!["true", "false"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<bool>) {
        assert_eq!(Switch::OnOff.parse(text).ok(), expect, "{text:?}");
    }

    #[test]
    fn switches() {
        check("true", Some(true));
        check("On", Some(true));
        check("YES", Some(true));
        check("1", Some(true));
        check("false", Some(false));
        check("off", Some(false));
        check("no", Some(false));
        check("0", Some(false));
        check("2", None);
        check("enabled", None);
        check("", None);
    }
}
