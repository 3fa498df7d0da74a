//! Sessions, and connections for one request.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::connection::Connection;
use super::ledger::{Failure, Ledger, Tally, value_of};
use crate::wait::PATIENCE;

/// For how long a draining node keeps a connection on which nothing is asked.
const KEPT_IDLE: Duration = Duration::from_secs(1);

/// Connections that verify in the end.
const VERIFIERS: usize = 16;

/// How much load there is.
#[derive(Clone, Debug)]
pub struct LoadConfig {
    /// The nodes' ports.
    pub ports: Vec<u16>,
    /// Sessions, spread over the ports.
    pub sessions: usize,
    /// Pause of a session between two requests, on average. Well below a second, after
    /// which a draining node closes a connection that nobody uses.
    pub pause: Duration,
    /// Connections for one request each, per second.
    pub short_per_second: u32,
    /// Seed of what is asked where.
    pub seed: u64,
}

/// Load that goes on until it is ended.
pub struct Load {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    config: LoadConfig,
    ledger: Ledger,
}

impl Load {
    /// Begins.
    ///
    /// # Panics
    /// When there is no thread or event queue.
    #[must_use]
    pub fn start(config: LoadConfig) -> Self {
        let shared = Arc::new(Shared {
            config,
            ledger: Ledger::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("an event queue can be had");
        let running = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || runtime.block_on(run(running, stopped)));
        Self {
            shared,
            stop,
            thread: Some(thread.expect("a thread can be had")),
        }
    }

    /// How it is now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.shared.ledger.entries().tally.clone()
    }

    /// Ends the load, and reads everything that was acknowledged once more.
    ///
    /// # Panics
    /// When the load itself did.
    #[must_use]
    pub fn finish(mut self) -> Tally {
        self.stop.send_replace(true);
        let thread = self.thread.take().expect("it is ended once");
        thread.join().expect("the load does not panic");
        self.tally()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

async fn run(shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let mut sessions = JoinSet::new();
    for number in 0..shared.config.sessions {
        let port = shared.config.ports[number % shared.config.ports.len()];
        let random = fastrand::Rng::with_seed(shared.config.seed ^ number as u64);
        sessions.spawn(session(Arc::clone(&shared), port, random, stopped.clone()));
    }
    sessions.spawn(short_ones(Arc::clone(&shared), stopped));
    while sessions.join_next().await.is_some() {}
    verify(&shared).await;
}

/// One client that keeps its connection for as long as the server does.
async fn session(
    shared: Arc<Shared>,
    port: u16,
    mut random: fastrand::Rng,
    mut stopped: watch::Receiver<bool>,
) {
    let mut kept: Option<Connection> = None;
    let mut opened = 0_u64;
    loop {
        let pause = shared.config.pause.mul_f64(random.f64() * 2.0);
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            () = sleep(pause) => {}
        }
        let task = shared.next_task(&mut random);
        let connection = match kept.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => Some(connection),
            None => {
                opened += 1;
                shared.connect(port, task).await
            }
        };
        if let Some(connection) = connection {
            kept = shared.perform(connection, task, false).await;
        }
    }
    shared.ledger.entries().tally.reopened += opened.saturating_sub(1);
}

/// New connections at a steady rate. None waits for another.
async fn short_ones(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let Some(period) = Duration::from_secs(1).checked_div(shared.config.short_per_second) else {
        return;
    };
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut random = fastrand::Rng::with_seed(!shared.config.seed);
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            _ = ticks.tick() => {}
        }
        while under_way.try_join_next().is_some() {}
        let port = *random
            .choice(&shared.config.ports)
            .expect("there are nodes");
        let task = shared.next_task(&mut random);
        let shared = Arc::clone(&shared);
        under_way.spawn(async move {
            shared.ledger.entries().tally.short += 1;
            if let Some(connection) = shared.connect(port, task).await {
                shared.perform(connection, task, true).await;
            }
        });
    }
    while under_way.join_next().await.is_some() {}
}

