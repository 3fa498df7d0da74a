//! Signals as a stream: which one came, and from whom.
//!
//! From the first line of `main` on they are held ([`HeldSignals`]), so that none is lost
//! or takes its default effect before somebody listens; process 1 of a container, for which
//! the kernel drops signals without a handler, would else not hear of an early stop.
//!
//! Signals coalesce: two that come close together may be seen as one. So SIGCHLD means
//! "at least one child ended", and the reaper goes on until none is left.

use std::io;
use std::os::unix::net::UnixStream as StdStream;

use nix::libc::c_int;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::backend::SignalDelivery;
pub use signal_hook::iterator::exfiltrator::origin::Origin;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Every signal that the supervisor acts on.
const SIGNALS: [c_int; 7] = [SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2];

/// All signals, blocked in this thread until this is dropped: those that come wait.
#[derive(Debug)]
pub struct HeldSignals {
    before: SigSet,
}

impl HeldSignals {
    /// Blocks every signal that is meant for this thread; those for the process wait only when
    /// it has no other.
    ///
    /// # Panics
    /// Never: the kernel takes any set.
    #[must_use]
    pub fn hold() -> Self {
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        Self {
            before: before.expect("any set of signals can be blocked"),
        }
    }

    /// The signals that were blocked before.
    #[must_use]
    pub fn before(&self) -> &SigSet {
        &self.before
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        // As above, any set will do.
        let _ = self.before.thread_set_mask();
    }
}

/// The signals that come in from now on.
pub struct Signals {
    /// A second descriptor of the stream that `delivery` reads: it is only waited on.
    wake: UnixStream,
    delivery: SignalDelivery<StdStream, WithOrigin>,
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}

impl Signals {
    /// Takes over the signals. From here on none of them has its default effect; those that
    /// were held come first, and none is blocked, even if it was when we were executed.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn take_over(mut held: HeldSignals) -> io::Result<Self> {
        let (read, write) = StdStream::pair()?;
        read.set_nonblocking(true)?;
        let wake = UnixStream::from_std(read.try_clone()?)?;
        let delivery = SignalDelivery::with_pipe(read, write, WithOrigin::default(), SIGNALS)?;
        for signal in SIGNALS {
            let signal = Signal::try_from(signal).expect("each of them has a name");
            held.before.remove(signal);
        }
        drop(held);
        Ok(Self { wake, delivery })
    }

    /// Waits until signals came, and returns them.
    pub async fn next(&mut self) -> Vec<Origin> {
        loop {
            // An error would mean that the runtime is shutting down.
            let _ = self.wake.readable().await;
            let mut signals: Vec<Origin> = Vec::new();
            // The delivery reads the stream empty. Saying so to the runtime makes it wait
            // for the next byte; what comes in between is seen again.
            let _ = self.wake.try_io(Interest::READABLE, || {
                signals.extend(self.delivery.pending());
                Err::<(), _>(io::ErrorKind::WouldBlock.into())
            });
            if !signals.is_empty() {
                return signals;
            }
        }
    }
}

/// Who sent a signal, in words, such as `SIGTERM from pid 1`.
#[must_use]
pub fn describe(origin: &Origin) -> String {
    let name = signal_hook::low_level::signal_name(origin.signal).unwrap_or("a signal");
    match &origin.process {
        Some(process) if process.pid > 0 => format!("{name} from pid {}", process.pid),
        // Pid 0: from outside of our pid namespace, as `docker stop` sends it.
        Some(_) => format!("{name} from outside the container"),
        None => format!("{name} from the terminal"),
    }
}
