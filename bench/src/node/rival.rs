//! What keeps values: ours, what one would use instead, and a server that keeps nothing.

use std::net::TcpStream;
use std::process::{self, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use repram_tests::{Node, PATIENCE, Process, Sandbox, poll_until, wait_until};

use super::dialect::Dialect;
use super::limit::Runtimes;
use super::load::Load;
use super::peers;
use super::talk::Talk;
use crate::child::Child;
use crate::cluster::PAUSE;
use crate::version::Version;

/// Something that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
    /// A bare hyper server that answers with a constant and drops what it is sent: what a
    /// server on this machine can reach with hyper.
    Hyper(Runtimes),
    /// One node of this repository.
    Node,
    /// Three of them under a supervisor; a write waits for two.
    Nodes,
    /// A file served by nginx.
    Nginx,
    /// Redis, without a disk.
    Redis,
    /// Redis with two replicas; a write waits for one.
    RedisQuorum,
    /// memcached.
    Memcached,
    /// etcd, one member.
    Etcd,
}

/// More than any benchmark stores.
const STORAGE_MB: u32 = 1 << 16;

/// A rival that runs, in its sandbox. Everything it started ends with it.
pub(crate) struct Running {
    sandbox: Sandbox,
    children: Vec<process::Child>,
    /// From the start of its programs to its first answer.
    pub(crate) first_answer: Duration,
    /// How to speak to it.
    pub(crate) dialect: Dialect,
    /// Where it listens.
    pub(crate) port: u16,
    /// Where the last of its copies listens: the same port when there is only one.
    pub(crate) last_port: u16,
}

impl Rival {
    /// What the report calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hyper(Runtimes::Shared) => "hyper, bare",
            Self::Hyper(Runtimes::PerCore) => "hyper, one runtime per core",
            Self::Node => "repram-node",
            Self::Nodes => "repram-node, 2 of 3",
            Self::Nginx => "nginx, a file",
            Self::Redis => "redis",
            Self::RedisQuorum => "redis, WAIT for 2 of 3",
            Self::Memcached => "memcached",
            Self::Etcd => "etcd",
        }
    }

    /// Whether this machine has it; says so when not.
    pub(crate) fn is_here(self) -> bool {
        let Some(program) = self.program() else {
            return true;
        };
        let found = peers::path_of(program).is_some();
        if !found {
            eprintln!("{program} is not installed and takes no part");
        }
        found
    }

    /// Whether a value has to be written before it can be read.
    pub(crate) fn keeps_values(self) -> bool {
        !matches!(self, Self::Hyper(_) | Self::Nginx)
    }

    /// Those of them that were not built here, each program once with its version.
    pub(crate) fn versions(rivals: &[Self]) -> Vec<String> {
        let mut programs: Vec<_> = rivals.iter().filter_map(|rival| rival.program()).collect();
        programs.sort_unstable();
        programs.dedup();
        let path = |program| peers::path_of(program).map(|path| (program, path));
        let here = programs.into_iter().filter_map(path);
        here.map(|(program, path)| {
            let version = Version::Said(if program == "nginx" {
                "-v"
            } else {
                "--version"
            });
            format!("{program} {}", version.of(&path.to_string_lossy()))
        })
        .collect()
    }

    fn program(self) -> Option<&'static str> {
        match self {
            Self::Hyper(_) | Self::Node | Self::Nodes => None,
            Self::Nginx => Some("nginx"),
            Self::Redis | Self::RedisQuorum => Some("redis-server"),
            Self::Memcached => Some("memcached"),
            Self::Etcd => Some("etcd"),
        }
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub(crate) fn start(self, size: usize) -> Running {
        let (count, dialect) = match self {
            Self::Hyper(_) | Self::Node | Self::Nginx => (1, Dialect::Node),
            Self::Nodes => (3, Dialect::Node),
            Self::Redis => (1, Dialect::Redis),
            Self::RedisQuorum => (3, Dialect::RedisQuorum),
            Self::Memcached => (1, Dialect::Memcached),
            Self::Etcd => (1, Dialect::Etcd),
        };
        let sandbox = Sandbox::new()
            .set("NODE_COUNT", count)
            .set("MAX_PORTS", count)
            // The others have no limit either.
            .set("REPRAM_MAX_STORAGE_MB", STORAGE_MB)
            // Nor do they have a shortest time to live.
            .set("REPRAM_MIN_TTL", 1);
        let (port, last_port) = (sandbox.http_port(0), sandbox.http_port(count - 1));
        let commands = self.commands(&sandbox, size);
        let start = Instant::now();
        let spawn = |(number, mut command): (usize, Command)| {
            sandbox.spawn(&mut command, &format!("server-{number}")).0
        };
        let children = commands.into_iter().enumerate().map(spawn).collect();
        let mut running = Running {
            sandbox,
            children,
            first_answer: Duration::MAX,
            dialect,
            port,
            last_port,
        };
        running.wait(self, count);
        running.first_answer = start.elapsed();
        running
    }

    fn commands(self, sandbox: &Sandbox, size: usize) -> Vec<Command> {
        match self {
            Self::Hyper(runtimes) => {
                let port = sandbox.http_port(0);
                let answers = Child::Answer {
                    runtimes,
                    port,
                    size,
                };
                let words = answers.command();
                let mut command = sandbox.program(words[0].as_ref());
                command.args(&words[1..]);
                vec![command]
            }
            Self::Node => {
                let mut node = sandbox.node();
                node.env("REPRAM_HTTP_PORT", sandbox.http_port(0).to_string());
                node.env(
                    "REPRAM_GOSSIP_PORT",
                    peers::second_port(sandbox).to_string(),
                );
                vec![node]
            }
            Self::Nodes => vec![sandbox.supervisor(&["run"])],
            Self::Nginx => vec![peers::nginx(sandbox, size)],
            Self::Redis => vec![peers::redis(sandbox, 0, None)],
            Self::RedisQuorum => [(0, None), (1, Some(0)), (2, Some(0))]
                .map(|(slot, leader)| peers::redis(sandbox, slot, leader))
                .into(),
            Self::Memcached => vec![peers::memcached(sandbox)],
            Self::Etcd => vec![peers::etcd(sandbox)],
        }
    }
}

