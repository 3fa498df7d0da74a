//! Environment variables. Their values stay the text that they are; an empty
//! one counts as unset.

use super::{Given, Layer, Parsed};
use crate::declaration::{Declaration, declarations};
use crate::environment::Environment;
use crate::origin::Origin;
use crate::problem::{Problem, quoted};
use crate::value::MASK;

/// A variable that is set, with its value where that is text.
type Variable<'a> = (&'static str, Option<&'a str>);

/// What the environment says about each setting.
pub(crate) fn environment(environment: &Environment) -> Parsed {
    let mut layer = Layer::new("environment");
    let mut problems = Vec::new();
    for declaration in declarations() {
        let variables: Vec<Variable<'_>> = declaration
            .variables()
            .iter()
            .filter_map(|name| Some((*name, environment.variable(name)?.to_str())))
            .collect();
        let Some((name, text)) = variables.first().copied() else {
            continue;
        };
        let before = problems.len();
        let not_unicode = variables.iter().filter(|(_, text)| text.is_none());
        problems.extend(not_unicode.map(|(variable, _)| Problem::NotUnicode { variable }));
        problems.extend(
            variables
                .iter()
                .skip(1)
                .filter_map(|other| differing(declaration, (name, text?), (other.0, other.1?))),
        );
        let good = problems.len() == before;
        let text = if good { text.map(str::to_owned) } else { None };
        let origin = Origin::Variable(name.to_owned());
        layer.insert(
            declaration.key(),
            Given {
                text,
                origin,
                toml_type: None,
            },
        );
    }
    Parsed { layer, problems }
}

/// Two variables of one setting may both be set when they mean the same.
fn differing(
    declaration: &Declaration,
    (first, one): (&'static str, &str),
    (second, other): (&'static str, &str),
) -> Option<Problem> {
    let same = match (declaration.canonical(one), declaration.canonical(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), _) | (_, Err(_)) => one == other,
    };
    let show = |text| {
        if declaration.is_secret() {
            MASK.to_owned()
        } else {
            quoted(text)
        }
    };
    let found = [show(one), show(other)];
    (!same).then_some(Problem::Differing {
        variables: [first, second],
        found,
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;
    use crate::environment::Role;

    fn parsed(variables: &[(&str, &[u8])]) -> Parsed {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).into(), OsString::from_vec(value.to_vec())))
            .collect();
        environment(&Environment {
            variables,
            pid1: false,
            uid: 0,
            role: Role::Supervisor,
        })
    }

    fn problems(variables: &[(&str, &[u8])]) -> Vec<String> {
        parsed(variables)
            .problems
            .iter()
            .map(Problem::to_string)
            .collect()
    }

    #[test]
    fn values_stay_text() {
        for text in ["007", "1.10", "true", "[1]", " x ", "\"q\"", "{}"] {
            let parsed = parsed(&[("REPRAM_ENCLAVE", text.as_bytes())]);
            assert_eq!(parsed.layer.text("enclave"), Some(text));
        }
    }

    #[test]
    fn an_empty_variable_is_unset() {
        assert_eq!(
            parsed(&[("NODE_COUNT", b"")]).layer.text("node_count"),
            None
        );
        let alias = parsed(&[("REPLICATION_FACTOR", b""), ("REPRAM_REPLICATION", b"2")]);
        assert_eq!(alias.layer.text("replication_factor"), Some("2"));
        assert!(alias.problems.is_empty());
    }

    #[test]
    fn the_first_of_two_entries_counts() {
        let parsed = parsed(&[("NODE_COUNT", b"1"), ("NODE_COUNT", b"2")]);
        assert_eq!(parsed.layer.text("node_count"), Some("1"));
    }

    #[test]
    fn aliases_must_agree() {
        assert_eq!(
            problems(&[("REPRAM_REPLICATION", b"2"), ("REPLICATION_FACTOR", b"3")]),
            [
                "REPLICATION_FACTOR and REPRAM_REPLICATION: found \"3\" and \"2\", allowed is one \
              value, because they are two names of one setting"
            ]
        );
        let same: [(&str, &[u8]); 2] =
            [("REPRAM_REPLICATION", b"03"), ("REPLICATION_FACTOR", b"3")];
        assert!(problems(&same).is_empty());
        let both_bad: [(&str, &[u8]); 2] =
            [("REPRAM_REPLICATION", b"x"), ("REPLICATION_FACTOR", b"x")];
        assert!(problems(&both_bad).is_empty());
    }

    #[test]
    fn bytes_that_are_no_text_are_named() {
        let expect = "LOG_DIR: found bytes that are not UTF-8, allowed is text in UTF-8";
        assert_eq!(
            problems(&[("LOG_DIR", b"/tmp/\xff"), ("OTHER", b"\xff")]),
            [expect]
        );
    }
}
