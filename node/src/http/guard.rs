//! The socket under hyper, watched.
//!
//! hyper answers a head that it cannot parse by itself, with a bare status line, and knows
//! no answer at all for a head that does not come. [`Guard`] sits between hyper and the
//! socket and keeps account of whose turn it is ([`Conversation`]). Bytes that hyper wants
//! to write when no request is being answered can only be such a bare answer: they are
//! kept from the socket, and the connection's driver writes a whole one.

use std::cell::RefCell;
use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Handler;
use super::problem::Problem;
use super::shortcut::{Receiving, Taken, Waiting};
use crate::cluster::PutOutcome;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Turn {
    /// The client's; it has not begun.
    Idle,
    /// The client's; its head has begun and not ended.
    Head,
    /// Ours: a request is being worked on, which includes reading its body.
    Work,
    /// Ours: an answer is being written.
    Answer,
    /// The client's: the body of a request that hyper does not see is coming.
    Body,
}

/// What a connection, its socket and its service know of each other. All of them run on one
/// thread, one after the other; atomics only because their futures must be `Send`.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    turn: AtomicU8,
    turns: AtomicU32,
    progress: AtomicU32,
    refusal: AtomicU16,
    unread: AtomicBool,
    hungry: AtomicBool,
    failed: OnceLock<Problem>,
}

impl Conversation {
    pub(super) fn turn(&self) -> Turn {
        match self.turn.load(Ordering::Relaxed) {
            0 => Turn::Idle,
            1 => Turn::Head,
            2 => Turn::Work,
            3 => Turn::Answer,
            _ => Turn::Body,
        }
    }

    pub(super) fn set(&self, turn: Turn) {
        self.turn.store(turn as u8, Ordering::Relaxed);
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.advance();
    }

