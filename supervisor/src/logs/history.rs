//! Reading the files back: merged over the nodes in the order of time.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::console;
use super::feed::NodeFilter;
use super::files::{Catalogue, FileId, Limits, Snapshot};
use super::stamp::{STAMP_LEN, Stamp};

/// Bytes of a line that are read back. Ours are shorter; a file that others wrote into may
/// have any, and what is beyond is left out.
const LINE_MAX: usize = 1 << 20;

/// Bytes of a file that are read at once.
const READ_SIZE: usize = 64 << 10;

/// Which lines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Of which nodes.
    pub nodes: NodeFilter,
    /// From then on.
    pub since: Option<Timestamp>,
    /// Only so many, the last ones, over all nodes together.
    pub last: Option<u64>,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineForm {
    /// `flux-node-1 2026-11-20T12:00:00.123Z text`.
    Text,
    /// The node's bytes and nothing else.
    Raw,
    /// A JSON object, [`console::LineObject`].
    Json,
}

impl LineForm {
    /// Appends a line, given without its newline.
    pub(crate) fn write(self, node: &str, stamp: Stamp, line: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Text => {
                out.extend_from_slice(node.as_bytes());
                out.push(b' ');
                out.extend_from_slice(stamp.as_bytes());
                out.push(b' ');
                out.extend_from_slice(line);
                out.push(b'\n');
            }
            Self::Raw => {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
            Self::Json => console::line_json(node, stamp, line, out),
        }
    }
}

/// The files of some nodes as they were at one moment. Files that are rotated or compressed
/// meanwhile are found again; what is deleted meanwhile is left out.
#[derive(Debug)]
pub struct History {
    catalogue: Option<Arc<Catalogue>>,
    snapshot: Snapshot,
}

impl History {
    pub(crate) fn new(catalogue: Option<Arc<Catalogue>>, snapshot: Snapshot) -> Self {
        Self { catalogue, snapshot }
    }

    /// The files of a directory to which no supervisor writes now.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn of_directory(dir: &Path, query: &LogQuery) -> io::Result<Self> {
        let limits = Limits::new(u64::MAX, u32::MAX, u64::MAX, u16::MAX);
        let catalogue = Catalogue::scan(dir, limits, Instant::now())?;
        let snapshot = catalogue.snapshot(&query.nodes, query.since);
        Ok(Self::new(Some(Arc::new(catalogue)), snapshot))
    }

    /// Hands the lines that are wanted to `out`, node, stamp and text without newline, until
    /// it breaks off.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn read(
        &self,
        query: &LogQuery,
        mut out: impl FnMut(&str, Stamp, &[u8]) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let Some(catalogue) = &self.catalogue else { return Ok(()) };
        let since = query.since.map(Stamp::new);
        let mut nodes = Vec::with_capacity(self.snapshot.nodes.len());
        let mut total = 0;
        for (node, files) in &self.snapshot.nodes {
            let files = match query.last {
                None => files.as_slice(),
                Some(last) => {
                    let (count, tail) = self.tail(catalogue, node, files, since, last)?;
                    total += count;
                    tail
                }
            };
            let mut lines = self.lines(catalogue, node, files, since);
            if lines.advance()? {
                nodes.push(lines);
            }
        }
        let mut skip = query.last.map_or(0, |last| total.saturating_sub(last));
        while let Some(next) = (0..nodes.len()).min_by_key(|index| nodes[*index].stamp) {
            let lines = &mut nodes[next];
            if skip > 0 {
                skip -= 1;
            } else if out(lines.node, lines.stamp, lines.text()).is_break() {
                return Ok(());
            }
            if !lines.advance()? {
                nodes.remove(next);
            }
        }
        Ok(())
    }

    /// As few of the youngest files as hold `last` lines, or all; and how many they hold.
    fn tail<'a>(
        &self,
        catalogue: &Catalogue,
        node: &str,
        files: &'a [FileId],
        since: Option<Stamp>,
        last: u64,
    ) -> io::Result<(u64, &'a [FileId])> {
        let mut count = 0;
        for first in (0..files.len()).rev() {
            if count >= last {
                return Ok((count, &files[first + 1..]));
            }
            let mut lines = self.lines(catalogue, node, &files[first..=first], since);
            while lines.advance()? {
                count += 1;
            }
        }
        Ok((count, files))
    }

    fn lines<'a>(
        &'a self,
        catalogue: &'a Catalogue,
        node: &'a str,
        files: &[FileId],
        since: Option<Stamp>,
    ) -> NodeLines<'a> {
        NodeLines {
            catalogue,
            snapshot: &self.snapshot,
            node,
            files: files.iter().copied().collect(),
            open: None,
            since,
            line: Vec::new(),
            stamp: Stamp::default(),
            stamped: false,
        }
    }
}

/// The lines of one node, one after the other.
struct NodeLines<'a> {
    catalogue: &'a Catalogue,
    snapshot: &'a Snapshot,
    node: &'a str,
    files: VecDeque<FileId>,
    open: Option<BufReader<Box<dyn Read + Send>>>,
    since: Option<Stamp>,
    /// The line that is looked at, with its stamp when it has one, without its newline.
    line: Vec<u8>,
    stamp: Stamp,
    stamped: bool,
}

impl NodeLines<'_> {
    /// The node's bytes of the line.
    fn text(&self) -> &[u8] {
        let head = if self.stamped { STAMP_LEN + 1 } else { 0 };
        self.line.get(head..).unwrap_or_default()
    }

    /// Goes to the next line that is wanted; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(id) = self.files.pop_front() else { return Ok(false) };
                if let Some(file) = self.catalogue.read(self.node, id)? {
                    // What is written to the current file from now on is not part of this.
                    let limit = self.snapshot.current.get(&id).copied().unwrap_or(u64::MAX);
                    let file: Box<dyn Read + Send> = Box::new(file.take(limit));
                    self.open = Some(BufReader::with_capacity(READ_SIZE, file));
                }
                continue;
            };
            if !read_line(open, &mut self.line)? {
                self.open = None;
                continue;
            }
            // A line without a stamp belongs to the one before it.
            let stamp = Stamp::parse(&self.line);
            self.stamped = stamp.is_some();
            self.stamp = stamp.unwrap_or(self.stamp);
            if self.since.is_none_or(|since| self.stamp >= since) {
                return Ok(true);
            }
        }
    }
}

/// Reads a line without its newline; false at the end of the file.
fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let bytes = match from.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        if bytes.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = memchr::memchr(b'\n', bytes);
        let text = &bytes[..end.unwrap_or(bytes.len())];
        let room = LINE_MAX - line.len();
        line.extend_from_slice(&text[..text.len().min(room)]);
        let used = end.map_or(bytes.len(), |end| end + 1);
        from.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}
