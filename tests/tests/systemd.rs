//! systemd's own programs, unmodified, agree with us about sd_notify(3) and
//! sd_listen_fds(3).

use std::process::{Command, Stdio};

use repram_tests::{Binaries, Node, PATIENCE, Sandbox, get, put, skip, wait_until};

/// Whether a program is there; a line on stderr says that `test` proves nothing else.
fn is_there(program: &str, test: &str) -> bool {
    let version = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    let there = version.is_ok_and(|output| output.status.success());
    if !there {
        skip(test, &format!("no {program} here (Debian: systemd)"));
    }
    there
}

#[test]
fn systemd_notify_speaks_for_a_script() {
    if !is_there("systemd-notify", "systemd_notify_speaks_for_a_script") {
        return;
    }
    // Two messages, each by a process of its own, which waits until the supervisor has
    // taken it (BARRIER=1) and is gone before anybody could ask whose child it was.
    let script = "systemd-notify --status=\"warming up $PORT\"; touch \"$REPRAM_NODE_ID.warm\"; \
                  until test -e go; do sleep 0.01; done; \
                  systemd-notify --ready --status=\"serving on $PORT\"; exec sleep 1000";
    let sandbox = Sandbox::new().set("NODE_COUNT", 2);
    let program = sandbox.write("node.sh", script);
    let fleet = sandbox
        .set("NODE_COMMAND", format!("sh {}", program.display()))
        .start();
    let says = |said: &str, state: &str, number: usize, status: &serde_json::Value| {
        let node = &status["nodes"][number];
        let message = format!("{said} {}", node["http_port"]);
        node["state"] == state && node["message"] == message.as_str()
    };
    fleet.wait_for_status("two nodes that warm up", |status| {
        (0..2).all(|number| says("warming up", "starting", number, status))
    });
    fleet.write("go", "");
    fleet.wait_for_status("two nodes that serve", |status| {
        (0..2).all(|number| says("serving on", "ready", number, status))
    });
    fleet.stop();
}

#[test]
fn systemd_notify_can_stop_being_ready() {
    if !is_there("systemd-notify", "systemd_notify_can_stop_being_ready") {
        return;
    }
    let script = "systemd-notify --ready; until test -e go; do sleep 0.01; done; \
                  systemd-notify STOPPING=1; exec sleep 1000";
    let sandbox = Sandbox::new().set("NODE_COUNT", 1);
    let program = sandbox.write("node.sh", script);
    let fleet = sandbox
        .set("NODE_COMMAND", format!("sh {}", program.display()))
        .start();
    let is = |state: &'static str| {
        move |status: &serde_json::Value| status["nodes"][0]["state"] == state
    };
    fleet.wait_for_status("a ready node", is("ready"));
    fleet.write("go", "");
    fleet.wait_for_status("a node that is no more ready", is("unready"));
    fleet.stop();
}

#[test]
fn systemd_socket_activate_starts_a_node() {
    let program = "systemd-socket-activate";
    if !is_there(program, "systemd_socket_activate_starts_a_node") {
        return;
    }
    let sandbox = Sandbox::new();
    let http = sandbox.http_port(0);
    let gossip = http + sandbox.ports().gossip_offset();
    let mut command = sandbox.program(program.as_ref());
    // It passes the environment on only where it is told to.
    let state = format!("STATE_DIR={}", sandbox.path("state").display());
    let mark = command
        .get_envs()
        .find(|(name, _)| *name == "FLEET_TEST_MARK");
    let mark = mark.and_then(|(_, value)| value).expect("it is marked");
    let mark = format!("FLEET_TEST_MARK={}", mark.display());
    command
        .args(["-l", &format!("127.0.0.1:{http}")])
        .args(["-l", &format!("127.0.0.1:{gossip}")])
        .args(["--fdname=http:gossip", "-E", &state, "-E", &mark])
        .arg(&Binaries::built().node);
    let (mut child, output) = sandbox.spawn(&mut command, "activated");
    let node = wait_until("an activated node", PATIENCE, || Node::at(http));
    let written = put(http, "/data/greeting?ttl=600", b"hello").expect("it answers");
    assert_eq!(written.status, 201, "{}", written.text());
    let read = get(http, "/data/greeting").expect("it answers");
    assert_eq!(read.text(), "hello");
    assert_eq!(node.generation, 1);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().cast_signed()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .expect("it is our child");
    let finished = sandbox.wait_for_end(&mut child, &output);
    assert_eq!(finished.code(), Some(0), "{}", finished.said());
    sandbox.assert_nothing_left();
}
