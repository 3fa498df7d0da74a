//! `supervisor exec`: any one command, with the duties of an init.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use repram_tests::{Container, Finished, PATIENCE, Process, Sandbox, skip, wait_until};

/// Orphans of a storm.
const STORM: u32 = 10_000;

/// What they may cost an init, in KiB: far less than a kilobyte each.
const STORM_KIB: u64 = 4_096;

/// Runs a shell's script under `exec` to its end.
#[track_caller]
fn script(sandbox: &Sandbox, script: &str) -> Finished {
    sandbox.finish(&["exec", "--", "sh", "-c", script])
}

/// Waits until a file of the sandbox is there.
#[track_caller]
fn wait_for_file(sandbox: &Sandbox, name: &str) {
    wait_until(&format!("a file {name}"), PATIENCE, || {
        match sandbox.path(name).exists() {
            true => Ok(()),
            false => Err("it is not there".to_owned()),
        }
    });
}

#[test]
fn the_exit_code_is_the_commands() {
    let sandbox = Sandbox::new();
    let check = |arguments: &[&str], code: i32, said: &str| {
        let arguments = [&["exec"], arguments].concat();
        let finished = sandbox.finish(&arguments);
        assert_eq!(finished.code(), Some(code), "{arguments:?}");
        assert!(finished.said().contains(said), "{}", finished.said());
    };
    check(&["--", "true"], 0, "");
    check(&["--", "sh", "-c", "exit 7"], 7, "");
    check(&["--", "sh", "-c", "kill -9 $$"], 137, "");
    check(&["sh", "-c", "kill -TERM $$"], 143, "");
    check(&["--", "no-such-program"], 127, "no-such-program");
    check(&["--", "/no/such/program"], 127, "/no/such/program");
    check(&["--", "/dev/null"], 126, "Permission denied");
    check(&[], 64, "COMMAND");
    check(&["--no-such-flag", "--", "true"], 64, "no-such-flag");
    check(&["--stop-timeout", "soon", "--", "true"], 78, "soon");
    sandbox.assert_nothing_left();
}

#[test]
fn settings_of_the_fleet_do_not_matter() {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", "many")
        .set("STATE_DIR", "/no/such/place")
        .set("LOG_DIR", "/no/such/place");
    let finished = script(&sandbox, "echo $NODE_COUNT");
    assert_eq!(finished.code(), Some(0), "{}", finished.said());
    assert_eq!(finished.said(), "many\n");
}

#[test]
fn the_command_finds_what_it_would_find_without_us() {
    // The signals of a process, in hexadecimal digits, and its standard input.
    let look = "grep -E '^Sig(Blk|Ign)' /proc/self/status; cat; readlink /proc/$$/fd/7";
    let whole = |prefix: &[&str]| {
        let sandbox = Sandbox::new();
        // Ignored as by nohup(1) and systemd, and one that is blocked.
        let before = "import os, signal, sys\n\
            for one in (signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):\n    \
            signal.signal(one, signal.SIG_IGN)\n\
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])\n\
            os.dup2(os.open('/dev/zero', os.O_RDONLY), 7)\n\
            os.execvp(sys.argv[1], sys.argv[1:])";
        let mut command = sandbox.program("python3".as_ref());
        command
            .args(["-c", before])
            .args(prefix)
            .args(["sh", "-c", look]);
        fs::write(sandbox.path("input"), "read from standard input\n").expect("ours");
        command.stdin(fs::File::open(sandbox.path("input")).expect("ours"));
        let output = command.output().expect("python3 starts");
        String::from_utf8(output.stdout).expect("text")
    };
    let supervisor = &repram_tests::Binaries::built().supervisor;
    let supervisor = supervisor.to_str().expect("cargo builds into text");
    let without = whole(&[]);
    assert!(without.contains("/dev/zero"), "{without}");
    assert_eq!(whole(&[supervisor, "exec", "--"]), without);
}

#[test]
fn variables_that_name_the_process_name_the_command() {
    let sandbox = Sandbox::new();
    let supervisor = &repram_tests::Binaries::built().supervisor;
    let mut command = sandbox.program("sh".as_ref());
    let script = "LISTEN_PID=$$ WATCHDOG_PID=1 exec \"$0\" exec -- sh -c \
                  'test $LISTEN_PID = $$ && test $WATCHDOG_PID = 1'";
    command.args(["-c", script]).arg(supervisor);
    let (mut child, output) = sandbox.spawn(&mut command, "exec");
    let finished = sandbox.wait_for_end(&mut child, &output);
    assert_eq!(finished.code(), Some(0), "{}", finished.said());
}

