//! Asking the nodes for their own pages.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::Exposition;

/// How long all nodes together may take: less than the usual time-out of a scrape, 10 s, and
/// long for a page that is made out of memory. A node that has not answered by then is left
/// out.
const TIME: Duration = Duration::from_secs(2);

/// Bytes of one node's page; ours has some twenty thousand.
const PAGE_MAX: usize = 1 << 20;

/// Nodes that are asked at one time, so that no more pages than these are in memory as text.
const QUESTIONS_MAX: usize = 16;

/// Samples of all nodes together; further nodes are left out. Some 20 MiB in memory, and ten
/// times what 50 nodes of ours have.
const SAMPLES_MAX: usize = 100_000;

/// A node to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name, which its samples get as a label.
    pub node: String,
    /// Where it listens; none when it cannot be asked.
    pub address: Option<SocketAddr>,
}

/// What came of asking a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Scrape {
    /// Its name.
    pub node: String,
    /// How long it took.
    pub duration: Duration,
    /// Its page; none when it has none, did not answer in time, or its page is too large.
    pub page: Option<Exposition>,
}

/// Asks nodes; cheap to clone.
#[derive(Clone, Debug)]
pub struct Scraper {
    client: reqwest::Client,
}

impl Scraper {
    /// One that opens a new connection for each question, so that nothing stays open between
    /// two scrapes.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new() -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("repram-supervisor/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client })
    }

    /// Asks all, and gives what came of it in their order, after `TIME` at the latest.
    pub async fn ask(&self, targets: Vec<Target>) -> Vec<Scrape> {
        let (started, places) = (Instant::now(), Arc::new(Semaphore::new(QUESTIONS_MAX)));
        let end = started + TIME;
        let mut scrapes: Vec<Scrape> = targets.iter().map(Scrape::unanswered).collect();
        let mut asking = JoinSet::new();
        for (index, target) in targets.into_iter().enumerate() {
            let Some(address) = target.address else {
                continue;
            };
            let (client, places) = (self.client.clone(), Arc::clone(&places));
            asking.spawn(async move {
                let _place = places.acquire().await;
                let asked = Instant::now();
                let page = timeout_at(end, fetch(&client, address)).await;
                (index, asked.elapsed(), page.ok().flatten())
            });
        }
        let mut room = SAMPLES_MAX;
        while let Some(Ok((index, duration, page))) = asking.join_next().await {
            let page = page.filter(|page| page.samples() <= room);
            room -= page.as_ref().map_or(0, Exposition::samples);
            scrapes[index].duration = duration;
            scrapes[index].page = page;
        }
        scrapes
    }
}

impl Scrape {
    fn unanswered(target: &Target) -> Self {
        Self {
            node: target.node.clone(),
            duration: Duration::ZERO,
            page: None,
        }
    }
}

/// The page that a node has.
async fn fetch(client: &reqwest::Client, address: SocketAddr) -> Option<Exposition> {
    let formats = "application/openmetrics-text;version=1.0.0, text/plain;version=0.0.4;q=0.5";
    let request = client.get(format!("http://{address}/metrics"));
    let mut response = request.header(ACCEPT, formats).send().await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.ok()? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > PAGE_MAX {
            return None;
        }
    }
    let page = Exposition::parse(std::str::from_utf8(&bytes).ok()?).ok()?;
    (page.samples() > 0).then_some(page)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request with `answer`; nothing at all when there is none.
    async fn node(answer: Option<String>) -> Target {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("comes");
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).await.expect("writes"),
                None => std::future::pending().await,
            }
        });
        Target {
            node: "flux-node-1".to_owned(),
            address: Some(address),
        }
    }

    async fn asked(answer: Option<&str>) -> Option<Exposition> {
        let target = node(answer.map(|answer| format!("HTTP/1.1 {answer}"))).await;
        let scraper = Scraper::new().expect("a client");
        let scrapes = scraper.ask(vec![target]).await;
        scrapes.into_iter().next().expect("one was asked").page
    }

    #[tokio::test]
    async fn a_page_is_read() {
        let page = asked(Some("200 OK\r\nconnection: close\r\n\r\nx 1\n")).await;
        assert_eq!(page.map(|page| page.samples()), Some(1));
    }

    #[tokio::test]
    async fn what_is_no_page_is_left_out() {
        for answer in [
            "404 Not Found\r\nconnection: close\r\n\r\n",
            "200 OK\r\nconnection: close\r\n\r\n<html></html>\n",
            "200 OK\r\nconnection: close\r\n\r\n",
            "200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nx 1\n",
        ] {
            assert_eq!(asked(Some(answer)).await, None, "{answer}");
        }
        let large = format!(
            "200 OK\r\nconnection: close\r\n\r\n# {}\n",
            "x".repeat(PAGE_MAX)
        );
        assert_eq!(asked(Some(&large)).await, None);
    }

    #[tokio::test]
    async fn a_silent_node_and_one_without_a_port_delay_nobody() {
        let good = node(Some(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nx 1\n".into(),
        ))
        .await;
        let absent = Target {
            node: "flux-node-2".to_owned(),
            address: None,
        };
        let scraper = Scraper::new().expect("a client");
        let scrapes = scraper.ask(vec![node(None).await, absent, good]).await;
        let found: Vec<_> = scrapes.iter().map(|one| one.page.is_some()).collect();
        assert_eq!(found, [false, false, true]);
    }
}
