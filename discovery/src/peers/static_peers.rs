use std::net::SocketAddr;

use super::sources::join_all;
use super::{Candidate, Found, FoundFuture, PeerSource, SourceError};
use crate::domain;

/// The peers that the operator listed.
///
/// Names are resolved anew in every round, since addresses change; each address of a name
/// is a candidate. The gossip port is the HTTP port plus a fixed distance.
#[derive(Clone, Debug)]
pub struct StaticPeers {
    peers: Vec<(String, u16)>,
    gossip_offset: u16,
}

const NAME: &str = "static";

impl StaticPeers {
    /// The peers at `peers`, pairs of host (name or address) and HTTP port.
    #[must_use]
    pub fn new(peers: Vec<(String, u16)>, gossip_offset: u16) -> Self {
        Self {
            peers,
            gossip_offset,
        }
    }

    async fn find(&self) -> Found {
        let asked = self
            .peers
            .iter()
            .map(|(host, port)| -> OnePeer<'_> { Box::pin(one(host, *port, self.gossip_offset)) });
        let mut found = Found::default();
        for answer in join_all(asked.collect()).await {
            match answer {
                Ok(candidates) => found.candidates.extend(candidates),
                Err(error) => {
                    found.error.get_or_insert(error);
                }
            }
        }
        found
    }
}

type OnePeer<'a> =
    std::pin::Pin<Box<dyn Future<Output = Result<Vec<Candidate>, SourceError>> + Send + 'a>>;

async fn one(host: &str, port: u16, gossip_offset: u16) -> Result<Vec<Candidate>, SourceError> {
    let gossip_port = port
        .checked_add(gossip_offset)
        .ok_or_else(|| SourceError::NoGossipPort {
            host: host.to_owned(),
            port,
            gossip_offset,
        })?;
    let candidate = |address| Candidate {
        uuid: None,
        node_id: None,
        http: SocketAddr::new(address, port),
        gossip: SocketAddr::new(address, gossip_port),
        source: NAME,
    };
    Ok(domain::resolve(host)
        .await?
        .into_iter()
        .map(candidate)
        .collect())
}

impl PeerSource for StaticPeers {
    fn name(&self) -> &'static str {
        NAME
    }

    fn candidates(&self) -> FoundFuture<'_> {
        Box::pin(self.find())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(peers: &[(&str, u16)]) -> (Vec<String>, Option<String>) {
        let peers = peers
            .iter()
            .map(|&(host, port)| (host.to_owned(), port))
            .collect();
        let found = StaticPeers::new(peers, 1000).candidates().await;
        let places = found
            .candidates
            .iter()
            .map(|it| format!("{} {}", it.http, it.gossip));
        (places.collect(), found.error.map(|error| error.to_string()))
    }

    #[tokio::test]
    async fn every_address_is_a_candidate() {
        let (places, error) = found(&[("192.0.2.7", 8081), ("localhost", 8082)]).await;
        let expect = [
            "192.0.2.7:8081 192.0.2.7:9081",
            "127.0.0.1:8082 127.0.0.1:9082",
            "[::1]:8082 [::1]:9082",
        ];
        assert_eq!(places, expect);
        assert_eq!(error, None);
    }

    #[tokio::test]
    async fn one_bad_peer_does_not_hide_the_others() {
        let no_name = "a".repeat(64);
        let (places, error) = found(&[(&no_name, 1), ("127.0.0.1", 65000), ("::1", 1)]).await;
        assert_eq!(places, ["[::1]:1 [::1]:1001"]);
        assert_eq!(error, Some(format!("{no_name} does not resolve")));

        let (_, error) = found(&[("127.0.0.1", 65000)]).await;
        let expect = "127.0.0.1:65000 has no gossip port: 65000 plus 1000 is past 65535";
        assert_eq!(error.as_deref(), Some(expect));
    }
}
