//! What the shell keeps of a node: everything that the core must not know.

use std::os::fd::OwnedFd;

use jiff::Timestamp;
use nix::unistd::Pid;
use repram_discovery::slot::Slot;
use repram_discovery::sockets::SlotSockets;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::fleet::NodeIndex;
use crate::siblings::SiblingLink;

/// One node, as the shell knows it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) index: NodeIndex,
    pub(super) name: String,
    pub(super) uuid: Uuid,
    pub(super) slot: Option<Slot>,
    /// The sockets of the slot. None without a slot, and while a program that binds its
    /// ports itself runs.
    pub(super) sockets: Option<SlotSockets>,
    /// Where the node is to move, when it has to leave its slot and there is another.
    pub(super) next: Option<SlotSockets>,
    /// When it must have left its slot at the latest, if a stronger claim has it.
    pub(super) leaves_by: Option<Instant>,
    /// Who holds what, while the claimer has found no slot for it in the domain.
    pub(super) refused: Option<String>,
    /// Since when it has its slot.
    pub(super) held_since: Timestamp,
    pub(super) process: Option<Running>,
    /// The process group of the last process, as long as it may have members.
    pub(super) group: Option<Pid>,
}

/// What belongs to one process of a node, and ends with it.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) pid: u32,
    pub(super) link: Option<SiblingLink>,
    listening: AbortHandle,
    /// The question that it is asked or was asked last.
    question: Option<AbortHandle>,
}

impl Running {
    pub(super) fn new(pid: u32, link: Option<SiblingLink>, listening: AbortHandle) -> Self {
        Self {
            pid,
            link,
            listening,
            question: None,
        }
    }

    /// It is asked something. Once it has ended nobody waits for the answer, so that a node is
    /// never asked twice at the same time.
    pub(super) fn asked(&mut self, question: AbortHandle) {
        self.question = Some(question);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.listening.abort();
        if let Some(question) = &self.question {
            question.abort();
        }
    }
}

/// The two ends of the pipe that takes a node's standard output and standard error.
pub(super) struct OutputPipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
}

impl Member {
    /// A node without a slot.
    pub(super) fn new(index: NodeIndex, name: String, uuid: Uuid) -> Self {
        Self {
            index,
            name,
            uuid,
            slot: None,
            sockets: None,
            next: None,
            leaves_by: None,
            refused: None,
            held_since: Timestamp::UNIX_EPOCH,
            process: None,
            group: None,
        }
    }

    /// Takes the sockets of a slot into its keeping.
    pub(super) fn hold(&mut self, sockets: SlotSockets) {
        self.held_since = Timestamp::now();
        self.slot = Some(sockets.slot());
        self.sockets = Some(sockets);
    }
}
