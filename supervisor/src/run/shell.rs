//! Performs what the core decides.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use jiff::Timestamp;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use repram_config::Settings;
use repram_discovery::claim::{Claimant, Claimer, NoSlot, claim_on_host};
use repram_discovery::slot::PortRange;
use repram_discovery::sockets::SlotSockets;
use repram_discovery::state_dir::{DirLock, StateDir};
use repram_discovery::supervised::{Sibling, SupervisorMessage};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::events::News;
use super::ingress::Ingress;
use super::launch::{Launcher, Told};
use super::member::{Member, Running};
use super::reload::Reloading;
use super::settling::Settling;
use super::strangers;
use crate::event::{Event, EventKind};
use crate::fleet::{Fleet, Input, NodeIndex, Output, Ports, Sig, Time};
use crate::logs::Logs;
use crate::metrics::Tally;
use crate::oom::OomWatch;
use crate::probe::Prober;
use crate::reaper::{self, Bystanders};
use crate::terminal::Terminal;
use crate::wall_clock::WallClock;

/// Everything that the core's outputs act on.
pub(super) struct Shell {
    pub(super) settings: Settings,
    pub(super) reloading: Reloading,
    pub(super) fleet: Fleet,
    pub(super) members: Vec<Member>,
    /// Claims slots where ports are unique over a domain.
    pub(super) claimer: Option<Claimer>,
    /// The front port, where there is one.
    pub(super) ingress: Option<Ingress>,
    pub(super) range: PortRange,
    pub(super) state: StateDir,
    pub(super) launcher: Launcher,
    pub(super) logs: Logs,
    /// Held until the end: LOG_DIR belongs to this supervisor.
    pub(super) _log_lock: Option<DirLock>,
    pub(super) news: mpsc::Sender<News>,
    /// None while nothing had to be asked: our own nodes notify.
    pub(super) prober: Option<Prober>,
    pub(super) oom: OomWatch,
    pub(super) bystanders: Bystanders,
    pub(super) terminal: Terminal,
    pub(super) started: Instant,
    pub(super) wall_clock: WallClock,
    /// Whether the table of nodes was shown, which happens when they are ready first.
    pub(super) table_shown: Cell<bool>,
    /// What metrics tell beside the status.
    pub(super) tally: RefCell<Tally>,
    /// Gives memory back when nothing happens.
    pub(super) settling: Settling,
    /// Changes of the fleet that were begun.
    pub(super) changes: u64,
    /// The code to end with, once the fleet has ended.
    pub(super) exit: Option<u8>,
}

