use std::fmt;
use std::str::FromStr;

use super::{ClusterKeys, Mac, Nonce, Replay, ReplayWindow};
use crate::hex;

/// The HTTP header that carries an [`HttpSignature`].
///
/// Its value is `v1 TIME NONCE MAC`: the wall-clock milliseconds since the Unix epoch in
/// decimal, the nonce and the MAC in hexadecimal, with one blank between them.
pub const SIGNATURE_HEADER: &str = "x-repram-signature";

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The method, such as `POST`.
    pub method: &'a str,
    /// Path and query as they stand in the request line.
    pub path: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Proof that a request was made, now and for the first time, by somebody who knows the
/// secret.
///
/// The MAC covers method, path with query, time stamp, nonce and body. It does not cover
/// the receiver's address, which proxies and port mappings change: a message to one node
/// is valid for every node of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpSignature {
    stamp_ms: u64,
    nonce: Nonce,
    mac: Mac,
}

/// Why a request is not believed. The answer is 401 with this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error("header {SIGNATURE_HEADER} is missing")]
    Missing,
    /// There is one, but not in the form of [`SIGNATURE_HEADER`].
    #[error("header {SIGNATURE_HEADER} is not `v1 TIME NONCE MAC`")]
    Malformed,
    /// It was made with another secret, or for another request.
    #[error("signature does not match: another secret, or a changed request")]
    Wrong,
    /// It is authentic, but too old, too new, or a repetition.
    #[error(transparent)]
    Replay(#[from] Replay),
}

impl HttpSignature {
    /// Signs `request` at the wall-clock time `now_ms` with a `nonce` of fresh randomness.
    #[must_use]
    pub fn sign(keys: &ClusterKeys, request: SignedRequest<'_>, now_ms: u64, nonce: Nonce) -> Self {
        let mac = purpose(keys).sign(&[&head(request, now_ms, nonce), request.body]);
        Self {
            stamp_ms: now_ms,
            nonce,
            mac,
        }
    }

    /// Decides whether `request`, which came with the value `header`, is to be believed.
    ///
    /// # Errors
    /// [`SignatureError`] says what is wrong. Only a request whose MAC is right is
    /// remembered in `window`.
    pub fn check(
        header: Option<&str>,
        keys: &ClusterKeys,
        request: SignedRequest<'_>,
        window: &mut ReplayWindow,
        now_ms: u64,
    ) -> Result<(), SignatureError> {
        let Self {
            stamp_ms,
            nonce,
            mac,
        } = header.ok_or(SignatureError::Missing)?.parse()?;
        let head = head(request, stamp_ms, nonce);
        if !purpose(keys).verify(&[&head, request.body], &mac) {
            return Err(SignatureError::Wrong);
        }
        Ok(window.admit(stamp_ms, nonce, now_ms)?)
    }
}

impl fmt::Display for HttpSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stamp_ms,
            nonce,
            mac,
        } = self;
        write!(
            f,
            "v1 {stamp_ms} {} {}",
            hex::encode(nonce),
            hex::encode(mac)
        )
    }
}

impl FromStr for HttpSignature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        parse(text).ok_or(SignatureError::Malformed)
    }
}

fn parse(text: &str) -> Option<HttpSignature> {
    let mut words = text.split(' ');
    if words.next()? != "v1" {
        return None;
    }
    let stamp = words.next()?;
    // `parse` would take a sign as well.
    if !stamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let stamp_ms = stamp.parse().ok()?;
    let nonce = hex::decode(words.next()?)?.try_into().ok()?;
    let mac = hex::decode(words.next()?)?.try_into().ok()?;
    words.next().is_none().then_some(HttpSignature {
        stamp_ms,
        nonce,
        mac,
    })
}

fn purpose(keys: &ClusterKeys) -> ClusterKeys {
    keys.derive(&[b"repram http v1"])
}