    pub(super) fn advance(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// How many turns there were, the present one included.
    pub(super) fn turns(&self) -> u32 {
        self.turns.load(Ordering::Relaxed)
    }

    /// A number that changes whenever something happens that a time-out waits for.
    pub(super) fn progress(&self) -> u32 {
        self.progress.load(Ordering::Relaxed)
    }

    /// A request was made out.
    pub(super) fn work(&self) {
        self.set(Turn::Work);
    }

    /// The answer to it is there; `unread` when the client may still be sending its body.
    pub(super) fn answer(&self, unread: bool) {
        self.unread.store(unread, Ordering::Relaxed);
        self.set(Turn::Answer);
    }

    /// Begins to watch for [`Self::is_hungry`].
    pub(super) fn watch_hunger(&self) {
        self.hungry.store(false, Ordering::Relaxed);
    }

    /// Whether hyper asked the socket for more while a request is worked on. It does so to
    /// see whether the client is still there, and only when it holds no bytes of a next
    /// request.
    pub(super) fn is_hungry(&self) -> bool {
        self.hungry.load(Ordering::Relaxed)
    }

    /// The status code with which hyper wanted to refuse a head.
    pub(super) fn refusal(&self) -> Option<u16> {
        Some(self.refusal.load(Ordering::Relaxed)).filter(|status| *status != 0)
    }

    /// What is to be answered to a body that hyper does not see, before the connection ends.
    pub(super) fn failed(&self) -> Option<Problem> {
        self.failed.get().copied()
    }

    /// Whether the client may still be sending the body of the last request.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }
}

/// A socket, or in tests a pipe.
///
/// **Past hyper.** A request that the [`Handler`] takes is answered here, and hyper does not
/// see it: to hyper the client is silent meanwhile. That can only be done while hyper holds
/// no bytes itself, or answers would come in another order than requests. While a request is
/// worked on hyper reads only when it has used up everything that it read before, so
/// then it is known to hold nothing, until it gets the next bytes.
///
/// The rest of a body that hyper does not see goes from the socket into its own buffer, and no
/// byte of the next request with it. If it does not come, hyper is told that the client has
/// gone, and the connection's driver answers.
pub(super) struct Guard<S, H> {
    stream: S,
    handler: H,
    conversation: Arc<Conversation>,
    /// Whether hyper may hold bytes of which it has not made a request yet.
    holds: bool,
    taken: Option<Progress>,
}

/// How far a request is that hyper does not see.
enum Progress {
    /// Its body is coming.
    Receives(Receiving),
    /// Its answer has to wait.
    Waits(Waiting),
    /// Its answer is being written; this is left of it.
    Sends(Bytes, Bytes),
}

thread_local! {
    /// Where heads of answers are put together. A connection that has nothing to say needs no
    /// memory for it.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl<S, H: Handler> Guard<S, H> {
    pub(super) const fn new(stream: S, handler: H, conversation: Arc<Conversation>) -> Self {
        Self {
            stream,
            handler,
            conversation,
            holds: false,
            taken: None,
        }
    }

    /// The socket, when it ends with this problem or without any.
    pub(super) fn into_stream(self, problem: Option<&Problem>) -> S {
        if let (Some(Progress::Receives(receiving)), Some(problem)) = (&self.taken, problem) {
            self.handler.failed(receiving, problem);
        }
        self.stream
    }

    /// Whether `bytes` are hyper's own answer, which then counts as written.
    fn keeps_back(&self, bytes: &[u8]) -> bool {
        match self.conversation.turn() {
            Turn::Work | Turn::Answer | Turn::Body => false,
            Turn::Idle | Turn::Head => {
                self.conversation
                    .refusal
                    .store(status_of(bytes), Ordering::Relaxed);
                true
            }
        }
    }
}

/// The status code in the first line of an answer, 400 when it has none.
fn status_of(bytes: &[u8]) -> u16 {
    let code = bytes
        .get("HTTP/1.1 ".len()..)
        .and_then(|rest| rest.get(..3));
    code.and_then(|code| std::str::from_utf8(code).ok())
        .and_then(|code| code.parse().ok())
        .unwrap_or(400)
}

impl<S: AsyncRead + AsyncWrite + Unpin, H: Handler> Guard<S, H> {
    /// Takes the request that is all of `bytes`, if that can be done without hyper; whether
    /// it was. Its answer is written as far as the socket takes it.
    fn take(&mut self, bytes: &[u8], context: &mut Context<'_>) -> io::Result<bool> {
        SCRATCH.with_borrow_mut(|out| {
            out.clear();
            let Some(taken) = self.handler.take(bytes, out) else {
                return Ok(false);
            };
            self.follow(taken, out, context)?;
            Ok(true)
        })
    }

    /// Goes on after a step with a request that was taken; `out` is what is to be written.
    fn follow(&mut self, taken: Taken, out: &[u8], context: &mut Context<'_>) -> io::Result<()> {
        match taken {
            Taken::Answered(body) => self.send(out, body, context)?,
            Taken::Waits(waiting) => {
                self.conversation.set(Turn::Work);
                self.taken = Some(Progress::Waits(waiting));
            }
            Taken::Receives(receiving) => {
                self.conversation.set(Turn::Body);
                self.taken = Some(Progress::Receives(receiving));
            }
        }
        Ok(())
    }

    /// Receives the body of the request that was taken, and begins to work on it.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(Progress::Receives(receiving)) = &mut self.taken
            && self.conversation.failed().is_none()
        {
            if receiving.missing() > 0 {
                let came = ready!(receiving.poll_more(&mut self.stream, context))?;
                self.conversation.advance();
                if let Err(problem) = came {
                    // It can have failed only once.
                    let _ = self.conversation.failed.set(problem);
                }
                continue;
            }
            let Some(Progress::Receives(receiving)) = self.taken.take() else {
                continue;
            };
            SCRATCH.with_borrow_mut(|out| {
                out.clear();
                let taken = self.handler.received(receiving, out);
                self.follow(taken, out, context)
            })?;
        }
        Poll::Ready(Ok(()))
    }