/// Reads every acknowledged key once, each from some node.
async fn verify(shared: &Arc<Shared>) {
    let keys = shared.ledger.entries().acknowledged.clone();
    let mut readers = JoinSet::new();
    for (number, keys) in keys
        .chunks(keys.len().div_ceil(VERIFIERS).max(1))
        .enumerate()
    {
        let (shared, keys) = (Arc::clone(shared), keys.to_vec());
        let port = shared.config.ports[number % shared.config.ports.len()];
        readers.spawn(async move {
            let mut kept = None;
            for key in keys {
                let task = Task {
                    kind: Kind::Verify,
                    key,
                    began: Instant::now(),
                };
                let connection = match kept.take() {
                    Some(connection) => Some(connection),
                    None => shared.connect(port, task).await,
                };
                if let Some(connection) = connection {
                    kept = shared.perform(connection, task, false).await;
                }
            }
        });
    }
    while readers.join_next().await.is_some() {}
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Write,
    Read,
    Verify,
}

#[derive(Clone, Copy)]
struct Task {
    kind: Kind,
    key: u64,
    began: Instant,
}

impl Shared {
    fn next_task(&self, random: &mut fastrand::Rng) -> Task {
        let mut entries = self.ledger.entries();
        let known = random.choice(&entries.acknowledged).copied();
        let (kind, key) = match known.filter(|_| random.bool()) {
            Some(known) => (Kind::Read, known),
            None => {
                entries.last += 1;
                (Kind::Write, entries.last)
            }
        };
        let began = Instant::now();
        Task { kind, key, began }
    }

    async fn connect(&self, port: u16, task: Task) -> Option<Connection> {
        let what = match timeout(PATIENCE, Connection::open(port)).await {
            Ok(Ok(connection)) => return Some(connection),
            Ok(Err(error)) => format!("no connection: {error}"),
            Err(_) => format!("no connection within {PATIENCE:?}"),
        };
        self.fail(port, None, task, what);
        None
    }

    /// Sends the request, and gives the connection back when another may follow on it.
    ///
    /// On a machine that does other things this client may pause for longer than it means to,
    /// and a draining node may close the connection meanwhile. Then it does as clients do: it
    /// asks again on a new connection.
    async fn perform(
        &self,
        mut connection: Connection,
        task: Task,
        last: bool,
    ) -> Option<Connection> {
        let path = format!("/data/key-{}?ttl=3600", task.key);
        let value = value_of(task.key);
        let (method, body): (_, &[u8]) = match task.kind {
            Kind::Write => ("PUT", &value),
            Kind::Read | Kind::Verify => ("GET", b""),
        };
        let (port, before) = (connection.port, connection.asked);
        let mut answered = timeout(PATIENCE, connection.ask(method, &path, body, last)).await;
        if matches!(answered, Ok(Err(_))) && connection.asked - before >= KEPT_IDLE {
            self.ledger.entries().tally.late += 1;
            connection = self.connect(port, task).await?;
            answered = timeout(PATIENCE, connection.ask(method, &path, body, last)).await;
        }
        let since = connection.since;
        let what = match answered {
            Ok(Ok(answer)) => {
                let right = match task.kind {
                    Kind::Write => matches!(answer.status, 201 | 202),
                    Kind::Read | Kind::Verify => answer.status == 200 && answer.body == value,
                };
                let keeps = !last && !answer.last;
                if right {
                    self.note(task, answer.status);
                    return keeps.then_some(connection);
                }
                let text = String::from_utf8_lossy(&answer.body);
                format!("{} and {:.200}", answer.status, text)
            }
            Ok(Err(error)) => {
                let age = since.elapsed().as_millis();
                format!("{error}, on a connection of {age} ms")
            }
            Err(_) => format!("no answer within {PATIENCE:?}"),
        };
        self.fail(port, Some(since), task, format!("{method} {path}: {what}"));
        None
    }

    fn note(&self, task: Task, status: u16) {
        let mut entries = self.ledger.entries();
        let tally = &mut entries.tally;
        tally.slowest = tally.slowest.max(task.began.elapsed());
        match (task.kind, status) {
            (Kind::Write, 201) => {
                tally.written += 1;
                entries.acknowledged.push(task.key);
            }
            (Kind::Write, _) => tally.unconfirmed += 1,
            (Kind::Read, _) => tally.read += 1,
            (Kind::Verify, _) => tally.verified += 1,
        }
    }

    fn fail(&self, port: u16, connected: Option<Instant>, task: Task, what: String) {
        let after = task.began.elapsed().as_millis();
        self.ledger.entries().tally.failures.push(Failure {
            port,
            connected: connected.map(Instant::into_std),
            began: task.began.into_std(),
            what: format!("{:?} after {after} ms: {what}", task.kind),
        });
    }
}
