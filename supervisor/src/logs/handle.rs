//! The handle that the rest of the supervisor holds.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use repram_config::LogFormat;
use tokio::sync::{mpsc, oneshot};

use super::batch::Node;
use super::config::LogConfig;
use super::destinations::Destinations;
use super::feed::{self, EVENTS_KEPT, EventFollowing, LineFollowing, LiveReceiver};
use super::files::{Catalogue, Compressor, FileOrder, RotateReport, is_node_name};
use super::history::{History, LogQuery};
use super::latch::Latch;
use super::mailbox::{Command, Mailbox};
use super::stats::{DestinationStats, LOG_STATS_SCHEMA, LogStats, NodeLogStats};
use super::tail::LastLines;
use crate::event::Event;

/// The running logs. Clones are handles of the same threads; no call blocks on a disk or on
/// a reader, except [`Logs::finish`].
#[derive(Clone, Debug)]
pub struct Logs(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    mailbox: Arc<Mailbox>,
    destinations: Destinations,
    format: LogFormat,
    files: Option<(Arc<Catalogue>, Arc<Compressor>)>,
    nodes: Mutex<Vec<Arc<Node>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) reader_done: Arc<Latch>,
    pub(crate) files_done: Arc<Latch>,
    pub(crate) shown_done: Arc<Latch>,
}

impl Inner {
    pub(crate) fn new(
        mailbox: Arc<Mailbox>,
        destinations: Destinations,
        format: LogFormat,
    ) -> Self {
        Self {
            mailbox,
            destinations,
            format,
            files: None,
            nodes: Mutex::default(),
            threads: Mutex::default(),
            reader_done: Arc::default(),
            files_done: Arc::default(),
            shown_done: Arc::default(),
        }
    }

