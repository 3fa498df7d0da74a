//! The queue in front of a stream.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::wire::frame::Request;

/// Bytes that may wait for one peer: three of the largest values. What does not fit is
/// tried again by its sender, who knows better what is worth keeping.
pub const MAX_QUEUED_BYTES: usize = 32 * 1024 * 1024;

/// Questions that may wait for one peer: half a second of the fastest small writes.
pub const MAX_QUEUED: usize = 32 * 1024;

/// Why a question was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// There is no stream to the peer at the moment.
    Closed,
    /// Too much waits already.
    Full,
}

/// Questions that wait to be written, many to a record.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    open: bool,
    bytes: usize,
    questions: VecDeque<Request>,
}

impl Outbox {
    /// Adds a question.
    ///
    /// # Errors
    /// When it cannot be sent now.
    pub fn push(&self, question: Request) -> Result<(), NotSent> {
        let size = question.size();
        let mut queue = self.queue();
        if !queue.open {
            return Err(NotSent::Closed);
        }
        if queue.questions.len() >= MAX_QUEUED || queue.bytes + size > MAX_QUEUED_BYTES {
            return Err(NotSent::Full);
        }
        queue.bytes += size;
        queue.questions.push_back(question);
        let was_empty = queue.questions.len() == 1;
        drop(queue);
        // Whoever takes, takes all: one wake-up for many questions.
        if was_empty {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits until there are questions, and takes them up to about `bytes`.
    pub async fn take(&self, bytes: usize) -> Vec<Request> {
        loop {
            let taken = self.take_now(bytes);
            if !taken.is_empty() {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    fn take_now(&self, bytes: usize) -> Vec<Request> {
        let mut queue = self.queue();
        let mut taken = Vec::new();
        let mut size = 0;
        while size < bytes
            && let Some(question) = queue.questions.pop_front()
        {
            size += question.size();
            taken.push(question);
        }
        queue.bytes -= size;
        taken
    }

    /// A stream is there: questions are taken.
    pub fn open(&self) {
        self.queue().open = true;
    }

    /// The stream broke: what waits is dropped, and no more is taken. Returns how much.
    pub fn close(&self) -> usize {
        let mut queue = self.queue();
        let dropped = queue.questions.len();
        *queue = Queue::default();
        dropped
    }

    /// Questions and bytes that wait.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let queue = self.queue();
        (queue.questions.len(), queue.bytes)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn get(id: u64, length: usize) -> Request {
        Request::Get {
            view: 0,
            id,
            key: Bytes::from(vec![0; length]),
        }
    }

    fn ids(questions: &[Request]) -> Vec<u64> {
        questions.iter().map(Request::id).collect()
    }

    #[tokio::test]
    async fn questions_come_out_in_order_and_many_at_once() {
        let outbox = Outbox::default();
        outbox.open();
        for id in 0..5 {
            assert_eq!(outbox.push(get(id, 4)), Ok(()));
        }
        assert_eq!(ids(&outbox.take(250).await), [0, 1, 2]);
        assert_eq!(ids(&outbox.take(10_000).await), [3, 4]);
        assert_eq!(outbox.waiting(), (0, 0));
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let outbox = Outbox::default();
        outbox.open();
        let (taken, ()) = tokio::join!(outbox.take(10_000), async {
            tokio::task::yield_now().await;
            assert_eq!(outbox.push(get(7, 0)), Ok(()));
        });
        assert_eq!(ids(&taken), [7]);
    }

    #[test]
    fn both_bounds_hold() {
        let outbox = Outbox::default();
        outbox.open();
        let large = MAX_QUEUED_BYTES / 2;
        assert_eq!(outbox.push(get(1, large - 200)), Ok(()));
        assert_eq!(outbox.push(get(2, large - 200)), Ok(()));
        assert_eq!(outbox.push(get(3, 1_000)), Err(NotSent::Full));
        assert_eq!(outbox.close(), 2);
        outbox.open();
        for id in 0..MAX_QUEUED as u64 {
            assert_eq!(outbox.push(get(id, 0)), Ok(()));
        }
        assert_eq!(outbox.push(get(0, 0)), Err(NotSent::Full));
    }

    #[test]
    fn a_closed_one_takes_nothing() {
        let outbox = Outbox::default();
        assert_eq!(outbox.push(get(1, 0)), Err(NotSent::Closed));
        outbox.open();
        assert_eq!(outbox.push(get(1, 0)), Ok(()));
        assert_eq!(outbox.close(), 1);
        assert_eq!(outbox.push(get(1, 0)), Err(NotSent::Closed));
        assert_eq!(outbox.waiting(), (0, 0));
    }
}
