//! `cargo xtask verify`: every gate, and a summary at the end.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::deny::Deny;
use crate::gates::{GATES, Gate, Pace, Site, Verdict};
use crate::tally::Tally;
use crate::workspace::Workspace;

/// Which gates are run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of them.
    Everything,
    /// Only those that take seconds.
    Quick,
}

/// What came of one gate.
struct Outcome {
    name: &'static str,
    took: Duration,
    verdict: Verdict,
}

/// Runs the gates, all of them also after one failed, shows the output of those
/// that failed, and ends with one line per gate and the number of tests.
pub(crate) fn verify(workspace: &Workspace, extent: Extent) -> ExitCode {
    // Started first: where cargo-deny has to be built, that takes minutes
    // which the other gates can use.
    let deny = (extent == Extent::Everything).then(|| Deny::find_or_install(workspace));
    let mut site = Site { workspace, deny };
    let wanted = |gate: &&Gate| extent == Extent::Everything || gate.pace == Pace::Quick;
    let results: Vec<Outcome> = GATES
        .iter()
        .filter(wanted)
        .map(|gate| perform(gate, &mut site))
        .collect();
    summarise(&results);
    if results.iter().any(Outcome::failed) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn perform(gate: &Gate, site: &mut Site<'_>) -> Outcome {
    print!("{} ... ", gate.name);
    // Nobody reads the progress of a pipe that is gone; the verdict still counts.
    let _unread = std::io::stdout().flush();
    let start = Instant::now();
    let verdict = (gate.run)(site);
    let result = Outcome {
        name: gate.name,
        took: start.elapsed(),
        verdict,
    };
    println!("{} ({:.1} s)", result.word(), result.took.as_secs_f64());
    if let Verdict::Failed { output, .. } = &result.verdict {
        println!("{}", output.trim_end());
    }
    result
}

fn summarise(results: &[Outcome]) {
    println!();
    for result in results {
        let seconds = result.took.as_secs_f64();
        println!("{:<18} {:<6} {seconds:>7.1} s", result.name, result.word());
    }
    if let Some(tally) = results.iter().find_map(Outcome::tally) {
        println!("{tally}");
    }
}

impl Outcome {
    fn failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed { .. })
    }

    fn word(&self) -> &'static str {
        if self.failed() { "FAILED" } else { "ok" }
    }

    fn tally(&self) -> Option<Tally> {
        match self.verdict {
            Verdict::Counted(tally) => Some(tally),
            Verdict::Failed { tally, .. } => tally,
            Verdict::Passed => None,
        }
    }
}
