//! The lowest layer: what nobody set.

use super::{Given, Layer};
use crate::declaration::{DefaultValue, declarations};
use crate::environment::Environment;
use crate::origin::Origin;

/// The defaults that do not depend on other settings.
pub(crate) fn defaults(environment: &Environment) -> Layer {
    let mut layer = Layer::new("defaults");
    for declaration in declarations() {
        let text = match &declaration.default {
            DefaultValue::Text(text) => (*text).to_owned(),
            DefaultValue::Computed(_, value) => value(environment),
            DefaultValue::Derived(..) | DefaultValue::Unset(_) => continue,
        };
        let origin = Origin::Default;
        layer.insert(
            declaration.key(),
            Given {
                text: Some(text),
                origin,
                toml_type: None,
            },
        );
    }
    layer
}
