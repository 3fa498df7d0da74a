//! One connection from its first byte to its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin as Pinned, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::bounds::{
    ANSWER_CHECKS, BODY_CHECKS, CHECK_EVERY, HEAD_CHECKS, HEAD_MAX, IDLE_CHECKS, LINGER,
    LINGER_BYTES, READ_BUFFER_MAX, WHOLE_ANSWER_CHECKS, WHOLE_BODY_CHECKS,
};
use super::guard::{Conversation, Guard, Turn};
use super::problem::Problem;
use super::reply::Reply;
use super::shortcut::{Receiving, Taken, Waiting};
use crate::cluster::PutOutcome;

/// Bytes of a head at which hyper gives up by itself. Between [`HEAD_MAX`] and this our own
/// code refuses, which is kinder to clients that use the connection for more.
const PARSED_HEAD_MAX: usize = 2 * HEAD_MAX;

/// How far draining is; it only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drain {
    /// Connections are accepted and kept.
    Open,
    /// None is accepted any more; those that are open go on.
    DoorClosed,
    /// Idle ones are closed, the others after their answer.
    CloseIdle,
    /// The time is up: what is still open is cut off.
    End,
}

/// What answers requests.
pub(super) trait Handler: Clone + Send + Sync + Unpin + 'static {
    /// Answers one request, whose body is read as far as the answer needs it.
    fn handle(
        &self,
        head: Parts,
        body: &mut Upload,
    ) -> impl Future<Output = Response<Reply>> + Send;

    /// Whether connections are to end: after an answer, when nothing else was asked.
    fn is_draining(&self) -> bool;

    /// Takes the request that is all of `bytes`, if it can be answered, or begun, without
    /// hyper; its answer is appended to `out`. Otherwise nothing has happened.
    fn take(&self, bytes: &[u8], out: &mut Vec<u8>) -> Option<Taken>;

    /// The value of a write that was taken has come: how that goes on, as after [`Self::take`].
    fn received(&self, receiving: Receiving, out: &mut Vec<u8>) -> Taken;

    /// The value of a write that was taken does not come, and `problem` is answered.
    fn failed(&self, receiving: &Receiving, problem: &Problem);

    /// A write that was taken has ended: its answer is appended to `out`.
    fn ended(&self, waiting: &Waiting, outcome: PutOutcome, out: &mut Vec<u8>);
}

/// The body of a request, which knows whether it was read to its end: hyper's own does not
/// when its length was not announced.
#[derive(Debug)]
pub(super) struct Upload {
    incoming: Incoming,
    ended: bool,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pinned<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pinned::new(&mut self.incoming).poll_frame(context));
        self.ended |= frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    /// HTTP says that it is over, or the socket failed.
    Over,
    /// Nothing happened for too long, and nobody waits for an answer.
    Stalled,
    /// The client is owed an answer although no request was made out.
    Owed(Problem),
}

/// Serves `stream` until it ends.
pub(super) async fn serve<S, H>(stream: S, handler: H, mut drain: watch::Receiver<Drain>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let conversation = Arc::new(Conversation::default());
    let guard = Guard::new(stream, handler.clone(), Arc::clone(&conversation));
    let service = service_fn(|request| {
        // Before hyper looks at the socket again: see `Guard`.
        conversation.work();
        answer(request, handler.clone(), Arc::clone(&conversation))
    });
    // How many fields it takes is left at 100, our own bound: for another number it would ask
    // for memory with every request.
    let mut connection = http1::Builder::new()
        .max_header_size(PARSED_HEAD_MAX)
        .max_buf_size(READ_BUFFER_MAX)
        .serve_connection(TokioIo::new(guard), service);
    let mut watch = Watch::default();
    let mut check = pin!(sleep(CHECK_EVERY));
    let mut ends = false;
    let ending = loop {
        tokio::select! {
            biased;
            result = &mut connection => {
                let malformed = result.is_err_and(|error| error.is_parse());
                break over(&conversation, malformed);
            }
            // hyper has just had its turn, so that what the client had sent is no longer in
            // the socket: an idle connection really is. Others get their answers, of which
            // the last one says so.
            () = idle(&conversation), if ends => {
                ends = false;
                Pinned::new(&mut connection).graceful_shutdown();
            }
            () = &mut check => {
                if let Some(ending) = watch.check(&conversation) {
                    break ending;
                }
                check.set(sleep(CHECK_EVERY));
            }
            // No sender is left only when the process ends; then nothing has to be closed.
            Ok(()) = drain.changed() => {
                if *drain.borrow_and_update() >= Drain::CloseIdle {
                    // The runtime looks at its sockets before this goes on.
                    yield_now().await;
                    ends = true;
                }
            }
        }
    };
    let problem = match &ending {
        Ending::Owed(problem) => Some(problem),
        Ending::Over | Ending::Stalled => None,
    };
    let guard = connection.into_parts().io.into_inner();
    let stream = guard.into_stream(problem);
    close(stream, &ending, conversation.is_unread()).await;
}

