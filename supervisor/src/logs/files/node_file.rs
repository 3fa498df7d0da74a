//! The file of one node: rotated between lines, and with exact books of what it could not take.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use super::append::{Appended, append};
use super::catalogue::Catalogue;
use super::compressor::Compressor;
use super::limits::Limits;
use super::sink::{Disk, Place, Sink};
use super::writer::FileOrder;
use crate::event::{Event, EventKind};
use crate::logs::batch::{Batch, Node, amount};
use crate::logs::lane::Loss;
use crate::logs::mailbox::{Command, Mailbox};
use crate::logs::outbox::Outbox;
use crate::logs::stamp::{STAMP_LEN, Stamp};

/// Bytes that are gathered for one write: few system calls, and the cache still holds them.
const WRITE_SIZE: usize = 64 << 10;

/// What a file's line has in front of the node's bytes: stamp and blank.
const HEAD: usize = STAMP_LEN + 1;

/// After an error the file is left alone for so long: enough for a full disk not to cost a
/// system call per line, short enough for a log that goes on soon after.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Files in a row that somebody may remove while the same lines are written to them. Whoever
/// does it more often does nothing else.
const REMOVALS_MAX: usize = 3;

/// The file of one node.
#[derive(Debug)]
pub(crate) struct NodeFile<S> {
    pub(crate) node: Arc<Node>,
    sink: Option<S>,
    size: u64,
    /// The time of the first line in it, when that is known.
    begun: Option<Stamp>,
    trouble: Option<Trouble>,
    /// Batches and bytes in the scratch whose end the queue has not heard of.
    pending: (usize, usize),
}

/// What all files share.
#[derive(Debug)]
pub(crate) struct Surroundings<D> {
    pub(crate) disk: D,
    pub(crate) outbox: Arc<Outbox<FileOrder>>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) compressor: Arc<Compressor>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// Lines on their way to the file that is being written.
    pub(crate) scratch: Vec<u8>,
}

/// A file that could not be written.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// What was lost since then.
    pub(crate) lost: Loss,
    /// What the system said.
    pub(crate) reason: String,
    /// Not before then it is tried again.
    pub(crate) retry_at: Instant,
}

impl Trouble {
    /// Begins now, with nothing lost yet.
    pub(crate) fn new(error: &io::Error, now: Instant) -> Self {
        Self {
            lost: Loss::default(),
            reason: error.to_string(),
            retry_at: now + RETRY_AFTER,
        }
    }

    /// Another attempt failed.
    pub(crate) fn again(&mut self, error: &io::Error, now: Instant) {
        self.reason = error.to_string();
        self.retry_at = now + RETRY_AFTER;
    }
}

