//! A client that keeps no connections, so that what one test does to a node is not
//! felt by the next request.

use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Longer than any answer of a node may take: writes wait five seconds for a quorum.
const TIMEOUT: Duration = Duration::from_secs(20);

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let client = Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(TIMEOUT);
    client
        .build()
        .expect("a client without TLS needs nothing from the system")
});

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// One header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Sends a request and waits for its answer no longer than `patience`.
///
/// # Errors
/// Why there was no answer.
pub(crate) fn ask_within(
    patience: Duration,
    method: Method,
    port: u16,
    path: &str,
    body: Vec<u8>,
) -> Result<Answer, String> {
    let url = format!("http://{}:{port}{path}", Ipv4Addr::LOCALHOST);
    let request = CLIENT.request(method, &url).body(body).timeout(patience);
    perform(&url, request)
}

/// Sends a request to a port of 127.0.0.1; an error says why there was no answer.
pub fn ask(method: &str, port: u16, path: &str, body: &[u8]) -> Result<Answer, String> {
    ask_with(method, port, path, &[], body)
}

/// The same with headers.
pub fn ask_with(
    method: &str,
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, String> {
    let method: Method = method.parse().expect("tests use methods that exist");
    let url = format!("http://{}:{port}{path}", Ipv4Addr::LOCALHOST);
    let request = CLIENT.request(method, &url).body(body.to_vec());
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    perform(&url, request)
}

fn perform(url: &str, request: RequestBuilder) -> Result<Answer, String> {
    let answer = request
        .send()
        .map_err(|error| format!("{url}: {}", chain(&error)))?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = answer
        .bytes()
        .map_err(|error| format!("{url}: {}", chain(&error)))?;
    Ok(Answer {
        status,
        headers,
        body: body.to_vec(),
    })
}

/// `GET`.
pub fn get(port: u16, path: &str) -> Result<Answer, String> {
    ask("GET", port, path, b"")
}

/// `PUT`.
pub fn put(port: u16, path: &str, body: &[u8]) -> Result<Answer, String> {
    ask("PUT", port, path, body)
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
