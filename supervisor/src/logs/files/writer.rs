//! The thread that writes the files.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
        let surroundings = Surroundings {
            disk,
            outbox,
            catalogue,
            compressor,
            mailbox,
            scratch,
        };
        Self {
            surroundings,
            files: BTreeMap::new(),
        }
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
                            report
                                .failed
                                .push((file.node.name.clone(), error.to_string()));
                        }
                    }
                }
                // Nobody has to wait for the answer.
                let _ = reply.send(report);
            }
            FileOrder::Snapshot {
                wanted,
                since,
                reply,
            } => {
                let snapshot = self.surroundings.catalogue.snapshot(&wanted, since);
                let _ = reply.send(snapshot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Map;
    use std::io;
    use std::path::Path;
    use std::sync::Mutex;
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::append::tests::SmallDisk;
    use super::super::limits::Limits;
    use super::super::node_file::RETRY_AFTER;
    use super::super::sink::{Place, Sink};
    use super::*;
    use crate::event::EventKind;
    use crate::logs::batch::{Batch, Node};
    use crate::logs::lane::Loss;
    use crate::logs::mailbox::Command;
    use crate::logs::waker::Waker;

    const STAMP: &str = "2026-11-20T12:00:00.123Z";

    const MAX_AGE: Duration = Duration::from_secs(3600);

    /// A disk of which a test may change the room while a writer has files open on it.
    #[derive(Clone, Debug, Default)]
    struct FakeDisk(Arc<Mutex<SmallDisk>>);

    impl FakeDisk {
        fn with<T>(&self, act: impl FnOnce(&mut SmallDisk) -> T) -> T {
            act(&mut self.0.lock().expect("lock"))
        }
    }

    impl Sink for FakeDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.with(|disk| disk.write(bytes))
        }
        fn len(&self) -> io::Result<u64> {
            self.with(|disk| disk.len())
        }
        fn ends_within_line(&self) -> io::Result<bool> {
            self.with(|disk| disk.ends_within_line())
        }
        fn first_stamp(&self) -> io::Result<Option<Stamp>> {
            self.with(|disk| disk.first_stamp())
        }
        fn truncate(&mut self, len: u64) -> io::Result<()> {
            self.with(|disk| disk.truncate(len))
        }
        fn place(&self, path: &Path) -> Place {
            self.with(|disk| disk.place(path))
        }
    }

    impl Disk for FakeDisk {
        type Sink = Self;
        fn open(&self, _: &Path) -> io::Result<Self> {
            Ok(self.clone())
        }
    }

    struct Rig<D: Disk> {
        dir: tempfile::TempDir,
        outbox: Arc<Outbox<FileOrder>>,
        mailbox: Arc<Mailbox>,
        writer: FileWriter<D>,
        node: Arc<Node>,
    }

    impl<D: Disk> Rig<D> {
        fn new(disk: D, max_size: u64, keep: u32) -> Self {
            let dir = tempfile::tempdir().expect("directory");
            let limits = Limits {
                max_size,
                max_age: Some(MAX_AGE),
                keep,
                total: u64::MAX,
                nodes: 3,
            };
            let catalogue = Catalogue::scan(dir.path(), limits, Instant::now()).expect("scan");
            let catalogue = Arc::new(catalogue);
            let waker = Arc::new(Waker::new().expect("waker"));
            let outbox = Arc::new(Outbox::new(Arc::clone(&waker)));
            let mailbox = Arc::new(Mailbox::new(waker));
            let compressor = Arc::new(Compressor::new(Arc::clone(&catalogue)));
            // Compression has tests of its own.
            compressor.stop(Instant::now());
            let writer = FileWriter::new(
                disk,
                Arc::clone(&outbox),
                catalogue,
                compressor,
                Arc::clone(&mailbox),
            );
            let node = Arc::new(Node::new("flux-node-1", 0));
            Self {
                dir,
                outbox,
                mailbox,
                writer,
                node,
            }
        }

        fn send(&self, node: &Arc<Node>, lines: &str) {
            self.send_at(node, STAMP, lines);
        }

        fn send_at(&self, node: &Arc<Node>, stamp: &str, lines: &str) {
            let stamp = Stamp::parse(stamp.as_bytes()).expect("stamp");
            let lines = Bytes::copy_from_slice(lines.as_bytes());
            self.outbox.take_in(Batch {
                node: Arc::clone(node),
                stamp,
                lines,
            });
        }

        fn write(&mut self, lines: &str, now: Instant) {
            self.send(&Arc::clone(&self.node), lines);
            self.work(now);
        }

        fn work(&mut self, now: Instant) {
            self.writer.handle(self.outbox.wait().expect("items"), now);
        }

        fn events(&self) -> Vec<String> {
            let text = |command| match command {
                Command::Event(event) => match event.kind {
                    EventKind::Warning { .. } => "warning".to_owned(),
                    kind => kind.to_string(),
                },
                other => format!("{other:?}"),
            };
            self.mailbox.collect().into_iter().map(text).collect()
        }

        /// The node's bytes in all of its files, the oldest first, by file.
        fn files(&self) -> Vec<Vec<String>> {
            let mut files = Map::new();
            for entry in std::fs::read_dir(self.dir.path()).expect("directory") {
                let path = entry.expect("entry").path();
                let number = path
                    .extension()
                    .and_then(|ext| ext.to_str()?.parse::<i64>().ok());
                let text = std::fs::read_to_string(&path).expect("read");
                assert!(
                    text.is_empty() || text.ends_with('\n'),
                    "{path:?} ends within a line"
                );
                let lines = text.lines().map(|line| line[STAMP.len() + 1..].to_owned());
                files.insert(-number.unwrap_or(0), lines.collect());
            }
            files.into_values().collect()
        }
    }

    #[test]
    fn lines_get_their_time() {
        let mut rig = Rig::new(FileSystem, 1 << 20, 5);
        rig.write("one\n\n", Instant::now());
        rig.write("three\n", Instant::now());
        let text = std::fs::read_to_string(rig.dir.path().join("flux-node-1.log")).expect("read");
        assert_eq!(text, format!("{STAMP} one\n{STAMP} \n{STAMP} three\n"));
    }

    #[test]
    fn each_node_has_its_file_and_its_order() {
        let mut rig = Rig::new(FileSystem, 1 << 20, 5);
        let two = Arc::new(Node::new("flux-node-2", 1));
        for number in 0..10 {
            rig.send(&Arc::clone(&rig.node), &format!("{number}\n"));
            rig.send(&two, &format!("{number}\n"));
        }
        rig.work(Instant::now());
        let expect: String = (0..10)
            .map(|number| format!("{STAMP} {number}\n"))
            .collect();
        for name in ["flux-node-1.log", "flux-node-2.log"] {
            assert_eq!(
                std::fs::read_to_string(rig.dir.path().join(name)).expect("read"),
                expect
            );
        }
    }

    #[test]
    fn files_are_rotated_between_lines_and_nothing_is_missing() {
        let check = |max_size: u64, width: usize, per_batch: usize| {
            let mut rig = Rig::new(FileSystem, max_size, 10_000);
            let lines: Vec<String> = (0..150).map(|number| format!("{number:0width$}")).collect();
            for batch in lines.chunks(per_batch) {
                let text: String = batch.iter().map(|line| format!("{line}\n")).collect();
                rig.write(&text, Instant::now());
            }
            let files = rig.files();
            let length = (STAMP.len() + 1 + width + 1) as u64;
            let full = (max_size / length).max(1) as usize;
            for file in &files[..files.len() - 1] {
                assert_eq!(file.len(), full, "as full as it may be and no fuller");
            }
            assert_eq!(files.concat(), lines);
        };
        check(1000, 10, 1);
        check(1000, 10, 7);
        check(1000, 10, 500);
        check(36, 10, 3);
        check(35, 10, 3);
        check(10, 10, 500);
        check(100_000, 300, 500);
    }

    #[test]
    fn a_file_that_somebody_removes_is_begun_anew_with_the_lines_that_went_there() {
        let mut rig = Rig::new(FileSystem, 100, 5);
        let path = rig.dir.path().join("flux-node-1.log");
        rig.write("1\n", Instant::now());
        std::fs::remove_file(&path).expect("removes");
        rig.write("2\n3\n", Instant::now());
        assert_eq!(rig.files(), [["2", "3"]]);
        assert_eq!(rig.events(), ["warning"]);
        // Also when the next line would rotate it.
        std::fs::remove_file(&path).expect("removes");
        rig.write(&format!("{}\n", "x".repeat(90)), Instant::now());
        assert_eq!(rig.files(), [["x".repeat(90)]]);
        assert_eq!(rig.events(), ["warning"]);
        // Three lines are there, and one went with what was removed after it.
        assert_eq!(rig.node.filed.sum().lines, 4);
    }

    #[test]
    fn a_file_that_somebody_renames_is_left_alone() {
        let mut rig = Rig::new(FileSystem, 1 << 20, 5);
        let path = rig.dir.path().join("flux-node-1.log");
        rig.write("1\n", Instant::now());
        std::fs::rename(&path, path.with_extension("7")).expect("renames");
        // This one still goes where it was going.
        rig.write("2\n", Instant::now());
        rig.write("3\n", Instant::now());
        assert_eq!(rig.files(), [vec!["1", "2"], vec!["3"]]);
        assert!(rig.events().is_empty());
    }

    #[test]
    fn a_file_that_somebody_empties_goes_on_from_there() {
        let mut rig = Rig::new(FileSystem, 100, 5);
        let path = rig.dir.path().join("flux-node-1.log");
        rig.write("1\n2\n", Instant::now());
        // As logrotate's copytruncate does.
        std::fs::write(&path, "").expect("writes");
        rig.write("3\n4\n", Instant::now());
        assert_eq!(rig.files(), [["3", "4"]]);
    }

    #[test]
    fn an_old_file_is_rotated_before_the_next_line() {
        let check = |left: &str, steps: &[(&str, &str)], expect: &[&[&str]]| {
            let mut rig = Rig::new(FileSystem, 1 << 20, 5);
            std::fs::write(rig.dir.path().join("flux-node-1.log"), left).expect("write");
            for (time, lines) in steps {
                let stamp = format!("2026-11-20T{time}Z");
                rig.send_at(&Arc::clone(&rig.node), &stamp, lines);
                rig.work(Instant::now());
            }
            assert_eq!(rig.files(), expect, "{left:?} {steps:?}");
        };
        let steps = [
            ("12:00:00.000", "1\n"),
            ("12:59:59.999", "2\n"),
            ("13:00:00.000", "3\n4\n"),
            ("13:59:00.000", "5\n"),
            ("15:00:00.000", "6\n"),
        ];
        check("", &steps, &[&["1", "2"], &["3", "4", "5"], &["6"]]);
        // A file from before counts from its own first line.
        let left = "2026-11-20T09:00:00.000Z 0\n";
        check(left, &steps[..1], &[&["0"], &["1"]]);
        check(&format!("{STAMP} 0\n"), &steps[1..2], &[&["0", "2"]]);
        // The clock was set back: nothing is old.
        check(
            &format!("{STAMP} 0\n"),
            &[("11:00:00.000", "1\n")],
            &[&["0", "1"]],
        );
    }

    #[test]
    fn rotation_and_reopening_on_demand() {
        let mut rig = Rig::new(FileSystem, 1 << 20, 5);
        rig.write("one\n", Instant::now());
        let (reply, mut report) = oneshot::channel();
        rig.outbox.order(FileOrder::Rotate(reply)).expect("room");
        rig.write("two\n", Instant::now());
        let report = report.try_recv().expect("answered");
        assert_eq!(report.rotated, ["flux-node-1"]);
        assert_eq!(rig.files(), [vec!["one"], vec!["two"]]);

        let current = rig.dir.path().join("flux-node-1.log");
        std::fs::rename(&current, rig.dir.path().join("flux-node-1.log.9")).expect("rename");
        rig.outbox.order(FileOrder::Reopen).expect("room");
        rig.write("three\n", Instant::now());
        assert_eq!(rig.files(), [vec!["two"], vec!["one"], vec!["three"]]);
    }

    #[test]
    fn a_file_that_somebody_emptied_is_not_rotated_too_early() {
        let mut rig = Rig::new(FileSystem, 100, 5);
        rig.write("1\n2\n3\n", Instant::now());
        std::fs::write(rig.dir.path().join("flux-node-1.log"), "").expect("empty");
        rig.write("4\n", Instant::now());
        assert_eq!(rig.files(), [vec!["4"]]);
    }

    #[test]
    fn a_full_disk_costs_exactly_what_a_line_tells() {
        let disk = FakeDisk::default();
        disk.with(|disk| (disk.room, disk.step, disk.cuts) = (75, 1000, true));
        let mut rig = Rig::new(disk.clone(), 1 << 20, 5);
        let start = Instant::now();
        // Lines of 28 bytes: two fit, the third is taken back.
        rig.write("01\n02\n03\n04\n", start);
        assert_eq!(disk.with(|disk| disk.content.len()), 56);
        assert_eq!(rig.events(), ["warning"]);
        rig.write("05\n", start + RETRY_AFTER / 2);
        rig.write("06\n", start + RETRY_AFTER);
        assert_eq!(
            rig.outbox.lost(&rig.node),
            Loss {
                lines: 4,
                bytes: 12
            }
        );
        assert!(rig.events().is_empty(), "one trouble is told once");

        disk.with(|disk| disk.room = 1000);
        rig.write("07\n", start + RETRY_AFTER + RETRY_AFTER / 2);
        rig.write("08\n", start + 2 * RETRY_AFTER);
        let text = disk.with(|disk| String::from_utf8(disk.content.clone()).expect("UTF-8"));
        let expect = format!(
            "{STAMP} 01\n{STAMP} 02\n\
             {STAMP} [supervisor] 5 lines (15 bytes) dropped: no storage space\n{STAMP} 08\n"
        );
        assert_eq!(text, expect);
        assert_eq!(
            rig.outbox.lost(&rig.node),
            Loss {
                lines: 5,
                bytes: 15
            }
        );
        assert_eq!(rig.events().len(), 1);
    }

    #[test]
    fn a_piece_that_cannot_be_taken_back_gets_its_end() {
        let disk = FakeDisk::default();
        disk.with(|disk| (disk.room, disk.step, disk.cuts) = (30, 1000, false));
        let mut rig = Rig::new(disk.clone(), 1 << 20, 5);
        let start = Instant::now();
        rig.write("01\n02\n", start);
        disk.with(|disk| disk.room = 1000);
        rig.write("03\n", start + RETRY_AFTER);
        let text = disk.with(|disk| String::from_utf8(disk.content.clone()).expect("UTF-8"));
        let expect = format!(
            "{STAMP} 01\n20 [supervisor: cut off]\n\
             {STAMP} [supervisor] 1 lines (3 bytes) dropped: no storage space\n{STAMP} 03\n"
        );
        assert_eq!(text, expect);
    }

    #[test]
    fn a_line_that_another_left_without_an_end_gets_one() {
        let mut rig = Rig::new(FileSystem, 1 << 20, 5);
        let path = rig.dir.path().join("flux-node-1.log");
        std::fs::write(&path, format!("{STAMP} hal")).expect("write");
        rig.write("one\n", Instant::now());
        assert_eq!(rig.files(), [vec!["hal [supervisor: cut off]", "one"]]);
    }

    #[test]
    fn a_gap_in_the_queue_is_told_in_the_file() {
        let mut rig = Rig::new(FileSystem, 1 << 20, 5);
        rig.write("one\n", Instant::now());
        let stamp = Stamp::parse(STAMP.as_bytes()).expect("stamp");
        let lines = Bytes::from_static(b"a\nb\n");
        rig.outbox.drop_lines(&Batch {
            node: Arc::clone(&rig.node),
            stamp,
            lines,
        });
        rig.write("two\n", Instant::now());
        let gap = "[supervisor] 2 lines (4 bytes) dropped: the disk was too slow";
        assert_eq!(rig.files(), [vec!["one", gap, "two"]]);
        assert_eq!(rig.events().len(), 1);
    }

    /// One thing that happens to a file.
    #[derive(Clone, Debug)]
    enum Step {
        /// So many lines come.
        Lines(usize),
        /// So many milliseconds pass.
        Wait(u64),
        /// The disk has room for so many bytes more, and takes at most so many at once.
        Room(usize, usize),
        /// So many lines are lost in the queue.
        Gap(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1usize..9).prop_map(Step::Lines),
            (0u64..1500).prop_map(Step::Wait),
            (0usize..200, 1usize..100).prop_map(|(room, step)| Step::Room(room, step)),
            (1usize..4).prop_map(Step::Gap),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn every_line_is_kept_whole_or_told_to_be_missing(steps in steps(), cuts in any::<bool>()) {
            let disk = FakeDisk::default();
            disk.with(|disk| (disk.room, disk.step, disk.cuts) = (1000, 1000, cuts));
            let mut rig = Rig::new(disk.clone(), 1 << 40, 5);
            let (mut now, mut sent) = (Instant::now(), 0);
            let mut next = |count: usize| -> String {
                let lines = (sent..sent + count).map(|line| format!("{line:05}\n")).collect();
                sent += count;
                lines
            };
            for step in steps {
                match step {
                    Step::Lines(count) => rig.write(&next(count), now),
                    Step::Wait(ms) => now += Duration::from_millis(ms),
                    Step::Room(more, step) => {
                        disk.with(|disk| (disk.room, disk.step) = (disk.content.len() + more, step));
                    }
                    Step::Gap(count) => {
                        let (stamp, lines) = (Stamp::now(), Bytes::from(next(count)));
                        let node = Arc::clone(&rig.node);
                        rig.outbox.drop_lines(&Batch { node, stamp, lines });
                    }
                }
            }
            disk.with(|disk| disk.room = usize::MAX);
            rig.write(&next(1), now + RETRY_AFTER);
            let text = disk.with(|disk| String::from_utf8(disk.content.clone()).expect("UTF-8"));
            let (mut kept, mut told, mut last) = (0, 0, None);
            for line in text.lines() {
                let rest = line.get(STAMP.len() + 1..).unwrap_or_default();
                if line.ends_with(" [supervisor: cut off]") {
                    prop_assert!(!cuts, "pieces are taken back where they can be");
                    continue;
                }
                if let Some(gap) = rest.strip_prefix("[supervisor] ") {
                    let lines = gap.split(' ').next().and_then(|lines| lines.parse::<u64>().ok());
                    told += lines.expect("a number");
                    continue;
                }
                let number: usize = rest.parse().expect("a whole line");
                prop_assert!(last.is_none_or(|last| last < number), "in order and once");
                last = Some(number);
                kept += 1;
            }
            prop_assert_eq!(kept + told, sent as u64);
            prop_assert_eq!(rig.outbox.lost(&rig.node).lines, told);
        }
    }

    #[test]
    fn the_queue_hears_of_everything_that_is_dealt_with() {
        let disk = FakeDisk::default();
        disk.with(|disk| (disk.room, disk.step, disk.cuts) = (4000, 1000, true));
        let mut rig = Rig::new(disk, 1 << 20, 5);
        let now = Instant::now();
        for _ in 0..100 {
            let node = Arc::clone(&rig.node);
            rig.send(&node, &"line\n".repeat(50_000));
            rig.work(now);
        }
        // A queue that were thought to be full would hold the next lines back.
        let verdict = rig.outbox.verdict(&rig.node, now);
        assert_eq!(verdict, crate::logs::lane::Verdict::Take);
    }
}
