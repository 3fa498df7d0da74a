//! The client of the control API.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{ControlAddress, Problem};

/// How long the supervisor may take to begin its answer: longer than it gives itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer that is read as a whole: the status of a large fleet is a tenth of it.
const ANSWER_MAX: usize = 16 << 20;

/// Asks a supervisor.
#[derive(Debug)]
pub struct ControlClient {
    address: ControlAddress,
}

/// An answer of which the body is still coming.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    body: Incoming,
}

impl ControlClient {
    /// The first of these addresses at which somebody answers.
    ///
    /// # Errors
    /// When nobody does.
    pub fn find(addresses: &[ControlAddress]) -> Result<Self, ClientError> {
        let mut tried = Vec::with_capacity(addresses.len());
        for address in addresses {
            match address.connect() {
                // Every request makes a connection of its own.
                Ok(_) => {
                    return Ok(Self {
                        address: address.clone(),
                    });
                }
                Err(error) => tried.push((address.clone(), error)),
            }
        }
        Err(ClientError::Unreachable { tried })
    }

    /// Makes a call, such as `GET` `/logs?follow=true`. Answers that are no success become
    /// errors, except those that `accept` takes.
    ///
    /// # Errors
    /// When nobody answers, or the answer is a problem.
    pub async fn call(
        &self,
        method: Method,
        call: &str,
        accept: impl Fn(StatusCode) -> bool,
    ) -> Result<Answer, ClientError> {
        let sent = timeout(ANSWER_TIMEOUT, self.send(method, call)).await;
        let answer = sent.map_err(|_| ClientError::Silent {
            address: self.address.clone(),
        })??;
        if answer.status.is_success() || accept(answer.status) {
            return Ok(answer);
        }
        let status = answer.status;
        let problem = answer.json::<Problem>().await;
        Err(ClientError::Refused {
            problem: problem.unwrap_or_else(|_| Problem::new(status, "the supervisor refused")),
        })
    }

    /// Makes a call that is answered with a JSON object.
    ///
    /// # Errors
    /// As [`ControlClient::call`], or when the answer is another.
    pub async fn get<T: DeserializeOwned>(&self, call: &str) -> Result<T, ClientError> {
        self.call(Method::GET, call, |_| false).await?.json().await
    }

    async fn send(&self, method: Method, call: &str) -> Result<Answer, ClientError> {
        let lost = |source| ClientError::Lost {
            address: self.address.clone(),
            source,
        };
        let stream = self
            .address
            .connect()
            .map_err(|error| ClientError::Unreachable {
                tried: vec![(self.address.clone(), error)],
            })?;
        let into_tokio = |stream: std::os::unix::net::UnixStream| {
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream)
        };
        let stream = into_tokio(stream).map_err(|error| lost(error.into()))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| lost(error.into()))?;
        // Its errors come back through the answer.
        tokio::spawn(connection);
        let request = http::Request::builder()
            .method(method)
            .uri(call)
            .header(http::header::HOST, "supervisor")
            .body(Empty::<Bytes>::new())
            .map_err(|error| lost(error.into()))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| lost(error.into()))?;
        let (head, body) = response.into_parts();
        Ok(Answer {
            status: head.status,
            body,
        })
    }

    /// The process id of the supervisor, as the kernel tells it.
    ///
    /// # Errors
    /// When nobody answers any more.
    pub fn supervisor_pid(&self) -> io::Result<i32> {
        let stream = self.address.connect()?;
        Ok(getsockopt(&stream, PeerCredentials)?.pid())
    }
}

impl Answer {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// When the body was broken off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|source| ClientError::Broken { source })?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// When the body was broken off or is too large.
    pub async fn whole(mut self) -> Result<Vec<u8>, ClientError> {
        let mut text = Vec::new();
        while let Some(piece) = self.piece().await? {
            text.extend_from_slice(&piece);
            if text.len() > ANSWER_MAX {
                return Err(ClientError::TooLong);
            }
        }
        Ok(text)
    }

    /// The whole body as a JSON object.
    ///
    /// # Errors
    /// When the body was broken off, is too large or something else.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let text = self.whole().await?;
        serde_json::from_slice(&text).map_err(|source| ClientError::Unexpected { source })
    }
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers.
    #[error("no supervisor answers{}", tried_text(tried))]
    Unreachable {
        /// Where it was tried, and what the system said.
        tried: Vec<(ControlAddress, io::Error)>,
    },
    /// Somebody listens and says nothing.
    #[error("the supervisor at {address} does not answer")]
    Silent {
        /// The address.
        address: ControlAddress,
    },
    /// The connection was lost before there was an answer.
    #[error("lost the supervisor at {address} before it answered")]
    Lost {
        /// The address.
        address: ControlAddress,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer was broken off.
    #[error("the supervisor broke off its answer")]
    Broken {
        /// Why.
        source: hyper::Error,
    },
    /// The supervisor says no.
    #[error("{}", problem.detail)]
    Refused {
        /// What it says.
        problem: Problem,
    },
    /// The answer is not what was asked for: the versions differ.
    #[error("the answer of the supervisor is not understood: is it of another version?")]
    Unexpected {
        /// What does not fit.
        source: serde_json::Error,
    },
    /// The answer has no end.
    #[error("the answer of the supervisor is longer than {ANSWER_MAX} bytes")]
    TooLong,
}

impl ClientError {
    /// Whether the supervisor finds its settings wrong.
    #[must_use]
    pub fn is_about_settings(&self) -> bool {
        matches!(self, Self::Refused { problem } if problem.status() == Problem::SETTINGS)
    }

    /// Whether there is no supervisor to talk to.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Lost { .. }
        )
    }
}

fn tried_text(tried: &[(ControlAddress, io::Error)]) -> String {
    tried
        .iter()
        .map(|(address, error)| format!("\n  at {address}: {error}"))
        .collect()
}
