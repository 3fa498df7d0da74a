//! The thread that writes the files.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::catalogue::{Catalogue, Snapshot};
use super::compressor::Compressor;
use super::node_file::{NodeFile, Surroundings};
use super::sink::{Disk, FileSystem};
use crate::logs::feed::NodeFilter;
use crate::logs::mailbox::Mailbox;
use crate::logs::outbox::{Item, Outbox};
use crate::logs::stamp::Stamp;

/// What else the thread does, in its place between the lines.
#[derive(Debug)]
pub(crate) enum FileOrder {
    /// Open every file anew.
    Reopen,
    /// Rotate every file that is not empty.
    Rotate(oneshot::Sender<RotateReport>),
    /// Tell which files there are when everything before is in them.
    Snapshot {
        /// Of these nodes.
        wanted: NodeFilter,
        /// Without files of which the last line is older.
        since: Option<Timestamp>,
        /// Where the answer goes.
        reply: oneshot::Sender<Snapshot>,
    },
}

/// What came of a rotation on demand.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RotateReport {
    /// Nodes whose file was rotated.
    pub rotated: Vec<String>,
    /// Nodes whose file could not be, with what the system said.
    pub failed: Vec<(String, String)>,
}

/// Writes the lines of all nodes.
#[derive(Debug)]
pub(crate) struct FileWriter<D: Disk = FileSystem> {
    surroundings: Surroundings<D>,
    /// By the number of the node's lane.
    files: BTreeMap<usize, NodeFile<D::Sink>>,
}

impl<D: Disk> FileWriter<D> {
    pub(crate) fn new(
        disk: D,
        outbox: Arc<Outbox<FileOrder>>,
        catalogue: Arc<Catalogue>,
        compressor: Arc<Compressor>,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        let scratch = Vec::new();
        let surroundings = Surroundings { disk, outbox, catalogue, compressor, mailbox, scratch };
        Self { surroundings, files: BTreeMap::new() }
    }

    /// Writes until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        while let Some(items) = self.surroundings.outbox.wait() {
            self.handle(items, Instant::now());
        }
        for file in self.files.values_mut() {
            file.recover(&mut self.surroundings, Stamp::now(), Instant::now());
        }
    }

    /// Writes what was taken from the queue.
    fn handle(&mut self, items: VecDeque<Item<FileOrder>>, now: Instant) {
        let mut lines = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::Order(order) => {
                    self.write(std::mem::take(&mut lines), now);
                    self.obey(order, now);
                }
                item => lines.push(item),
            }
        }
        self.write(lines, now);
    }

    /// Writes lines and gaps, node by node: each keeps its order, and writes get larger.
    fn write(&mut self, mut items: Vec<Item<FileOrder>>, now: Instant) {
        items.sort_by_key(|item| match item {
            Item::Lines(batch) => batch.node.index,
            Item::Gap { node, .. } => node.index,
            Item::Order(_) => usize::MAX,
        });
        let mut last = None;
        for item in items {
            let node = match &item {
                Item::Lines(batch) => &batch.node,
                Item::Gap { node, .. } => node,
                Item::Order(_) => continue,
            };
            if let Some(last) = last.replace(node.index).filter(|last| *last != node.index) {
                self.flush(last, now);
            }
            let file = self.files.entry(node.index).or_insert_with(|| {
                self.surroundings.catalogue.begin(&node.name);
                NodeFile::new(Arc::clone(node))
            });
            match item {
                Item::Lines(batch) => file.write(&mut self.surroundings, &batch, now),
                Item::Gap { stamp, loss, .. } => {
                    file.tell_gap(&mut self.surroundings, stamp, loss, now);
                }
                Item::Order(_) => {}
            }
        }
        if let Some(last) = last {
            self.flush(last, now);
        }
    }

    fn flush(&mut self, index: usize, now: Instant) {
        if let Some(file) = self.files.get_mut(&index) {
            file.flush(&mut self.surroundings, now);
        }
    }

    fn obey(&mut self, order: FileOrder, now: Instant) {
        match order {
            FileOrder::Reopen => self.files.values_mut().for_each(NodeFile::reopen),
            FileOrder::Rotate(reply) => {
                let mut report = RotateReport::default();
                for file in self.files.values_mut().filter(|file| !file.is_empty()) {
                    match file.rotate(&mut self.surroundings, now) {
                        Ok(()) => report.rotated.push(file.node.name.clone()),
                        Err(error) => {
                            report.failed.push((file.node.name.clone(), error.to_string()));
                        }
                    }
                }
                // Nobody has to wait for the answer.
                let _ = reply.send(report);
            }
            FileOrder::Snapshot { wanted, since, reply } => {
                let snapshot = self.surroundings.catalogue.snapshot(&wanted, since);
                let _ = reply.send(snapshot);
            }
        }
    }
}

