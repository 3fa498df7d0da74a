//! From the command line to a running fleet, and to its end.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal};
use std::net::UdpSocket;
use std::process::ExitCode;

use jiff::Timestamp;
use repram_config::{ClaimScope, Loaded, Problem, Problems, Settings};
use repram_discovery::chain::chain;
use repram_discovery::descriptors::make_room;
use repram_discovery::domain;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::descriptors::Descriptors;
use super::events::{self, NEWS_MAX, News, Sources};
use super::ingress::Ingress;
use super::launch::Launcher;
use super::places::Places;
use super::reload::Reloading;
use super::settling::Settling;
use super::shell::Shell;
use super::slots::{NoSlots, Slots};
use super::source::{ReadError, Reading, Source};
use super::{asking, descriptors, secret, serving, slots};
use crate::cli::{RunOptions, code};
use crate::control::{Control, Gate, Request};
use crate::fleet::{Fleet, FleetConfig, OnFailed, RestartPolicy};
use crate::notify::NotifySockets;
use crate::oom::OomWatch;
use crate::program::Program;
use crate::reaper::{self, Bystanders};
use crate::signals::{self, HeldSignals, Signals};
use crate::stderr::tell;
use crate::stop_budget::StopBudget;
use crate::terminal::Terminal;
use crate::wall_clock::WallClock;

/// Why the fleet was not started.
pub(super) enum Refused {
    /// The settings cannot be used.
    Settings(Problems),
    /// Too few slots are free: what was found, line by line.
    Ports(Vec<String>),
    /// The system refused something that always works.
    System(String),
}

/// Runs the fleet in the foreground until it has ended. Must be called by the main
/// thread, with all signals held: nodes die with the thread that started them.
#[must_use]
pub fn run(options: RunOptions, held: HeldSignals) -> ExitCode {
    warn_on_stderr();
    let descriptors = Descriptors::raise();
    make_room(descriptors::ROOM);
    let source = Source::of_this_process(options);
    // Meanwhile this thread finds out where it is.
    let reading = source.begin();
    let origin = Origin::of_this_process(descriptors);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&Refused::system("no event loop", &error)),
    };
    let ended = runtime.block_on(async {
        let signals = Signals::take_over(held);
        let signals = signals.map_err(|error| Refused::system("signals", &error))?;
        start_and_run((source, reading), origin, signals).await
    });
    // A question to a name server may still be under way, and nobody waits for the answer.
    runtime.shutdown_background();
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(refused) => refuse(&refused),
    }
}

/// Shows what our libraries warn of, such as an identity that cannot be kept.
fn warn_on_stderr() {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}

fn refuse(refused: &Refused) -> ExitCode {
    match refused {
        Refused::Settings(problems) => {
            tell(problems);
            ExitCode::from(code::CONFIG)
        }
        Refused::Ports(lines) => {
            for line in lines {
                tell(format!("supervisor: {line}"));
            }
            ExitCode::from(code::UNAVAILABLE)
        }
        Refused::System(what) => {
            tell(format!("supervisor: {what}"));
            ExitCode::from(code::INTERNAL)
        }
    }
}

impl Refused {
    pub(super) fn system(what: &str, error: &dyn std::error::Error) -> Self {
        Self::System(format!("{what}: {}", chain(error)))
    }

    pub(super) fn setting(problem: Problem) -> Self {
        Self::settings(vec![problem])
    }

    pub(super) fn settings(problems: Vec<Problem>) -> Self {
        Self::Settings(Problems::new(problems).expect("there is a problem"))
    }
}

/// Starts, runs and ends the fleet. A signal that asks for the end is heard all the while.
async fn start_and_run(
    asked: (Source, Reading),
    origin: Origin,
    mut signals: Signals,
) -> Result<u8, Refused> {
    reaper::become_subreaper().map_err(|error| Refused::system("prctl", &error))?;
    let terminal = origin.terminal;
    let started = tokio::select! {
        biased;
        by = stop_asked(&mut signals, terminal) => {
            tell(format!(
                "supervisor: stopped before the first node was started, asked by {by}"
            ));
            return Ok(code::OK);
        }
        started = start(asked, origin) => started?,
    };
    let Started {
        mut shell,
        control,
        news,
        requests,
    } = started;
    let sources = Sources {
        signals,
        news,
        requests,
    };
    let exit = events::run(&mut shell, sources).await;
    say_last_words(&mut shell, control).await;
    Ok(exit)
}

/// A fleet that is about to begin.
struct Started {
    shell: Shell,
    control: Control,
    news: mpsc::Receiver<News>,
    requests: mpsc::Receiver<Request>,
}

