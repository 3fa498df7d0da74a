//! Who else gets lines and events as they happen. Owned by the thread that reads the pipes,
//! so that everybody sees the same order; it never waits for a follower.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::batch::Batch;
use super::files::Snapshot;
use super::framer::count_lines;
use super::lane::Loss;
use crate::event::{Event, EventKind};

/// Followers of lines, and as many of events, at one time. Each may hold
/// 1 MiB of lines.
pub const FOLLOWERS_MAX: usize = 8;

/// Bytes of lines that may wait for one follower before it misses some.
pub(crate) const FOLLOWER_BYTES: usize = 1 << 20;

/// What a batch costs beside its bytes.
const BATCH_OVERHEAD: usize = 256;

/// Events that are kept for those who ask later, and that may wait for one follower: the
/// story of a bad hour of a large fleet.
pub(crate) const EVENTS_KEPT: usize = 512;

/// Which nodes somebody wants to hear of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFilter(Option<Vec<String>>);

impl NodeFilter {
    /// All nodes, also those that start later.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    /// The nodes of these names. No names mean all.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = String>) -> Self {
        let names: Vec<String> = names.into_iter().collect();
        Self((!names.is_empty()).then_some(names))
    }

    /// The names; empty for all.
    #[must_use]
    pub fn names(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether this node is wanted.
    #[must_use]
    pub fn matches(&self, node: &str) -> bool {
        self.0
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| name == node))
    }
}

/// What a follower of lines gets.
#[derive(Debug)]
pub(crate) enum Live {
    /// Lines.
    Lines(Batch),
    /// The follower was too slow for these.
    Missed(Loss),
}

/// A wish to follow lines.
#[derive(Debug)]
pub(crate) struct LineFollowing {
    pub(crate) wanted: NodeFilter,
    /// Files of which the last line is older are not wanted.
    pub(crate) since: Option<Timestamp>,
    /// The files with everything before the first live line, when there are files; nothing
    /// comes when there are too many followers.
    pub(crate) history: oneshot::Sender<Snapshot>,
    pub(crate) live: LiveSender,
}

/// A wish to follow events.
#[derive(Debug)]
pub(crate) struct EventFollowing {
    /// The events that are kept.
    pub(crate) recent: oneshot::Sender<Vec<Arc<Event>>>,
    /// Everything after them; none when only the kept ones are wanted.
    pub(crate) live: Option<mpsc::Sender<Arc<Event>>>,
}

/// A channel that is bounded by bytes: what does not fit is counted.
pub(crate) fn live_channel() -> (LiveSender, LiveReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::default());
    (
        LiveSender {
            sender,
            shared: Arc::clone(&shared),
        },
        LiveReceiver { receiver, shared },
    )
}

#[derive(Debug, Default)]
struct Shared {
    /// Bytes that wait in the channel.
    waiting: AtomicUsize,
    /// What did not fit; there is a gap in the channel when this is some.
    missed: Mutex<Option<Loss>>,
}

