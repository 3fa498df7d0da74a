//! The container's stdout: whoever reads it, or does not, neither stops a node nor costs a
//! line of the files, and what it did not get is counted.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};
use std::thread;

use nix::sys::signal::Signal;
use repram_tests::{Ledger, Order, PATIENCE, Process, Sandbox, Scribe, wait_until};

/// More than the supervisor holds for a reader that is slow.
const FLOOD: Order<'_> = Order::Lines {
    count: 300_000,
    size: 100,
};

/// A supervisor of one scribe, whose stdout is the test's to treat.
struct Run {
    sandbox: Sandbox,
    supervisor: Child,
    scribe: Scribe,
}

impl Run {
    #[track_caller]
    fn start(stdout: Stdio) -> Self {
        let sandbox = Scribe::sandbox()
            .set("NODE_COUNT", 1)
            .set("LOG_KEEP", 1000)
            .set("LOG_TOTAL", "1GiB");
        let mut command = sandbox.supervisor(&["run"]);
        let supervisor = command.stdout(stdout).spawn().expect("it starts");
        wait_until("a ready node", PATIENCE, || {
            let health = sandbox.finish(&["health"]);
            match health.code() {
                Some(0) => Ok(()),
                _ => Err(health.said()),
            }
        });
        Self {
            sandbox,
            supervisor,
            scribe: Scribe::new("flux-node-1"),
        }
    }

    /// The end of the pipe that whoever reads stdout has.
    fn stdout(&mut self) -> ChildStdout {
        self.supervisor.stdout.take().expect("it was piped")
    }

    /// Lets the node write, and waits until it has: nothing has blocked it.
    #[track_caller]
    fn write(&self, order: Order<'_>) -> u64 {
        self.scribe.write(&self.sandbox, order)
    }

    /// Asks the supervisor to end, without waiting for it.
    fn ask_to_end(&self) {
        let pid = self.supervisor.id().cast_signed();
        Process { pid }.signal(Signal::SIGTERM);
    }

    /// Waits for the supervisor's end, and looks whether the files have every line.
    #[track_caller]
    fn finish(mut self, written: u64, (kept, dropped): (u64, u64)) {
        let status = wait_until("the end of the supervisor", PATIENCE, || {
            let ended = self.supervisor.try_wait().expect("it is our child");
            ended.ok_or_else(|| "it runs".to_owned())
        });
        assert_eq!(status.code(), Some(0));
        self.sandbox.assert_nothing_left();
        let ledger = Ledger::of_files(&self.sandbox.path("logs"), self.scribe.node(), written);
        ledger.assert_balanced();
        assert_eq!((ledger.kept, ledger.dropped), (kept, dropped));
    }
}

#[test]
fn a_reader_that_stops_gets_a_count_when_it_goes_on() {
    let mut run = Run::start(Stdio::piped());
    let mut stdout = run.stdout();
    let written = run.write(FLOOD);
    let books = run.scribe.books(&run.sandbox, written);
    let stats = run.scribe.stats(&run.sandbox);
    let dropped = stats["stdout"]["dropped"]["lines"].as_u64();
    assert!(dropped.is_some_and(|lines| lines > 0), "{stats}");
    // Now somebody reads, and the node goes on.
    let reader = thread::spawn(move || {
        let mut shown = Vec::new();
        stdout.read_to_end(&mut shown).map(|_| shown)
    });
    let more = run.write(Order::Lines {
        count: 7,
        size: 100,
    });
    let (shown, dropped) = run.scribe.books_of("stdout", &run.sandbox, more);
    let (kept, lost) = run.scribe.books(&run.sandbox, more);
    assert_eq!((kept - books.0, lost - books.1), (7, 0));
    run.ask_to_end();
    let text = reader.join().expect("no panic").expect("it can be read");
    let ledger = Ledger::of_stdout(&text[..], run.scribe.node(), more);
    ledger.assert_balanced();
    assert_eq!((ledger.kept, ledger.dropped), (shown, dropped));
    run.finish(more, (kept, lost));
}

#[test]
fn a_reader_that_went_away_stops_nothing() {
    let mut run = Run::start(Stdio::piped());
    let mut line = String::new();
    // It goes with this statement, as `head -1` does.
    let read = BufReader::new(run.stdout()).read_line(&mut line);
    assert!(read.is_ok() && line.ends_with('\n'), "{line:?}");
    let written = run.write(FLOOD);
    let books = run.scribe.books(&run.sandbox, written);
    let (shown, dropped) = run.scribe.books_of("stdout", &run.sandbox, written);
    assert_eq!((shown, dropped), (0, written));
    wait_until("an event that says so", PATIENCE, || {
        let events = run.sandbox.finish(&["events"]).said();
        match events.contains("stdout cannot be written: Broken pipe") {
            true => Ok(()),
            false => Err(events),
        }
    });
    run.ask_to_end();
    run.finish(written, books);
}

#[test]
fn a_stdout_that_is_full_for_ever_stops_nothing() {
    let full = File::options().write(true).open("/dev/full");
    let run = Run::start(full.expect("Linux has it").into());
    let written = run.write(FLOOD);
    let books = run.scribe.books(&run.sandbox, written);
    let (shown, _) = run.scribe.books_of("stdout", &run.sandbox, written);
    assert_eq!(shown, 0);
    run.ask_to_end();
    run.finish(written, books);
}

#[test]
fn a_stop_does_not_wait_for_a_reader() {
    let mut run = Run::start(Stdio::piped());
    let stdout = run.stdout();
    let written = run.write(FLOOD);
    let books = run.scribe.books(&run.sandbox, written);
    run.ask_to_end();
    run.finish(written, books);
    drop(stdout);
}