impl Shell {
    /// Gives the core an input and performs its outputs, and so on with the answers.
    pub(super) fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.now();
            self.count(&input);
            for output in self.fleet.handle(input, now) {
                inputs.extend(self.perform(output));
            }
        }
        let any_ready = self.fleet.ready() > 0;
        let moved = self.ingress.as_mut().and_then(|it| it.follow(any_ready));
        if let Some(event) = moved {
            self.emit(None, event);
        }
    }

    /// Counts what no event tells of.
    fn count(&mut self, input: &Input) {
        let tally = self.tally.get_mut();
        match input {
            Input::Probed {
                node,
                check,
                answer,
                ..
            } => tally.probe(*node, *check, answer.passed, answer.latency),
            Input::Move { node, .. } => tally.moves(*node),
            _ => {}
        }
    }

    pub(super) fn now(&self) -> Time {
        self.started.elapsed()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.fleet.next_deadline().map(|time| self.started + time)
    }

    /// The dates of the core's times, by the wall clock as it is now.
    pub(super) fn wall_clock(&self) -> &WallClock {
        self.wall_clock.compare(Timestamp::now(), self.now());
        &self.wall_clock
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.fleet.phase() == crate::status::FleetPhase::Stopping
    }

    fn member(&mut self, node: NodeIndex) -> &mut Member {
        &mut self.members[node.at()]
    }

    /// The node whose main process this is.
    pub(super) fn node_of(&self, pid: Pid) -> Option<NodeIndex> {
        let is_it = |member: &&Member| {
            member
                .process
                .as_ref()
                .is_some_and(|process| process.pid == pid.as_raw().cast_unsigned())
        };
        self.members.iter().find(is_it).map(|member| member.index)
    }

    fn perform(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Add(node) => {
                self.add_member(node);
                None
            }
            Output::Remove(node) => {
                self.remove_member(node);
                None
            }
            Output::Claim(node) => self.claim_again(node),
            Output::Vacated(node) => {
                self.vacated(node);
                None
            }
            Output::Spawn(node) => Some(self.spawn(node)),
            Output::Signal { node, pid, signal } => {
                if let (Sig::Kill, Some(process)) = (signal, &mut self.member(node).process) {
                    process.killed = true;
                }
                signal_group(pid, signal);
                None
            }
            Output::Clear { node, pid, signal } => Some(self.clear(node, pid, signal)),
            Output::ClearStrays => Some(Input::StraysCleared {
                left: reaper::kill_children(&self.bystanders),
            }),
            Output::Door { node, open } => {
                self.move_door(node, open);
                None
            }
            Output::Probe { node, pid, check } => self.ask(node, pid, check),
            Output::Siblings => {
                self.tell_siblings();
                None
            }
            Output::StopTogether(nodes) => {
                self.tell_who_stops(&nodes);
                None
            }
            Output::Emit { node, kind } => {
                self.emit(node, kind);
                None
            }
            Output::Exit { code } => {
                self.exit = Some(code);
                None
            }
        }
    }

    pub(super) fn emit(&self, node: Option<NodeIndex>, kind: EventKind) {
        self.tally.borrow_mut().event(node, &kind);
        let node = node.map(NodeIndex::name);
        let became_ready = matches!(kind, EventKind::FleetReady { .. });
        if let EventKind::FleetStopping { .. } = kind {
            tell_our_own_supervisor("STOPPING=1");
        }
        self.logs.event(&Event {
            time: Timestamp::now(),
            node,
            kind,
        });
        if became_ready {
            self.settling.begin();
        }
        if became_ready && !self.table_shown.replace(true) {
            self.print_status();
            tell_our_own_supervisor("READY=1");
        }
    }

    pub(super) fn warn(&self, message: impl Into<String>) {
        self.emit(
            None,
            EventKind::Warning {
                message: message.into(),
            },
        );
    }

    /// Starts the process of a node. What it needs and cannot be had is reported like a
    /// program that could not be executed.
    fn spawn(&mut self, node: NodeIndex) -> Input {
        if self.members[node.at()].slot.is_none() {
            let holders = "somebody took the port while its door was opened".to_owned();
            return Input::SlotLost { node, holders };
        }
        let told = Told {
            claim: self.hand_over(node),
            siblings: self.siblings_of(node),
            node_count: self.fleet.node_count(),
            min_ready: self.fleet.min_ready(),
        };
        let (member, ingress) = (&mut self.members[node.at()], self.ingress.as_ref());
        let shared = (&self.logs, &self.news);
        self.launcher
            .launch(member, told, ingress, &mut self.state, shared)
    }

    fn clear(&mut self, node: NodeIndex, pid: u32, signal: Option<Sig>) -> Input {
        let mains: Vec<Pid> = self
            .members
            .iter()
            .filter_map(|member| member.process.as_ref())
            .map(|process| Pid::from_raw(process.pid.cast_signed()))
            .collect();
        let kill = signal.filter(|signal| *signal == Sig::Kill).map(signal_of);
        let member = &mut self.members[node.at()];
        // The group was told to finish together with the main process; strays were not.
        member.group = member
            .group
            .filter(|group| reaper::group_lives(*group, kill));
        let strays = reaper::strays_of(member.uuid, &mains, signal.map(signal_of));
        let left = usize::from(member.group.is_some()) + strays;
        Input::Cleared { node, pid, left }
    }

    /// The main process of a node is reaped: its pid means nothing any more.
    pub(super) fn process_ended(&mut self, node: NodeIndex) -> Option<Running> {
        let member = self.member(node);
        let ended = member.process.take();
        let group = ended.as_ref().map(|process| process.pid.cast_signed());
        member.group = group.map(Pid::from_raw);
        ended
    }

    fn move_door(&mut self, node: NodeIndex, open: bool) {
        let stood_in = if open { None } else { self.stand_in(node) };
        let member = &mut self.members[node.at()];
        let Some(sockets) = &member.sockets else {
            return;
        };
        let moved = match stood_in {
            Some(stood_in) => stood_in,
            None if open => sockets.open_door(),
            None => sockets.close_door(),
        };
        let Err(error) = moved else { return };
        let verb = if open { "opened" } else { "closed" };
        let message = format!("the door of {} could not be {verb}: {error}", member.name);
        if open {
            // Somebody came between: the slot is lost, which the next start finds out.
            (member.sockets, member.slot) = (None, None);
        }
        self.warn(message);
    }

    /// Looks for a slot in the background: a second pass takes a moment.
    fn claim_again(&mut self, node: NodeIndex) -> Option<Input> {
        if self.claimer.is_some() {
            return self.claim_anew(node);
        }
        let (range, bind, news) = (self.range, self.settings.bind_address, self.news.clone());
        let member = &self.members[node.at()];
        let last_slot = self.state.identity(&member.name).last_slot;
        let claimant = Claimant {
            uuid: member.uuid,
            last_slot,
        };
        tokio::spawn(async move {
            let claims = claim_on_host(&range, bind, &[claimant]).await;
            for claim in claims {
                // The loop is over when nobody listens, and the sockets go with the message.
                let _ = news.send(News::Claimed { node, claim }).await;
            }
        });
        None
    }

    /// Takes the outcome of a claim, and says what the core is to be told. Nothing when the
    /// node has left the fleet meanwhile, or came back and has a slot already.
    pub(super) fn take_claim(
        &mut self,
        node: NodeIndex,
        claim: Result<SlotSockets, NoSlot>,
    ) -> Option<Input> {
        let member = self.members.get_mut(node.at())?;
        if member.slot.is_some() {
            return None;
        }
        Some(match claim {
            Ok(sockets) => {
                member.hold(sockets);
                self.note_claim(node)
            }
            Err(no_slot) => Input::NotClaimed {
                node,
                holders: strangers::lines(&no_slot.tried).join("; "),
            },
        })
    }

    /// A node holds a slot: notes it for the next start, and says so to the core.
    fn note_claim(&mut self, node: NodeIndex) -> Input {
        let member = &self.members[node.at()];
        let slot = member.slot.expect("it has just got one");
        self.state.remember_slot(&member.name, slot.index);
        let ports = Ports::of(slot);
        Input::Claimed { node, ports }
    }

    /// Tells the core of the claims that were made before it existed.
    pub(super) fn tell_claims(&mut self, without: Vec<(NodeIndex, Vec<String>)>) {
        for index in 0..self.members.len() {
            if self.members[index].slot.is_some() {
                let input = self.note_claim(self.members[index].index);
                self.feed(input);
            }
        }
        for (node, lines) in without {
            let holders = lines.join("; ");
            self.feed(Input::NotClaimed { node, holders });
        }
    }

    /// All other nodes, as one of them is told.
    fn siblings_of(&self, node: NodeIndex) -> Vec<Sibling> {
        let others = self.fleet.siblings().filter(|sibling| sibling.node != node);
        others
            .map(|sibling| {
                let member = &self.members[sibling.node.at()];
                Sibling {
                    node_id: member.name.clone(),
                    uuid: member.uuid,
                    generation: sibling.generation,
                    port: sibling.ports.http,
                    gossip_port: sibling.ports.gossip,
                    state: sibling.state,
                }
            })
            .collect()
    }

    fn tell_siblings(&self) {
        for member in &self.members {
            let message = || SupervisorMessage::Siblings(self.siblings_of(member.index));
            self.tell(member, message);
        }
    }

    fn tell_who_stops(&self, nodes: &[NodeIndex]) {
        let uuids: Vec<Uuid> = nodes
            .iter()
            .map(|node| self.members[node.at()].uuid)
            .collect();
        for node in nodes {
            let message = || SupervisorMessage::StopTogether(uuids.clone());
            self.tell(&self.members[node.at()], message);
        }
    }

    fn tell(&self, member: &Member, message: impl FnOnce() -> SupervisorMessage) {
        let link = member
            .process
            .as_ref()
            .and_then(|process| process.link.as_ref());
        if let Some(link) = link
            && let Err(error) = link.send(&message())
        {
            self.warn(format!(
                "{} cannot be told of its siblings: {error}",
                member.name
            ));
        }
    }
}

/// Says something to whoever runs the supervisor, if it listens (sd_notify(3)).
fn tell_our_own_supervisor(message: &str) {
    let _ = repram_discovery::notify::notify(message);
}

/// A group that is gone needs no signal.
fn signal_group(pid: u32, signal: Sig) {
    let _ = killpg(Pid::from_raw(pid.cast_signed()), signal_of(signal));
}

fn signal_of(signal: Sig) -> Signal {
    match signal {
        Sig::Term => Signal::SIGTERM,
        Sig::Kill => Signal::SIGKILL,
    }
}
