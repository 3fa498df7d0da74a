//! Reaping, and finding what is left of a process that has ended.
//!
//! The supervisor is the subreaper of everything below it (as PID 1 it is anyway): a
//! process whose parent ended becomes its child, whether or not it left its node's
//! process group. So whatever outlives a node is found among our children, and a child
//! that ended is a zombie until it is reaped here.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use uuid::Uuid;

use crate::exit::ExitReason;

/// Makes this process the one that adopts the orphans below it.
///
/// # Errors
/// Where the kernel has no subreapers (before Linux 3.4).
pub fn become_subreaper() -> Result<(), Errno> {
    nix::sys::prctl::set_child_subreaper(true)
}

/// Reaps the next child that has ended, if there is one.
#[must_use]
pub fn reap_one() -> Option<(Pid, ExitReason)> {
    loop {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(status) => {
                let pid = status.pid()?;
                if let Some(reason) = ExitReason::from_wait(status) {
                    return Some((pid, reason));
                }
            }
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// Counts what is left of an ended node process, and kills it when asked: the members of
/// its group, and those of our children that carry its UUID in their environment.
/// `mains` are the main processes of other nodes, which are never touched.
///
/// The number of a process group is not given to a new process as long as the group has
/// members, so a group that still answers under the old main process's number is its own.
#[must_use]
pub fn left_of(main: Pid, uuid: Uuid, mains: &[Pid], end: bool) -> usize {
    let signal = end.then_some(Signal::SIGKILL);
    let group = usize::from(killpg(main, signal).is_ok());
    let strays = children().filter(|child| !mains.contains(child) && carries(*child, uuid));
    group + strays.filter(|stray| kill(*stray, signal).is_ok()).count()
}

/// Kills every child, and says how many there were. Called when no node lives any more:
/// what is left are processes that nodes have left behind.
#[must_use]
pub fn kill_children() -> usize {
    children()
        .filter(|child| kill(*child, Signal::SIGKILL).is_ok())
        .count()
}

/// The processes whose parent we are, zombies included.
fn children() -> impl Iterator<Item = Pid> {
    // An adopted child may hang on any of our threads.
    let threads = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let lists: Vec<String> = threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .collect();
    let found = if lists.is_empty() {
        children_by_search()
    } else {
        parse_pids(&lists.concat())
    };
    found.into_iter()
}

fn parse_pids(text: &str) -> Vec<Pid> {
    text.split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .map(Pid::from_raw)
        .collect()
}

/// For kernels without CONFIG_PROC_CHILDREN.
fn children_by_search() -> Vec<Pid> {
    let us = Pid::this();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| parent_in_stat(&stat) == Some(us))
        })
        .collect()
}

/// The parent's pid in a line of proc_pid_stat(5). The command before it is in
/// parentheses and may itself contain blanks and parentheses.
fn parent_in_stat(stat: &str) -> Option<Pid> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_ascii_whitespace()
        .nth(1)?
        .parse()
        .ok()
        .map(Pid::from_raw)
}

/// Whether a process was started with `REPRAM_NODE_UUID` set to this UUID.
fn carries(pid: Pid, uuid: Uuid) -> bool {
    let entry = format!("REPRAM_NODE_UUID={uuid}");
    environment_has(Path::new(&format!("/proc/{pid}/environ")), &entry)
}

fn environment_has(file: &Path, entry: &str) -> bool {
    let wanted = std::ffi::OsStr::new(entry).as_bytes();
    fs::read(file).is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|one| one == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_stands_behind_the_command() {
        let check = |stat: &str, expect: Option<i32>| {
            assert_eq!(parent_in_stat(stat), expect.map(Pid::from_raw), "{stat}");
        };
        check("12 (sh) S 7 12 12 0", Some(7));
        check("12 (a) b) (c) R 1 12", Some(1));
        check("12 (sh", None);
        check("", None);
    }

    #[test]
    fn a_variable_counts_only_as_a_whole() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), b"A=1\0REPRAM_NODE_UUID=abc\0B=2\0").expect("written");
        assert!(environment_has(file.path(), "REPRAM_NODE_UUID=abc"));
        assert!(!environment_has(file.path(), "REPRAM_NODE_UUID=ab"));
        assert!(!environment_has(Path::new("/no/such/file"), "A=1"));
    }
}
