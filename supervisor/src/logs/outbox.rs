//! The bounded queue between the thread that reads the pipes and a thread that writes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::batch::{Batch, Node};
use super::lane::{Lane, Loss, Verdict};
use super::stamp::Stamp;
use super::waker::Waker;

/// Bytes of lines that may wait for one destination, over all nodes: some ten milliseconds
/// of a flood, some minutes of normal life.
pub(crate) const OUTBOX_BYTES: usize = 4 << 20;

/// What a queued batch costs beside its bytes, so that a million short ones are bounded too.
const BATCH_OVERHEAD: usize = 256;

/// Orders (events, rotations, ...) that may wait for one destination. They are few; beyond
/// this the destination hangs.
const ORDERS_MAX: usize = 1024;

/// What a destination is to do; `O` are its own orders.
#[derive(Debug)]
pub(crate) enum Item<O> {
    /// Write these.
    Lines(Batch),
    /// Lines of this node are missing here.
    Gap {
        node: Arc<Node>,
        stamp: Stamp,
        loss: Loss,
    },
    /// Something else, in its place between the lines.
    Order(O),
}

/// The queue to one destination. Lines of different nodes do not compete: each has an equal
/// share.
#[derive(Debug)]
pub(crate) struct Outbox<O> {
    state: Mutex<State<O>>,
    filled: Condvar,
    waker: Arc<Waker>,
}

#[derive(Debug)]
struct State<O> {
    items: VecDeque<Item<O>>,
    orders: usize,
    lanes: Vec<Lane>,
    closed: bool,
    orders_lost: u64,
}

impl<O> State<O> {
    fn share(&self) -> usize {
        OUTBOX_BYTES / self.lanes.len().max(1)
    }

    fn lane(&mut self, node: &Node) -> &mut Lane {
        while self.lanes.len() <= node.index {
            self.lanes.push(Lane::new());
        }
        &mut self.lanes[node.index]
    }
}