#[test]
fn every_signal_that_can_be_caught_reaches_the_group() {
    let sandbox = Sandbox::new();
    // Those that stop are another thing; the last one has no name.
    let numbers = "1 2 3 4 5 6 7 8 10 11 12 13 14 15 16 18 23 24 25 26 27 28 29 30 31 34 64";
    let program = format!(
        "import os, pathlib, signal\n\
         for number in map(int, '{numbers}'.split()):\n    \
         signal.signal(number, lambda number, _: open('got', 'a').write(f'{{number}}\\n'))\n\
         pathlib.Path('ready').touch()\n\
         while True:\n    signal.pause()\n"
    );
    let mut command = sandbox.supervisor(&["exec", "--", "python3", "-c", &program]);
    let (mut child, output) = sandbox.spawn(&mut command, "exec");
    wait_for_file(&sandbox, "ready");
    for number in numbers.split(' ') {
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-s", number, &pid]).status();
        assert!(sent.expect("kill can be started").success());
        wait_until(&format!("signal {number} forwarded"), PATIENCE, || {
            let got = fs::read_to_string(sandbox.path("got")).unwrap_or_default();
            match got.lines().next_back() == Some(number) {
                true => Ok(()),
                false => Err(got),
            }
        });
    }
    child.kill().expect("it is our child");
    sandbox.wait_for_end(&mut child, &output);
}

#[test]
fn what_the_command_leaves_behind_is_asked_and_then_killed() {
    let sandbox = Sandbox::new().set("STOP_TIMEOUT", "2s");
    // One in its group, one that left it and cleans up, one that left it and will not go.
    let leaves = "sleep 1000 & \
        setsid sh -c 'trap \"touch cleaned; exit\" TERM; touch one; while :; do sleep 0.1; done' & \
        setsid sh -c 'trap \"\" TERM; touch two; while :; do sleep 0.1; done' & \
        until test -e one -a -e two; do sleep 0.01; done; exit 9";
    let finished = script(&sandbox, leaves);
    assert_eq!(finished.code(), Some(9), "{}", finished.said());
    assert!(sandbox.path("cleaned").exists());
    sandbox.assert_nothing_left();
}

#[test]
fn who_is_in_a_hurry_does_not_wait_for_the_rest() {
    let sandbox = Sandbox::new().set("STOP_TIMEOUT", "1h");
    let leaves = "setsid sh -c 'trap \"\" TERM; touch stays; while :; do sleep 0.1; done' & \
        until test -e stays; do sleep 0.01; done";
    let mut command = sandbox.supervisor(&["exec", "--", "sh", "-c", leaves]);
    let (mut child, output) = sandbox.spawn(&mut command, "exec");
    wait_for_file(&sandbox, "stays");
    let supervisor = Process {
        pid: child.id().cast_signed(),
    };
    // Before the script's end the signal is forwarded, and ends the script.
    let finished = wait_until("the end of all", PATIENCE, || {
        supervisor.signal(Signal::SIGTERM);
        match child.try_wait().expect("it is our child") {
            Some(status) => Ok(status),
            None => Err("it waits".to_owned()),
        }
    });
    assert!(
        [Some(0), Some(143)].contains(&finished.code()),
        "{output:?}"
    );
    sandbox.assert_nothing_left();
}

#[test]
fn processes_that_were_there_before_are_left_alone() {
    let sandbox = Sandbox::new();
    let supervisor = &repram_tests::Binaries::built().supervisor;
    let mut command = sandbox.program("sh".as_ref());
    command
        .args([
            "-c",
            "sleep 1000 & echo $! > before; exec \"$0\" exec -- true",
        ])
        .arg(supervisor);
    let (mut child, output) = sandbox.spawn(&mut command, "exec");
    assert_eq!(sandbox.wait_for_end(&mut child, &output).code(), Some(0));
    let before = fs::read_to_string(sandbox.path("before")).expect("it was written");
    let pid = before.trim().parse().expect("a pid");
    assert!(Process { pid }.alive());
    Process { pid }.signal(Signal::SIGKILL);
}

#[test]
fn the_command_dies_with_its_init() {
    let sandbox = Sandbox::new();
    let waits = "touch ready; exec sleep 1000";
    let mut command = sandbox.supervisor(&["exec", "--", "sh", "-c", waits]);
    let (mut child, output) = sandbox.spawn(&mut command, "exec");
    wait_for_file(&sandbox, "ready");
    child.kill().expect("it is our child");
    sandbox.wait_for_end(&mut child, &output);
    wait_until("the end of the command", PATIENCE, || {
        match sandbox.processes() {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?} run")),
        }
    });
}

