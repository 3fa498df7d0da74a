//! `cargo xtask verify`: every gate, and a summary at the end.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::deny::Deny;
use crate::gates::{CONTAINERS, GATES, Gate, Pace, Site, Verdict};
use crate::tally::Tally;
use crate::workspace::Workspace;

/// Which gates are run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of them.
    Everything,
    /// Only those that take seconds.
    Quick,
    /// The tests of the image.
    Containers,
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
    let wanted = |gate: &&Gate| match extent {
        Extent::Everything => true,
        Extent::Quick => gate.pace == Pace::Quick,
        Extent::Containers => gate.name == CONTAINERS,
    };
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
    match &result.verdict {
        Verdict::Failed { output, .. } => println!("{}", output.trim_end()),
        Verdict::Skipped(why) => println!("SKIPPED {}: {why}", gate.name),
        Verdict::Told(text) => println!("{}", text.trim_end()),
        Verdict::Passed | Verdict::Counted(_) => {}
    }
    result
}

fn summarise(results: &[Outcome]) {
    println!();
    for result in results {
        let seconds = result.took.as_secs_f64();
        println!("{:<18} {:<7} {seconds:>7.1} s", result.name, result.word());
    }
    let mut tallies = results.iter().filter_map(Outcome::tally).peekable();
    if tallies.peek().is_some() {
        println!("{}", tallies.sum::<Tally>());
    }
}

impl Outcome {
    fn failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed { .. })
    }

    fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Failed { .. } => "FAILED",
            Verdict::Skipped(_) => "SKIPPED",
            Verdict::Passed | Verdict::Counted(_) | Verdict::Told(_) => "ok",
        }
    }

    fn tally(&self) -> Option<Tally> {
        match self.verdict {
            Verdict::Counted(tally) => Some(tally),
            Verdict::Failed { tally, .. } => tally,
            Verdict::Passed | Verdict::Told(_) | Verdict::Skipped(_) => None,
        }
    }
}
