//! Asking a node over HTTP, for programs that do not notify.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use nix::unistd::{Pid, getpgid};
use repram_discovery::holder::{Transport, holders_of};
use uuid::Uuid;

use crate::fleet::Answer;
use crate::reaper::carries;

/// Who is asked, and what must be true of it.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where its HTTP port is.
    pub address: SocketAddr,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Who must hold the listening socket; none when the supervisor holds it itself, so that
    /// nobody else can.
    pub owner: Option<Owner>,
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

    /// Asks `GET /health`.
    pub async fn ask(&self, question: &Question) -> Answer {
        let port = question.address.port();
        if let Some(owner) = question.owner
            // Every process of the machine may have to be looked at.
            && !tokio::task::spawn_blocking(move || listens(port, owner)).await.unwrap_or(false)
        {
            return Answer::Nothing(format!("port {port} is not held by the node itself"));
        }
        let url = format!("http://{}/health", question.address);
        match self.client.get(url).timeout(question.timeout).send().await {
            Ok(answer) if answer.status().as_u16() < 500 => Answer::Ready,
            Ok(answer) => Answer::Alive(format!("/health answered {}", answer.status())),
            Err(error) => Answer::Nothing(describe(&error, question.timeout)),
        }
    }
}

/// Whether a process of the node holds the port.
fn listens(port: u16, owner: Owner) -> bool {
    holders_of(port, Transport::Tcp).iter().any(|holder| {
        let pid = Pid::from_raw(holder.pid.cast_signed());
        getpgid(Some(pid)) == Ok(owner.group) || carries(pid, owner.uuid)
    })
}

fn describe(error: &reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        format!("/health did not answer within {} ms", timeout.as_millis())
    } else if error.is_connect() {
        "/health refused the connection".to_owned()
    } else {
        "/health did not answer in HTTP".to_owned()
    }
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

    async fn check(reply: &'static str, expect: Answer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepts");
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.expect("reads");
            assert!(request[..length].starts_with(b"GET /health HTTP/1.1\r\n"));
            stream.write_all(reply.as_bytes()).await.expect("writes");
        });
        let question = Question {
            address,
            timeout: Duration::from_secs(10),
            owner: None,
        };
        let answer = Prober::new().expect("builds").ask(&question).await;
        server.await.expect("served");
        assert_eq!(answer, expect);
    }

    #[tokio::test]
    async fn below_500_is_ready_and_anything_in_http_is_life() {
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Answer::Ready,
        )
        .await;
        check("HTTP/1.0 404 Not Found\r\n\r\n", Answer::Ready).await;
        check(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            Answer::Alive("/health answered 503 Service Unavailable".into()),
        )
        .await;
        check(
            "hello\r\n\r\n",
            Answer::Nothing("/health did not answer in HTTP".into()),
        )
        .await;
    }

    #[tokio::test]
    async fn silence_is_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let timeout = Duration::from_millis(20);
        let prober = Prober::new().expect("builds");
        let ask = async |owner| {
            prober
                .ask(&Question {
                    address,
                    timeout,
                    owner,
                })
                .await
        };
        let late = "/health did not answer within 20 ms".to_owned();
        assert_eq!(ask(None).await, Answer::Nothing(late));
        let owner = Owner {
            group: Pid::from_raw(i32::MAX),
            uuid: Uuid::nil(),
        };
        let foreign = format!("port {} is not held by the node itself", address.port());
        assert_eq!(ask(Some(owner)).await, Answer::Nothing(foreign));
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