/// Everything that comes before the first node. May be dropped at any point: no process was
/// started, and what it holds is let go of.
async fn start((source, reading): (Source, Reading), origin: Origin) -> Result<Started, Refused> {
    let mut loaded = load_settings(reading).await?;
    // What can be refused without having made anything comes first.
    let descriptors = origin.descriptors;
    let (domain, program) = (check_domain(&loaded).await, find_program(&loaded));
    let possible = (check_bind(&loaded), descriptors.check(&loaded));
    let (domain_is_here, program) = match (domain, program, possible) {
        (Ok(here), Ok(program), (Ok(()), Ok(()))) => (here, program),
        (domain, program, (bind, room)) => {
            let problems = domain.err().into_iter().chain(program.err());
            let problems = problems.chain(bind.err()).chain(room.err());
            return Err(Refused::settings(problems.collect()));
        }
    };
    settle_address(&mut loaded.settings, domain_is_here);
    let mut places = Places::open(&loaded)?;
    let (secrets, warning) =
        secret::choose(&loaded, domain_is_here, &places.state).map_err(Refused::setting)?;
    places.warnings.extend(warning);
    places
        .warnings
        .extend(unheard_claims(&loaded.settings, &program));
    places.warnings.extend(asking::unheard(&loaded, &program));
    places.warnings.extend(serving::warning(&loaded.settings));
    let gate = Gate::new(serving::token(&loaded.settings));
    let admin = serving::bind(&loaded, &gate)?;
    let mut slots = match Slots::claim(&loaded.settings, &secrets, &mut places.state).await {
        Ok(slots) => slots,
        Err(NoSlots::TooFew(lines)) => return Err(Refused::Ports(lines)),
        Err(NoSlots::System(what, error)) => return Err(Refused::system(what, &error)),
    };

    let ingress = Ingress::bind(&loaded.settings).map_err(Refused::Ports)?;
    places.warnings.append(&mut slots.news);
    let notify = NotifySockets::below(places.state.path());
    let limit = descriptors.of_nodes;
    let launcher = Launcher::new(&loaded.settings, program, secrets, notify, limit)
        .map_err(|error| Refused::system("/dev/null", &error))?;
    let (control, requests) = serving::serve(&loaded.settings, &places, admin)?;
    let (sender, news) = mpsc::channel(NEWS_MAX);
    let fleet = Fleet::new(fleet_config(&loaded, &launcher.program, descriptors));
    let without = std::mem::take(&mut slots.without);
    let reloading = Reloading {
        source,
        domain_is_here,
        descriptors,
        gate,
    };
    let mut shell = build_shell(
        (loaded.settings, reloading),
        fleet,
        places,
        (slots, ingress),
        launcher,
        sender,
        origin,
    );
    shell.tell_claims(without);
    Ok(Started {
        shell,
        control,
        news,
        requests,
    })
}

async fn load_settings(reading: Reading) -> Result<Loaded, Refused> {
    let loaded = reading.loaded().await.map_err(|error| match error {
        ReadError::Settings(problems) => Refused::Settings(problems),
        error @ ReadError::Thread(_) => Refused::System(chain(&error)),
    })?;
    for warning in &loaded.warnings {
        tell(format!("supervisor: {warning}"));
    }
    Ok(loaded)
}

/// Where the domain is this machine, nodes are found at `localhost`.
pub(super) fn settle_address(settings: &mut Settings, domain_is_here: bool) {
    if domain_is_here && settings.flux_app_name.is_none() {
        let address = &mut settings.node_address;
        address.get_or_insert_with(|| "localhost".to_owned());
    }
}

/// Waits for a signal that asks for the end, and says whose. Others mean nothing as long as
/// no node runs.
async fn stop_asked(signals: &mut Signals, terminal: Terminal) -> String {
    loop {
        let came = signals.next().await;
        let asks = |origin: &&signals::Origin| match origin.signal {
            SIGTERM | SIGINT | SIGQUIT => true,
            SIGHUP => terminal.went_away(),
            _ => false,
        };
        if let Some(origin) = came.iter().find(asks) {
            return signals::describe(origin);
        }
    }
}

/// Lets go of the ports, writes the last lines and gives the last answers. All of it together
/// takes no longer than the budget of a stop leaves for it.
async fn say_last_words(shell: &mut Shell, control: Control) {
    let limit = StopBudget::of(shell.settings.stop_timeout).last_words;
    let end = Instant::now() + limit;
    // Two things that may hang, at the same time; who follows the logs is answered after
    // these have ended.
    let logs = shell.logs.clone();
    let (send, written) = oneshot::channel();
    let writing = std::thread::Builder::new().spawn(move || {
        logs.finish(limit * 3 / 4);
        let _ = send.send(());
    });
    shell.leave_slots(limit / 2).await;
    match writing {
        // An error would be a thread that has panicked.
        Ok(_) => drop(written.await),
        Err(_) => shell.logs.finish(limit / 4),
    }
    control
        .finish(end.saturating_duration_since(Instant::now()))
        .await;
}

