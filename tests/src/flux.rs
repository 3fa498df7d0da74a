//! A platform like Flux, made of network namespaces: hosts with public addresses, behind
//! each a container that nobody else reaches but by its published ports, and the two
//! services that tell of hosts and instances.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::container::skip;
use crate::http::Answer;
use crate::network::{ask_in, ip};
use crate::sandbox::Sandbox;
use crate::service::{Mood, Service};

/// The port of the platform's API on each host. The location service puts it behind
/// addresses, where it means nothing to anybody.
const API_PORT: u16 = 16127;

/// The port of the hostinfo service, and the name of the host for its containers.
const HOSTINFO: (&str, u16) = ("fluxnode.service", 16101);

/// The port of the location service.
const LOCATION_PORT: u16 = 8000;

/// The name of the app.
const APP: &str = "fade";

/// What is published: port in the container, public port.
type Ports = BTreeMap<u16, u16>;

/// Hosts, numbered from 1, each with one instance of an app.
pub struct Flux {
    /// Unique on this machine.
    name: String,
    hosts: u8,
    ports: Ports,
    hostinfo: Vec<Service>,
    location: Option<Service>,
}

impl Flux {
    /// `hosts` hosts that publish `ports`. None where this process may not make network
    /// namespaces or rules for packets; a line on stderr, which is shown also when the test
    /// passes, says that `test` proves nothing then.
    pub fn of(hosts: u8, ports: Ports, test: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut flux = Self {
            name: format!("rf{}n{number}", std::process::id()),
            hosts,
            ports,
            hostinfo: Vec::new(),
            location: None,
        };
        match flux.build() {
            Ok(()) => Some(flux),
            Err(problem) => {
                skip(
                    test,
                    &format!("no hosts like those of Flux here ({problem})"),
                );
                None
            }
        }
    }

    /// The numbers of the hosts.
    pub fn hosts(&self) -> impl Iterator<Item = u8> + use<> {
        1..=self.hosts
    }

    /// The public address of a host.
    pub fn address(host: u8) -> Ipv4Addr {
        // A network that nobody routes (RFC 2544).
        Ipv4Addr::new(198, 18, 0, host)
    }

