//! Disks that are full, and files that somebody else removes, renames, empties or puts in the
//! way: what is written afterwards is there, and a line says what is not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use repram_tests::{
    Container, Fleet, Ledger, Order, PATIENCE, Process, Sandbox, Scribe, wait_until,
};

/// A few lines.
const FEW: Order<'_> = Order::Lines {
    count: 100,
    size: 100,
};

/// Starts two scribes.
#[track_caller]
fn start(sandbox: Sandbox) -> (Fleet, Scribe, Scribe) {
    let fleet = sandbox.set("NODE_COUNT", 2).start();
    fleet.wait_for_status("two ready nodes", |status| status["ready"] == 2);
    let [one, two] = ["flux-node-1", "flux-node-2"].map(Scribe::new);
    (fleet, one, two)
}

#[track_caller]
fn end(fleet: &mut Fleet) {
    fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(Signal::SIGTERM));
}

/// Waits until the console shows an event of a node that contains `words`.
#[track_caller]
fn wait_for_event(fleet: &Fleet, words: &str) {
    wait_until(&format!("an event: {words}"), PATIENCE, || {
        let said = fleet.output().stdout();
        match said.contains(words) {
            true => Ok(()),
            false => Err(said),
        }
    });
}

/// Lets a node write a few lines at a time until one of them is in its file, which is tried
/// about once per second; gives what it has written.
#[track_caller]
fn write_until_kept(fleet: &Fleet, scribe: &Scribe) -> (u64, u64, u64) {
    let kept_now = |written| scribe.books(fleet, written).0;
    let before = kept_now(scribe.written(fleet));
    let (written, kept) = wait_until("a line that is kept", PATIENCE, || {
        let written = scribe.write(
            fleet,
            Order::Lines {
                count: 1,
                size: 100,
            },
        );
        match kept_now(written) {
            kept if kept > before => Ok((written, kept)),
            kept => Err(format!("{kept} of {written}")),
        }
    });
    (written, kept, written - kept)
}

#[test]
fn a_full_disk_costs_what_a_line_tells_and_nothing_when_it_has_room_again() {
    const TEST: &str = "a_full_disk_costs_what_a_line_tells_and_nothing_when_it_has_room_again";
    let Some(container) = Container::with_mounts(TEST) else {
        return;
    };
    let sandbox = Scribe::sandbox().set("NODE_COUNT", 2);
    let mut command = container.program(&sandbox, Path::new("sh"));
    let script = "mount -t tmpfs -o size=8m,mode=700 tmpfs \"$LOG_DIR\" && exec \"$0\" run";
    command.arg("-c").arg(script).arg(supervisor(&sandbox));
    let mut fleet = sandbox.start_as(command);
    fleet.wait_for_status("two ready nodes", |status| status["ready"] == 2);
    let [scribe, other] = ["flux-node-1", "flux-node-2"].map(Scribe::new);
    // The directory as the supervisor sees it.
    let process = fleet.supervisor_process();
    let root = PathBuf::from(format!("/proc/{}/root", process.pid));
    let logs = root.join(
        fleet
            .path("logs")
            .strip_prefix("/")
            .expect("it is absolute"),
    );
    if let Err(error) = fs::read_dir(&logs) {
        repram_tests::skip(TEST, &format!("{} cannot be seen: {error}", logs.display()));
        return;
    }
    let kept = scribe.write(&fleet, FEW);
    assert_eq!(scribe.books(&fleet, kept), (kept, 0));
    let others = other.write(&fleet, FEW);
    assert_eq!(other.books(&fleet, others), (others, 0));

    let filler = logs.join("filler");
    fill(&filler);
    // More than the file's last page has room for.
    let written = scribe.write(
        &fleet,
        Order::Lines {
            count: 1000,
            size: 100,
        },
    );
    let (kept, dropped) = scribe.books(&fleet, written);
    assert!(dropped > 0 && kept < written, "{kept} of {written}");
    wait_for_event(&fleet, "cannot be written: No space left on device");
    let status = fleet.wait_for_status("a status", |_| true);
    assert_eq!(status["ready"], 2, "the nodes do not mind: {status}");

    fs::remove_file(&filler).expect("it is ours");
    let (written, kept, lost) = write_until_kept(&fleet, &scribe);
    wait_for_event(&fleet, "log lines dropped on the way to the file");
    for (scribe, written, kept, lost) in
        [(&scribe, written, kept, lost), (&other, others, others, 0)]
    {
        let ledger = Ledger::of_files(&logs, scribe.node(), written);
        ledger.assert_balanced();
        assert_eq!((ledger.kept, ledger.dropped), (kept, lost));
    }
    end(&mut fleet);
}

/// The program of a sandbox's supervisor.
fn supervisor(sandbox: &Sandbox) -> PathBuf {
    let command: Command = sandbox.supervisor(&[]);
    command.get_program().into()
}

/// Writes a file until the disk takes no more.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("there is room for a file");
    let mut zeros = std::io::repeat(0);
    let full = std::io::copy(&mut zeros, &mut file).expect_err("the disk has an end");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
}

#[test]
fn a_file_that_is_removed_is_begun_anew_at_once() {
    let (mut fleet, scribe, _) = start(Scribe::sandbox());
    let removed = scribe.write(&fleet, FEW);
    scribe.books(&fleet, removed);
    fs::remove_file(fleet.log_file(scribe.node())).expect("it is there");
    let written = scribe.write(&fleet, FEW);
    assert_eq!(scribe.books(&fleet, written), (written, 0));
    wait_for_event(&fleet, "was removed, with what was in it; it is begun anew");
    let logs = fleet.path("logs");
    end(&mut fleet);
    let ledger = Ledger::of_files(&logs, scribe.node(), written);
    ledger.assert_balanced();
    assert_eq!((ledger.first, ledger.kept), (removed, written - removed));
}

