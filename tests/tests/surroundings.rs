//! A fleet where a machine grants as little as it can.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use repram_tests::{
    Answer, Binaries, Cgroup, Container, Fleet, PATIENCE, Sandbox, ask, ask_in, skip, wait_until,
};

/// A user who owns nothing.
const NOBODY: u32 = 65_534;

/// The smallest container that a fleet is meant for: bytes of memory, and processors.
const SMALL: (u64, u64) = (64 << 20, 1);

/// Asks a port: method, port, path, body.
type Ask<'a> = &'a dyn Fn(&str, u16, &str, &[u8]) -> Result<Answer, String>;

/// Three nodes find each other, take a value and give it back, write their logs, and stop
/// cleanly.
#[track_caller]
fn check_that_it_works(mut fleet: Fleet, ask: Ask<'_>) {
    let ports = [0, 1, 2].map(|slot| fleet.http_port(slot));
    wait_until("three nodes that know each other", PATIENCE, || {
        for port in ports {
            let health = ask("GET", port, "/health", b"")?;
            if health.status != 200 || health.json()["active_peers"] != 2 {
                let output = fleet.output();
                return Err(format!(
                    "{port}: {}\n{}{}",
                    health.text(),
                    output.stdout(),
                    output.stderr()
                ));
            }
        }
        Ok(())
    });
    let answer = ask("PUT", ports[0], "/data/greeting?ttl=600", b"hello");
    assert_eq!(answer.map(|answer| answer.status), Ok(201));
    let answer = ask("GET", ports[2], "/data/greeting", b"");
    assert_eq!(answer.map(|answer| answer.text()), Ok("hello".to_owned()));
    for node in ["flux-node-1", "flux-node-2", "flux-node-3"] {
        wait_until("a line in the log", PATIENCE, || {
            match fs::read_to_string(fleet.log_file(node)) {
                Ok(log) if log.contains(&format!("{node} starts")) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
    if nix::unistd::geteuid().is_root() {
        // Also where the control socket is no file. Its name holds the user, who is another
        // one inside than outside where this test had to become root first.
        let health = fleet.finish(&["health"]);
        assert_eq!(health.code(), Some(0), "{}", health.said());
    }
    fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(Signal::SIGTERM));
}

/// Both programs where everybody reaches them, and the sandbox as this user's.
fn hand_over(sandbox: &Sandbox, user: u32) -> PathBuf {
    let built = Binaries::built();
    fs::create_dir(sandbox.path("bin")).expect("the directory is ours");
    for program in [&built.supervisor, &built.node] {
        let place = sandbox
            .path("bin")
            .join(program.file_name().expect("it is a file"));
        // On another file system it cannot be linked.
        if fs::hard_link(program, &place).is_err() {
            fs::copy(program, &place).expect("there is room for it");
        }
    }
    let own = |path: &Path| chown(path, Some(user), Some(user)).expect("root may");
    own(&sandbox.path(""));
    for entry in fs::read_dir(sandbox.path("")).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if !path.ends_with("bin") {
            own(&path);
        }
    }
    sandbox.path("bin/supervisor")
}

#[test]
fn as_an_unprivileged_user() {
    let sandbox = Sandbox::new();
    if !nix::unistd::geteuid().is_root() {
        return check_that_it_works(sandbox.start(), &ask);
    }
    let supervisor = hand_over(&sandbox, NOBODY);
    let user = NOBODY.to_string();
    let mut command = sandbox.program("setpriv".as_ref());
    command
        .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
        .args(["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"])
        .arg(supervisor)
        .arg("run");
    let fleet = sandbox.start_as(command);
    check_that_it_works(fleet, &ask);
}

#[test]
fn as_a_user_whom_no_passwd_knows_and_whose_home_is_not_there() {
    if !nix::unistd::geteuid().is_root() {
        let test = "as_a_user_whom_no_passwd_knows_and_whose_home_is_not_there";
        return skip(test, "only root may be somebody else");
    }
    let sandbox = Sandbox::new()
        .unset("REPRAM_CLUSTER_SECRET_FILE")
        .set("HOME", "/no/such/home");
    let user = 54_321;
    let supervisor = hand_over(&sandbox, user);
    let user = user.to_string();
    let mut command = sandbox.program("setpriv".as_ref());
    command
        .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
        .arg(supervisor)
        .arg("run");
    let fleet = sandbox.start_as(command);
    check_that_it_works(fleet, &ask);
}

#[test]
fn where_nothing_but_log_dir_can_be_written() {
    let test = "where_nothing_but_log_dir_can_be_written";
    if !nix::unistd::geteuid().is_root() {
        return skip(test, "only root may mount anew what is mounted already");
    }
    let Some(container) = Container::with_mounts(test) else {
        return;
    };
    // Not even a secret is given.
    let sandbox = Sandbox::new().unset("REPRAM_CLUSTER_SECRET_FILE");
    let script = sandbox.write("readonly.sh", include_str!("../programs/readonly.sh"));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut command = container.program(&sandbox, &script);
    command
        .arg(sandbox.path("logs"))
        .arg(&Binaries::built().supervisor)
        .arg("run");
    let fleet = sandbox.start_as(command);
    check_that_it_works(fleet, &ask);
}

/// A fleet in a network of its own, which a script has prepared.
fn check_network(test: &str, script: &str) {
    if !nix::unistd::geteuid().is_root() {
        return skip(test, "only root may enter a network namespace from outside");
    }
    let Some(container) = Container::with_mounts_and_network(test) else {
        return;
    };
    let sandbox = Sandbox::new();
    let mut command = container.program(&sandbox, "sh".as_ref());
    command.args(["-c", &format!("{script} && exec \"$1\" run"), "sh"]);
    command.arg(&Binaries::built().supervisor);
    let fleet = sandbox.start_as(command);
    let pid = fleet.supervisor_process().pid;
    let namespace = PathBuf::from(format!("/proc/{pid}/ns/net"));
    check_that_it_works(fleet, &|method, port, path, body| {
        let place = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        ask_in(&namespace, place, method, path, body)
    });
}

#[test]
fn where_ipv6_is_switched_off() {
    let script = "for one in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $one; done; \
                  ip link set lo up";
    for bind in ["127.0.0.1", "::"] {
        let script = format!("{script} && export BIND_ADDRESS={bind}");
        check_network("where_ipv6_is_switched_off", &script);
    }
}

#[test]
fn where_nobody_has_the_loopback_address_of_ipv6() {
    let script = "ip link set lo up; ip -6 address flush dev lo";
    for bind in ["127.0.0.1", "::"] {
        let script = format!("{script}; export BIND_ADDRESS={bind}");
        check_network("where_nobody_has_the_loopback_address_of_ipv6", &script);
    }
}

#[test]
fn in_a_small_container() {
    let (memory, processors) = SMALL;
    let Some(cgroup) = Cgroup::with(memory, processors, "in_a_small_container") else {
        return;
    };
    let sandbox = Sandbox::new();
    let mut command = cgroup.program(&sandbox, &Binaries::built().supervisor);
    command.arg("run");
    let fleet = sandbox.start_as(command);
    check_that_it_works(fleet, &|method, port, path, body| {
        assert_eq!(cgroup.killed(), 0, "there is memory enough");
        ask(method, port, path, body)
    });
    assert_eq!(cgroup.killed(), 0, "there was memory enough");
}
