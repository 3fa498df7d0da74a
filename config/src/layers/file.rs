//! The TOML file. Its syntax errors, unknown keys and values are all found in
//! one pass, each with its line.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::{Given, Layer, Parsed};
use crate::declaration::declaration;
use crate::environment::Environment;
use crate::nearest::nearest_key;
use crate::origin::Origin;
use crate::problem::{Place, Problem};
use crate::value::TomlType;

/// A configuration has under a hundred lines; a file of this size is not one.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// One mistake in TOML easily makes a parser stumble over what follows, and
/// nobody reads more of its complaints than this.
const SYNTAX_PROBLEMS_MAX: usize = 10;

/// Which file is read, and who said so: the flag, else the variable.
pub(crate) fn config_file(
    environment: &Environment,
    flag: Option<&Path>,
) -> Option<(PathBuf, Place)> {
    if let Some(path) = flag {
        return Some((
            path.to_owned(),
            Place::config(Origin::Flag("--config".to_owned())),
        ));
    }
    let variable = "REPRAM_CONFIG";
    let path = PathBuf::from(environment.variable(variable)?);
    Some((path, Place::config(Origin::Variable(variable.to_owned()))))
}

/// What the file says.
///
/// # Errors
///
/// Returns the problems of a file that cannot be read at all or is no TOML:
/// then nobody knows what its author wanted.
pub(crate) fn read_file(path: PathBuf, place: Place) -> Result<Parsed, Vec<Problem>> {
    let text = read_text(&path).map_err(|source| {
        let allowed = "a readable TOML file of at most 1 MiB".to_owned();
        vec![Problem::Unreadable {
            place,
            path: path.clone(),
            allowed,
            source,
        }]
    })?;
    parse(&path, &text)
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

fn parse(path: &Path, text: &str) -> Result<Parsed, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(syntax_problems(path, text, &errors));
    }
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);

    let mut layer = Layer::new("file");
    let mut problems = Vec::new();
    for (key, value) in entries {
        let (line, _) = position(text, key.span().start);
        let name = key.get_ref().as_ref();
        let Some(declaration) = declaration(name) else {
            problems.push(Problem::UnknownKey {
                path: path.to_owned(),
                line,
                key: name.to_owned(),
                table: value.get_ref().is_table(),
                nearest: nearest_key(name),
            });
            continue;
        };
        let (toml_type, value) = read_value(value);
        let origin = Origin::File {
            path: path.to_owned(),
            line,
        };
        let given = Given {
            text: Some(value),
            origin,
            toml_type: Some(toml_type),
        };
        layer.insert(declaration.key(), given);
    }
    Ok(Parsed { layer, problems })
}

/// The first mistake of each line, in the order of the file.
fn syntax_problems(path: &Path, text: &str, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut mistakes: Vec<_> = errors
        .iter()
        .map(|error| {
            (
                position(text, error.span().map_or(0, |span| span.start)),
                error.message(),
            )
        })
        .collect();
    mistakes.sort_by_key(|(position, _)| *position);
    mistakes.dedup_by_key(|((line, _), _)| *line);
    mistakes.truncate(SYNTAX_PROBLEMS_MAX);
    let problem = |((line, column), message): ((usize, usize), &str)| Problem::Syntax {
        path: path.to_owned(),
        line,
        column,
        message: message.to_owned(),
    };
    mistakes.into_iter().map(problem).collect()
}

/// The type of a value, and its text as another layer would write it.
fn read_value(value: &Spanned<DeValue<'_>>) -> (TomlType, String) {
    match value.get_ref() {
        DeValue::String(text) => (TomlType::String, text.as_ref().to_owned()),
        DeValue::Integer(integer) => (TomlType::Integer, decimal(integer)),
        DeValue::Float(float) => (TomlType::Float, float.as_str().to_owned()),
        DeValue::Boolean(boolean) => (TomlType::Boolean, boolean.to_string()),
        DeValue::Array(items) => {
            let texts: Option<Vec<&str>> =
                items.iter().map(|item| item.get_ref().as_str()).collect();
            match texts {
                Some(texts) => (TomlType::StringArray, texts.join(",")),
                None => (
                    TomlType::Other("an array that does not hold strings only"),
                    String::new(),
                ),
            }
        }
        DeValue::Datetime(_) => (TomlType::Other("a date or a time"), String::new()),
        DeValue::Table(_) => (TomlType::Other("a table"), String::new()),
    }
}

