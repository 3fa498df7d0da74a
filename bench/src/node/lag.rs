//! `lag`: how soon a write is seen at another copy.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::dialect::Dialect;
use super::rival::{Rival, Running};
use super::talk::Talk;
use crate::contest::{Contestant, compete};
use crate::report::Report;
use crate::sample::{Sample, in_ms};
use crate::table::Table;

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs of each contestant.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Writes in each run.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(10..))]
    writes: u16,
}

/// Half of the writes and all but one of a hundred, acknowledged and seen.
const FIGURES: usize = 4;

/// Between two writes: long beside what is measured.
const APART: Duration = Duration::from_millis(3);

/// The one key that is overwritten.
const KEY: &str = "lag";

/// Measures and reports.
pub(crate) fn measure(options: &Options) -> Report {
    let rivals = [
        (Rival::Nodes, "repram-node, 2 of 3"),
        (Rival::RedisQuorum, "redis, WAIT for 2 of 3"),
    ];
    let present = rivals.iter().filter(|(rival, _)| rival.is_here());
    let contestants: Vec<_> = present
        .map(|(rival, name)| Contestant {
            name: (*name).to_owned(),
            run: Box::new(|| run(&rival.start(VALUE), options.writes)),
        })
        .collect();
    let mut table = Table::new(&[
        "",
        "acknowledged, p50 ms",
        "p99 ms",
        "seen at another copy, p50 ms",
        "its p99 ms",
    ]);
    table.standings(compete(&contestants, options.runs.into()));
    let Options { runs, writes } = options;
    Report {
        title: "From a write to its copies",
        how: format!(
            "One client overwrites a value of {VALUE} bytes {writes} times, every {} ms; another \
             reads it from the last copy without a pause. From the moment a write was sent: until \
             it was acknowledged, and until it was read there. Median (smallest - largest) of \
             {runs} runs, taken in turns.",
            APART.as_millis()
        ),
        beside: Rival::versions(&rivals.map(|(rival, _)| rival)),
        table,
    }
}

/// Bytes of a value.
const VALUE: usize = 64;

/// Digits in it that say which it is.
const DIGITS: usize = 16;

fn run(running: &Running, writes: u16) -> [f64; FIGURES] {
    let dialect = running.dialect;
    let mut writer = Talk::to(dialect, running.port).expect("it has answered before");
    let put = |number: u16| dialect.put(KEY, &text(number));
    writer.ask(&put(0)).expect("a value is taken");
    let dialect_of_reads = dialect.of_reads();
    let reader = Talk::to(dialect_of_reads, running.last_port);
    let mut reader = reader.expect("it has answered before");
    let (seen_by, seen) = mpsc::channel();
    let reading = thread::spawn(move || read(&mut reader, dialect_of_reads, writes, &seen_by));
    let mut acknowledged = Sample::default();
    let mut sent = Vec::new();
    for number in 1..=writes {
        thread::sleep(APART);
        let said = writer.ask(&put(number)).expect("a value is taken");
        acknowledged.add(in_ms(said.answered - said.sent));
        sent.push(said.sent);
    }
    reading.join().expect("it reports what goes wrong");
    let mut lag = Sample::default();
    for (number, at) in seen {
        lag.add(in_ms(
            at.saturating_duration_since(sent[usize::from(number) - 1]),
        ));
    }
    [
        acknowledged.median(),
        acknowledged.quantile(0.99),
        lag.median(),
        lag.quantile(0.99),
    ]
}

/// Tells of each write when it was first read, until the last.
fn read(reader: &mut Talk, dialect: Dialect, writes: u16, seen: &mpsc::Sender<(u16, Instant)>) {
    let request = dialect.get(KEY);
    let mut next = 1;
    while next <= writes {
        let said = reader.ask(&request).expect("there is a value");
        let answered = said.answered;
        let number = said.found.and_then(number_in).expect("it is one of ours");
        for number in next..=number {
            let told = seen.send((number, answered));
            told.expect("it is read to the end");
        }
        next = next.max(number + 1);
    }
}

fn text(number: u16) -> Vec<u8> {
    let mut text = format!("lag-{number:0DIGITS$}").into_bytes();
    text.resize(VALUE, b'.');
    text
}

/// The number of the value in an answer.
fn number_in(answer: &[u8]) -> Option<u16> {
    let at = memchr::memmem::rfind(answer, b"lag-0")? + "lag-".len();
    let digits = answer.get(at..at + DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_answers() {
        let answer = [b"HTTP/1.1 200 OK\r\n\r\n", &text(730)[..]].concat();
        assert_eq!(number_in(&answer), Some(730));
        assert_eq!(number_in(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
