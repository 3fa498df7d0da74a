//! What a setting's value can be, and how each kind of value is written.
//!
//! A [`Kind`] parses text, writes it back in a form that parses to the same
//! value, and says in words what it accepts. The words are part of every
//! problem a user sees and of the reference page, so they live beside the
//! parser that enforces them.

mod address;
mod choice;
mod duration;
mod list;
mod optional;
mod path;
mod probe;
mod replication;
mod secret;
mod size;
mod switch;
mod text;
mod url;
mod whole;

pub use self::address::{AdvertisedPort, PeerAddress};
pub use self::choice::{ClaimScope, LogFormat, LogLevel, LogStdout, OnFailed};
pub use self::path::LogDir;
pub use self::probe::{Probe, ProbePort};
pub use self::replication::ReplicationFactor;
pub use self::secret::Secret;

pub(crate) use self::address::{Address, Advertised, Peer, Socket};
pub(crate) use self::choice::Choice;
pub(crate) use self::duration::Span;
pub(crate) use self::list::List;
pub(crate) use self::optional::Optional;
pub(crate) use self::path::{FilePath, LogDirectory};
pub(crate) use self::probe::ProbeText;
pub(crate) use self::replication::Copies;
pub(crate) use self::secret::{Hidden, MASK, SECRET_BYTES_MAX, Token};
pub(crate) use self::size::Size;
pub(crate) use self::switch::Switch;
pub(crate) use self::text::{Host, Identity, Name, Text};
pub(crate) use self::url::Url;
pub(crate) use self::whole::{Port, Whole};

/// One way to read and write a value.
pub(crate) trait Kind {
    /// The parsed form.
    type Value;

    /// Reads what a user wrote, whatever layer it stands in.
    fn parse(&self, text: &str) -> Result<Self::Value, Rejected>;

    /// Writes a value so that `parse` reads it back; `None` when there is
    /// nothing to write, because the value stands for "not set".
    fn write(&self, value: &Self::Value) -> Option<String>;

    /// The value of a setting that no layer sets, where that means something.
    fn absent(&self) -> Option<Self::Value> {
        None
    }

    /// What is accepted, as the end of the sentence "allowed is ...".
    fn allowed(&self) -> String;

    /// The types that the value may have in a TOML file.
    fn toml_types(&self) -> &'static [TomlType];

    /// The words that can be written, where they can be listed.
    fn words(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Whether the value must never be shown.
    fn is_secret(&self) -> bool {
        false
    }
}

/// A text that is not a value of the kind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// The part that is at fault, where it is not the whole.
    pub(crate) part: Option<String>,
}

impl Rejected {
    /// The text as a whole is at fault.
    pub(crate) const WHOLE: Self = Self { part: None };
}

/// The types of TOML, as far as settings tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TomlType {
    String,
    Integer,
    Float,
    Boolean,
    StringArray,
    /// Arrays of other things, tables, dates and times: no setting takes them.
    Other(&'static str),
}

impl TomlType {
    /// The type with its article.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Float => "a float",
            Self::Boolean => "a boolean",
            Self::StringArray => "an array of strings",
            Self::Other(name) => name,
        }
    }
}

/// The types as the end of a sentence.
pub(crate) fn any_of(types: &[TomlType]) -> String {
    let names: Vec<&str> = types.iter().map(|allowed| allowed.name()).collect();
    enumerate(&names)
}

/// Words with commas and a final "or".
fn enumerate(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A [`Kind`] without its value type, as the declarations hold it.
pub(crate) trait AnyKind: Sync {
    fn allowed(&self) -> String;
    fn toml_types(&self) -> &'static [TomlType];
    fn words(&self) -> Vec<&'static str>;
    fn is_secret(&self) -> bool;

    /// The one spelling of a value, so that two spellings can be compared.
    /// A secret stays as it is.
    fn canonical(&self, text: &str) -> Result<Option<String>, Rejected>;
}

impl<K: Kind + Sync> AnyKind for K {
    fn allowed(&self) -> String {
        Kind::allowed(self)
    }

    fn toml_types(&self) -> &'static [TomlType] {
        Kind::toml_types(self)
    }

    fn words(&self) -> Vec<&'static str> {
        Kind::words(self)
    }

    fn is_secret(&self) -> bool {
        Kind::is_secret(self)
    }

    fn canonical(&self, text: &str) -> Result<Option<String>, Rejected> {
        let value = self.parse(text)?;
        Ok(if Kind::is_secret(self) {
            Some(text.to_owned())
        } else {
            self.write(&value)
        })
    }
}
