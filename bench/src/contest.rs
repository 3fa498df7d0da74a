//! Contestants that take turns.

use std::time::Duration;

use crate::sample::Sample;

/// Something that is measured: a name, and one run of it.
pub(crate) struct Contestant<'a, const FIGURES: usize> {
    /// What the report calls it.
    pub(crate) name: &'static str,
    /// One run, from nothing to nothing; its figures.
    pub(crate) run: Box<dyn Fn() -> [Duration; FIGURES] + 'a>,
}

/// The figures of one contestant over all runs.
pub(crate) struct Standing<const FIGURES: usize> {
    /// What the report calls it.
    pub(crate) name: &'static str,
    /// One sample per figure.
    pub(crate) figures: [Sample; FIGURES],
}

/// Lets every contestant run once unmeasured, so that all files are in memory, and
/// then `runs` times in turns: A B A B, so that slow changes of the machine meet all
/// of them alike.
pub(crate) fn compete<const FIGURES: usize>(
    contestants: &[Contestant<'_, FIGURES>],
    runs: usize,
) -> Vec<Standing<FIGURES>> {
    let mut standings: Vec<_> = contestants
        .iter()
        .map(|contestant| {
            (contestant.run)();
            let figures = std::array::from_fn(|_| Sample::default());
            Standing {
                name: contestant.name,
                figures,
            }
        })
        .collect();
    for _ in 0..runs {
        for (contestant, standing) in contestants.iter().zip(&mut standings) {
            for (sample, figure) in standing.figures.iter_mut().zip((contestant.run)()) {
                sample.add(figure);
            }
        }
    }
    standings
}
