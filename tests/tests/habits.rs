//! What people are used to: colours and widths of terminals, plain text in pipes, readers
//! that have seen enough, and a sign of life while they wait.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use repram_tests::{Fleet, Order, PATIENCE, Sandbox, Scribe, repository, wait_until};

/// The beginning of everything that is more than text on a terminal.
const ESCAPE: char = '\x1b';

/// Two scribes that are ready.
fn fleet() -> Fleet {
    let fleet = Scribe::sandbox().set("NODE_COUNT", 2).start();
    fleet.wait_for_status("two ready nodes", |status| status["ready"] == 2);
    fleet
}

/// A command of the supervisor with its stdout on a terminal of so many columns. On a busy
/// machine it would say on stderr that it waits.
fn on_terminal(sandbox: &Sandbox, columns: u16, arguments: &[&str]) -> Command {
    streams_on_terminal("stdout", sandbox, columns, arguments)
}

/// The same with `all` of its streams there, or only `stdout`.
fn streams_on_terminal(
    streams: &str,
    sandbox: &Sandbox,
    columns: u16,
    arguments: &[&str],
) -> Command {
    let supervisor = sandbox.supervisor(&[]);
    let mut command = sandbox.program("python3".as_ref());
    command
        .arg(repository().join("tests/programs/screen.py"))
        .arg(columns.to_string())
        .arg(streams)
        .arg(supervisor.get_program())
        .args(arguments)
        .env("TERM", "xterm");
    command
}

/// What a command printed that must succeed.
#[track_caller]
fn shown(command: &mut Command) -> String {
    let output = command.output().expect("it can be started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Text without its colours.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| {
        plain + piece.split_once('m').map_or(piece, |(_, rest)| rest)
    })
}

#[test]
fn colours_are_for_terminals_and_for_who_asks_for_them() {
    let fleet = fleet();
    for arguments in [
        &["status"][..],
        &["events"],
        &["claims"],
        &["logs", "stats"],
    ] {
        let coloured = |columns: Option<u16>, variables: &[(&str, &str)]| {
            let mut command = match columns {
                Some(columns) => on_terminal(&fleet, columns, arguments),
                None => fleet.supervisor(arguments),
            };
            let text = shown(command.envs(variables.iter().copied()));
            assert!(!text.is_empty());
            text.contains(ESCAPE)
        };
        let check = |columns: Option<u16>, variables: &[(&str, &str)], expect: bool| {
            let found = coloured(columns, variables);
            assert_eq!(found, expect, "{arguments:?} {columns:?} {variables:?}");
        };
        check(Some(200), &[], true);
        check(Some(200), &[("NO_COLOR", "1")], false);
        check(Some(200), &[("TERM", "dumb")], false);
        check(Some(200), &[("TERM", "")], false);
        check(None, &[("TERM", "xterm")], false);
        check(None, &[("CLICOLOR_FORCE", "1")], true);
        check(None, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false);
    }
    fleet.stop();
}

#[test]
fn tables_fit_a_narrow_terminal_and_are_whole_in_a_pipe() {
    let fleet = fleet();
    for arguments in [&["claims"][..], &["logs", "stats"]] {
        let narrow = plain(&shown(&mut on_terminal(&fleet, 30, arguments)));
        // The headline, where there is one, is a sentence.
        let table = narrow.lines().skip_while(|line| !line.contains("  "));
        let wide: Vec<_> = table.filter(|line| line.chars().count() > 30).collect();
        assert!(wide.is_empty(), "{arguments:?}: {wide:#?}");
        assert!(narrow.contains("flux-node-2"), "{narrow}");
        let piped = shown(&mut fleet.supervisor(arguments));
        assert!(!piped.contains('…'), "{piped}");
    }
    fleet.stop();
}

#[test]
fn lines_of_nodes_do_nothing_to_a_terminal() {
    let fleet = fleet();
    let scribe = Scribe::new("flux-node-1");
    let evil = "\x1b[2Jclear \x07bell \x1b]0;title\x07 \x1b[31mred\rover";
    fs::write(fleet.path("evil"), format!("{evil}\n")).expect("the directory is ours");
    scribe.write(&fleet, Order::Copy { name: "evil" });
    scribe.books(&fleet, 1);
    let on_screen = shown(&mut on_terminal(&fleet, 200, &["logs", "--node", "1"]));
    let expect = "\\u{1b}[2Jclear \\u{7}bell \\u{1b}]0;title\\u{7} \x1b[31mred\\rover\x1b[0m";
    assert!(on_screen.contains(expect), "{on_screen:?}");
    let piped = shown(&mut fleet.supervisor(&["logs", "--node", "1"]));
    assert!(piped.trim_end().ends_with(evil), "{piped:?}");
    fleet.stop();
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let fleet = fleet();
    let scribe = Scribe::new("flux-node-1");
    let written = scribe.write(
        &fleet,
        Order::Lines {
            count: 20_000,
            size: 100,
        },
    );
    scribe.books(&fleet, written);
    for arguments in [
        &["logs"][..],
        &["logs", "--json"],
        &["logs", "-f", "-n", "all"],
        &["config"],
        &["status", "--json"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let mut command = fleet.supervisor(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it can be started");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it was piped");
        // The reader goes with this statement.
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let output = child.wait_with_output().expect("it is our child");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), said.as_ref()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
    fleet.stop();
}

#[test]
fn who_waits_sees_that_something_is_waited_for() {
    let fleet = fleet();
    let supervisor = fleet.supervisor_process();
    supervisor.signal(Signal::SIGSTOP);
    let mut command = streams_on_terminal("all", &fleet, 80, &["health"]);
    let (mut child, output) = fleet.spawn(&mut command, "health");
    wait_until("a sign of life", PATIENCE, || {
        let said = output.stdout();
        match said.contains("waiting for an answer, ") {
            true => Ok(()),
            false => Err(said),
        }
    });
    supervisor.signal(Signal::SIGCONT);
    let status = wait_until("the answer", PATIENCE, || {
        let ended = child.try_wait().expect("it is our child");
        ended.ok_or_else(|| output.stdout())
    });
    let said = output.stdout();
    assert!(status.success(), "{said}");
    // What was shown is gone before the answer.
    let (_, answer) = said.rsplit_once("\r\x1b[K").expect("it was erased");
    assert!(answer.starts_with("healthy: "), "{answer:?}");
    fleet.stop();
}
