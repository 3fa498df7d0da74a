//! Telling ends of writes and reads to whoever waits for them on another thread.
//!
//! Answers of peers arrive on the thread that has the streams. Waking a task of another
//! runtime costs a system call each time, more than everything else that is done for one
//! answer. So what comes together goes into the other thread's [`Home`] together, which is
//! woken once and wakes its own tasks, which costs it nothing.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::coordinator::{GetOutcome, PutOutcome};

/// What waits to be told on one thread. Its bound is that of the requests which wait there:
/// the connections of a worker.
#[derive(Debug, Default)]
pub(super) struct Home {
    ends: Mutex<Vec<End>>,
    filled: Notify,
}

/// An end that is known, and who waits for it.
#[derive(Debug)]
enum End {
    Put(oneshot::Sender<PutOutcome>, PutOutcome),
    Get(oneshot::Sender<GetOutcome>, GetOutcome),
}

thread_local! {
    /// The home of this thread, if it has one.
    static HERE: RefCell<Option<Arc<Home>>> = const { RefCell::new(None) };
}

impl Home {
    /// Tells what comes to those who wait on this thread, for as long as it has a runtime.
    pub(super) async fn keep() -> std::convert::Infallible {
        let home = Arc::new(Self::default());
        HERE.set(Some(Arc::clone(&home)));
        loop {
            home.filled.notified().await;
            for end in std::mem::take(&mut *home.ends()) {
                end.tell();
            }
        }
    }

    fn push(&self, end: End) {
        let mut ends = self.ends();
        ends.push(end);
        let was_empty = ends.len() == 1;
        drop(ends);
        // Whoever takes, takes all.
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn ends(&self) -> MutexGuard<'_, Vec<End>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl End {
    fn tell(self) {
        // Whoever waited may have gone away.
        match self {
            Self::Put(waiter, outcome) => drop(waiter.send(outcome)),
            Self::Get(waiter, outcome) => drop(waiter.send(outcome)),
        }
    }
}

/// Who waits for the end of a write.
pub(super) type Waiter = AtHome<PutOutcome>;

/// Who waits for the end of a read.
pub(super) type Reader = AtHome<GetOutcome>;

/// Who waits, and where.
#[derive(Debug)]
pub(super) struct AtHome<T> {
    waiter: oneshot::Sender<T>,
    home: Option<Arc<Home>>,
}

impl<T> AtHome<T> {
    /// Somebody on this thread, and what it waits for.
    pub(super) fn here() -> (Self, oneshot::Receiver<T>) {
        let (waiter, end) = oneshot::channel();
        let home = HERE.with_borrow(Clone::clone);
        (Self { waiter, home }, end)
    }

    fn tell(self, outcome: T, end: fn(oneshot::Sender<T>, T) -> End) {
        let is_here = |home: &Arc<Home>| {
            HERE.with_borrow(|here| here.as_ref().is_some_and(|here| Arc::ptr_eq(here, home)))
        };
        let end = end(self.waiter, outcome);
        match self.home {
            Some(home) if !is_here(&home) => home.push(end),
            Some(_) | None => end.tell(),
        }
    }
}

impl Waiter {
    /// The write has ended so.
    pub(super) fn told(self, outcome: PutOutcome) {
        self.tell(outcome, End::Put);
    }
}

impl Reader {
    /// The read has ended so.
    pub(super) fn told(self, outcome: GetOutcome) {
        self.tell(outcome, End::Get);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use tokio::runtime::Builder;

    use super::*;

    #[tokio::test]
    async fn without_a_home_everybody_is_told_at_once() {
        let (waiter, mut end) = Waiter::here();
        waiter.told(PutOutcome::Pending);
        assert_eq!(end.try_recv(), Ok(PutOutcome::Pending));
    }

    #[test]
    fn many_are_told_at_home() {
        let (send, receive) = mpsc::channel();
        let worker = thread::spawn(move || {
            let runtime = Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                tokio::spawn(async { match Home::keep().await {} });
                tokio::task::yield_now().await;
                let ends: Vec<_> = (0..100)
                    .map(|_| {
                        let (waiter, end) = Waiter::here();
                        send.send(waiter).expect("somebody listens");
                        end
                    })
                    .collect();
                drop(send);
                for end in ends {
                    assert_eq!(end.await, Ok(PutOutcome::Acknowledged));
                }
                let (waiter, mut end) = Reader::here();
                waiter.told(GetOutcome::Missing);
                assert_eq!(end.try_recv(), Ok(GetOutcome::Missing), "no way round");
            });
        });
        for waiter in receive {
            waiter.told(PutOutcome::Acknowledged);
        }
        worker.join().expect("all were told");
    }
}
