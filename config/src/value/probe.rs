//! How a node is asked how it does.

use std::fmt;

use super::{Kind, Rejected, TomlType};

/// Longest path of an HTTP probe, in bytes: a request line has to fit into the smallest
/// buffers that servers have for it.
const PATH_BYTES_MAX: usize = 1024;

/// How a node is asked: the native kinds of probe of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Not at all.
    Off,
    /// By `GET path`. A status from 200 to 399 is success.
    Http {
        /// The port that is asked.
        port: ProbePort,
        /// The path with its query, beginning with a slash.
        path: String,
    },
    /// By a connection. That it comes about is success.
    Tcp {
        /// The port that is asked.
        port: ProbePort,
    },
}

/// One of the two ports of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbePort {
    /// The HTTP port.
    Http,
    /// The gossip port, over TCP.
    Gossip,
}

impl ProbePort {
    /// What stands for the port between the colon and the path.
    fn infix(self) -> &'static str {
        match self {
            Self::Http => "",
            Self::Gossip => "gossip",
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => write!(f, "off"),
            Self::Http { port, path } => write!(f, "http:{}{path}", port.infix()),
            Self::Tcp {
                port: ProbePort::Http,
            } => write!(f, "tcp"),
            Self::Tcp {
                port: ProbePort::Gossip,
            } => write!(f, "tcp:gossip"),
        }
    }
}

/// Reads and writes a [`Probe`].
pub(crate) struct ProbeText;

impl Kind for ProbeText {
    type Value = Probe;

    fn parse(&self, text: &str) -> Result<Probe, Rejected> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("off") {
            return Ok(Probe::Off);
        }
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind, rest) {
            ("tcp", "") if text == "tcp" => Ok(Probe::Tcp {
                port: ProbePort::Http,
            }),
            ("tcp", "gossip") => Ok(Probe::Tcp {
                port: ProbePort::Gossip,
            }),
            ("http", rest) => {
                let start = rest.find('/').ok_or(Rejected::WHOLE)?;
                let (infix, path) = rest.split_at(start);
                let port = [ProbePort::Http, ProbePort::Gossip]
                    .into_iter()
                    .find(|port| port.infix() == infix)
                    .ok_or(Rejected::WHOLE)?;
                if !is_path(path) {
                    return Err(Rejected::WHOLE);
                }
                let path = path.to_owned();
                Ok(Probe::Http { port, path })
            }
            _ => Err(Rejected::WHOLE),
        }
    }

    fn write(&self, value: &Probe) -> Option<String> {
        Some(value.to_string())
    }

    fn allowed(&self) -> String {
        "http:/PATH or tcp on the HTTP port, http:gossip/PATH or tcp:gossip on the gossip port, \
         or off"
            .to_owned()
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }
}

/// Whether the text can stand in a request line (RFC 9112, 3.2.1). A fragment is never sent,
/// and what begins with two slashes was meant as a URL.
fn is_path(path: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte);
    path.len() <= PATH_BYTES_MAX && !path.starts_with("//") && path.bytes().all(visible)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let written = ProbeText.parse(text).ok().map(|probe| probe.to_string());
        assert_eq!(written.as_deref(), expect, "{text:?}");
    }

    #[test]
    fn kinds_ports_and_paths() {
        check("off", Some("off"));
        check(" OFF ", Some("off"));
        check("tcp", Some("tcp"));
        check("tcp:gossip", Some("tcp:gossip"));
        check("http:/", Some("http:/"));
        check("http:/health?full=1", Some("http:/health?full=1"));
        check("http:/a:b/gossip", Some("http:/a:b/gossip"));
        check("http:gossip/live", Some("http:gossip/live"));
        for wrong in [
            "",
            "on",
            "http",
            "http:",
            "http:health",
            "http://localhost/health",
            "http:8080/health",
            "http:/with blank",
            "http:/part#fragment",
            "http:/ümlaut",
            "tcp:",
            "tcp:8081",
            "TCP",
            "exec:true",
            "grpc",
        ] {
            check(wrong, None);
        }
        check(&format!("http:/{}", "a".repeat(PATH_BYTES_MAX)), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(text in "(http|tcp|off):?(gossip)?/?[!-~]{0,9}") {
            if let Ok(probe) = ProbeText.parse(&text) {
                prop_assert_eq!(ProbeText.parse(&probe.to_string()), Ok(probe));
            }
        }
    }
}
