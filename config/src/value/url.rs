//! Places that are asked over HTTP.

use super::text::is_host;
use super::{Kind, Port, Rejected, TomlType};

/// Longer ones are cut by many a server.
const URL_BYTES_MAX: usize = 2000;

/// A URL of HTTP: scheme, host, perhaps a port, and a path, without a user or a fragment.
pub(crate) struct Url;

impl Kind for Url {
    type Value = String;

    fn parse(&self, text: &str) -> Result<String, Rejected> {
        let text = text.trim();
        if is_url(text) {
            Ok(text.to_owned())
        } else {
            Err(Rejected::WHOLE)
        }
    }

    fn write(&self, value: &String) -> Option<String> {
        Some(value.clone())
    }

    fn allowed(&self) -> String {
        format!(
            "a URL of at most {URL_BYTES_MAX} bytes with http:// or https://, a host, and \
             perhaps a port and a path"
        )
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }
}

fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let Some(rest) = rest else { return false };
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"<>\"{}|\\^`#@".contains(&byte);
    let (authority, _path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    text.len() <= URL_BYTES_MAX && text.bytes().all(is_plain) && is_authority(authority)
}

/// A host with or without a port; IPv6 in brackets.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let is_port = port.is_none_or(|port| Port.parse(port).is_ok());
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    is_port
        && match bracketed {
            Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.contains(':') && is_host(host),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        #[track_caller]
        fn check(text: &str, expect: bool) {
            assert_eq!(is_url(text), expect, "{text:?}");
        }
        check("http://fluxnode.service:16101/hostinfo", true);
        check("https://api.runonflux.io/apps/location/", true);
        check("https://api.runonflux.io", true);
        check("http://127.0.0.1:8080", true);
        check("http://[::1]:8080/a?b=c", true);
        check("http://[::1]", true);
        check("http://host?a", true);
        check("", false);
        check("api.runonflux.io", false);
        check("ftp://host/", false);
        check("http://", false);
        check("http:///path", false);
        check("http://host:0/", false);
        check("http://host:http/", false);
        check("http://::1/", false);
        check("http://user@host/", false);
        check("http://host/a b", false);
        check("http://host/#part", false);
        check(&format!("http://host/{}", "a".repeat(2000)), false);
    }
}