async fn answer<H: Handler>(
    request: Request<Incoming>,
    handler: H,
    conversation: Arc<Conversation>,
) -> Result<Response<Reply>, Infallible> {
    let (head, incoming) = request.into_parts();
    let mut body = Upload {
        incoming,
        ended: false,
    };
    let mut response = handler.handle(head, &mut body).await;
    let unread = !body.is_end_stream();
    if unread || (handler.is_draining() && !more_was_asked(&conversation).await) {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    conversation.answer(unread);
    Ok(response)
}

/// Whether hyper holds bytes of a request that the client sent without waiting for the
/// answer to this one. After an answer that says `Connection: close` nobody would look at
/// them (RFC 9112, section 9.6), so they are answered first. Taking one for the other does
/// no harm: the connection is closed a little sooner or later.
async fn more_was_asked(conversation: &Conversation) -> bool {
    conversation.watch_hunger();
    // hyper looks at its buffer, and then at the socket, before it comes back here.
    yield_now().await;
    !conversation.is_hungry()
}

/// Waits until nothing is asked on the connection, for which it must be polled after hyper.
async fn idle(conversation: &Conversation) {
    poll_fn(|_| match conversation.turn() {
        Turn::Idle => Poll::Ready(()),
        Turn::Head | Turn::Work | Turn::Answer | Turn::Body => Poll::Pending,
    })
    .await;
}

/// What is left to do when hyper is done. It refuses most malformed heads with an answer
/// that [`Guard`] keeps back, and some (the preface of HTTP/2) without a word.
fn over(conversation: &Conversation, malformed: bool) -> Ending {
    if let Some(problem) = conversation.failed() {
        return Ending::Owed(problem);
    }
    match conversation.refusal() {
        // The bound of the head comes before hyper's own of the target.
        Some(414 | 431) => Ending::Owed(Problem::HeadTooLarge),
        Some(_) => Ending::Owed(Problem::HeadMalformed),
        None if malformed && conversation.turn() == Turn::Head => {
            Ending::Owed(Problem::HeadMalformed)
        }
        None => Ending::Over,
    }
}

/// Counts checks without progress, and checks within one turn.
#[derive(Debug, Default)]
struct Watch {
    progress: u32,
    stalled: u32,
    turns: u32,
    within: u32,
}

impl Watch {
    fn check(&mut self, conversation: &Conversation) -> Option<Ending> {
        let count = |seen: &mut u32, now: u32, checks: &mut u32| {
            *checks = if *seen == now { *checks + 1 } else { 0 };
            *seen = now;
        };
        count(&mut self.turns, conversation.turns(), &mut self.within);
        count(
            &mut self.progress,
            conversation.progress(),
            &mut self.stalled,
        );
        match conversation.turn() {
            Turn::Answer if self.within >= WHOLE_ANSWER_CHECKS => Some(Ending::Stalled),
            Turn::Head if self.stalled >= HEAD_CHECKS => Some(Ending::Owed(Problem::HeadTimeout)),
            Turn::Body if self.stalled >= BODY_CHECKS || self.within >= WHOLE_BODY_CHECKS => {
                Some(Ending::Owed(Problem::BodyTimeout))
            }
            Turn::Answer if self.stalled >= ANSWER_CHECKS => Some(Ending::Stalled),
            Turn::Idle if self.stalled >= IDLE_CHECKS => Some(Ending::Stalled),
            // What works on a request has time-outs of its own.
            Turn::Head | Turn::Body | Turn::Answer | Turn::Idle | Turn::Work => None,
        }
    }
}

/// Writes what is owed and closes. A client that may still be sending is read from for a
/// while, because closing a socket with unread bytes in it makes the kernel reset the
/// connection, and then the client may never see the answer.
async fn close<S>(mut stream: S, ending: &Ending, unread: bool)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let lingers = match ending {
        Ending::Stalled => return,
        Ending::Over => unread,
        Ending::Owed(problem) => {
            let answer = problem.raw_response();
            if !matches!(timeout(LINGER, stream.write_all(&answer)).await, Ok(Ok(()))) {
                return;
            }
            true
        }
    };
    if stream.shutdown().await.is_ok() && lingers {
        // Silence, an error and the bound all mean the same: enough was done.
        let _ = timeout(LINGER, discard(&mut stream)).await;
    }
}

