//! The thread that writes the container's stdout.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use repram_config::LogFormat;

use super::batch::{Batch, Node};
use super::console::{self, Clock};
use super::framer::count_lines;
use super::lane::Loss;
use super::mailbox::{Command, Mailbox};
use super::outbox::{Item, Outbox};
use super::printable::printable;
use super::stamp::Stamp;
use crate::event::{Event, EventKind};
use crate::style::Style;

/// Bytes that are gathered for one write.
const WRITE_SIZE: usize = 64 << 10;

/// After an error stdout is left alone for so long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What is shown beside lines.
#[derive(Debug)]
pub(crate) enum ShowOrder {
    /// An event.
    Event(Arc<Event>),
    /// Text as it is.
    Text(String),
}

/// How everything looks.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) format: LogFormat,
    pub(crate) style: Style,
    /// For events; lines show what the files have.
    pub(crate) clock: Clock,
    /// It is looked at as it comes: what could change the terminal is not shown.
    pub(crate) terminal: bool,
}

/// Writes stdout.
pub(crate) struct ShowWriter {
    outbox: Arc<Outbox<ShowOrder>>,
    mailbox: Arc<Mailbox>,
    form: Form,
    /// None after the other end was closed.
    sink: Option<Box<dyn Write + Send>>,
    /// Text on its way, and whose it is.
    scratch: Vec<u8>,
    pieces: Vec<Piece>,
    /// Names as they stand in front of lines, by the number of the node's lane.
    prefixes: BTreeMap<usize, Vec<u8>>,
    trouble: Option<Trouble>,
    /// Lost orders that were told of.
    orders_told: u64,
}

/// A stretch of the scratch.
#[derive(Debug)]
struct Piece {
    /// Whose lines it holds; none for events.
    node: Option<Arc<Node>>,
    /// Where it ends in the scratch.
    end: usize,
    /// What the queue is to be told: batches that end here, and their bytes.
    batches: usize,
    bytes: usize,
}

/// Stdout does not take anything.
#[derive(Debug)]
struct Trouble {
    lost: BTreeMap<usize, (Arc<Node>, Loss)>,
    /// What the system said.
    reason: String,
    retry_at: Instant,
    /// A piece of a line stands there.
    torn: bool,
}

