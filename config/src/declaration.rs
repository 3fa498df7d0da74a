//! What is known about a setting before it has a value.

use crate::environment::Environment;
use crate::settings::{DECLARATIONS, Draft};
use crate::value::{AnyKind, Rejected, TomlType};

/// The chapters of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What runs.
    Fleet,
    /// Where it listens.
    Ports,
    /// How nodes find each other.
    Discovery,
    /// Who a node is, and with whom it shares.
    Identity,
    /// What becomes of the data.
    Data,
    /// Who may take part.
    Security,
    /// Probes, restarts, stopping.
    Health,
    /// What is written down.
    Logs,
    /// How the fleet is operated.
    Control,
}

impl Section {
    /// The chapter's title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Fleet => "Fleet",
            Self::Ports => "Ports",
            Self::Discovery => "Discovery",
            Self::Identity => "Identity",
            Self::Data => "Data",
            Self::Security => "Security",
            Self::Health => "Health, restarts, stopping",
            Self::Logs => "Logs",
            Self::Control => "Control",
        }
    }
}

/// The value of a setting that nobody sets.
pub(crate) enum DefaultValue {
    /// Always the same.
    Text(&'static str),
    /// It depends on the surroundings; the words say how.
    Computed(&'static str, fn(&Environment) -> String),
    /// It depends on other settings; the words say how.
    Derived(&'static str, fn(&Draft) -> Option<String>),
    /// There is none; the words say what that means.
    Unset(&'static str),
}

/// Where a setting has an effect in this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Everywhere.
    Effective,
    /// In a node; the supervisor sets it for each of its nodes and ignores
    /// what it finds.
    PerNode,
}

/// What it takes to give a setting of a running fleet another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reload {
    /// Nothing: the supervisor uses the new value from now on.
    Now,
    /// A start of every node: they get the value when they start.
    Nodes,
    /// Nodes that are added or taken away.
    Scale,
    /// A new start of the supervisor.
    NewStart,
    /// It cannot be done: the value that the supervisor was given counts for nobody.
    Never,
}

impl Reload {
    /// The word for machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Nodes => "nodes-restart",
            Self::Scale => "scale",
            Self::NewStart => "new-start",
            Self::Never => "no-effect",
        }
    }

    /// What happens, as the end of the sentence "when it is changed and reloaded, ...".
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Now => "takes effect at once",
            Self::Nodes => "restarts the nodes, one after the other",
            Self::Scale => "starts or stops nodes",
            Self::NewStart => "needs a new start of the supervisor",
            Self::Never => "has no effect on the nodes of a supervisor",
        }
    }
}

/// One setting: its names, its bounds and its meaning.
pub struct Declaration {
    pub(crate) key: &'static str,
    pub(crate) section: Section,
    pub(crate) variables: &'static [&'static str],
    pub(crate) doc: &'static str,
    pub(crate) default: DefaultValue,
    pub(crate) kind: &'static dyn AnyKind,
    pub(crate) effect: Effect,
    pub(crate) reload: Reload,
}

impl Declaration {
    /// The name in a TOML file, in [`Settings`](crate::Settings) and in a
    /// [`Flag`](crate::Flag).
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// The chapter it belongs to.
    pub fn section(&self) -> Section {
        self.section
    }

    /// The environment variables, never empty. The first is the setting's
    /// name; the others are aliases.
    pub fn variables(&self) -> &'static [&'static str] {
        self.variables
    }

    /// The setting's name: its first environment variable.
    pub fn variable(&self) -> &'static str {
        self.variables[0]
    }

    /// The flag without its leading hyphens; `None` for a secret, because
    /// every user of a machine can read the arguments of its processes.
    pub fn flag(&self) -> Option<String> {
        (!self.is_secret()).then(|| self.key.replace('_', "-"))
    }

    /// The meaning, in sentences.
    pub fn doc(&self) -> &'static str {
        self.doc.trim()
    }

    /// The default in words.
    pub fn default_text(&self) -> &'static str {
        match self.default {
            DefaultValue::Text(text)
            | DefaultValue::Computed(text, _)
            | DefaultValue::Derived(text, _)
            | DefaultValue::Unset(text) => text,
        }
    }

    /// Whether the words of [`default_text`](Self::default_text) are a value
    /// that could be written, and not a description.
    pub fn default_is_literal(&self) -> bool {
        matches!(self.default, DefaultValue::Text(_))
    }

    /// What is accepted, as the end of the sentence "allowed is ...".
    pub fn allowed(&self) -> String {
        self.kind.allowed()
    }

    /// The words that are accepted, where they can be listed; empty otherwise.
    pub fn words(&self) -> Vec<&'static str> {
        self.kind.words()
    }

    /// Whether the value must never be shown.
    pub fn is_secret(&self) -> bool {
        self.kind.is_secret()
    }

    /// Whether every node has a value of its own, which the supervisor gives it.
    pub fn is_per_node(&self) -> bool {
        self.effect == Effect::PerNode
    }

    /// What it takes to change it while the fleet runs.
    pub fn reload(&self) -> Reload {
        self.reload
    }

    /// The types that the value may have in a TOML file.
    pub(crate) fn toml_types(&self) -> &'static [TomlType] {
        self.kind.toml_types()
    }

    /// The one spelling of a value, so that two spellings can be compared.
    pub(crate) fn canonical(&self, text: &str) -> Result<Option<String>, Rejected> {
        self.kind.canonical(text)
    }
}

/// Every setting, in the order in which they are documented.
pub fn declarations() -> &'static [Declaration] {
    DECLARATIONS
}

/// The setting with this key.
pub fn declaration(key: &str) -> Option<&'static Declaration> {
    DECLARATIONS
        .iter()
        .find(|declaration| declaration.key == key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_pattern() {
        let mut keys = BTreeSet::new();
        let mut variables = BTreeSet::new();
        for declaration in declarations() {
            let name = declaration.variable();
            let plain = name.strip_prefix("REPRAM_").unwrap_or(name);
            assert_eq!(declaration.key(), plain.to_ascii_lowercase());
            assert!(keys.insert(declaration.key()), "{name}");
            for variable in declaration.variables() {
                assert!(variables.insert(*variable), "{variable}");
            }
        }
    }

    #[test]
    fn every_setting_is_explained() {
        for declaration in declarations() {
            let doc = declaration.doc();
            assert!(
                doc.ends_with('.') && !doc.contains("  "),
                "{}: {doc}",
                declaration.key()
            );
            assert!(!declaration.allowed().is_empty(), "{}", declaration.key());
            assert!(
                !declaration.toml_types().is_empty(),
                "{}",
                declaration.key()
            );
        }
    }

    #[test]
    fn defaults_are_allowed() {
        for declaration in declarations() {
            if let DefaultValue::Text(text) = declaration.default {
                assert!(declaration.canonical(text).is_ok(), "{}", declaration.key());
            }
        }
    }

    #[test]
    fn sections_are_contiguous() {
        let sections: Vec<Section> = declarations().iter().map(Declaration::section).collect();
        assert!(sections.is_sorted());
    }

    #[test]
    fn a_secret_has_no_flag() {
        let flag = |key| declaration(key).and_then(Declaration::flag);
        assert_eq!(flag("cluster_secret"), None);
        assert_eq!(flag("cluster_secret_previous"), None);
        assert_eq!(
            flag("cluster_secret_file").as_deref(),
            Some("cluster-secret-file")
        );
        assert_eq!(flag("node_count").as_deref(), Some("node-count"));
    }
}
