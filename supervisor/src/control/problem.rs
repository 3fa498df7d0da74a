//! Errors of the API: problem details after RFC 9457.

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What went wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The status in words.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What is wrong with this request, and what to do.
    pub detail: String,
    /// The method that is allowed instead.
    #[serde(skip)]
    pub(crate) allow: Option<Method>,
    /// What kind of proof is asked for, and what was wrong with the one that came.
    #[serde(skip)]
    pub(crate) challenge: Option<&'static str>,
}

impl Problem {
    /// The status which says that the settings cannot be used.
    pub(crate) const SETTINGS: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or_default().to_owned();
        Self {
            title,
            status: status.as_u16(),
            detail: detail.into(),
            allow: None,
            challenge: None,
        }
    }

    /// The call is made in another way.
    pub(crate) fn method_not_allowed(allow: &Method) -> Self {
        let detail = format!("this call is made with {allow}");
        Self {
            allow: Some(allow.clone()),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        }
    }

    /// Whoever asks has to show the token (RFC 6750, section 3).
    pub(crate) fn unauthorized(detail: &str, challenge: &'static str) -> Self {
        Self {
            challenge: Some(challenge),
            ..Self::new(StatusCode::UNAUTHORIZED, detail)
        }
    }

    /// The request cannot be understood.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// It may work later.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}
