//! Bodies of answers: known at once, or coming piece by piece.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;
use tokio::sync::mpsc;

/// Pieces that wait for a client: enough to keep it busy, little to hold.
pub(crate) const PIECES_MAX: usize = 4;

/// A stream that came to a bad end: the client sees a body that was broken off.
#[derive(Debug, thiserror::Error)]
#[error("the answer could not be completed")]
pub(crate) struct Broken;

/// A piece of an answer.
pub(crate) type Piece = Result<Bytes, Broken>;

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Content {
    /// All of it.
    Whole(Option<Bytes>),
    /// Piece by piece.
    Stream(mpsc::Receiver<Piece>),
}

impl Content {
    /// An object of the API, indented for people who look at it with curl. It always
    /// serialises: its keys are strings.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
        text.push(b'\n');
        Self::Whole(Some(Bytes::from(text)))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(pieces) => pieces
                .poll_recv(context)
                .map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
