use std::net::SocketAddr;

use super::sources::join_all;
use super::{Candidate, Found, FoundFuture, PeerSource, SourceError};
use crate::domain;
use crate::public_ports::PublicPorts;

/// The peers that the operator listed.
///
/// Names are resolved anew in every round, since addresses change; each address of a name
/// is a candidate. The gossip port is the HTTP port plus a fixed distance; where the HTTP
/// port is a public one of the list, it is the public port of the one that belongs to it.
#[derive(Clone, Debug)]
pub struct StaticPeers {
    peers: Vec<(String, u16)>,
    gossip_offset: u16,
    ports: PublicPorts,
}

const NAME: &str = "static";

impl StaticPeers {
    /// The peers at `peers`, pairs of host (name or address) and HTTP port.
    #[must_use]
    pub fn new(peers: Vec<(String, u16)>, gossip_offset: u16, ports: PublicPorts) -> Self {
        Self {
            peers,
            gossip_offset,
            ports,
        }
    }

    async fn find(&self) -> Found {
        let asked = self
            .peers
            .iter()
            .map(|(host, port)| -> OnePeer<'_> { Box::pin(self.one(host, *port)) });
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

    async fn one(&self, host: &str, port: u16) -> Result<Vec<Candidate>, SourceError> {
        let gossip_port = self
            .gossip_port(port)
            .ok_or_else(|| SourceError::NoGossipPort {
                host: host.to_owned(),
                port,
                gossip_offset: self.gossip_offset,
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

    fn gossip_port(&self, port: u16) -> Option<u16> {
        match self.ports.container(port) {
            Some(container) => {
                let gossip = container.checked_add(self.gossip_offset)?;
                Some(self.ports.public(gossip))
            }
            None => port.checked_add(self.gossip_offset),
        }
    }
}

type OnePeer<'a> =
    std::pin::Pin<Box<dyn Future<Output = Result<Vec<Candidate>, SourceError>> + Send + 'a>>;

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
        let ports = PublicPorts::new([(8081, 30911), (9081, 31911), (8082, 30912)]);
        let found = StaticPeers::new(peers, 1000, ports).candidates().await;
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
    async fn a_public_port_leads_to_the_public_gossip_port() {
        let (places, _) = found(&[("192.0.2.7", 30911), ("192.0.2.7", 30912)]).await;
        let expect = [
            "192.0.2.7:30911 192.0.2.7:31911",
            // That one is not on the list.
            "192.0.2.7:30912 192.0.2.7:9082",
        ];
        assert_eq!(places, expect);
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
