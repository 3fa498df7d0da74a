//! The stream to one peer: opened again and again, for as long as the peer is a member.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use super::channel::{Receiver, Sender, StreamError};
use super::greet::{Channel, GreetError, boot_now_us};
use super::host::{Shared, count};
use super::offset::ClockOffset;
use super::outbox::Outbox;
use crate::reach::Reach;
use crate::wire::frame::{Reply, Request};
use crate::wire::record::BATCH;
use crate::wire::{Reader, Rope};

/// How long a peer may take to greet back. Its socket may have been inherited by a process
/// that is about to start: the connection then waits in the kernel's queue and is served
/// the moment the process lives, without anybody having to ask again.
const GREET_WITHIN: Duration = Duration::from_secs(10);

/// How long the first exchange of clocks may take.
const MEASURE_WITHIN: Duration = Duration::from_secs(2);

/// Pause between two exchanges of clocks with a peer on another host: six in the minute for
/// which one counts.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// First pause before a stream is opened again, doubled up to the longest.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);

/// The longest pause: a peer that is back is usually heard of before, by its own stream.
const BACKOFF_LONGEST: Duration = Duration::from_secs(2);

/// What is known of the stream to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It is being opened for the first time.
    New,
    /// It is there.
    Up,
    /// It could not be opened, or broke.
    Down,
}

/// A peer and the stream to it.
#[derive(Debug)]
pub struct Peer {
    uuid: Uuid,
    /// The place that it tells. Where that is reached from here may change.
    address: Mutex<SocketAddr>,
    outbox: Outbox,
    /// Try again now.
    nudged: Notify,
    /// The address is another one.
    moved: Notify,
    stopped: Notify,
    link: watch::Sender<Link>,
    silent: AtomicBool,
    /// How late a deadline may become that crosses the stream, in microseconds, as of the last
    /// exchange of clocks but one.
    lateness_us: AtomicU64,
}

impl Peer {
    /// A peer whose stream is not open yet.
    #[must_use]
    pub fn new(uuid: Uuid, address: SocketAddr) -> Self {
        Self {
            uuid,
            address: Mutex::new(address),
            outbox: Outbox::default(),
            nudged: Notify::new(),
            moved: Notify::new(),
            stopped: Notify::new(),
            link: watch::Sender::new(Link::New),
            silent: AtomicBool::new(false),
            lateness_us: AtomicU64::new(0),
        }
    }

    /// Questions that wait for it.
    #[must_use]
    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The state of the stream, to read or to wait for.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// Whether there is a stream now.
    #[must_use]
    pub fn is_up(&self) -> bool {
        *self.link.borrow() == Link::Up
    }

    /// Whether the stream broke, or could not be opened.
    #[must_use]
    pub fn is_down(&self) -> bool {
        *self.link.borrow() == Link::Down
    }

    /// Whether it is known not to answer, although there may be a stream.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Notes that it does not answer, or does so again.
    pub fn mark_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    /// How late a deadline may become that crosses the stream.
    #[must_use]
    pub fn lateness(&self) -> Duration {
        Duration::from_micros(self.lateness_us.load(Ordering::Relaxed))
    }

    fn note_lateness(&self, offset: &ClockOffset) {
        let lateness_us = offset.lateness_us().unwrap_or(0);
        self.lateness_us.store(lateness_us, Ordering::Relaxed);
    }

    /// The peer tells that it is at `address` now, and is worth a try.
    pub fn found_at(&self, address: SocketAddr, reach: &Reach) {
        let former = std::mem::replace(&mut *self.address(), address);
        if reach.of(former) != reach.of(address) {
            self.moved.notify_one();
        }
        self.nudged.notify_one();
    }

    /// Ends the stream for good.
    pub fn stop(&self) {
        self.stopped.notify_one();
    }

    /// Keeps the stream open until [`Peer::stop`].
    pub async fn run(self: Arc<Self>, shared: Arc<Shared>) {
        tokio::select! {
            never = self.keep_open(&shared) => match never {},
            () = self.stopped.notified() => {}
        }
        self.down(&shared);
    }

    async fn keep_open(&self, shared: &Shared) -> std::convert::Infallible {
        let mut pause = BACKOFF_FIRST;
        loop {
            let told = *self.address();
            let address = shared.reach.of(told);
            let error = match self.open(shared, address).await {
                Ok(channel) => {
                    pause = BACKOFF_FIRST;
                    let ended = tokio::select! {
                        error = self.converse(shared, channel) => Some(error),
                        () = self.moved.notified() => None,
                    };
                    self.down(shared);
                    ended.map(|error| {
                        note_broken(shared, &error);
                        GreetError::Stream(error)
                    })
                }
                Err(error) => {
                    count(&shared.counters.failed);
                    self.link.send_replace(Link::Down);
                    Some(error)
                }
            };
            if let Some(error) = &error {
                tracing::debug!(peer = %self.uuid, %address, %error, "no stream");
            }
            // A quarter more or less, so that peers of one that returns do not come at once.
            let jittered = pause.mul_f64(0.75 + fastrand::f64() / 2.0);
            tokio::select! {
                () = sleep(jittered) => pause = (pause * 2).min(BACKOFF_LONGEST),
                () = self.nudged.notified() => pause = BACKOFF_FIRST,
            }
        }
    }

