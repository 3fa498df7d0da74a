//! `cores`: the time of the hot paths, by criterion.

use clap::Args;
use criterion::Criterion;

use crate::cores::CORES;

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Only paths whose name contains this.
    #[arg(default_value = "")]
    filter: String,
}

/// Measures and prints, also the difference to the run before.
pub(crate) fn measure(options: &Options) {
    let mut criterion = Criterion::default().without_plots();
    let chosen = CORES
        .iter()
        .filter(|core| core.name.contains(&options.filter));
    for core in chosen {
        let mut path = (core.prepare)();
        criterion.bench_function(core.name, |bencher| bencher.iter(&mut path));
    }
    criterion.final_summary();
}
