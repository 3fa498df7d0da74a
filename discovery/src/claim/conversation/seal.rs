//! Signatures on requests and on answers.
//!
//! A request is signed as every HTTP request of the network is ([`HttpSignature`]). An
//! answer is signed over the signature of its request, so it is good for that request only
//! and no window of nonces is needed for it.

use crate::auth::{ClusterKeys, HttpSignature, Nonce, ReplayWindow, SignedRequest};
use crate::peers::UnixMillis;

/// What stands in the place of the method when an answer is signed.
const ANSWER: &str = "ANSWER";

/// The signature of a POST of now.
///
/// # Panics
/// When the system has no randomness, without which nothing can be secret either.
pub(super) fn sign_post(keys: &ClusterKeys, path: &str, body: &[u8]) -> String {
    let request = SignedRequest {
        method: "POST",
        path,
        body,
    };
    HttpSignature::sign(keys, request, UnixMillis::now().0, nonce()).to_string()
}

/// The signature of an answer with `body` to the request to `path` that had the signature
/// `question`. It goes into the header [`crate::auth::SIGNATURE_HEADER`] of the answer.
///
/// # Panics
/// When the system has no randomness.
#[must_use]
pub fn sign_answer(keys: &ClusterKeys, path: &str, question: &str, body: &[u8]) -> String {
    let signed = bound(question, body);
    let request = SignedRequest {
        method: ANSWER,
        path,
        body: &signed,
    };
    HttpSignature::sign(keys, request, UnixMillis::now().0, nonce()).to_string()
}

/// Whether `signature` is one of an answer with `body` to that request.
pub(super) fn is_answer_to(
    keys: &ClusterKeys,
    path: &str,
    question: &str,
    signature: Option<&str>,
    body: &[u8],
) -> bool {
    let signed = bound(question, body);
    let request = SignedRequest {
        method: ANSWER,
        path,
        body: &signed,
    };
    let mut window = ReplayWindow::new(0);
    HttpSignature::check(signature, keys, request, &mut window, UnixMillis::now().0).is_ok()
}

/// The body of an answer together with what it answers. A signature has no line end in it.
fn bound(question: &str, body: &[u8]) -> Vec<u8> {
    [question.as_bytes(), b"\n", body].concat()
}

fn nonce() -> Nonce {
    let mut nonce = Nonce::default();
    getrandom::fill(&mut nonce).expect("the system has randomness");
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn keys(secret: &str) -> ClusterKeys {
        ClusterKeys::new(&Secret::new(secret.as_bytes()), None)
    }

    #[test]
    fn an_answer_is_good_for_its_request_only() {
        let path = "/peer_announce";
        let question = sign_post(&keys("a"), path, b"{}");
        let answer = sign_answer(&keys("a"), path, &question, b"yes");
        let check = |secret: &str, path: &str, question: &str, body: &[u8]| {
            is_answer_to(&keys(secret), path, question, Some(&answer), body)
        };
        assert!(check("a", path, &question, b"yes"));
        assert!(!check("b", path, &question, b"yes"));
        assert!(!check("a", "/peer_leaving", &question, b"yes"));
        assert!(!check(
            "a",
            path,
            &sign_post(&keys("a"), path, b"{}"),
            b"yes"
        ));
        assert!(!check("a", path, &question, b"no"));
        assert!(!is_answer_to(&keys("a"), path, &question, None, b"yes"));
    }

    #[test]
    fn a_request_does_not_pass_for_an_answer() {
        let path = "/peer_announce";
        let question = sign_post(&keys("a"), path, b"{}");
        let body = bound(&question, b"yes");
        let request = sign_post(&keys("a"), path, &body);
        assert!(!is_answer_to(
            &keys("a"),
            path,
            &question,
            Some(&request),
            b"yes"
        ));
    }
}
