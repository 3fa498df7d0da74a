//! The OpenAPI document of the control API: paths by hand, schemas from the types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use super::plain;
use crate::claims::Claims;
use crate::control::{Begun, Ended, Health, Problem, Stopping};
use crate::event::Event;
use crate::fleet::Plan;
use crate::logs::{LineObject, LogStats, RotateReport};
use crate::reload::ReloadPlan;
use crate::status::FleetStatus;
use crate::why::FleetWhy;

/// Everything but the schemas of answers.
const PATHS: &str = include_str!("paths.json");

/// The document (OpenAPI 3.1) that is served as `/openapi.json`.
///
/// # Panics
/// When `paths.json` is none, which it is.
#[must_use]
pub fn document() -> Value {
    let mut document: Value = serde_json::from_str(PATHS).expect("it is JSON");
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    // An OpenAPI document says once for all of them which dialect they are of.
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    add::<FleetStatus>(&mut generator);
    add::<Health>(&mut generator);
    add::<FleetWhy>(&mut generator);
    add::<Claims>(&mut generator);
    add::<Event>(&mut generator);
    add::<LineObject<'_>>(&mut generator);
    add::<LogStats>(&mut generator);
    add::<RotateReport>(&mut generator);
    add::<Plan>(&mut generator);
    add::<Begun>(&mut generator);
    add::<Ended>(&mut generator);
    add::<Stopping>(&mut generator);
    add::<ReloadPlan>(&mut generator);
    add::<Problem>(&mut generator);
    document["components"]["schemas"] = Value::Object(generator.take_definitions(true));
    plain(&mut document);
    document
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    // A type that is no object of its own would stand nowhere.
    let _reference = generator.subschema_for::<T>();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::control::calls;

    #[test]
    fn every_call_is_in_the_document_and_no_other() {
        let document = document();
        let paths = document["paths"].as_object().expect("an object");
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().expect("an object").keys();
                methods.map(move |method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let served: BTreeSet<(String, String)> = calls()
            .map(|(method, path)| (method.to_string(), path.to_owned()))
            .collect();
        assert_eq!(described, served);
    }
}
