//! One word out of a few.

use super::{Kind, Rejected, TomlType, enumerate};

/// One of several words, each standing for a value. The first spelling of a
/// value is the one that is written; case does not matter when reading.
pub(crate) struct Choice<T: 'static> {
    words: &'static [(&'static str, T)],
}

impl<T> Choice<T> {
    pub(crate) const fn new(words: &'static [(&'static str, T)]) -> Self {
        Self { words }
    }
}

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn parse(&self, text: &str) -> Result<T, Rejected> {
        let text = text.trim();
        self.words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text))
            .map(|(_, value)| *value)
            .ok_or(Rejected::WHOLE)
    }

    fn write(&self, value: &T) -> Option<String> {
        self.words
            .iter()
            .find(|(_, other)| other == value)
            .map(|(word, _)| (*word).to_owned())
    }

    fn allowed(&self) -> String {
        enumerate(&self.words())
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }

    fn words(&self) -> Vec<&'static str> {
        self.words.iter().map(|(word, _)| *word).collect()
    }
}

/// How far the uniqueness of ports reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimScope {
    /// One network namespace; the kernel decides.
    Host,
    /// All hosts behind the domain, which are told apart by port only.
    Domain,
}

impl ClaimScope {
    pub(crate) const WORDS: &'static [(&'static str, Self)] =
        &[("host", Self::Host), ("domain", Self::Domain)];
}

/// What a supervisor does when nodes have failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailed {
    /// Never exit; try again every RESTART_DELAY_MAX.
    SlowRetry,
    /// Exit with 1 when fewer than MIN_READY nodes can still run.
    Exit,
    /// Stay, and let `health` fail.
    Keep,
}

impl OnFailed {
    pub(crate) const WORDS: &'static [(&'static str, Self)] = &[
        ("slow-retry", Self::SlowRetry),
        ("exit", Self::Exit),
        ("keep", Self::Keep),
    ];
}

/// What the container's standard output shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStdout {
    /// The nodes' lines and the supervisor's events.
    All,
    /// The supervisor's events.
    Events,
    /// Nothing.
    Off,
}

impl LogStdout {
    pub(crate) const WORDS: &'static [(&'static str, Self)] = &[
        ("all", Self::All),
        ("events", Self::Events),
        ("off", Self::Off),
    ];
}

/// How the supervisor's output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    pub(crate) const WORDS: &'static [(&'static str, Self)] =
        &[("text", Self::Text), ("json", Self::Json)];
}

/// The least severe events that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something failed that should not have.
    Error,
    /// Something that a person should look at in time.
    Warn,
    /// What a person wants to know about normal operation.
    Info,
    /// What helps to find a mistake.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    pub(crate) const WORDS: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];

    /// The level's name in lower case, as log libraries read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<OnFailed>) {
        assert_eq!(
            Choice::new(OnFailed::WORDS).parse(text).ok(),
            expect,
            "{text:?}"
        );
    }

    #[test]
    fn one_of_the_words() {
        check("slow-retry", Some(OnFailed::SlowRetry));
        check(" Exit ", Some(OnFailed::Exit));
        check("slow retry", None);
        check("", None);
        assert_eq!(
            Choice::new(OnFailed::WORDS).allowed(),
            "slow-retry, exit or keep"
        );
    }

    #[test]
    fn levels_are_written_as_they_are_read() {
        for (word, level) in LogLevel::WORDS {
            assert_eq!(level.as_str(), *word);
        }
    }
}
