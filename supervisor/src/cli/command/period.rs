//! From when to when something is wanted.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::cli::execute::CommandError;
use crate::cli::since::Since;

/// From when to when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Period {
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Period {
    /// The moments that `--since` and `--until` mean now.
    pub(super) fn of(since: Option<&Since>, until: Option<&Since>) -> Result<Self, CommandError> {
        let now = Zoned::now();
        let moment = |flag: &str, since: Option<&Since>| {
            let Some(since) = since else {
                return Ok(None);
            };
            let wrong = || CommandError::Usage(format!("{flag} is no moment on the calendar"));
            since.resolve(&now).map(Some).ok_or_else(wrong)
        };
        Ok(Self {
            since: moment("--since", since)?,
            until: moment("--until", until)?,
        })
    }
}

/// The zone in which times are shown.
pub(super) fn zone(utc: bool) -> TimeZone {
    if utc {
        TimeZone::UTC
    } else {
        TimeZone::system()
    }
}
