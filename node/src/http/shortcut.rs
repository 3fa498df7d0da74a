//! Answering [`Plain`] requests past hyper.
//!
//! A store is asked for little else than to read and to write, and most of a server's own
//! time goes into turning such a request into types and its answer back into bytes. Here both
//! stay bytes. The answers are the same to the last byte as those of `data` (a test holds
//! them against each other); whatever is rare is made by `data` and `problem`, and only
//! written here.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::oneshot;

use super::api::Session;
use super::data::put_answer;
use super::plain::Plain;
use super::reply::{self, Reply};
use super::route::Route;
use super::{Stage, cors, date, describe};
use crate::clock::{self, BootMillis};
use crate::cluster::PutOutcome;
use crate::metrics::{MethodLabel, Observation};
use crate::store::{Entry, PACKED_MAX};

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
                body,
            } => {
                // The buffer of a larger one is kept, so it must not be shared with a head.
                if body.len() > PACKED_MAX {
                    return None;
                }
                let ttl_s = self.api.ttl.of(query, x_ttl.into_iter()).ok()?;
                self.api.admit(self.client, started_ns)?;
                let mut key = Bytes::from([key, body].concat());
                let value = key.split_off(key.len() - body.len());
                let begun = self.api.cluster.begin_put(key, value, ttl_s);
                Some(match begun {
                    Ok(outcome) => Taken::Waits(Waiting {
                        outcome,
                        started_ns,
                    }),
                    Err(outcome) => Taken::Answered(self.put_ended(outcome, started_ns, out)),
                })
            }
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
