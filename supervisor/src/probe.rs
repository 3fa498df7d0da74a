//! Asking a node over HTTP or by a connection, for programs that do not notify.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use nix::unistd::{Pid, getpgid};
use repram_discovery::holder::{Transport, holders_of};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::fleet::Answer;
use crate::reaper::carries;

/// Who is asked, what, and what must be true of it.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where the port is that is asked.
    pub address: SocketAddr,
    /// How it is asked.
    pub manner: Manner,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Who must hold the listening socket; none when the supervisor holds it itself, so that
    /// nobody else can.
    pub owner: Option<Owner>,
}

/// How a port is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// By `GET path`.
    Http {
        /// The path with its query.
        path: String,
        /// Which answers are success.
        success: Success,
    },
    /// By a connection, which is closed at once.
    Tcp,
}

/// Which status of an HTTP answer is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// 200 to 399, as in Kubernetes.
    Good,
    /// Any below 500: a program that does not know the path answers 404, and is there.
    NoFault,
    /// Any at all: whatever answers lives.
    Anything,
}

impl Success {
    fn includes(self, status: u16) -> bool {
        match self {
            Self::Good => (200..400).contains(&status),
            Self::NoFault => status < 500,
            Self::Anything => true,
        }
    }
}

/// A node's processes: its group, and its descendants that left the group, which carry its
/// UUID in their environment.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The main process, and so the group.
    pub group: Pid,
    /// The node.
    pub uuid: Uuid,
}

/// Asks questions; cheap to clone.
#[derive(Clone, Debug)]
pub struct Prober {
    client: reqwest::Client,
}

impl Prober {
    /// A prober that opens a new connection for each question: a kept one would say
    /// nothing about whether new clients are served.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("repram-supervisor/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client })
    }

    /// Asks, and answers when the question's time is over at the latest.
    pub async fn ask(&self, question: &Question) -> Answer {
        let started = Instant::now();
        let outcome = timeout(question.timeout, self.exchange(question)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(late(question)));
        let passed = outcome.is_ok();
        let summary = match outcome {
            Ok(summary) | Err(summary) => summary,
        };
        Answer {
            passed,
            summary,
            latency: started.elapsed(),
        }
    }

    async fn exchange(&self, question: &Question) -> Result<String, String> {
        let port = question.address.port();
        if let Some(owner) = question.owner
            // Every process of the machine may have to be looked at.
            && !tokio::task::spawn_blocking(move || listens(port, owner)).await.unwrap_or(false)
        {
            return Err(format!("port {port} is not held by the node itself"));
        }
        match &question.manner {
            Manner::Http { path, success } => self.get(question.address, path, *success).await,
            Manner::Tcp => match TcpStream::connect(question.address).await {
                Ok(_) => Ok(format!("port {port} took a connection")),
                Err(error) => Err(format!("port {port} took no connection: {error}")),
            },
        }
    }

    async fn get(&self, to: SocketAddr, path: &str, success: Success) -> Result<String, String> {
        match self.client.get(format!("http://{to}{path}")).send().await {
            Ok(answer) => {
                let summary = format!("{path} answered {}", answer.status());
                match success.includes(answer.status().as_u16()) {
                    true => Ok(summary),
                    false => Err(summary),
                }
            }
            Err(error) if error.is_connect() => Err(format!("{path} refused the connection")),
            Err(_) => Err(format!("{path} did not answer in HTTP")),
        }
    }
}

fn late(question: &Question) -> String {
    let ms = question.timeout.as_millis();
    match &question.manner {
        Manner::Http { path, .. } => format!("{path} did not answer within {ms} ms"),
        Manner::Tcp => {
            let port = question.address.port();
            format!("port {port} took no connection within {ms} ms")
        }
    }
}

/// Whether a process of the node holds the port.
fn listens(port: u16, owner: Owner) -> bool {
    holders_of(port, Transport::Tcp).iter().any(|holder| {
        let pid = Pid::from_raw(holder.pid.cast_signed());
        getpgid(Some(pid)) == Ok(owner.group) || carries(pid, &[owner.uuid])
    })
}

