//! What the HTTP side accepts at most, and how long it waits.

use std::time::Duration;

/// Bytes of a key after percent-decoding, part of the API.
pub const KEY_MAX: usize = 1024;

/// Bytes of a body, part of the API and the same as in the original.
pub const BODY_MAX: usize = 10 * 1024 * 1024;

/// Bytes of a request's head, from the method to the empty line. A key of 1024 bytes is
/// three times as long when each byte is percent-encoded; the rest is what browsers and
/// proxies add.
pub const HEAD_MAX: usize = 16 * 1024;

/// Header fields of a request; browsers behind proxies send 20 to 30.
pub const HEADERS_MAX: usize = 100;

/// Keys in one page: a page of the longest keys is a megabyte.
pub const PAGE_MAX: usize = 1000;

/// Connections at a time. Each idle one holds some 10 KiB, a busy one the buffers of one
/// request; the limits on descriptors and memory may lower this, see [`crate::limits`].
pub const CONNECTIONS_MAX: usize = 10_000;

/// Bytes that are read from a connection at a time; whoever has sent a large body keeps a buffer
/// of this size. With half of it values of 64 KiB take a third more processor time to come in,
/// and with more of it no less.
pub const READ_BUFFER_MAX: usize = 64 * 1024;

/// Memory of a connection at most, of what is not accounted: a value of up to 16 KiB that its
/// client does not take, the buffer for reading, and 8 KiB for the rest. Larger values count for
/// the limit of the store as long as anybody holds them.
pub const CONNECTION_BYTES: u64 = READ_BUFFER_MAX as u64 + 24 * 1024;

/// Connections beyond the limit that are being told so at a time; more are just closed.
pub const REFUSALS_MAX: usize = 64;

/// How often a connection's progress is looked at. All time-outs of connections are
/// multiples of it, and pass between that multiple and one more.
pub const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Checks that a request's head may take: 10 s, as long as three lost packets.
pub const HEAD_CHECKS: u32 = 2;

/// Checks that an answer may make no progress: 30 s.
pub const ANSWER_CHECKS: u32 = 6;

/// Checks that a whole answer may take: 120 s, as long as a body of a request, so that a
/// client that takes a few bytes now and then does not keep a large value in memory.
pub const WHOLE_ANSWER_CHECKS: u32 = 24;

/// Checks that a kept connection may be idle: 75 s, as long as nginx keeps it.
pub const IDLE_CHECKS: u32 = 15;

/// Pause between two pieces of a body.
pub const BODY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// The whole body: 10 MiB at 0.7 Mbit/s.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(120);

/// Checks that a body past hyper may make no progress: as [`BODY_PAUSE_MAX`].
pub const BODY_CHECKS: u32 = 2;

/// Checks that a whole body past hyper may take: as [`BODY_TIME_MAX`].
pub const WHOLE_BODY_CHECKS: u32 = 24;

/// How long a connection that is closed after an error is still read from, so that the
/// client gets the answer and not a reset (RFC 9112, section 9.6).
pub const LINGER: Duration = Duration::from_secs(2);

/// Bytes that are read and dropped meanwhile: somewhat more than an oversized body that is
/// just over the limit.
pub const LINGER_BYTES: usize = 2 * BODY_MAX;

/// Pause after an accept that failed, mostly because there is no descriptor left, which does
/// not end sooner by asking more often.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a client is asked to wait, in seconds, when holders could not be asked or nobody
/// could take a write: about as long as it takes to know that a member is gone.
pub const RETRY_AFTER_S: u32 = 1;
