//! What the command line prints with `--json`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::plain;
use crate::claims::{CLAIMS_SCHEMA, Claims};
use crate::control::{Begun, Ended, HEALTH_SCHEMA, Health, Stopping};
use crate::event::Event;
use crate::fleet::Plan;
use crate::logs::{LOG_STATS_SCHEMA, LineObject, LogStats, RotateReport};
use crate::reload::ReloadPlan;
use crate::status::{FleetStatus, STATUS_SCHEMA};
use crate::why::{FleetWhy, WHY_SCHEMA};

/// One kind of output.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Its name, which is that of its file in `docs/reference/schema`.
    pub name: &'static str,
    /// Its version.
    pub version: u32,
    /// Who prints it, in words.
    pub of: &'static str,
    schema: fn() -> Schema,
}

/// Everything that is printed with `--json`.
pub const OUTPUTS: &[Output] = &[
    Output {
        name: "status",
        version: STATUS_SCHEMA,
        of: "`supervisor status --json`",
        schema: schema_of::<FleetStatus>,
    },
    Output {
        name: "health",
        version: HEALTH_SCHEMA,
        of: "`supervisor health --json`",
        schema: schema_of::<Health>,
    },
    Output {
        name: "why",
        version: WHY_SCHEMA,
        of: "`supervisor why --json`",
        schema: schema_of::<FleetWhy>,
    },
    Output {
        name: "claims",
        version: CLAIMS_SCHEMA,
        of: "`supervisor claims --json`",
        schema: schema_of::<Claims>,
    },
    Output {
        name: "event",
        version: 1,
        of: "each line of `supervisor events --json`, of `supervisor restart`, `scale` and `stop` \
             with `--json`, of `supervisor reload --json` after the first, and of standard output \
             with LOG_FORMAT=json",
        schema: schema_of::<Event>,
    },
    Output {
        name: "line",
        version: 1,
        of: "each line of `supervisor logs --json`, and of standard output with LOG_FORMAT=json",
        schema: schema_of::<LineObject<'_>>,
    },
    Output {
        name: "log-stats",
        version: LOG_STATS_SCHEMA,
        of: "`supervisor logs stats --json`",
        schema: schema_of::<LogStats>,
    },
    Output {
        name: "rotated",
        version: 1,
        of: "`supervisor logs rotate --json`",
        schema: schema_of::<RotateReport>,
    },
    Output {
        name: "plan",
        version: 1,
        of: "`supervisor restart` and `scale` with `--dry-run --json`",
        schema: schema_of::<Plan>,
    },
    Output {
        name: "begun",
        version: 1,
        of: "`supervisor restart` and `scale` with `--no-wait --json`",
        schema: schema_of::<Begun>,
    },
    Output {
        name: "ended",
        version: 1,
        of: "`supervisor restart --abort --json`",
        schema: schema_of::<Ended>,
    },
    Output {
        name: "stopping",
        version: 1,
        of: "`supervisor stop --no-wait --json`",
        schema: schema_of::<Stopping>,
    },
    Output {
        name: "reload",
        version: 1,
        of: "`supervisor reload --json`: all of it with `--dry-run` or `--no-wait`, else the first \
             line",
        schema: schema_of::<ReloadPlan>,
    },
    Output {
        name: "config",
        version: 1,
        of: "`supervisor config --json`",
        schema: config,
    },
];

impl Output {
    /// Its schema as a document of its own.
    ///
    /// # Panics
    /// When a type has no object as its schema, which none has.
    #[must_use]
    pub fn document(&self) -> Value {
        let Value::Object(mut document) = (self.schema)().to_value() else {
            panic!("{} has no schema", self.name);
        };
        let id = format!("urn:repram:supervisor:{}:{}", self.name, self.version);
        document.insert("$id".to_owned(), json!(id));
        document.insert(
            "$comment".to_owned(),
            json!(format!("Printed by {}.", self.of)),
        );
        let mut document = Value::Object(document);
        plain(&mut document);
        document
    }
}

/// What is written of a type, which may be more than what is read of it.
fn schema_of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// The settings have no type of their own in this form.
fn config() -> Schema {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings",
        "description": "The effective settings and where each came from.",
        "type": "object",
        "properties": {
            "settings": {
                "description": "Every setting, in the order of the reference page.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "key": text("Its name in the file."),
                        "variable": text("Its first environment variable."),
                        "value": {
                            "type": ["string", "null"],
                            "description": "Its value as a variable holds it; null when it has \
                                            none. A secret is masked.",
                        },
                        "layer": text("Where it was set: the kind of place."),
                        "origin": text("Where it was set, in words."),
                    },
                    "required": ["key", "variable", "value", "layer", "origin"],
                },
            },
            "warnings": {
                "description": "What the user should know.",
                "type": "array",
                "items": { "type": "string" },
            },
        },
        "required": ["settings", "warnings"],
    });
    Schema::try_from(schema).expect("an object is a schema")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = OUTPUTS.iter().map(|output| output.name).collect();
        assert_eq!(names.len(), OUTPUTS.len());
    }

    /// Every command that knows `--json` is named by an output.
    #[test]
    fn every_json_has_a_schema() {
        let mut missing = Vec::new();
        crate::cli::with_json(&mut |command| {
            let words = format!("`supervisor {command}");
            let short = format!("`{}`", command.rsplit(' ').next().unwrap_or(command));
            let named = |output: &Output| {
                output.of.contains(&format!("{words} "))
                    || output.of.contains(&format!("{words}`"))
                    || output.of.contains(&short)
            };
            if !OUTPUTS.iter().any(named) {
                missing.push(command.to_owned());
            }
        });
        assert!(
            missing.is_empty(),
            "no schema for the output of {missing:?}"
        );
    }

    #[test]
    fn a_document_says_which_it_is() {
        for output in OUTPUTS {
            let document = output.document();
            let id = document["$id"].as_str().expect("a text");
            assert!(
                id.ends_with(&format!("{}:{}", output.name, output.version)),
                "{id}"
            );
            assert_eq!(
                document["$schema"],
                "https://json-schema.org/draft/2020-12/schema"
            );
            assert!(document["description"].is_string(), "{document}");
        }
    }
}