    async fn open(&self, shared: &Shared, address: SocketAddr) -> Result<Channel, GreetError> {
        let mut channel = shared.open(address, GREET_WITHIN).await?;
        if channel.peer.uuid != self.uuid {
            return Err(GreetError::WrongPeer {
                found: channel.peer.uuid,
            });
        }
        if channel.offset.is_same() {
            // The peer believes who we are when it has a record of ours, and waits for it
            // neither long nor for much.
            channel.sender.send(ping(boot_now_us())).await?;
        } else {
            let measured = timeout(MEASURE_WITHIN, measure(&mut channel)).await;
            measured.map_err(|_| GreetError::TimedOut(MEASURE_WITHIN))??;
        }
        count(&shared.counters.opened);
        Ok(channel)
    }

    async fn converse(&self, shared: &Shared, channel: Channel) -> StreamError {
        let Channel {
            receiver,
            sender,
            peer,
            address,
            sees_us_at: _,
            offset,
        } = channel;
        self.note_lateness(&offset);
        self.outbox.open();
        self.link.send_replace(Link::Up);
        shared.host.connected(&peer);
        let clock = Mutex::new(Clock {
            offset,
            asked: None,
        });
        tokio::select! {
            error = self.ask(sender, &clock) => error,
            error = self.hear(shared, receiver, address, &clock) => error,
        }
    }

    /// Writes what waits, many questions to a record.
    async fn ask(
        &self,
        mut sender: Sender<tokio::net::tcp::OwnedWriteHalf>,
        clock: &Mutex<Clock>,
    ) -> StreamError {
        let mut measure_at =
            (!lock(clock).offset.is_same()).then(|| Instant::now() + MEASURE_EVERY);
        loop {
            let questions = tokio::select! {
                questions = self.outbox.take(BATCH) => questions,
                () = until(measure_at) => {
                    measure_at = Some(Instant::now() + MEASURE_EVERY);
                    let sent = boot_now_us();
                    let mut clock = lock(clock);
                    clock.asked = Some(sent);
                    self.note_lateness(&clock.offset);
                    vec![Request::Ping { id: sent }]
                }
            };
            let mut record = Rope::new();
            for mut question in questions {
                lock(clock).offset.convert_question(&mut question);
                question.encode(&mut record);
            }
            if let Err(error) = sender.send(record).await {
                return error.into();
            }
        }
    }

    async fn hear(
        &self,
        shared: &Shared,
        mut receiver: Receiver<tokio::net::tcp::OwnedReadHalf>,
        address: SocketAddr,
        clock: &Mutex<Clock>,
    ) -> StreamError {
        loop {
            let replies = match receiver.next().await {
                Ok(record) => decode(record, clock),
                Err(error) => return error,
            };
            match replies {
                Ok(replies) if replies.is_empty() => {}
                Ok(replies) => shared.host.replied(self.uuid, address.ip(), replies),
                Err(error) => return error.into(),
            }
        }
    }

    /// Tells the node once that the stream is gone.
    fn down(&self, shared: &Shared) {
        let was_up = self.link.send_replace(Link::Down) == Link::Up;
        let dropped = self.outbox.close();
        shared
            .counters
            .dropped
            .fetch_add(dropped as u64, Ordering::Relaxed);
        if was_up {
            shared.host.lost(self.uuid);
        }
    }

    fn address(&self) -> MutexGuard<'_, SocketAddr> {
        lock(&self.address)
    }
}

/// How the clocks relate, and when the peer was asked for its own.
struct Clock {
    offset: ClockOffset,
    asked: Option<u64>,
}

/// A record that asks for the peer's clock.
fn ping(id: u64) -> Rope {
    let mut record = Rope::new();
    Request::Ping { id }.encode(&mut record);
    record
}

/// One exchange before anything else: the greeting may have waited in a queue for long.
async fn measure(channel: &mut Channel) -> Result<(), StreamError> {
    let sent = boot_now_us();
    channel.sender.send(ping(sent)).await?;
    let mut record = channel.receiver.next().await?;
    let received = boot_now_us();
    if let Reply::Pong { boot_us, .. } = Reply::decode(&mut record)? {
        channel.offset.measure(sent, boot_us, received);
    }
    Ok(())
}

/// The answers of a record, their deadlines in our clock; those about clocks are used here.
fn decode(mut record: Reader, clock: &Mutex<Clock>) -> Result<Vec<Reply>, crate::wire::Malformed> {
    let mut replies = Vec::new();
    while record.remaining() > 0 {
        let mut reply = Reply::decode(&mut record)?;
        if let Reply::Pong { id, boot_us } = &reply {
            let mut clock = lock(clock);
            if clock.asked.take_if(|asked| asked == id).is_some() {
                clock.offset.measure(*id, *boot_us, boot_now_us());
            }
            continue;
        }
        lock(clock).offset.convert_answer(&mut reply);
        replies.push(reply);
    }
    record.finish()?;
    Ok(replies)
}

/// Until `at`, or for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

pub(super) fn note_broken(shared: &Shared, error: &StreamError) {
    match error {
        StreamError::Broken(_) | StreamError::Malformed(_) => count(&shared.counters.broken),
        StreamError::Io(_) | StreamError::Closed | StreamError::Unproved(_) => {}
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
