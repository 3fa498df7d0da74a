//! Instances on a platform like Flux: behind their hosts' addresses, told of each other by a
//! service that is often wrong.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Child;
use std::time::Duration;

use repram_tests::{Answer, Binaries, Flux, Mood, PATIENCE, Sandbox, poll_until};
use serde_json::Value;

/// Between two rounds of questions to every node.
const PAUSE: Duration = Duration::from_millis(100);

/// A host that has been dead for a while, and stands in the lists nevertheless.
const DEAD: u8 = 77;

const FRONT: u16 = 8080;
const PUBLIC_FRONT: u16 = 30910;
const PUBLIC_GOSSIP: u16 = 31911;

/// Nodes of each instance.
const NODES: u16 = 2;

/// An app with an instance on each host.
struct App {
    // Supervisors end before their hosts.
    children: BTreeMap<u8, Child>,
    sandbox: Sandbox,
    flux: Flux,
}

impl App {
    /// An app of which nothing runs yet. Published are its front port and its gossip ports,
    /// under other numbers outside.
    fn of(hosts: u8, test: &str) -> Option<Self> {
        let sandbox = Sandbox::new()
            .set("NODE_COUNT", NODES)
            .set("BIND_ADDRESS", "::")
            .set("INGRESS_PORT", FRONT)
            .set("FLUX_PEERS_REFRESH", "200ms")
            .set("FLUX_ADDRESS_REFRESH", "200ms");
        let gossip = |node: u16| sandbox.http_port(node) + sandbox.ports().gossip_offset();
        let nodes = (0..NODES).map(|node| (gossip(node), PUBLIC_GOSSIP + node));
        let ports: BTreeMap<u16, u16> = nodes.chain([(FRONT, PUBLIC_FRONT)]).collect();
        let pairs: Vec<String> = ports
            .iter()
            .map(|(container, public)| format!("{container}:{public}"))
            .collect();
        let flux = Flux::of(hosts, ports, test)?;
        let sandbox = sandbox.set("ADVERTISE_PORTS", pairs.join(","));
        let sandbox = flux
            .environment()
            .into_iter()
            .fold(sandbox, |sandbox, (name, value)| sandbox.set(name, value));
        Some(Self {
            children: BTreeMap::new(),
            sandbox,
            flux,
        })
    }

    /// Starts the instance on a host, whose address was this one when its container was made.
    fn start(&mut self, host: u8, made_at: Option<Ipv4Addr>) {
        let supervisor = &Binaries::built().supervisor;
        let mut command = self.flux.program(host, &self.sandbox, supervisor);
        command
            .arg("run")
            .env("STATE_DIR", self.sandbox.path(&format!("state-{host}")))
            .env("LOG_DIR", "off");
        command.envs(made_at.map(|ip| ("FLUX_NODE_HOST_IP", ip.to_string())));
        let (child, _) = self.sandbox.spawn(&mut command, &format!("host-{host}"));
        self.children.insert(host, child);
    }

    /// The instance on a host is gone without a word.
    fn lose(&mut self, host: u8) {
        let state = format!("state-{host}");
        let is_its = |process: &repram_tests::Process| {
            let state_dir = process.variable("STATE_DIR");
            state_dir.is_some_and(|path| path.ends_with(&state))
        };
        for process in self.sandbox.processes().iter().filter(|it| is_its(it)) {
            process.signal(nix::sys::signal::Signal::SIGKILL);
        }
        let mut child = self.children.remove(&host).expect("it was started");
        let _killed = child.wait();
    }

    fn port(&self, node: u16) -> u16 {
        self.sandbox.http_port(node)
    }

    /// Asks a node from inside its container.
    fn get(&self, host: u8, node: u16, path: &str) -> Result<Answer, String> {
        self.flux.ask(host, "GET", self.port(node), path, b"")
    }

    /// Waits until every node of these hosts serves and knows so many others.
    #[track_caller]
    fn wait_for_peers(&self, hosts: &[u8], peers: u64) {
        poll_until("nodes that know each other", PAUSE, PATIENCE, || {
            self.check_peers(hosts, peers)
        });
    }

    fn check_peers(&self, hosts: &[u8], peers: u64) -> Result<(), String> {
        for host in hosts {
            for node in 0..NODES {
                let answer = self.get(*host, node, "/health")?;
                let health = answer.json();
                if answer.status != 200 || health["active_peers"] != peers {
                    return Err(format!("node {node} on host {host}: {health}"));
                }
            }
        }
        Ok(())
    }

    /// What a node says of the ways in which it finds peers.
    fn discovery(&self, host: u8, node: u16) -> Result<Value, String> {
        Ok(self.get(host, node, "/cluster/discovery/health")?.json())
    }

