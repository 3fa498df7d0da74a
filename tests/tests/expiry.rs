//! When values end, measured on every node.
//!
//! `REPRAM_EXPIRY_KEYS=n cargo test --release -p repram-tests --test expiry -- --nocapture`
//! measures with so many keys and prints a table.
//!
//! A client cannot see the moment at which a node took a write, but two moments around it: when
//! it sent the request and when it had the answer. So what it sees are bounds: a value that is
//! given for a request that was sent after the later one and its time to live is late, however
//! slow this machine is; one that is missing in an answer that came before the earlier one and
//! its time to live is early.

use std::fmt;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use repram_tests::{KeptConnection, PATIENCE, Sandbox, get, wait_until};

/// Keys that are measured.
const KEYS: u32 = 40;

/// Time between two writes, and so between two ends.
const APART: Duration = Duration::from_millis(40);

/// How long before its end a value is looked at without a pause.
const WATCHED: Duration = Duration::from_millis(15);

/// Nodes count in milliseconds.
const TICK: Duration = Duration::from_millis(1);

const TTL: Duration = Duration::from_secs(1);

/// A value that was acknowledged.
#[derive(Clone, Copy, Debug)]
struct Written {
    number: u32,
    sent: Instant,
    answered: Instant,
}

/// What was seen on one node.
#[derive(Clone, Debug, Default)]
struct Seen {
    node: String,
    keys: u32,
    reads: u64,
    /// By how much at least a value was missing too early.
    early: Duration,
    /// By how much at least a value was given too late.
    late: Duration,
    /// By how much at most.
    late_at_most: Duration,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(
            f,
            "| {} | {} | {} | {:.2} | {:.2} | {:.2} |",
            self.node,
            self.keys,
            self.reads,
            ms(self.early),
            ms(self.late),
            ms(self.late_at_most),
        )
    }
}

/// Reads every value without a pause around its end, until it is gone.
fn watch(node: String, port: u16, written: &mpsc::Receiver<Written>) -> Seen {
    let mut seen = Seen {
        node,
        ..Seen::default()
    };
    let mut connection = KeptConnection::open(port).expect("a node listens");
    for value in written {
        let path = format!("/data/end-{}", value.number);
        let earliest = value.sent + TTL;
        // Nothing is measured by this pause.
        thread::sleep(earliest.saturating_duration_since(Instant::now() + WATCHED));
        let mut last = None;
        loop {
            let sent = Instant::now();
            let (status, _) = connection.ask("GET", &path, b"").expect("an answer");
            let answered = Instant::now();
            seen.reads += 1;
            match status {
                200 => last = Some((sent, answered)),
                404 => {
                    let early = earliest.saturating_duration_since(answered);
                    seen.early = seen.early.max(early);
                    break;
                }
                other => panic!("{other} for {path} on {}", seen.node),
            }
        }
        if let Some((sent, answered)) = last {
            let late = sent.saturating_duration_since(value.answered + TTL);
            seen.late = seen.late.max(late);
            let at_most = answered.saturating_duration_since(earliest);
            seen.late_at_most = seen.late_at_most.max(at_most);
        }
        seen.keys += 1;
    }
    seen
}

#[test]
fn values_end_to_the_millisecond_on_every_node() {
    let keys = std::env::var("REPRAM_EXPIRY_KEYS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KEYS);
    // Of four nodes one does not have the value itself.
    let sandbox = Sandbox::new().set("NODE_COUNT", 4).set("REPRAM_MIN_TTL", 1);
    let mut fleet = sandbox.start();
    let nodes = fleet.wait_until_refilled(4);
    let watchers: Vec<_> = nodes
        .iter()
        .map(|node| {
            let (tell, told) = mpsc::channel();
            let (id, port) = (node.id.clone(), node.port);
            (tell, thread::spawn(move || watch(id, port, &told)))
        })
        .collect();
    let mut writers: Vec<_> = nodes
        .iter()
        .map(|node| KeptConnection::open(node.port).expect("a node listens"))
        .collect();
    for number in 0..keys {
        let writer = number as usize % writers.len();
        let path = format!("/data/end-{number}?ttl=1");
        let sent = Instant::now();
        let (status, _) = writers[writer].ask("PUT", &path, b"v").expect("an answer");
        let answered = Instant::now();
        if status == 201 {
            let written = Written {
                number,
                sent,
                answered,
            };
            for (tell, _) in &watchers {
                tell.send(written).expect("it listens until the end");
            }
        }
        thread::sleep(APART);
    }
    let seen: Vec<Seen> = watchers
        .into_iter()
        .map(|(tell, watcher)| {
            drop(tell);
            watcher.join().expect("watchers do not panic")
        })
        .collect();
    println!("| node | keys | reads | missing too early, ms | served too late, ms | at most, ms |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for seen in &seen {
        println!("{seen}");
    }
    for seen in &seen {
        assert!(
            seen.keys > 0 && seen.early <= TICK && seen.late <= TICK,
            "{seen}"
        );
    }
    for node in &nodes {
        wait_until("memory given back", PATIENCE, || {
            let store = get(node.port, "/status")?.json()["store"].clone();
            let is_empty = store["keys"] == 0 && store["used_bytes"] == 0;
            is_empty.then_some(()).ok_or_else(|| store.to_string())
        });
    }
    fleet.stop();
}
