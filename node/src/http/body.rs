//! Bodies of requests.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};
use tokio::time::{Instant, timeout_at};

use super::bounds::{BODY_MAX, BODY_PAUSE_MAX, BODY_TIME_MAX};
use super::problem::Problem;
use crate::store::{PACKED_MAX, Reservation, Store, ValueBuffer};

/// A whole body, and the bytes of the store's limit that it takes while it is in flight; a
/// large one carries them itself.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) reservation: Option<Reservation>,
}

/// Reads a body to its end, within the bounds of size, time and the store's limit. A body
/// that announces that it is too large is refused before any of it is asked for.
pub(super) async fn receive<B>(body: &mut B, store: &Store) -> Result<Received, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = body.size_hint();
    if announced.lower() > BODY_MAX as u64 {
        return Err(Problem::BodyTooLarge);
    }
    // What does not fit is refused before any of it is asked for, too. Nothing is set aside
    // for it yet: announcing is cheap.
    drop(
        store
            .reserve(announced.lower())
            .map_err(|_| Problem::Full)?,
    );
    let mut reservation = store.reserve(0).map_err(|_| Problem::Full)?;
    let mut last = None;
    let mut parts = Parts::Empty;
    while !body.is_end_stream() {
        let Some(frame) = next_frame(body, &mut last).await? else {
            break;
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if parts.len() + data.len() > BODY_MAX {
            return Err(Problem::BodyTooLarge);
        }
        reservation
            .grow(data.len() as u64)
            .map_err(|_| Problem::Full)?;
        parts.push(data, announced.exact());
    }
    let bytes = parts.finish();
    Ok(if bytes.len() > PACKED_MAX {
        Received {
            bytes: reservation.hold(bytes),
            reservation: None,
        }
    } else {
        Received {
            bytes,
            reservation: Some(reservation),
        }
    })
}

/// The next frame. The clock is only asked when there is something to wait for, which with
/// a small body there is not: it comes in one read with its head.
async fn next_frame<B>(
    body: &mut B,
    last: &mut Option<Instant>,
) -> Result<Option<Frame<Bytes>>, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut frame = pin!(body.frame());
    let ready = match poll_fn(|context| Poll::Ready(frame.as_mut().poll(context))).await {
        Poll::Ready(ready) => ready,
        Poll::Pending => {
            let now = Instant::now();
            let last = *last.get_or_insert_with(|| now + BODY_TIME_MAX);
            let deadline = last.min(now + BODY_PAUSE_MAX);
            timeout_at(deadline, frame)
                .await
                .map_err(|_| Problem::BodyTimeout)?
        }
    };
    ready.transpose().map_err(|_| Problem::BodyBroken)
}

/// What came so far. A body that came in one piece is not copied.
enum Parts {
    Empty,
    One(Bytes),
    Many(ValueBuffer),
}

impl Parts {
    fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, data: Bytes, announced: Option<u64>) {
        let mut many = match std::mem::replace(self, Self::Empty) {
            Self::Empty => {
                *self = Self::One(data);
                return;
            }
            Self::One(first) => {
                // Room that nothing was written to takes no memory, where it is large.
                let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
                let expected = announced.unwrap_or(0).min(BODY_MAX);
                let mut many = ValueBuffer::with_capacity(expected.max(first.len() + data.len()));
                many.extend(&first);
                many
            }
            Self::Many(many) => many,
        };
        many.extend(&data);
        *self = Self::Many(many);
    }

    /// A large value keeps its buffer for as long as it lives, so the buffer must be its
    /// own: a piece is part of the connection's read buffer, and a grown vector is longer
    /// than what is in it.
    fn finish(self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::One(bytes) if bytes.len() <= PACKED_MAX => bytes,
            Self::One(bytes) => ValueBuffer::copy_of(&bytes),
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::Context;

    use hyper::body::SizeHint;

    use super::*;
    use crate::store::StoreConfig;

    /// Frames, then silence or the end.
    struct Scripted {
        frames: VecDeque<Vec<u8>>,
        announced: Option<u64>,
        ends: bool,
    }

    impl Body for Scripted {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.frames.pop_front() {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(data.into())))),
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }

        fn size_hint(&self) -> SizeHint {
            self.announced
                .map_or_else(SizeHint::default, SizeHint::with_exact)
        }
    }

    fn store(limit_bytes: u64) -> Store {
        Store::new(StoreConfig {
            limit_bytes,
            shards: 1,
        })
    }

    async fn check(
        frames: &[usize],
        announced: Option<u64>,
        limit: u64,
        expect: Result<usize, Problem>,
    ) {
        let frames: VecDeque<_> = frames.iter().map(|len| vec![b'x'; *len]).collect();
        let whole: Vec<u8> = frames.iter().flatten().copied().collect();
        let mut body = Scripted {
            frames,
            announced,
            ends: true,
        };
        let store = store(limit);
        let received = receive(&mut body, &store).await;
        let used = store.stats().used_bytes;
        match (received, expect) {
            (Ok(received), Ok(len)) => {
                assert_eq!((received.bytes.len(), used), (len, len as u64));
                assert!(received.bytes == whole);
            }
            (Err(problem), Err(expect)) => assert_eq!((problem, used), (expect, 0)),
            (received, expect) => panic!("{:?} for {expect:?}", received.map(|it| it.bytes.len())),
        }
    }

    #[tokio::test]
    async fn bodies_have_a_bound() {
        const LIMIT: u64 = 1 << 30;
        check(&[], None, LIMIT, Ok(0)).await;
        check(&[5], Some(5), LIMIT, Ok(5)).await;
        check(&[0, 5, 0, 7], None, LIMIT, Ok(12)).await;
        check(&[100_000], None, LIMIT, Ok(100_000)).await;
        check(
            &[BODY_MAX / 2, BODY_MAX / 2],
            Some(BODY_MAX as u64),
            LIMIT,
            Ok(BODY_MAX),
        )
        .await;
        check(&[BODY_MAX, 1], None, LIMIT, Err(Problem::BodyTooLarge)).await;
        check(
            &[],
            Some(BODY_MAX as u64 + 1),
            LIMIT,
            Err(Problem::BodyTooLarge),
        )
        .await;
        check(&[600, 600], None, 1000, Err(Problem::Full)).await;
        check(&[], Some(1001), 1000, Err(Problem::Full)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_body() {
        let frames = VecDeque::from([vec![b'x'; 10]]);
        let mut body = Scripted {
            frames,
            announced: Some(20),
            ends: false,
        };
        let start = Instant::now();
        let received = receive(&mut body, &store(1000)).await;
        assert_eq!(received.map(|it| it.bytes.len()), Err(Problem::BodyTimeout));
        assert_eq!(start.elapsed(), BODY_PAUSE_MAX);
    }
}
