//! The reference page of the settings, made from their declarations.

use crate::declaration::{Declaration, Effect, declarations};
use crate::value::any_of;

/// What does not depend on a single setting.
const INTRODUCTION: &str = include_str!("reference.md");

/// The page as Markdown: how settings are given and written, then each with
/// its names, default, bounds and meaning.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    let sections = declarations().chunk_by(|one, other| one.section() == other.section());
    for section in sections {
        let title = section
            .first()
            .map_or("", |declaration| declaration.section().title());
        page.push_str(&format!("\n## {title}\n"));
        section
            .iter()
            .for_each(|declaration| page.push_str(&entry(declaration)));
    }
    page
}

fn entry(declaration: &Declaration) -> String {
    let variables = declaration.variables();
    let mut lines = vec![
        format!("\n### `{}`\n", variables[0]),
        format!("{}\n", meaning(declaration)),
        format!("- default: {}", default(declaration)),
        format!("- allowed: {}", declaration.allowed()),
        format!(
            "- in the file: `{}`, {}",
            declaration.key(),
            any_of(declaration.toml_types())
        ),
    ];
    if let Some(flag) = declaration.flag() {
        lines.push(format!("- flag: `--{flag}`"));
    }
    if let [_, aliases @ ..] = variables
        && !aliases.is_empty()
    {
        lines.push(format!("- also: `{}`", aliases.join("`, `")));
    }
    lines.push(format!("- on reload: {}", declaration.reload().meaning()));
    lines.join("\n") + "\n"
}

fn meaning(declaration: &Declaration) -> String {
    let doc = declaration.doc();
    match declaration.effect {
        Effect::Effective => doc.to_owned(),
        Effect::PerNode => format!("{doc} The supervisor sets it for each of its nodes."),
    }
}

fn default(declaration: &Declaration) -> String {
    let text = declaration.default_text();
    if declaration.default_is_literal() {
        format!("`{text}`")
    } else {
        text.to_owned()
    }
}
