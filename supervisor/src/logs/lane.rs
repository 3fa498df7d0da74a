//! When a node waits for a slow destination, and when its lines are dropped instead.
//!
//! A node that writes in bursts must not lose lines to a disk that is fast enough, and a node
//! must not wait for a disk that is not. So a full queue holds the node back, but only as
//! long as its patience lasts. Patience runs out by waiting and comes back by lines written,
//! so that over any longer time only a destination that takes [`FLOOD_RATE`] can hold a node
//! back, and then it is the node that floods.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::{Duration, Instant};

/// The longest that a destination which takes nothing at all holds a node back: long enough
/// for a disk to commit its journal, short enough for a client not to give up.
pub(crate) const PATIENCE_MAX: Duration = Duration::from_millis(200);

/// Bytes per second that earn a second of patience. Slower destinations than this are not
/// waited for beyond [`PATIENCE_MAX`].
const FLOOD_RATE: u64 = 32 << 20;

/// Lines and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

impl Loss {
    pub(crate) fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.bytes += other.bytes;
    }

    pub(crate) fn is_none(self) -> bool {
        self.lines == 0
    }
}

/// What to do with more lines of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Queue them.
    Take,
    /// Leave them in the node's pipe, at most until then.
    Hold(Instant),
    /// Count them and let them go.
    Drop,
}

#[derive(Clone, Copy, Debug)]
enum Flow {
    Open,
    Held { since: Instant },
    Dropping,
}

/// The way of one node's lines to one destination.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Bytes that wait in the queue or are being written.
    queued: usize,
    flow: Flow,
    patience: Duration,
    /// Dropped, and not yet told by a line.
    untold: Loss,
    /// Dropped since the start.
    total: Loss,
}

impl Lane {
    pub(crate) fn new() -> Self {
        Self {
            queued: 0,
            flow: Flow::Open,
            patience: PATIENCE_MAX,
            untold: Loss::default(),
            total: Loss::default(),
        }
    }

    /// Decides about more lines when the node's share of the queue is `share` bytes. Once
    /// held or dropping, half of the share must be free again before lines are taken, so
    /// that they move in large pieces.
    pub(crate) fn verdict(&mut self, share: usize, now: Instant) -> Verdict {
        match self.flow {
            Flow::Open if self.queued < share => Verdict::Take,
            Flow::Open => self.hold(now, now),
            Flow::Held { since } if self.queued <= share / 2 => {
                self.patience = self
                    .patience
                    .saturating_sub(now.saturating_duration_since(since));
                self.flow = Flow::Open;
                Verdict::Take
            }
            Flow::Held { since } => self.hold(since, now),
            Flow::Dropping if self.queued <= share / 2 => {
                self.flow = Flow::Open;
                Verdict::Take
            }
            Flow::Dropping => Verdict::Drop,
        }
    }

    fn hold(&mut self, since: Instant, now: Instant) -> Verdict {
        if now.saturating_duration_since(since) >= self.patience {
            self.patience = Duration::ZERO;
            self.flow = Flow::Dropping;
            return Verdict::Drop;
        }
        self.flow = Flow::Held { since };
        Verdict::Hold(since + self.patience)
    }

    /// Lines of `bytes` bytes went into the queue.
    pub(crate) fn taken(&mut self, bytes: usize) {
        self.queued += bytes;
    }

    /// Queued lines of `bytes` bytes were written, or the destination gave up on them.
    pub(crate) fn done(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.queued, "more written than queued");
        self.queued = self.queued.saturating_sub(bytes);
        let earned = Duration::from_micros(bytes as u64 * 1_000_000 / FLOOD_RATE);
        self.patience = (self.patience + earned).min(PATIENCE_MAX);
    }

    /// Whether the node waits and there is room for it now.
    pub(crate) fn can_resume(&self, share: usize) -> bool {
        matches!(self.flow, Flow::Held { .. }) && self.queued <= share / 2
    }

    /// Lines were dropped before they were queued: a line will tell.
    pub(crate) fn dropped(&mut self, loss: Loss) {
        self.untold.add(loss);
        self.total.add(loss);
    }

    /// Lines were dropped by the destination, which tells of them itself.
    pub(crate) fn failed(&mut self, loss: Loss) {
        self.total.add(loss);
    }

    /// What a line has to tell now.
    pub(crate) fn take_untold(&mut self) -> Option<Loss> {
        let untold = std::mem::take(&mut self.untold);
        (!untold.is_none()).then_some(untold)
    }

    /// Dropped since the start.
    pub(crate) fn total(&self) -> Loss {
        self.total
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests need some moment to start from"
)]
mod tests {
    use super::*;