    /// Goes on with the request that was taken, until it is answered, or its body has failed.
    fn poll_taken(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(progress) = &mut self.taken {
            match progress {
                Progress::Receives(_) => {
                    ready!(self.poll_body(context))?;
                    if self.conversation.failed().is_some() {
                        break;
                    }
                }
                Progress::Waits(waiting) => {
                    let outcome = ready!(Pin::new(&mut waiting.outcome).poll(context));
                    let outcome = outcome.unwrap_or(PutOutcome::Unavailable);
                    let Some(Progress::Waits(waiting)) = self.taken.take() else {
                        continue;
                    };
                    SCRATCH.with_borrow_mut(|out| {
                        out.clear();
                        self.handler.ended(&waiting, outcome, out);
                        self.send(out, Bytes::new(), context)
                    })?;
                }
                Progress::Sends(head, body) => {
                    let slices = [IoSlice::new(head), IoSlice::new(body)];
                    let written = Pin::new(&mut self.stream).poll_write_vectored(context, &slices);
                    let written = nonzero(ready!(written)?)?;
                    let of_head = written.min(head.len());
                    head.advance(of_head);
                    body.advance(written - of_head);
                    let over = head.is_empty() && body.is_empty();
                    self.conversation.advance();
                    if over {
                        self.taken = None;
                        self.conversation.set(Turn::Idle);
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes an answer as far as the socket takes it now.
    fn send(&mut self, head: &[u8], mut body: Bytes, context: &mut Context<'_>) -> io::Result<()> {
        let written = if body.is_empty() {
            Pin::new(&mut self.stream).poll_write(context, head)
        } else {
            let slices = [IoSlice::new(head), IoSlice::new(&body)];
            Pin::new(&mut self.stream).poll_write_vectored(context, &slices)
        };
        let written = match written {
            Poll::Ready(written) => nonzero(written?)?,
            Poll::Pending => 0,
        };
        if written == head.len() + body.len() {
            self.conversation.set(Turn::Idle);
        } else {
            let of_head = written.min(head.len());
            body.advance(written - of_head);
            self.conversation.set(Turn::Answer);
            let head = Bytes::copy_from_slice(&head[of_head..]);
            self.taken = Some(Progress::Sends(head, body));
        }
        Ok(())
    }
}

/// A socket that takes nothing takes nothing more.
fn nonzero(written: usize) -> io::Result<usize> {
    match written {
        0 => Err(io::ErrorKind::WriteZero.into()),
        written => Ok(written),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, H: Handler> AsyncRead for Guard<S, H> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let guard = &mut *self;
        loop {
            ready!(guard.poll_taken(context))?;
            if guard.conversation.failed().is_some() {
                // To hyper the client has gone.
                return Poll::Ready(Ok(()));
            }
            let turn = guard.conversation.turn();
            if turn == Turn::Work {
                guard.conversation.hungry.store(true, Ordering::Relaxed);
                guard.holds = false;
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut guard.stream).poll_read(context, buffer))?;
            let came = &buffer.filled()[before..];
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if turn == Turn::Idle {
                if !guard.holds && guard.take(came, context)? {
                    buffer.set_filled(before);
                    continue;
                }
                guard.conversation.set(Turn::Head);
            }
            guard.holds = true;
            return Poll::Ready(Ok(()));
        }
    }
}

impl<S: AsyncWrite + Unpin, H: Handler> AsyncWrite for Guard<S, H> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.keeps_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.conversation.advance();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.keeps_back(bytes.first().map_or(&[], |first| first)) {
            return Poll::Ready(Ok(bytes.iter().map(|slice| slice.len()).sum()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, bytes));
        self.conversation.advance();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has written all it had, and every answer is written whole
    /// before that, because its body is one piece.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        if self.conversation.turn() == Turn::Answer && self.taken.is_none() {
            self.conversation.set(Turn::Idle);
        }
        Poll::Ready(Ok(()))
    }

    /// Closing is the driver's business, which may have something left to say.
    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
