//! Settings that can be relied on, and how they came about.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::declaration::{Declaration, declaration};
use crate::origin::{Origin, Origins};
use crate::problem::{Place, Problem};
use crate::settings::Settings;
use crate::warning::Warning;

/// Settings that can be relied on, and how they came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The value of every setting.
    pub settings: Settings,
    /// Where each came from.
    pub origins: Origins,
    /// What the user should know, in a stable order.
    pub warnings: Vec<Warning>,
}

/// Longer values do not widen their column.
const VALUE_WIDTH_MAX: usize = 32;

impl Loaded {
    /// Where the setting with this key came from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key)
    }

    /// A problem with a value that could only be judged by using it, such as
    /// a directory that cannot be written: the setting as its user wrote it,
    /// "found" and `found`, "allowed is" and `allowed`.
    ///
    /// # Panics
    ///
    /// Panics when no setting has this key.
    pub fn problem(
        &self,
        key: &str,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Problem {
        let declaration = declaration(key).expect("a problem is one of a declared setting");
        let place = Place::new(declaration, self.origin(key).clone());
        Problem::Value {
            place,
            found: found.into(),
            allowed: allowed.into(),
        }
    }

    /// Takes the address of this host, which nobody set, as the platform tells it; `how` is
    /// its origin in words.
    pub fn learn_node_address(&mut self, address: IpAddr, how: impl Into<String>) {
        self.settings.node_address = Some(address.to_string());
        let origin = Origin::Platform(how.into());
        self.origins.insert("node_address", origin);
    }

    /// The effective settings as aligned columns under a heading: setting,
    /// value, origin. Secrets are masked. Ends with a line end.
    pub fn render(&self) -> String {
        let rows: Vec<[String; 3]> = [["SETTING", "VALUE", "ORIGIN"].map(str::to_owned)]
            .into_iter()
            .chain(
                self.settings
                    .texts()
                    .into_iter()
                    .map(|(declaration, text)| self.row(declaration, text)),
            )
            .collect();
        let width = |column: usize, max: usize| {
            let lengths = rows.iter().map(|row| row[column].chars().count());
            lengths.filter(|length| *length <= max).max().unwrap_or(0)
        };
        let (first, second) = (width(0, usize::MAX), width(1, VALUE_WIDTH_MAX));
        let line = |[setting, value, origin]: &[String; 3]| {
            format!("{setting:first$}  {value:second$}  {origin}\n")
        };
        rows.iter().map(line).collect()
    }

    fn row(&self, declaration: &Declaration, text: Option<String>) -> [String; 3] {
        let origin = match self.origin(declaration.key()) {
            Origin::Variable(name) if name == declaration.variable() => "environment".to_owned(),
            origin => origin.to_string(),
        };
        // Line ends and the like would break the columns.
        let value = text.map_or("-".to_owned(), |text| text.escape_debug().to_string());
        [declaration.variable().to_owned(), value, origin]
    }

    /// The same content for machines, with the warnings. A setting without a
    /// value has `null`; values are text as an environment variable holds it.
    pub fn to_json(&self) -> Value {
        let settings: Vec<Value> = self
            .settings
            .texts()
            .into_iter()
            .map(|(declaration, value)| {
                let origin = self.origin(declaration.key());
                json!({
                    "key": declaration.key(),
                    "variable": declaration.variable(),
                    "value": value,
                    "layer": origin.layer(),
                    "origin": origin.to_string(),
                })
            })
            .collect();
        let warnings: Vec<String> = self.warnings.iter().map(Warning::to_string).collect();
        json!({ "settings": settings, "warnings": warnings })
    }
}