#[test]
fn a_shell_with_job_control_sees_what_it_would_see_without_us() {
    let sandbox = Sandbox::new();
    let program = sandbox.write("terminal.py", include_str!("../programs/terminal.py"));
    let job = "trap 'echo says interrupted; exit 5' INT; echo says ready; read line; \
               echo says got $line; while :; do sleep 0.1; done";
    let supervisor = &repram_tests::Binaries::built().supervisor;
    let seen = |prefix: &[&std::ffi::OsStr]| {
        let mut command = sandbox.program("python3".as_ref());
        command.arg(&program).args(prefix).args(["sh", "-c", job]);
        let (mut child, output) = sandbox.spawn(&mut command, "terminal");
        let finished = sandbox.wait_for_end(&mut child, &output);
        assert_eq!(finished.code(), Some(0), "{}", finished.said());
        finished.stdout
    };
    let expect = "says ready\nstopped by 20, foreground is the job's\nsays got hello\n";
    let without = seen(&[]);
    assert!(without.starts_with(expect), "{without}");
    let with = seen(&[supervisor.as_ref(), "exec".as_ref(), "--".as_ref()]);
    // What is written at the very end may come in either order.
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[3..].sort();
        lines
    };
    assert_eq!(lines(&with), lines(&without));
}

#[test]
fn a_storm_of_orphans_under_process_1_leaves_no_zombie() {
    let test = "a_storm_of_orphans_under_process_1_leaves_no_zombie";
    let Some(container) = Container::with_process_1(test) else {
        return;
    };
    let sandbox = Sandbox::new();
    let program = sandbox.write("storm.py", include_str!("../programs/storm.py"));
    let supervisor = &repram_tests::Binaries::built().supervisor;
    let mut command = container.program(&sandbox, supervisor);
    let lasts = format!(
        "touch ready; python3 {} {STORM}; until test -e end; do sleep 0.01; done; exit 3",
        program.display()
    );
    command.args(["exec", "--", "sh", "-c", &lasts]);
    let (mut child, output) = sandbox.spawn(&mut command, "exec");
    let unshare = Process {
        pid: child.id().cast_signed(),
    };
    let init = wait_until("a process 1", PATIENCE, || Container::inside(unshare));
    wait_for_file(&sandbox, "ready");
    let before = init.memory_kib().expect("it lives");
    sandbox.write("storm.go", "");
    wait_for_file(&sandbox, "storm.over");
    wait_until("every orphan reaped", PATIENCE, || {
        let zombie = |process: &Process| process.parent() == Some(init.pid) && process.is_zombie();
        match Process::all().filter(zombie).count() {
            0 => Ok(()),
            zombies => Err(format!("{zombies} zombies")),
        }
    });
    let after = init.memory_kib().expect("it lives");
    assert!(after < before + STORM_KIB, "{before} KiB, then {after} KiB");
    sandbox.write("end", "");
    let finished = sandbox.wait_for_end(&mut child, &output);
    assert_eq!(finished.code(), Some(3), "{}", finished.said());
}

#[test]
fn process_1_forwards_the_signal_that_stops_a_container() {
    let test = "process_1_forwards_the_signal_that_stops_a_container";
    let Some(container) = Container::with_process_1(test) else {
        return;
    };
    let sandbox = Sandbox::new();
    let supervisor = &repram_tests::Binaries::built().supervisor;
    let mut command = container.program(&sandbox, supervisor);
    let script = "trap 'exit 42' TERM; touch ready; while :; do sleep 0.1; done";
    command.args(["exec", "--", "sh", "-c", script]);
    let (mut child, output) = sandbox.spawn(&mut command, "exec");
    wait_for_file(&sandbox, "ready");
    let unshare = Process {
        pid: child.id().cast_signed(),
    };
    let init = Container::inside(unshare).expect("it runs");
    init.signal(Signal::SIGTERM);
    let finished = sandbox.wait_for_end(&mut child, &output);
    assert_eq!(finished.code(), Some(42), "{}", finished.said());
}

#[test]
fn it_is_light() {
    let sandbox = Sandbox::new();
    let waits = "touch ready; exec sleep 1000";
    let mut command = sandbox.supervisor(&["exec", "--", "sh", "-c", waits]);
    command.stdin(Stdio::null());
    let (mut child, output) = sandbox.spawn(&mut command, "exec");
    wait_for_file(&sandbox, "ready");
    let tasks = format!("/proc/{}/task", child.id());
    let threads = fs::read_dir(tasks).map(Iterator::count);
    if let Err(error) = &threads {
        skip(
            "it_is_light",
            &format!("threads cannot be counted: {error}"),
        );
    }
    assert_eq!(threads.unwrap_or(1), 1, "one thread and no runtime");
    child.kill().expect("it is our child");
    sandbox.wait_for_end(&mut child, &output);
}
