//! `stop`: from the wish to stop until nothing is left, and what is left in a bad hour.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use nix::sys::signal::Signal;
use repram_tests::{PATIENCE, wait_until};

use crate::child::Child;
use crate::contest::{Contestant, compete};
use crate::keeper::{Keeper, Kept};
use crate::report::Report;
use crate::sample::in_ms;
use crate::table::{Cell, Table};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs of each contestant.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Number of programs that are kept.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=64))]
    children: u16,
    /// Seconds that are waited for an end: a container gets ten.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..))]
    patience: u16,
}

/// What is kept, and how it comes to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// Programs that end when they are asked to.
    Willing,
    /// One that ignores what asks it to end.
    Stubborn,
    /// One that has started a helper with a session of its own.
    Helped,
    /// Willing ones, and the keeper is killed.
    Killed,
}

/// Milliseconds until nothing is left, and processes that are.
const FIGURES: usize = 2;

/// The pause between two looks: short beside what is measured, and the processor is left
/// to those who work.
const PAUSE: Duration = Duration::from_micros(500);

/// How long programs run before they are stopped: longer than any keeper takes to believe
/// in them.
const LIFE: Duration = Duration::from_millis(1500);

impl Scene {
    const ALL: [Self; 4] = [Self::Willing, Self::Stubborn, Self::Helped, Self::Killed];

    fn named(self) -> &'static str {
        match self {
            Self::Willing => "willing children",
            Self::Stubborn => "a child ignores it",
            Self::Helped => "a child has a helper",
            Self::Killed => "kill -9 of the keeper",
        }
    }

    fn child(self) -> Child {
        match self {
            Self::Willing | Self::Killed => Child::Rest,
            Self::Stubborn => Child::Stubborn,
            Self::Helped => Child::Helped,
        }
    }

    /// Programs that are kept, of so many.
    fn children(self, wanted: u16) -> u16 {
        match self {
            Self::Willing | Self::Killed => wanted,
            Self::Stubborn | Self::Helped => 1,
        }
    }
}

/// Measures all keepers and reports.
pub(crate) fn measure(options: &Options) -> Report {
    let mut table = Table::new(&["", "kept by", "nothing left after, ms", "left behind"]);
    for scene in Scene::ALL {
        eprintln!("{} ...", scene.named());
        let keepers = if scene.children(options.children) == 1 {
            Keeper::all()
        } else {
            Keeper::here()
        };
        let contestants: Vec<_> = keepers
            .iter()
            .map(|keeper| Contestant {
                name: keeper.name().to_owned(),
                run: Box::new(move || end(scene, *keeper, options)),
            })
            .collect();
        for standing in compete(&contestants, options.runs.into()) {
            let [after, left] = standing.figures;
            let after = match left.median() {
                0.0 => Cell::Measured(after),
                _ => Cell::Text("never".to_owned()),
            };
            table.row(vec![
                Cell::Text(scene.named().to_owned()),
                Cell::Text(standing.name),
                after,
                Cell::Measured(left),
            ]);
        }
    }
    Report {
        title: "Stop",
        how: format!(
            "{} willing children, or one of another kind. From the signal that asks the keeper \
             to stop, or its kill -9, until no process is left; after {} s those that are left \
             are counted. STOP_TIMEOUT is {} s; the others have their \
             defaults. Median (smallest - largest) of {} runs, taken in \
             turns.",
            options.children,
            options.patience,
            stop_timeout_s(options),
            options.runs
        ),
        beside: Keeper::versions(&Keeper::all()),
        table,
    }
}

/// As in a container, where nothing lives longer than the patience of its platform.
fn stop_timeout_s(options: &Options) -> u16 {
    options.patience - 1
}

fn end(scene: Scene, keeper: Keeper, options: &Options) -> [f64; FIGURES] {
    let count = scene.children(options.children);
    let sandbox = keeper.sandbox(count);
    let sandbox = sandbox.set("STOP_TIMEOUT", stop_timeout_s(options));
    let mut kept = keeper.keep(sandbox, scene.child().command(), count);
    wait_until("all children", PATIENCE, || {
        let found = kept.programs().len();
        let all = found == usize::from(count);
        all.then_some(())
            .ok_or_else(|| format!("{found} of {count}"))
    });
    thread::sleep(LIFE);
    let start = Instant::now();
    match scene {
        Scene::Killed => kept.main().signal(Signal::SIGKILL),
        Scene::Willing | Scene::Stubborn | Scene::Helped => kept.ask_to_stop(),
    }
    let left = left_after(&mut kept, Duration::from_secs(options.patience.into()));
    [in_ms(start.elapsed()), left as f64]
}

/// How many processes are left when none is any more, or after so long.
fn left_after(kept: &mut Kept, patience: Duration) -> usize {
    let start = Instant::now();
    loop {
        // Our child, so it is a zombie until we have asked.
        let ended = kept.has_ended();
        let left = if ended { kept.processes().len() } else { 1 };
        if left == 0 || start.elapsed() > patience {
            return left.max(kept.processes().len());
        }
        thread::sleep(PAUSE);
    }
}