/// Where a node that listens on `bind` is reached from this machine.
#[must_use]
pub fn reachable(bind: IpAddr, port: u16) -> SocketAddr {
    let address = match bind {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        // A dual-stack socket; where IPv6 is off, only this one answers.
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6 == Ipv6Addr::LOCALHOST => bind,
        IpAddr::V4(_) | IpAddr::V6(_) => bind,
    };
    SocketAddr::new(address, port)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What comes of asking `GET /health` of a server that says `reply`.
    async fn outcome(reply: &'static str, success: Success) -> (bool, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepts");
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.expect("reads");
            assert!(request[..length].starts_with(b"GET /health HTTP/1.1\r\n"));
            stream.write_all(reply.as_bytes()).await.expect("writes");
        });
        let path = "/health".to_owned();
        let question = Question {
            address,
            manner: Manner::Http { path, success },
            timeout: Duration::from_secs(10),
            owner: None,
        };
        let answer = Prober::new().expect("builds").ask(&question).await;
        server.await.expect("served");
        (answer.passed, answer.summary)
    }

    #[tokio::test]
    async fn what_counts_as_success() {
        for (status, good, no_fault) in [
            ("200 OK", true, true),
            ("302 Found", true, true),
            ("404 Not Found", false, true),
            ("500 Internal Server Error", false, false),
            ("503 Service Unavailable", false, false),
        ] {
            let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").leak();
            for (success, passed) in [
                (Success::Good, good),
                (Success::NoFault, no_fault),
                (Success::Anything, true),
            ] {
                let expect = (passed, format!("/health answered {status}"));
                assert_eq!(outcome(reply, success).await, expect, "{success:?}");
            }
        }
        let no_http = (false, "/health did not answer in HTTP".to_owned());
        assert_eq!(outcome("hello\r\n\r\n", Success::Anything).await, no_http);
    }

    #[tokio::test]
    async fn silence_and_strangers_fail() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let port = address.port();
        let prober = Prober::new().expect("builds");
        let ask = async |manner: &Manner, timeout_ms, owner| {
            let question = Question {
                address,
                manner: manner.clone(),
                timeout: Duration::from_millis(timeout_ms),
                owner,
            };
            let answer = prober.ask(&question).await;
            (answer.passed, answer.summary)
        };
        let http = Manner::Http {
            path: "/live".into(),
            success: Success::Anything,
        };
        let late = "/live did not answer within 20 ms".to_owned();
        assert_eq!(ask(&http, 20, None).await, (false, late));
        let stranger = Owner {
            group: Pid::from_raw(i32::MAX),
            uuid: Uuid::nil(),
        };
        let foreign = format!("port {port} is not held by the node itself");
        let asked = ask(&Manner::Tcp, 60_000, Some(stranger)).await;
        assert_eq!(asked, (false, foreign));
        let taken = format!("port {port} took a connection");
        assert_eq!(ask(&Manner::Tcp, 60_000, None).await, (true, taken));
        drop(listener);
        let (passed, summary) = ask(&Manner::Tcp, 60_000, None).await;
        assert!(
            !passed && summary.contains("took no connection"),
            "{summary}"
        );
        let (passed, summary) = ask(&http, 60_000, None).await;
        assert_eq!(
            (passed, summary.as_str()),
            (false, "/live refused the connection")
        );
    }

    #[test]
    fn a_node_is_asked_where_it_listens() {
        let check = |bind: &str, expect: &str| {
            let bind = bind.parse().expect("an address");
            assert_eq!(reachable(bind, 80).to_string(), expect);
        };
        check("::", "127.0.0.1:80");
        check("0.0.0.0", "127.0.0.1:80");
        check("127.0.0.1", "127.0.0.1:80");
        check("::1", "[::1]:80");
        check("192.0.2.7", "192.0.2.7:80");
    }
}
