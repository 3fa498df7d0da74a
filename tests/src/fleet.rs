//! A supervisor that runs, and the nodes that answer.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::process::Child;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::container::Container;
use crate::http::{Answer, get, put};
use crate::process::Process;
use crate::sandbox::{Finished, Output, Sandbox, ended};
use crate::wait::{PATIENCE, wait_until};

/// A supervisor in the foreground, in its [`Sandbox`].
pub struct Fleet {
    sandbox: Sandbox,
    supervisor: Child,
    output: Output,
}

/// A node as its HTTP API shows it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, `flux-node-N`.
    pub id: String,
    /// The identity that survives restarts.
    pub uuid: String,
    /// How often it was started.
    pub generation: u64,
    /// Its HTTP port.
    pub port: u16,
}

impl Node {
    /// Asks one port; an error says what was there instead of a ready node.
    pub fn at(port: u16) -> Result<Self, String> {
        let answer = get(port, "/health")?;
        if answer.status != 200 {
            return Err(format!(
                "port {port}: /health says {}: {}",
                answer.status,
                answer.text()
            ));
        }
        let health: Value = serde_json::from_slice(&answer.body)
            .map_err(|error| format!("port {port}: /health is not JSON: {error}"))?;
        let text = |field: &str| health[field].as_str().map(str::to_owned);
        let node = (|| {
            let generation = health["generation"].as_u64()?;
            Some(Self {
                id: text("node_id")?,
                uuid: text("uuid")?,
                generation,
                port,
            })
        })();
        node.ok_or_else(|| format!("port {port}: /health lacks fields: {health}"))
    }

    /// The uuids of the nodes that it knows.
    pub fn peers(&self) -> Result<BTreeSet<String>, String> {
        let answer = get(self.port, "/peers")?.json();
        let peers = answer["peers"]
            .as_array()
            .ok_or_else(|| format!("no peers in {answer}"))?;
        let uuid = |peer: &Value| peer["uuid"].as_str().map(str::to_owned);
        peers
            .iter()
            .map(|peer| uuid(peer).ok_or_else(|| format!("no uuid in {peer}")))
            .collect()
    }

    /// `GET path`.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        get(self.port, path).unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// `PUT path`.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn put(&self, path: &str, body: &[u8]) -> Answer {
        put(self.port, path, body).unwrap_or_else(|problem| panic!("{problem}"))
    }
}

impl Fleet {
    pub(crate) fn new(sandbox: Sandbox, supervisor: Child, output: Output) -> Self {
        Self {
            sandbox,
            supervisor,
            output,
        }
    }

