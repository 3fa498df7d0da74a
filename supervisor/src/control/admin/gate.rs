//! Who may do what at ADMIN_ADDR.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use http::header::{AUTHORIZATION, HOST};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, StatusCode};
use subtle::ConstantTimeEq as _;

use crate::control::problem::Problem;
use crate::control::route::Route;

/// What is asked for when no token came.
const CHALLENGE: &str = "Bearer realm=\"supervisor\"";

/// What is asked for when a wrong one came (RFC 6750, section 3.1).
const CHALLENGE_AGAIN: &str = "Bearer realm=\"supervisor\", error=\"invalid_token\"";

/// What somebody must show who wants to change something. Never shown itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Vec<u8>);

impl Token {
    /// Takes the bytes that stand behind `Bearer`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Whether this is it, in a time that only depends on its length.
    fn is(&self, shown: &[u8]) -> bool {
        self.0.ct_eq(shown).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(********)")
    }
}

/// Decides about requests. Clones share the token.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<RwLock<Option<Token>>>);

impl Gate {
    /// With a token for what changes anything; without one nothing can be changed.
    #[must_use]
    pub fn new(token: Option<Token>) -> Self {
        Self(Arc::new(RwLock::new(token)))
    }

    /// Asks for another token from now on.
    pub fn set_token(&self, token: Option<Token>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Whether the request, which came to the address `local` of ours, may be answered.
    pub(super) fn admit<B>(&self, request: &Request<B>, local: IpAddr) -> Result<(), Problem> {
        if local.to_canonical().is_loopback() {
            check_host(request)?;
        }
        // What there is not needs no token.
        Route::find(request.method(), request.uri().path())?;
        if request.method() == Method::GET {
            return Ok(());
        }
        let token = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = token.as_ref() else {
            let detail = "nothing can be changed here, because there is no token: use the \
                          command line on the machine itself, or set ADMIN_TOKEN_FILE (or \
                          ADMIN_TOKEN) and reload";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        };
        match shown_token(request.headers()) {
            None => {
                let detail = "this changes the fleet and needs the token: send the header \
                              `Authorization: Bearer TOKEN`, with what ADMIN_TOKEN_FILE (or \
                              ADMIN_TOKEN) of the supervisor holds";
                Err(Problem::unauthorized(detail, CHALLENGE))
            }
            Some(shown) if token.is(shown) => Ok(()),
            Some(_) => {
                let detail = "the token is wrong; it is what ADMIN_TOKEN_FILE (or ADMIN_TOKEN) \
                              of the supervisor holds";
                Err(Problem::unauthorized(detail, CHALLENGE_AGAIN))
            }
        }
    }
}

/// The token behind `Bearer`, whose letters may be small or large (RFC 9110, section 11.1).
fn shown_token(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    let bearer = scheme.eq_ignore_ascii_case(b"bearer ");
    bearer.then(|| token.trim_ascii())
}

/// Refuses requests for other hosts than this machine. A browser sends the name that its user
/// or a page asked for; a client without a name is no browser.
fn check_host<B>(request: &Request<B>) -> Result<(), Problem> {
    let header = request.headers().get(HOST);
    let named = match (request.uri().authority(), header) {
        (Some(authority), _) => Some(authority.clone()),
        (None, None) => return Ok(()),
        (None, Some(header)) => Authority::try_from(header.as_bytes()).ok(),
    };
    if named
        .as_ref()
        .is_some_and(|named| is_this_machine(named.host()))
    {
        return Ok(());
    }
    let shown = header.map_or_else(String::new, |header| {
        String::from_utf8_lossy(header.as_bytes()).into_owned()
    });
    let detail = format!(
        "the host {shown:?} is not this machine; on a loopback address ask for localhost, \
         127.0.0.1 or [::1]"
    );
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

/// `localhost`, a name below it (RFC 6761, section 6.3), or a loopback address.
fn is_this_machine(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    #[track_caller]
    fn check(gate: &Gate, request: &Request<()>, local: IpAddr, expect: u16) {
        let status = gate
            .admit(request, local)
            .map_or_else(|problem| problem.status().as_u16(), |()| 200);
        assert_eq!(status, expect, "{request:?}");
    }

    #[test]
    fn without_a_token_everybody_reads_and_nobody_writes() {
        let gate = Gate::new(None);
        let check = |method, path, expect| {
            let shown = [("Authorization", "Bearer x")];
            check(&gate, &request(method, path, &shown), LOOPBACK, expect);
        };
        check(Method::GET, "/status", 200);
        check(Method::GET, "/logs?follow=true", 200);
        check(Method::POST, "/stop", 403);
        check(Method::POST, "/restart?dry_run=true", 403);
        check(Method::DELETE, "/status", 405);
        check(Method::POST, "/nothing", 404);
    }

    #[test]
    fn with_a_token_whoever_shows_it_writes() {
        let gate = Gate::new(Some(Token::new(b"open-sesame")));
        let shows = |shown: &str, expect| {
            let headers = [("Authorization", shown)];
            check(
                &gate,
                &request(Method::POST, "/stop", &headers),
                LOOPBACK,
                expect,
            );
        };
        shows("Bearer open-sesame", 200);
        shows("bearer  open-sesame ", 200);
        shows("Bearer open-sesam", 401);
        shows("Bearer open-sesame2", 401);
        shows("Bearer", 401);
        shows("Basic open-sesame", 401);
        shows("open-sesame", 401);
        shows("Bearer caf\u{e9}", 401);
        let none = request(Method::POST, "/stop", &[]);
        check(&gate, &none, LOOPBACK, 401);
        check(&gate, &request(Method::GET, "/status", &[]), LOOPBACK, 200);
    }

    #[test]
    fn a_token_is_changed_while_it_runs() {
        let gate = Gate::new(None);
        let served = gate.clone();
        gate.set_token(Some(Token::new(b"new")));
        let headers = [("Authorization", "Bearer new")];
        check(
            &served,
            &request(Method::POST, "/stop", &headers),
            LOOPBACK,
            200,
        );
        gate.set_token(None);
        check(
            &served,
            &request(Method::POST, "/stop", &headers),
            LOOPBACK,
            403,
        );
    }

    #[test]
    fn names_of_others_are_no_way_to_a_loopback_address() {
        let gate = Gate::new(None);
        let asks = |local: IpAddr, host: &str, expect| {
            let request = request(Method::GET, "/status", &[("Host", host)]);
            check(&gate, &request, local, expect);
        };
        for host in [
            "localhost",
            "localhost:9000",
            "LOCALHOST.",
            "a.localhost:1",
            "127.0.0.1:9000",
            "127.1.2.3",
            "[::1]:9000",
        ] {
            asks(LOOPBACK, host, 200);
            asks(IpAddr::V6(Ipv6Addr::LOCALHOST), host, 200);
        }
        let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        for host in [
            "evil.example",
            "localhost.evil.example:9000",
            "10.0.0.1",
            "",
        ] {
            asks(LOOPBACK, host, 403);
            asks(mapped, host, 403);
            // Elsewhere nobody knows by which names the machine is called.
            asks(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), host, 200);
        }
        // HTTP/1.0 without a name.
        check(&gate, &request(Method::GET, "/status", &[]), LOOPBACK, 200);
    }

    #[test]
    fn a_token_is_never_shown() {
        let gate = Gate::new(Some(Token::new(b"open-sesame")));
        assert!(!format!("{gate:?}").contains("sesame"));
    }
}
