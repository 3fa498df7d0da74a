//! The command line.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use repram_config::{Flag, declarations};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invocation {
    Help,
    Version,
    Run {
        config: Option<PathBuf>,
        flags: Vec<Flag>,
    },
}

/// Why a command line cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UsageError {
    #[error("{0:?} is no flag; --help lists them")]
    Unknown(String),
    #[error("{0} needs a value")]
    NoValue(String),
    #[error("the argument {0:?} is not UTF-8")]
    NotUtf8(OsString),
}

/// Reads the arguments, the program's name left out. Every setting has a flag: `--key value`
/// or `--key=value`.
pub(super) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Invocation, UsageError> {
    let mut config = None;
    let mut flags = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let argument = argument.into_string().map_err(UsageError::NotUtf8)?;
        if matches!(argument.as_str(), "--help" | "-h") {
            return Ok(Invocation::Help);
        }
        if matches!(argument.as_str(), "--version" | "-V") {
            return Ok(Invocation::Version);
        }
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(OsString::from(value))),
            None => (argument, None),
        };
        let known = if name == "--config" {
            Some(None)
        } else {
            key_of(&name).map(Some)
        };
        let key = known.ok_or_else(|| UsageError::Unknown(name.clone()))?;
        let value = value
            .or_else(|| arguments.next())
            .ok_or(UsageError::NoValue(name))?;
        match key {
            None => config = Some(PathBuf::from(value)),
            Some(key) => {
                let value = value.into_string().map_err(UsageError::NotUtf8)?;
                flags.push(Flag { key, value });
            }
        }
    }
    Ok(Invocation::Run { config, flags })
}

fn key_of(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("--")?;
    let named = |flag: Option<String>| flag.is_some_and(|flag| flag == name);
    declarations()
        .iter()
        .find(|it| named(it.flag()))
        .map(|it| it.key())
}

/// What `--help` shows.
pub(super) fn help() -> String {
    let mut text = String::from(
        "repram-node: one node of an ephemeral, replicated key-value store over HTTP\n\n\
         Usage: repram-node [--config FILE] [--SETTING VALUE]...\n\n  \
         --config FILE    settings in TOML (or REPRAM_CONFIG)\n  \
         --help           this text\n  \
         --version        the version\n\n\
         Without ports it serves HTTP on 8080 and gossip on 8080 + GOSSIP_PORT_OFFSET; with\n\
         USE_AUTO_DISCOVERY=true it claims a free pair of the range from BASE_PORT on.\n\n\
         Settings, each also as an environment variable:\n",
    );
    for declaration in declarations() {
        if let Some(flag) = declaration.flag() {
            let flag = format!("--{flag}");
            let (variable, default) = (declaration.variable(), declaration.default_text());
            let _ = writeln!(text, "  {flag:<28} {variable} [{default}]");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], expect: Result<Invocation, UsageError>) {
        assert_eq!(
            parse(arguments.iter().map(OsString::from)),
            expect,
            "{arguments:?}"
        );
    }

    fn run(config: Option<&str>, flags: &[(&'static str, &str)]) -> Result<Invocation, UsageError> {
        let flag = |&(key, value): &(&'static str, &str)| Flag {
            key,
            value: value.to_owned(),
        };
        Ok(Invocation::Run {
            config: config.map(PathBuf::from),
            flags: flags.iter().map(flag).collect(),
        })
    }

    #[test]
    fn command_lines() {
        check(&[], run(None, &[]));
        check(
            &["--http-port", "80", "--enclave=a=b"],
            run(None, &[("http_port", "80"), ("enclave", "a=b")]),
        );
        check(&["--config=x.toml"], run(Some("x.toml"), &[]));
        check(&["--config", "x.toml"], run(Some("x.toml"), &[]));
        check(&["--http-port", "80", "--help"], Ok(Invocation::Help));
        check(&["-V"], Ok(Invocation::Version));
        check(
            &["--http-port"],
            Err(UsageError::NoValue("--http-port".to_owned())),
        );
        check(
            &["--nonsense=1"],
            Err(UsageError::Unknown("--nonsense".to_owned())),
        );
        check(&["run"], Err(UsageError::Unknown("run".to_owned())));
        let secret = "--cluster-secret".to_owned();
        check(&["--cluster-secret", "x"], Err(UsageError::Unknown(secret)));
    }

    #[test]
    fn the_help_names_every_flag() {
        let help = help();
        assert!(help.contains("--http-port"), "{help}");
        assert!(!help.contains("--cluster-secret "), "{help}");
    }
}
