//! Every setting of the supervisor and the node, declared once.
//!
//! A setting is one entry of the table in `settings`: its key, type, bounds,
//! default, environment variables and meaning. From that table come the field
//! of [`Settings`], the parser, the flags of the command line, the environment
//! of a node, `supervisor config` and the reference page.
//!
//! [`load`] takes four layers, of which a later one wins: defaults, a TOML
//! file, environment variables, flags. It reads what the layers say as the
//! setting's own type says, never by guessing, and it does not stop at the
//! first mistake: either all settings are good, or every [`Problem`] is
//! reported with the setting as the user wrote it.
//!
//! Reading settings touches nothing outside but the files that they name: the
//! configuration file and the file of a secret.
//!
//! [`MemoryGroup`] is here because the defaults of limits come from it.

mod cgroup;
mod change;
mod declaration;
mod environment;
mod flag;
mod layers;
mod load;
mod loaded;
mod nearest;
mod origin;
mod problem;
mod reference;
mod settings;
mod value;
mod warning;

pub use self::cgroup::MemoryGroup;
pub use self::change::Change;
pub use self::declaration::{Declaration, Reload, Section, declaration, declarations};
pub use self::environment::{Environment, Role};
pub use self::flag::Flag;
pub use self::load::load;
pub use self::loaded::Loaded;
pub use self::origin::{Origin, Origins};
pub use self::problem::{Place, Problem, Problems};
pub use self::reference::reference;
pub use self::settings::{NODE_COUNT_MAX, Settings};
pub use self::value::{
    AdvertisedPort, ClaimScope, LogDir, LogFormat, LogLevel, LogStdout, OnFailed, PeerAddress,
    Probe, ProbePort, ReplicationFactor, Secret,
};
pub use self::warning::Warning;