#[test]
fn a_directory_that_is_removed_is_made_again() {
    let (mut fleet, scribe, other) = start(Scribe::sandbox());
    let removed = [&scribe, &other].map(|scribe| {
        let removed = scribe.write(&fleet, FEW);
        scribe.books(&fleet, removed);
        removed
    });
    let logs = fleet.path("logs");
    fs::remove_dir_all(&logs).expect("it is ours");
    let written = [&scribe, &other].map(|scribe| {
        let written = scribe.write(&fleet, FEW);
        assert_eq!(scribe.books(&fleet, written), (written, 0));
        written
    });
    end(&mut fleet);
    for (at, scribe) in [&scribe, &other].into_iter().enumerate() {
        let ledger = Ledger::of_files(&logs, scribe.node(), written[at]);
        ledger.assert_balanced();
        assert_eq!((ledger.first, ledger.dropped), (removed[at], 0));
    }
}

#[test]
fn a_file_that_is_renamed_keeps_what_it_has_and_another_is_begun() {
    let (mut fleet, scribe, _) = start(Scribe::sandbox());
    let path = fleet.log_file(scribe.node());
    let written = scribe.write(&fleet, FEW);
    scribe.books(&fleet, written);
    // As logrotate does it, with a name that ours sort last.
    fs::rename(&path, path.with_extension("log.9")).expect("it is there");
    fleet.supervisor_process().signal(Signal::SIGUSR1);
    wait_until("another file", PATIENCE, || {
        let written = scribe.write(&fleet, FEW);
        assert_eq!(scribe.books(&fleet, written), (written, 0));
        fs::metadata(&path).map_err(|error| error.to_string())
    });
    // Also without the signal, though what comes next still goes to the old one.
    fs::rename(&path, path.with_extension("log.8")).expect("it was begun");
    for _ in 0..2 {
        let written = scribe.write(&fleet, FEW);
        assert_eq!(scribe.books(&fleet, written), (written, 0));
    }
    let written = scribe.written(&fleet);
    let logs = fleet.path("logs");
    end(&mut fleet);
    let ledger = Ledger::of_files(&logs, scribe.node(), written);
    ledger.assert_balanced();
    assert_eq!((ledger.files, ledger.kept, ledger.first), (3, written, 0));
}

#[test]
fn a_file_that_is_emptied_goes_on_from_its_beginning() {
    let (mut fleet, scribe, _) = start(Scribe::sandbox());
    let path = fleet.log_file(scribe.node());
    let copied = scribe.write(&fleet, FEW);
    scribe.books(&fleet, copied);
    // As logrotate's copytruncate does it.
    fs::copy(&path, path.with_extension("log.1")).expect("it is there");
    let file = File::options().write(true).open(&path);
    file.and_then(|file| file.set_len(0)).expect("it is ours");
    let written = scribe.write(&fleet, FEW);
    assert_eq!(scribe.books(&fleet, written), (written, 0));
    let logs = fleet.path("logs");
    end(&mut fleet);
    let ledger = Ledger::of_files(&logs, scribe.node(), written);
    ledger.assert_balanced();
    assert_eq!((ledger.files, ledger.kept), (2, written));
}

#[test]
fn what_stands_in_the_way_is_named_and_costs_its_node_only() {
    let sandbox = Scribe::sandbox();
    let path = sandbox.log_file("flux-node-1");
    let check = |fleet: &Fleet, scribe: &Scribe, reason: &str| {
        let written = scribe.write(fleet, FEW);
        let (_, dropped) = scribe.books(fleet, written);
        assert!(dropped >= 100, "{dropped} of {written}");
        let path = path.display();
        wait_for_event(fleet, &format!("{path} cannot be written: {reason}"));
    };
    let elsewhere = sandbox.write("elsewhere", "precious");
    std::os::unix::fs::symlink(&elsewhere, &path).expect("the directory is ours");
    let (mut fleet, scribe, other) = start(sandbox);
    check(&fleet, &scribe, "it is a symbolic link; remove it");
    fs::remove_file(&path).expect("it is there");
    let (written, kept, lost) = write_until_kept(&fleet, &scribe);
    assert_eq!(
        fs::read_to_string(elsewhere).ok().as_deref(),
        Some("precious")
    );
    let others = other.write(&fleet, FEW);
    assert_eq!(other.books(&fleet, others), (others, 0));
    let logs = fleet.path("logs");
    end(&mut fleet);
    let ledger = Ledger::of_files(&logs, scribe.node(), written);
    ledger.assert_balanced();
    assert_eq!((ledger.kept, ledger.dropped), (kept, lost));
}

#[test]
fn a_pipe_or_a_directory_with_the_name_of_a_file_blocks_nobody() {
    let sandbox = Scribe::sandbox();
    let [pipe, directory] = ["flux-node-1", "flux-node-2"].map(|node| sandbox.log_file(node));
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("the directory is ours");
    fs::create_dir(&directory).expect("the directory is ours");
    let (mut fleet, one, two) = start(sandbox);
    for scribe in [&one, &two] {
        let written = scribe.write(&fleet, FEW);
        assert_eq!(scribe.books(&fleet, written), (0, written));
    }
    wait_for_event(&fleet, "it is no regular file; remove it");
    wait_for_event(&fleet, "Is a directory");
    let supervisor: Process = fleet.supervisor_process();
    assert!(supervisor.alive());
    end(&mut fleet);
}
