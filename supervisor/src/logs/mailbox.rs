//! What the rest of the supervisor wants from the thread that reads the pipes.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use repram_config::LogStdout;
use tokio::sync::oneshot;

use super::batch::Node;
use super::feed::{EventFollowing, LineFollowing};
use super::tail::LastLines;
use super::waker::Waker;
use crate::event::Event;

/// Events and texts that may wait for the thread. It never blocks, so this many wait only
/// when the machine is far too busy to show them.
const WAITING_MAX: usize = 1024;

/// One wish.
#[derive(Debug)]
pub(crate) enum Command {
    /// Read this pipe of the process of this generation.
    Attach {
        node: Arc<Node>,
        generation: u64,
        pipe: OwnedFd,
    },
    /// Say what the processes of this node wrote last, with everything before this call.
    Tail {
        node: String,
        reply: oneshot::Sender<LastLines>,
    },
    /// Show this event, after what the nodes have written until now.
    Event(Event),
    /// Tell this event to those who follow events; stdout has it already or cannot have it.
    Record(Event),
    /// Show this text.
    Print(String),
    /// Show this much, and keep lines up to this many bytes, of all that the nodes write
    /// from now on.
    Configure { stdout: LogStdout, max_line: usize },
    /// Send lines to somebody from now on.
    FollowLines(LineFollowing),
    /// Send events to somebody from now on.
    FollowEvents(EventFollowing),
    /// Take what is left in the pipes, until then, and end.
    Finish { deadline: Instant },
}

/// The thread's letter box.
#[derive(Debug)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    waker: Arc<Waker>,
}

#[derive(Debug, Default)]
struct State {
    commands: VecDeque<Command>,
    closed: bool,
    events_lost: u64,
}

impl Mailbox {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        Self {
            state: Mutex::default(),
            waker,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a command. Events and texts beyond the bound are counted and lost; everything
    /// is lost after the end, when dropping a command tells whoever waits for its answer.
    pub(crate) fn post(&self, command: Command) {
        let mut state = self.lock();
        let shown = matches!(
            command,
            Command::Event(_) | Command::Record(_) | Command::Print(_)
        );
        if state.closed || (shown && state.commands.len() >= WAITING_MAX) {
            state.events_lost += u64::from(shown);
            return;
        }
        state.commands.push_back(command);
        drop(state);
        self.waker.wake();
    }

    /// Takes everything.
    pub(crate) fn collect(&self) -> VecDeque<Command> {
        std::mem::take(&mut self.lock().commands)
    }

    /// Takes the last letters; nothing comes after them.
    pub(crate) fn close(&self) -> VecDeque<Command> {
        let mut state = self.lock();
        state.closed = true;
        std::mem::take(&mut state.commands)
    }

    /// Events that were lost since the start.
    pub(crate) fn events_lost(&self) -> u64 {
        self.lock().events_lost
    }
}
