//! Nodes that nobody supervises.

use std::process::Child;

use nix::sys::signal::Signal;
use repram_tests::{Node, PATIENCE, Process, Sandbox, wait_until};

/// Nodes that were started one by one.
struct Crowd {
    sandbox: Sandbox,
    children: Vec<Child>,
}

impl Crowd {
    /// Starts a node with a state directory of its own and these settings.
    fn start(&mut self, settings: &[(&str, String)]) {
        let name = format!("node-{}", self.children.len() + 1);
        let mut command = self.sandbox.node();
        command
            .env("STATE_DIR", self.sandbox.path(&name))
            .env("REPRAM_NODE_ID", &name);
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        self.children
            .push(self.sandbox.spawn(&mut command, &name).0);
    }

    /// Waits until the nodes on the first ports of the range know each other.
    #[track_caller]
    fn wait_for_nodes(&self) -> Vec<Node> {
        let count = self.children.len();
        let slots = 0..u16::try_from(count).expect("a crowd is small");
        wait_until("nodes that know each other", PATIENCE, || {
            let node = |slot| Node::at(self.sandbox.http_port(slot));
            let nodes: Vec<_> = slots.clone().map(node).collect::<Result<_, _>>()?;
            let lonely = nodes.iter().find(|node| {
                node.peers()
                    .is_ok_and(|peers| peers.len() + 1 != nodes.len())
            });
            match lonely {
                None => Ok(nodes),
                Some(node) => Err(format!("{} knows {:?}", node.id, node.peers())),
            }
        })
    }

    /// Asks all to end; each does so with exit code 0.
    #[track_caller]
    fn stop(mut self) {
        for child in &self.children {
            let pid = child.id().cast_signed();
            Process { pid }.signal(Signal::SIGTERM);
        }
        for child in &mut self.children {
            let status = wait_until("the end of a node", PATIENCE, || {
                let status = child.try_wait().expect("it is our child");
                status.ok_or_else(|| format!("pid {} runs", child.id()))
            });
            assert_eq!(status.code(), Some(0));
        }
        self.sandbox.assert_nothing_left();
    }
}

#[track_caller]
fn check_sharing(nodes: &[Node]) {
    for writer in nodes {
        let path = format!("/data/from-{}", writer.id);
        let written = writer.put(&path, writer.id.as_bytes());
        assert_eq!(written.status, 201, "{}", written.text());
        for reader in nodes {
            assert_eq!(reader.get(&path).text(), writer.id, "from {}", reader.id);
        }
    }
}

#[test]
fn nodes_with_given_ports_meet_at_their_seed() {
    let sandbox = Sandbox::new();
    let seed = format!("127.0.0.1:{}", sandbox.http_port(0));
    let mut crowd = Crowd {
        sandbox,
        children: Vec::new(),
    };
    for slot in 0..3 {
        let port = crowd.sandbox.http_port(slot);
        let gossip = port + crowd.sandbox.ports().gossip_offset();
        crowd.start(&[
            ("REPRAM_HTTP_PORT", port.to_string()),
            ("REPRAM_GOSSIP_PORT", gossip.to_string()),
            ("REPRAM_PEERS", seed.clone()),
        ]);
    }
    check_sharing(&crowd.wait_for_nodes());
    crowd.stop();
}

#[test]
fn nodes_that_claim_their_own_ports_find_each_other_in_the_range() {
    let mut crowd = Crowd {
        sandbox: Sandbox::new(),
        children: Vec::new(),
    };
    for _ in 0..3 {
        crowd.start(&[("USE_AUTO_DISCOVERY", "true".to_owned())]);
    }
    check_sharing(&crowd.wait_for_nodes());
    crowd.stop();
}
