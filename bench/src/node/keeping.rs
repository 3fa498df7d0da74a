//! What one node does with many values, and with large ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::load::Load;
use super::rival::{Rival, Running, value};

/// For so long is read and written.
const LENGTH: Duration = Duration::from_secs(2);

/// As many as other benchmarks have.
const CONNECTIONS: usize = 64;
const THREADS: usize = 2;

/// Requests that are made at a time, so that the clients need little memory.
const BATCH: u32 = 20_000;

/// Keys that are read, spread over all.
const READ: u32 = 5000;

/// Bytes of all requests together at most.
const REQUEST_BYTES: usize = 32 << 20;

/// Reads per second, their 99th percentile in microseconds, bytes over key and value, and
/// seconds until all were written.
pub(crate) fn keys(count: u32, size: usize) -> [f64; 4] {
    let running = Rival::Node.start(size);
    let start = Instant::now();
    let overhead = fill(&running, count, size);
    let took = start.elapsed();
    let step = (count / READ).max(1);
    let keys = (0..count).step_by(usize::try_from(step).expect("fits"));
    let reads = keys.map(|number| running.dialect.get(&key(number)));
    let score = load(&running, reads.collect()).run(LENGTH, &running.processes());
    [
        score.rate.round(),
        score.p99_us,
        overhead,
        took.as_secs_f64(),
    ]
}

/// Megabytes per second read and written, and requests per second of both.
pub(crate) fn size(size: u32) -> [f64; 4] {
    let bytes = usize::try_from(size).expect("fits");
    let running = Rival::Node.start(bytes);
    let count = (REQUEST_BYTES / bytes).clamp(CONNECTIONS, 1000);
    let keys: Vec<_> = (0..count)
        .map(|number| format!("bench-{number:010}"))
        .collect();
    let value = value(bytes);
    let writes = keys.iter().map(|key| running.dialect.put(key, &value));
    let writes = load(&running, writes.collect());
    let processes = running.processes();
    let written = writes.run(LENGTH, &processes).rate;
    writes.each_once();
    let reads = keys.iter().map(|key| running.dialect.get(key));
    let read = load(&running, reads.collect()).run(LENGTH, &processes).rate;
    let megabytes = |rate: f64| rate * f64::from(size) / 1e6;
    [
        megabytes(read),
        megabytes(written),
        read.round(),
        written.round(),
    ]
}

/// Writes so many values of this size. Bytes that each takes in memory beyond key and value.
pub(super) fn fill(running: &Running, count: u32, size: usize) -> f64 {
    let before = resident_kib(running);
    let value = value(size);
    for first in (0..count).step_by(BATCH as usize) {
        let keys = first..count.min(first + BATCH);
        let writes = keys.map(|number| running.dialect.put(&key(number), &value));
        load(running, writes.collect()).each_once();
    }
    let grown = (resident_kib(running) - before) * 1024.0;
    let payload = key(0).len() + size;
    (grown / f64::from(count) - payload as f64).round()
}

/// Memory of all processes.
pub(super) fn resident_kib(running: &Running) -> f64 {
    let processes = running.processes().into_iter();
    let all: u64 = processes.filter_map(|one| one.resident_kib()).sum();
    all as f64
}

/// Names of one length, so that requests are alike.
fn key(number: u32) -> String {
    format!("bench-{number:010}")
}

fn load(running: &Running, requests: Vec<Vec<u8>>) -> Load {
    Load {
        dialect: running.dialect,
        port: running.port,
        requests: Arc::new(requests),
        connections: CONNECTIONS,
        threads: THREADS,
    }
}
