//! Hosts of their own: network namespaces on one bridge.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use reqwest::header::HeaderMap;

use crate::container::skip;
use crate::http::Answer;
use crate::kept::KeptConnection;
use crate::sandbox::Sandbox;

/// Longer than any answer of a node may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The name under which all hosts know all hosts.
const DOMAIN: &str = "hosts.test";

/// Some hosts that reach each other, and a name that stands for all of them.
pub struct Network {
    /// Unique on this machine.
    name: String,
    hosts: u8,
}

impl Network {
    /// `hosts` hosts, numbered from 1. None where this process may not make network
    /// namespaces; a line on stderr, which is shown also when the test passes, says that
    /// `test` proves nothing then.
    pub fn of(hosts: u8, test: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("rt{}n{number}", std::process::id());
        let network = Self { name, hosts };
        match network.build() {
            Ok(()) => Some(network),
            Err(problem) => {
                skip(test, &format!("no network namespaces here ({problem})"));
                None
            }
        }
    }

    /// The name that stands for all hosts.
    pub fn domain(&self) -> &'static str {
        DOMAIN
    }

    /// The numbers of the hosts.
    pub fn hosts(&self) -> impl Iterator<Item = u8> + use<> {
        1..=self.hosts
    }

    /// A program as it runs on a host, with the environment of a sandbox.
    pub fn program(&self, host: u8, sandbox: &Sandbox, program: &Path) -> Command {
        let mut command = sandbox.program("ip".as_ref());
        command
            .args(["netns", "exec", &self.host(host)])
            .arg(program);
        command
    }

    /// Takes a host off the bridge: packets to and from it vanish without a word.
    pub fn cut(&self, host: u8) {
        must(&["-n", &self.switch(), "link", "set", &port(host), "nomaster"]);
    }

    /// Puts it back.
    pub fn heal(&self, host: u8) {
        let (switch, port) = (self.switch(), port(host));
        must(&["-n", &switch, "link", "set", &port, "master", "bridge"]);
    }

    /// Has a host drop all datagrams to and from others, as a firewall would.
    ///
    /// # Errors
    /// When there is neither nft(8) nor iptables(8), or the kernel does not filter.
    pub fn drop_datagrams(&self, host: u8) -> Result<(), String> {
        let table = "add table inet repram; \
             add chain inet repram in { type filter hook input priority 0; }; \
             add chain inet repram out { type filter hook output priority 0; }; \
             add rule inet repram in meta l4proto udp drop; \
             add rule inet repram out meta l4proto udp drop";
        self.run(host, &["nft", table]).or_else(|problem| {
            for chain in ["INPUT", "OUTPUT"] {
                let rule = ["iptables", "-w", "-I", chain, "-p", "udp", "-j", "DROP"];
                let ran = self.run(host, &rule);
                ran.map_err(|another| format!("{problem}; {another}"))?;
            }
            Ok(())
        })
    }

    /// Runs a program on a host to its end; an error says what it complained about.
    fn run(&self, host: u8, command: &[&str]) -> Result<(), String> {
        ip(&[&["netns", "exec", &self.host(host)], command].concat())
    }

    /// Has packets of a host leave it later.
    ///
    /// # Errors
    /// When tc(8) or the kernel cannot do that.
    pub fn delay(&self, host: u8, by: Duration) -> Result<(), String> {
        let by = format!("{}us", by.as_micros());
        let cable = [
            "tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay",
        ];
        self.run(host, &[&cable[..], &[by.as_str()]].concat())
    }

    /// A connection to a port of a host, from that host itself.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(&self, host: u8, port: u16) -> Result<KeptConnection, String> {
        let namespace = Path::new("/run/netns").join(self.host(host));
        let place = SocketAddr::from((address(host), port));
        let connected = inside(&namespace, || {
            TcpStream::connect(place).and_then(KeptConnection::over)
        })?;
        connected.map_err(|error| format!("{place}: {error}"))
    }

    /// Asks a port of a host from that host itself; an error says why there was no answer.
    pub fn ask(
        &self,
        host: u8,
        method: &str,
        port: u16,
        path: &str,
        body: &[u8],
    ) -> Result<Answer, String> {
        let namespace = Path::new("/run/netns").join(self.host(host));
        let place = SocketAddr::from((address(host), port));
        ask_in(&namespace, place, method, path, body)
    }

    fn build(&self) -> Result<(), String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("only root may".to_owned());
        }
        let switch = self.switch();
        ip(&["netns", "add", &switch])?;
        ip(&["-n", &switch, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "bridge", "up"])?;
        let names: String = self
            .hosts()
            .map(|host| format!("{} {DOMAIN}\n", address(host)))
            .collect();
        for host in self.hosts() {
            self.add(host, &names)?;
        }
        Ok(())
    }

    fn add(&self, number: u8, names: &str) -> Result<(), String> {
        let (host, switch, port) = (self.host(number), self.switch(), port(number));
        let files = self.files(number);
        fs::create_dir_all(&files).map_err(|error| error.to_string())?;
        fs::write(files.join("hosts"), format!("127.0.0.1 localhost\n{names}"))
            .map_err(|error| error.to_string())?;
        ip(&["netns", "add", &host])?;
        let ends = ["link", "add", "eth0", "netns", &host, "type", "veth"];
        ip(&[&ends[..], &["peer", "name", &port, "netns", &switch]].concat())?;
        ip(&["-n", &switch, "link", "set", &port, "master", "bridge"])?;
        ip(&["-n", &switch, "link", "set", &port, "up"])?;
        let own = format!("{}/24", address(number));
        ip(&["-n", &host, "addr", "add", &own, "dev", "eth0"])?;
        ip(&["-n", &host, "link", "set", "lo", "up"])?;
        ip(&["-n", &host, "link", "set", "eth0", "up"])
    }

    fn switch(&self) -> String {
        format!("{}s", self.name)
    }

    fn host(&self, number: u8) -> String {
        format!("{}h{number}", self.name)
    }

    /// Where ip-netns(8) looks for the files that a namespace has of its own.
    fn files(&self, number: u8) -> PathBuf {
        Path::new("/etc/netns").join(self.host(number))
    }
}

