//! Answering [`Plain`] requests past hyper.
//!
//! A store is asked for little else than to read and to write, and most of a server's own
//! time goes into turning such a request into types and its answer back into bytes. Here both
//! stay bytes. The answers are the same to the last byte as those of `data` (a test holds
//! them against each other); whatever is rare is made by `data` and `problem`, and only
//! written here.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use tokio::io::AsyncRead;
use tokio::sync::oneshot;

use super::api::Session;
use super::data::put_answer;
use super::plain::Plain;
use super::problem::Problem;
use super::reply::{self, Reply};
use super::route::Route;
use super::{Stage, cors, date, describe};
use crate::clock::{self, BootMillis};
use crate::cluster::PutOutcome;
use crate::metrics::{MethodLabel, Observation};
use crate::store::{Entry, PACKED_MAX, Reservation, ValueBuffer};

/// Bodies up to this are copied behind their head: that costs less than having the kernel
/// gather two pieces.
const COPY_UP_TO: usize = 4096;

/// How far a request is that was taken.
#[derive(Debug)]
pub(super) enum Taken {
    /// The head of its answer was appended, and a small body behind it. A large one is here.
    Answered(Bytes),
    /// It is a write, and its answer has to wait.
    Waits(Waiting),
    /// It is a write, and the rest of its value has to come.
    Receives(Receiving),
}

/// A write whose value is coming in, into the buffer in which it will be kept.
#[derive(Debug)]
pub(super) struct Receiving {
    key: Bytes,
    ttl_s: u32,
    value: ValueBuffer,
    /// Bytes of the whole value.
    length: usize,
    /// What came so far counts for the limit of the store.
    reservation: Reservation,
    started_ns: u64,
}

impl Receiving {
    /// Bytes that have to come.
    pub(super) fn missing(&self) -> usize {
        self.length - self.value.len()
    }

    /// Takes more of it from `stream`, and none of what comes behind it.
    pub(super) fn poll_more<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Result<(), Problem>>> {
        let missing = self.missing();
        let read = pin!(self.value.read_from(stream, missing));
        let count = ready!(read.poll(context))?;
        Poll::Ready(Ok(if count == 0 {
            Err(Problem::BodyBroken)
        } else {
            self.reservation
                .grow(count as u64)
                .map_err(|_| Problem::Full)
        }))
    }
}

/// A write under way.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Its end.
    pub(super) outcome: oneshot::Receiver<PutOutcome>,
    pub(super) started_ns: u64,
}

impl Session {
    /// Takes the one request that `bytes` are, if it is a plain one that this node can answer
    /// or begin to answer by itself. Otherwise nothing has happened.
    pub(super) fn take_plain(&self, bytes: &[u8], out: &mut Vec<u8>) -> Option<Taken> {
        // Whoever is told that the connection ends is told so by hyper.
        if self.api.lifecycle.stage() == Stage::Draining || !self.api.cluster.is_joined() {
            return None;
        }
        let plain = Plain::parse(bytes)?;
        let started_ns = clock::boot_now_ns();
        match plain {
            Plain::Get { key } => {
                let now = BootMillis(started_ns / 1_000_000);
                let entry = self.api.cluster.get_at_once(key, now)?;
                self.api.admit(self.client, started_ns)?;
                let body = found(entry, now, out);
                self.count(MethodLabel::Get, StatusCode::OK, started_ns);
                Some(Taken::Answered(body))
            }
            Plain::Put {
                key,
                query,
                x_ttl,
                length,
                body,
            } => {
                let ttl_s = self.api.ttl.of(query, x_ttl.into_iter()).ok()?;
                if length > PACKED_MAX {
                    return self.receive(key, ttl_s, (length, body), started_ns);
                }
                self.api.admit(self.client, started_ns)?;
                let mut key = Bytes::from([key, body].concat());
                let value = key.split_off(key.len() - body.len());
                Some(self.begin(key, value, ttl_s, started_ns, out))
            }
        }
    }