    /// What every node says of the location service, until it is as wanted.
    #[track_caller]
    fn wait_for_report(&self, hosts: &[u8], what: &str, wanted: impl Fn(&Value) -> bool) {
        poll_until(what, PAUSE, PATIENCE, || {
            for host in hosts {
                for node in 0..NODES {
                    let health = self.discovery(*host, node)?;
                    let methods = health["methods"].as_array().ok_or("no methods")?;
                    let report = methods.iter().find(|it| it["method"] == "flux");
                    if !report.is_some_and(&wanted) {
                        return Err(format!("node {node} on host {host}: {health}"));
                    }
                }
            }
            Ok(())
        });
    }

    /// What `supervisor config` shows in a container.
    #[track_caller]
    fn shown_settings(&self, host: u8) -> Value {
        let supervisor = &Binaries::built().supervisor;
        let mut command = self.flux.program(host, &self.sandbox, supervisor);
        let output = command.args(["config", "--json"]).output();
        let output = output.expect("ip can be started");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    #[track_caller]
    fn write(&self, host: u8, key: &str) {
        let path = format!("/data/{key}?ttl=600");
        let answer = self
            .flux
            .ask(host, "PUT", self.port(0), &path, key.as_bytes());
        let answer = answer.unwrap_or_else(|problem| panic!("{key}: {problem}"));
        assert_eq!(answer.status, 201, "{key}: {}", answer.text());
    }

    /// Reads a value that must be there from every node of a host.
    #[track_caller]
    fn read(&self, host: u8, key: &str) {
        for node in 0..NODES {
            poll_until("a value readable", PAUSE, PATIENCE, || {
                let answer = self.get(host, node, &format!("/data/{key}"))?;
                assert_ne!(answer.status, 404, "{key} is lost on host {host}");
                if answer.status == 200 && answer.body == key.as_bytes() {
                    return Ok(());
                }
                Err(format!("{}: {}", answer.status, answer.text()))
            });
        }
    }

    /// A node, and `supervisor config`, have their address from the platform.
    #[track_caller]
    fn check_address(&self, host: u8) {
        let expect = Flux::address(host).to_string();
        let address = &self.discovery(host, 0).expect("it answers")["address"];
        assert_eq!(address["origin"], "hostinfo", "{address}");
        assert_eq!(address["address"], expect);
        let shown = self.shown_settings(host);
        let settings = shown["settings"].as_array().expect("a list");
        let address = settings.iter().find(|it| it["key"] == "node_address");
        let address = address.expect("it is a setting");
        assert_eq!(address["value"], expect);
        assert_eq!(address["layer"], "platform");
    }

    /// Both services answer like this for a while, and nobody is lost by it.
    #[track_caller]
    fn hear_nothing_but(&self, mood: &Mood) {
        let all = [1, 2, 3];
        let what = format!("{mood:?} heard");
        for host in all {
            self.flux.hostinfo(host).set([mood.clone()]);
        }
        self.flux.location().set([mood.clone()]);
        poll_until(&what, PAUSE, PATIENCE, || {
            let asked = self.flux.location().asked();
            let hostinfo = all.map(|host| self.flux.hostinfo(host).asked());
            let enough = asked >= 4 * 3 && hostinfo.iter().all(|asked| *asked >= 2);
            enough.then_some(()).ok_or(format!("{asked}, {hostinfo:?}"))
        });
        self.check_peers(&all, 5).expect("everybody is kept");
        // Silence is noticed after ten seconds only.
        if !matches!(mood, Mood::Silent) {
            let failing = |report: &Value| report["peers"] == 6 && report["result"] == "partial";
            self.wait_for_report(&all, &what, failing);
        }
    }

    /// No container has spoken to itself through its host, and nobody has tried a port that
    /// is not published.
    #[track_caller]
    fn check_what_was_dialled(&self) {
        for host in self.flux.hosts() {
            assert_eq!(
                self.flux.sent_to_itself(host),
                0,
                "host {host} dials itself"
            );
            assert_eq!(self.flux.knocked_in_vain(host), 0, "at host {host}");
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.sandbox.end_all();
        for child in self.children.values_mut() {
            let _reaped = child.wait();
        }
    }
}

fn refused() -> Mood {
    Mood::Body(r#"{"status":"error","data":{"message":"not now"}}"#.to_owned())
}

#[test]
fn instances_find_and_keep_each_other_whatever_they_are_told() {
    let test = "instances_find_and_keep_each_other_whatever_they_are_told";
    let Some(mut app) = App::of(3, test) else {
        return;
    };
    // At first it lags: nobody is listed, then one, by one of its machines only.
    let all = [1, 2, 3];
    app.flux.location().set([
        Flux::lists(&[]),
        Flux::lists(&[DEAD]),
        refused(),
        Flux::lists(&[DEAD, 1]),
    ]);
    for host in all {
        app.start(host, Some(Flux::address(host)));
    }
    app.wait_for_peers(&all, 5);
    let candidates = |count: u64| move |report: &Value| report["peers"] == count;
    app.flux.location().set([Flux::lists(&[DEAD, 1, 2, 3])]);
    // Two ports of two others and of the dead one, and none of our own.
    app.wait_for_report(&all, "everybody listed", candidates(6));

    app.write(1, "one");
    for host in all {
        app.read(host, "one");
        app.check_address(host);
    }
    // What is published is all that others need.
    let front = poll_until("an open front port", PAUSE, PATIENCE, || {
        app.flux
            .ask_across((2, 1), "GET", PUBLIC_FRONT, "/data/one", b"")
    });
    assert_eq!(front.text(), "one");

    let bad = [
        Mood::Status(500),
        refused(),
        Mood::Garbage,
        Mood::Huge,
        Mood::Broken,
        Mood::Body("{}".to_owned()),
        Mood::Silent,
    ];
    for mood in bad {
        app.hear_nothing_but(&mood);
    }
    for host in all {
        app.flux
            .hostinfo(host)
            .set([Flux::tells(Flux::address(host))]);
    }

    // Who is not listed any more is no candidate in the end, and a peer all the same.
    app.flux.location().set([Flux::lists(&[1, 2])]);
    app.wait_for_report(&[1, 2], "one left out", candidates(2));
    app.check_peers(&all, 5).expect("everybody is kept");
    app.write(3, "two");
    app.read(1, "two");

    app.lose(3);
    app.wait_for_peers(&[1, 2], 3);
    app.read(2, "two");
    app.flux.location().set([Flux::lists(&[3, 1, 2])]);
    app.start(3, Some(Flux::address(3)));
    app.wait_for_peers(&all, 5);
    app.read(3, "one");
    app.read(3, "two");
    app.check_what_was_dialled();
}

#[test]
fn a_host_that_moves_is_followed() {
    let Some(mut app) = App::of(2, "a_host_that_moves_is_followed") else {
        return;
    };
    app.flux.location().set([Flux::lists(&[1, 2])]);
    for host in [1, 2] {
        // What the platform said when it made the container is not true any more.
        app.start(host, Some(Flux::address(DEAD)));
    }
    app.wait_for_peers(&[1, 2], 3);
    app.write(2, "before");

    let new = Flux::address(101);
    app.flux.move_host(1, new);
    app.flux.hostinfo(1).set([Flux::tells(new)]);
    poll_until("the new address known", PAUSE, PATIENCE, || {
        let peers = app.get(2, 0, "/peers")?.json();
        let listed = peers["peers"].as_array().ok_or("no list")?;
        let there = listed
            .iter()
            .filter(|peer| peer["address"] == new.to_string());
        let all = there.filter(|peer| peer["state"] == "alive").count() == usize::from(NODES);
        all.then_some(()).ok_or(peers.to_string())
    });
    app.wait_for_peers(&[1, 2], 3);
    app.write(1, "after");
    for key in ["before", "after"] {
        app.read(1, key);
        app.read(2, key);
    }
}

/// Without the service that tells addresses, and without a secret.
#[test]
fn peers_tell_an_address_that_nobody_else_tells() {
    let Some(mut app) = App::of(2, "peers_tell_an_address_that_nobody_else_tells") else {
        return;
    };
    app.sandbox = std::mem::take(&mut app.sandbox).unset("REPRAM_CLUSTER_SECRET_FILE");
    app.flux.location().set([Flux::lists(&[1, 2])]);
    for host in [1, 2] {
        app.flux.hostinfo(host).set([refused()]);
        app.start(host, None);
    }
    app.wait_for_peers(&[1, 2], 3);
    for host in [1, 2] {
        poll_until("the address that peers see", PAUSE, PATIENCE, || {
            let address = &app.discovery(host, 0)?["address"];
            let expect = Flux::address(host).to_string();
            let known = address["origin"] == "peers" && address["address"] == expect;
            known.then_some(()).ok_or(address.to_string())
        });
    }
    app.write(1, "seen");
    app.read(2, "seen");

    // Whoever announces itself from another host is called back on its gossip port: no other
    // one of it is open.
    let health = app.get(2, 1, "/health").expect("it answers").json();
    let announce = |uuid: &str, port: u16| {
        let body = format!(
            r#"{{"new_peer_uuid":"{uuid}","new_peer_port":{port},"timestamp":"2026-11-21T09:00:00Z"}}"#
        );
        let path = "/peer_announce";
        let answer = poll_until("an open front port", PAUSE, PATIENCE, || {
            app.flux
                .ask_across((2, 1), "POST", PUBLIC_FRONT, path, body.as_bytes())
        });
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["acknowledged"].clone()
    };
    let uuid = health["uuid"].as_str().expect("it has one");
    assert_eq!(announce(uuid, app.port(1)), true);
    assert_eq!(announce(uuid, app.port(0)), false);
    let stranger = "00000000-0000-4000-8000-000000000001";
    assert_eq!(announce(stranger, app.port(1)), false);
    for host in [1, 2] {
        assert_eq!(app.flux.knocked_in_vain(host), 0, "at host {host}");
    }
}
