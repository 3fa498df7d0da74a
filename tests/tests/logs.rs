//! What nodes print, where people look for it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use nix::sys::signal::Signal;
use repram_tests::{Fleet, PATIENCE, Sandbox, get, wait_until};
use serde_json::Value;

/// A fleet whose nodes print a line for every request.
fn talkative() -> Fleet {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 2)
        .set("NODE_SOCKETS", "off")
        .set(
            "NODE_COMMAND",
            "python3 -m http.server --bind 127.0.0.1 $PORT",
        )
        .start();
    for slot in 0..2 {
        make_it_say(&fleet, slot, "hello");
    }
    fleet
}

/// Makes the node of a slot print a line that contains `word`.
#[track_caller]
fn make_it_say(fleet: &Fleet, slot: u16, word: &str) {
    let port = fleet.http_port(slot);
    wait_until("a node that answers", PATIENCE, || {
        get(port, &format!("/{word}"))
    });
}

/// The lines of a node's file that contain a word.
#[track_caller]
fn wait_for_lines(fleet: &Fleet, node: &str, word: &str) -> Vec<String> {
    let path = fleet.log_file(node);
    wait_until(&format!("{word} in the log of {node}"), PATIENCE, || {
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let found: Vec<_> = text.lines().filter(|line| line.contains(word)).collect();
        if found.is_empty() {
            Err(text.clone())
        } else {
            Ok(found.into_iter().map(str::to_owned).collect())
        }
    })
}

/// Whether a line begins with a time as `2026-11-20T23:42:01.123Z` and a blank.
fn begins_with_a_time(line: &str) -> bool {
    const PATTERN: &str = "0000-00-00T00:00:00.000Z ";
    line.len() >= PATTERN.len()
        && line
            .bytes()
            .zip(PATTERN.bytes())
            .all(|(found, wanted)| match wanted {
                b'0' => found.is_ascii_digit(),
                wanted => found == wanted,
            })
}

#[test]
fn every_node_has_a_file_with_the_time_before_each_line() {
    let fleet = talkative();
    for number in 1..=2 {
        let node = format!("flux-node-{number}");
        make_it_say(&fleet, number - 1, &format!("only-{node}"));
        let lines = wait_for_lines(&fleet, &node, &format!("only-{node}"));
        assert!(
            lines.iter().all(|line| begins_with_a_time(line)),
            "{lines:?}"
        );
        let text = fs::read_to_string(fleet.log_file(&node)).expect("it was read before");
        assert!(text.lines().all(begins_with_a_time), "{text}");
        let other = format!("only-flux-node-{}", 3 - number);
        assert!(
            !text.contains(&other),
            "{node} has a line of the other: {text}"
        );
    }
    fleet.stop();
}

#[test]
fn the_console_shows_the_same_lines_with_the_name_in_front() {
    let fleet = talkative();
    make_it_say(&fleet, 1, "on-the-console");
    wait_until("the line on the console", PATIENCE, || {
        let said = fleet.output().stdout();
        let line = said.lines().find(|line| line.contains("on-the-console"));
        if line.is_some_and(|line| line.contains("flux-node-2")) {
            Ok(())
        } else {
            Err(said)
        }
    });
    fleet.stop();
}

#[test]
fn logs_are_read_back_and_followed() {
    let mut fleet = talkative();
    make_it_say(&fleet, 0, "before");
    wait_for_lines(&fleet, "flux-node-1", "before");
    wait_until("the line read back", PATIENCE, || {
        let logs = fleet.finish(&["logs"]);
        assert_eq!(logs.code(), Some(0), "{}", logs.said());
        if logs.stdout.contains("before") {
            Ok(())
        } else {
            Err(logs.said())
        }
    });

    let mut follow = fleet.supervisor(&["logs", "-f", "--node", "flux-node-2"]);
    let (mut child, output) = fleet.spawn(&mut follow, "follow");
    for word in ["first-news", "second-news"] {
        make_it_say(&fleet, 1, word);
        wait_until("the news", PATIENCE, || {
            let said = output.stdout();
            if said.contains(word) {
                Ok(())
            } else {
                Err(said + &output.stderr())
            }
        });
    }
    assert!(
        !output.stdout().contains("before"),
        "that was said by the other node"
    );
    // Following ends with the supervisor, and only then nothing is left.
    fleet.supervisor_process().signal(Signal::SIGTERM);
    let status = wait_until("the end of what was followed", PATIENCE, || {
        let status = child.try_wait().expect("it is our child");
        status.ok_or_else(|| "`logs -f` runs".to_owned())
    });
    assert_eq!(status.code(), Some(0), "{}", output.stderr());
    assert_eq!(fleet.wait_for_end().code(), Some(0));
    fleet.assert_nothing_left();
}

#[test]
fn following_ends_when_nobody_reads_any_more() {
    let fleet = talkative();
    for command in ["logs", "events"] {
        let mut follower = fleet
            .supervisor(&[command, "-f"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the supervisor starts");
        let stdout = follower.stdout.take().expect("it was piped");
        let mut line = String::new();
        // The reader goes with this statement, and no other line comes.
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        wait_until(&format!("the end of {command} -f"), PATIENCE, || {
            let ended = follower.try_wait().expect("it is our child");
            ended.map(drop).ok_or_else(|| "it follows".to_owned())
        });
    }
    fleet.stop();
}

#[test]
fn with_json_every_line_on_the_console_is_an_object() {
    let mut fleet = Sandbox::new()
        .set("NODE_COUNT", 2)
        .set("LOG_FORMAT", "json")
        .start();
    fleet.wait_for_nodes(2);
    let said = fleet.stop().stdout;
    let objects: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for node in ["flux-node-1", "flux-node-2"] {
        let told = |field: &str| {
            let of_node = objects.iter().filter(|object| object["node"] == node);
            of_node.filter(|object| object[field].is_string()).count()
        };
        assert!(told("event") > 0 && told("line") > 0, "{node} in {said}");
    }
    assert!(
        objects.iter().all(|object| object["time"].is_string()),
        "{said}"
    );
}

#[test]
fn our_node_says_who_it_is_when_it_starts() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 1).start();
    let node = fleet.wait_for_nodes(1).remove(0);
    wait_for_lines(&fleet, &node.id, &node.uuid);
    let process = fleet.process_of(&node.id);
    process.signal(Signal::SIGKILL);
    wait_until("the second start in the log", PATIENCE, || {
        let lines = wait_for_lines(&fleet, &node.id, &node.uuid);
        if lines.len() >= 2 {
            Ok(())
        } else {
            Err(lines.join("\n"))
        }
    });
    fleet.stop();
}