    /// Begins to receive a value of so many bytes, of which the first are here, if there is room
    /// for it. The buffer of a large value is kept, so it must not be shared with a head.
    fn receive(
        &self,
        key: &[u8],
        ttl_s: u32,
        (length, here): (usize, &[u8]),
        started_ns: u64,
    ) -> Option<Taken> {
        // As in `body`: nothing is set aside for what was only announced.
        drop(self.api.store.reserve(length as u64).ok()?);
        let reservation = self.api.store.reserve(here.len() as u64).ok()?;
        self.api.admit(self.client, started_ns)?;
        let mut value = ValueBuffer::with_capacity(length);
        value.extend(here);
        Some(Taken::Receives(Receiving {
            key: Bytes::copy_from_slice(key),
            ttl_s,
            value,
            length,
            reservation,
            started_ns,
        }))
    }

    /// All of a value has come.
    pub(super) fn put_received(&self, receiving: Receiving, out: &mut Vec<u8>) -> Taken {
        let value = receiving.reservation.hold(receiving.value.freeze());
        let Receiving {
            key,
            ttl_s,
            started_ns,
            ..
        } = receiving;
        self.begin(key, value, ttl_s, started_ns, out)
    }

    /// The rest of a value does not come, or is not taken.
    pub(super) fn put_failed(&self, receiving: &Receiving, problem: &Problem) {
        self.count(MethodLabel::Put, problem.status(), receiving.started_ns);
    }

    /// Begins a write; when that cannot be done its answer is appended.
    fn begin(
        &self,
        key: Bytes,
        value: Bytes,
        ttl_s: u32,
        started_ns: u64,
        out: &mut Vec<u8>,
    ) -> Taken {
        match self.api.cluster.begin_put(key, value, ttl_s) {
            Ok(outcome) => Taken::Waits(Waiting {
                outcome,
                started_ns,
            }),
            Err(outcome) => Taken::Answered(self.put_ended(outcome, started_ns, out)),
        }
    }

    /// Appends the answer to a write.
    pub(super) fn put_ended(
        &self,
        outcome: PutOutcome,
        started_ns: u64,
        out: &mut Vec<u8>,
    ) -> Bytes {
        let now = BootMillis(clock::boot_now_ns() / 1_000_000);
        let status = if outcome == PutOutcome::Acknowledged {
            created(now, out);
            StatusCode::CREATED
        } else {
            let mut response = put_answer(outcome).unwrap_or_else(|problem| problem.response());
            cors::open(&HeaderMap::new(), response.headers_mut());
            render(&response, now, out);
            response.status()
        };
        self.count(MethodLabel::Put, status, started_ns);
        Bytes::new()
    }

    fn count(&self, method: MethodLabel, status: StatusCode, started_ns: u64) {
        self.api.metrics.observe(
            self.worker,
            &Observation {
                route: Some(Route::Data),
                method,
                status,
                duration_ns: clock::boot_now_ns().saturating_sub(started_ns),
            },
        );
    }
}

/// Appends the answer with a value; a large value is given back.
fn found(entry: Entry, now: BootMillis, out: &mut Vec<u8>) -> Bytes {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\netag: ");
    describe::write_tag(&entry, out);
    out.extend_from_slice(b"\r\nx-created-at: ");
    describe::write_created(&entry, out);
    out.extend_from_slice(b"\r\nx-original-ttl: ");
    describe::write_number(u64::from(entry.ttl_s), out);
    out.extend_from_slice(b"\r\nx-remaining-ttl: ");
    describe::write_remaining(&entry, now, out);
    out.extend_from_slice(b"\r\naccess-control-allow-origin: *\r\ncontent-length: ");
    describe::write_number(entry.value.len() as u64, out);
    end_head(now, out);
    if entry.value.len() <= COPY_UP_TO {
        out.extend_from_slice(&entry.value);
        Bytes::new()
    } else {
        entry.value
    }
}

/// Appends the answer to a write that was acknowledged.
fn created(now: BootMillis, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"HTTP/1.1 201 Created\r\ncontent-type: text/plain; charset=utf-8\r\n\
          access-control-allow-origin: *\r\ncontent-length: 2",
    );
    end_head(now, out);
    out.extend_from_slice(b"OK");
}

/// Appends any answer.
fn render(response: &Response<Reply>, now: BootMillis, out: &mut Vec<u8>) {
    let status = response.status();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    for (name, value) in response.headers() {
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(b"\r\ncontent-length: ");
    let body = reply::whole(response.body());
    describe::write_number(body.len() as u64, out);
    end_head(now, out);
    out.extend_from_slice(&body);
}

fn end_head(now: BootMillis, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\ndate: ");
    date::write(now, out);
    out.extend_from_slice(b"\r\n\r\n");
}
