//! What a universe is like: how large, how fast, and what goes wrong in it.

/// The character of one run. Weights are relative to each other, 0 for never.
#[derive(Clone, Debug)]
pub(super) struct Nature {
    pub(super) slots: usize,
    pub(super) hosts: usize,
    pub(super) copies: usize,
    /// Least and most one-way delay between hosts, in microseconds.
    pub(super) delay_us: (u64, u64),
    /// Per cent of the datagrams between hosts.
    pub(super) loss: u8,
    pub(super) duplicates: u8,
    /// How far wall clocks are apart at most.
    pub(super) clock_skew_ms: u64,
    pub(super) keys: u64,
    /// Mean time between two calls of clients.
    pub(super) call_every_us: u64,
    /// Mean time between two faults.
    pub(super) fault_every_us: u64,
    /// How long freezes, partitions and absences take at most.
    pub(super) longest_us: u64,
    /// How long things go wrong.
    pub(super) duration_us: u64,
    pub(super) crashes: u8,
    /// Per cent of the crashes that no supervisor notices.
    pub(super) unnoticed: u8,
    pub(super) freezes: u8,
    pub(super) partitions: u8,
    pub(super) scalings: u8,
    pub(super) clock_steps: u8,
    /// Nodes that are asked to stop.
    pub(super) leaves: u8,
}

impl Nature {
    /// Three copies of each key on so many nodes of so many hosts, and nothing goes wrong.
    pub(super) const fn quiet(slots: usize, hosts: usize) -> Self {
        Self {
            slots,
            hosts,
            copies: 3,
            delay_us: (300, 3_000),
            loss: 0,
            duplicates: 0,
            clock_skew_ms: 0,
            keys: 0,
            call_every_us: 0,
            fault_every_us: 0,
            longest_us: 0,
            duration_us: 0,
            crashes: 0,
            unnoticed: 0,
            freezes: 0,
            partitions: 0,
            scalings: 0,
            clock_steps: 0,
            leaves: 0,
        }
    }

    /// The nature of a seed: 3 to 50 nodes, and up to twice as many after changes of size.
    /// Most runs are short and small: what goes wrong usually goes wrong there, and there can
    /// be many.
    pub(super) fn of(random: &mut fastrand::Rng) -> Self {
        let slots = match random.u8(0..200) {
            0 => random.usize(25..=50),
            1..=2 => random.usize(13..=24),
            3..=12 => random.usize(8..=12),
            13..=50 => random.usize(5..=7),
            _ => random.usize(3..=4),
        };
        let several = random.bool();
        let hosts = if several { random.usize(2..=slots) } else { 1 };
        // Everything that many nodes do takes its time.
        let long = random.u8(0..16) == 0 && slots <= 12;
        let mut some = |most: u8| {
            if random.bool() {
                random.u8(0..=most)
            } else {
                0
            }
        };
        let (loss, duplicates) = (some(20), some(20));
        let (crashes, unnoticed) = (some(10), some(100));
        let (freezes, partitions, scalings, clock_steps) = (some(10), some(10), some(10), some(10));
        let leaves = some(10);
        Self {
            slots,
            hosts,
            copies: *random
                .choice(&[1, 2, 3, 3, 3, 3, 5, usize::MAX])
                .expect("some"),
            delay_us: *random
                .choice(&[(50, 300), (300, 3_000), (5_000, 40_000)])
                .expect("some"),
            loss: if several { loss } else { 0 },
            duplicates,
            clock_skew_ms: *random.choice(&[0, 100, 5_000]).expect("some"),
            keys: random.u64(1..=8),
            call_every_us: *random.choice(&[5_000, 30_000, 100_000]).expect("some"),
            fault_every_us: *random
                .choice(&[300_000, 1_000_000, 5_000_000])
                .expect("some"),
            longest_us: if long { 150_000_000 } else { 8_000_000 },
            duration_us: if long { 100_000_000 } else { 10_000_000 },
            crashes,
            unnoticed,
            freezes,
            partitions: if several { partitions } else { 0 },
            scalings,
            clock_steps,
            leaves,
        }
    }
}