/// TOML also writes integers with a radix and underscores.
fn decimal(integer: &DeInteger<'_>) -> String {
    i128::from_str_radix(integer.as_str(), integer.radix())
        .map_or_else(|_| integer.to_string(), |number| number.to_string())
}

/// Line and column of a byte, both counted from 1, the column in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Parsed {
        parse(Path::new("repram.toml"), text).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    #[track_caller]
    fn check_problems(text: &str, expect: &[&str]) {
        let problems = match parse(Path::new("repram.toml"), text) {
            Ok(parsed) => parsed.problems,
            Err(problems) => problems,
        };
        let found: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(found, expect, "{text}");
    }

    #[track_caller]
    fn check_value(text: &str, expect_type: TomlType, expect: &str) {
        let parsed = read(&format!("enclave = {text}"));
        let given = &parsed.layer.given["enclave"];
        assert_eq!(given.toml_type, Some(expect_type), "{text}");
        assert_eq!(given.text.as_deref(), Some(expect), "{text}");
    }

    #[test]
    fn values_keep_their_type() {
        check_value("\"007\"", TomlType::String, "007");
        check_value("'''a'''", TomlType::String, "a");
        check_value("7", TomlType::Integer, "7");
        check_value("+7", TomlType::Integer, "7");
        check_value("1_000", TomlType::Integer, "1000");
        check_value("0x1F", TomlType::Integer, "31");
        check_value("-1", TomlType::Integer, "-1");
        check_value("0.5", TomlType::Float, "0.5");
        check_value("true", TomlType::Boolean, "true");
        check_value("[\"a\", \"b\"]", TomlType::StringArray, "a,b");
        check_value("[]", TomlType::StringArray, "");
        check_value("{ a = 1 }", TomlType::Other("a table"), "");
        check_value("1979-05-27", TomlType::Other("a date or a time"), "");
    }

    #[test]
    fn an_origin_is_a_line() {
        let parsed = read("# first\n\nnode_count = 3\n  log_dir='/x'\r\n");
        let line = |key: &str| parsed.layer.given[key].origin.to_string();
        assert_eq!(line("node_count"), "repram.toml:3");
        assert_eq!(line("log_dir"), "repram.toml:4");
    }

    #[test]
    fn unknown_keys_in_the_order_of_the_file() {
        check_problems(
            "zebra = 1\nnode_cuont = 3\n[ports]\nbase_port = 1\n",
            &[
                "repram.toml:1: unknown key \"zebra\"; no setting has a similar name",
                "repram.toml:2: unknown key \"node_cuont\"; did you mean node_count?",
                "repram.toml:3: unknown table \"ports\"; all settings stand at the top, outside of \
                 tables",
            ],
        );
    }

    #[test]
    fn positions_count_characters_from_one() {
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("ab\ncd", 3), (2, 1));
        assert_eq!(position("ä\nöx", 5), (2, 2));
        assert_eq!(position("ab", 99), (1, 3));
    }

    /// Keys, signs of equality, brackets and quotes in a likely order.
    fn almost_toml() -> impl Strategy<Value = String> {
        "([a-z_]{1,4}( = |=|\\.)?[0-9\"'\\[\\]{}]{0,3}[\n ]?){0,8}"
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(text in "\\PC*") {
            if let Err(problems) = parse(Path::new("repram.toml"), &text) {
                prop_assert!(!problems.is_empty() && problems.len() <= SYNTAX_PROBLEMS_MAX);
            }
        }

        #[test]
        fn almost_a_file_is_read_or_refused(text in almost_toml()) {
            let _ = parse(Path::new("repram.toml"), &text);
        }
    }
}
