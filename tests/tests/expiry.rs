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
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use repram_tests::{Binaries, KeptConnection, Network, PATIENCE, Sandbox, get, skip, wait_until};

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

/// How a node is reached: a new connection to it.
type Connect<'a> = &'a (dyn Fn(usize) -> KeptConnection + Sync);

/// Reads every value without a pause around its end, until it is gone.
fn watch(node: String, mut connection: KeptConnection, written: &mpsc::Receiver<Written>) -> Seen {
    let mut seen = Seen {
        node,
        ..Seen::default()
    };
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
                // On a busy machine nodes may not reach each other for a moment, and say that
                // they do not know. That tells nothing of the value.
                503 if answered < earliest + PATIENCE => thread::sleep(TICK),
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

/// Writes values on all nodes in turn and watches the end of each on every node; does
/// something after each write.
fn measure(names: &[String], connect: Connect<'_>, mut after_each: impl FnMut()) -> Vec<Seen> {
    let keys = std::env::var("REPRAM_EXPIRY_KEYS").ok();
    let keys = keys.and_then(|text| text.parse().ok()).unwrap_or(KEYS);
    let watchers: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let (tell, told) = mpsc::channel();
            let (name, connection) = (name.clone(), connect(place));
            (tell, thread::spawn(move || watch(name, connection, &told)))
        })
        .collect();
    let mut writers: Vec<_> = (0..names.len()).map(connect).collect();
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
        after_each();
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
    seen
}

#[test]
fn values_end_to_the_millisecond_on_every_node() {
    // Of four nodes one does not have the value itself.
    let sandbox = Sandbox::new().set("NODE_COUNT", 4).set("REPRAM_MIN_TTL", 1);
    let mut fleet = sandbox.start();
    let nodes = fleet.wait_until_refilled(4);
    let names: Vec<String> = nodes.iter().map(|node| node.id.clone()).collect();
    let connect = |place: usize| KeptConnection::open(nodes[place].port).expect("a node listens");
    for seen in measure(&names, &connect, || {}) {
        assert!(
            seen.keys > 0 && seen.early.is_zero() && seen.late <= TICK,
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

/// Seconds by which the boot clocks of two hosts differ, as if they had been started on
/// different days.
const BOOTED_APART: [&str; 2] = ["1000", "200000"];

/// How long a packet is under way in each direction, where that can be had.
const ON_THE_WAY: Duration = Duration::from_millis(3);

/// Two hosts with a node each, which read different boot clocks.
struct Kernels {
    // Nodes end before their hosts.
    children: Vec<Child>,
    sandbox: Sandbox,
    network: Network,
}

impl Kernels {
    fn start(test: &str) -> Option<Self> {
        let network = Network::of(2, test)?;
        let time = ["--time", "--boottime", "1", "--fork", "true"];
        let probe = Command::new("unshare").args(time).output();
        if !probe.as_ref().is_ok_and(|output| output.status.success()) {
            skip(test, &format!("no time namespaces here ({probe:?})"));
            return None;
        }
        for host in network.hosts() {
            if let Err(problem) = network.delay(host, ON_THE_WAY) {
                eprintln!("packets are not delayed here ({problem})");
            }
        }
        let sandbox = Sandbox::new()
            .set("USE_AUTO_DISCOVERY", "true")
            .set("BIND_ADDRESS", "::")
            .set("REPRAM_MIN_TTL", 1)
            .set("DISCOVERY_DOMAIN", network.domain());
        let mut children = Vec::new();
        for (host, booted) in network.hosts().zip(BOOTED_APART) {
            let mut command = network.program(host, &sandbox, "unshare".as_ref());
            command
                .args(["--time", "--boottime", booted, "--fork", "--kill-child"])
                .arg(&Binaries::built().node)
                .env("STATE_DIR", sandbox.path(&format!("state-{host}")));
            children.push(sandbox.spawn(&mut command, &format!("host-{host}")).0);
        }
        Some(Self {
            children,
            sandbox,
            network,
        })
    }

    fn ask(&self, host: u8, path: &str) -> Result<String, String> {
        let port = self.sandbox.http_port(0);
        let answer = self.network.ask(host, "GET", port, path, b"")?;
        Ok(answer.text())
    }

    /// How late a value may end, as a node says; 0 while it knows no other clock.
    fn lateness(&self, host: u8) -> Result<f64, String> {
        let page = self.ask(host, "/metrics")?;
        let name = "repram_deadline_lateness_seconds ";
        let value = page.lines().find_map(|line| line.strip_prefix(name));
        let value = value.and_then(|value| value.parse().ok());
        value.ok_or_else(|| format!("no lateness in {page}"))
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        self.sandbox.end_all();
        for child in &mut self.children {
            let _reaped = child.wait();
        }
    }
}

#[test]
fn between_kernels_values_end_no_earlier_and_late_by_a_round_trip_at_most() {
    let test = "between_kernels_values_end_no_earlier_and_late_by_a_round_trip_at_most";
    let Some(kernels) = Kernels::start(test) else {
        return;
    };
    let lateness = || -> Result<f64, String> { Ok(kernels.lateness(1)?.max(kernels.lateness(2)?)) };
    wait_until(
        "two nodes that know the clocks of each other",
        PATIENCE,
        || {
            for host in kernels.network.hosts() {
                let status = kernels.ask(host, "/status")?;
                let health = kernels.ask(host, "/health")?;
                let refilled = status.contains(r#""complete":true"#);
                if !refilled
                    || !health.contains(r#""active_peers":1"#)
                    || kernels.lateness(host)? <= 0.0
                {
                    return Err(format!("host {host}: {health} {status}"));
                }
            }
            Ok(())
        },
    );
    let connect = |place: usize| {
        let host = u8::try_from(place + 1).expect("there are two");
        let port = kernels.sandbox.http_port(0);
        kernels.network.connect(host, port).expect("a node listens")
    };
    let mut bound = lateness().expect("they answer");
    let names = ["host 1", "host 2"].map(str::to_owned);
    let seen = measure(&names, &connect, || {
        // A stream that broke knows other round trips.
        bound = bound.max(lateness().unwrap_or_default());
    });
    println!("late by at most {:.2} ms, as the nodes say", bound * 1000.0);
    // The deadline is rounded up to whole milliseconds, and so is what it is elsewhere.
    let bound = Duration::from_secs_f64(bound) + 2 * TICK;
    for seen in seen {
        assert!(
            seen.keys > 0 && seen.early.is_zero() && seen.late <= bound,
            "{bound:?}: {seen}"
        );
    }
}
