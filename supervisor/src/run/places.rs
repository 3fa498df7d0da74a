//! The folders that belong to this supervisor alone.

use std::path::Path;

use repram_config::{Loaded, LogDir, Problem};
use repram_discovery::chain::chain;
use repram_discovery::state_dir::{DirLock, StateDir, StateDirError};

use super::start::Refused;
use crate::logs::{LogConfig, Logs};

/// What LOG_DIR may be.
const LOG_DIR_ALLOWED: &str = "a folder that can be written, or `off`";

/// STATE_DIR and LOG_DIR, locked.
pub(super) struct Places {
    pub(super) state: StateDir,
    pub(super) logs: Logs,
    /// What a person should know of them.
    pub(super) warnings: Vec<String>,
    pub(super) log_lock: Option<DirLock>,
}

impl Places {
    /// Locks both.
    ///
    /// # Errors
    /// When another supervisor uses one or both of them, or logs cannot be written.
    pub(super) fn open(loaded: &Loaded) -> Result<Self, Refused> {
        let settings = &loaded.settings;
        let mut warnings = Vec::new();
        let mut taken = None;
        let state = StateDir::open(&settings.state_dir).unwrap_or_else(|error| {
            match error {
                StateDirError::InUse { path, pid } => {
                    taken = Some(in_use(loaded, "state_dir", &path, pid));
                }
                error => warnings.push(format!(
                    "STATE_DIR cannot be used, identities last only as long as this process: {}",
                    chain(&error)
                )),
            }
            StateDir::in_memory()
        });
        let lock = match &settings.log_dir {
            // A start that is refused makes no folder.
            LogDir::Path(dir) if taken.is_none() || dir.is_dir() => {
                lock_logs(loaded, dir, &state).map(Some)
            }
            LogDir::Path(_) | LogDir::Off => Ok(None),
        };
        let log_lock = match (taken, lock) {
            (None, Ok(lock)) => lock,
            (taken, lock) => {
                let problems = taken.into_iter().chain(lock.err());
                return Err(Refused::settings(problems.collect()));
            }
        };
        let logs = LogConfig::from_settings(settings)
            .build()
            .map_err(|error| {
                Refused::setting(loaded.problem("log_dir", chain(&error), LOG_DIR_ALLOWED))
            })?;
        Ok(Self {
            state,
            logs,
            warnings,
            log_lock,
        })
    }
}

fn in_use(loaded: &Loaded, key: &str, dir: &Path, pid: Option<u32>) -> Problem {
    let who = pid.map_or_else(
        || "another supervisor".to_owned(),
        |pid| format!("pid {pid}"),
    );
    let found = format!("{}, which {who} uses", dir.display());
    loaded.problem(key, found, "a folder that no other supervisor uses")
}

fn lock_logs(loaded: &Loaded, dir: &Path, state: &StateDir) -> Result<DirLock, Problem> {
    std::fs::create_dir_all(dir).map_err(|error| {
        let found = format!("{}, which could not be made: {error}", dir.display());
        loaded.problem("log_dir", found, LOG_DIR_ALLOWED)
    })?;
    DirLock::acquire(dir, state.lock()).map_err(|error| match error {
        StateDirError::InUse { path, pid } => in_use(loaded, "log_dir", &path, pid),
        error => loaded.problem("log_dir", chain(&error), LOG_DIR_ALLOWED),
    })
}
