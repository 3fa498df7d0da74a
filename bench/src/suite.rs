//! `supervisor` and `node`: several benchmarks one after the other.

use std::panic::catch_unwind;

use clap::{Args, Command};

use crate::machine::Machine;
use crate::report::Report;
use crate::{cluster, logs, membership, node, orphans, rest, restart, start, stop};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs of each contestant; by itself each benchmark has more.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
}

/// Something that can be measured without being told more than how often; nothing where this
/// machine cannot.
struct Part {
    name: &'static str,
    measure: fn(&[String]) -> Option<Report>,
}

/// All that is measured of one program.
#[derive(Clone, Copy)]
pub(crate) enum Suite {
    /// `supervisor`, beside other supervisors.
    Supervisor,
    /// `repram-node`, beside other stores.
    Node,
}

impl Suite {
    fn parts(self) -> &'static [Part] {
        const SUPERVISOR: &[Part] = &[
            Part {
                name: "start",
                measure: |words| Some(start::measure(&options(words))),
            },
            Part {
                name: "cluster",
                measure: |words| Some(cluster::measure(&options(words))),
            },
            Part {
                name: "restart",
                measure: |words| Some(restart::measure(&options(words))),
            },
            Part {
                name: "stop",
                measure: |words| Some(stop::measure(&options(words))),
            },
            Part {
                name: "rest",
                measure: |words| Some(rest::measure(&options(words))),
            },
            Part {
                name: "logs",
                measure: |words| Some(logs::measure(&options(words))),
            },
            Part {
                name: "orphans",
                measure: |words| orphans::measure(&options(words)),
            },
        ];
        const NODE: &[Part] = &[
            Part {
                name: "throughput",
                measure: |words| Some(node::throughput::measure(&options(words))),
            },
            Part {
                name: "footprint",
                measure: |words| Some(node::footprint::measure(&options(words))),
            },
            Part {
                name: "lag",
                measure: |words| Some(node::lag::measure(&options(words))),
            },
            Part {
                name: "expiry",
                measure: |words| Some(node::expiry::measure(&options(words))),
            },
            Part {
                name: "membership",
                measure: |words| Some(membership::measure(&options(words))),
            },
        ];
        match self {
            Self::Supervisor => SUPERVISOR,
            Self::Node => NODE,
        }
    }

    /// Measures part after part, and hands each report over as soon as it is there, with the
    /// machine as it was before that part. A part that breaks off keeps none of the others from
    /// being measured.
    ///
    /// # Errors
    /// Which parts have broken off; why, they have said themselves.
    pub(crate) fn measure(
        self,
        options: &Options,
        mut tell: impl FnMut(&Report, &Machine),
    ) -> Result<(), String> {
        let words = ["--runs".to_owned(), options.runs.to_string()];
        let parts = self.parts();
        let mut broken = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            eprintln!("{} ({} of {}) ...", part.name, number + 1, parts.len());
            let machine = Machine::here();
            match catch_unwind(|| (part.measure)(&words)) {
                Ok(Some(report)) => tell(&report, &machine),
                Ok(None) => eprintln!("{} cannot be measured here", part.name),
                Err(_said) => broken.push(part.name),
            }
        }
        match broken[..] {
            [] => Ok(()),
            _ => Err(format!("not measured to the end: {}", broken.join(", "))),
        }
    }
}

/// The options of a benchmark that is told these words and nothing else.
fn options<T: Args>(words: &[String]) -> T {
    let command = T::augment_args(Command::new("").no_binary_name(true));
    let matches = command.get_matches_from(words);
    T::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_takes_the_words_that_it_is_told() {
        fn check<T: Args>() {
            let _told_how_often: T = options(&["--runs".to_owned(), "3".to_owned()]);
        }
        check::<start::Options>();
        check::<cluster::Options>();
        check::<restart::Options>();
        check::<stop::Options>();
        check::<rest::Options>();
        check::<logs::Options>();
        check::<orphans::Options>();
        check::<node::throughput::Options>();
        check::<node::footprint::Options>();
        check::<node::lag::Options>();
        check::<node::expiry::Options>();
        check::<membership::Options>();
    }
}