    /// What FluxOS sets in every container, and where the location service is.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let url = format!(
            "http://{}:{LOCATION_PORT}/apps/location/",
            Self::address(254)
        );
        [
            ("FLUX_APP_NAME", APP.to_owned()),
            ("FLUX_LOCATION_URL", url),
        ]
    }

    /// A program as it runs in the container on a host.
    pub fn program(&self, host: u8, sandbox: &Sandbox, program: &Path) -> Command {
        let mut command = sandbox.program("ip".as_ref());
        command
            .args(["netns", "exec", &self.container(host)])
            .arg(program);
        command
    }

    /// The hostinfo service of a host.
    pub fn hostinfo(&self, host: u8) -> &Service {
        &self.hostinfo[usize::from(host) - 1]
    }

    /// The location service.
    ///
    /// # Panics
    /// Never, once it is built.
    pub fn location(&self) -> &Service {
        self.location.as_ref().expect("it is built")
    }

    /// What hostinfo answers when it tells the address.
    pub fn tells(address: Ipv4Addr) -> Mood {
        let data = json!({"appName": APP, "id": format!("id-{address}"), "ip": address});
        Mood::Body(json!({"status": "success", "data": data}).to_string())
    }

    /// What the location service answers when it lists these hosts, by the last number of
    /// their addresses.
    pub fn lists(hosts: &[u8]) -> Mood {
        let entry = |(index, host): (usize, &u8)| {
            let address = Self::address(*host);
            // Some entries have the port of the API.
            let ip = match index % 2 {
                0 => format!("{address}:{}", API_PORT + 10 * u16::from(*host)),
                _ => address.to_string(),
            };
            json!({"name": APP, "hash": "5e0a", "ip": ip, "osUptime": 7, "staticIp": false,
                "broadcastedAt": "2026-11-21T09:00:00.000Z"})
        };
        let data: Vec<_> = hosts.iter().enumerate().map(entry).collect();
        Mood::Body(json!({"status": "success", "data": data}).to_string())
    }

    /// Asks a port of a container from inside; an error says why there was no answer.
    pub fn ask(
        &self,
        host: u8,
        method: &str,
        port: u16,
        path: &str,
        body: &[u8],
    ) -> Result<Answer, String> {
        let place = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        ask_in(
            &self.namespace(&self.container(host)),
            place,
            method,
            path,
            body,
        )
    }

    /// Asks a public port of the host `to` from inside the container on the host `from`.
    pub fn ask_across(
        &self,
        (from, to): (u8, u8),
        method: &str,
        port: u16,
        path: &str,
        body: &[u8],
    ) -> Result<Answer, String> {
        let place = SocketAddr::from((Self::address(to), port));
        ask_in(
            &self.namespace(&self.container(from)),
            place,
            method,
            path,
            body,
        )
    }

    /// Gives a host another public address instead of its own.
    pub fn move_host(&self, host: u8, to: Ipv4Addr) {
        let place = self.host(host);
        let old = format!("{}/24", Self::address(host));
        must(&["-n", &place, "addr", "del", &old, "dev", "eth0"]);
        must(&[
            "-n",
            &place,
            "addr",
            "add",
            &format!("{to}/24"),
            "dev",
            "eth0",
        ]);
    }

    /// Packets that a container sent to the public address of its own host.
    pub fn sent_to_itself(&self, host: u8) -> u64 {
        self.counted(host, "to-itself")
    }

    /// Connections from other hosts to ports that are not published.
    pub fn knocked_in_vain(&self, host: u8) -> u64 {
        self.counted(host, "in-vain")
    }

    fn counted(&self, host: u8, rule: &str) -> u64 {
        let listed = iptables(&self.host(host), "-t mangle -nvxL PREROUTING");
        let listed = listed.unwrap_or_else(|problem| panic!("{problem}"));
        let counted = listed.lines().filter(|line| line.contains(rule));
        let packets =
            counted.filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        packets.sum()
    }

    fn build(&mut self) -> Result<(), String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("only root may".to_owned());
        }
        let switch = self.switch();
        ip(&["netns", "add", &switch])?;
        ip(&["-n", &switch, "link", "add", "bridge", "type", "bridge"])?;
        let own = format!("{}/24", Self::address(254));
        ip(&["-n", &switch, "addr", "add", &own, "dev", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "bridge", "up"])?;
        for host in self.hosts() {
            self.add_host(host)?;
            self.add_container(host)?;
            self.publish(host)?;
            let namespace = self.namespace(&self.host(host));
            let place = SocketAddr::from((inside(host, 1), HOSTINFO.1));
            self.hostinfo.push(Service::start(&namespace, place)?);
            self.hostinfo(host).set([Self::tells(Self::address(host))]);
        }
        let place = SocketAddr::from((Self::address(254), LOCATION_PORT));
        let location = Service::start(&self.namespace(&switch), place)?;
        location.set([Self::lists(&[])]);
        self.location = Some(location);
        Ok(())
    }

    fn add_host(&self, number: u8) -> Result<(), String> {
        let (host, switch, port) = (self.host(number), self.switch(), format!("port{number}"));
        ip(&["netns", "add", &host])?;
        let ends = ["link", "add", "eth0", "netns", &host, "type", "veth"];
        ip(&[&ends[..], &["peer", "name", &port, "netns", &switch]].concat())?;
        ip(&["-n", &switch, "link", "set", &port, "master", "bridge"])?;
        ip(&["-n", &switch, "link", "set", &port, "up"])?;
        let own = format!("{}/24", Self::address(number));
        ip(&["-n", &host, "addr", "add", &own, "dev", "eth0"])?;
        ip(&["-n", &host, "link", "set", "lo", "up"])?;
        ip(&["-n", &host, "link", "set", "eth0", "up"])?;
        let forward = "echo 1 >/proc/sys/net/ipv4/ip_forward";
        run(&host, &["sh", "-c", forward]).map(drop)
    }

    fn add_container(&self, number: u8) -> Result<(), String> {
        let (host, container) = (self.host(number), self.container(number));
        let files = self.files(number);
        fs::create_dir_all(&files).map_err(|error| error.to_string())?;
        let names = format!(
            "127.0.0.1 localhost\n{} {}\n",
            inside(number, 1),
            HOSTINFO.0
        );
        fs::write(files.join("hosts"), names).map_err(|error| error.to_string())?;
        ip(&["netns", "add", &container])?;
        let ends = ["link", "add", "eth0", "netns", &container, "type", "veth"];
        ip(&[&ends[..], &["peer", "name", "inside", "netns", &host]].concat())?;
        let (ours, theirs) = (inside(number, 1), inside(number, 2));
        ip(&[
            "-n",
            &host,
            "addr",
            "add",
            &format!("{ours}/24"),
            "dev",
            "inside",
        ])?;
        ip(&["-n", &host, "link", "set", "inside", "up"])?;
        ip(&[
            "-n",
            &container,
            "addr",
            "add",
            &format!("{theirs}/24"),
            "dev",
            "eth0",
        ])?;
        ip(&["-n", &container, "link", "set", "lo", "up"])?;
        ip(&["-n", &container, "link", "set", "eth0", "up"])?;
        let gateway = ours.to_string();
        ip(&["-n", &container, "route", "add", "default", "via", &gateway])
    }

    /// Leads the public ports into the container, and nothing else; packets of the container
    /// go out under the host's address. What is sent to the host from its own container and
    /// what knocks at other ports is counted.
    fn publish(&self, number: u8) -> Result<(), String> {
        let host = self.host(number);
        let (public, container) = (Self::address(number), inside(number, 2));
        for (port, outside) in &self.ports {
            for protocol in ["tcp", "udp"] {
                let rule = format!(
                    "-t nat -A PREROUTING -i eth0 -p {protocol} --dport {outside} \
                     -j DNAT --to-destination {container}:{port}"
                );
                iptables(&host, &rule)?;
            }
        }
        let open: Vec<String> = self.ports.values().map(ToString::to_string).collect();
        let open = open.join(",");
        for rule in [
            "-t nat -A POSTROUTING -o eth0 -j MASQUERADE".to_owned(),
            "-A INPUT -i eth0 -p tcp --syn -j DROP".to_owned(),
            format!("-t mangle -A PREROUTING -i inside -d {public} -m comment --comment to-itself"),
            format!(
                "-t mangle -A PREROUTING -i eth0 -p tcp --syn -m multiport ! --dports {open} \
                 -m comment --comment in-vain"
            ),
        ] {
            iptables(&host, &rule)?;
        }
        Ok(())
    }

    fn switch(&self) -> String {
        format!("{}s", self.name)
    }

    fn host(&self, number: u8) -> String {
        format!("{}h{number}", self.name)
    }

    fn container(&self, number: u8) -> String {
        format!("{}c{number}", self.name)
    }

    fn namespace(&self, name: &str) -> PathBuf {
        Path::new("/run/netns").join(name)
    }

    /// Where ip-netns(8) looks for the files that a namespace has of its own.
    fn files(&self, number: u8) -> PathBuf {
        Path::new("/etc/netns").join(self.container(number))
    }
}

