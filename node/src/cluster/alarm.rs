//! When the cores want to be woken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::clock::{BootMillis, boot_now};

/// One alarm for all cores: any thread may ask for an earlier moment.
#[derive(Debug)]
pub(super) struct Alarm {
    /// What the waiter sleeps until; `u64::MAX` for ever.
    set_to: AtomicU64,
    earlier: Notify,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self {
            set_to: AtomicU64::new(u64::MAX),
            earlier: Notify::new(),
        }
    }

    /// Goes off at `deadline` at the latest.
    pub(super) fn at_latest(&self, deadline: Option<BootMillis>) {
        let Some(deadline) = deadline else { return };
        if deadline.0 < self.set_to.load(Ordering::SeqCst) {
            self.earlier.notify_one();
        }
    }

    /// Waits until what `next` says, which is asked again when an earlier moment is wanted.
    pub(super) async fn wait(&self, next: impl Fn() -> Option<BootMillis>) {
        loop {
            // Set before it is asked, so that a change in between is not missed.
            self.set_to.store(u64::MAX, Ordering::SeqCst);
            let deadline = next().map_or(u64::MAX, |deadline| deadline.0);
            self.set_to.store(deadline, Ordering::SeqCst);
            let left = deadline.saturating_sub(boot_now().0);
            if left == 0 {
                return;
            }
            tokio::select! {
                () = sleep(Duration::from_millis(left)), if deadline < u64::MAX => return,
                () = self.earlier.notified() => {}
            }
        }
    }
}
