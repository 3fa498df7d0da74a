//! Where lines and events go.

use std::sync::Arc;

use repram_config::LogStdout;

use super::files::FileOrder;
use super::outbox::Outbox;
use super::show::ShowOrder;

/// Where lines and events go.
#[derive(Clone, Debug)]
pub(crate) struct Destinations {
    /// The files, when there are any.
    pub(crate) files: Option<Arc<Outbox<FileOrder>>>,
    /// Stdout.
    pub(crate) shown: Arc<Outbox<ShowOrder>>,
    /// What of it all it shows now.
    pub(crate) shows: LogStdout,
}

impl Destinations {
    /// Stdout, when it shows lines.
    pub(crate) fn lines_shown(&self) -> Option<&Outbox<ShowOrder>> {
        (self.shows == LogStdout::All).then_some(&*self.shown)
    }

    /// Stdout, when it shows events.
    pub(crate) fn events_shown(&self) -> Option<&Outbox<ShowOrder>> {
        (self.shows != LogStdout::Off).then_some(&*self.shown)
    }
}
