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

/// Bytes of a line that are read back. Ours are shorter, as LOG_MAX_LINE is 16 MiB at most; a
/// file that others wrote into may have any, and what is beyond is left out.
const LINE_MAX: usize = 17 << 20;

/// Bytes of a file that are read at once.
const READ_SIZE: usize = 64 << 10;

/// Which lines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Of which nodes.
    pub nodes: NodeFilter,
    /// From then on.
    pub since: Option<Timestamp>,
    /// Up to then, the moment itself included.
    pub until: Option<Timestamp>,
    /// Only so many, the last ones, over all nodes together.
    pub last: Option<u64>,
}

/// From when to when.
#[derive(Clone, Copy, Debug)]
struct Span {
    since: Option<Stamp>,
    until: Option<Stamp>,
}

impl Span {
    fn of(query: &LogQuery) -> Self {
        Self {
            since: query.since.map(Stamp::new),
            until: query.until.map(Stamp::new),
        }
    }

    fn contains(self, stamp: Stamp) -> bool {
        self.since.is_none_or(|since| stamp >= since)
            && self.until.is_none_or(|until| stamp <= until)
    }
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
        Self {
            catalogue,
            snapshot,
        }
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

    /// The nodes of which there are files, whether or not they are wanted, by number.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        let catalogue = self.catalogue.as_ref();
        catalogue.map_or_else(Vec::new, |catalogue| catalogue.nodes())
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
        let Some(catalogue) = &self.catalogue else {
            return Ok(());
        };
        let span = Span::of(query);
        let mut nodes = Vec::with_capacity(self.snapshot.nodes.len());
        let mut total = 0;
        for (node, files) in &self.snapshot.nodes {
            let files = match query.last {
                None => files.as_slice(),
                Some(last) => {
                    let (count, tail) = self.tail(catalogue, node, files, span, last)?;
                    total += count;
                    tail
                }
            };
            let mut lines = self.lines(catalogue, node, files, span);
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
        span: Span,
        last: u64,
    ) -> io::Result<(u64, &'a [FileId])> {
        let mut count = 0;
        for first in (0..files.len()).rev() {
            if count >= last {
                return Ok((count, &files[first + 1..]));
            }
            let mut lines = self.lines(catalogue, node, &files[first..=first], span);
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
        span: Span,
    ) -> NodeLines<'a> {
        NodeLines {
            catalogue,
            snapshot: &self.snapshot,
            node,
            files: files.iter().copied().collect(),
            open: None,
            span,
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
    span: Span,
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
                let Some(id) = self.files.pop_front() else {
                    return Ok(false);
                };
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
            if self.span.contains(self.stamp) {
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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn stamp(second: u32) -> String {
        format!("2026-11-20T12:00:{second:02}.000Z")
    }

    /// Files of which every line is its second.
    fn files() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("directory");
        let write = |name: &str, seconds: &[u32]| {
            let line = |second: &u32| format!("{} s{second}\n", stamp(*second));
            let text: String = seconds.iter().map(line).collect();
            let path = dir.path().join(name);
            if name.ends_with(".gz") {
                let file = File::create(&path).expect("create");
                let mut packed = GzEncoder::new(file, Compression::fast());
                packed.write_all(text.as_bytes()).expect("write");
                packed.finish().expect("finish");
            } else {
                fs::write(&path, text).expect("write");
            }
        };
        write("flux-node-1.log.2.gz", &[0, 3]);
        write("flux-node-1.log.1", &[6, 9]);
        write("flux-node-1.log", &[12, 15]);
        write("flux-node-2.log.1.gz", &[1, 4, 7]);
        write("flux-node-2.log", &[10, 13]);
        write("flux-node-10.log", &[2, 5, 8, 11, 14]);
        dir
    }

    fn read(dir: &Path, query: &LogQuery, form: LineForm) -> String {
        let history = History::of_directory(dir, query).expect("opens");
        let mut out = Vec::new();
        history
            .read(query, |node, stamp, line| {
                form.write(node, stamp, line, &mut out);
                ControlFlow::Continue(())
            })
            .expect("reads");
        String::from_utf8(out).expect("UTF-8")
    }

    fn query(nodes: &[&str], since: Option<u32>, last: Option<u64>) -> LogQuery {
        let since = since.map(|second| stamp(second).parse().expect("time"));
        LogQuery {
            nodes: NodeFilter::of(nodes.iter().map(|number| format!("flux-node-{number}"))),
            since,
            last,
            ..LogQuery::default()
        }
    }

    #[test]
    fn lines_are_merged_and_chosen() {
        let dir = files();
        let check = |query: &LogQuery, expect: &[u32]| {
            let text = read(dir.path(), query, LineForm::Raw);
            let expect: Vec<String> = expect.iter().map(|second| format!("s{second}")).collect();
            assert_eq!(text.lines().collect::<Vec<_>>(), expect, "{query:?}");
        };
        let all: Vec<u32> = (0..=15).collect();
        check(&query(&[], None, None), &all);
        check(&query(&["2"], None, None), &[1, 4, 7, 10, 13]);
        check(&query(&["10", "1"], Some(9), None), &[9, 11, 12, 14, 15]);
        check(&query(&["3"], None, None), &[]);
        check(&query(&[], Some(14), None), &[14, 15]);
        check(&query(&[], Some(59), None), &[]);
        check(&query(&[], None, Some(0)), &[]);
        check(&query(&[], None, Some(3)), &[13, 14, 15]);
        check(&query(&[], None, Some(10)), &all[6..]);
        check(&query(&[], None, Some(100)), &all);
        check(&query(&["1"], None, Some(3)), &[9, 12, 15]);
        check(&query(&["1"], Some(12), Some(3)), &[12, 15]);
        let until = |until: u32, wanted: LogQuery| LogQuery {
            until: Some(stamp(until).parse().expect("time")),
            ..wanted
        };
        check(&until(3, query(&[], None, None)), &[0, 1, 2, 3]);
        check(&until(3, query(&[], Some(2), None)), &[2, 3]);
        check(&until(9, query(&["1"], None, Some(2))), &[6, 9]);
    }

    #[test]
    fn lines_have_three_forms() {
        let dir = files();
        let check = |form: LineForm, expect: &str| {
            assert_eq!(
                read(dir.path(), &query(&["1"], None, Some(1)), form),
                expect
            );
        };
        check(LineForm::Raw, "s15\n");
        check(LineForm::Text, "flux-node-1 2026-11-20T12:00:15.000Z s15\n");
        check(
            LineForm::Json,
            "{\"time\":\"2026-11-20T12:00:15.000Z\",\"node\":\"flux-node-1\",\"line\":\"s15\"}\n",
        );
    }

    #[test]
    fn foreign_lines_stay_where_they_are() {
        let dir = tempfile::tempdir().expect("directory");
        let text = format!(
            "before\n{} one\nforeign\n\n{} two\nno end",
            stamp(5),
            stamp(9)
        );
        fs::write(dir.path().join("flux-node-1.log"), text).expect("write");
        fs::write(
            dir.path().join("flux-node-2.log"),
            format!("{} other\n", stamp(7)),
        )
        .expect("write");
        let text = read(dir.path(), &LogQuery::default(), LineForm::Raw);
        assert_eq!(text, "before\none\nforeign\n\nother\ntwo\nno end\n");
    }

    #[test]
    fn reading_ends_where_the_reader_wants() {
        let dir = files();
        let history = History::of_directory(dir.path(), &LogQuery::default()).expect("opens");
        let mut count = 0;
        let result = history.read(&LogQuery::default(), |_, _, _| {
            count += 1;
            if count == 4 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert!(result.is_ok() && count == 4);
    }

    #[test]
    fn what_is_written_later_is_not_part_of_it() {
        let dir = files();
        let query = query(&["1"], None, Some(2));
        let history = History::of_directory(dir.path(), &query).expect("opens");
        let path = dir.path().join("flux-node-1.log");
        let mut file = File::options().append(true).open(path).expect("opens");
        writeln!(file, "{} later", stamp(20)).expect("writes");
        let mut lines = Vec::new();
        history
            .read(&query, |_, _, line| {
                lines.push(String::from_utf8_lossy(line).into_owned());
                ControlFlow::Continue(())
            })
            .expect("reads");
        assert_eq!(lines, ["s12", "s15"]);
    }
}