    const SHARE: usize = 1000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn room_is_used() {
        let now = Instant::now();
        let mut lane = Lane::new();
        assert_eq!(lane.verdict(SHARE, now), Verdict::Take);
        lane.taken(SHARE - 1);
        assert_eq!(
            lane.verdict(SHARE, now),
            Verdict::Take,
            "one read may go over the share"
        );
    }

    #[test]
    fn a_full_queue_holds_the_node_until_half_of_it_is_free() {
        let now = Instant::now();
        let mut lane = Lane::new();
        lane.taken(SHARE);
        assert_eq!(lane.verdict(SHARE, now), Verdict::Hold(now + PATIENCE_MAX));
        assert!(!lane.can_resume(SHARE));
        lane.done(SHARE / 2 - 1);
        assert!(!lane.can_resume(SHARE));
        lane.done(1);
        assert!(lane.can_resume(SHARE));
        assert_eq!(lane.verdict(SHARE, now + ms(5)), Verdict::Take);
    }

    #[test]
    fn a_destination_that_hangs_is_waited_for_once() {
        let now = Instant::now();
        let mut lane = Lane::new();
        lane.taken(SHARE);
        lane.verdict(SHARE, now);
        let end = now + PATIENCE_MAX;
        assert_eq!(lane.verdict(SHARE, end - ms(1)), Verdict::Hold(end));
        assert_eq!(lane.verdict(SHARE, end), Verdict::Drop);
        lane.dropped(Loss {
            lines: 2,
            bytes: 20,
        });
        assert_eq!(lane.verdict(SHARE, end + ms(1)), Verdict::Drop);
        lane.dropped(Loss {
            lines: 1,
            bytes: 10,
        });
        // It works again: what was lost is told once.
        lane.done(SHARE);
        assert_eq!(lane.verdict(SHARE, end + ms(2)), Verdict::Take);
        assert_eq!(
            lane.take_untold(),
            Some(Loss {
                lines: 3,
                bytes: 30
            })
        );
        assert_eq!(lane.take_untold(), None);
        assert_eq!(
            lane.total(),
            Loss {
                lines: 3,
                bytes: 30
            }
        );
        // A thousand bytes have earned next to no patience for the next time.
        lane.taken(SHARE);
        assert_eq!(
            lane.verdict(SHARE, end + ms(3)),
            Verdict::Hold(end + ms(3) + lane.patience)
        );
        assert!(lane.patience < ms(1));
    }

    /// Runs a node that always has more to say against a destination of `rate` bytes per
    /// second for ten seconds: the part of the time for which it was held back, and whether
    /// lines were dropped.
    fn flood(rate: u64) -> (f64, bool) {
        let share = 256 << 10;
        let start = Instant::now();
        let mut lane = Lane::new();
        let (mut held, mut lost) = (Duration::ZERO, false);
        for tick in 0..10_000 {
            let now = start + ms(tick);
            lane.done(lane.queued.min((rate / 1000) as usize));
            loop {
                match lane.verdict(share, now) {
                    Verdict::Take => lane.taken(64 << 10),
                    Verdict::Hold(_) => {
                        held += ms(1);
                        break;
                    }
                    Verdict::Drop => {
                        lost = true;
                        break;
                    }
                }
            }
        }
        (held.as_secs_f64() / 10.0, lost)
    }

    #[test]
    fn only_a_fast_destination_may_slow_a_node_down() {
        let (_, lost) = flood(100 << 20);
        assert!(!lost, "a healthy disk loses nothing");
        let (held, lost) = flood(8 << 20);
        assert!(
            lost && held < 0.3,
            "a slow disk holds the node back for {held} of the time"
        );
        let (held, lost) = flood(0);
        assert!(
            lost && held < 0.03,
            "a dead disk holds the node back for {held} of the time"
        );
    }
}