/// What is to be known before anything is done.
struct Origin {
    started: Instant,
    started_at: Timestamp,
    terminal: Terminal,
    bystanders: Bystanders,
    descriptors: Descriptors,
    oom: OomWatch,
}

impl Origin {
    fn of_this_process(descriptors: Descriptors) -> Self {
        let started = Instant::now();
        Self {
            started,
            started_at: Timestamp::now(),
            terminal: Terminal::of_this_process(),
            bystanders: Bystanders::of_this_process(),
            descriptors,
            oom: OomWatch::of_this_process(started.elapsed()),
        }
    }
}

/// Other hosts ask a port whether it is taken, and the program has to answer.
fn unheard_claims(settings: &Settings, program: &Program) -> Option<String> {
    let warning = "CLAIM_SCOPE=domain with NODE_COMMAND: other hosts believe that a port is taken \
                   only when the program answers GET /health with a JSON object whose uuid is \
                   REPRAM_NODE_UUID";
    let over_domain = settings.claim_scope == ClaimScope::Domain;
    (over_domain && !program.is_repram_node).then(|| warning.to_owned())
}

pub(super) fn find_program(loaded: &Loaded) -> Result<Program, Problem> {
    let command = loaded.settings.node_command.as_deref();
    Program::from_setting(command).map_err(|error| {
        let allowed = "a program, or a repram-node beside the supervisor";
        loaded.problem("node_command", chain(&error), allowed)
    })
}

fn build_shell(
    (settings, reloading): (Settings, Reloading),
    fleet: Fleet,
    places: Places,
    (slots, ingress): (Slots, Option<Ingress>),
    launcher: Launcher,
    news: mpsc::Sender<News>,
    origin: Origin,
) -> Shell {
    let shell = Shell {
        fleet,
        members: slots.members,
        claimer: slots.claimer,
        ingress,
        range: slots::range(&settings),
        state: places.state,
        launcher,
        logs: places.logs,
        _log_lock: places.log_lock,
        news,
        prober: None,
        oom: origin.oom,
        terminal: origin.terminal,
        bystanders: origin.bystanders,
        started: origin.started,
        wall_clock: WallClock::starting(origin.started_at),
        table_shown: Cell::new(false),
        tally: RefCell::default(),
        settling: Settling::default(),
        changes: 0,
        exit: None,
        settings,
        reloading,
    };
    for warning in places.warnings {
        shell.warn(warning);
    }
    shell
}

/// Refuses an address that this machine does not have: no port is free there.
fn check_bind(loaded: &Loaded) -> Result<(), Problem> {
    let address = loaded.settings.bind_address;
    match UdpSocket::bind((address, 0)) {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            let allowed = "an address of this machine, or `::` or `0.0.0.0` for all of them";
            Err(loaded.problem("bind_address", address.to_string(), allowed))
        }
        // Why nothing else can be bound is told where it is tried.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether the domain is this machine. Nodes that others look for elsewhere must not
/// listen where only this machine reaches them.
async fn check_domain(loaded: &Loaded) -> Result<bool, Problem> {
    let settings = &loaded.settings;
    let here = domain::locate(&settings.discovery_domain)
        .await
        .is_this_machine();
    if here || !settings.bind_address.is_loopback() {
        return Ok(here);
    }
    let allowed = format!(
        "an address that other machines reach, such as `::`, because DISCOVERY_DOMAIN {} is not \
         this machine",
        settings.discovery_domain
    );
    let found = settings.bind_address.to_string();
    Err(loaded.problem("bind_address", found, allowed))
}

pub(super) fn fleet_config(
    loaded: &Loaded,
    program: &Program,
    descriptors: Descriptors,
) -> FleetConfig {
    let settings = &loaded.settings;
    FleetConfig {
        node_count: settings.node_count,
        start_stagger: settings.start_stagger,
        restart: RestartPolicy {
            delay: settings.restart_delay,
            delay_max: settings.restart_delay_max,
            stable: settings.restart_stable,
            budget: settings.restart_budget,
        },
        max_nodes: descriptors.max_nodes(settings),
        min_ready: settings.min_ready,
        min_ready_follows: !loaded.origins.is_set("min_ready"),
        rolling_soak: settings.rolling_soak,
        on_failed: match settings.on_failed {
            repram_config::OnFailed::SlowRetry => OnFailed::SlowRetry,
            repram_config::OnFailed::Exit => OnFailed::Exit,
            repram_config::OnFailed::Keep => OnFailed::Keep,
        },
        stop_timeout: settings.stop_timeout,
        start_timeout: settings.start_timeout,
        startup: asking::startup(settings),
        readiness: asking::readiness(settings),
        liveness: asking::liveness(settings),
        notifies: program.is_repram_node,
        seed: fastrand::u64(..),
    }
}
