//! Starting one process of a node, with everything that the node contract promises it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use repram_config::Settings;
use repram_discovery::chain::chain;
use repram_discovery::claim::conversation::ClaimFields;
use repram_discovery::notify::NOTIFY_SOCKET;
use repram_discovery::secret::Secret;
use repram_discovery::sockets::SlotSockets;
use repram_discovery::state_dir::StateDir;
use repram_discovery::supervised::{Hello, Sibling, SupervisorMessage};
use tokio::sync::mpsc;

use super::asking;
use super::events::News;
use super::ingress::Ingress;
use super::member::{Member, OutputPipe, Running};
use super::strangers;
use crate::environment::{self, Variable};
use crate::fleet::{Input, LivenessPolicy, NodeIndex};
use crate::logs::Logs;
use crate::notify::{NotifySocket, NotifySockets};
use crate::program::Program;
use crate::siblings::SiblingLink;
use crate::spawn::{Own, Spawn, SpawnError, Surroundings};

/// The first descriptor that is passed, as sd_listen_fds(3) has it.
const FIRST_PASSED: usize = 3;

/// What sd_listen_fds_with_names(3) tells of the descriptors that are passed.
const PASSED_NAMES: [&str; 4] = ["http", "gossip", "gossip-udp", "ingress"];

/// When memory runs out, nodes go before the supervisor.
const OOM_SCORE_ABOVE_OURS: i16 = 500;
const OOM_SCORE_MAX: i16 = 1000;

/// Starts processes; what is the same for all of them.
pub(super) struct Launcher {
    pub(super) program: Program,
    /// The variables that all of them get.
    common: Vec<Variable>,
    secrets: Secrets,
    /// How nodes are watched, which says what WATCHDOG_USEC they get.
    pub(super) liveness: Option<LivenessPolicy>,
    passes_sockets: bool,
    bind: std::net::IpAddr,
    null: File,
    notify: NotifySockets,
    oom_score_adj: i16,
    /// The soft limit on descriptors of nodes; none when it is ours.
    descriptor_limit: Option<u64>,
}

/// The secrets of the gossip network: the one in use, and the one before it.
#[derive(Default)]
pub(super) struct Secrets {
    pub(super) current: Option<Secret>,
    pub(super) previous: Option<Secret>,
}

