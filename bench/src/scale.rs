//! `scale`: how cost grows with the number of nodes, of keys, and with the size of values.

use std::fs::File;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use repram_tests::{Fleet, Process, Sandbox};

use crate::chart::Chart;
use crate::contest::{Contestant, Standing, compete};
use crate::membership::acquainted;
use crate::node::keeping;
use crate::report::Report;
use crate::sample::in_ms;
use crate::table::Table;
use crate::usage::{Usage, pss_kib};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// What grows.
    #[arg(value_enum)]
    by: By,
    /// Measured runs of each step.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// The steps, instead of those that are usual.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    steps: Vec<u32>,
    /// Write a chart of the first figures into this file, as SVG.
    #[arg(long)]
    chart: Option<PathBuf>,
}

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// Nodes of one fleet.
    Nodes,
    /// Keys in one node, with values of 100 bytes.
    Keys,
    /// Bytes of a value.
    Size,
}

/// Nodes that fit into the ports of one benchmark.
const NODES_MAX: u32 = 64;

/// Bytes of a value where the number of keys grows.
const SMALL: usize = 100;

/// Bytes of the largest value that is measured: what one request may carry.
const SIZE_MAX: u32 = 10 << 20;

/// For so long a fleet that nobody asks is watched.
const REST: Duration = Duration::from_secs(10);

/// From the start of a fleet until it counts as rest.
const SETTLE: Duration = Duration::from_secs(2);

const FIGURES: usize = 4;

impl By {
    fn steps(self) -> Vec<u32> {
        match self {
            Self::Nodes => vec![1, 3, 10, 30, 50],
            Self::Keys => vec![10_000, 100_000, 1_000_000, 10_000_000],
            Self::Size => vec![64, 1 << 10, 16 << 10, 256 << 10, 1 << 20],
        }
    }

    /// The name of what grows, and of what is measured. The first figures are those of the
    /// chart.
    fn columns(self) -> [&'static str; 1 + FIGURES] {
        match self {
            Self::Nodes => [
                "nodes",
                "all know each other, ms",
                "supervisor, PSS KiB",
                "each node, PSS KiB",
                "CPU of all at rest, ms/s",
            ],
            Self::Keys => [
                "keys",
                "reads/s",
                "p99, µs",
                "bytes over key and value",
                "written in, s",
            ],
            Self::Size => [
                "bytes",
                "read, MB/s",
                "written, MB/s",
                "reads/s",
                "writes/s",
            ],
        }
    }

    /// Figures of one unit, from the first on: what a chart can show together.
    fn in_chart(self) -> usize {
        match self {
            Self::Nodes | Self::Keys => 1,
            Self::Size => 2,
        }
    }

    /// Whether a step makes sense; if not, what is wrong with it.
    fn check(self, step: u32) -> Result<(), String> {
        let most = match self {
            Self::Nodes => NODES_MAX,
            Self::Keys => u32::MAX,
            Self::Size => SIZE_MAX,
        };
        if step > most {
            return Err(format!("--steps: found {step}, allowed is 1 to {most}"));
        }
        Ok(())
    }

    fn run(self, step: u32) -> [f64; FIGURES] {
        match self {
            Self::Nodes => fleet(u16::try_from(step).expect("was checked")),
            Self::Keys => keeping::keys(step, SMALL),
            Self::Size => keeping::size(step),
        }
    }
}

/// Measures and reports.
///
/// # Errors
/// When a step makes no sense, or the chart cannot be written, and why.
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let by = options.by;
    let steps = match &options.steps[..] {
        [] => by.steps(),
        chosen => chosen.to_vec(),
    };
    steps.iter().try_for_each(|step| by.check(*step))?;
    if let Some(path) = &options.chart {
        // Better now than after a quarter of an hour.
        let opened = File::options().create(true).append(true).open(path);
        opened.map_err(|error| format!("--chart {}: {error}", path.display()))?;
    }
    let contestants: Vec<_> = steps
        .iter()
        .map(|step| Contestant {
            name: step.to_string(),
            run: Box::new(move || by.run(*step)),
        })
        .collect();
    let standings = compete(&contestants, options.runs.into());
    if let Some(path) = &options.chart {
        let chart = chart(by, &steps, &standings);
        let drawn = chart.write(path);
        drawn.map_err(|error| format!("--chart {}: {error}", path.display()))?;
    }
    let mut table = Table::new(&by.columns());
    table.standings(standings);
    let how = match by {
        By::Nodes => "START_STAGGER=0; memory and processor time of a fleet that nobody asks.",
        By::Keys => "One node, values of 100 bytes, 64 connections.",
        By::Size => "One node, 64 connections; fewer keys of large values.",
    };
    Ok(Report {
        title: "How cost grows",
        how: format!(
            "{how} Median (smallest - largest) of {} runs.",
            options.runs
        ),
        beside: Vec::new(),
        table,
    })
}

fn chart(by: By, steps: &[u32], standings: &[Standing<FIGURES>]) -> Chart {
    let [grows, figures @ ..] = by.columns();
    let line = |figure: usize| {
        let points = steps.iter().zip(standings);
        let point = |(step, standing): (&u32, &Standing<FIGURES>)| {
            (f64::from(*step), standing.figures[figure].median())
        };
        (figures[figure], points.map(point).collect())
    };
    Chart {
        grows,
        lines: (0..by.in_chart()).map(line).collect(),
    }
}

fn fleet(count: u16) -> [f64; FIGURES] {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", count)
        .set("MAX_PORTS", count);
    let start = Instant::now();
    let fleet = sandbox.start();
    acquainted(fleet.http_port(0)..fleet.http_port(count), count);
    let known = in_ms(start.elapsed());
    thread::sleep(SETTLE);
    let (supervisor, nodes) = divided(&fleet);
    let all: Vec<_> = supervisor.iter().chain(&nodes).copied().collect();
    let before = Usage::of(&all);
    thread::sleep(REST);
    let used = Usage::of(&all) - before;
    let figures = [
        known,
        pss_kib(&supervisor) as f64,
        (pss_kib(&nodes) / u64::from(count)) as f64,
        in_ms(used.cpu) / REST.as_secs_f64(),
    ];
    fleet.stop();
    figures
}

/// The supervisor, and its nodes.
fn divided(fleet: &Fleet) -> (Vec<Process>, Vec<Process>) {
    let supervisor = fleet.supervisor_process();
    let (first, rest): (Vec<_>, Vec<_>) = fleet
        .processes()
        .into_iter()
        .partition(|process| *process == supervisor);
    (first, rest)
}
