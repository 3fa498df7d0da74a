//! Instructions of a whole node for one request, counted by valgrind.

use std::io;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use repram_tests::{Binaries, KeptConnection, Node, PATIENCE, Process, Sandbox, poll_until};

use crate::cluster::PAUSE;
use crate::count::collected;
use crate::node::second_port;

/// A request that a node answers again and again.
pub(crate) struct Served {
    /// What the report calls it.
    pub(crate) name: &'static str,
    method: &'static str,
    path: &'static str,
    body: &'static [u8],
}

/// All of them. The first writes what the second reads.
pub(crate) const SERVED: [Served; 2] = [
    Served {
        name: "a whole node: answer a PUT of 100 bytes",
        method: "PUT",
        path: "/data/bench?ttl=3600",
        body: &[b'v'; 100],
    },
    Served {
        name: "a whole node: answer a GET of 100 bytes",
        method: "GET",
        path: "/data/bench",
        body: b"",
    },
];

impl Served {
    /// Instructions that a node executes from its start to its end, and answers this request
    /// so many times in between.
    ///
    /// # Errors
    /// When it does not answer as it has to, or valgrind cannot be started or counts nothing.
    pub(crate) fn instructions(&self, rounds: u64) -> Result<u64, String> {
        let sandbox = Sandbox::new();
        let port = sandbox.http_port(0);
        let mut node = in_valgrind(
            sandbox.program("valgrind".as_ref()),
            &Binaries::built().node,
        );
        node.env("REPRAM_HTTP_PORT", port.to_string());
        node.env("REPRAM_GOSSIP_PORT", second_port(&sandbox).to_string());
        let (mut child, output) = sandbox.spawn(&mut node, "node");
        poll_until("a ready node", PAUSE, PATIENCE, || Node::at(port));
        let asked = self.ask(port, rounds);
        let process = Process {
            pid: child.id().cast_signed(),
        };
        process.signal(Signal::SIGTERM);
        let done = sandbox.wait_for_end(&mut child, &output);
        asked.map_err(|error| format!("{}: {error}", self.name))?;
        collected(&done.stderr)
    }

    fn ask(&self, port: u16, rounds: u64) -> io::Result<()> {
        let mut connection = KeptConnection::open(port)?;
        let [write, _] = &SERVED;
        connection.ask(write.method, write.path, write.body)?;
        for _ in 0..rounds {
            let (status, _) = connection.ask(self.method, self.path, self.body)?;
            if !(200..300).contains(&status) {
                return Err(io::Error::other(format!("answered with {status}")));
            }
        }
        Ok(())
    }
}

/// A program whose instructions are counted, for a command that is valgrind.
pub(crate) fn in_valgrind(mut valgrind: Command, program: &Path) -> Command {
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(program);
    valgrind
}
