//! Other settings for a fleet that runs.
//!
//! A reload reads the configuration file and the file of the secret again; environment and
//! flags are those of the start. Everything is judged before anything is done: when one
//! setting is wrong, or needs a new start of the supervisor, nothing changes. So the
//! settings that are in use are always those of one file.

mod plan;
mod refused;

pub use plan::{Effect, ReloadPlan, SettingChange};
pub use refused::{ProblemTexts, ReloadRefused};
