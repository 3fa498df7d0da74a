//! Reaping, and finding what is left of a process that has ended.
//!
//! The supervisor is the subreaper of everything below it (as PID 1 it is anyway): a
//! process whose parent ended becomes its child, whether or not it left its node's
//! process group. So whatever outlives a node is found among our children, and a child
//! that ended is a zombie until it is reaped here.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use uuid::Uuid;

use crate::exit::{ExitReason, Usage};
use crate::spawn::{Changes, next_change};

pub use crate::spawn::Change;

/// Makes this process the one that adopts the orphans below it.
///
/// # Errors
/// Where the kernel has no subreapers (before Linux 3.4).
pub fn become_subreaper() -> Result<(), Errno> {
    nix::sys::prctl::set_child_subreaper(true)
}

/// Reaps the next child that has ended, if there is one.
#[must_use]
pub fn reap_one() -> Option<(Pid, ExitReason, Usage)> {
    loop {
        match next_change(Changes::Ended)? {
            (pid, Change::Ended(reason, usage)) => return Some((pid, reason, usage)),
            (_, Change::Stopped(_)) => {}
        }
    }
}

/// The next child that has ended, which is reaped, or was stopped; none when there is no
/// news of any.
#[must_use]
pub fn next_ended_or_stopped() -> Option<(Pid, Change)> {
    next_change(Changes::EndedOrStopped)
}

/// Whether a process group still has members, zombies included; signals them when asked.
///
/// The number of a group is not given to a new process as long as the group has members.
/// So it may be asked for until it was seen empty, and never after.
#[must_use]
pub fn group_lives(group: Pid, signal: Option<Signal>) -> bool {
    killpg(group, signal).is_ok()
}

/// Counts the strays of a node: our children that carry its UUID in their environment and
/// are none of `others`, which are the main processes of nodes. Signals them when asked.
#[must_use]
pub fn strays_of(uuid: Uuid, others: &[Pid], signal: Option<Signal>) -> usize {
    let strays = children().filter(|child| !others.contains(child) && carries(*child, &[uuid]));
    strays.filter(|stray| kill(*stray, signal).is_ok()).count()
}

/// Children that are not the fleet's: whoever started this program may have left it some,
/// by executing it in its place.
#[derive(Clone, Debug, Default)]
pub struct Bystanders(Vec<Pid>);

impl Bystanders {
    /// The children of this moment, before anything was started. Process 1 has none: it is
    /// the end of everything that runs with it.
    #[must_use]
    pub fn of_this_process() -> Self {
        match Pid::this().as_raw() {
            1 => Self::default(),
            _ => Self(children().collect()),
        }
    }

    /// Our children of this moment without them, zombies included.
    #[must_use]
    pub fn others(&self) -> Vec<Pid> {
        children().filter(|child| !self.0.contains(child)).collect()
    }
}

/// Kills every child but the bystanders, and says how many there were. Called when no node
/// lives any more: what is left are processes that nodes have left behind.
#[must_use]
pub fn kill_children(bystanders: &Bystanders) -> usize {
    let strays = bystanders.others().into_iter();
    strays
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

/// Whether a process was started with `REPRAM_NODE_UUID` set to one of these UUIDs.
pub(crate) fn carries(pid: Pid, uuids: &[Uuid]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    names_one_of(&environment, uuids)
}

/// The same of the bytes of an environment.
fn names_one_of(environment: &[u8], uuids: &[Uuid]) -> bool {
    let entries = environment.split(|byte| *byte == 0);
    entries
        .filter_map(|entry| Uuid::try_parse_ascii(entry.strip_prefix(b"REPRAM_NODE_UUID=")?).ok())
        .any(|uuid| uuids.contains(&uuid))
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
        let [ours, other] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let environment = format!("A=1\0REPRAM_NODE_UUID={ours}\0B=REPRAM_NODE_UUID={other}\0");
        let named = |uuids: &[Uuid]| names_one_of(environment.as_bytes(), uuids);
        assert!(named(&[other, ours]));
        assert!(!named(&[other]));
        assert!(!named(&[]));
        let cut = format!("REPRAM_NODE_UUID={ours}");
        assert!(!names_one_of(&cut.as_bytes()[..cut.len() - 1], &[ours]));
    }
}
