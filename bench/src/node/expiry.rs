//! `expiry`: how far from its time a value ends.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::dialect::Dialect;
use super::rival::{Rival, value};
use super::talk::{Said, Talk};
use crate::contest::{Contestant, compete};
use crate::report::Report;
use crate::sample::in_ms;
use crate::table::Table;

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs of each contestant.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Values whose end is watched in each run.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=1000))]
    keys: u16,
}

/// The largest error to either side, in milliseconds.
const FIGURES: usize = 2;

const TTL_S: u32 = 2;
const TTL: Duration = Duration::from_secs(TTL_S as u64);

/// Bytes of a value.
const SIZE: usize = 64;

/// Between two writes, and so between two ends: no divisor of a second, so that the ends meet
/// every phase of a clock that counts in seconds.
const APART: Duration = Duration::from_millis(37);

/// From so long before its end on a value is read: memcached, which counts in seconds, is a
/// second early.
const READ: Duration = Duration::from_millis(1200);

/// Before its end a value is looked at without a pause for so long, and before that with one.
const WATCHED: Duration = Duration::from_millis(15);
const PAUSE: Duration = Duration::from_millis(2);

/// A value that was acknowledged, and a client's view of when it was taken: between these two.
struct Written {
    number: u16,
    sent: Instant,
    answered: Instant,
}

/// Measures and reports.
pub(crate) fn measure(options: &Options) -> Report {
    let rivals = [
        (Rival::Node, "repram-node"),
        (Rival::Nodes, "repram-node, another of 3"),
        (Rival::Redis, "redis"),
        (Rival::RedisQuorum, "redis, a replica"),
        (Rival::Memcached, "memcached"),
    ];
    let present = rivals.iter().filter(|(rival, _)| rival.is_here());
    let contestants: Vec<_> = present
        .map(|(rival, name)| Contestant {
            name: (*name).to_owned(),
            run: Box::new(|| run(*rival, options)),
        })
        .collect();
    let mut table = Table::new(&["read from", "missing early, ms", "given late, ms"]);
    table.standings(compete(&contestants, options.runs.into()));
    let Options { runs, keys } = options;
    Report {
        title: "The end of values",
        how: format!(
            "{keys} values per run that live for {TTL_S} s, written one after the other and read \
             again and again around their end: by how much one was missing before its time, or \
             given after it, at worst. A client knows two moments between which the store took a \
             value; the figures are what is certain whichever it was. Median (smallest - largest) \
             of {runs} runs, taken in turns."
        ),
        beside: Rival::versions(&rivals.map(|(rival, _)| rival)),
        table,
    }
}

fn run(rival: Rival, options: &Options) -> [f64; FIGURES] {
    let running = rival.start(SIZE);
    let (port, dialect) = (running.last_port, running.dialect);
    let mut writer = Talk::to(dialect, running.port).expect("it has answered before");
    let start = Instant::now();
    let watchers: Vec<_> = (0..options.keys)
        .map(|number| {
            let due = start + APART * u32::from(number);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let request = dialect.put_for(TTL_S, &key(number), &value(SIZE));
            let Said { sent, answered, .. } = writer.ask(&request).expect("a value is taken");
            let written = Written {
                number,
                sent,
                answered,
            };
            thread::spawn(move || watch(&written, dialect, port))
        })
        .collect();
    let errors = watchers
        .into_iter()
        .map(|watcher| watcher.join().expect("it reports what goes wrong"));
    errors.fold([0.0; FIGURES], |[early, late], (e, l)| {
        [early.max(in_ms(e)), late.max(in_ms(l))]
    })
}

/// By how much a value was missing early, and given late.
fn watch(written: &Written, dialect: Dialect, port: u16) -> (Duration, Duration) {
    let dialect = dialect.of_reads();
    let request = dialect.get(&key(written.number));
    let mut reader = Talk::to(dialect, port).expect("it has answered before");
    let (earliest, latest) = (written.sent + TTL, written.answered + TTL);
    thread::sleep(earliest.saturating_duration_since(Instant::now() + READ));
    let mut late = Duration::ZERO;
    loop {
        let said = reader.ask(&request).expect("a value, or none");
        if said.found.is_none() {
            return (earliest.saturating_duration_since(said.answered), late);
        }
        late = said.sent.saturating_duration_since(latest);
        if said.answered + WATCHED < earliest {
            thread::sleep(PAUSE);
        }
    }
}

fn key(number: u16) -> String {
    format!("end-{number:06}")
}
