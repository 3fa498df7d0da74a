//! How much time the probes give a node to start.

use std::time::Duration;

use super::table::Draft;
use crate::value::Probe;

impl Draft {
    /// How long a node may take by the settings of its probes alone: until its startup probe
    /// has failed too often, and from then until so many readiness probes could succeed as
    /// are needed. `None` while one of them has no value that can be trusted.
    pub(crate) fn start_allowance(&self) -> Option<Duration> {
        let startup = match self.startup_probe.as_ref()? {
            Probe::Off => Duration::ZERO,
            Probe::Http { .. } | Probe::Tcp { .. } => {
                let span = self
                    .startup_period?
                    .saturating_mul(self.startup_failure_threshold?);
                self.startup_initial_delay?.saturating_add(span)
            }
        };
        let readiness = match self.readiness_probe.as_ref()? {
            Some(Probe::Off) => Duration::ZERO,
            None | Some(Probe::Http { .. } | Probe::Tcp { .. }) => {
                let more = self.readiness_success_threshold?.saturating_sub(1);
                let span = self.readiness_period?.saturating_mul(more);
                self.readiness_initial_delay?.saturating_add(span)
            }
        };
        Some(startup.saturating_add(readiness))
    }
}