impl Drop for Network {
    /// What is in use by a process lasts as long as that, so sandboxes end before.
    fn drop(&mut self) {
        for host in self.hosts() {
            let _never_made = ip(&["netns", "del", &self.host(host)]);
            let _never_made = fs::remove_dir_all(self.files(host));
        }
        let _never_made = ip(&["netns", "del", &self.switch()]);
    }
}

/// The address of a host, on a network that nobody routes (RFC 2544).
fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 0, host)
}

/// The bridge's end of a host's cable.
fn port(host: u8) -> String {
    format!("port{host}")
}

/// Asks from inside a network namespace; an error says why there was no answer.
///
/// # Panics
/// When this process may not enter it.
pub fn ask_in(
    namespace: &Path,
    place: SocketAddr,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<Answer, String> {
    let answer = inside(namespace, || exchange(place, method, path, body))?;
    answer.map_err(|error| format!("{place}: {error}"))
}

/// Listens inside a network namespace.
///
/// # Errors
/// When the place cannot be had.
///
/// # Panics
/// When this process may not enter it.
pub(crate) fn listen_in(namespace: &Path, place: SocketAddr) -> Result<TcpListener, String> {
    // The socket stays in the network in which it was made.
    let listener = inside(namespace, || TcpListener::bind(place))?;
    listener.map_err(|error| format!("{place}: {error}"))
}

/// Does something in a network namespace.
fn inside<T: Send>(namespace: &Path, task: impl FnOnce() -> T + Send) -> Result<T, String> {
    let namespace = File::open(namespace).map_err(|error| error.to_string())?;
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            // A thread has a network of its own when it wants to.
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("whoever made it may enter");
            task()
        });
        Ok(working.join().expect("it does not panic"))
    })
}

#[track_caller]
fn must(arguments: &[&str]) {
    ip(arguments).unwrap_or_else(|problem| panic!("{problem}"));
}

/// Runs ip(8); an error says what it complained about.
pub(crate) fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {}: {}", arguments.join(" "), said.trim()))
}

/// One request over one connection, in this very thread.
fn exchange(place: SocketAddr, method: &str, path: &str, body: &[u8]) -> Result<Answer, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&place, TIMEOUT).map_err(text)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(text)?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {place}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).map_err(text)?;
    stream.write_all(body).map_err(text)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(text)?;
    parse(&answer).ok_or_else(|| format!("no answer: {}", String::from_utf8_lossy(&answer)))
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name: reqwest::header::HeaderName = name.parse().ok()?;
        headers.append(name, value.trim().parse().ok()?);
    }
    Some(Answer {
        status,
        headers,
        body: answer[end + 4..].to_vec(),
    })
}
