//! A stream from one simulated node to another: in order, without loss, and broken at times.

use std::collections::VecDeque;

use crate::stream::ClockOffset;
use crate::wire::Reader;

/// How long data may go unacknowledged before the kernel gives a connection up.
pub(super) const UNACKNOWLEDGED_US: u64 = 20_000_000;

/// After how long the kernel notices that nobody is at the other end of an idle connection.
pub(super) const KEPT_ALIVE_US: u64 = 120_000_000;

/// First pause before a stream is opened again, doubled up to the longest.
const BACKOFF_FIRST_US: u64 = 20_000;
const BACKOFF_LONGEST_US: u64 = 2_000_000;

/// Pause between two measurements of the clocks.
pub(super) const MEASURE_EVERY_US: u64 = 10_000_000;

/// One direction: frames and when they arrive, never out of order.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    frames: VecDeque<(u64, Reader)>,
    last_us: u64,
}

impl Pipe {
    /// Sends a frame; when it will arrive.
    pub(super) fn push(&mut self, frame: Reader, arrives_us: u64) -> u64 {
        self.last_us = self.last_us.max(arrives_us);
        self.frames.push_back((self.last_us, frame));
        self.last_us
    }

    /// The next frame that has arrived.
    pub(super) fn pop(&mut self, now_us: u64) -> Option<Reader> {
        if self.frames.front()?.0 > now_us {
            return None;
        }
        self.frames.pop_front().map(|(_, frame)| frame)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// What there is of a stream, as its opener keeps it.
#[derive(Debug)]
pub(super) struct Link {
    /// Counts the connections, so that what belonged to an earlier one is told.
    pub(super) session: u64,
    /// The life of the process at the other end, while there is a connection.
    pub(super) connected_to: Option<u64>,
    /// Number of the connection in all the universe.
    pub(super) stream: u64,
    pub(super) forth: Pipe,
    pub(super) back: Pipe,
    pub(super) offset: ClockOffset,
    pub(super) measured_us: u64,
    pub(super) blocked_since_us: Option<u64>,
    pub(super) pause_us: u64,
    /// Whether an attempt to connect is planned.
    pub(super) trying: bool,
}

impl Link {
    pub(super) fn new(same_clock: bool) -> Self {
        Self {
            session: 0,
            connected_to: None,
            stream: 0,
            forth: Pipe::default(),
            back: Pipe::default(),
            offset: ClockOffset::new(same_clock),
            measured_us: 0,
            blocked_since_us: None,
            pause_us: BACKOFF_FIRST_US,
            trying: false,
        }
    }

    /// A connection to a process is there.
    pub(super) fn connect(&mut self, life: u64, stream: u64, same_clock: bool) {
        let session = self.session + 1;
        *self = Self {
            session,
            connected_to: Some(life),
            stream,
            ..Self::new(same_clock)
        };
    }

    /// The connection is gone; whether there was one.
    pub(super) fn disconnect(&mut self) -> bool {
        self.session += 1;
        (self.forth, self.back) = (Pipe::default(), Pipe::default());
        self.blocked_since_us = None;
        self.connected_to.take().is_some()
    }

    /// The pause before the next attempt.
    pub(super) fn next_pause_us(&mut self) -> u64 {
        let pause = self.pause_us;
        self.pause_us = (pause * 2).min(BACKOFF_LONGEST_US);
        pause
    }
}
