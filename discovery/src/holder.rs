//! Who holds a port, as far as the kernel lets us see.
//!
//! /proc/net/{tcp,tcp6,udp,udp6} (proc_pid_net(5)) name the inode of each socket, and
//! /proc/PID/fd shows who has it open, for our own processes or for everybody's if we are
//! root. A TCP socket that is bound and neither listens nor is connected stands in no table:
//! nobody is found for a door that is closed.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::sockets::{SlotTaken, SocketKind};

/// Characters of a command line that are shown: enough to recognise a program.
pub const COMMAND_MAX: usize = 200;

/// Which kind of port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A process that holds a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its command line without control characters, or its name in brackets if it has none,
    /// at most [`COMMAND_MAX`] characters.
    pub command: String,
    /// The user that it runs as.
    pub uid: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} ({})", self.pid, self.command)
    }
}

/// The processes that hold `port` at whatever address, in order of their ids: those that
/// listen on it, or if nobody does, those with any other socket there. Empty when there are
/// none or we may not see them.
#[must_use]
pub fn holders_of(port: u16, transport: Transport) -> Vec<Holder> {
    processes_with(&holding(entries(transport), port))
}

/// The users whose sockets hold `port`, ascending: known even if their processes cannot be
/// seen.
#[must_use]
pub fn owners_of(port: u16, transport: Transport) -> Vec<u32> {
    users_of(&holding(entries(transport), port))
}

/// All sockets of this network namespace at one moment, for whoever asks for many ports:
/// while many connections are in TIME_WAIT the kernel takes long to list them.
#[derive(Debug)]
pub struct SocketTables {
    tcp: Vec<Entry>,
    udp: Vec<Entry>,
}

impl SocketTables {
    /// Reads them.
    #[must_use]
    pub fn read() -> Self {
        Self {
            tcp: entries(Transport::Tcp).collect(),
            udp: entries(Transport::Udp).collect(),
        }
    }

    /// As [`holders_of`] says it.
    #[must_use]
    pub fn holders_of(&self, port: u16, transport: Transport) -> Vec<Holder> {
        processes_with(&self.holding(port, transport))
    }

    /// As [`owners_of`] says it.
    #[must_use]
    pub fn owners_of(&self, port: u16, transport: Transport) -> Vec<u32> {
        users_of(&self.holding(port, transport))
    }

    fn holding(&self, port: u16, transport: Transport) -> Vec<Entry> {
        let table = match transport {
            Transport::Tcp => &self.tcp,
            Transport::Udp => &self.udp,
        };
        holding(table.iter().copied(), port)
    }
}

/// The processes that hold the socket because of which a slot could not be had.
///
/// If none is found for a TCP port, they are those that hold the slot's UDP port: whoever
/// holds a slot with its door closed shows there only.
#[must_use]
pub fn holders_of_taken(taken: &SlotTaken) -> Vec<Holder> {
    let udp = || holders_of(taken.slot.gossip, Transport::Udp);
    match taken.socket {
        SocketKind::GossipUdp => udp(),
        SocketKind::Http | SocketKind::Gossip => {
            let holders = holders_of(taken.port(), Transport::Tcp);
            if holders.is_empty() { udp() } else { holders }
        }
    }
}

/// A line of a socket table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    port: u16,
    listens: bool,
    uid: u32,
    inode: u64,
}

/// The sockets that belong to a process. Those without an inode belong to none: connections
/// in TIME_WAIT, or not yet accepted.
fn entries(transport: Transport) -> impl Iterator<Item = Entry> {
    let tables = match transport {
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    tables
        .into_iter()
        // Without IPv6 there is no table of it.
        .filter_map(|table| File::open(table).ok())
        .flat_map(|table| BufReader::new(table).lines().map_while(Result::ok))
        .filter_map(|line| entry(&line))
        .filter(|entry| entry.inode != 0)
}

/// The sockets that hold `port`: those that listen on it, or all if none does.
fn holding(entries: impl Iterator<Item = Entry>, port: u16) -> Vec<Entry> {
    let mut entries: Vec<Entry> = entries.filter(|entry| entry.port == port).collect();
    if entries.iter().any(|entry| entry.listens) {
        entries.retain(|entry| entry.listens);
    }
    entries
}

/// The processes that have one of the sockets open, in order of their ids.
fn processes_with(sockets: &[Entry]) -> Vec<Holder> {
    let inodes: BTreeSet<u64> = sockets.iter().map(|it| it.inode).collect();
    if inodes.is_empty() {
        return Vec::new();
    }
    let mut holders: Vec<Holder> = processes()
        .filter(|pid| has_open(*pid, &inodes))
        .filter_map(describe)
        .collect();
    holders.sort();
    holders
}

/// The users whose sockets these are, ascending.
fn users_of(sockets: &[Entry]) -> Vec<u32> {
    let owners: BTreeSet<u32> = sockets.iter().map(|it| it.uid).collect();
    owners.into_iter().collect()
}

/// Reads one line; the heading is none.
fn entry(line: &str) -> Option<Entry> {
    /// TCP_LISTEN of the kernel's include/net/tcp_states.h.
    const LISTEN: &str = "0A";
    let mut words = line.split_ascii_whitespace();
    let (_, port) = words.nth(1)?.rsplit_once(':')?;
    let state = words.nth(1)?;
    let uid = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    Some(Entry {
        port: u16::from_str_radix(port, 16).ok()?,
        listens: state == LISTEN,
        uid,
        inode,
    })
}

fn processes() -> impl Iterator<Item = u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a process that we may look into has one of the sockets open.
fn has_open(pid: u32, inodes: &BTreeSet<u64>) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    descriptors
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| socket_inode(&target).is_some_and(|inode| inodes.contains(&inode)))
}

