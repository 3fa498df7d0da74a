//! `cluster`: from the command to all nodes answering, and to all knowing each other.

use std::time::{Duration, Instant};

use clap::Args;
use repram_tests::{Binaries, Node, PATIENCE, Sandbox, poll_until};

use crate::contest::{Contestant, compete};
use crate::report::Report;
use crate::sample::in_ms;
use crate::table::{Cell, Table};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs of each contestant.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Numbers of nodes.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3, 10],
          value_parser = clap::value_parser!(u16).range(1..=64))]
    nodes: Vec<u16>,
}

/// The pause between two looks at a node that does not answer yet: short beside
/// what is measured, long enough to leave the processor to the nodes.
pub(crate) const PAUSE: Duration = Duration::from_micros(500);

/// A shell that starts the nodes without waiting, each with its ports, a directory
/// of its own and the first node as its seed.
const LOOP: &str = r#"
slot=0
while [ "$slot" -lt "$NODE_COUNT" ]; do
    REPRAM_NODE_ID="flux-node-$((slot + 1))" \
    REPRAM_HTTP_PORT="$((BASE_PORT + slot))" \
    REPRAM_GOSSIP_PORT="$((BASE_PORT + slot + GOSSIP_PORT_OFFSET))" \
    REPRAM_PEERS="127.0.0.1:$BASE_PORT" \
    STATE_DIR="$STATE_DIR/$slot" \
        "$NODE" >"$LOG_DIR/flux-node-$((slot + 1)).log" 2>&1 &
    slot=$((slot + 1))
done
wait
"#;

/// Measures all numbers of nodes and reports.
pub(crate) fn measure(options: &Options) -> Report {
    let mut table = Table::new(&[
        "nodes",
        "started by",
        "all answer, ms",
        "all know each other, ms",
        "times the shell loop",
    ]);
    for count in &options.nodes {
        eprintln!("{count} nodes, {} runs ...", options.runs);
        let contestants = [
            Contestant {
                name: "supervisor".to_owned(),
                run: Box::new(|| start_fleet(*count)),
            },
            Contestant {
                name: "shell loop".to_owned(),
                run: Box::new(|| start_loop(*count)),
            },
        ];
        let standings = compete(&contestants, options.runs.into());
        let [_, reference] = &standings[standings.len() - 1].figures;
        for standing in &standings {
            let [answering, acquainted] = &standing.figures;
            table.row(vec![
                Cell::Text(count.to_string()),
                Cell::Text(standing.name.clone()),
                Cell::Measured(answering.clone()),
                Cell::Measured(acquainted.clone()),
                Cell::Times(acquainted.ratio_to(reference)),
            ]);
        }
    }
    let runs = options.runs;
    Report {
        title: "From the command to a working cluster",
        how: format!(
            "START_STAGGER=0; median (smallest - largest) of {runs} runs, taken in turns."
        ),
        beside: Vec::new(),
        table,
    }
}

/// One start by the supervisor.
fn start_fleet(count: u16) -> [f64; 2] {
    let sandbox = sandbox_for(count);
    let start = Instant::now();
    let fleet = sandbox.start();
    let figures = times(start, fleet.http_port(0), count);
    fleet.stop();
    figures
}

/// One start by the loop.
fn start_loop(count: u16) -> [f64; 2] {
    let sandbox = sandbox_for(count).set("NODE", Binaries::built().node.display());
    for slot in 0..count {
        let directory = sandbox.path("state").join(slot.to_string());
        std::fs::create_dir(directory).expect("the sandbox is ours");
    }
    let mut shell = sandbox.program("/bin/sh".as_ref());
    shell.args(["-c", LOOP]);
    let start = Instant::now();
    let (mut child, _output) = sandbox.spawn(&mut shell, "shell");
    let figures = times(start, sandbox.http_port(0), count);
    sandbox.end_all();
    child.wait().expect("it is our child");
    figures
}

fn sandbox_for(count: u16) -> Sandbox {
    Sandbox::new()
        .set("NODE_COUNT", count)
        .set("MAX_PORTS", count)
}

/// Waits until all nodes answer as ready, then until each knows all others.
fn times(start: Instant, base: u16, count: u16) -> [f64; 2] {
    let ports = base..base + count;
    let nodes: Vec<Node> = ports
        .map(|port| poll_until("a ready node", PAUSE, PATIENCE, || Node::at(port)))
        .collect();
    let answering = in_ms(start.elapsed());
    for node in &nodes {
        poll_until("a node that knows the others", PAUSE, PATIENCE, || {
            let known = node.peers()?.len() + 1;
            if known == usize::from(count) {
                Ok(())
            } else {
                Err(format!("{known} of {count}"))
            }
        });
    }
    [answering, in_ms(start.elapsed())]
}
