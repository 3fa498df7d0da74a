//! Reads the text of the layers as each setting's own kind says.

use crate::declaration::{Declaration, DefaultValue};
use crate::layers::{Given, Stack};
use crate::origin::Origins;
use crate::problem::{Place, Problem, quoted};
use crate::settings::{Draft, Read};
use crate::value::{Kind, MASK, Rejected, TomlType, any_of};

/// Reads settings and keeps account of what went wrong.
pub(super) struct Reader {
    stack: Stack,
    /// Whether a setting that no layer mentions was meant to be unset.
    complete: bool,
    origins: Origins,
    problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn new(stack: Stack, complete: bool) -> Self {
        Self {
            stack,
            complete,
            origins: Origins::default(),
            problems: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> (Origins, Vec<Problem>) {
        (self.origins, self.problems)
    }
}

impl Read for Reader {
    fn read<K: Kind>(
        &mut self,
        declaration: &'static Declaration,
        kind: &K,
        draft: &Draft,
    ) -> Option<K::Value> {
        let Some(given) = self.stack.get(declaration.key()) else {
            return if self.complete {
                unset(declaration, kind, draft)
            } else {
                None
            };
        };
        self.origins.insert(declaration.key(), given.origin.clone());
        match read_given(kind, given)? {
            Ok(value) => Some(value),
            Err((found, allowed)) => {
                let place = Place::new(declaration, given.origin.clone());
                self.problems.push(Problem::Value {
                    place,
                    found,
                    allowed,
                });
                None
            }
        }
    }
}

/// The value of a setting that no layer mentions.
fn unset<K: Kind>(declaration: &Declaration, kind: &K, draft: &Draft) -> Option<K::Value> {
    match &declaration.default {
        DefaultValue::Derived(_, derive) => kind.parse(&derive(draft)?).ok(),
        DefaultValue::Text(_) | DefaultValue::Computed(..) | DefaultValue::Unset(_) => {
            kind.absent()
        }
    }
}

/// The value, or what was found and what is allowed; `None` when the text
/// could not be read, which its layer has reported.
fn read_given<K: Kind>(kind: &K, given: &Given) -> Option<Result<K::Value, (String, String)>> {
    let text = given.text.as_ref()?;
    if let Some(found) = given
        .toml_type
        .filter(|found| !kind.toml_types().contains(found))
    {
        return Some(Err((shown(kind, found, text), types(kind))));
    }
    Some(
        kind.parse(text)
            .map_err(|rejected| (refused(kind, given, text, rejected), kind.allowed())),
    )
}

/// A value of the wrong type.
fn shown<K: Kind>(kind: &K, found: TomlType, text: &str) -> String {
    match found {
        _ if kind.is_secret() => found.name().to_owned(),
        TomlType::Other(name) => name.to_owned(),
        TomlType::String | TomlType::StringArray => format!("{}, {}", found.name(), quoted(text)),
        TomlType::Integer | TomlType::Float | TomlType::Boolean => {
            format!("{}, {text}", found.name())
        }
    }
}

/// The right types, and what is allowed in them.
fn types<K: Kind>(kind: &K) -> String {
    format!("{}: {}", any_of(kind.toml_types()), kind.allowed())
}

/// A value of the right type that is not allowed.
fn refused<K: Kind>(kind: &K, given: &Given, text: &str, rejected: Rejected) -> String {
    if kind.is_secret() {
        return format!("{MASK} of {} bytes", text.len());
    }
    match (rejected.part, given.toml_type) {
        (Some(part), _) => format!("{} in {}", quoted(&part), quoted(text)),
        (None, Some(TomlType::Integer | TomlType::Float | TomlType::Boolean)) => text.to_owned(),
        (None, _) => quoted(text),
    }
}
