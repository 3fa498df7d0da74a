//! The client.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use reqwest::Method;

use super::history::{Expectation, History, Verdict, value_of};
use super::report::Report;
use crate::http::{Answer, ask_within};
use crate::wait::{PATIENCE, look_until};

/// How long an answer is waited for: a node that is frozen for longer does not keep a session
/// from asking others.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Pause of a session between two requests, on average: the client is to leave the machine
/// some time for the nodes.
const PAUSE: Duration = Duration::from_millis(2);

/// Pause between two attempts to read a value in the end.
const AGAIN: Duration = Duration::from_millis(50);

/// How much is asked.
#[derive(Clone, Debug)]
pub struct ChurnConfig {
    /// The ports of the nodes that are used at first.
    pub ports: Vec<u16>,
    /// Sessions, each with its own keys.
    pub sessions: usize,
    /// Keys that each session writes again and again.
    pub keys: usize,
    /// Seed of what is asked where.
    pub seed: u64,
}

/// A client at work.
pub struct Churn {
    shared: Arc<Shared>,
    sessions: Vec<JoinHandle<()>>,
}

struct Shared {
    start: Instant,
    ports: Mutex<Vec<u16>>,
    keys: Vec<Mutex<Key>>,
    report: Mutex<Report>,
    stopped: AtomicBool,
}

struct Key {
    name: String,
    history: History,
}

impl Churn {
    /// Begins.
    ///
    /// # Panics
    /// When there is no thread.
    #[must_use]
    pub fn start(config: &ChurnConfig) -> Self {
        let keys = (0..config.sessions * config.keys).map(|number| {
            Mutex::new(Key {
                name: format!("churn-{number}"),
                history: History::default(),
            })
        });
        let shared = Arc::new(Shared {
            start: Instant::now(),
            ports: Mutex::new(config.ports.clone()),
            keys: keys.collect(),
            report: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let session = |number: usize| {
            let shared = Arc::clone(&shared);
            let own = number * config.keys..(number + 1) * config.keys;
            let random = fastrand::Rng::with_seed(config.seed ^ number as u64);
            thread::Builder::new()
                .name(format!("churn-{number}"))
                .spawn(move || shared.session(own, random))
                .expect("a thread can be had")
        };
        let sessions = (0..config.sessions).map(session).collect();
        Self { shared, sessions }
    }

    /// Uses these nodes from now on.
    pub fn use_ports(&self, ports: Vec<u16>) {
        *lock(&self.shared.ports) = ports;
    }

    /// What was seen so far.
    #[must_use]
    pub fn report(&self) -> Report {
        lock(&self.shared.report).clone()
    }

    /// Ends, and reads every key on every node once more: what cannot be read in the end is
    /// lost.
    ///
    /// # Panics
    /// When a session did.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.shared.stopped.store(true, Ordering::Relaxed);
        for session in self.sessions.drain(..) {
            session.join().expect("sessions do not panic");
        }
        let ports = lock(&self.shared.ports).clone();
        for key in &self.shared.keys {
            for port in &ports {
                self.shared.verify(key, *port);
            }
        }
        self.report()
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Writes its own keys, and reads everybody's.
    fn session(&self, own: std::ops::Range<usize>, mut random: fastrand::Rng) {
        while !self.stopped.load(Ordering::Relaxed) {
            let Some(port) = random.choice(lock(&self.ports).iter()).copied() else {
                thread::sleep(AGAIN);
                continue;
            };
            if random.u8(..3) == 0 {
                self.write(&self.keys[random.usize(own.clone())], port);
            } else {
                let key = &self.keys[random.usize(..self.keys.len())];
                let (expected, answer) = self.read(key, port);
                self.note(key, port, expected, answer);
            }
            thread::sleep(PAUSE.mul_f64(random.f64() * 2.0));
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn write(&self, key: &Mutex<Key>, port: u16) {
        let (name, number) = {
            let mut key = lock(key);
            (key.name.clone(), key.history.next())
        };
        let path = format!("/data/{name}?ttl=86400");
        let value = value_of(&name, number);
        let answer = ask_within(ANSWER_WITHIN, Method::PUT, port, &path, value);
        // Taken after the answer came, so that a read has no less time than it may have.
        let now = self.now();
        if answer.is_ok_and(|answer| answer.status == 201) {
            lock(key).history.acknowledge(number, now);
            lock(&self.report).written += 1;
        } else {
            lock(key).history.lose_sight(number);
            lock(&self.report).unconfirmed += 1;
        }
    }

    fn read(&self, key: &Mutex<Key>, port: u16) -> (Expectation, Result<Answer, String>) {
        let (name, expected) = {
            let mut key = lock(key);
            (key.name.clone(), key.history.expect(self.now()))
        };
        let path = format!("/data/{name}");
        let answer = ask_within(ANSWER_WITHIN, Method::GET, port, &path, Vec::new());
        (expected, answer)
    }

    fn note(
        &self,
        key: &Mutex<Key>,
        port: u16,
        expected: Expectation,
        answer: Result<Answer, String>,
    ) {
        let key = lock(key);
        let mut report = lock(&self.report);
        let at = self.now().as_millis();
        let place = format!("{} on port {port} at {at} ms", key.name);
        match answer {
            Ok(answer) if answer.status == 200 => {
                match key.history.judge(&key.name, expected, &answer.body) {
                    Verdict::Fine => report.verified += 1,
                    Verdict::Corrupt => {
                        report.lost += 1;
                        report.violated(format!("{place}: nobody has written that"));
                    }
                    Verdict::Stale(found) => {
                        report.stale += 1;
                        let known = expected.at_least;
                        report.violated(format!("{place}: write {found} and not {known}"));
                    }
                }
            }
            Ok(answer) if answer.status == 404 => {
                if expected.exists {
                    report.false_404 += 1;
                    let known = expected.at_least;
                    report.violated(format!("{place}: 404, and write {known} is known"));
                }
            }
            Ok(_) | Err(_) => report.refused += 1,
        }
    }

    /// Reads a key until there is an answer that says something.
    fn verify(&self, key: &Mutex<Key>, port: u16) {
        let mut expected = None;
        let mut read = || {
            let (begun, answer) = self.read(key, port);
            expected = Some(begun);
            match answer {
                Ok(answer) if matches!(answer.status, 200 | 404) => Ok(answer),
                Ok(answer) => Err(answer.text()),
                Err(error) => Err(error),
            }
        };
        let answer = look_until(AGAIN, PATIENCE, &mut read);
        let expected = expected.expect("it was read at least once");
        match answer {
            Ok(answer) => self.note(key, port, expected, Ok(answer)),
            Err(error) if expected.exists => {
                let name = lock(key).name.clone();
                let mut report = lock(&self.report);
                report.lost += 1;
                report.violated(format!("{name} on port {port}, in the end: {error}"));
            }
            Err(_) => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
