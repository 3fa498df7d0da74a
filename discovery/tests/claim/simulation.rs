//! Thousands of domains, each with its own bad luck.
//!
//! `REPRAM_SIM_RUNS` says how many, `REPRAM_SIM_SEED` replays one and prints what happens.

use std::io::Write as _;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use repram_discovery::claim::core::{CLAIM_SETTLE, Newcomer};
use uuid::Uuid;

use crate::expected::{Party, assignment};
use crate::world::{Event, Machine, Network, World};

const RUNS: u64 = 2_000;

/// Faults begin within this time.
const TROUBLE: Duration = Duration::from_secs(60);

/// After the last fault, claimants settle within this time: what is gone expires in 20 s,
/// who moves takes at most 30 s, and who has no port tries every 5 s.
const PATIENCE: Duration = Duration::from_secs(120);

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is not a number")),
    )
}

/// Prints the seed of a run that panics, and lets no other begin.
struct Replay<'a> {
    test: &'static str,
    seed: u64,
    next: &'a AtomicU64,
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { test, seed, next } = self;
            next.store(u64::MAX / 2, Ordering::Relaxed);
            eprintln!(
                "seed {seed} failed; to replay it:\n\
                 REPRAM_SIM_SEED={seed} cargo test -p repram-discovery --test claim {test} -- --nocapture"
            );
        }
    }
}

fn run_all(test: &'static str, runs: u64, run: fn(seed: u64, trace: bool)) {
    if let Some(seed) = variable("REPRAM_SIM_SEED") {
        return run(seed, true);
    }
    let runs = variable("REPRAM_SIM_RUNS").unwrap_or(runs);
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= runs {
                        break;
                    }
                    let _replay = Replay {
                        test,
                        seed,
                        next: &next,
                    };
                    run(seed, false);
                }
            });
        }
    });
    // Past the capture of the test harness, because it belongs to the result.
    let _ = writeln!(std::io::stderr(), "{test}: {runs} runs");
}

/// Most domains are small, because small ones have the odd cases; some are large.
fn size(rng: &mut fastrand::Rng) -> Range<usize> {
    match rng.u8(..) {
        0 => 50..201,
        1..=15 => 12..50,
        _ => 2..12,
    }
}

/// Messages grow with claimants times hosts; more hosts show nothing new.
const HOSTS_MAX: usize = 24;

pub(crate) struct Draw {
    pub(crate) slots: u16,
    pub(crate) machines: Vec<Machine>,
}

/// A domain whose number of claimants is in `size`, with too few slots or more than enough.
pub(crate) fn draw(rng: &mut fastrand::Rng, size: Range<usize>) -> Draw {
    let claimants = rng.usize(size);
    let slots = rng.usize(claimants.div_ceil(2).max(2)..=claimants * 3 / 2 + 2);
    let slots = u16::try_from(slots).expect("at most 302");
    let least = claimants.div_ceil(HOSTS_MAX);
    let per_host = rng.usize(least..=least + 2);
    let uuids: Vec<u128> = (0..claimants).map(|_| rng.u128(..)).collect();
    let machines = uuids.chunks(per_host).map(|uuids| {
        let newcomers = uuids.iter().zip(0..).map(|(&uuid, number)| Newcomer {
            uuid: Uuid::from_u128(uuid),
            last_slot: (rng.u8(..4) == 0).then(|| rng.u16(..slots)),
            start: number,
        });
        let newcomers = newcomers.collect();
        let stranger = (rng.u8(..4) == 0).then(|| rng.u16(..slots));
        Machine::new(newcomers, stranger.into_iter().collect())
    });
    let machines = machines.collect();
    Draw { slots, machines }
}

fn any_network(rng: &mut fastrand::Rng) -> Network {
    let delay_max = match rng.u8(..3) {
        0 => Duration::from_millis(rng.u64(1..10)),
        1 => Duration::from_millis(rng.u64(10..500)),
        _ => Duration::from_millis(rng.u64(500..8000)),
    };
    Network {
        delay_max,
        loss: if rng.bool() { 0.0 } else { rng.f64() * 0.5 },
        doubling: if rng.bool() { 0.0 } else { rng.f64() * 0.3 },
        met_only: rng.bool(),
    }
}

pub(crate) fn plan_trouble(world: &mut World, rng: &mut fastrand::Rng) {
    let hosts = world.machines.len();
    for _ in 0..rng.u32(..8) {
        let from = TROUBLE.mul_f64(rng.f64());
        let until = from + TROUBLE.mul_f64(rng.f64() * 0.7);
        let host = rng.usize(..hosts);
        match rng.u8(..4) {
            0 | 1 => {
                world.plan(from, Event::Crash(host));
                world.plan(until, Event::Start(host));
            }
            2 => {
                let groups = (0..hosts).map(|_| rng.u8(..3)).collect();
                world.plan(from, Event::Split(groups));
                world.plan(until, Event::Heal);
            }
            _ => {
                let leaver = world.machines[host].claimants[0];
                world.plan(from, Event::Leave(host, leaver.uuid));
                world.plan(until, Event::Return(host, leaver));
            }
        }
    }
}

fn troubled(seed: u64, trace: bool) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let Draw { slots, machines } = {
        let size = size(&mut rng);
        draw(&mut rng, size)
    };
    let network = any_network(&mut rng);
    let mut world = World::new(slots, machines, network, rng.fork(), trace);
    for host in 0..world.machines.len() {
        let at = if rng.bool() {
            Duration::ZERO
        } else {
            TROUBLE.mul_f64(rng.f64() * 0.5)
        };
        world.plan(at, Event::Start(host));
    }
    plan_trouble(&mut world, &mut rng);
    let calm = TROUBLE * 2;
    while world.step(calm) {}
    assert!(
        world.machines.iter().all(|m| m.running.is_some()),
        "everybody is back"
    );
    world.network.loss = world.network.loss.min(0.3);
    world.network.delay_max = world.network.delay_max.min(CLAIM_SETTLE / 4);
    while !world.is_settled() {
        assert!(
            world.step(calm + PATIENCE),
            "not settled: {:#?}",
            world.assignment()
        );
    }
}

fn calm(seed: u64, trace: bool) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let Draw { slots, machines } = {
        let size = size(&mut rng);
        draw(&mut rng, size)
    };
    let network = Network {
        delay_max: Duration::from_millis(5),
        loss: 0.0,
        doubling: rng.f64() * 0.3,
        met_only: rng.bool(),
    };
    let parties: Vec<Party> = machines
        .iter()
        .flat_map(|m| {
            m.claimants.iter().map(|&newcomer| Party {
                newcomer,
                settled: None,
                strangers: m.strangers.clone(),
            })
        })
        .collect();
    let mut world = World::new(slots, machines, network, rng.fork(), trace);
    for host in 0..world.machines.len() {
        world.plan(Duration::from_millis(rng.u64(..50)), Event::Start(host));
    }
    while world.step(Duration::from_secs(8)) {}
    assert_eq!(world.assignment(), assignment(slots, &parties));
}

#[test]
fn simulated_trouble_ends_with_unique_slots() {
    run_all("simulated_trouble", RUNS, troubled);
}

#[test]
fn simulated_claimants_that_start_together_get_what_the_rules_say() {
    run_all("simulated_claimants", RUNS / 4, calm);
}
