//! `restart`: from the kill of a program to its successor.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::Args;
use nix::sys::signal::Signal;
use repram_tests::{PATIENCE, Process, poll_until};

use crate::child::{self, Child};
use crate::contest::{Contestant, compete};
use crate::keeper::Keeper;
use crate::moment::Moment;
use crate::report::Report;
use crate::sample::in_ms;
use crate::table::Table;

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs of each contestant.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Milliseconds for which the program has answered when it is killed early.
    #[arg(long, default_value_t = 100)]
    early: u16,
    /// Milliseconds for which it has answered when it is killed late: longer than any
    /// keeper takes to believe in it (RESTART_STABLE is five seconds).
    #[arg(long, default_value_t = 6000)]
    late: u16,
}

/// For a kill early in its life and one late: the start of the successor, and its answer.
const FIGURES: usize = 4;

/// The pause between two looks: short beside what is measured, and the processor is left
/// to those who work.
const PAUSE: Duration = Duration::from_micros(100);

/// Measures all keepers and reports.
pub(crate) fn measure(options: &Options) -> Report {
    let keepers = Keeper::here();
    let contestants: Vec<_> = keepers
        .iter()
        .map(|keeper| Contestant {
            name: keeper.name().to_owned(),
            run: Box::new(move || kill_twice(*keeper, options)),
        })
        .collect();
    let standings = compete(&contestants, options.runs.into());
    let columns = [
        "",
        "early: started, ms",
        "early: answers, ms",
        "late: started, ms",
        "late: answers, ms",
    ];
    let mut table = Table::new(&columns);
    table.standings(standings);
    Report {
        title: "Restart after kill -9",
        how: format!(
            "From the kill to the first instruction of the successor's `main`, and to its answer \
             on the same port. Killed {} ms after it answered first, and again {} ms after its \
             successor did. Median (smallest - largest) of {} runs, taken in turns.",
            options.early, options.late, options.runs
        ),
        beside: Keeper::versions(&keepers),
        table,
    }
}

fn kill_twice(keeper: Keeper, options: &Options) -> [f64; FIGURES] {
    let sandbox = keeper.sandbox(1);
    let (record, port) = (sandbox.path("starts"), sandbox.http_port(0));
    let child = Child::Serve {
        record: record.clone(),
        port,
    };
    let before = Moment::now();
    let _kept = keeper.keep(sandbox, child.command(), 1);
    answer_after(port, before);
    let kill_after = |life_ms: u16| {
        thread::sleep(Duration::from_millis(life_ms.into()));
        let (_, pid) = last_start(&record).expect("it has answered");
        let killed = Moment::now();
        Process { pid }.signal(Signal::SIGKILL);
        let (started, answered) = answer_after(port, killed);
        [started, answered].map(|moment| in_ms(moment.since(killed)))
    };
    let ([a, b], [c, d]) = (kill_after(options.early), kill_after(options.late));
    [a, b, c, d]
}

/// Asks a port until a program that was started after `earlier` answers: when it was
/// started, and when the answer came.
fn answer_after(port: u16, earlier: Moment) -> (Moment, Moment) {
    poll_until("an answer", PAUSE, PATIENCE, || {
        let mut text = String::new();
        TcpStream::connect(("127.0.0.1", port))
            .and_then(|mut stream| stream.read_to_string(&mut text))
            .map_err(|error| error.to_string())?;
        let answered = Moment::now();
        match Moment::from_text(&text).filter(|started| *started > earlier) {
            Some(started) => Ok((started, answered)),
            None => Err(format!("{text:?} from the one before")),
        }
    })
}

/// The last start that was written down, with its pid.
fn last_start(record: &Path) -> Option<(Moment, i32)> {
    let text = fs::read_to_string(record).ok()?;
    child::starts(&text).last()
}