impl<S: Sink> NodeFile<S> {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            sink: None,
            size: 0,
            begun: None,
            trouble: None,
            pending: (0, 0),
        }
    }

    /// Lets go of the open file; the next line opens whatever has its name then.
    pub(crate) fn reopen(&mut self) {
        self.sink = None;
    }

    /// Whether there is nothing in it, as far as is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Writes a batch, into the scratch first.
    pub(crate) fn write<D: Disk<Sink = S>>(
        &mut self,
        to: &mut Surroundings<D>,
        batch: &Batch,
        now: Instant,
    ) {
        self.pending.0 += 1;
        self.pending.1 += batch.lines.len();
        if self
            .trouble
            .as_ref()
            .is_some_and(|trouble| now >= trouble.retry_at)
        {
            self.recover(to, batch.stamp, now);
        }
        let Limits {
            max_size, max_age, ..
        } = to.catalogue.limits();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &batch.lines) {
            if self.trouble.is_some() || !self.ensure_open(to, now) {
                break;
            }
            let line = &batch.lines[start..=end];
            let length = HEAD + line.len();
            let size = self.size + to.scratch.len() as u64;
            let full = size + length as u64 > max_size;
            // All lines of a batch are of one time.
            let old = start == 0 && self.is_too_old(max_age, batch.stamp);
            if size > 0 && (full || old) {
                self.flush(to, now);
                self.make_room(to, now);
            } else if to.scratch.len() + length > WRITE_SIZE {
                self.flush(to, now);
            }
            if self.trouble.is_some() {
                break;
            }
            self.begun.get_or_insert(batch.stamp);
            to.scratch.extend_from_slice(batch.stamp.as_bytes());
            to.scratch.push(b' ');
            to.scratch.extend_from_slice(line);
            start = end + 1;
        }
        let rest = &batch.lines[start..];
        if !rest.is_empty() {
            self.lose(to, amount(rest));
        }
        if self.trouble.is_some() {
            self.settle(to);
        }
    }

    /// Whether the first line is so old that a line of the time `stamp` begins a new file.
    fn is_too_old(&self, max_age: Option<Duration>, stamp: Stamp) -> bool {
        let (Some(max_age), Some(begun)) = (max_age, self.begun) else {
            return false;
        };
        let (Some(begun), Some(now)) = (begun.timestamp(), stamp.timestamp()) else {
            return false;
        };
        // A clock that was set back makes nothing old.
        Duration::try_from(now.duration_since(begun)).is_ok_and(|age| age >= max_age)
    }

    /// Makes sure that there is an open file, unless that is in vain for now.
    fn ensure_open<D: Disk<Sink = S>>(&mut self, to: &mut Surroundings<D>, now: Instant) -> bool {
        if self.sink.is_some() {
            return true;
        }
        let opened = self.open(to);
        if let Err(error) = &opened {
            self.in_trouble(to, error, now);
        }
        opened.is_ok()
    }

    /// Opens the file of this name. A line in it without an end, which we could not take back
    /// or somebody who was killed left there, gets one.
    fn open<D: Disk<Sink = S>>(&mut self, to: &Surroundings<D>) -> io::Result<()> {
        let path = to.catalogue.current_path(&self.node.name);
        let mut sink = to.disk.open(&path)?;
        if sink.ends_within_line()?
            && let Some(error) = append(&mut sink, TORN_MARK).error
        {
            return Err(error);
        }
        self.size = sink.len()?;
        self.begun = sink.first_stamp()?;
        self.sink = Some(sink);
        Ok(())
    }

    /// Rotates before a line that would make the file too long.
    fn make_room<D: Disk<Sink = S>>(&mut self, to: &mut Surroundings<D>, now: Instant) {
        let Some(sink) = &self.sink else { return };
        // Somebody else may have emptied it.
        let real = sink.len().unwrap_or(self.size);
        if real < self.size {
            self.size = real;
            self.begun = sink.first_stamp().unwrap_or_default();
            return;
        }
        if let Err(error) = self.rotate(to, now) {
            self.in_trouble(to, &error, now);
        }
    }

    /// Goes on in a new file, unless what has the name of this one is another one already.
    pub(crate) fn rotate<D: Disk<Sink = S>>(
        &mut self,
        to: &mut Surroundings<D>,
        now: Instant,
    ) -> io::Result<()> {
        let path = to.catalogue.current_path(&self.node.name);
        match self.sink.as_ref().map(|sink| sink.place(&path)) {
            Some(Place::Moved) => {
                self.reopen();
                return self.open(to);
            }
            Some(Place::Removed) => {
                self.forget_removed(to);
                return self.open(to);
            }
            Some(Place::Here) | None => {}
        }
        to.catalogue
            .rotate(&self.node.name, self.size, now, SystemTime::now())?;
        self.sink = None;
        to.compressor.nudge();
        self.open(to)
    }

    /// Writes the scratch out and tells the queue.
    pub(crate) fn flush<D: Disk<Sink = S>>(&mut self, to: &mut Surroundings<D>, now: Instant) {
        if !to.scratch.is_empty() {
            let (whole, error) = self.put(to);
            self.node.filed.add(of_node(&to.scratch[..whole]));
            if let Some(error) = error {
                self.in_trouble(to, &error, now);
                self.lose(to, of_node(&to.scratch[whole..]));
            }
            to.scratch.clear();
        }
        self.settle(to);
    }

    /// Appends the scratch to the file. What went to one that somebody removed meanwhile is
    /// written again, to a new one. Gives the bytes of whole lines that are in the file, and
    /// why that is not all.
    fn put<D: Disk<Sink = S>>(&mut self, to: &Surroundings<D>) -> (usize, Option<io::Error>) {
        let path = to.catalogue.current_path(&self.node.name);
        for _ in 0..REMOVALS_MAX {
            if self.sink.is_none()
                && let Err(error) = self.open(to)
            {
                return (0, Some(error));
            }
            let Some(sink) = &mut self.sink else { break };
            let Appended { whole, error } = append(sink, &to.scratch);
            match sink.place(&path) {
                Place::Here => {
                    self.size += whole as u64;
                    return (whole, error);
                }
                Place::Moved => {
                    self.reopen();
                    return (whole, error);
                }
                Place::Removed => self.forget_removed(to),
            }
        }
        let error = io::Error::other("somebody removes it again and again");
        (0, Some(error))
    }

    /// Lets go of a file that somebody removed, and says so.
    fn forget_removed<D>(&mut self, to: &Surroundings<D>) {
        self.reopen();
        let path = to.catalogue.current_path(&self.node.name);
        let message = format!(
            "{} was removed, with what was in it; it is begun anew",
            path.display()
        );
        self.report(to, EventKind::Warning { message });
    }

    /// Tells the queue that what was taken from it is dealt with.
    fn settle<D>(&mut self, to: &Surroundings<D>) {
        let (batches, bytes) = std::mem::take(&mut self.pending);
        if batches > 0 {
            to.outbox.done(&self.node, batches, bytes);
        }
    }

    /// Counts lines that are lost while the file cannot be written.
    fn lose<D>(&mut self, to: &Surroundings<D>, loss: Loss) {
        to.outbox.failed(&self.node, loss);
        if let Some(trouble) = &mut self.trouble {
            trouble.lost.add(loss);
        }
    }

    /// Remembers that the file cannot be written, and says so the first time.
    fn in_trouble<D>(&mut self, to: &Surroundings<D>, error: &io::Error, now: Instant) {
        if let Some(trouble) = &mut self.trouble {
            trouble.again(error, now);
            return;
        }
        self.trouble = Some(Trouble::new(error, now));
        let path = to.catalogue.current_path(&self.node.name);
        let message = format!(
            "{} cannot be written: {error}; its lines are dropped and counted until it can",
            path.display()
        );
        self.report(to, EventKind::Warning { message });
    }

    /// Tries to write again, beginning with a line about what is missing.
    pub(crate) fn recover<D: Disk<Sink = S>>(
        &mut self,
        to: &mut Surroundings<D>,
        stamp: Stamp,
        now: Instant,
    ) {
        let Some(trouble) = &self.trouble else { return };
        let (lost, reason) = (trouble.lost, trouble.reason.clone());
        self.sink = None;
        if !self.ensure_open(to, now) {
            return;
        }
        let full = self.size >= to.catalogue.limits().max_size;
        let result = if full { self.rotate(to, now) } else { Ok(()) };
        match result.and_then(|()| self.write_mark(to, stamp, lost, &reason)) {
            Ok(()) => self.trouble = None,
            Err(error) => self.in_trouble(to, &error, now),
        }
    }

    /// Writes a line about lines that are missing because the queue was full.
    pub(crate) fn tell_gap<D: Disk<Sink = S>>(
        &mut self,
        to: &mut Surroundings<D>,
        stamp: Stamp,
        loss: Loss,
        now: Instant,
    ) {
        self.flush(to, now);
        if self.trouble.is_none()
            && self.ensure_open(to, now)
            && let Err(error) = self.write_mark(to, stamp, loss, "the disk was too slow")
        {
            self.in_trouble(to, &error, now);
        }
        if let Some(trouble) = &mut self.trouble {
            trouble.lost.add(loss);
        }
    }

    /// Appends the line that tells of `loss`.
    fn write_mark<D: Disk<Sink = S>>(
        &mut self,
        to: &Surroundings<D>,
        stamp: Stamp,
        loss: Loss,
        reason: &str,
    ) -> io::Result<()> {
        let Some(sink) = self.sink.as_mut().filter(|_| !loss.is_none()) else {
            return Ok(());
        };
        let line = format!("{} {}\n", stamp.as_str(), gap_mark(loss, reason));
        let appended = append(sink, line.as_bytes());
        self.size += appended.whole as u64;
        let path = to.catalogue.current_path(&self.node.name);
        let error = match sink.place(&path) {
            // It is written again when the lines that follow have begun a new file.
            Place::Removed => Some(io::ErrorKind::NotFound.into()),
            Place::Here | Place::Moved => appended.error,
        };
        match error {
            Some(error) => Err(error),
            None => {
                let kind = EventKind::LogLinesDropped {
                    to: "file".to_owned(),
                    lines: loss.lines,
                    reason: reason.to_owned(),
                };
                self.report(to, kind);
                Ok(())
            }
        }
    }

    fn report<D>(&self, to: &Surroundings<D>, kind: EventKind) {
        let event = Event {
            time: Timestamp::now(),
            node: Some(self.node.name.clone()),
            kind,
        };
        to.mailbox.post(Command::Event(event));
    }
}

/// How much the node wrote of these lines of a file.
fn of_node(lines: &[u8]) -> Loss {
    let Loss { lines, bytes } = amount(lines);
    Loss {
        lines,
        bytes: bytes - lines * HEAD as u64,
    }
}

/// The end of a line of which the rest is missing. It counts as lost.
const TORN_MARK: &[u8] = b" [supervisor: cut off]\n";

/// The text of a line that stands where lines are missing. Tools read the numbers out of it,
/// so one line is "1 lines", too.
pub(crate) fn gap_mark(loss: Loss, reason: &str) -> String {
    let Loss { lines, bytes } = loss;
    format!("[supervisor] {lines} lines ({bytes} bytes) dropped: {reason}")
}
