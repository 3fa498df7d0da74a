//! Where requests go out.

use std::net::{IpAddr, SocketAddr};

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;

use super::answer::Answer;
use super::asker::{ANSWER_TIME_MAX, client};
use super::request::{Kind, Request};
use super::seal::{is_answer_to, sign_post};
use crate::auth::{ClusterKeys, SIGNATURE_HEADER};
use crate::claim::core::Claim;
use crate::peers::{UnixMillis, whole_body};
use crate::slot::PortRange;

/// Sends requests and reads the answers.
#[derive(Clone, Debug)]
pub struct Speaker {
    client: Client,
    range: PortRange,
    keys: Option<ClusterKeys>,
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SpeakError {
    /// Nobody took it in time: the usual case, where nobody holds the port.
    #[error("nobody answers")]
    Silence(#[source] reqwest::Error),
    /// The answer broke off, or was far too long.
    #[error("the answer cannot be read")]
    Unreadable,
    /// The answer is not signed with our secret: whoever listens there is not one of us.
    #[error("the answer is not signed with our secret (status {status})")]
    Unsigned {
        /// The status code.
        status: u16,
    },
    /// It was refused.
    #[error("the request was refused with status {status}")]
    Refused {
        /// The status code.
        status: u16,
    },
}

impl Speaker {
    /// Speaks from the address `bind`, and signs with `keys` if there are some.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(range: PortRange, bind: IpAddr, keys: Option<ClusterKeys>) -> reqwest::Result<Self> {
        Ok(Self {
            client: client(bind, ANSWER_TIME_MAX)?,
            range,
            keys,
        })
    }

    /// Sends a request to whoever listens at `place`, and returns the claim in the answer:
    /// that of the other one to the port that the request is about.
    ///
    /// # Errors
    /// [`SpeakError`]; nothing is known then.
    pub async fn say(
        &self,
        kind: Kind,
        request: &Request,
        place: SocketAddr,
    ) -> Result<Option<Claim>, SpeakError> {
        let body = request.body(kind, UnixMillis::now().0);
        let signature = self
            .keys
            .as_ref()
            .map(|keys| sign_post(keys, kind.path(), &body));
        let mut post = self
            .client
            .post(format!("http://{place}{}", kind.path()))
            .header(CONTENT_TYPE, "application/json");
        if let Some(signature) = &signature {
            post = post.header(SIGNATURE_HEADER, signature);
        }
        let response = post.body(body).send().await.map_err(SpeakError::Silence)?;
        let status = response.status();
        let theirs = response.headers().get(SIGNATURE_HEADER);
        let theirs = theirs
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        if !status.is_success() {
            let status = status.as_u16();
            return Err(SpeakError::Refused { status });
        }
        let answer = whole_body(response).await.ok_or(SpeakError::Unreadable)?;
        if let (Some(keys), Some(question)) = (&self.keys, &signature)
            && !is_answer_to(keys, kind.path(), question, theirs.as_deref(), &answer)
        {
            let status = status.as_u16();
            return Err(SpeakError::Unsigned { status });
        }
        Ok(Answer::claim_in(&answer, request.port, &self.range))
    }
}
