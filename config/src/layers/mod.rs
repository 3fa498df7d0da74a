//! The four layers of settings, and what they say together.
//!
//! figment merges the layers and remembers which of them a value came from.
//! Its own sources are not used: its environment guesses types (`007` becomes
//! 7, `1.10` becomes 1.1), and its errors know neither lines nor names of
//! variables. Here every layer keeps the text as it was written, and the
//! setting's kind reads it later.

mod defaults;
mod environment;
mod file;
mod flags;

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

pub(crate) use self::defaults::defaults;
pub(crate) use self::environment::environment;
pub(crate) use self::file::{config_file, read_file};
pub(crate) use self::flags::flags;

use crate::origin::Origin;
use crate::problem::Problem;
use crate::value::TomlType;

/// What one layer says about one setting.
#[derive(Debug)]
pub(crate) struct Given {
    /// The text; `None` when it could not even be read, which has been
    /// reported.
    pub(crate) text: Option<String>,
    /// Where it stands.
    pub(crate) origin: Origin,
    /// Its type, when it stands in a file.
    pub(crate) toml_type: Option<TomlType>,
}

/// One layer: what it says about the settings that it mentions.
#[derive(Debug)]
pub(crate) struct Layer {
    name: &'static str,
    given: BTreeMap<&'static str, Given>,
}

impl Layer {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            given: BTreeMap::new(),
        }
    }

    fn insert(&mut self, key: &'static str, given: Given) {
        self.given.insert(key, given);
    }

    /// Where this layer sets the key.
    #[cfg(test)]
    fn text(&self, key: &str) -> Option<&str> {
        self.given.get(key).and_then(|given| given.text.as_deref())
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let values = self.given.iter().map(|(key, given)| {
            let text = given.text.clone().unwrap_or_default();
            ((*key).to_owned(), Value::from(text))
        });
        Ok(Profile::Default.collect(values.collect::<Dict>()))
    }
}

/// The layers on top of each other.
pub(crate) struct Stack {
    layers: Vec<Layer>,
    figment: Figment,
    merged: Dict,
}

impl Stack {
    /// Lays each layer over those before it.
    pub(crate) fn new(layers: Vec<Layer>) -> Self {
        let figment = layers.iter().fold(Figment::new(), Figment::merge);
        let merged = figment
            .data()
            .ok()
            .and_then(|mut profiles| profiles.remove(&Profile::Default))
            .unwrap_or_default();
        Self {
            layers,
            figment,
            merged,
        }
    }

    /// What the highest layer that mentions the setting says.
    pub(crate) fn get(&self, key: &str) -> Option<&Given> {
        let tag = self.merged.get(key)?.tag();
        let metadata = self.figment.get_metadata(tag)?;
        let layer = self
            .layers
            .iter()
            .find(|layer| layer.name == metadata.name)?;
        layer.given.get(key)
    }
}

/// A layer, and what was wrong with what it read.
pub(crate) struct Parsed {
    pub(crate) layer: Layer,
    pub(crate) problems: Vec<Problem>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &'static str, entries: &[(&'static str, &str)]) -> Layer {
        let mut layer = Layer::new(name);
        for (key, text) in entries {
            let text = Some((*text).to_owned());
            let origin = Origin::Variable(name.to_owned());
            layer.insert(
                key,
                Given {
                    text,
                    origin,
                    toml_type: None,
                },
            );
        }
        layer
    }

    #[test]
    fn the_highest_layer_wins_setting_by_setting() {
        let stack = Stack::new(vec![
            layer(
                "low",
                &[("node_count", "1"), ("base_port", "1"), ("enclave", "007")],
            ),
            layer("middle", &[("node_count", "2"), ("base_port", "2")]),
            layer("high", &[("node_count", "3")]),
        ]);
        let check = |key, text, name: &str| {
            let given = stack.get(key).unwrap();
            assert_eq!(given.text.as_deref(), Some(text), "{key}");
            assert_eq!(given.origin, Origin::Variable(name.to_owned()), "{key}");
        };
        check("node_count", "3", "high");
        check("base_port", "2", "middle");
        check("enclave", "007", "low");
        assert!(stack.get("log_dir").is_none());
    }
}
