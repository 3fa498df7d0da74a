//! The threads together, on real pipes and files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use repram_config::{LogFormat, LogStdout};

use super::console::Clock;
use super::show::Form;
use super::stamp::STAMP_LEN;
use super::stdout::Stdout;
use super::{Live, LogConfig, LogQuery, Logs};
use crate::event::{Event, EventKind};
use crate::style::Style;

/// Long enough for a busy machine; a test that works never waits for it.
const LIMIT: Duration = Duration::from_secs(60);

/// A stdout in memory.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("lock")).into_owned()
    }
}

fn config(dir: &tempfile::TempDir) -> LogConfig {
    LogConfig {
        dir: Some(dir.path().join("logs")),
        stdout: LogStdout::All,
        format: LogFormat::Text,
        max_size: 10 << 20,
        max_age: Duration::ZERO,
        keep: 5,
        total: 1 << 30,
        max_line: 64 << 10,
        nodes: 3,
    }
}

fn form() -> Form {
    Form {
        format: LogFormat::Text,
        style: Style::Plain,
        clock: Clock::Utc,
        terminal: false,
    }
}

fn build(config: LogConfig, stdout: impl Write + Send + 'static) -> Logs {
    config.build_with(form(), Box::new(stdout)).expect("starts")
}

/// A node: what is written here is its log.
fn node(logs: &Logs, name: &str) -> File {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
    logs.attach(name, 1, read);
    File::from(write)
}

fn warning(message: &str) -> Event {
    let kind = EventKind::Warning {
        message: message.to_owned(),
    };
    Event {
        time: Timestamp::UNIX_EPOCH,
        node: None,
        kind,
    }
}

/// The lines of a node's files, the oldest first, without their stamps.
fn file_lines(dir: &tempfile::TempDir, name: &str) -> Vec<String> {
    let query = LogQuery {
        nodes: super::NodeFilter::of([format!("flux-node-{name}")]),
        ..Default::default()
    };
    let history = super::History::of_directory(&dir.path().join("logs"), &query).expect("opens");
    let mut lines = Vec::new();
    history
        .read(&query, |_, _, line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            ControlFlow::Continue(())
        })
        .expect("reads");
    lines
}

/// What stdout shows of the nodes, without stamps, and of events, without times.
fn shown_lines(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| match line.strip_prefix("flux-node-") {
            Some(rest) => {
                let (number, rest) = rest.split_once(' ').expect("blank");
                format!("{number}:{}", &rest[STAMP_LEN + 1..])
            }
            None => line.split_once(' ').expect("blank").1.trim().to_owned(),
        })
        .collect()
}

#[test]
fn lines_reach_files_and_stdout() {
    let dir = tempfile::tempdir().expect("directory");
    let stdout = Memory::default();
    let logs = build(config(&dir), stdout.clone());
    let mut one = node(&logs, "flux-node-1");
    let mut two = node(&logs, "flux-node-2");
    one.write_all(b"hello\nwor").expect("write");
    two.write_all(b"\xff\x00binary\n").expect("write");
    one.write_all(b"ld\nthe last without an end")
        .expect("write");
    drop((one, two));
    logs.finish(LIMIT);
    let expect = ["hello", "world", "the last without an end"];
    assert_eq!(file_lines(&dir, "1"), expect);
    assert_eq!(file_lines(&dir, "2"), ["\u{fffd}\0binary"]);
    let mut shown = shown_lines(&stdout.text());
    shown.sort();
    let expect = [
        "1:hello",
        "1:the last without an end",
        "1:world",
        "2:\u{fffd}\0binary",
    ];
    assert_eq!(shown, expect);
    assert!(
        logs.stats()
            .nodes
            .iter()
            .all(|node| node.file.dropped.lines + node.stdout.dropped.lines == 0)
    );
}

