//! Contestants that take turns.

use crate::progress::Progress;
use crate::sample::Sample;

/// Something that is measured: a name, and one run of it.
pub(crate) struct Contestant<'a, const FIGURES: usize> {
    /// What the report calls it.
    pub(crate) name: String,
    /// One run, from nothing to nothing; its figures, each in the unit of its column.
    pub(crate) run: Box<dyn Fn() -> [f64; FIGURES] + 'a>,
}

/// The figures of one contestant over all runs.
pub(crate) struct Standing<const FIGURES: usize> {
    /// What the report calls it.
    pub(crate) name: String,
    /// One sample per figure.
    pub(crate) figures: [Sample; FIGURES],
}

/// Lets every contestant run once unmeasured, so that no first time is measured, and
/// then `runs` times in turns: A B A B, so that slow changes of the machine meet all
/// of them alike.
pub(crate) fn compete<const FIGURES: usize>(
    contestants: &[Contestant<'_, FIGURES>],
    runs: usize,
) -> Vec<Standing<FIGURES>> {
    let progress = Progress::of(contestants.len() * (1 + runs));
    let mut standings: Vec<_> = contestants
        .iter()
        .map(|contestant| {
            let name = format!("{} warms up", contestant.name);
            progress.step(&name, || (contestant.run)());
            let figures = std::array::from_fn(|_| Sample::default());
            Standing {
                name: contestant.name.clone(),
                figures,
            }
        })
        .collect();
    for run in 1..=runs {
        for (contestant, standing) in contestants.iter().zip(&mut standings) {
            let name = format!("{}, run {run} of {runs}", contestant.name);
            let figures = progress.step(&name, || (contestant.run)());
            for (sample, figure) in standing.figures.iter_mut().zip(figures) {
                sample.add(figure);
            }
        }
    }
    standings
}
