//! Looks after the child while it runs.

use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGCONT};

use super::foreground::Foreground;
use super::inbox::Inbox;
use crate::exit::ExitReason;
use crate::reaper::{self, Change};
use crate::spawn::signal_group;

/// Children that are reaped before signals are looked at again. Orphans may come faster
/// than they can be reaped, and a signal must not wait for them.
pub(super) const REAPED_MAX: usize = 256;

/// The child, which leads a process group, and what belongs to it.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) child: Pid,
    pub(super) foreground: Foreground,
}

impl Keeper {
    /// Forwards signals and reaps orphans until the child has ended, and says how it did.
    pub(super) fn keep(&mut self, inbox: &Inbox) -> ExitReason {
        loop {
            match inbox.next(None) {
                Some(SIGCHLD) => {
                    if let Some(reason) = self.reap() {
                        return reason;
                    }
                }
                Some(signal) => self.forward(signal),
                None => {}
            }
        }
    }

    fn forward(&self, signal: i32) {
        if signal == SIGCONT {
            // Perhaps by a shell's `fg`, which put our group into the foreground.
            self.foreground.give(self.child);
        }
        // A child that has just ended needs no signal.
        let _ = signal_group(self.child, signal);
    }

    /// Takes the news of children; the child's end is the last that is taken.
    fn reap(&mut self) -> Option<ExitReason> {
        for _ in 0..REAPED_MAX {
            match reaper::next_ended_or_stopped()? {
                (pid, Change::Ended(reason, _)) if pid == self.child => return Some(reason),
                (pid, Change::Stopped(signal)) if pid == self.child => self.stopped(signal),
                (_, Change::Ended(..) | Change::Stopped(_)) => {}
            }
        }
        // As if it had been told once more, so that the rest is looked at in its turn.
        let _ = kill(Pid::this(), Signal::SIGCHLD);
        None
    }

    /// The child was stopped. When that was the job control of a shell, the shell waits for
    /// us to stop as well, and only then takes the terminal; it continues us later.
    fn stopped(&mut self, signal: i32) {
        match Signal::try_from(signal) {
            Ok(signal @ (Signal::SIGTTIN | Signal::SIGTTOU)) => {
                self.foreground.is_wanted();
                if self.foreground.give(self.child) {
                    let _ = killpg(self.child, Signal::SIGCONT);
                } else {
                    // SIGCONT comes to us first when the child is to go on.
                    stop(Scope::Ourselves, signal);
                }
            }
            Ok(Signal::SIGTSTP) => {
                let scope = match self.foreground.take_back(self.child) {
                    // A whole job was stopped by a key, of which the terminal reached the
                    // child's group only.
                    true => Scope::Group,
                    false => Scope::Ourselves,
                };
                stop(scope, Signal::SIGTSTP);
                // Where nobody could continue us, as in a container, we were not stopped, and
                // the child would not be without us.
                self.foreground.give(self.child);
                let _ = killpg(self.child, Signal::SIGCONT);
            }
            // SIGSTOP is somebody's who knows the child, and will continue it.
            _ => {}
        }
    }
}

enum Scope {
    Ourselves,
    Group,
}

/// Stops this process, or its whole group, and returns when it goes on. The kernel ignores
/// the signal where there is nobody to continue us: for process 1, and for the orphaned
/// process groups of setpgid(2).
fn stop(scope: Scope, signal: Signal) {
    let mut one = SigSet::empty();
    one.add(signal);
    // Any set can be unblocked and blocked; and we may signal ourselves.
    let _ = one.thread_unblock();
    let _ = match scope {
        Scope::Ourselves => kill(Pid::this(), signal),
        Scope::Group => killpg(Pid::from_raw(0), signal),
    };
    let _ = one.thread_block();
}