impl Shared {
    fn missed(&self) -> MutexGuard<'_, Option<Loss>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
enum Sent {
    Lines(Batch),
    Gap,
}

/// The thread's end.
#[derive(Debug)]
pub(crate) struct LiveSender {
    sender: mpsc::UnboundedSender<Sent>,
    shared: Arc<Shared>,
}

impl LiveSender {
    /// Sends a batch or counts it as missed; false when nobody listens any more.
    fn send(&self, batch: &Batch) -> bool {
        let cost = batch.lines.len() + BATCH_OVERHEAD;
        let waiting = self.shared.waiting.load(Ordering::Relaxed);
        // A single batch of long lines may be larger than the bound.
        if waiting == 0 || waiting + cost <= FOLLOWER_BYTES {
            self.shared.waiting.fetch_add(cost, Ordering::Relaxed);
            return self.sender.send(Sent::Lines(batch.clone())).is_ok();
        }
        let loss = Loss {
            lines: count_lines(&batch.lines),
            bytes: batch.lines.len() as u64,
        };
        let mut missed = self.shared.missed();
        match &mut *missed {
            Some(missed) => {
                missed.add(loss);
                !self.sender.is_closed()
            }
            none => {
                *none = Some(loss);
                self.sender.send(Sent::Gap).is_ok()
            }
        }
    }
}

/// The follower's end.
#[derive(Debug)]
pub(crate) struct LiveReceiver {
    receiver: mpsc::UnboundedReceiver<Sent>,
    shared: Arc<Shared>,
}

impl LiveReceiver {
    /// The next lines; none when there will be no more.
    pub(crate) async fn next(&mut self) -> Option<Live> {
        match self.receiver.recv().await? {
            Sent::Lines(batch) => {
                let cost = batch.lines.len() + BATCH_OVERHEAD;
                self.shared.waiting.fetch_sub(cost, Ordering::Relaxed);
                Some(Live::Lines(batch))
            }
            Sent::Gap => Some(Live::Missed(
                self.shared.missed().take().unwrap_or_default(),
            )),
        }
    }
}

#[derive(Debug)]
struct LineFollower {
    wanted: NodeFilter,
    live: LiveSender,
}

#[derive(Debug)]
struct EventFollower {
    live: mpsc::Sender<Arc<Event>>,
    missed: u64,
}

impl EventFollower {
    fn send(&mut self, event: &Arc<Event>) -> bool {
        if self.missed > 0 {
            let message = format!(
                "{} events are missing here: they came too fast",
                self.missed
            );
            let kind = EventKind::Warning { message };
            let gap = Arc::new(Event {
                time: Timestamp::now(),
                node: None,
                kind,
            });
            match self.live.try_send(gap) {
                Ok(()) => self.missed = 0,
                Err(error) => return self.miss(&error),
            }
        }
        match self.live.try_send(Arc::clone(event)) {
            Ok(()) => true,
            Err(error) => self.miss(&error),
        }
    }

    fn miss<T>(&mut self, error: &mpsc::error::TrySendError<T>) -> bool {
        self.missed += 1;
        matches!(error, mpsc::error::TrySendError::Full(_))
    }
}

/// Followers, and the events that are kept.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    lines: Vec<LineFollower>,
    events: Vec<EventFollower>,
    recent: VecDeque<Arc<Event>>,
}

impl Feed {
    /// Takes a follower of lines; false when it is one too many.
    pub(crate) fn follow_lines(&mut self, wanted: NodeFilter, live: LiveSender) -> bool {
        self.lines
            .retain(|follower| !follower.live.sender.is_closed());
        let room = self.lines.len() < FOLLOWERS_MAX;
        if room {
            self.lines.push(LineFollower { wanted, live });
        }
        room
    }

    /// Takes a follower of events, unless it is one too many.
    pub(crate) fn follow_events(&mut self, following: EventFollowing) {
        self.events.retain(|follower| !follower.live.is_closed());
        if let Some(live) = following.live {
            if self.events.len() >= FOLLOWERS_MAX {
                return;
            }
            self.events.push(EventFollower { live, missed: 0 });
        }
        // Whoever asked may have gone.
        let _ = following.recent.send(self.recent.iter().cloned().collect());
    }

    /// Sends lines to those who want them.
    pub(crate) fn lines(&mut self, batch: &Batch) {
        self.lines.retain_mut(|follower| {
            !follower.wanted.matches(&batch.node.name) || follower.live.send(batch)
        });
    }

