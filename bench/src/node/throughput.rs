//! `throughput`: values written and read again and again over kept connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::limit::Runtimes;
use super::load::Load;
use super::rival::{Rival, Running, value};
use crate::contest::{Contestant, compete};
use crate::report::Report;
use crate::table::{Cell, Table};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs of each contestant.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Seconds of each run.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    seconds: u16,
    /// Bytes of a value.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1024, 65_536],
          value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    sizes: Vec<u32>,
    /// Keys, fewer of large values: all values together have 16 MiB at most.
    #[arg(long, default_value_t = KEYS, value_parser = clap::value_parser!(u16).range(1..))]
    keys: u16,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Threads of the clients.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',', default_values = ["get", "put", "quorum"])]
    only: Vec<Workload>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    /// Values are read.
    Get,
    /// Values are written, to one copy.
    Put,
    /// Values are written, to two of three copies.
    Quorum,
}

impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Quorum => "PUT, 2 of 3",
        })
    }
}

/// Answers per second, two quantiles, and processor time.
const FIGURES: usize = 4;

/// Keys, where nobody chooses, and bytes of all values together at most.
pub(crate) const KEYS: u16 = 1000;
const REQUEST_BYTES: usize = 16 << 20;

impl Workload {
    fn rivals(self) -> &'static [Rival] {
        const LIMIT: Rival = Rival::Hyper(Runtimes::Shared);
        const PER_CORE: Rival = Rival::Hyper(Runtimes::PerCore);
        match self {
            Self::Get => &[
                LIMIT,
                PER_CORE,
                Rival::Node,
                Rival::Nginx,
                Rival::Redis,
                Rival::Memcached,
                Rival::Etcd,
            ],
            Self::Put => &[
                LIMIT,
                PER_CORE,
                Rival::Node,
                Rival::Redis,
                Rival::Memcached,
                Rival::Etcd,
            ],
            Self::Quorum => &[LIMIT, Rival::Nodes, Rival::RedisQuorum],
        }
    }
}

/// Measures all workloads and reports.
pub(crate) fn measure(options: &Options) -> Report {
    let mut table = Table::new(&[
        "",
        "bytes",
        "server",
        "answers/s",
        "times bare hyper",
        "p50, µs",
        "p99, µs",
        "CPU/answer, µs",
    ]);
    for workload in &options.only {
        for size in &options.sizes {
            contest(*workload, *size, options, &mut table);
        }
    }
    let rivals = options.only.iter().flat_map(|workload| workload.rivals());
    let rivals: Vec<_> = rivals.copied().collect();
    let Options {
        seconds,
        connections,
        threads,
        keys,
        runs,
        ..
    } = options;
    Report {
        title: "Values written and read",
        how: format!(
            "{connections} kept connections with one request under way each, for {seconds} s, by \
             {threads} threads on the same processors as the servers; {keys} keys, fewer of large \
             values. CPU is that of all servers. Bare hyper answers with a constant and drops \
             what it is sent, on one copy. Median (smallest - largest) of {runs} runs, taken in \
             turns."
        ),
        beside: Rival::versions(&rivals),
        table,
    }
}

fn contest(workload: Workload, size: u32, options: &Options, table: &mut Table) {
    eprintln!("{workload} of {size} bytes ...");
    let present = workload.rivals().iter().filter(|rival| rival.is_here());
    let contestants: Vec<_> = present
        .map(|rival| Contestant {
            name: rival.name().to_owned(),
            run: Box::new(|| run(*rival, workload, size as usize, options)),
        })
        .collect();
    let standings = compete(&contestants, options.runs.into());
    let limit = standings[0].figures[0].clone();
    for standing in standings {
        let [rate, p50, p99, cpu] = standing.figures;
        let times = Cell::Times(rate.ratio_to(&limit));
        table.row(vec![
            Cell::Text(workload.to_string()),
            Cell::Text(size.to_string()),
            Cell::Text(standing.name),
            Cell::Measured(rate),
            times,
            Cell::Measured(p50),
            Cell::Measured(p99),
            Cell::Measured(cpu),
        ]);
    }
}

fn run(rival: Rival, workload: Workload, size: usize, options: &Options) -> [f64; FIGURES] {
    let running = rival.start(size);
    let (connections, threads) = (options.connections.into(), options.threads.into());
    let keys = options.keys.into();
    let asked = load(
        &running,
        rival,
        workload,
        (keys, size),
        connections,
        threads,
    );
    let length = Duration::from_secs(options.seconds.into());
    let score = asked.run(length, &running.processes());
    // Whole answers: fractions of them are not what anyone means.
    [score.rate.round(), score.p50_us, score.p99_us, score.cpu_us]
}

/// The clients of this workload, for so many keys at most and values of so many bytes. Before
/// values are read they are written.
pub(crate) fn load(
    running: &Running,
    rival: Rival,
    workload: Workload,
    (keys, size): (usize, usize),
    connections: usize,
    threads: usize,
) -> Load {
    // As many reads as writes, or some would find nothing.
    let keys = (REQUEST_BYTES / size).clamp(1, keys);
    let load = |request: &dyn Fn(&str) -> Vec<u8>| Load {
        dialect: running.dialect,
        port: running.port,
        requests: Arc::new((0..keys).map(|number| request(&key(number))).collect()),
        connections,
        threads,
    };
    let value = value(size);
    let writes = load(&|key| running.dialect.put(key, &value));
    match workload {
        Workload::Put | Workload::Quorum => writes,
        Workload::Get => {
            if rival.keeps_values() {
                writes.each_once();
            }
            load(&|key| running.dialect.get(key))
        }
    }
}

/// Names of one length, so that requests are alike.
fn key(number: usize) -> String {
    format!("bench-{number:06}")
}