impl ShowWriter {
    pub(crate) fn new(
        outbox: Arc<Outbox<ShowOrder>>,
        mailbox: Arc<Mailbox>,
        form: Form,
        sink: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            outbox,
            mailbox,
            form,
            sink: Some(sink),
            scratch: Vec::new(),
            pieces: Vec::new(),
            prefixes: BTreeMap::new(),
            trouble: None,
            orders_told: 0,
        }
    }

    /// Writes until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        while let Some(items) = self.outbox.wait() {
            self.handle(items, Instant::now());
        }
        self.recover(Instant::now());
    }

    /// Shows what was taken from the queue.
    fn handle(&mut self, items: VecDeque<Item<ShowOrder>>, now: Instant) {
        if self
            .trouble
            .as_ref()
            .is_some_and(|trouble| now >= trouble.retry_at)
        {
            self.recover(now);
        }
        for item in items {
            match item {
                Item::Lines(batch) => self.lines(&batch, now),
                Item::Gap { node, stamp, loss } => self.gap(&node, stamp, loss),
                Item::Order(ShowOrder::Event(event)) => self.event(&event),
                Item::Order(ShowOrder::Text(text)) => {
                    self.scratch.extend_from_slice(text.as_bytes());
                    self.piece(None, 0, 0);
                }
            }
            if self.scratch.len() >= WRITE_SIZE {
                self.flush(now);
            }
        }
        self.tell_lost_orders();
        self.flush(now);
    }

    /// Tells of events for which the queue had no room: they came after what it held.
    fn tell_lost_orders(&mut self) {
        let lost = self.outbox.orders_lost();
        let untold = lost - std::mem::replace(&mut self.orders_told, lost);
        if untold > 0 {
            let message = format!("{untold} events are missing here: stdout was too slow");
            let kind = EventKind::Warning { message };
            self.event(&Event {
                time: Timestamp::now(),
                node: None,
                kind,
            });
        }
    }

    fn piece(&mut self, node: Option<&Arc<Node>>, batches: usize, bytes: usize) {
        let end = self.scratch.len();
        self.pieces.push(Piece {
            node: node.cloned(),
            end,
            batches,
            bytes,
        });
    }

    fn lines(&mut self, batch: &Batch, now: Instant) {
        let node = &batch.node;
        let prefix = self.prefixes.entry(node.index).or_insert_with(|| {
            let colour = console::node_colour(node.index);
            format!("{} ", self.form.style.paint(colour, &node.name)).into_bytes()
        });
        let prefix = std::mem::take(prefix);
        let (mut start, mut told) = (0, 0);
        for end in memchr::memchr_iter(b'\n', &batch.lines) {
            let line = &batch.lines[start..=end];
            if self.scratch.len() + prefix.len() + line.len() > WRITE_SIZE {
                self.piece(Some(node), 0, start - told);
                told = start;
                self.flush(now);
            }
            match self.form.format {
                LogFormat::Text => {
                    self.scratch.extend_from_slice(&prefix);
                    self.scratch.extend_from_slice(batch.stamp.as_bytes());
                    self.scratch.push(b' ');
                    if self.form.terminal {
                        printable(&line[..line.len() - 1], self.form.style, &mut self.scratch);
                        self.scratch.push(b'\n');
                    } else {
                        self.scratch.extend_from_slice(line);
                    }
                }
                LogFormat::Json => {
                    let text = &line[..line.len() - 1];
                    console::line_json(&node.name, batch.stamp, text, &mut self.scratch);
                }
            }
            start = end + 1;
        }
        self.prefixes.insert(node.index, prefix);
        self.piece(Some(node), 1, batch.lines.len() - told);
    }

    fn event(&mut self, event: &Event) {
        let line = match self.form.format {
            LogFormat::Text => console::event_text(event, &self.form.clock, self.form.style),
            LogFormat::Json => console::event_json(event),
        };
        self.scratch.extend_from_slice(line.as_bytes());
        self.scratch.push(b'\n');
        self.piece(None, 0, 0);
    }

    /// Tells of lines that are missing here, on stdout and to those who follow events.
    fn gap(&mut self, node: &Node, stamp: Stamp, loss: Loss) {
        let event = gap_event(node, stamp, loss, TOO_SLOW);
        self.event(&event);
        self.mailbox.post(Command::Record(event));
    }

    /// Writes the scratch out, or counts what it held as lost.
    fn flush(&mut self, now: Instant) {
        let mut whole = 0;
        if self.trouble.is_none() {
            whole = self.scratch.len();
            if let Err(failed) = self.write_scratch() {
                whole = failed.whole;
                self.in_trouble(&failed, now);
            }
        }
        let mut start = 0;
        for piece in std::mem::take(&mut self.pieces) {
            let begin = std::mem::replace(&mut start, piece.end);
            let shown = begin..whole.clamp(begin, piece.end);
            let lost = shown.end..piece.end;
            let Some(node) = piece.node else { continue };
            // The node's share of a piece of which a part was written is an estimate.
            let length = (piece.end - begin).max(1);
            let bytes_lost = (piece.bytes * lost.len() / length) as u64;
            node.shown.add(Loss {
                lines: count_lines(&self.scratch[shown]),
                bytes: piece.bytes as u64 - bytes_lost,
            });
            if !lost.is_empty() {
                let loss = Loss {
                    lines: count_lines(&self.scratch[lost]),
                    bytes: bytes_lost,
                };
                self.outbox.failed(&node, loss);
                if let Some(trouble) = &mut self.trouble {
                    let entry = trouble.lost.entry(node.index);
                    entry
                        .or_insert_with(|| (Arc::clone(&node), Loss::default()))
                        .1
                        .add(loss);
                }
            }
            self.outbox.done(&node, piece.batches, piece.bytes);
        }
        self.scratch.clear();
    }

    fn write_scratch(&mut self) -> Result<(), Failed> {
        match &mut self.sink {
            Some(sink) => write_all(sink, &self.scratch),
            None => Ok(()),
        }
    }

    /// Remembers that stdout takes nothing, and says so where it still can be said.
    fn in_trouble(&mut self, failed: &Failed, now: Instant) {
        let closed = failed.error.kind() == io::ErrorKind::BrokenPipe;
        if closed {
            self.sink = None;
        }
        let retry_at = now + RETRY_AFTER;
        self.trouble = Some(Trouble {
            lost: BTreeMap::new(),
            reason: failed.error.to_string(),
            retry_at,
            torn: failed.torn,
        });
        let error = &failed.error;
        let until = if closed { "" } else { " until it can" };
        let message = format!(
            "stdout cannot be written: {error}; what it should show is dropped and counted{until}"
        );
        let kind = EventKind::Warning { message };
        self.mailbox.post(Command::Record(Event {
            time: Timestamp::now(),
            node: None,
            kind,
        }));
    }

    /// Tries to write again, beginning with lines about what is missing.
    fn recover(&mut self, now: Instant) {
        let Some(mut trouble) = self.trouble.take() else {
            return;
        };
        if self.sink.is_none() {
            self.trouble = Some(trouble);
            return;
        }
        if trouble.torn {
            self.scratch.push(b'\n');
        }
        let lost = trouble.lost.values().filter(|(_, loss)| !loss.is_none());
        let gaps: Vec<Event> = lost
            .map(|(node, loss)| gap_event(node, Stamp::now(), *loss, &trouble.reason))
            .collect();
        for gap in &gaps {
            self.event(gap);
        }
        self.pieces.clear();
        let result = self.write_scratch();
        self.scratch.clear();
        match result {
            Ok(()) => gaps
                .into_iter()
                .for_each(|gap| self.mailbox.post(Command::Record(gap))),
            Err(failed) => {
                trouble.retry_at = now + RETRY_AFTER;
                trouble.torn |= failed.torn;
                self.trouble = Some(trouble);
            }
        }
    }
}

