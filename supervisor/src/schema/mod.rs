//! JSON Schemas (draft 2020-12) of what is answered and printed as JSON, made from the types
//! themselves: a page for each output of the command line ([`OUTPUTS`]), and the document of
//! the control API ([`document()`]).
//!
//! A schema says what is there, not that nothing else is: fields may be added at any time. What
//! is renamed, removed or changes its meaning makes another version, which is a part of the
//! schema's `$id`.

mod document;
mod output;

pub use document::document;
pub use output::{OUTPUTS, Output};

use serde_json::Value;

/// Makes the text of doc comments into text for everybody: no line breaks, no links into the
/// code.
fn plain(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "description" => {
                        *text = text
                            .replace('\n', " ")
                            .replace("[`", "`")
                            .replace("`]", "`");
                    }
                    value => plain(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(plain),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