#[test]
fn an_event_comes_after_what_was_written_before_it() {
    let dir = tempfile::tempdir().expect("directory");
    let stdout = Memory::default();
    let logs = build(config(&dir), stdout.clone());
    let mut expect = Vec::new();
    for round in 0..50 {
        // A node that lives so short that its pipe is read for the first time after its end.
        let mut node = node(&logs, "flux-node-1");
        node.write_all(format!("last words {round}\n").as_bytes())
            .expect("write");
        drop(node);
        logs.event(&warning(&format!("ended {round}")));
        expect.push(format!("1:last words {round}"));
        expect.push(format!("supervisor   ended {round}"));
    }
    logs.finish(LIMIT);
    assert_eq!(shown_lines(&stdout.text()), expect);
}

#[test]
fn events_alone_or_nothing_is_shown() {
    let check = |shows: LogStdout, expect: &[&str]| {
        let dir = tempfile::tempdir().expect("directory");
        let stdout = Memory::default();
        let logs = build(
            LogConfig {
                stdout: shows,
                ..config(&dir)
            },
            stdout.clone(),
        );
        let mut node = node(&logs, "flux-node-1");
        node.write_all(b"line\n").expect("write");
        logs.event(&warning("event"));
        drop(node);
        logs.finish(LIMIT);
        assert_eq!(shown_lines(&stdout.text()), expect);
        assert_eq!(file_lines(&dir, "1"), ["line"]);
    };
    check(LogStdout::All, &["1:line", "supervisor   event"]);
    check(LogStdout::Events, &["supervisor   event"]);
    check(LogStdout::Off, &[]);
}

#[tokio::test]
async fn what_is_shown_changes_while_it_runs() {
    let dir = tempfile::tempdir().expect("tempdir");
    let memory = Memory::default();
    let logs = build(config(&dir), memory.clone());
    let mut writer = node(&logs, "flux-node-1");
    let shows = [
        (LogStdout::Off, "nothing"),
        (LogStdout::Events, "events"),
        (LogStdout::All, "all-of-it"),
    ];
    for (stdout, text) in shows {
        logs.configure(&LogConfig {
            stdout,
            max_line: 8,
            ..config(&dir)
        });
        // Answered after that was done.
        logs.recent_events().await;
        writeln!(writer, "{text}").expect("the pipe is read");
        logs.event(&warning(text));
    }
    drop(writer);
    logs.finish(LIMIT);
    let shown = memory.text();
    let count = |text: &str| shown.matches(text).count();
    assert_eq!(count("nothing"), 0, "{shown}");
    assert_eq!(count("events"), 1, "the line was not shown: {shown}");
    assert_eq!(count("all-of-it"), 1, "the event is not cut: {shown}");
    assert_eq!(count("all-of-i [supervisor: 1 bytes cut]"), 1, "{shown}");
}

#[test]
fn no_directory_means_no_files() {
    let dir = tempfile::tempdir().expect("directory");
    let stdout = Memory::default();
    let logs = build(
        LogConfig {
            dir: None,
            ..config(&dir)
        },
        stdout.clone(),
    );
    let mut node = node(&logs, "flux-node-1");
    node.write_all(b"line\n").expect("write");
    drop(node);
    logs.finish(LIMIT);
    assert_eq!(shown_lines(&stdout.text()), ["1:line"]);
    assert_eq!(fs::read_dir(dir.path()).expect("directory").count(), 0);
}

