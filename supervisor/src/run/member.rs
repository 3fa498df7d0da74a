//! What the shell keeps of a node: everything that the core must not know.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::time::Duration;

use jiff::Timestamp;
use nix::unistd::Pid;
use repram_discovery::slot::Slot;
use repram_discovery::sockets::SlotSockets;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::fleet::NodeIndex;
use crate::siblings::SiblingLink;
use crate::status::ProcessUsage;
use crate::usage::Sample;

/// A share of a processor is taken over at least this time, where the process is that old:
/// the kernel counts in hundredths of a second.
const CPU_SPAN: Duration = Duration::from_secs(1);

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
    /// Whether we have sent it SIGKILL.
    pub(super) killed: bool,
    /// When its processor time was looked at last, and what it was.
    cpu_before: Cell<(Instant, Duration)>,
    listening: AbortHandle,
    /// The question that it is asked or was asked last.
    question: Option<AbortHandle>,
}

impl Running {
    pub(super) fn new(pid: u32, link: Option<SiblingLink>, listening: AbortHandle) -> Self {
        Self {
            pid,
            link,
            killed: false,
            cpu_before: Cell::new((Instant::now(), Duration::ZERO)),
            listening,
            question: None,
        }
    }

    /// What it uses now; none when it has just ended.
    pub(super) fn usage(&self) -> Option<ProcessUsage> {
        let Sample { rss, cpu } = Sample::of(self.pid)?;
        let (now, (then, before)) = (Instant::now(), self.cpu_before.get());
        let over = now - then;
        if over >= CPU_SPAN {
            self.cpu_before.set((now, cpu));
        }
        let used = cpu.saturating_sub(before).as_secs_f64();
        // The kernel counts in hundredths of a second.
        let percent = 100.0 * used / over.as_secs_f64().max(0.01);
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Some(ProcessUsage {
            rss,
            cpu_ms: millis(cpu),
            cpu_percent: (percent * 10.0).round() / 10.0,
            cpu_over_ms: millis(over),
        })
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
