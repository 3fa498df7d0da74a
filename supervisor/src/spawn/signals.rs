//! What signals do in a process that begins.

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::Pid;

/// Signals that Linux has, real-time ones included.
const SIGNALS: libc::c_int = 64;

/// The signals that were ignored when this program was executed: bit n-1 for signal n.
static IGNORED_AT_START: AtomicU64 = AtomicU64::new(0);

/// Before `main` the runtime ignores SIGPIPE and forgets what it found, so this looks
/// earlier: the linker collects such functions, and the C library calls them first.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look_at_signals;

extern "C" fn look_at_signals() {
    let ignored = (1..=SIGNALS).filter(|signal| effect(*signal) == Some(libc::SIG_IGN));
    IGNORED_AT_START.store(ignored.map(bit).sum(), Ordering::Relaxed);
}

/// What a signal does in this process: nothing, its default, or a handler. None for those that
/// belong to the C library.
fn effect(signal: libc::c_int) -> Option<libc::sighandler_t> {
    // SAFETY: without a new action sigaction only fills in the old one, for which zeroes are a
    // valid value.
    unsafe {
        let mut found: libc::sigaction = std::mem::zeroed();
        let known = libc::sigaction(signal, ptr::null(), &raw mut found) == 0;
        known.then_some(found.sa_sigaction)
    }
}

/// Whether a signal calls a function of this program.
fn handled(signal: libc::c_int) -> bool {
    effect(signal).is_some_and(|effect| ![libc::SIG_DFL, libc::SIG_IGN].contains(&effect))
}

/// What signals do in a child when its program begins: each nothing or its default.
pub(super) struct ChildSignals {
    /// Those that get their default: bit n-1 for signal n.
    default: u64,
    /// Those that are ignored. The others stay as they are here, where nothing handles them.
    ignored: u64,
    blocked: libc::sigset_t,
}

impl ChildSignals {
    /// None blocked, and none ignored that was not ignored when this program was executed.
    pub(super) fn usual() -> Self {
        // Which ones we handle does not change meanwhile, and the child is to do little.
        let ours = (1..=SIGNALS).filter(|it| *it == libc::SIGPIPE || handled(*it));
        Self {
            default: ours.map(bit).sum(),
            ignored: 0,
            blocked: *SigSet::empty().as_ref(),
        }
    }

    /// Everything as it was when this program was executed, with these blocked.
    pub(super) fn inherited(blocked: &SigSet) -> Self {
        let ignored = IGNORED_AT_START.load(Ordering::Relaxed);
        Self {
            default: !ignored,
            ignored,
            blocked: *blocked.as_ref(),
        }
    }

    /// Makes it so for this process. Handlers are not left to exec: the child is in its
    /// parent's memory until then.
    ///
    /// # Safety
    /// Only to be called in a fresh child. Makes async-signal-safe calls only.
    pub(super) unsafe fn set(&self) {
        for signal in 1..=SIGNALS {
            let effect = match bit(signal) {
                bit if self.default & bit != 0 => libc::SIG_DFL,
                bit if self.ignored & bit != 0 => libc::SIG_IGN,
                _ => continue,
            };
            // SAFETY: a system call on numbers. Signals that have no other effect, such as
            // SIGKILL, refuse.
            unsafe { libc::signal(signal, effect) };
        }
        // SAFETY: a system call on a set that is initialised.
        unsafe {
            libc::sigprocmask(libc::SIG_SETMASK, &raw const self.blocked, ptr::null_mut());
        }
    }
}

/// The bit of a signal in a set.
fn bit(signal: libc::c_int) -> u64 {
    1 << (signal - 1)
}

/// Sends a signal, which may be a real-time one and so have no name, to a process group.
///
/// # Errors
/// As kill(2): the group is gone, or belongs to somebody else.
pub fn signal_group(group: Pid, signal: libc::c_int) -> Result<(), Errno> {
    // SAFETY: a system call on numbers.
    Errno::result(unsafe { libc::killpg(group.as_raw(), signal) }).map(drop)
}
