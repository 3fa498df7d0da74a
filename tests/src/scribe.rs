//! Nodes that write what a test tells them to.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::binaries::repository;
use crate::sandbox::Sandbox;
use crate::wait::{PATIENCE, wait_until};

/// How long a node may take for an order: a gibibyte on a machine that has much else to do.
const ORDER_PATIENCE: std::time::Duration = PATIENCE.saturating_mul(10);

/// What a node is told to write.
#[derive(Clone, Copy, Debug)]
pub enum Order<'a> {
    /// So many numbered lines of so many bytes, the newline included.
    Lines {
        /// How many.
        count: u64,
        /// Bytes of each.
        size: usize,
    },
    /// Numbered lines of so many bytes, fifty per second, until the next order.
    Tick {
        /// Bytes of each.
        size: usize,
    },
    /// One line of so many bytes, and its newline.
    Long {
        /// How many.
        bytes: u64,
    },
    /// A file of the sandbox.
    Copy {
        /// Its name.
        name: &'a str,
    },
}

/// The node of one name, which runs `tests/programs/scribe.py`. Numbers of lines begin at 0
/// and go on from order to order.
pub struct Scribe {
    node: String,
    orders: AtomicU32,
}

impl Scribe {
    /// A sandbox whose nodes are scribes.
    pub fn sandbox() -> Sandbox {
        let program = repository().join("tests/programs/scribe.py");
        Sandbox::new().set("NODE_COMMAND", format!("python3 {}", program.display()))
    }

    /// The node of this name.
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            orders: AtomicU32::new(0),
        }
    }

    /// Its name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Gives an order and returns at once.
    pub fn order(&self, sandbox: &Sandbox, order: Order<'_>) {
        let text = match order {
            Order::Lines { count, size } => format!("lines {count} {size}"),
            Order::Tick { size } => format!("tick {size}"),
            Order::Long { bytes } => format!("long {bytes}"),
            Order::Copy { name } => format!("copy {}", sandbox.path(name).display()),
        };
        let number = self.orders.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{}.{number}", self.node);
        // In its place as a whole, so that the node does not read half of it.
        let unfinished = sandbox.write(&format!("{name}.order"), &text);
        fs::rename(unfinished, sandbox.path(&name)).expect("the directory is ours");
    }

    /// Waits until all orders are carried out. How many numbered lines it has written since
    /// the start.
    ///
    /// # Panics
    /// When that does not come to be.
    #[track_caller]
    pub fn written(&self, sandbox: &Sandbox) -> u64 {
        let number = self.orders.load(Ordering::Relaxed);
        let path = sandbox.path(&format!("{}.{number}.done", self.node));
        let what = format!("an order carried out by {}", self.node);
        wait_until(&what, ORDER_PATIENCE, || {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            text.parse()
                .map_err(|error| format!("{}: {error}", path.display()))
        })
    }

    /// Gives an order and waits until it is carried out.
    #[track_caller]
    pub fn write(&self, sandbox: &Sandbox, order: Order<'_>) -> u64 {
        self.order(sandbox, order);
        self.written(sandbox)
    }

    /// What the supervisor says of this node's lines; null before it was started.
    ///
    /// # Panics
    /// When it does not answer.
    #[track_caller]
    pub fn stats(&self, sandbox: &Sandbox) -> Value {
        let stats = sandbox.finish(&["logs", "stats", "--json"]);
        assert_eq!(stats.code(), Some(0), "{}", stats.said());
        let stats = stats.json();
        let mut nodes = stats["nodes"].as_array().expect("a list").iter();
        let of_node = nodes.find(|stats| stats["node"] == self.node.as_str());
        of_node.cloned().unwrap_or(Value::Null)
    }

    /// Waits until each of the first `lines` lines of this node was written to its file or
    /// counted as dropped: how many of each.
    ///
    /// # Panics
    /// When that does not come to be.
    #[track_caller]
    pub fn books(&self, sandbox: &Sandbox, lines: u64) -> (u64, u64) {
        self.books_of("file", sandbox, lines)
    }

    /// The same for `file` or `stdout`.
    #[track_caller]
    pub fn books_of(&self, place: &str, sandbox: &Sandbox, lines: u64) -> (u64, u64) {
        wait_until("every line written or dropped", PATIENCE, || {
            let stats = self.stats(sandbox);
            let count = |what: &str| stats[place][what]["lines"].as_u64().unwrap_or_default();
            let (written, dropped) = (count("written"), count("dropped"));
            match written + dropped {
                sum if sum == lines => Ok((written, dropped)),
                _ => Err(stats.to_string()),
            }
        })
    }
}
