//! The thread that reads the pipes of all nodes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::batch::{Batch, Node};
use super::destinations::Destinations;
use super::feed::{Feed, LineFollowing};
use super::files::{FileOrder, Snapshot};
use super::framer::Framer;
use super::latch::Latch;
use super::mailbox::{Command, Mailbox};
use super::route::{Patience, Route, hand_over};
use super::show::ShowOrder;
use super::stamp::Stamp;
use super::tail::Tails;
use super::waker::Waker;
use crate::event::{Event, EventKind};

/// Bytes of one read: few system calls, and the cache still holds them when they are cut
/// into lines.
const READ_SIZE: usize = 64 << 10;

/// What the kernel may hold of one node while the thread is busy. It is charged to the user,
/// who may have 64 MiB in all pipes by default (pipe(7)): 256 nodes have room.
const PIPE_SIZE: i32 = 256 << 10;

/// Reads until a pipe can be taken to be empty of what was in it before, though its writer
/// goes on.
const READS_PER_PIPE: usize = PIPE_SIZE as usize / READ_SIZE + 1;

/// Pipes that one wait can report; more are reported by the next.
const EVENTS_PER_WAIT: usize = 64;

/// The waker's key among those of the pipes.
const WAKER: u64 = 0;

/// Reads the pipes.
#[derive(Debug)]
pub(crate) struct Reader {
    epoll: Epoll,
    waker: Arc<Waker>,
    mailbox: Arc<Mailbox>,
    destinations: Destinations,
    /// Ends when the files are written, so that their last events are still shown.
    files_done: Arc<Latch>,
    feed: Feed,
    max_line: usize,
    buffer: Vec<u8>,
    pipes: BTreeMap<u64, Pipe>,
    nodes: Vec<Arc<Node>>,
    /// By the index of the node.
    tails: BTreeMap<usize, Tails>,
    next_key: u64,
}

#[derive(Debug)]
struct Pipe {
    fd: OwnedFd,
    node: Arc<Node>,
    generation: u64,
    framer: Framer,
    /// A destination is full; the pipe is left alone, at most until then.
    held: Option<Instant>,
}

/// What came of looking into a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Bytes,
    Nothing,
    End,
    Held,
}

/// What a wait brought.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    /// Somebody called.
    woken: bool,
    /// So many pipes had something.
    pipes: usize,
}

/// A moment by both clocks: one to show, one to count with.
#[derive(Clone, Copy, Debug)]
struct Now {
    stamp: Stamp,
    instant: Instant,
}

impl Now {
    fn take() -> Self {
        Self {
            stamp: Stamp::now(),
            instant: Instant::now(),
        }
    }
}

