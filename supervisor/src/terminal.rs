//! The terminal that a process was started from.

use std::fs::{self, File};

/// The terminal that this process was started from, if it was.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Whether there was one at the start.
    had: bool,
}

impl Terminal {
    /// Looks whether there is a terminal. To be called at the start, before SIGHUP is taken
    /// over: for whoever was started to ignore it, by nohup(1), no terminal matters.
    #[must_use]
    pub fn of_this_process() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            had: is_there() && !ignores_hangup(&status),
        }
    }

    /// Whether there was a terminal and is none any more. A SIGHUP then means that, and
    /// else that somebody wants something; who sent it does not tell them apart, because
    /// the kernel, a shell and a terminal multiplexer all pass on the end of a terminal.
    #[must_use]
    pub fn went_away(self) -> bool {
        self.had && !is_there()
    }
}

/// Opening a process's controlling terminal fails when there is none (ENXIO), and when it
/// was hung up (EIO).
fn is_there() -> bool {
    File::options().read(true).open("/dev/tty").is_ok()
}

/// Whether SIGHUP is ignored, by the line SigIgn of proc_pid_status(5): a mask in
/// hexadecimal digits whose lowest bit is signal 1.
fn ignores_hangup(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_bit_is_sighup() {
        let check = |status: &str, expect: bool| assert_eq!(ignores_hangup(status), expect);
        check("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n", true);
        check("SigIgn:\t0000000000001000\n", false);
        check("", false);
    }
}
