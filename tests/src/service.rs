//! A service over HTTP that has its moods.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::network::listen_in;

/// Bytes of an answer that is far too long.
const HUGE: usize = 64 * 1024 * 1024;

/// How a service answers.
#[derive(Clone, Debug)]
pub enum Mood {
    /// With status 200 and this body.
    Body(String),
    /// With this status and an empty body.
    Status(u16),
    /// With bytes that are not HTTP.
    Garbage,
    /// With a body without an end in sight.
    Huge,
    /// Not at all: the connection is kept.
    Silent,
    /// By closing the connection in the middle of the body.
    Broken,
}

/// A service that answers each request in its next mood, and begins again after the last.
pub struct Service {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default)]
struct State {
    moods: Vec<Mood>,
    asked: usize,
}

impl Service {
    /// Starts one at a place of a network namespace; without moods it is silent.
    ///
    /// # Errors
    /// When the place cannot be had.
    pub fn start(namespace: &Path, place: SocketAddr) -> Result<Self, String> {
        let listener = listen_in(namespace, place)?;
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.expect("a runtime needs a few descriptors");
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, &serving) => {}
                    () = serving.ended.notified() => {}
                }
            });
        });
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Answers like this from now on, in turn.
    pub fn set(&self, moods: impl IntoIterator<Item = Mood>) {
        let mut state = self.shared.state();
        state.moods = moods.into_iter().collect();
        state.asked = 0;
    }

    /// How often it was asked since its moods were set.
    pub fn asked(&self) -> usize {
        self.shared.state().asked
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.ended.notify_one();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Shared {
    fn next_mood(&self) -> Mood {
        let mut state = self.state();
        let index = state.asked;
        state.asked += 1;
        match state.moods.len() {
            0 => Mood::Silent,
            count => state.moods[index % count].clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: std::net::TcpListener, shared: &Arc<Shared>) {
    listener.set_nonblocking(true).expect("it is a socket");
    let listener = TcpListener::from_std(listener).expect("it is of this runtime");
    loop {
        if let Ok((socket, _)) = listener.accept().await {
            let shared = Arc::clone(shared);
            // It ends with the runtime.
            tokio::spawn(async move { converse(socket, &shared).await });
        }
    }
}

/// Reads a request and answers it; whoever asks may go at any time.
async fn converse(mut socket: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut asked = Vec::new();
    let mut buffer = [0; 1024];
    while !asked.ends_with(b"\r\n\r\n") {
        match socket.read(&mut buffer).await? {
            0 => return Ok(()),
            length => asked.extend_from_slice(&buffer[..length]),
        }
    }
    match shared.next_mood() {
        Mood::Body(body) => {
            socket
                .write_all(head(200, body.len(), &body).as_bytes())
                .await
        }
        Mood::Status(status) => socket.write_all(head(status, 0, "").as_bytes()).await,
        Mood::Garbage => socket.write_all(b"\x16\x03\x01 <html>no\r\n\r\n").await,
        Mood::Broken => {
            socket
                .write_all(head(200, 1000, "{\"status\"").as_bytes())
                .await
        }
        Mood::Huge => {
            socket.write_all(head(200, HUGE, "").as_bytes()).await?;
            let some = [b' '; 64 * 1024];
            for _ in 0..HUGE / some.len() {
                socket.write_all(&some).await?;
            }
            Ok(())
        }
        Mood::Silent => std::future::pending().await,
    }
}

fn head(status: u16, length: usize, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Any\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         \r\n{body}"
    )
}
