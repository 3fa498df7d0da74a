//! Nodes on several hosts whose datagrams are dropped, and hosts that are really gone.

use std::process::Child;
use std::time::Duration;

use repram_tests::{Binaries, Network, PATIENCE, Sandbox, poll_until, skip};
use serde_json::Value;

/// Between two rounds of questions to every host.
const PAUSE: Duration = Duration::from_millis(100);

/// Confirmations over TCP, each in a period of its own, a second long, after which a member
/// that does not answer would have been declared down twice.
const CONFIRMATIONS: f64 = 12.0;

/// Hosts with one node each, nobody's supervisor.
struct Hosts {
    // Nodes end before their hosts.
    children: Vec<Child>,
    sandbox: Sandbox,
    network: Network,
}

impl Hosts {
    /// Starts them, and waits until all know all.
    fn start(count: u8, test: &str) -> Option<Self> {
        let network = Network::of(count, test)?;
        let sandbox = Sandbox::new()
            .set("USE_AUTO_DISCOVERY", "true")
            .set("BIND_ADDRESS", "::")
            .set("DISCOVERY_DOMAIN", network.domain());
        let mut hosts = Self {
            children: Vec::new(),
            sandbox,
            network,
        };
        for host in hosts.network.hosts() {
            let node = &Binaries::built().node;
            let mut command = hosts.network.program(host, &hosts.sandbox, node);
            let state = hosts.sandbox.path(&format!("state-{host}"));
            command.env("STATE_DIR", state);
            let name = format!("host-{host}");
            let (child, _) = hosts.sandbox.spawn(&mut command, &name);
            hosts.children.push(child);
        }
        hosts.wait_until_all_alive();
        Some(hosts)
    }

    fn ask(&self, host: u8, path: &str) -> Result<String, String> {
        let port = self.sandbox.http_port(0);
        let answer = self.network.ask(host, "GET", port, path, b"")?;
        Ok(answer.text())
    }

    /// The states in which a host sees the others, in order.
    fn states(&self, host: u8) -> Result<Vec<String>, String> {
        let text = self.ask(host, "/topology")?;
        let topology: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let peers = topology["peers"].as_array().ok_or("no peers")?;
        let state = |peer: &Value| peer["state"].as_str().map(str::to_owned);
        let mut states: Vec<_> = peers.iter().filter_map(state).collect();
        states.sort();
        Ok(states)
    }

    /// Waits until each of these hosts sees the others so.
    #[track_caller]
    fn wait_for_states(&self, hosts: &[u8], expect: &[&str]) {
        poll_until(
            &format!("{hosts:?} see {expect:?}"),
            PAUSE,
            2 * PATIENCE,
            || {
                for host in hosts {
                    let states = self.states(*host)?;
                    if states != expect {
                        return Err(format!("host {host}: {states:?}"));
                    }
                }
                Ok(())
            },
        );
    }

    #[track_caller]
    fn wait_until_all_alive(&self) {
        let hosts: Vec<u8> = self.network.hosts().collect();
        self.wait_for_states(&hosts, &vec!["alive"; hosts.len() - 1]);
    }

    /// A counter of a host.
    fn counter(&self, host: u8, name: &str) -> Result<f64, String> {
        let page = self.ask(host, "/metrics")?;
        let line = page
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        let value = line.and_then(|line| line.split(' ').nth(1)?.parse().ok());
        value.ok_or_else(|| format!("no {name} in {page}"))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.sandbox.end_all();
        for child in &mut self.children {
            let _reaped = child.wait();
        }
    }
}

#[test]
fn whoever_loses_datagrams_is_asked_over_tcp_and_stays() {
    let test = "whoever_loses_datagrams_is_asked_over_tcp_and_stays";
    let Some(hosts) = Hosts::start(3, test) else {
        return;
    };
    if let Err(problem) = hosts.network.drop_datagrams(1) {
        skip(
            test,
            &format!("datagrams cannot be dropped here ({problem})"),
        );
        return;
    }
    // Of two others each is asked half as often.
    for (host, count) in [
        (1, CONFIRMATIONS),
        (2, CONFIRMATIONS / 2.0),
        (3, CONFIRMATIONS / 2.0),
    ] {
        let name = "repram_confirmations_answered_total";
        poll_until(
            "confirmations over TCP",
            PAUSE,
            4 * PATIENCE,
            || match hosts.counter(host, name)? {
                enough if enough >= count => Ok(()),
                fewer => Err(format!("{fewer} on host {host}")),
            },
        );
    }
    for host in hosts.network.hosts() {
        let failures = hosts.counter(host, "repram_ping_failures_total");
        assert_eq!(failures, Ok(0.0), "host {host} took somebody for silent");
    }
    // What is really gone is noticed all the same.
    hosts.network.cut(1);
    hosts.wait_for_states(&[2, 3], &["alive", "unreachable"]);
    hosts.wait_for_states(&[1], &["unreachable", "unreachable"]);
}

#[test]
fn a_host_that_is_gone_is_noticed_and_one_that_is_back_is_known_again() {
    let test = "a_host_that_is_gone_is_noticed_and_one_that_is_back_is_known_again";
    let Some(hosts) = Hosts::start(3, test) else {
        return;
    };
    hosts.network.cut(2);
    hosts.wait_for_states(&[1, 3], &["alive", "unreachable"]);
    hosts.network.heal(2);
    hosts.wait_until_all_alive();
}