async fn discard<S: AsyncRead + Unpin>(stream: &mut S) {
    // On the heap, so that no connection carries it for its whole life.
    let mut buffer = vec![0; 16 * 1024];
    let mut left = LINGER_BYTES;
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let Some(rest) = left.checked_sub(count) else {
            return;
        };
        left = rest;
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt as _;
    use tokio::io::{DuplexStream, duplex};
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::*;
    use crate::http::bounds::{BODY_PAUSE_MAX, BODY_TIME_MAX, HEADERS_MAX};
    use crate::http::reply;

    /// Answers with the path, and on `/read` with what the body was.
    #[derive(Clone)]
    struct Echo(watch::Receiver<Drain>);

    impl Handler for Echo {
        async fn handle(&self, head: Parts, body: &mut Upload) -> Response<Reply> {
            let path = head.uri.path().to_owned();
            let text = if path == "/read" {
                body.collect()
                    .await
                    .map(|all| all.to_bytes())
                    .unwrap_or_default()
            } else {
                path.into()
            };
            reply::bytes(StatusCode::OK, "text/plain", text)
        }

        fn is_draining(&self) -> bool {
            *self.0.borrow() > Drain::Open
        }

        /// Takes `GET /past/...`, and `GET /wait/...`, which waits a moment.
        fn take(&self, bytes: &[u8], out: &mut Vec<u8>) -> Option<Taken> {
            let text = std::str::from_utf8(bytes).ok()?;
            let (line, rest) = text.split_once("\r\n")?;
            let path = line.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?;
            if rest != "\r\n" {
                return None;
            }
            if path.starts_with("/past/") {
                let length = path.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                out.extend_from_slice(head.as_bytes());
                return Some(Taken::Answered(Bytes::from(path.to_owned())));
            }
            path.starts_with("/wait/").then(|| {
                let (tell, outcome) = oneshot::channel();
                tokio::spawn(async move {
                    yield_now().await;
                    tell.send(PutOutcome::Acknowledged)
                });
                Taken::Waits(Waiting {
                    outcome,
                    started_ns: 0,
                })
            })
        }

        fn received(&self, _receiving: Receiving, _out: &mut Vec<u8>) -> Taken {
            unreachable!("no body is taken")
        }

        fn failed(&self, _receiving: &Receiving, _problem: &Problem) {
            unreachable!("no body is taken")
        }

        fn ended(&self, _waiting: &Waiting, outcome: PutOutcome, out: &mut Vec<u8>) {
            assert_eq!(outcome, PutOutcome::Acknowledged);
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n/wait/");
        }
    }

    struct Client {
        stream: DuplexStream,
        drain: watch::Sender<Drain>,
    }

    impl Client {
        fn connect() -> Self {
            let (stream, server) = duplex(1 << 20);
            let (drain, drained) = watch::channel(Drain::Open);
            tokio::spawn(serve(server, Echo(drained.clone()), drained));
            Self { stream, drain }
        }

        fn drain(&self, to: Drain) {
            self.drain.send(to).expect("the connection is there");
        }

        async fn send(&mut self, text: impl AsRef<[u8]>) {
            self.stream
                .write_all(text.as_ref())
                .await
                .expect("the pipe is open");
        }

        /// Reads until the server closes.
        async fn rest(&mut self) -> String {
            let mut text = String::new();
            self.stream
                .read_to_string(&mut text)
                .await
                .expect("is text");
            text
        }

        /// Reads one answer with an empty or short body.
        async fn answer(&mut self) -> String {
            let mut text = vec![0; 4096];
            let count = self.stream.read(&mut text).await.expect("the pipe is open");
            text.truncate(count);
            String::from_utf8(text).expect("is text")
        }
    }

    /// Whatever is asked in whatever way, and however it arrives: answers come in the order of
    /// the questions, and each is what it would be alone.
    #[tokio::test(start_paused = true)]
    async fn what_goes_past_hyper_keeps_its_place() {
        let mut random = fastrand::Rng::with_seed(8);
        for window in [1, 3, 64, 1 << 16] {
            let (mut client, server) = duplex(window);
            let (_drain, drained) = watch::channel(Drain::Open);
            tokio::spawn(serve(server, Echo(drained.clone()), drained));
            for _ in 0..200 {
                let (mut asked, mut expected) = (String::new(), Vec::new());
                for number in 0..random.usize(1..5) {
                    let (path, question) = question(random.usize(0..5), number);
                    asked.push_str(&question);
                    expected.push(path);
                }
                let whole = random.bool();
                let (mut reading, mut writing) = tokio::io::split(&mut client);
                let write = async {
                    let bytes = asked.as_bytes();
                    let mut at = 0;
                    while at < bytes.len() {
                        let more = if whole { bytes.len() } else { 1 + at % 40 };
                        let end = bytes.len().min(at + more);
                        writing.write_all(&bytes[at..end]).await.expect("is open");
                        at = end;
                        yield_now().await;
                    }
                };
                let read = async {
                    for path in &expected {
                        assert_eq!(&next_body(&mut reading).await, path, "{asked}");
                    }
                };
                tokio::join!(write, read);
            }
        }
    }

    /// A question, and what is to come back.
    fn question(kind: usize, number: usize) -> (String, String) {
        match kind {
            0 | 1 => {
                let path = format!("/past/{number}");
                (path.clone(), format!("GET {path} HTTP/1.1\r\n\r\n"))
            }
            2 => (
                "/wait/".to_owned(),
                "GET /wait/ HTTP/1.1\r\n\r\n".to_owned(),
            ),
            3 => {
                let path = format!("/hyper/{number}");
                (path.clone(), format!("GET {path} HTTP/1.1\r\nA: b\r\n\r\n"))
            }
            _ => {
                let body = "GET /past/x HTTP/1.1\r\n\r\n";
                let length = body.len();
                let head = format!("PUT /read HTTP/1.1\r\ncontent-length: {length}\r\n\r\n");
                (body.to_owned(), head + body)
            }
        }
    }

    /// The body of the next answer.
    async fn next_body(stream: &mut (impl AsyncRead + Unpin)) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(head).expect("is text");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().expect("is a number"));
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.expect("is there");
        String::from_utf8(body).expect("is text")
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_an_answer_past_hyper_is_cut_off() {
        let (mut client, server) = duplex(32);
        let (_drain, drained) = watch::channel(Drain::Open);
        let serving = tokio::spawn(serve(server, Echo(drained.clone()), drained));
        client
            .write_all(b"GET /past/1 HTTP/1.1\r\n\r\n")
            .await
            .expect("is read");
        let start = Instant::now();
        serving.await.expect("does not panic");
        let least = CHECK_EVERY * ANSWER_CHECKS;
        assert!((least..least + 2 * CHECK_EVERY).contains(&start.elapsed()));
    }

    #[test]
    fn a_body_past_hyper_is_waited_for_as_long_as_any() {
        let conversation = Conversation::default();
        conversation.set(Turn::Body);
        let mut watch = Watch::default();
        let late = Some(Ending::Owed(Problem::BodyTimeout));
        // The first check sees that it has begun.
        for _ in 0..BODY_CHECKS {
            assert_eq!(watch.check(&conversation), None);
        }
        assert_eq!(watch.check(&conversation), late);
        assert!(CHECK_EVERY * BODY_CHECKS >= BODY_PAUSE_MAX);
        conversation.set(Turn::Body);
        for _ in 0..WHOLE_BODY_CHECKS {
            conversation.advance();
            assert_eq!(watch.check(&conversation), None);
        }
        conversation.advance();
        assert_eq!(watch.check(&conversation), late);
        assert!(CHECK_EVERY * WHOLE_BODY_CHECKS >= BODY_TIME_MAX);
    }

    fn check_problem(answer: &str, status: u16) {
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(
            head.contains("content-type: application/problem+json"),
            "{head}"
        );
        assert!(head.contains("connection: close"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).expect("is JSON");
        assert_eq!(body["status"], status);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_request_gets_a_whole_answer() {
        let long = "x".repeat(PARSED_HEAD_MAX);
        let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
        for (head, status) in [
            ("\u{1}\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400),
            ("GET  HTTP/1.1\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/1.1\r\nbad header\r\n\r\n".to_owned(), 400),
            (
                "PUT / HTTP/1.1\r\ncontent-length: x\r\n\r\n".to_owned(),
                400,
            ),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400),
            (format!("GET / HTTP/1.1\r\na: {long}\r\n\r\n"), 431),
            (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431),
        ] {
            let mut client = Client::connect();
            client.send(&head).await;
            let answer = client.rest().await;
            assert!(!answer.is_empty(), "{head:.40}");
            check_problem(&answer, status);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_request_after_a_good_one_is_refused_alone() {
        let mut client = Client::connect();
        client.send("GET /a HTTP/1.1\r\n\r\n").await;
        assert!(client.answer().await.ends_with("\r\n\r\n/a"));
        client.send("nonsense\r\n\r\n").await;
        check_problem(&client.rest().await, 400);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_head_times_out() {
        let mut client = Client::connect();
        let start = Instant::now();
        client.send("GET / HT").await;
        let mut answer = String::new();
        client
            .stream
            .read_to_string(&mut answer)
            .await
            .expect("is text");
        check_problem(&answer, 408);
        assert!(start.elapsed() >= CHECK_EVERY * HEAD_CHECKS);
        assert!(start.elapsed() <= CHECK_EVERY * (HEAD_CHECKS + 1));
    }

    /// Reads `bytes` every four seconds, and gives the time until the server has enough of it.
    async fn cut_off_after(bytes: usize) -> tokio::time::Duration {
        let (stream, server) = duplex(1024);
        let (_drain, drained) = watch::channel(Drain::Open);
        tokio::spawn(serve(server, Echo(drained.clone()), drained));
        let mut client = stream;
        let head = "PUT /read HTTP/1.1\r\ncontent-length: 100000\r\n\r\n";
        client.write_all(head.as_bytes()).await.expect("is open");
        client.write_all(&[b'x'; 100_000]).await.expect("is read");
        let start = Instant::now();
        let mut left = vec![0; bytes];
        loop {
            sleep(tokio::time::Duration::from_secs(4)).await;
            if client.write_all(b"x").await.is_err() {
                return start.elapsed();
            }
            if bytes > 0 {
                client.read_exact(&mut left).await.expect("is memory");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_the_answer_is_cut_off() {
        let pause = tokio::time::Duration::from_secs(5);
        let silent = cut_off_after(0).await;
        let least = CHECK_EVERY * ANSWER_CHECKS;
        assert!((least..least + 2 * pause).contains(&silent), "{silent:?}");
        let slow = cut_off_after(10).await;
        let least = CHECK_EVERY * WHOLE_ANSWER_CHECKS;
        assert!((least..least + 2 * pause).contains(&slow), "{slow:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_without_a_word() {
        let mut client = Client::connect();
        let start = Instant::now();
        client.send("GET /a HTTP/1.1\r\n\r\n").await;
        assert!(client.answer().await.ends_with("/a"));
        assert_eq!(client.rest().await, "");
        assert!(start.elapsed() >= CHECK_EVERY * IDLE_CHECKS);
    }

    #[tokio::test(start_paused = true)]
    async fn pipelined_requests_are_answered_in_order() {
        let mut client = Client::connect();
        client
            .send("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nconnection: close\r\n\r\n")
            .await;
        let answers = client.rest().await;
        let (first, second) = (answers.find("/a"), answers.find("/b"));
        assert!(first.is_some() && first < second, "{answers}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unread_body_ends_the_connection_after_the_answer() {
        let mut client = Client::connect();
        client
            .send("PUT /skip HTTP/1.1\r\ncontent-length: 1000000\r\n\r\nxxx")
            .await;
        client.send(vec![b'x'; 300_000]).await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        client.send(vec![b'x'; 300_000]).await;
        assert_eq!(client.rest().await, "", "and nothing is reset meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_asked_for_when_it_is_wanted() {
        let head = "HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
        let mut client = Client::connect();
        client.send(format!("PUT /read {head}")).await;
        assert_eq!(client.answer().await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("abc").await;
        assert!(client.answer().await.ends_with("\r\n\r\nabc"));

        let mut client = Client::connect();
        client.send(format!("PUT /skip {head}")).await;
        assert!(client.answer().await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test(start_paused = true)]
    async fn draining_closes_idle_connections_and_finishes_others() {
        let mut fresh = Client::connect();
        let mut idle = Client::connect();
        idle.send("GET /a HTTP/1.1\r\n\r\n").await;
        assert!(idle.answer().await.ends_with("/a"));
        let mut busy = Client::connect();
        busy.send("PUT /read HTTP/1.1\r\ncontent-length: 3\r\n\r\na")
            .await;
        let mut begun = Client::connect();
        begun.send("GET /b HTTP/1.1\r\n\r\n").await;
        assert!(begun.answer().await.ends_with("/b"));
        begun.send("GET /c HT").await;
        yield_now().await;
        for client in [&fresh, &idle, &busy, &begun] {
            client.drain(Drain::CloseIdle);
        }
        assert_eq!(fresh.rest().await, "");
        assert_eq!(idle.rest().await, "");
        busy.send("bc").await;
        check_last(&busy.rest().await, "abc");
        begun.send("TP/1.1\r\n\r\n").await;
        check_last(&begun.rest().await, "/c");
    }

    fn check_last(answer: &str, body: &str) {
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_comes_between_two_that_were_asked_at_once() {
        let mut client = Client::connect();
        client
            .send("PUT /read HTTP/1.1\r\ncontent-length: 3\r\n\r\na")
            .await;
        yield_now().await;
        client.drain(Drain::CloseIdle);
        yield_now().await;
        client.send("bcGET /c HTTP/1.1\r\n\r\n").await;
        let answers = client.rest().await;
        let (first, second) = answers.split_once("abc").expect("the first answer");
        assert!(!first.contains("connection: close"), "{answers}");
        check_last(second, "/c");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_before_the_end_is_answered() {
        let mut client = Client::connect();
        client.send("GET /a HTTP/1.1\r\n\r\n").await;
        assert!(client.answer().await.ends_with("/a"));
        client.send("GET /b HTTP/1.1\r\n\r\n").await;
        client.drain(Drain::CloseIdle);
        check_last(&client.rest().await, "/b");
    }

    #[tokio::test(start_paused = true)]
    async fn draining_answers_all_that_was_asked_at_once() {
        let mut client = Client::connect();
        client.drain(Drain::DoorClosed);
        client
            .send(
                "GET /a HTTP/1.1\r\n\r\nPUT /read HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc\
                 GET /c HTTP/1.1\r\n\r\n",
            )
            .await;
        let answers = client.rest().await;
        let places = [
            "\r\n\r\n/a",
            "\r\n\r\nabc",
            "connection: close",
            "\r\n\r\n/c",
        ]
        .map(|text| answers.find(text));
        assert!(places.iter().all(Option::is_some), "{answers}");
        assert!(places.is_sorted(), "only the last says close: {answers}");
    }
}