impl<O> Outbox<O> {
    /// An empty queue. `waker` wakes the reader when a node that waits may go on.
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                orders: 0,
                lanes: Vec::new(),
                closed: false,
                orders_lost: 0,
            }),
            filled: Condvar::new(),
            waker,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<O>> {
        // Nothing panics under this lock; if it did, the counts would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// May more lines of this node come?
    pub(crate) fn verdict(&self, node: &Node, now: Instant) -> Verdict {
        let mut state = self.lock();
        state.lane(node);
        let share = state.share();
        state.lane(node).verdict(share, now)
    }

    /// Queues lines that were read after [`Verdict::Take`].
    pub(crate) fn take_in(&self, batch: Batch) {
        let mut state = self.lock();
        let lane = state.lane(&batch.node);
        lane.taken(batch.lines.len() + BATCH_OVERHEAD);
        if let Some(loss) = lane.take_untold() {
            let gap = Item::Gap {
                node: Arc::clone(&batch.node),
                stamp: batch.stamp,
                loss,
            };
            state.items.push_back(gap);
        }
        state.items.push_back(Item::Lines(batch));
        drop(state);
        self.filled.notify_one();
    }

    /// Counts lines that were read after [`Verdict::Drop`].
    pub(crate) fn drop_lines(&self, batch: &Batch) {
        let loss = batch.amount();
        self.lock().lane(&batch.node).dropped(loss);
    }

    /// Queues an order; a lost one is counted and comes back.
    pub(crate) fn order(&self, order: O) -> Result<(), O> {
        let mut state = self.lock();
        if state.closed || state.orders >= ORDERS_MAX {
            state.orders_lost += 1;
            return Err(order);
        }
        state.orders += 1;
        state.items.push_back(Item::Order(order));
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Nothing more will come. What was dropped and not told is told now.
    pub(crate) fn close(&self, nodes: &[Arc<Node>], stamp: Stamp) {
        let mut state = self.lock();
        for node in nodes {
            if let Some(loss) = state.lane(node).take_untold() {
                state.items.push_back(Item::Gap {
                    node: Arc::clone(node),
                    stamp,
                    loss,
                });
            }
        }
        state.closed = true;
        drop(state);
        self.filled.notify_all();
    }

    /// Waits for items and takes all of them; none at the end. What was taken counts as
    /// queued until [`Outbox::done`].
    pub(crate) fn wait(&self) -> Option<VecDeque<Item<O>>> {
        let mut state = self.lock();
        while state.items.is_empty() {
            if state.closed {
                return None;
            }
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.orders = 0;
        Some(std::mem::take(&mut state.items))
    }

    /// So many batches of this node, `bytes` bytes together, were dealt with.
    pub(crate) fn done(&self, node: &Node, batches: usize, bytes: usize) {
        let mut state = self.lock();
        let share = state.share();
        let lane = state.lane(node);
        lane.done(bytes + batches * BATCH_OVERHEAD);
        let resume = lane.can_resume(share);
        drop(state);
        if resume {
            self.waker.wake();
        }
    }

    /// The destination could not write these lines and will tell so itself.
    pub(crate) fn failed(&self, node: &Node, loss: Loss) {
        self.lock().lane(node).failed(loss);
    }

    /// What this destination lost of the node since the start.
    pub(crate) fn lost(&self, node: &Node) -> Loss {
        self.lock().lane(node).total()
    }

    /// Orders that were lost since the start.
    pub(crate) fn orders_lost(&self) -> u64 {
        self.lock().orders_lost
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn outbox() -> Outbox<&'static str> {
        Outbox::new(Arc::new(Waker::new().expect("waker")))
    }

    fn node(index: usize) -> Arc<Node> {
        Arc::new(Node::new(format!("flux-node-{}", index + 1), index))
    }

    fn batch(node: &Arc<Node>, lines: &'static [u8]) -> Batch {
        Batch {
            node: Arc::clone(node),
            stamp: Stamp::default(),
            lines: Bytes::from(lines),
        }
    }

    /// What is in the queue, in words.
    fn contents(outbox: &Outbox<&'static str>) -> Vec<String> {
        let items = outbox.wait().unwrap_or_default();
        items
            .into_iter()
            .map(|item| match item {
                Item::Lines(batch) => String::from_utf8_lossy(&batch.lines).into_owned(),
                Item::Gap { node, loss, .. } => {
                    format!(
                        "{} lost {} lines, {} bytes",
                        node.name, loss.lines, loss.bytes
                    )
                }
                Item::Order(order) => order.to_owned(),
            })
            .collect()
    }

    #[test]
    fn everything_comes_out_in_order() {
        let (outbox, one, two) = (outbox(), node(0), node(1));
        outbox.take_in(batch(&one, b"a\n"));
        outbox.order("order").expect("room");
        outbox.take_in(batch(&two, b"b\n"));
        outbox.close(&[one, two], Stamp::default());
        assert_eq!(contents(&outbox), ["a\n", "order", "b\n"]);
        assert!(outbox.wait().is_none());
    }

    #[test]
    fn what_was_dropped_is_told_before_the_next_lines_or_at_the_end() {
        let (outbox, one, two) = (outbox(), node(0), node(1));
        outbox.drop_lines(&batch(&one, b"a\nb\n"));
        outbox.drop_lines(&batch(&two, b"c\n"));
        outbox.take_in(batch(&one, b"d\n"));
        outbox.close(&[Arc::clone(&one), Arc::clone(&two)], Stamp::default());
        let expect = [
            "flux-node-1 lost 2 lines, 4 bytes",
            "d\n",
            "flux-node-2 lost 1 lines, 2 bytes",
        ];
        assert_eq!(contents(&outbox), expect);
        assert_eq!(outbox.lost(&one), Loss { lines: 2, bytes: 4 });
        assert_eq!(outbox.lost(&two), Loss { lines: 1, bytes: 2 });
    }

    #[test]
    fn a_node_that_floods_takes_no_room_from_the_others() {
        let (outbox, loud, quiet) = (outbox(), node(0), node(1));
        let now = Instant::now();
        let lines: &'static [u8] = &[b'\n'; 64 << 10];
        outbox.verdict(&quiet, now);
        let mut queued = 0;
        while outbox.verdict(&loud, now) == Verdict::Take {
            outbox.take_in(batch(&loud, lines));
            queued += lines.len();
        }
        assert!(queued <= OUTBOX_BYTES / 2 + lines.len());
        assert_eq!(outbox.verdict(&quiet, now), Verdict::Take);
    }

    #[test]
    fn orders_are_bounded() {
        let outbox = outbox();
        let taken = (0..2 * ORDERS_MAX)
            .filter(|_| outbox.order("order").is_ok())
            .count();
        assert_eq!(taken, ORDERS_MAX);
        assert_eq!(outbox.orders_lost(), ORDERS_MAX as u64);
        assert_eq!(contents(&outbox).len(), ORDERS_MAX);
        outbox.order("again").expect("room");
    }
}