    /// Sends an event to everybody and keeps it.
    pub(crate) fn event(&mut self, event: &Arc<Event>) {
        self.events.retain_mut(|follower| follower.send(event));
        if self.recent.len() == EVENTS_KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(Arc::clone(event));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::batch::Node;
    use super::super::stamp::Stamp;
    use super::*;

    fn batch(name: &str, lines: &[u8]) -> Batch {
        let node = Arc::new(Node::new(name, 0));
        Batch {
            node,
            stamp: Stamp::default(),
            lines: Bytes::copy_from_slice(lines),
        }
    }

    fn event(message: &str) -> Arc<Event> {
        let kind = EventKind::Warning {
            message: message.to_owned(),
        };
        Arc::new(Event {
            time: Timestamp::UNIX_EPOCH,
            node: None,
            kind,
        })
    }

    #[test]
    fn nodes_are_chosen_by_name() {
        let check = |names: &[&str], node: &str, expect: bool| {
            let filter = NodeFilter::of(names.iter().map(|name| (*name).to_owned()));
            assert_eq!(filter.matches(node), expect, "{names:?} {node}");
        };
        check(&[], "flux-node-1", true);
        check(&["flux-node-1"], "flux-node-1", true);
        check(&["flux-node-2", "flux-node-3"], "flux-node-1", false);
        check(&["flux-node-1"], "flux-node-11", false);
    }

    #[tokio::test]
    async fn a_slow_follower_learns_what_it_missed() {
        let (live, mut receiver) = live_channel();
        let mut feed = Feed::default();
        assert!(feed.follow_lines(NodeFilter::all(), live));
        let big = batch("flux-node-1", &[b'\n'; FOLLOWER_BYTES / 2]);
        for _ in 0..5 {
            feed.lines(&big);
        }
        let mut lines = 0;
        let mut missed = Loss::default();
        drop(feed);
        while let Some(live) = receiver.next().await {
            match live {
                Live::Lines(batch) => {
                    assert!(missed.is_none(), "the gap is told where it is");
                    lines += count_lines(&batch.lines);
                }
                Live::Missed(loss) => missed.add(loss),
            }
        }
        assert_eq!(lines, FOLLOWER_BYTES as u64 / 2);
        assert_eq!(missed.lines, 4 * FOLLOWER_BYTES as u64 / 2);
    }

    #[tokio::test]
    async fn followers_get_what_they_want() {
        let (live, mut receiver) = live_channel();
        let mut feed = Feed::default();
        feed.follow_lines(NodeFilter::of(["flux-node-2".to_owned()]), live);
        feed.lines(&batch("flux-node-1", b"no\n"));
        feed.lines(&batch("flux-node-2", b"yes\n"));
        drop(feed);
        let Some(Live::Lines(batch)) = receiver.next().await else {
            panic!("no lines")
        };
        assert_eq!(&batch.lines[..], b"yes\n");
        assert!(receiver.next().await.is_none());
    }

    #[test]
    fn followers_are_few_and_those_who_left_do_not_count() {
        let mut feed = Feed::default();
        let mut receivers = Vec::new();
        for _ in 0..FOLLOWERS_MAX {
            let (live, receiver) = live_channel();
            assert!(feed.follow_lines(NodeFilter::all(), live));
            receivers.push(receiver);
        }
        assert!(!feed.follow_lines(NodeFilter::all(), live_channel().0));
        receivers.pop();
        let (live, _receiver) = live_channel();
        assert!(feed.follow_lines(NodeFilter::all(), live));
    }

    #[test]
    fn the_last_events_are_kept() {
        let mut feed = Feed::default();
        for number in 0..EVENTS_KEPT + 3 {
            feed.event(&event(&number.to_string()));
        }
        let (recent, mut events) = oneshot::channel();
        feed.follow_events(EventFollowing { recent, live: None });
        let events = events.try_recv().expect("answered");
        assert_eq!(events.len(), EVENTS_KEPT);
        assert_eq!(events[0], event("3"));
    }

    #[test]
    fn a_slow_follower_of_events_learns_that_some_are_missing() {
        let mut feed = Feed::default();
        let (recent, _events) = oneshot::channel();
        let (live, mut receiver) = mpsc::channel(2);
        feed.follow_events(EventFollowing {
            recent,
            live: Some(live),
        });
        for text in ["a", "b", "c", "d"] {
            feed.event(&event(text));
        }
        let mut next = || receiver.try_recv().map(|event| event.kind.to_string()).ok();
        assert_eq!(next().as_deref(), Some("a"));
        assert_eq!(next().as_deref(), Some("b"));
        feed.event(&event("e"));
        assert_eq!(
            next().as_deref(),
            Some("2 events are missing here: they came too fast")
        );
        assert_eq!(next().as_deref(), Some("e"));
        assert_eq!(next(), None);
    }
}
