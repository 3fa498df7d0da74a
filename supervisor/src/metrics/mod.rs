//! What Prometheus reads of the supervisor and, if asked, of its nodes.
//!
//! Nothing here runs between two scrapes. The event loop counts what the status does not keep
//! ([`Tally`]); everything else is looked at when somebody asks. [`page()`] puts it together with
//! the library of the Prometheus project; [`Exposition`] reads such pages again, so that those
//! of the nodes can be merged with it and shown in the older text format, too.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>. Labels take their values from
//! lists that are fixed (states, reasons, checks) or bounded by MAX_PORTS (nodes).

mod catalogue;
mod exposition;
mod families;
mod format;
mod labels;
mod page;
mod process;
mod scrape;
mod tally;

pub use catalogue::{METRICS, Metric, MetricKind, reference};
pub use exposition::{Exposition, ParseError};
pub use format::Format;
pub use page::{Page, page};
pub use process::OwnProcess;
pub use scrape::{Scrape, Scraper, Target};
pub use tally::{NodeTally, ProbeTally, Tally};
