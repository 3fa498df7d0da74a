//! Settings as one user writes them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use repram_config::{Environment, Flag, Loaded, Problems, Role, load};

/// One user's way to write settings.
pub(crate) struct Case {
    pub(crate) environment: Environment,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) file: Option<PathBuf>,
    pub(crate) flags: Vec<Flag>,
}

impl Case {
    pub(crate) fn new() -> Self {
        let environment = Environment {
            variables: Vec::new(),
            pid1: false,
            uid: 1000,
            role: Role::Supervisor,
        };
        let directory = tempfile::tempdir().unwrap();
        Self {
            environment,
            directory,
            file: None,
            flags: Vec::new(),
        }
    }

    /// Variables as one string: `A=1 B=2`.
    pub(crate) fn of(variables: &str) -> Self {
        variables
            .split_whitespace()
            .fold(Self::new(), |case, variable| {
                let (name, value) = variable.split_once('=').unwrap();
                case.variable(name, value.as_bytes())
            })
    }

    pub(crate) fn variable(mut self, name: &str, value: &[u8]) -> Self {
        self.environment
            .variables
            .push((name.into(), OsString::from_vec(value.to_vec())));
        self
    }

    pub(crate) fn node(mut self) -> Self {
        self.environment.role = Role::Node;
        self
    }

    pub(crate) fn pid1(mut self) -> Self {
        self.environment.pid1 = true;
        self
    }

    pub(crate) fn file(mut self, text: &str) -> Self {
        self.file = Some(self.write("repram.toml", text));
        self
    }

    pub(crate) fn flag(mut self, key: &'static str, value: &str) -> Self {
        self.flags.push(Flag {
            key,
            value: value.to_owned(),
        });
        self
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn load(&self) -> Result<Loaded, Problems> {
        load(&self.environment, self.file.as_deref(), &self.flags)
    }

    #[track_caller]
    pub(crate) fn good(&self) -> Loaded {
        self.load().unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// The problems, one per line, with the test's directory left out.
    #[track_caller]
    pub(crate) fn bad(&self, expect: &[&str]) {
        let problems = match self.load() {
            Ok(loaded) => panic!("no problem:\n{}", loaded.render()),
            Err(problems) => problems,
        };
        let directory = format!("{}/", self.directory.path().display());
        let found: Vec<String> = problems
            .iter()
            .map(|problem| problem.to_string().replace(&directory, ""))
            .collect();
        assert_eq!(found, expect);
    }

    #[track_caller]
    pub(crate) fn warned(&self, expect: &[&str]) {
        let warnings: Vec<String> = self
            .good()
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(warnings, expect);
    }
}

/// Variables as one string, and the problems that they are.
#[track_caller]
pub(crate) fn check(variables: &str, expect: &[&str]) {
    Case::of(variables).bad(expect);
}
