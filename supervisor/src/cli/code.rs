//! The exit codes of `supervisor`, after `sysexits.h` where it has one.

/// Stopped as asked, or the answer is yes.
pub const OK: u8 = 0;
/// The fleet failed for good, or the answer is no.
pub const FAILED: u8 = 1;
/// The command line was wrong (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// No ports to be had, or no supervisor reachable (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// A fault of the supervisor itself (`EX_SOFTWARE`).
pub const INTERNAL: u8 = 70;
/// The configuration is wrong (`EX_CONFIG`).
pub const CONFIG: u8 = 78;