impl Running {
    /// Every process of it. Not by the sandbox's mark: nginx clears its environment.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let started = self.children.iter().map(process::Child::id);
        let mut found: Vec<_> = started
            .map(|pid| Process {
                pid: pid.cast_signed(),
            })
            .collect();
        let mut looked_at = 0;
        while let Some(parent) = found.get(looked_at).copied() {
            found.extend(Process::all().filter(|one| one.parent() == Some(parent.pid)));
            looked_at += 1;
        }
        found
    }

    /// Whether a value can be read at this port.
    fn has_copy(&self, key: &str, port: u16) -> Result<(), String> {
        let dialect = self.dialect.of_reads();
        let asked = Talk::to(dialect, port).and_then(|mut talk| {
            let said = talk.ask(&dialect.get(key))?;
            Ok(said.found.is_some())
        });
        match asked {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("port {port} has no {key}")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Waits until all of it can be asked.
    fn wait(&self, rival: Rival, count: u16) {
        match rival {
            Rival::Node | Rival::Nodes => {
                for slot in 0..count {
                    let port = self.sandbox.http_port(slot);
                    let node = poll_until("a ready node", PAUSE, PATIENCE, || Node::at(port));
                    wait_until("a node that knows the others", PATIENCE, || {
                        let known = node.peers()?.len() + 1;
                        let all = known == usize::from(count);
                        all.then_some(())
                            .ok_or_else(|| format!("{known} of {count}"))
                    });
                }
            }
            Rival::RedisQuorum => {
                wait_until("replicas", PATIENCE, || {
                    let write = self.dialect.put("first", b"value");
                    Load::once(self.dialect, self.port, write).map_err(|error| error.to_string())
                });
                for slot in 1..count {
                    let port = self.sandbox.http_port(slot);
                    poll_until("a copy", PAUSE, PATIENCE, || self.has_copy("first", port));
                }
            }
            _ => {
                poll_until("a server", PAUSE, PATIENCE, || {
                    TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())
                });
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in self.processes() {
            child.signal(Signal::SIGKILL);
        }
        self.sandbox.end_all();
        for child in &mut self.children {
            // They are our children, so they are ours to reap as well.
            let _reaped = child.wait();
        }
    }
}

/// A value of this size.
pub(crate) fn value(size: usize) -> Vec<u8> {
    b"0123456789abcdef"
        .iter()
        .copied()
        .cycle()
        .take(size)
        .collect()
}