/// The inode of the socket that a descriptor's link names: `socket:[4711]`.
fn socket_inode(target: &Path) -> Option<u64> {
    target
        .to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// Nothing when the process has ended meanwhile.
fn describe(pid: u32) -> Option<Holder> {
    let uid = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    let read = |name: &str| {
        let mut bytes = Vec::new();
        // Each character takes 4 bytes at most.
        let limit = 4 * (COMMAND_MAX as u64 + 1);
        File::open(format!("/proc/{pid}/{name}"))
            .and_then(|file| file.take(limit).read_to_end(&mut bytes))
            .ok()
            .map(|_| bytes)
    };
    let command = command(&read("cmdline")?, &read("comm")?);
    Some(Holder { pid, command, uid })
}

/// The arguments in `cmdline`, each ended by a zero byte, as one line; or the name `comm`.
fn command(cmdline: &[u8], comm: &[u8]) -> String {
    let arguments = one_line(cmdline);
    if arguments.is_empty() {
        format!("[{}]", one_line(comm))
    } else {
        arguments
    }
}

/// Text of a stranger's making that is safe to print: nothing in it moves a cursor, ends a
/// line or turns the direction of writing.
fn one_line(bytes: &[u8]) -> String {
    let turns = |character| matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text = String::from_utf8_lossy(bytes).replace('\0', " ");
    let text: String = text
        .chars()
        .filter(|it| !it.is_control() && !turns(*it))
        .collect();
    let text = text.trim();
    match text.char_indices().nth(COMMAND_MAX) {
        None => text.to_owned(),
        Some(_) => text.chars().take(COMMAND_MAX - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_the_tables() {
        fn check(line: &str, expect: Option<(u16, bool, u32, u64)>) {
            let expect = expect.map(|(port, listens, uid, inode)| Entry {
                port,
                listens,
                uid,
                inode,
            });
            assert_eq!(entry(line), expect, "{line}");
        }
        check(
            "   0: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 562 1 000000007b379179 100 0 0 10 0",
            Some((8081, true, 1000, 562)),
        );
        check(
            "  12: 0100007F:1F91 0100007F:D2F0 06 00000000:00000000 03:00001656 00000000     0        0 0 3 0000000000000000",
            Some((8081, false, 0, 0)),
        );
        check(
            "   1: 00000000000000000000000000000000:2379 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000    33        0 18446744073709551615 2 0000000000000000 0",
            Some((9081, false, 33, u64::MAX)),
        );
        check(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            None,
        );
        check("   0: 0100007F:1F91 00000000:0000 0A", None);
        check("   0: nonsense 00000000:0000 0A 0:0 0:0 0 0 0 1", None);
        check(
            "   0: 0100007F:1F910 00000000:0000 0A 0:0 0:0 0 0 0 1",
            None,
        );
        check("", None);
    }

    #[test]
    fn who_listens_counts_before_who_does_not() {
        fn check(entries: &[(bool, u64)], expect: &[u64]) {
            let entries = entries.iter().map(|&(listens, inode)| Entry {
                port: 1,
                listens,
                uid: 0,
                inode,
            });
            let other = Entry {
                port: 2,
                listens: true,
                uid: 0,
                inode: 9,
            };
            let entries = [other].into_iter().chain(entries);
            let inodes: Vec<u64> = holding(entries, 1).iter().map(|it| it.inode).collect();
            assert_eq!(inodes, expect);
        }
        check(&[(false, 1), (true, 2), (true, 3)], &[2, 3]);
        check(&[(false, 1), (false, 2)], &[1, 2]);
        check(&[], &[]);
    }

    #[test]
    fn links_to_sockets() {
        fn check(target: &str, expect: Option<u64>) {
            assert_eq!(socket_inode(Path::new(target)), expect);
        }
        check("socket:[4711]", Some(4711));
        check("socket:[]", None);
        check("pipe:[4711]", None);
        check("/tmp/socket:[1]", None);
    }

    #[test]
    fn commands() {
        fn check(cmdline: &[u8], comm: &[u8], expect: &str) {
            assert_eq!(command(cmdline, comm), expect);
        }
        check(
            b"python3\0-m\0http.server\0",
            b"python3\n",
            "python3 -m http.server",
        );
        check(b"sleep 1\0", b"sleep\n", "sleep 1");
        check(b"", b"kworker/0:1\n", "[kworker/0:1]");
        check(b"\0\0", b"", "[]");
        check(b"a\x1b[31m\nb\r\x07", b"", "a[31mb");
        check("x\u{202e}y\u{9b}z".as_bytes(), b"", "xyz");
        check(b"\xff\xfea", b"", "\u{fffd}\u{fffd}a");
        check("é".repeat(200).as_bytes(), b"", &"é".repeat(200));
        check("é".repeat(201).as_bytes(), b"", &("é".repeat(199) + "…"));
    }

    proptest! {
        #[test]
        fn any_command_is_one_short_printable_line(cmdline: Vec<u8>, comm: Vec<u8>) {
            let text = command(&cmdline, &comm);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert!(text.chars().count() <= COMMAND_MAX + 2);
        }

        #[test]
        fn any_line_is_read_or_refused(line: String) {
            let _ = entry(&line);
        }
    }
}