/// What a node of ours is told of its own place and of the others when it starts.
pub(super) struct Told {
    /// The claim of its slot, where ports are unique over a domain.
    pub(super) claim: Option<ClaimFields>,
    pub(super) siblings: Vec<Sibling>,
    /// Nodes that share the machine now, whatever was set when the supervisor started.
    pub(super) node_count: u16,
    /// MIN_READY of so many.
    pub(super) min_ready: u16,
}

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    #[error("its channels could not be opened")]
    Channel(#[source] io::Error),
    #[error("its sockets could not be handed over")]
    Sockets(#[source] io::Error),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl Launcher {
    /// # Errors
    /// When `/dev/null` cannot be opened.
    pub(super) fn new(
        settings: &Settings,
        program: Program,
        secrets: Secrets,
        notify: NotifySockets,
        descriptor_limit: Option<u64>,
    ) -> io::Result<Self> {
        Ok(Self {
            common: environment::common(std::env::vars_os(), settings),
            secrets,
            liveness: asking::liveness(settings),
            passes_sockets: settings.node_sockets,
            bind: settings.bind_address,
            null: File::open("/dev/null")?,
            notify,
            oom_score_adj: oom_score_of_nodes(),
            descriptor_limit,
            program,
        })
    }

    /// What processes are started with from now on. Whether they get sockets, and where those
    /// are bound, stays.
    pub(super) fn configure(&mut self, settings: &Settings, program: Program, secrets: Secrets) {
        self.common = environment::common(std::env::vars_os(), settings);
        self.liveness = asking::liveness(settings);
        (self.program, self.secrets) = (program, secrets);
    }

    /// The secrets that nodes get.
    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Starts a process for the member, which has none, and says what came of it.
    pub(super) fn launch(
        &mut self,
        member: &mut Member,
        told: Told,
        ingress: Option<&Ingress>,
        state: &mut StateDir,
        shared: (&Logs, &mpsc::Sender<News>),
    ) -> Input {
        let node = member.index;
        let generation = state.next_generation(&member.name);
        // A program that binds its ports itself finds them free, and nobody else could
        // have had them until now.
        if !self.passes_sockets
            && let Err(holders) = self.let_go(member)
        {
            member.slot = None;
            return Input::SlotLost { node, holders };
        }
        match self.start(member, generation, told, ingress, shared) {
            Ok(running) => {
                let pid = running.pid;
                member.process = Some(running);
                Input::Spawned {
                    node,
                    pid,
                    generation,
                }
            }
            Err(error) => Input::SpawnFailed {
                node,
                error: chain(&error),
            },
        }
    }

    /// Makes sure that the slot is free at this moment, and lets go of it.
    fn let_go(&self, member: &mut Member) -> Result<(), String> {
        if member.sockets.take().is_some() {
            return Ok(());
        }
        let slot = member.slot.expect("only a node with a slot is started");
        SlotSockets::bind(self.bind, slot)
            .map(drop)
            .map_err(|taken| strangers::line(&taken))
    }

    fn start(
        &mut self,
        member: &Member,
        generation: u64,
        told: Told,
        ingress: Option<&Ingress>,
        (logs, news): (&Logs, &mpsc::Sender<News>),
    ) -> Result<Running, LaunchError> {
        let notify = self
            .notify
            .open(&member.name)
            .map_err(LaunchError::Channel)?;
        let output = output_pipe().map_err(LaunchError::Channel)?;
        let numbers = (told.node_count, told.min_ready);
        let channel = self
            .open_link(generation, told)
            .map_err(LaunchError::Channel)?;
        let mut descriptors = Vec::new();
        if let Some(sockets) = &member.sockets {
            sockets.prepare_handover().map_err(LaunchError::Sockets)?;
            descriptors = vec![sockets.http(), sockets.gossip(), sockets.gossip_udp()];
            descriptors.extend(ingress.map(|ingress| ingress.front.as_fd()));
        }
        let mut own = self.variables_of(member, &notify, descriptors.len(), channel.is_some());
        for (name, number) in [("NODE_COUNT", numbers.0), ("MIN_READY", numbers.1)] {
            own.push((name.into(), number.to_string().into()));
        }
        let theirs: Option<BorrowedFd<'_>> = channel.as_ref().map(|(_, theirs)| theirs.as_fd());
        descriptors.extend(theirs);
        let spawn = Spawn {
            arguments: &self.program.arguments,
            environment: environment::whole(&self.common, &own),
            pid_variables: self.pid_variables(),
            surroundings: Surroundings::Own(Own {
                descriptors,
                stdin: self.null.as_fd(),
                output: output.write.as_fd(),
                oom_score_adj: self.oom_score_adj,
                descriptor_limit: self.descriptor_limit,
            }),
        };
        let pid = spawn.start()?.as_raw().cast_unsigned();
        logs.attach(&member.name, generation, output.read);
        let listening = tokio::spawn(listen(notify, member.index, pid, news.clone()));
        let link = channel.map(|(link, _)| link);
        Ok(Running::new(pid, link, listening.abort_handle()))
    }

    /// The channel to our own node, with the first message in it.
    fn open_link(&self, generation: u64, told: Told) -> io::Result<Option<(SiblingLink, OwnedFd)>> {
        if !self.program.is_repram_node {
            return Ok(None);
        }
        let (link, theirs) = SiblingLink::open()?;
        let hello = Hello {
            secret: self.secrets.current.clone(),
            secret_previous: self.secrets.previous.clone(),
            generation,
            claim: told.claim,
            siblings: told.siblings,
        };
        link.send(&SupervisorMessage::Hello(hello))
            .map_err(io::Error::other)?;
        Ok(Some((link, theirs)))
    }

    fn pid_variables(&self) -> &'static [&'static str] {
        match (self.passes_sockets, self.liveness.is_some()) {
            (true, true) => &["LISTEN_PID", "WATCHDOG_PID"],
            (true, false) => &["LISTEN_PID"],
            (false, true) => &["WATCHDOG_PID"],
            (false, false) => &[],
        }
    }

    /// The variables of one process. `passed` sockets: none, those of the slot, or these and
    /// the front port.
    fn variables_of(
        &self,
        member: &Member,
        notify: &NotifySocket,
        passed: usize,
        link: bool,
    ) -> Vec<Variable> {
        let slot = member.slot.expect("only a node with a slot is started");
        let mut own = vec![(NOTIFY_SOCKET.into(), notify.address())];
        let mut set = |name: &str, value: String| own.push((name.into(), value.into()));
        set("REPRAM_NODE_ID", member.name.clone());
        set("REPRAM_NODE_UUID", member.uuid.to_string());
        set("REPRAM_HTTP_PORT", slot.http.to_string());
        set("REPRAM_GOSSIP_PORT", slot.gossip.to_string());
        set("PORT", slot.http.to_string());
        if passed > 0 {
            set("LISTEN_FDS", passed.to_string());
            set("LISTEN_FDNAMES", PASSED_NAMES[..passed].join(":"));
        }
        if link {
            set("REPRAM_SUPERVISOR_FD", (FIRST_PASSED + passed).to_string());
        }
        if let Some(policy) = &self.liveness {
            set("WATCHDOG_USEC", policy.watchdog().as_micros().to_string());
        }
        own
    }
}

fn output_pipe() -> io::Result<OutputPipe> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    Ok(OutputPipe { read, write })
}

/// Passes on what a process notifies, until it is dropped with the process.
async fn listen(socket: NotifySocket, node: NodeIndex, pid: u32, news: mpsc::Sender<News>) {
    while let Ok(notices) = socket.next().await {
        if news
            .send(News::Notified { node, pid, notices })
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Our own score and five hundred more, as far as that goes.
fn oom_score_of_nodes() -> i16 {
    let ours = std::fs::read_to_string("/proc/self/oom_score_adj")
        .ok()
        .and_then(|text| text.trim().parse::<i16>().ok())
        .unwrap_or(0);
    (ours + OOM_SCORE_ABOVE_OURS).min(OOM_SCORE_MAX)
}