/// Why lines are missing when the queue had no room for them.
const TOO_SLOW: &str = "whoever reads it was too slow";

fn gap_event(node: &Node, stamp: Stamp, loss: Loss, reason: &str) -> Event {
    let time = stamp.timestamp().unwrap_or_else(Timestamp::now);
    let kind = EventKind::LogLinesDropped {
        to: "stdout".to_owned(),
        lines: loss.lines,
        reason: reason.to_owned(),
    };
    Event {
        time,
        node: Some(node.name.clone()),
        kind,
    }
}

/// A write that did not get through.
#[derive(Debug)]
struct Failed {
    error: io::Error,
    /// Bytes of whole lines that did.
    whole: usize,
    /// Whether a piece of a line did, too.
    torn: bool,
}

fn write_all(sink: &mut dyn Write, bytes: &[u8]) -> Result<(), Failed> {
    let mut written = 0;
    while written < bytes.len() {
        let error = match sink.write(&bytes[written..]) {
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(count) => {
                written += count;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        let whole = memchr::memrchr(b'\n', &bytes[..written]).map_or(0, |at| at + 1);
        return Err(Failed {
            error,
            whole,
            torn: whole < written,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;

    use super::super::waker::Waker;
    use super::*;

    /// A stdout with `room` bytes; beyond it comes the error.
    #[derive(Clone, Debug)]
    struct FakeStdout(Arc<Mutex<(Vec<u8>, usize, io::ErrorKind)>>);

    impl Write for FakeStdout {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (content, room, error) = &mut *self.0.lock().expect("lock");
            let count = bytes.len().min(*room - content.len());
            if count == 0 {
                return Err((*error).into());
            }
            content.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Rig {
        writer: ShowWriter,
        outbox: Arc<Outbox<ShowOrder>>,
        mailbox: Arc<Mailbox>,
        stdout: FakeStdout,
        nodes: [Arc<Node>; 2],
    }

    impl Rig {
        fn new(format: LogFormat, room: usize, error: io::ErrorKind) -> Self {
            let waker = Arc::new(Waker::new().expect("waker"));
            let outbox = Arc::new(Outbox::new(Arc::clone(&waker)));
            let mailbox = Arc::new(Mailbox::new(waker));
            let form = Form {
                format,
                style: Style::Plain,
                clock: Clock::Utc,
                terminal: false,
            };
            let stdout = FakeStdout(Arc::new(Mutex::new((Vec::new(), room, error))));
            let writer = ShowWriter::new(
                Arc::clone(&outbox),
                Arc::clone(&mailbox),
                form,
                Box::new(stdout.clone()),
            );
            let node = |index| Node::new(format!("flux-node-{}", index + 1), index);
            let nodes = [Arc::new(node(0)), Arc::new(node(1))];
            Self {
                writer,
                outbox,
                mailbox,
                stdout,
                nodes,
            }
        }

        fn show(&mut self, node: usize, lines: &str, now: Instant) {
            let stamp = Stamp::parse(b"2026-11-20T12:00:00.123Z").expect("stamp");
            let lines = Bytes::copy_from_slice(lines.as_bytes());
            self.outbox.take_in(Batch {
                node: Arc::clone(&self.nodes[node]),
                stamp,
                lines,
            });
            self.writer.handle(self.outbox.wait().expect("items"), now);
        }

        fn order(&mut self, order: ShowOrder) {
            let _ = self.outbox.order(order);
            self.writer
                .handle(self.outbox.wait().expect("items"), Instant::now());
        }

        fn text(&self) -> String {
            let content = self.stdout.0.lock().expect("lock").0.clone();
            // Times of gaps are those of the test's run.
            let text = String::from_utf8(content).expect("UTF-8");
            let line = |line: &str| match line.split_once("Z flux") {
                Some((_, rest)) if line.starts_with(|first: char| first.is_ascii_digit()) => {
                    format!("TIME flux{rest}\n")
                }
                _ => format!("{line}\n"),
            };
            text.lines().map(line).collect()
        }

        fn lost(&self) -> (u64, u64) {
            (
                self.outbox.lost(&self.nodes[0]).lines,
                self.outbox.lost(&self.nodes[1]).lines,
            )
        }

        fn records(&self) -> usize {
            let records = self.mailbox.collect();
            assert!(
                records
                    .iter()
                    .all(|command| matches!(command, Command::Record(_)))
            );
            records.len()
        }
    }

    const ROOM: usize = usize::MAX;
    const LINE_1: &str = "flux-node-1 2026-11-20T12:00:00.123Z";
    const LINE_2: &str = "flux-node-2 2026-11-20T12:00:00.123Z";

    #[test]
    fn lines_events_and_text_keep_their_order() {
        let mut rig = Rig::new(LogFormat::Text, ROOM, io::ErrorKind::Other);
        rig.order(ShowOrder::Text("NODE  PID\n".to_owned()));
        rig.show(0, "one\ntwo\n", Instant::now());
        let kind = EventKind::NodeReady { after_ms: 7 };
        let node = Some("flux-node-1".to_owned());
        let event = Event {
            time: Timestamp::UNIX_EPOCH,
            node,
            kind,
        };
        rig.order(ShowOrder::Event(Arc::new(event)));
        rig.show(1, "three\n", Instant::now());
        let expect = format!(
            "NODE  PID\n{LINE_1} one\n{LINE_1} two\nTIME flux-node-1  ready after 7 ms\n\
             {LINE_2} three\n"
        );
        assert_eq!(rig.text(), expect);
    }

    #[test]
    fn machines_get_objects() {
        let mut rig = Rig::new(LogFormat::Json, ROOM, io::ErrorKind::Other);
        rig.show(0, "one\n", Instant::now());
        let expect = r#"{"time":"2026-11-20T12:00:00.123Z","node":"flux-node-1","line":"one"}"#;
        assert_eq!(rig.text(), format!("{expect}\n"));
    }

    #[test]
    fn an_error_costs_exactly_what_lines_tell() {
        let line = LINE_1.len() + " 00\n".len();
        let mut rig = Rig::new(LogFormat::Text, line + 5, io::ErrorKind::StorageFull);
        let start = Instant::now();
        rig.show(0, "01\n02\n03\n", start);
        rig.show(1, "04\n", start + RETRY_AFTER / 2);
        assert_eq!(rig.lost(), (2, 1));
        assert_eq!(rig.records(), 1, "trouble is told");
        rig.show(1, "05\n", start + RETRY_AFTER);
        assert_eq!(rig.lost(), (2, 2));
        assert_eq!(rig.records(), 0, "once");
        rig.stdout.0.lock().expect("lock").1 = ROOM;
        rig.show(0, "06\n", start + 2 * RETRY_AFTER);
        let expect = format!(
            "{LINE_1} 01\nflux-\n\
             TIME flux-node-1  2 log lines dropped on the way to the stdout: no storage space\n\
             TIME flux-node-2  2 log lines dropped on the way to the stdout: no storage space\n\
             {LINE_1} 06\n"
        );
        assert_eq!(rig.text(), expect);
        assert_eq!(rig.records(), 2);
    }

    #[test]
    fn events_that_did_not_fit_are_told() {
        let mut rig = Rig::new(LogFormat::Text, ROOM, io::ErrorKind::Other);
        let mut lost = 0;
        while lost < 3 {
            lost += usize::from(rig.outbox.order(ShowOrder::Text(String::new())).is_err());
        }
        rig.order(ShowOrder::Text(String::new()));
        let text = rig.text();
        assert!(text.contains("4 events are missing here"), "{text}");
    }

    #[test]
    fn a_closed_stdout_is_left_alone_and_counted() {
        let mut rig = Rig::new(LogFormat::Text, 0, io::ErrorKind::BrokenPipe);
        let start = Instant::now();
        rig.show(0, "01\n", start);
        rig.show(1, "02\n03\n", start + 10 * RETRY_AFTER);
        assert_eq!(rig.lost(), (1, 2));
        assert_eq!(rig.records(), 1);
    }

    #[test]
    fn a_large_batch_is_written_in_pieces_and_accounted_whole() {
        let mut rig = Rig::new(LogFormat::Text, ROOM, io::ErrorKind::Other);
        let now = Instant::now();
        for _ in 0..3 {
            rig.show(0, &"line\n".repeat(100_000), now);
        }
        assert_eq!(rig.text().lines().count(), 300_000);
        let verdict = rig.outbox.verdict(&rig.nodes[0], now);
        assert_eq!(verdict, super::super::lane::Verdict::Take);
        assert_eq!(rig.lost(), (0, 0));
    }
}