impl Drop for Flux {
    /// What is in use by a process lasts as long as that, so sandboxes end before.
    fn drop(&mut self) {
        for host in self.hosts() {
            let _never_made = ip(&["netns", "del", &self.container(host)]);
            let _never_made = ip(&["netns", "del", &self.host(host)]);
            let _never_made = fs::remove_dir_all(self.files(host));
        }
        let _never_made = ip(&["netns", "del", &self.switch()]);
    }
}

/// An address in the network between a host and its container: 1 is the host's end.
fn inside(host: u8, end: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 23, host, end)
}

#[track_caller]
fn must(arguments: &[&str]) {
    ip(arguments).unwrap_or_else(|problem| panic!("{problem}"));
}

fn iptables(namespace: &str, arguments: &str) -> Result<String, String> {
    let arguments = arguments.split_whitespace();
    // Namespaces are made by several tests at once, and share a lock.
    let command: Vec<&str> = ["iptables", "-w"].into_iter().chain(arguments).collect();
    run(namespace, &command)
}

/// Runs a command in a namespace; what it printed.
fn run(namespace: &str, command: &[&str]) -> Result<String, String> {
    let output = Command::new("ip")
        .args(["netns", "exec", namespace])
        .args(command)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("ip: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!(
        "{}: {}",
        command.join(" "),
        text(&output.stderr).trim()
    ))
}
