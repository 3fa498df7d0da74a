//! What an earlier supervisor with the same state left behind, because it was killed.
//!
//! The kernel ends the nodes' main processes with their supervisor, but not what these had
//! started, and outside of a container nobody else does. Here it is found by the UUID in
//! its environment, which nobody but us has: STATE_DIR, where the UUIDs are from, is locked.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use repram_discovery::holder::{Transport, holders_of_taken, owners_of};
use repram_discovery::sockets::SlotTaken;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::reaper::carries;

/// How long what was killed may take to be gone: a process with much memory takes longest.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks.
pub const PAUSE: Duration = Duration::from_millis(10);

/// Kills every process of our user that carries one of these UUIDs, waits until it is gone,
/// and names what was found.
pub async fn end(uuids: &[Uuid]) -> Vec<String> {
    let left = find(uuids);
    for pid in &left {
        let _ = kill(*pid, Signal::SIGKILL);
    }
    let names = left.iter().map(|pid| name(*pid)).collect();
    let deadline = Instant::now() + PATIENCE;
    while left.iter().any(|pid| is_there(*pid)) && Instant::now() < deadline {
        sleep(PAUSE).await;
    }
    names
}

fn find(uuids: &[Uuid]) -> Vec<Pid> {
    if uuids.is_empty() {
        return Vec::new();
    }
    let us = geteuid().as_raw();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let is_ours = entry.metadata().ok()?.uid() == us;
            is_ours.then(|| Pid::from_raw(pid))
        })
        .filter(|pid| *pid != Pid::this() && carries(*pid, uuids))
        .collect()
}

/// A zombie that its own parent has not reaped holds nothing any more.
fn is_there(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn name(pid: Pid) -> String {
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("pid {pid} ({})", command.trim())
}

/// Whether a slot is held only by processes of ours that are on their way out: a process
/// that ends gives back its memory, which may take a while, before it lets go of its sockets.
#[must_use]
pub fn is_ending(taken: &SlotTaken) -> bool {
    let port = taken.port();
    let owners = [
        owners_of(port, Transport::Tcp),
        owners_of(port, Transport::Udp),
    ]
    .concat();
    let ours = owners.iter().all(|uid| *uid == geteuid().as_raw());
    let ending = |pid: u32| {
        // The arguments are part of the memory, so they are gone first.
        fs::read(Path::new(&format!("/proc/{pid}/cmdline"))).is_ok_and(|text| text.is_empty())
    };
    taken.is_in_use()
        && ours
        && holders_of_taken(taken)
            .iter()
            .all(|holder| ending(holder.pid))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn what_carries_our_uuid_is_ended_and_nothing_else() {
        let uuid = Uuid::new_v4();
        let start = |uuid: Uuid| {
            let mut command = Command::new("sleep");
            command
                .arg("1000")
                .stdin(Stdio::null())
                .env("REPRAM_NODE_UUID", uuid.to_string());
            command.spawn().expect("sleep starts")
        };
        let (mut ours, mut other) = (start(uuid), start(Uuid::new_v4()));
        // The environment is to be seen once the program is executed.
        while !carries(Pid::from_raw(ours.id().cast_signed()), &[uuid]) {
            sleep(PAUSE).await;
        }
        assert_eq!(end(&[uuid]).await, [format!("pid {} (sleep)", ours.id())]);
        assert!(!ours.wait().expect("it is our child").success());
        assert!(
            other.try_wait().expect("it is our child").is_none(),
            "it lives"
        );
        other.kill().expect("it is ended");
        other.wait().expect("it is reaped");
        assert!(end(&[uuid]).await.is_empty());
    }
}
