//! What was acknowledged stays readable while nodes are killed, one after the other.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use repram_tests::{Sandbox, get, put};

/// Nodes that are killed, unless `REPRAM_CHURN_KILLS` says otherwise.
const KILLS: u32 = 12;

/// Values that are written between two kills.
const WRITES: u32 = 25;

/// What the client saw.
#[derive(Debug, Default)]
struct Counts {
    written: u32,
    verified: u32,
    lost: u32,
    refused: u32,
}

/// A client that remembers what was acknowledged, and checks it.
struct Client {
    ports: Vec<u16>,
    random: fastrand::Rng,
    acknowledged: BTreeMap<String, Vec<u8>>,
    counts: Counts,
    /// What was lost, for the message.
    losses: Vec<String>,
}

impl Client {
    fn port(&mut self) -> u16 {
        self.ports[self.random.usize(..self.ports.len())]
    }

    fn write(&mut self) {
        let key = format!("key-{}", self.random.u32(..200));
        let length = self.random.usize(..4_096);
        let value: Vec<u8> = std::iter::repeat_with(|| self.random.u8(..))
            .take(length)
            .collect();
        let answer = put(self.port(), &format!("/data/{key}?ttl=600"), &value);
        if answer.is_ok_and(|answer| answer.status == 201) {
            self.counts.written += 1;
            self.acknowledged.insert(key, value);
        } else {
            // It may have been stored or not: nothing is known of this key any more.
            self.counts.refused += 1;
            self.acknowledged.remove(&key);
        }
    }

    fn verify_all(&mut self) {
        for (key, value) in self.acknowledged.clone() {
            let port = self.port();
            match get(port, &format!("/data/{key}")) {
                Ok(answer) if answer.status == 200 && answer.body == value => {
                    self.counts.verified += 1;
                }
                Ok(answer) if answer.status == 503 => self.counts.refused += 1,
                Err(_) => self.counts.refused += 1,
                Ok(answer) => {
                    self.counts.lost += 1;
                    self.losses
                        .push(format!("{key} on {port}: {}", answer.status));
                }
            }
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_while_nodes_are_killed() {
    let kills = std::env::var("REPRAM_CHURN_KILLS")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = std::env::var("REPRAM_CHURN_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    // Every kill is the first one, so that the successor starts at once.
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", 3)
        .set("RESTART_STABLE", "1ms");
    let mut fleet = sandbox.start();
    let nodes = fleet.wait_for_nodes(3);
    let mut client = Client {
        ports: nodes.iter().map(|node| node.port).collect(),
        random: fastrand::Rng::with_seed(seed),
        acknowledged: BTreeMap::new(),
        counts: Counts::default(),
        losses: Vec::new(),
    };
    for _ in 0..kills.unwrap_or(KILLS) {
        for _ in 0..WRITES {
            client.write();
        }
        let victim = &nodes[client.random.usize(..nodes.len())];
        fleet.process_of(&victim.id).signal(Signal::SIGKILL);
        client.verify_all();
        fleet.wait_until_refilled(3);
    }
    client.verify_all();
    println!("seed {seed}: {:?}", client.counts);
    assert_eq!(client.counts.lost, 0, "seed {seed}: {:?}", client.losses);
    let asked = client.counts.verified + client.counts.refused;
    assert!(
        client.counts.refused * 20 < asked,
        "seed {seed}: {:?}",
        client.counts
    );
    fleet.stop();
}
