//! Lines and events on their way to a client.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::body::{Broken, PIECES_MAX, Piece};
use crate::event::{Event, EventKind};
use crate::logs::{History, LineForm, Live, LiveReceiver, LogQuery, Loss, Stamp, event_json};

/// A place among those who may do the same at one time.
pub(crate) type Place = OwnedSemaphorePermit;

/// Events as they come, for one client.
#[derive(Debug)]
pub(crate) struct LiveEvents {
    pub(crate) events: mpsc::Receiver<Arc<Event>>,
    /// Given back when the client is gone.
    pub(crate) place: Place,
}

/// Bytes of lines that are sent at once.
const PIECE_SIZE: usize = 64 << 10;

/// Sends what is in the files, then what comes. Files are read by a thread, because disks
/// block; it holds `permit` as long.
pub(crate) fn lines(
    history: History,
    live: Option<(LiveReceiver, Place)>,
    query: LogQuery,
    form: LineForm,
    permit: Place,
) -> io::Result<mpsc::Receiver<Piece>> {
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    let (end, ended) = oneshot::channel();
    let to_client = pieces.clone();
    thread::Builder::new()
        .name("control-logs".to_owned())
        .spawn(move || {
            let result = send_history(&history, &query, form, &to_client);
            drop(permit);
            match result {
                // A client that has gone needs no more.
                Ok(ControlFlow::Break(())) => {}
                Ok(ControlFlow::Continue(())) => drop(end.send(())),
                Err(_) => drop(to_client.blocking_send(Err(Broken))),
            }
        })?;
    if let Some((live, place)) = live {
        tokio::spawn(async move {
            if ended.await.is_ok() {
                send_live(live, form, pieces).await;
            }
            drop(place);
        });
    }
    Ok(receiver)
}

fn send_history(
    history: &History,
    query: &LogQuery,
    form: LineForm,
    to_client: &mpsc::Sender<Piece>,
) -> io::Result<ControlFlow<()>> {
    let mut buffer = Vec::with_capacity(PIECE_SIZE);
    let send = |buffer: &mut Vec<u8>| {
        let piece = Bytes::from(std::mem::take(buffer));
        match to_client.blocking_send(Ok(piece)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let mut flow = ControlFlow::Continue(());
    history.read(query, |node, stamp, line| {
        form.write(node, stamp, line, &mut buffer);
        if buffer.len() >= PIECE_SIZE {
            flow = send(&mut buffer);
        }
        flow
    })?;
    Ok(if flow.is_continue() && !buffer.is_empty() {
        send(&mut buffer)
    } else {
        flow
    })
}

/// Sends live lines until they or the client come to an end.
async fn send_live(mut live: LiveReceiver, form: LineForm, to_client: mpsc::Sender<Piece>) {
    loop {
        let next = tokio::select! {
            next = live.next() => next,
            () = to_client.closed() => return,
        };
        let mut text = Vec::new();
        match next {
            None => return,
            Some(Live::Lines(batch)) => {
                // Every line has its newline.
                for line in batch.lines.split_inclusive(|byte| *byte == b'\n') {
                    let line = &line[..line.len() - 1];
                    form.write(&batch.node.name, batch.stamp, line, &mut text);
                }
            }
            Some(Live::Missed(loss)) => write_missed(form, loss, &mut text),
        }
        if to_client.send(Ok(Bytes::from(text))).await.is_err() {
            return;
        }
    }
}

fn write_missed(form: LineForm, loss: Loss, text: &mut Vec<u8>) {
    match form {
        LineForm::Json => {
            let kind = EventKind::LogLinesDropped {
                to: "follower".to_owned(),
                lines: loss.lines,
                reason: "it read too slowly".to_owned(),
            };
            let event = Event {
                time: Timestamp::now(),
                node: None,
                kind,
            };
            text.extend_from_slice(event_json(&event).as_bytes());
            text.push(b'\n');
        }
        LineForm::Text | LineForm::Raw => {
            let line = format!("[supervisor] {} lines missed: read too slowly", loss.lines);
            form.write("supervisor", Stamp::now(), line.as_bytes(), text);
        }
    }
}

/// Whether an event is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It is not.
    No,
    /// It is.
    Yes,
    /// It is, and it is the last.
    Last,
}

/// Sends events that were, then those that come, each as a JSON line, as far as `shown` says.
pub(crate) fn events(
    recent: Vec<Arc<Event>>,
    live: LiveEvents,
    mut shown: impl FnMut(&Event) -> Shown + Send + 'static,
) -> mpsc::Receiver<Piece> {
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    tokio::spawn(async move {
        let LiveEvents {
            events: mut live,
            place: _place,
        } = live;
        if !recent.is_empty() && pieces.send(Ok(json_lines(&recent))).await.is_err() {
            return;
        }
        loop {
            let next = tokio::select! {
                next = live.recv() => next,
                () = pieces.closed() => return,
            };
            let Some(event) = next else { return };
            let shown = shown(&event);
            if shown == Shown::No {
                continue;
            }
            let sent = pieces.send(Ok(json_lines(&[event]))).await;
            if sent.is_err() || shown == Shown::Last {
                return;
            }
        }
    });
    receiver
}

/// Events as JSON lines.
pub(crate) fn json_lines(events: &[Arc<Event>]) -> Bytes {
    let lines: String = events
        .iter()
        .map(|event| event_json(event) + "\n")
        .collect();
    Bytes::from(lines)
}
