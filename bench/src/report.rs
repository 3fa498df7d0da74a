//! What a benchmark found.

use serde_json::json;

use crate::machine::Machine;
use crate::table::Table;

/// What a benchmark found.
pub(crate) struct Report {
    /// What was measured, in words.
    pub(crate) title: &'static str,
    /// How it was measured, and what has to be known to read the table.
    pub(crate) how: String,
    /// What took part beside what is built here, with versions.
    pub(crate) beside: Vec<String>,
    /// The figures.
    pub(crate) table: Table,
}

impl Report {
    /// As Markdown.
    pub(crate) fn markdown(&self, machine: &Machine) -> String {
        let Self {
            title, how, table, ..
        } = self;
        let beside = match &self.beside[..] {
            [] => String::new(),
            beside => format!(" Also measured: {}.", beside.join(", ")),
        };
        format!(
            "## {title}\n\n{how}\n\n{table}\n{}{beside}\n",
            machine.described()
        )
    }

    /// As one JSON object.
    pub(crate) fn json(&self, machine: &Machine) -> String {
        let object = json!({
            "title": self.title,
            "how": self.how,
            "rows": self.table.to_json(),
            "machine": machine.described(),
            "beside": self.beside,
        });
        format!("{object:#}\n")
    }
}
