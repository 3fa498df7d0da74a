//! `membership`: how soon all nodes know that one has come, or has died.

use std::ops::Range;
use std::time::Instant;

use clap::Args;
use nix::sys::signal::Signal;
use repram_tests::{Node, PATIENCE, Process, Sandbox, get, poll_until};
use serde_json::Value;

use crate::cluster::PAUSE;
use crate::contest::{Contestant, compete};
use crate::report::Report;
use crate::sample::in_ms;
use crate::table::{Cell, Table};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Numbers of nodes, the one that comes and dies included.
    #[arg(long, value_delimiter = ',', default_values_t = [3, 10, 30],
          value_parser = clap::value_parser!(u16).range(2..=64))]
    nodes: Vec<u16>,
}

/// A join and a death, in milliseconds.
const FIGURES: usize = 2;

/// Measures and reports.
pub(crate) fn measure(options: &Options) -> Report {
    let mut table = Table::new(&["nodes", "", "a join, ms", "a death, ms"]);
    for count in &options.nodes {
        eprintln!("{count} nodes ...");
        let contestants: [Contestant<'_, FIGURES>; 2] = [
            Contestant {
                name: "under one supervisor".to_owned(),
                run: Box::new(|| under_a_supervisor(*count)),
            },
            Contestant {
                name: "each by itself".to_owned(),
                run: Box::new(|| each_by_itself(*count)),
            },
        ];
        for standing in compete(&contestants, options.runs.into()) {
            let mut row = vec![Cell::Text(count.to_string()), Cell::Text(standing.name)];
            row.extend(standing.figures.map(Cell::Measured));
            table.row(row);
        }
    }
    Report {
        title: "What nodes know of each other",
        how: format!(
            "From the start of one more node until all others know it, and from its kill -9 until \
             none takes it for alive; asked again and again over HTTP, one node after the other. \
             Each by itself is what nodes on different hosts are to each other. Median (smallest \
             - largest) of {} runs, taken in turns.",
            options.runs
        ),
        beside: Vec::new(),
        table,
    }
}

fn under_a_supervisor(count: u16) -> [f64; FIGURES] {
    // What is killed stays dead, or it would be back before anybody is asked.
    let fleet = Sandbox::new()
        .set("NODE_COUNT", count - 1)
        .set("MAX_PORTS", count)
        .set("RESTART_BUDGET", 1)
        .set("ON_FAILED", "keep")
        .start();
    let port = fleet.http_port(count - 1);
    acquainted(fleet.http_port(0)..port, count - 1);
    let start = Instant::now();
    let scaled = fleet.finish(&["scale", &count.to_string(), "--no-wait"]);
    assert_eq!(scaled.code(), Some(0), "{}", scaled.said());
    let others = acquainted(fleet.http_port(0)..port, count);
    let join = in_ms(start.elapsed());
    let last = poll_until("the last node", PAUSE, PATIENCE, || Node::at(port));
    let process = fleet.process_of(&last.id);
    let death = death_of(&last, process, &others);
    fleet.stop();
    [join, death]
}

fn each_by_itself(count: u16) -> [f64; FIGURES] {
    let sandbox = Sandbox::new();
    let first = sandbox.http_port(0);
    let start_one = |slot: u16| {
        let (http, state) = (
            sandbox.http_port(slot),
            sandbox.path(&format!("state-{slot}")),
        );
        let mut node = sandbox.node();
        node.env("REPRAM_NODE_ID", format!("node-{slot}"))
            .env("REPRAM_HTTP_PORT", http.to_string())
            .env(
                "REPRAM_GOSSIP_PORT",
                (http + sandbox.ports().gossip_offset()).to_string(),
            )
            .env("REPRAM_PEERS", format!("127.0.0.1:{first}"))
            .env("STATE_DIR", state);
        sandbox.spawn(&mut node, &format!("node-{slot}")).0
    };
    let mut children: Vec<_> = (0..count - 1).map(start_one).collect();
    let port = sandbox.http_port(count - 1);
    acquainted(first..port, count - 1);
    let start = Instant::now();
    let last = start_one(count - 1);
    let process = Process {
        pid: last.id().cast_signed(),
    };
    children.push(last);
    let others = acquainted(first..port, count);
    let join = in_ms(start.elapsed());
    let last = poll_until("the last node", PAUSE, PATIENCE, || Node::at(port));
    let death = death_of(&last, process, &others);
    sandbox.end_all();
    for mut child in children {
        // They are our children, so they are ours to reap as well.
        let _reaped = child.wait();
    }
    [join, death]
}

/// Waits until each of these answers and knows so many, itself included.
pub(crate) fn acquainted(ports: Range<u16>, count: u16) -> Vec<Node> {
    let nodes = ports.map(|port| poll_until("a ready node", PAUSE, PATIENCE, || Node::at(port)));
    let nodes: Vec<_> = nodes.collect();
    for node in &nodes {
        poll_until("a node that knows the others", PAUSE, PATIENCE, || {
            let known = node.peers()?.len() + 1;
            let all = known == usize::from(count);
            all.then_some(())
                .ok_or_else(|| format!("{known} of {count}"))
        });
    }
    nodes
}

/// Milliseconds from the kill of a node until none of these takes it for alive.
fn death_of(node: &Node, process: Process, others: &[Node]) -> f64 {
    let start = Instant::now();
    process.signal(Signal::SIGKILL);
    for other in others {
        poll_until("a death that is known", PAUSE, PATIENCE, || {
            let answer = get(other.port, "/peers")?.json();
            let peers = answer["peers"].as_array().cloned().unwrap_or_default();
            let alive = |peer: &Value| peer["uuid"] == node.uuid && peer["state"] == "alive";
            match peers.iter().find(|peer| alive(peer)) {
                Some(peer) => Err(peer.to_string()),
                None => Ok(()),
            }
        });
    }
    in_ms(start.elapsed())
}
