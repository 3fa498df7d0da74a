//! What the settings say of probes, and asking a node.

use std::net::SocketAddr;
use std::time::Duration;

use nix::unistd::Pid;
use repram_config::{Loaded, Probe, ProbePort, Settings};

use super::events::News;
use super::shell::Shell;
use crate::fleet::{Answer, Asks, Check, Input, LivenessPolicy, NodeIndex, ProbePolicy};
use crate::probe::{Manner, Owner, Prober, Question, Success, reachable};
use crate::program::Program;

/// How one check asks: on which port, how, and how long an answer may take.
#[derive(Debug)]
struct Form {
    port: ProbePort,
    manner: Manner,
    timeout: Duration,
}

/// What the startup probe follows; none when there is none.
pub(super) fn startup(settings: &Settings) -> Option<ProbePolicy> {
    (settings.startup_probe != Probe::Off).then_some(ProbePolicy {
        initial_delay: settings.startup_initial_delay,
        period: settings.startup_period,
        success_threshold: 1,
        failure_threshold: settings.startup_failure_threshold,
    })
}

/// What the readiness probe follows; none when there is none.
pub(super) fn readiness(settings: &Settings) -> Option<ProbePolicy> {
    (settings.readiness_probe != Some(Probe::Off)).then_some(ProbePolicy {
        initial_delay: settings.readiness_initial_delay,
        period: settings.readiness_period,
        success_threshold: settings.readiness_success_threshold,
        failure_threshold: settings.readiness_failure_threshold,
    })
}

/// What liveness probes and the watchdog follow; none when nobody's life is checked.
pub(super) fn liveness(settings: &Settings) -> Option<LivenessPolicy> {
    settings.liveness.then_some(LivenessPolicy {
        asks: match &settings.liveness_probe {
            None => Asks::Silent,
            Some(Probe::Off) => Asks::Nobody,
            Some(Probe::Http { .. } | Probe::Tcp { .. }) => Asks::Unwatched,
        },
        probe: ProbePolicy {
            initial_delay: settings.liveness_initial_delay,
            period: settings.liveness_period,
            success_threshold: 1,
            failure_threshold: settings.liveness_failures,
        },
    })
}

/// A warning for probes that are set and never asked: our own node says itself how it does.
pub(super) fn unheard(loaded: &Loaded, program: &Program) -> Option<String> {
    let probes = ["startup_probe", "readiness_probe", "liveness_probe"];
    let set = probes
        .into_iter()
        .filter(|key| program.is_repram_node && loaded.origins.is_set(key));
    let names: Vec<String> = set.map(str::to_ascii_uppercase).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("{names}: no effect, repram-node notifies and is not asked")
    })
}

impl Form {
    fn of(check: Check, settings: &Settings) -> Option<Self> {
        let (set, timeout) = match check {
            Check::Startup => (Some(&settings.startup_probe), settings.startup_timeout),
            Check::Readiness => (
                settings.readiness_probe.as_ref(),
                settings.readiness_timeout,
            ),
            Check::Liveness => (settings.liveness_probe.as_ref(), settings.liveness_timeout),
        };
        let http = |path: &str, success| Manner::Http {
            path: path.to_owned(),
            success,
        };
        let (port, manner) = match set {
            Some(Probe::Off) => return None,
            Some(Probe::Tcp { port }) => (*port, Manner::Tcp),
            Some(Probe::Http { port, path }) => (*port, http(path, Success::Good)),
            None if check == Check::Liveness => (ProbePort::Http, http("/live", Success::Anything)),
            None => (ProbePort::Http, http("/health", Success::NoFault)),
        };
        Some(Self {
            port,
            manner,
            timeout,
        })
    }
}

impl Shell {
    /// Asks a node. The answer comes as news; at once it is given only when the node cannot
    /// be asked.
    pub(super) fn ask(&mut self, node: NodeIndex, pid: u32, check: Check) -> Option<Input> {
        let question = self.question(node, pid, check);
        match question.and_then(|question| Ok((self.prober()?, question))) {
            Ok((prober, question)) => {
                let news = self.news.clone();
                let asking = tokio::spawn(async move {
                    let answer = prober.ask(&question).await;
                    let probed = News::Probed {
                        node,
                        pid,
                        check,
                        answer,
                    };
                    let _ = news.send(probed).await;
                });
                if let Some(process) = &mut self.members[node.at()].process {
                    process.asked(asking.abort_handle());
                }
                None
            }
            Err(summary) => Some(Input::Probed {
                node,
                pid,
                check,
                answer: Answer {
                    passed: false,
                    summary,
                    latency: Duration::ZERO,
                },
            }),
        }
    }

    fn question(&self, node: NodeIndex, pid: u32, check: Check) -> Result<Question, String> {
        let member = &self.members[node.at()];
        let form = Form::of(check, &self.settings).ok_or("there is no such probe")?;
        let slot = member.slot.ok_or("its slot was lost")?;
        let port = match form.port {
            ProbePort::Http => slot.http,
            ProbePort::Gossip => slot.gossip,
        };
        let address: SocketAddr = reachable(self.settings.bind_address, port);
        let owner = Owner {
            group: Pid::from_raw(pid.cast_signed()),
            uuid: member.uuid,
        };
        Ok(Question {
            address,
            manner: form.manner,
            timeout: form.timeout,
            owner: (!self.settings.node_sockets).then_some(owner),
        })
    }

    fn prober(&mut self) -> Result<Prober, String> {
        let prober = match &self.prober {
            Some(prober) => prober,
            None => {
                let made = Prober::new().map_err(|error| format!("no HTTP client: {error}"))?;
                self.prober.insert(made)
            }
        };
        Ok(prober.clone())
    }
}
