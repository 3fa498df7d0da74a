//! The fields of a specification, whatever they are for.

use std::fmt;

use serde_json::{Map, Value};

use super::rules::VERSION;

/// One thing that was found in a specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where, such as `compose[0].ports[3]`.
    pub place: String,
    /// What is wrong, or worth knowing.
    pub text: String,
    /// Whether FluxOS refuses it, or it would not work.
    pub is_violation: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "{}: {}", self.place, self.text)
        }
    }
}

/// Collects what there is to say.
#[derive(Default)]
pub(super) struct Checker {
    findings: Vec<Finding>,
}

impl Checker {
    pub(super) fn findings(self) -> Vec<Finding> {
        self.findings
    }

    pub(super) fn refuse(&mut self, place: &str, text: impl Into<String>) {
        self.note(place, text, true);
    }

    pub(super) fn remark(&mut self, place: &str, text: impl Into<String>) {
        self.note(place, text, false);
    }

    fn note(&mut self, place: &str, text: impl Into<String>, is_violation: bool) {
        self.findings.push(Finding {
            place: place.to_owned(),
            text: text.into(),
            is_violation,
        });
    }

    pub(super) fn expect(&mut self, place: &str, found: &Value, allowed: &str) {
        self.refuse(
            place,
            format!("found {}, allowed is {allowed}", short(found)),
        );
    }

    /// Exactly these keys, and perhaps those.
    pub(super) fn keys(
        &mut self,
        place: &str,
        object: &Map<String, Value>,
        keys: &[&str],
        more: &[&str],
    ) {
        for key in keys.iter().filter(|key| !object.contains_key(**key)) {
            self.refuse(&inside(place, key), "is missing");
        }
        let known = |key: &&String| keys.contains(&key.as_str()) || more.contains(&key.as_str());
        for key in object.keys().filter(|key| !known(key)) {
            self.refuse(
                &inside(place, key),
                format!("is no key of version {VERSION}"),
            );
        }
    }

    pub(super) fn whole_number(
        &mut self,
        object: &Map<String, Value>,
        place: &str,
        key: &str,
        (least, most): (f64, f64),
    ) {
        let Some(found) = object.get(key) else {
            return;
        };
        let number = found.as_f64();
        let fits = number.is_some_and(|it| (least..=most).contains(&it) && it.fract() == 0.0);
        if !fits {
            let allowed = format!("a whole number from {least} to {most}");
            self.expect(&inside(place, key), found, &allowed);
        }
    }

    /// A text of so many characters, if it is one.
    pub(super) fn text(
        &mut self,
        object: &Map<String, Value>,
        place: &str,
        key: &str,
        least: usize,
        most: usize,
    ) -> Option<String> {
        let found = object.get(key)?;
        let at = inside(place, key);
        let Some(text) = found.as_str() else {
            self.expect(&at, found, "a text");
            return None;
        };
        let count = length(text);
        if count < least {
            self.refuse(
                &at,
                if count == 0 {
                    "is empty"
                } else {
                    "is too short"
                },
            );
        } else if count > most {
            self.refuse(
                &at,
                format!("found {count} characters, allowed are at most {most}"),
            );
        }
        Some(text.to_owned())
    }

    /// A list of texts. Gives back how many there are.
    pub(super) fn texts(
        &mut self,
        object: &Map<String, Value>,
        place: &str,
        key: &str,
        count_max: usize,
        length_max: usize,
    ) -> usize {
        let Some(found) = object.get(key) else {
            return 0;
        };
        let at = inside(place, key);
        let Some(texts) = found.as_array() else {
            self.expect(&at, found, "a list of texts");
            return 0;
        };
        if texts.len() > count_max {
            self.refuse(
                &at,
                format!(
                    "found {} entries, allowed are at most {count_max}",
                    texts.len()
                ),
            );
        }
        for (number, found) in texts.iter().enumerate() {
            let at = format!("{at}[{number}]");
            match found.as_str().map(length) {
                None => self.expect(&at, found, "a text"),
                Some(count) if count > length_max => self.refuse(
                    &at,
                    format!("found {count} characters, allowed are at most {length_max}"),
                ),
                Some(_) => {}
            }
        }
        texts.len()
    }
}

/// Characters as FluxOS counts them, which is in UTF-16.
fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

pub(super) fn inside(place: &str, key: &str) -> String {
    match place {
        "" => key.to_owned(),
        place => format!("{place}.{key}"),
    }
}

/// A value as a message shows it.
fn short(value: &Value) -> String {
    const SHOWN: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
