//! Clients that ask again as soon as they are answered.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use repram_tests::Process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::dialect::Dialect;
use crate::usage::Usage;

/// Before this much has passed, nothing counts: connections open, caches fill.
const WARM_UP: Duration = Duration::from_millis(300);

/// Room for an answer; it grows when that is not enough.
const ANSWER: usize = 80 << 10;

/// The longest answer that is told from others: a minute, in nanoseconds.
const LONGEST_NS: u64 = 60_000_000_000;

/// Clients of one server.
#[derive(Clone)]
pub(crate) struct Load {
    /// How they speak.
    pub(crate) dialect: Dialect,
    /// Where the server listens, on 127.0.0.1.
    pub(crate) port: u16,
    /// What they ask, again and again, each connection from another place on.
    pub(crate) requests: Arc<Vec<Vec<u8>>>,
    /// Connections, each with one request under way.
    pub(crate) connections: usize,
    /// Threads that the connections are divided over.
    pub(crate) threads: usize,
}

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Score {
    /// Answers per second.
    pub(crate) rate: f64,
    /// Half of the answers came within, in microseconds.
    pub(crate) p50_us: f64,
    /// All but one of a hundred came within, in microseconds.
    pub(crate) p99_us: f64,
    /// Processor time of the servers per answer, in microseconds.
    pub(crate) cpu_us: f64,
}

/// What all clients look at.
#[derive(Default)]
struct Clock {
    phase: AtomicU8,
    answers: AtomicU64,
}

/// From now on answers count.
const MEASURED: u8 = 1;
/// Nothing is asked any more.
const OVER: u8 = 2;

impl Load {
    /// Asks for so long, and watches what `servers` use meanwhile.
    ///
    /// # Panics
    /// When a request is not answered as it has to be: figures of failures mean nothing.
    pub(crate) fn run(&self, length: Duration, servers: &[Process]) -> Score {
        let clock = Arc::new(Clock::default());
        let spawn = |thread| {
            let (load, clock) = (self.clone(), Arc::clone(&clock));
            thread::spawn(move || load.clients(thread, &clock))
        };
        let threads: Vec<_> = (0..self.threads).map(spawn).collect();
        let look = || {
            let answers = clock.answers.load(Ordering::Relaxed);
            (Instant::now(), answers, Usage::of(servers))
        };
        thread::sleep(WARM_UP);
        clock.phase.store(MEASURED, Ordering::Relaxed);
        let before = look();
        thread::sleep(length);
        let after = look();
        clock.phase.store(OVER, Ordering::Relaxed);
        let mut times = histogram();
        for thread in threads {
            let seen = thread.join().expect("it reports what goes wrong");
            times += self.good(seen);
        }
        let answers = (after.1 - before.1) as f64;
        let in_us = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
        Score {
            rate: answers / (after.0 - before.0).as_secs_f64(),
            p50_us: in_us(0.5),
            p99_us: in_us(0.99),
            cpu_us: (after.2 - before.2).cpu.as_secs_f64() * 1e6 / answers,
        }
    }

    /// Asks one thing.
    ///
    /// # Errors
    /// When it is not answered as it has to be.
    pub(crate) fn once(dialect: Dialect, port: u16, request: Vec<u8>) -> io::Result<()> {
        let requests = Arc::new(vec![request]);
        let load = Self {
            dialect,
            port,
            requests,
            connections: 1,
            threads: 1,
        };
        runtime()?.block_on(load.share(0))
    }

    /// Asks everything once.
    ///
    /// # Panics
    /// When a request is not answered as it has to be.
    pub(crate) fn each_once(&self) {
        let asked = runtime().and_then(|runtime| {
            runtime.block_on(async {
                let mut clients = JoinSet::new();
                for first in 0..self.connections {
                    clients.spawn(self.clone().share(first));
                }
                while let Some(done) = clients.join_next().await {
                    done.map_err(io::Error::other)??;
                }
                Ok(())
            })
        });
        self.good(asked);
    }

    /// Asks each request from the `first` on that belongs to this connection.
    async fn share(self, first: usize) -> io::Result<()> {
        let mut client = Client::new(self.dialect, self.port).await?;
        for request in self.requests.iter().skip(first).step_by(self.connections) {
            client.ask(request).await?;
        }
        Ok(())
    }

    /// The connections of one thread, until it is over.
    fn clients(self, thread: usize, clock: &Arc<Clock>) -> io::Result<Histogram<u64>> {
        runtime()?.block_on(async {
            let mut clients = JoinSet::new();
            for first in (thread..self.connections).step_by(self.threads) {
                clients.spawn(self.clone().again_and_again(first, Arc::clone(clock)));
            }
            let mut times = histogram();
            while let Some(seen) = clients.join_next().await {
                times += seen.map_err(io::Error::other)??;
            }
            Ok(times)
        })
    }

    /// One connection, until it is over.
    async fn again_and_again(self, first: usize, clock: Arc<Clock>) -> io::Result<Histogram<u64>> {
        let mut client = Client::new(self.dialect, self.port).await?;
        let mut times = histogram();
        let mut next = first * self.requests.len() / self.connections;
        loop {
            let asked = Instant::now();
            client.ask(&self.requests[next]).await?;
            match clock.phase.load(Ordering::Relaxed) {
                OVER => return Ok(times),
                MEASURED => {
                    let took = u64::try_from(asked.elapsed().as_nanos()).unwrap_or(LONGEST_NS);
                    times.saturating_record(took);
                }
                _ => {}
            }
            clock.answers.fetch_add(1, Ordering::Relaxed);
            next = (next + 1) % self.requests.len();
        }
    }

    fn good<T>(&self, seen: io::Result<T>) -> T {
        seen.unwrap_or_else(|error| panic!("the server on port {}: {error}", self.port))
    }
}

/// Before a server is asked again that could not tell.
const AGAIN: Duration = Duration::from_millis(50);

/// A minute of it.
const ASKED_AT_MOST: u16 = 1200;

/// That it was, once for all connections.
static TOLD: Once = Once::new();

/// One connection.
struct Client {
    dialect: Dialect,
    stream: TcpStream,
    came: Vec<u8>,
}

impl Client {
    async fn new(dialect: Dialect, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let came = Vec::with_capacity(ANSWER);
        Ok(Self {
            dialect,
            stream,
            came,
        })
    }

    /// Asks, and reads the whole answer; again as long as it is that it cannot be told yet, as
    /// by a node that was stopped for a second.
    async fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        for _ in 0..ASKED_AT_MOST {
            if !self.is_told_to_wait(request).await? {
                return Ok(());
            }
            TOLD.call_once(|| eprintln!("a server could not tell yet, and is asked again"));
            sleep(AGAIN).await;
        }
        Err(io::Error::other("could not tell for a minute"))
    }

    /// Asks once; whether the answer is to ask again.
    async fn is_told_to_wait(&mut self, request: &[u8]) -> io::Result<bool> {
        self.stream.write_all(request).await?;
        self.came.clear();
        let mut waits = false;
        let mut length = None;
        while length.is_none_or(|length| self.came.len() < length) {
            if self.stream.read_buf(&mut self.came).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if length.is_none() {
                length = self.dialect.answer(&self.came).or_else(|refused| {
                    waits = true;
                    self.dialect.later(&self.came).map(Some).ok_or(refused)
                })?;
            }
        }
        Ok(waits)
    }
}

fn histogram() -> Histogram<u64> {
    // Two digits are more than runs agree on.
    Histogram::new_with_bounds(1, LONGEST_NS, 2).expect("the bounds are in order")
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