impl Reader {
    pub(crate) fn new(
        waker: Arc<Waker>,
        mailbox: Arc<Mailbox>,
        destinations: Destinations,
        files_done: Arc<Latch>,
        max_line: usize,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&*waker, EpollEvent::new(EpollFlags::EPOLLIN, WAKER))?;
        Ok(Self {
            epoll,
            waker,
            mailbox,
            destinations,
            files_done,
            feed: Feed::default(),
            max_line,
            buffer: vec![0; READ_SIZE],
            pipes: BTreeMap::new(),
            nodes: Vec::new(),
            tails: BTreeMap::new(),
            next_key: WAKER + 1,
        })
    }

    /// Reads until it is told to finish.
    pub(crate) fn run(mut self) {
        let deadline = loop {
            let ready = self.read_ready(self.longest_wait(None));
            self.release_held();
            if let Some(deadline) = ready.woken.then(|| self.obey()).flatten() {
                break deadline;
            }
        };
        self.finish(deadline);
    }

    /// How long a wait may last: until the next end of a pipe's patience, or until `limit`.
    fn longest_wait(&self, limit: Option<Instant>) -> EpollTimeout {
        let held = self.pipes.values().filter_map(|pipe| pipe.held);
        let Some(until) = held.chain(limit).min() else {
            return EpollTimeout::NONE;
        };
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up, so that the time has come when the wait is over.
        EpollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(EpollTimeout::MAX)
    }

    /// Waits and reads every pipe that has something, once.
    fn read_ready(&mut self, timeout: EpollTimeout) -> Ready {
        let mut events = [EpollEvent::empty(); EVENTS_PER_WAIT];
        // Interrupted, or out of memory for a moment: the next wait will tell.
        let count = self.epoll.wait(&mut events, timeout).unwrap_or(0);
        let now = Now::take();
        let mut ready = Ready::default();
        for event in &events[..count] {
            if event.data() == WAKER {
                self.waker.rest();
                ready.woken = true;
            } else {
                self.read(event.data(), now, Patience::Some);
                ready.pipes += 1;
            }
        }
        ready
    }

    /// Reads a pipe once.
    fn read(&mut self, key: u64, now: Now, patience: Patience) -> Found {
        let Some(pipe) = self.pipes.get_mut(&key) else {
            return Found::End;
        };
        let route = match Route::find(&self.destinations, &pipe.node, now.instant, patience) {
            Ok(route) => route,
            Err(until) => {
                if pipe.held.replace(until).is_none() {
                    // Hanging up would be reported for ever if it were only not asked for.
                    let _ = self.epoll.delete(&pipe.fd);
                }
                return Found::Held;
            }
        };
        let lines = match nix::unistd::read(&pipe.fd, &mut self.buffer) {
            Ok(0) => return self.end(key, now, route),
            Ok(count) => {
                let lines = pipe.framer.push(&self.buffer[..count]);
                pipe.node.cut.add(pipe.framer.take_cuts());
                lines
            }
            Err(Errno::EAGAIN) => return Found::Nothing,
            Err(Errno::EINTR) => return Found::Bytes,
            Err(_) => return self.end(key, now, route),
        };
        let (node, generation) = (Arc::clone(&pipe.node), pipe.generation);
        self.deliver(node, generation, lines, now.stamp, route);
        Found::Bytes
    }

    /// Completes the last line of a pipe and lets go of it.
    fn end(&mut self, key: u64, now: Now, route: Route) -> Found {
        if let Some(mut pipe) = self.pipes.remove(&key) {
            let lines = pipe.framer.finish();
            pipe.node.cut.add(pipe.framer.take_cuts());
            self.deliver(pipe.node, pipe.generation, lines, now.stamp, route);
        }
        Found::End
    }

    fn deliver(
        &mut self,
        node: Arc<Node>,
        generation: u64,
        lines: Bytes,
        stamp: Stamp,
        route: Route,
    ) {
        if lines.is_empty() {
            return;
        }
        let tails = self.tails.entry(node.index).or_default();
        tails.push(generation, &lines);
        let batch = Batch { node, stamp, lines };
        batch.node.read.add(batch.amount());
        self.feed.lines(&batch);
        if let Some(files) = &self.destinations.files {
            hand_over(files, &batch, route.files);
        }
        if let Some(shown) = self.destinations.lines_shown() {
            hand_over(shown, &batch, route.shown);
        }
    }

    /// Looks again at pipes that were held back.
    fn release_held(&mut self) {
        let held = |(key, pipe): (&u64, &Pipe)| pipe.held.is_some().then_some(*key);
        let keys: Vec<u64> = self.pipes.iter().filter_map(held).collect();
        if keys.is_empty() {
            return;
        }
        let now = Now::take();
        for key in keys {
            if self.read(key, now, Patience::Some) == Found::Held {
                continue;
            }
            if let Some(pipe) = self.pipes.get_mut(&key) {
                pipe.held = None;
                self.watch(key);
            }
        }
    }

    fn watch(&mut self, key: u64) {
        let Some(pipe) = self.pipes.get(&key) else {
            return;
        };
        let event = EpollEvent::new(EpollFlags::EPOLLIN, key);
        if let Err(error) = self.epoll.add(&pipe.fd, event) {
            // Out of memory or of watches. A node without its log is better than a blocked one.
            let node = Some(pipe.node.name.clone());
            let message = format!("its log cannot be read: {error}");
            let kind = EventKind::Warning { message };
            self.mailbox.post(Command::Event(Event {
                time: Timestamp::now(),
                node,
                kind,
            }));
            self.pipes.remove(&key);
        }
    }

    /// Does what was asked for; the deadline when it was to finish.
    fn obey(&mut self) -> Option<Instant> {
        let commands = self.mailbox.collect();
        commands.into_iter().fold(None, |deadline, command| {
            self.carry_out(command).or(deadline)
        })
    }

    fn attach(&mut self, node: Arc<Node>, generation: u64, pipe: OwnedFd) {
        // Both concern this end only. A pipe that stays small is merely slower.
        let _ = fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
        let _ = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
        if self.nodes.iter().all(|known| known.index != node.index) {
            self.nodes.push(Arc::clone(&node));
        }
        let key = self.next_key;
        self.next_key += 1;
        let framer = Framer::new(self.max_line);
        self.pipes.insert(
            key,
            Pipe {
                fd: pipe,
                node,
                generation,
                framer,
                held: None,
            },
        );
        self.watch(key);
    }

    /// Reads what the nodes had written before now, so that what is shown next comes after
    /// it. A node that goes on writing does not keep it waiting for ever.
    fn catch_up(&mut self) {
        for _ in 0..READS_PER_PIPE {
            let ready = self.read_ready(EpollTimeout::ZERO);
            if ready.woken {
                // Whoever called is heard after this.
                self.waker.wake();
            }
            if ready.pipes == 0 {
                return;
            }
        }
    }

    fn carry_out(&mut self, command: Command) -> Option<Instant> {
        match command {
            Command::Attach {
                node,
                generation,
                pipe,
            } => self.attach(node, generation, pipe),
            Command::Tail { node, reply } => {
                self.catch_up();
                let known = self.nodes.iter().find(|known| known.name == node);
                let tails = known.and_then(|known| self.tails.get(&known.index));
                // Whoever asked may have gone.
                let _ = reply.send(tails.map(Tails::lines).unwrap_or_default());
            }
            Command::Event(event) => {
                self.catch_up();
                let event = Arc::new(event);
                self.feed.event(&event);
                self.show(ShowOrder::Event(event));
            }
            Command::Record(event) => self.feed.event(&Arc::new(event)),
            Command::Print(text) => {
                self.catch_up();
                self.show(ShowOrder::Text(text));
            }
            Command::Configure { stdout, max_line } => {
                self.catch_up();
                self.destinations.shows = stdout;
                self.max_line = max_line;
                for pipe in self.pipes.values_mut() {
                    pipe.framer.set_max_line(max_line);
                }
            }
            Command::FollowLines(following) => {
                self.catch_up();
                self.follow_lines(following);
            }
            Command::FollowEvents(following) => self.feed.follow_events(following),
            Command::Finish { deadline } => return Some(deadline),
        }
        None
    }

    fn show(&self, order: ShowOrder) {
        if let Some(shown) = self.destinations.events_shown() {
            // The queue counts what it cannot take.
            let _ = shown.order(order);
        }
    }

    /// Lets somebody follow: live from here on, and from the files what was read before.
    fn follow_lines(&mut self, following: LineFollowing) {
        let LineFollowing {
            wanted,
            since,
            history: reply,
            live,
        } = following;
        // Dropping `reply` tells the follower that it cannot be.
        if !self.feed.follow_lines(wanted.clone(), live) {
            return;
        }
        match &self.destinations.files {
            Some(files) => drop(files.order(FileOrder::Snapshot {
                wanted,
                since,
                reply,
            })),
            None => drop(reply.send(Snapshot::default())),
        }
    }

    /// Takes what is left in the pipes and ends. Until the deadline nothing is lost that the
    /// destinations take.
    fn finish(mut self, deadline: Instant) {
        while !self.pipes.is_empty() {
            let patience = if Instant::now() < deadline {
                Patience::Some
            } else {
                Patience::None
            };
            self.drain(patience);
            if self.pipes.is_empty() {
                break;
            }
            // Only held pipes are left, and nobody is asked about others any more.
            self.read_ready(self.longest_wait(Some(deadline)));
        }
        let Self {
            mailbox,
            destinations,
            files_done,
            nodes,
            mut feed,
            ..
        } = self;
        let stamp = Stamp::now();
        if let Some(files) = &destinations.files {
            files.close(&nodes, stamp);
            files_done.wait(deadline);
        }
        // What happened to the files at the end.
        for command in mailbox.close() {
            let Command::Event(event) = command else {
                continue;
            };
            let event = Arc::new(event);
            feed.event(&event);
            if let Some(shown) = destinations.events_shown() {
                let _ = shown.order(ShowOrder::Event(event));
            }
        }
        destinations.shown.close(&nodes, stamp);
    }

    /// Empties every pipe that is not held and lets go of it.
    fn drain(&mut self, patience: Patience) {
        let keys: Vec<u64> = self.pipes.keys().copied().collect();
        for key in keys {
            for read in 0.. {
                let now = Now::take();
                match self.read(key, now, patience) {
                    Found::Held | Found::End => break,
                    // A helper that outlived its node may write for ever.
                    Found::Bytes if read < READS_PER_PIPE => {}
                    Found::Bytes | Found::Nothing => {
                        self.end(key, now, Route::TAKEN);
                        break;
                    }
                }
            }
        }
    }
}