/// Everything that is signed before the body. No field can contain the line end that ends
/// it: HTTP has none in a method or a request target.
fn head(request: SignedRequest<'_>, stamp_ms: u64, nonce: Nonce) -> Vec<u8> {
    let SignedRequest {
        method,
        path,
        body: _,
    } = request;
    format!("{method}\n{path}\n{stamp_ms}\n{}\n", hex::encode(&nonce)).into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    const NOW: u64 = 1_700_000_000_000;
    const REQUEST: SignedRequest<'static> = SignedRequest {
        method: "POST",
        path: "/v1/peer_announce?a=b",
        body: b"{}",
    };

    fn keys() -> ClusterKeys {
        ClusterKeys::new(&Secret::new(*b"secret"), None)
    }

    fn header() -> String {
        HttpSignature::sign(&keys(), REQUEST, NOW, [1; 16]).to_string()
    }

    fn checked(header: Option<&str>, request: SignedRequest<'_>) -> Result<(), SignatureError> {
        HttpSignature::check(header, &keys(), request, &mut ReplayWindow::new(0), NOW)
    }

    #[test]
    fn what_is_signed_is_believed_once() {
        let mut window = ReplayWindow::new(NOW);
        let header = header();
        let mut check =
            || HttpSignature::check(Some(&header), &keys(), REQUEST, &mut window, NOW + 50);
        assert_eq!(check(), Ok(()));
        assert_eq!(check(), Err(SignatureError::Replay(Replay::Repeated)));
    }

    #[test]
    fn every_part_of_the_request_counts() {
        let header = header();
        let check =
            |request| assert_eq!(checked(Some(&header), request), Err(SignatureError::Wrong));
        check(SignedRequest {
            method: "PUT",
            ..REQUEST
        });
        check(SignedRequest {
            path: "/peer_announce?a=b",
            ..REQUEST
        });
        check(SignedRequest {
            path: "/v1/peer_announce",
            ..REQUEST
        });
        check(SignedRequest {
            body: b"{ }",
            ..REQUEST
        });
        assert_eq!(checked(Some(&header), REQUEST), Ok(()));

        let later = header.replace(&NOW.to_string(), &(NOW + 1).to_string());
        assert_eq!(checked(Some(&later), REQUEST), Err(SignatureError::Wrong));
        let other_nonce = header.replacen("01", "02", 1);
        assert_eq!(
            checked(Some(&other_nonce), REQUEST),
            Err(SignatureError::Wrong)
        );
    }

    #[test]
    fn a_forged_request_does_not_use_up_the_nonce() {
        let mut window = ReplayWindow::new(0);
        let header = header();
        let mut check =
            |request| HttpSignature::check(Some(&header), &keys(), request, &mut window, NOW);
        assert_eq!(
            check(SignedRequest {
                body: b"forged",
                ..REQUEST
            }),
            Err(SignatureError::Wrong)
        );
        assert_eq!(check(REQUEST), Ok(()));
    }

    #[test]
    fn what_is_no_signature() {
        let check = |text: &str| {
            assert_eq!(
                checked(Some(text), REQUEST),
                Err(SignatureError::Malformed),
                "{text:?}"
            );
        };
        let (nonce, mac) = ("01".repeat(16), "02".repeat(32));
        check("");
        check("v1");
        check(&format!("v2 {NOW} {nonce} {mac}"));
        check(&format!("v1 +{NOW} {nonce} {mac}"));
        check(&format!("v1 {NOW}00000000 {nonce} {mac}"));
        check(&format!("v1  {nonce} {mac}"));
        check(&format!("v1 {NOW} {nonce}00 {mac}"));
        check(&format!("v1 {NOW} {nonce} {}", &mac[2..]));
        check(&format!("v1 {NOW} {nonce} {mac} "));
        // The plain MAC of the body, as an earlier protocol sent it.
        check(&mac);
        assert_eq!(checked(None, REQUEST), Err(SignatureError::Missing));
    }

    #[test]
    fn the_http_key_is_good_for_http_only() {
        let text = header();
        let signature: HttpSignature = text.parse().unwrap();
        let head = head(REQUEST, NOW, [1; 16]);
        assert!(!keys().verify(&[&head, REQUEST.body], &signature.mac));
    }

    proptest! {
        #[test]
        fn text_and_back(stamp_ms: u64, nonce: Nonce, mac: Mac) {
            let signature = HttpSignature { stamp_ms, nonce, mac };
            prop_assert_eq!(signature.to_string().parse(), Ok(signature));
        }

        #[test]
        fn any_header_is_refused(text: String) {
            prop_assert!(checked(Some(&text), REQUEST).is_err());
        }
    }
}
