//! What was acknowledged stays readable, and nothing old comes back, while nodes are killed,
//! frozen, restarted, and scaled up and down.
//!
//! `REPRAM_CHURN_SECONDS=3600` does so for an hour, `REPRAM_CHURN_SEED=n` with the same
//! choices again (what happens between processes is never quite the same).

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use repram_tests::{Churn, ChurnConfig, Fleet, Node, PATIENCE, Report, Sandbox, get, wait_until};

/// How long each test goes on; they run beside each other.
const SECONDS: u64 = 20;

/// How long the test goes on in which everything is done.
const SECONDS_OF_ALL: u64 = 60;

/// How many nodes there may be. The fewest are less than the copies of a value, so that a
/// shrinking fleet takes holders of all copies at once.
const NODES: std::ops::RangeInclusive<usize> = 2..=8;

/// A jump is by as many nodes as a value has copies at least.
const JUMP: usize = 3;

/// For how long a node is frozen, in milliseconds: from what nobody notices to what others
/// take for an end.
const FREEZE_MS: std::ops::Range<u64> = 20..4_000;

/// Something that is done to a fleet.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Freeze,
    Restart,
    Rolling,
    Up,
    Down,
    /// To another number of nodes that is far away.
    Jump,
}

/// A fleet, and a client that uses it all the time.
struct Story {
    fleet: Fleet,
    nodes: Vec<Node>,
    churn: Churn,
    random: fastrand::Rng,
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

impl Story {
    /// Does one of these again and again; each when what the one before took is made good.
    fn tell(faults: &[Fault], nodes: usize, seconds: u64) -> Report {
        let seed = setting("REPRAM_CHURN_SEED").unwrap_or_else(|| fastrand::u64(..));
        let seconds = setting("REPRAM_CHURN_SECONDS").unwrap_or(seconds);
        // Every kill is the first one, so that the successor starts at once.
        let sandbox = Sandbox::new()
            .set("NODE_COUNT", nodes)
            .set("RESTART_STABLE", "1ms");
        let mut fleet = sandbox.start();
        let nodes = fleet.wait_until_refilled(nodes);
        let churn = Churn::start(&ChurnConfig {
            ports: ports(&nodes),
            sessions: 12,
            keys: 25,
            seed,
        });
        let mut story = Self {
            fleet,
            nodes,
            churn,
            random: fastrand::Rng::with_seed(seed),
        };
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut done = 0;
        // Each is done once at least, however slow the machine is.
        while (Instant::now() < end || done < faults.len()) && story.churn.report().is_clean() {
            let random = *story.random.choice(faults).expect("something is done");
            story.suffer(faults.get(done).copied().unwrap_or(random));
            done += 1;
        }
        let Self { fleet, churn, .. } = story;
        let report = churn.finish();
        println!("REPRAM_CHURN_SEED={seed} {faults:?}, {done} times in {seconds} s: {report}");
        assert!(report.is_clean(), "REPRAM_CHURN_SEED={seed}: {report}");
        assert!(report.written > 0 && report.verified > 0, "{report}");
        fleet.stop();
        report
    }

    fn suffer(&mut self, fault: Fault) {
        let victim = &self.nodes[self.random.usize(..self.nodes.len())];
        let id = victim.id.clone();
        let count = self.nodes.len();
        match fault {
            Fault::Kill => self.fleet.process_of(&id).signal(Signal::SIGKILL),
            Fault::Freeze => {
                let process = self.fleet.process_of(&id);
                process.signal(Signal::SIGSTOP);
                // This is what the test is about, and nothing that it waits for.
                thread::sleep(Duration::from_millis(self.random.u64(FREEZE_MS)));
                process.signal(Signal::SIGCONT);
            }
            Fault::Restart => self.command(&["restart", &id]),
            Fault::Rolling => self.command(&["restart", "--rolling"]),
            Fault::Up => return self.scale(count + 1),
            Fault::Down => return self.scale(count - 1),
            Fault::Jump => {
                let far = NODES.filter(|other| other.abs_diff(count) >= JUMP);
                let far: Vec<usize> = far.collect();
                let other = *self.random.choice(&far).expect("there is always one");
                return self.scale(other);
            }
        }
        self.settle(count);
    }

    /// Nodes come and go at the end of the range.
    fn scale(&mut self, count: usize) {
        if !NODES.contains(&count) {
            return;
        }
        // Whoever asks a node that has gone is refused, which says nothing.
        if count < self.nodes.len() {
            self.churn.use_ports(ports(&self.nodes[..count]));
        }
        self.command(&["scale", &count.to_string()]);
        self.settle(count);
    }

    /// Waits until so many nodes are there, know each other, and have got their values.
    fn settle(&mut self, count: usize) {
        let fleet = &self.fleet;
        self.nodes = wait_until("a fleet as good as before", PATIENCE, || {
            let slots = 0..u16::try_from(count).expect("a fleet is small");
            slots
                .map(|slot| recovered(fleet.http_port(slot), count))
                .collect()
        });
        self.churn.use_ports(ports(&self.nodes));
    }

    #[track_caller]
    fn command(&self, arguments: &[&str]) {
        let finished = self.fleet.finish(arguments);
        assert_eq!(finished.code(), Some(0), "{}", finished.said());
    }
}

/// The node on a port, when nothing is left to be done after what happened.
fn recovered(port: u16, count: usize) -> Result<Node, String> {
    let node = Node::at(port)?;
    let health = get(port, "/health")?.json();
    if health["active_peers"] != count - 1 {
        return Err(format!("{health}"));
    }
    let status = get(port, "/status")?.json();
    if status["refill"]["complete"] != true {
        return Err(format!("{}: {}", node.id, status["refill"]));
    }
    Ok(node)
}

fn ports(nodes: &[Node]) -> Vec<u16> {
    nodes.iter().map(|node| node.port).collect()
}

#[test]
fn nothing_is_lost_while_nodes_are_killed_and_frozen() {
    Story::tell(&[Fault::Kill, Fault::Freeze], 3, SECONDS);
}

#[test]
fn nothing_is_lost_while_nodes_are_restarted() {
    Story::tell(&[Fault::Restart, Fault::Rolling], 4, SECONDS);
}

#[test]
fn nothing_is_lost_while_the_fleet_grows_and_shrinks() {
    Story::tell(&[Fault::Up, Fault::Down, Fault::Kill], 4, SECONDS);
}

#[test]
fn nothing_is_lost_while_the_fleet_jumps_by_all_holders_of_a_value_and_more() {
    Story::tell(&[Fault::Jump], 5, SECONDS);
}

#[test]
fn nothing_is_lost_while_all_of_this_happens_to_one_fleet() {
    let all = [
        Fault::Kill,
        Fault::Freeze,
        Fault::Jump,
        Fault::Restart,
        Fault::Up,
        Fault::Rolling,
        Fault::Jump,
        Fault::Down,
    ];
    Story::tell(&all, 4, SECONDS_OF_ALL);
}
