//! Reading the answers of the platform.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

/// Characters of the platform's own words that are passed on.
const SAID_MAX: usize = 200;

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not a JSON object.
    #[error("the answer is not a JSON object")]
    NotJson,
    /// The platform reports an error, which it does with status 200.
    #[error("the platform reports an error: {0:?}")]
    Said(String),
    /// What was asked for is not in it.
    #[error("the answer has no {0}")]
    Lacks(&'static str),
}

/// The public address in an answer of the `hostinfo` service.
///
/// # Errors
/// [`AnswerError`]: then nothing is known of the address.
pub fn parse_address(body: &[u8]) -> Result<IpAddr, AnswerError> {
    let data = data(body)?;
    let ip = data.get("ip").and_then(Value::as_str);
    ip.and_then(host_address)
        .ok_or(AnswerError::Lacks("public address"))
}

/// The addresses of the hosts that run `app`, in an answer of the location service, in its
/// order. Entries that cannot be read, or that are about another app, are left out.
///
/// # Errors
/// [`AnswerError`]: then nothing is known of the instances. An empty list is an answer.
pub fn parse_instances(body: &[u8], app: &str) -> Result<Vec<IpAddr>, AnswerError> {
    let data = data(body)?;
    let list = data.as_array();
    let list = list.ok_or(AnswerError::Lacks("list of instances"))?;
    let is_ours = |entry: &&Value| match entry.get("name").and_then(Value::as_str) {
        Some(name) => name.eq_ignore_ascii_case(app),
        None => true,
    };
    let ip = |entry: &Value| {
        entry
            .get("ip")
            .and_then(Value::as_str)
            .and_then(host_address)
    };
    Ok(list.iter().filter(is_ours).filter_map(ip).collect())
}

/// The `data` of an answer that reports success.
fn data(body: &[u8]) -> Result<Value, AnswerError> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| AnswerError::NotJson)?;
    let Value::Object(mut fields) = answer else {
        return Err(AnswerError::NotJson);
    };
    let data = fields.remove("data");
    match fields.get("status").and_then(Value::as_str) {
        Some(status) if status.eq_ignore_ascii_case("success") => {
            data.ok_or(AnswerError::Lacks("data"))
        }
        Some(_) => {
            let said = data.map(|data| match &data["message"] {
                Value::String(message) => message.clone(),
                _ => data.to_string(),
            });
            let said = said.unwrap_or_default();
            Err(AnswerError::Said(said.chars().take(SAID_MAX).collect()))
        }
        None => Err(AnswerError::Lacks("status")),
    }
}

/// An address of a host that others could have, with or without the port of the platform's
/// own API behind it.
#[must_use]
pub fn host_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|it| it.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let ip: IpAddr = text.parse().ok().or_else(with_port).or_else(bracketed)?;
    let ip = ip.to_canonical();
    is_host(ip).then_some(ip)
}

/// Whether an address can belong to one host among others.
fn is_host(ip: IpAddr) -> bool {
    let special = match ip {
        IpAddr::V4(ip) => ip.is_broadcast() || ip.is_link_local() || ip.octets()[0] == 0,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(special || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_of_hosts() {
        #[track_caller]
        fn check(text: &str, expect: Option<&str>) {
            let expect = expect.map(|ip| ip.parse().unwrap());
            assert_eq!(host_address(text), expect, "{text:?}");
        }
        check("192.0.2.7", Some("192.0.2.7"));
        check(" 192.0.2.7:16147 ", Some("192.0.2.7"));
        check("2001:db8::7", Some("2001:db8::7"));
        check("[2001:db8::7]:16147", Some("2001:db8::7"));
        check("[2001:db8::7]", Some("2001:db8::7"));
        check("::ffff:192.0.2.7", Some("192.0.2.7"));
        for nobody in [
            "",
            "host",
            "192.0.2",
            "192.0.2.7:",
            "192.0.2.7:x",
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "::",
            "0.1.2.3",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "169.254.1.1",
            "fe80::1",
        ] {
            check(nobody, None);
        }
    }

    #[test]
    fn our_own_address() {
        #[track_caller]
        fn check(body: &str, expect: Result<&str, &str>) {
            let found = parse_address(body.as_bytes()).map(|ip| ip.to_string());
            let found = found.map_err(|error| error.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expect, "{body}");
        }
        check(
            r#"{"status":"success","data":{"appName":"a","id":"1","ip":"192.0.2.7","more":[]}}"#,
            Ok("192.0.2.7"),
        );
        check(
            r#"{"data":{"ip":"192.0.2.7:16127"},"status":"SUCCESS"}"#,
            Ok("192.0.2.7"),
        );
        check(
            r#"{"status":"error","data":{"message":"not yet","code":1}}"#,
            Err(r#"the platform reports an error: "not yet""#),
        );
        check(
            r#"{"status":"error","data":"no"}"#,
            Err(r#"the platform reports an error: "\"no\"""#),
        );
        check(
            r#"{"status":"error"}"#,
            Err(r#"the platform reports an error: """#),
        );
        let no_address = Err("the answer has no public address");
        check(r#"{"status":"success","data":{"ip":null}}"#, no_address);
        check(
            r#"{"status":"success","data":{"ip":"127.0.0.1"}}"#,
            no_address,
        );
        check(r#"{"status":"success","data":[]}"#, no_address);
        check(r#"{"status":"success"}"#, Err("the answer has no data"));
        check(
            r#"{"data":{"ip":"192.0.2.7"}}"#,
            Err("the answer has no status"),
        );
        check("[]", Err("the answer is not a JSON object"));
        check("<html>", Err("the answer is not a JSON object"));
        check("", Err("the answer is not a JSON object"));
    }

    #[test]
    fn what_the_platform_says_is_cut() {
        let body = format!(
            r#"{{"status":"error","data":{{"message":"{}"}}}}"#,
            "ä".repeat(9999)
        );
        let error = parse_address(body.as_bytes());
        assert_eq!(error, Err(AnswerError::Said("ä".repeat(SAID_MAX))));
    }

    #[test]
    fn the_other_instances() {
        #[track_caller]
        fn check(data: &str, expect: &[&str]) {
            let body = format!(r#"{{"status":"success","data":{data}}}"#);
            let found = parse_instances(body.as_bytes(), "fade").unwrap();
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expect, "{data}");
        }
        check("[]", &[]);
        check(
            r#"[{"name":"fade","hash":"x","ip":"192.0.2.1:16147","expireAt":"y"},
                {"name":"Fade","ip":"192.0.2.2"},{"ip":"192.0.2.3","osUptime":1}]"#,
            &["192.0.2.1", "192.0.2.2", "192.0.2.3"],
        );
        check(
            r#"[{"name":"other","ip":"192.0.2.1"},{"name":"fade"},{"ip":7},null,"192.0.2.2",
                {"ip":"no"},{"ip":"192.0.2.9"}]"#,
            &["192.0.2.9"],
        );
        let list = AnswerError::Lacks("list of instances");
        let body = br#"{"status":"success","data":{}}"#;
        assert_eq!(parse_instances(body, "fade"), Err(list));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = parse_address(&body);
            let _ = parse_instances(&body, "fade");
        }
    }
}
