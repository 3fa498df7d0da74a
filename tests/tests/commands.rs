//! Programs that are not ours as nodes.

use nix::sys::signal::Signal;
use repram_tests::{Fleet, PATIENCE, Sandbox, get, wait_until};
use serde_json::{Value, json};

/// Waits until the supervisor counts every node as ready; gives what it says of them.
#[track_caller]
fn wait_until_ready(fleet: &Fleet) -> Vec<Value> {
    wait_until("all nodes ready", PATIENCE, || {
        let status = fleet.finish(&["status", "--json"]);
        if status.code() != Some(0) {
            return Err(status.said());
        }
        let status = status.json();
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let ready = |node: &Value| node["state"] == "ready";
        if !nodes.is_empty() && nodes.iter().all(ready) {
            Ok(nodes)
        } else {
            Err(status.to_string())
        }
    })
}

#[test]
fn a_web_server_that_binds_its_port_itself() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 3)
        .set("NODE_SOCKETS", "off")
        .set(
            "NODE_COMMAND",
            "python3 -m http.server --bind 127.0.0.1 $PORT",
        )
        .start();
    wait_until_ready(&fleet);
    for slot in 0..3 {
        let answer = get(fleet.http_port(slot), "/").expect("a ready node answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let process = fleet.process_of("flux-node-2");
    let command = process.command_line().join(" ");
    assert!(
        command.contains("http.server"),
        "no shell stands between: {command}"
    );
    process.signal(Signal::SIGKILL);
    wait_until("a successor", PATIENCE, || {
        match fleet.find_process("flux-node-2") {
            Some(found) if found != process => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });
    let nodes = wait_until_ready(&fleet);
    assert_eq!(nodes[1]["restarts"], 1, "{}", nodes[1]);
    assert_eq!(nodes[1]["http_port"], fleet.http_port(1), "{}", nodes[1]);
    fleet.stop();
}

#[test]
fn a_program_that_is_handed_its_sockets() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 3);
    let program = sandbox.write("activated.py", include_str!("../programs/activated.py"));
    let fleet = sandbox
        .set("NODE_COMMAND", format!("python3 {}", program.display()))
        .start();
    let nodes = wait_until_ready(&fleet);
    for (slot, node) in (0..).zip(&nodes) {
        let http = fleet.http_port(slot);
        let gossip = http + fleet.ports().gossip_offset();
        let answer = get(http, "/").expect("a ready node answers").json();
        let expected = json!({
            "is_for_me": true,
            "names": ["http", "gossip", "gossip-udp"],
            "ports": [http, gossip, gossip],
            "types": ["SOCK_STREAM", "SOCK_STREAM", "SOCK_DGRAM"],
        });
        assert_eq!(answer, expected);
        assert_eq!(node["message"], "handed its sockets", "{node}");
    }
    fleet.stop();
}

#[test]
fn a_node_is_told_who_it_is() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 2)
        .set("NODE_SOCKETS", "off")
        .set(
            "NODE_COMMAND",
            "python3 -m http.server --bind 127.0.0.1 $PORT",
        )
        .set("REPRAM_REPLICATION", 2)
        .set("SOMETHING_ELSE", "is passed on")
        .start();
    // Before it is, the shell may just be becoming the program: then there is no environment.
    wait_until_ready(&fleet);
    for number in 1..=2 {
        let process = fleet.process_of(&format!("flux-node-{number}"));
        let port = fleet.http_port(number - 1);
        let gossip = port + fleet.ports().gossip_offset();
        let check = |name: &str, expect: Option<String>| {
            assert_eq!(
                process.variable(name),
                expect,
                "{name} of flux-node-{number}"
            );
        };
        check("PORT", Some(port.to_string()));
        check("REPRAM_HTTP_PORT", Some(port.to_string()));
        check("REPRAM_GOSSIP_PORT", Some(gossip.to_string()));
        check("REPLICATION_FACTOR", Some("2".to_owned()));
        check("REPRAM_REPLICATION", None);
        check("NODE_ADDRESS", Some("localhost".to_owned()));
        check("SOMETHING_ELSE", Some("is passed on".to_owned()));
        check("LISTEN_FDS", None);
        assert_eq!(
            process.group(),
            Some(process.pid),
            "a process group of its own"
        );
        assert!(process.variable("REPRAM_NODE_UUID").is_some());
        assert!(process.variable("NOTIFY_SOCKET").is_some());
    }
    fleet.stop();
}
