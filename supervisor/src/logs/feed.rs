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
/// [`FOLLOWER_BYTES`].
pub(crate) const FOLLOWERS_MAX: usize = 8;

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

    /// These nodes; a bare number N means `flux-node-N`. No names mean all.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = String>) -> Self {
        let names: Vec<String> = names
            .into_iter()
            .map(|name| match name.parse::<u32>() {
                Ok(number) => format!("flux-node-{number}"),
                Err(_) => name,
            })
            .collect();
        Self((!names.is_empty()).then_some(names))
    }

    /// Whether this node is wanted.
    #[must_use]
    pub fn matches(&self, node: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.iter().any(|name| name == node))
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
    (LiveSender { sender, shared: Arc::clone(&shared) }, LiveReceiver { receiver, shared })
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
        if self.shared.waiting.load(Ordering::Relaxed) + cost <= FOLLOWER_BYTES {
            self.shared.waiting.fetch_add(cost, Ordering::Relaxed);
            return self.sender.send(Sent::Lines(batch.clone())).is_ok();
        }
        let loss = Loss { lines: count_lines(&batch.lines), bytes: batch.lines.len() as u64 };
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
            Sent::Gap => Some(Live::Missed(self.shared.missed().take().unwrap_or_default())),
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
            let message = format!("{} events are missing here: they came too fast", self.missed);
            let kind = EventKind::Warning { message };
            let gap = Arc::new(Event { time: Timestamp::now(), node: None, kind });
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
        self.lines.retain(|follower| !follower.live.sender.is_closed());
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
