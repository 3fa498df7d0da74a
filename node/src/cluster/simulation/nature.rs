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
    /// The nature of a seed. Most runs are short and small: what goes wrong usually goes
    /// wrong there, and there can be many.
    pub(super) fn of(random: &mut fastrand::Rng) -> Self {
        let slots = match random.u8(0..20) {
            0 => random.usize(8..=12),
            1..=4 => random.usize(5..=7),
            _ => random.usize(3..=4),
        };
        let several = random.bool();
        let hosts = if several { random.usize(2..=slots) } else { 1 };
        let long = random.u8(0..16) == 0;
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