    pub(crate) fn with_files(&mut self, catalogue: Arc<Catalogue>, compressor: Arc<Compressor>) {
        self.files = Some((catalogue, compressor));
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Arc<Node>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Logs {
    pub(crate) fn new(inner: Inner, threads: Vec<JoinHandle<()>>) -> Self {
        *inner.threads.lock().unwrap_or_else(PoisonError::into_inner) = threads;
        Self(Arc::new(inner))
    }

    /// Reads what the process of this generation of `node` writes from the read end of its
    /// pipe (stdout and stderr share one, so that their order is kept) until every writer has
    /// closed it.
    ///
    /// # Panics
    /// When `node` is not of the form `flux-node-N`, after which its file is named.
    pub fn attach(&self, node: &str, generation: u64, pipe: OwnedFd) {
        assert!(is_node_name(node), "{node:?} is no name of a node");
        let node = {
            let mut nodes = self.0.nodes();
            let known = nodes.iter().find(|known| known.name == node).cloned();
            known.unwrap_or_else(|| {
                let node = Arc::new(Node::new(node, nodes.len()));
                nodes.push(Arc::clone(&node));
                node
            })
        };
        self.0.mailbox.post(Command::Attach {
            node,
            generation,
            pipe,
        });
    }

    /// What the last processes of a node wrote last, with everything that they had written
    /// before this call; nothing after the end.
    pub(crate) async fn last_lines(&self, node: &str) -> LastLines {
        let (reply, lines) = oneshot::channel();
        let node = node.to_owned();
        self.0.mailbox.post(Command::Tail { node, reply });
        lines.await.unwrap_or_default()
    }

    /// Shows an event on the container's stdout and to everyone who follows events, after
    /// everything that the nodes had written before this call.
    pub fn event(&self, event: &Event) {
        self.0.mailbox.post(Command::Event(event.clone()));
    }

    /// Shows text on the container's stdout as it is, such as the table at the start;
    /// nothing in JSON format, where every line is an object.
    pub fn print(&self, text: &str) {
        if self.0.format == LogFormat::Text {
            self.0.mailbox.post(Command::Print(text.to_owned()));
        }
    }

    /// So many nodes share the room for files from now on.
    pub fn expect_nodes(&self, nodes: u16) {
        if let Some((catalogue, _)) = &self.0.files {
            catalogue.expect_nodes(nodes);
        }
    }

    /// The nodes that wrote since the start, and those of which there are files.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        let mut nodes: Vec<String> = self
            .0
            .nodes()
            .iter()
            .map(|node| node.name.clone())
            .collect();
        if let Some((catalogue, _)) = &self.0.files {
            nodes.extend(catalogue.nodes());
        }
        nodes
    }

    /// Whether lines are written to files.
    #[must_use]
    pub fn has_files(&self) -> bool {
        self.0.files.is_some()
    }

    /// Keeps and shows from now on what `config` says. Its directory and its form must be
    /// those of the start: they stay.
    pub fn configure(&self, config: &LogConfig) {
        if let Some((catalogue, _)) = &self.0.files {
            catalogue.set_limits(config.limits());
        }
        self.0.mailbox.post(Command::Configure {
            stdout: config.stdout,
            max_line: config.max_line,
        });
    }

    /// Opens every file anew, after somebody else renamed it.
    pub fn reopen(&self) {
        if let Some(files) = &self.0.destinations.files {
            // Lost only when a thousand orders wait: then the disk hangs anyway.
            let _ = files.order(FileOrder::Reopen);
        }
    }

    /// Rotates every file that is not empty; none when there are no files, or the disk hangs
    /// so that the order cannot even be queued.
    pub async fn rotate(&self) -> Option<RotateReport> {
        let (reply, report) = oneshot::channel();
        self.0
            .destinations
            .files
            .as_ref()?
            .order(FileOrder::Rotate(reply))
            .ok()?;
        report.await.ok()
    }

    /// The lines that are in the files, with everything that was read before this call; none
    /// when the disk hangs.
    pub async fn history(&self, query: &LogQuery) -> Option<History> {
        // Whoever follows gets a snapshot that is complete; the live part is let go at once.
        self.follow(query).await.map(|(history, _)| history)
    }

    /// The lines that are in the files, and after them, without gap or repetition, those that
    /// come; none when there are too many followers or the disk hangs.
    pub(crate) async fn follow(&self, query: &LogQuery) -> Option<(History, LiveReceiver)> {
        let (live, receiver) = feed::live_channel();
        let (history, snapshot) = oneshot::channel();
        let wanted = query.nodes.clone();
        let following = LineFollowing {
            wanted,
            since: query.since,
            history,
            live,
        };
        self.0.mailbox.post(Command::FollowLines(following));
        let catalogue = self
            .0
            .files
            .as_ref()
            .map(|(catalogue, _)| Arc::clone(catalogue));
        Some((History::new(catalogue, snapshot.await.ok()?), receiver))
    }

    /// The last events, the oldest first.
    pub(crate) async fn recent_events(&self) -> Vec<Arc<Event>> {
        let (recent, events) = oneshot::channel();
        self.0
            .mailbox
            .post(Command::FollowEvents(EventFollowing { recent, live: None }));
        events.await.unwrap_or_default()
    }

    /// The last events and those that come; none when there are too many followers.
    pub(crate) async fn follow_events(
        &self,
    ) -> Option<(Vec<Arc<Event>>, mpsc::Receiver<Arc<Event>>)> {
        let (recent, events) = oneshot::channel();
        let (live, receiver) = mpsc::channel(EVENTS_KEPT);
        self.0.mailbox.post(Command::FollowEvents(EventFollowing {
            recent,
            live: Some(live),
        }));
        Some((events.await.ok()?, receiver))
    }

    /// The books: what came so far, what was written, and what was dropped.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let Destinations { files, shown, .. } = &self.0.destinations;
        let of_node = |node: &Arc<Node>| {
            let dropped = files.as_ref().map(|files| files.lost(node));
            let (rotations, deleted) = match &self.0.files {
                Some((catalogue, _)) => catalogue.turnover(&node.name),
                None => Default::default(),
            };
            NodeLogStats {
                node: node.name.clone(),
                read: node.read.sum().into(),
                cut: node.cut.sum().into(),
                file: DestinationStats {
                    written: node.filed.sum().into(),
                    dropped: dropped.unwrap_or_default().into(),
                },
                stdout: DestinationStats {
                    written: node.shown.sum().into(),
                    dropped: shown.lost(node).into(),
                },
                rotations,
                deleted,
            }
        };
        LogStats {
            schema: LOG_STATS_SCHEMA,
            nodes: self.0.nodes().iter().map(of_node).collect(),
            events_dropped: self.0.mailbox.events_lost() + shown.orders_lost(),
        }
    }

    /// Takes what the nodes wrote before they ended, writes everything out, ends all
    /// followings and the threads. Blocks, at most for `limit`, even when stdout or the disk
    /// hangs. Call it when no node is left; what is reported later is lost.
    pub fn finish(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        self.0.mailbox.post(Command::Finish { deadline });
        if let Some((_, compressor)) = &self.0.files {
            compressor.stop(deadline);
        }
        let mut done = true;
        for latch in [&self.0.reader_done, &self.0.files_done, &self.0.shown_done] {
            done &= latch.wait(deadline);
        }
        // A thread that hangs in a system call ends with the process.
        let threads = std::mem::take(
            &mut *self
                .0
                .threads
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for thread in threads.into_iter().filter(|_| done) {
            // The latches are open: the threads are at their very end.
            let _ = thread.join();
        }
    }
}