#[test]
fn a_flood_with_rotation_loses_nothing_in_silence() {
    const LINES: u64 = 100_000;
    let dir = tempfile::tempdir().expect("directory");
    let config = LogConfig {
        max_size: 300_000,
        keep: 1000,
        ..config(&dir)
    };
    let logs = build(
        LogConfig {
            stdout: LogStdout::Off,
            ..config
        },
        Memory::default(),
    );
    let writers: Vec<_> = (1..=3)
        .map(|number| {
            let mut node = node(&logs, &format!("flux-node-{number}"));
            thread::spawn(move || {
                let mut text = String::new();
                for line in 0..LINES / 3 {
                    text.push_str(&format!("{line} some words to make a line of it\n"));
                    if line % 7 == number % 7 || text.len() > 60_000 {
                        node.write_all(text.as_bytes()).expect("write");
                        text.clear();
                    }
                }
                node.write_all(text.as_bytes()).expect("write");
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("no panic");
    }
    logs.finish(LIMIT);
    let stats = logs.stats();
    for (number, stats) in (1..=3).zip(&stats.nodes) {
        let lines = file_lines(&dir, &number.to_string());
        let (mut kept, mut last) = (0, None);
        for line in lines
            .iter()
            .filter(|line| !line.starts_with("[supervisor]"))
        {
            let (count, rest) = line.split_once(' ').expect("blank");
            assert_eq!(rest, "some words to make a line of it", "whole");
            let count: u64 = count.parse().expect("number");
            assert!(last.is_none_or(|last| last < count), "in order and once");
            last = Some(count);
            kept += 1;
        }
        assert_eq!(stats.read.lines, LINES / 3);
        assert_eq!(
            stats.file.written.lines, kept,
            "what is said to be there is"
        );
        assert_eq!(
            kept + stats.file.dropped.lines,
            LINES / 3,
            "kept or counted"
        );
    }
    assert!(
        fs::read_dir(dir.path().join("logs"))
            .expect("directory")
            .count()
            > 9,
        "rotated"
    );
}

#[test]
fn a_stdout_that_nobody_reads_blocks_nobody() {
    const LINES: u64 = 400_000;
    let dir = tempfile::tempdir().expect("directory");
    let (read, write) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
    let logs = build(config(&dir), Stdout::from_file(File::from(write)));
    let mut node = node(&logs, "flux-node-1");
    let line = "a line of a node that goes on as if nothing were the matter\n";
    let lines = line.repeat(1000);
    for _ in 0..LINES / 1000 {
        node.write_all(lines.as_bytes()).expect("write");
    }
    drop(node);
    // Returns though stdout is stuck.
    logs.finish(Duration::from_millis(300));
    assert!(logs.stats().nodes[0].stdout.dropped.lines > 0);
    // Now somebody reads: every line is there, or told to be missing.
    let shown = io::read_to_string(File::from(read)).expect("reads");
    let lines = shown
        .lines()
        .filter(|shown| shown.ends_with(line.trim_end()))
        .count() as u64;
    let told: u64 = shown
        .lines()
        .filter_map(|line| {
            let (_, text) = line.split_once("  ")?;
            let (count, to) = text.split_once(" log line")?;
            to.contains("stdout").then(|| count.parse::<u64>().ok())?
        })
        .sum();
    assert_eq!(lines + told, LINES);
    // The threads that were left behind come to their end.
    logs.finish(LIMIT);
    let stats = logs.stats().nodes[0].clone();
    assert_eq!(told, stats.stdout.dropped.lines);
    assert_eq!(lines, stats.stdout.written.lines);
    let files = file_lines(&dir, "1");
    let kept = files
        .iter()
        .filter(|line| !line.starts_with("[supervisor]"))
        .count() as u64;
    assert_eq!(kept + stats.file.dropped.lines, LINES, "files do not mind");
}

#[test]
fn a_helper_that_goes_on_writing_does_not_keep_the_end_from_coming() {
    let dir = tempfile::tempdir().expect("directory");
    let logs = build(config(&dir), Memory::default());
    let mut node = node(&logs, "flux-node-1");
    node.write_all(b"one\ntwo").expect("write");
    logs.finish(LIMIT);
    assert_eq!(file_lines(&dir, "1"), ["one", "two"]);
    drop(node);
}

#[tokio::test]
async fn who_follows_gets_every_line_once() {
    let dir = tempfile::tempdir().expect("directory");
    let logs = build(config(&dir), Memory::default());
    let mut node = node(&logs, "flux-node-1");
    let writer = thread::spawn(move || {
        for number in 0..20_000 {
            node.write_all(format!("{number}\n").as_bytes())
                .expect("write");
        }
    });
    let query = LogQuery::default();
    let (history, mut live) = logs.follow(&query).await.expect("room");
    let finishing = logs.clone();
    let end = thread::spawn(move || {
        writer.join().expect("no panic");
        finishing.finish(LIMIT);
    });
    let mut numbers = Vec::new();
    while let Some(item) = live.next().await {
        match item {
            Live::Lines(batch) => numbers.extend_from_slice(&batch.lines),
            Live::Missed(loss) => panic!("missed {loss:?}"),
        }
    }
    end.join().expect("no panic");
    let mut all = Vec::new();
    history
        .read(&query, |_, _, line| {
            all.extend_from_slice(line);
            all.push(b'\n');
            ControlFlow::Continue(())
        })
        .expect("reads");
    all.extend_from_slice(&numbers);
    let expect: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    assert!(
        String::from_utf8(all).expect("UTF-8") == expect,
        "nothing missing, nothing twice"
    );
}

#[tokio::test]
async fn rotation_on_demand_is_answered_when_it_is_done() {
    let dir = tempfile::tempdir().expect("directory");
    let logs = build(config(&dir), Memory::default());
    let mut node = node(&logs, "flux-node-1");
    node.write_all(b"before\n").expect("write");
    // The answer comes after everything that was read; the history waits for the read.
    logs.history(&LogQuery::default()).await.expect("answers");
    let report = logs.rotate().await.expect("there are files");
    assert_eq!(report.rotated, ["flux-node-1"]);
    let rotated = fs::read_to_string(dir.path().join("logs/flux-node-1.log.1")).expect("read");
    assert!(rotated.ends_with(" before\n"));
    drop(node);
    logs.finish(LIMIT);
}

#[tokio::test]
async fn events_are_kept_and_followed() {
    let dir = tempfile::tempdir().expect("directory");
    let logs = build(config(&dir), Memory::default());
    logs.event(&warning("one"));
    let (recent, mut live) = logs.follow_events().await.expect("room");
    assert_eq!(recent.len(), 1);
    logs.event(&warning("two"));
    assert_eq!(*live.recv().await.expect("an event"), warning("two"));
    assert_eq!(logs.recent_events().await.len(), 2);
    logs.finish(LIMIT);
    assert!(live.recv().await.is_none());
}

#[test]
fn many_processes_of_one_node_share_its_file() {
    let dir = tempfile::tempdir().expect("directory");
    let logs = build(config(&dir), Memory::default());
    let nodes: BTreeMap<u32, File> = (0..5)
        .map(|generation| (generation, node(&logs, "flux-node-1")))
        .collect();
    for (generation, mut node) in nodes {
        node.write_all(format!("{generation}").as_bytes())
            .expect("write");
    }
    logs.finish(LIMIT);
    let mut lines = file_lines(&dir, "1");
    lines.sort();
    assert_eq!(lines, ["0", "1", "2", "3", "4"]);
}

#[test]
fn a_stdout_that_does_not_block_is_waited_for() {
    let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).expect("pipe");
    let (mut stdout, text) = (Stdout::from_file(File::from(write)), vec![b'x'; 1 << 20]);
    let expect = text.len();
    let writer = thread::spawn(move || stdout.write_all(&text));
    let mut reader = File::from(read);
    nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETFL(OFlag::empty())).expect("blocking");
    let mut read = Vec::new();
    reader.read_to_end(&mut read).expect("reads");
    writer.join().expect("no panic").expect("writes");
    assert_eq!(read.len(), expect);
}

#[tokio::test]
async fn what_a_process_wrote_last_is_kept_without_files() {
    let dir = tempfile::tempdir().expect("directory");
    let config = LogConfig {
        dir: None,
        stdout: LogStdout::Off,
        ..config(&dir)
    };
    let logs = build(config, io::sink());
    let mut first = node(&logs, "flux-node-1");
    first.write_all(b"one\ntwo\nand no end").expect("write");
    assert_eq!(
        logs.last_lines("flux-node-1").await,
        [(1, vec!["one".to_owned(), "two".to_owned()])].into()
    );
    drop(first);
    let (read, write) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
    logs.attach("flux-node-1", 2, read);
    File::from(write).write_all(b"\xff three\n").expect("write");
    let lines = logs.last_lines("flux-node-1").await;
    assert_eq!(lines[&1], ["one", "two", "and no end"]);
    assert_eq!(lines[&2], ["\u{fffd} three"]);
    assert!(logs.last_lines("flux-node-2").await.is_empty());
    logs.finish(Duration::from_secs(60));
    assert!(logs.last_lines("flux-node-1").await.is_empty());
}