    /// Starts the supervisor again, after it ended.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.wait_for_end();
        (self.supervisor, self.output) = self
            .sandbox
            .spawn(&mut self.sandbox.supervisor(&["run"]), "supervisor-again");
    }

    /// The supervisor itself, also where it is process 1 of a [`Container`].
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn supervisor_process(&self) -> Process {
        let child = Process {
            pid: self.supervisor.id().cast_signed(),
        };
        wait_until("a supervisor", PATIENCE, || Container::inside(child))
    }

    /// What the supervisor printed so far.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Waits until `count` nodes answer in the first ten ports of the range and each
    /// knows exactly the others; gives them by port.
    #[track_caller]
    pub fn wait_for_nodes(&mut self, count: usize) -> Vec<Node> {
        let ports: Vec<u16> = (0..10).map(|slot| self.http_port(slot)).collect();
        let supervisor = &mut self.supervisor;
        wait_until(
            &format!("{count} nodes that know each other"),
            PATIENCE,
            || {
                if let Ok(status) = ended(supervisor) {
                    panic!("the supervisor ended with {status}");
                }
                let found: Vec<_> = ports.iter().map(|port| Node::at(*port)).collect();
                let nodes: Vec<Node> = found.iter().flatten().cloned().collect();
                if nodes.len() != count {
                    return Err(format!("{found:#?}"));
                }
                all_acquainted(&nodes)?;
                Ok(nodes)
            },
        )
    }

    /// The same, and waits until each has got the values of the others as well.
    #[track_caller]
    pub fn wait_until_refilled(&mut self, count: usize) -> Vec<Node> {
        let nodes = self.wait_for_nodes(count);
        wait_until("every node refilled", PATIENCE, || {
            for node in &nodes {
                let status = get(node.port, "/status")?.json();
                if status["refill"]["complete"] != true {
                    return Err(format!("{}: {}", node.id, status["refill"]));
                }
            }
            Ok(())
        });
        nodes
    }

    /// Waits until `supervisor status` says something.
    #[track_caller]
    pub fn wait_for_status(&self, what: &str, says: impl Fn(&Value) -> bool) -> Value {
        wait_until(what, PATIENCE, || {
            let finished = self.finish(&["status", "--json"]);
            if finished.code() == Some(0) && says(&finished.json()) {
                return Ok(finished.json());
            }
            Err(finished.said())
        })
    }

    /// The process of a node, when it runs.
    pub fn find_process(&self, node: &str) -> Option<Process> {
        let supervisor = self.supervisor_process().pid;
        let ours = |process: &Process| {
            process.parent() == Some(supervisor)
                && process.variable("REPRAM_NODE_ID").as_deref() == Some(node)
        };
        Process::all().find(ours)
    }

    /// The process of a node, waiting until it runs.
    #[track_caller]
    pub fn process_of(&self, node: &str) -> Process {
        wait_until(&format!("a process of {node}"), PATIENCE, || {
            self.find_process(node)
                .ok_or_else(|| "there is none".to_owned())
        })
    }

    /// Waits until the supervisor has ended by itself.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> Finished {
        let status = wait_until("the end of the supervisor", PATIENCE, || {
            ended(&mut self.supervisor)
        });
        self.output.finished(status)
    }

    /// Sends SIGTERM and waits for the end: exit code 0, no process left, every
    /// port free at once.
    #[track_caller]
    pub fn stop(mut self) -> Finished {
        self.end_cleanly(|fleet| fleet.supervisor_process().signal(Signal::SIGTERM))
    }

    /// Does what makes the supervisor end, and waits for it: exit code 0, no process
    /// left, neither ours nor in the group of any node, every port free at once.
    #[track_caller]
    pub fn end_cleanly(&mut self, cause: impl FnOnce(&Self)) -> Finished {
        let groups = self.groups();
        cause(self);
        let finished = self.wait_for_end();
        self.assert_nothing_left();
        let in_groups = |process: &Process| {
            process.alive() && process.group().is_some_and(|group| groups.contains(&group))
        };
        let strays: Vec<_> = Process::all().filter(in_groups).collect();
        assert!(
            strays.is_empty(),
            "in the groups of nodes still run {strays:?}"
        );
        assert_eq!(finished.code(), Some(0), "{}", finished.said());
        finished
    }

    /// The process groups that the fleet consists of, beside this test's own.
    fn groups(&self) -> BTreeSet<i32> {
        let mut groups: BTreeSet<_> = self
            .processes()
            .into_iter()
            .filter_map(Process::group)
            .collect();
        groups.remove(&nix::unistd::getpgrp().as_raw());
        groups
    }
}

/// A fleet has everything that its sandbox has.
impl Deref for Fleet {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl Drop for Fleet {
    /// The sandbox ends what is left; the supervisor is our child, so it is ours to
    /// reap as well.
    fn drop(&mut self) {
        let _ended_already = self.supervisor.kill();
        let _reaped = self.supervisor.wait();
    }
}

/// Whether each node knows exactly the others.
fn all_acquainted(nodes: &[Node]) -> Result<(), String> {
    let everyone: BTreeSet<_> = nodes.iter().map(|node| node.uuid.clone()).collect();
    if everyone.len() != nodes.len() {
        return Err(format!("two nodes have one uuid: {nodes:#?}"));
    }
    nodes.iter().try_for_each(|node| {
        let peers = node.peers()?;
        let mut others = everyone.clone();
        others.remove(&node.uuid);
        if peers == others {
            Ok(())
        } else {
            Err(format!("{} knows {peers:?}", node.id))
        }
    })
}
