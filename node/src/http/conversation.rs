//! What claimants of the domain say, and what the node answers for its slot.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use repram_discovery::auth::SIGNATURE_HEADER;
use repram_discovery::claim::conversation::{
    ClaimFields, ConflictNotice, Desk, Heard, Kind, POST_RATE, Posted, REQUEST_MAX, Refusal, judge,
    sign_answer,
};
use repram_discovery::claim::core::Claim;
use repram_discovery::peers::AnnouncedPeers;
use repram_discovery::public_ports::PublicPorts;
use repram_discovery::rate::RateLimiter;
use repram_discovery::slot::PortRange;
use tokio::time::timeout;
use uuid::Uuid;

use super::bounds::BODY_PAUSE_MAX;
use super::connection::Upload;
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::clock;

/// Tells whoever holds the node's sockets of a stronger claim.
pub type PassOn = Box<dyn Fn(&ConflictNotice) + Send + Sync>;

/// The node's part in the conversation of claimants.
pub struct Conversation {
    desk: Desk,
    range: PortRange,
    ports: PublicPorts,
    uuid: Uuid,
    claim: Option<Claim>,
    announced: AnnouncedPeers,
    pass_on: PassOn,
    limiter: Mutex<RateLimiter>,
}

impl Conversation {
    /// The part of the node `uuid`, whose slot was claimed with `claim`: nothing where a
    /// port need not be unique over the hosts of a domain.
    #[must_use]
    pub fn new(
        desk: Desk,
        range: PortRange,
        ports: PublicPorts,
        uuid: Uuid,
        claim: Option<Claim>,
        announced: AnnouncedPeers,
        pass_on: PassOn,
    ) -> Self {
        desk.add_own(uuid);
        Self {
            desk,
            range,
            ports,
            uuid,
            claim,
            announced,
            pass_on,
            limiter: Mutex::new(RateLimiter::new(POST_RATE)),
        }
    }

    /// The claim that the node shows to those who ask.
    pub(super) fn claim(&self) -> Option<ClaimFields> {
        ClaimFields::of(self.claim.as_ref()?, &self.range)
    }

    /// Answers one request.
    pub(super) async fn answer(
        &self,
        kind: Kind,
        head: &Parts,
        client: std::net::IpAddr,
        body: &mut Upload,
    ) -> Result<Response<Reply>, Problem> {
        self.admit(client)?;
        let body = receive(body).await?;
        let signature = head.headers.get(SIGNATURE_HEADER);
        let signature = signature.and_then(|value| value.to_str().ok());
        let posted = Posted {
            kind,
            path: head.uri.path_and_query().map_or("/", |path| path.as_str()),
            signature,
            body: &body,
            client,
        };
        let heard = self.desk.hear(posted).await.map_err(Problem::Refused)?;
        let verdict = judge(kind, &heard, self.uuid, self.claim.as_ref(), &self.range);
        self.note_peer(&heard);
        if let Heard::Claim { at, .. } = heard {
            let stronger = verdict.stronger.as_ref();
            let fields = stronger.and_then(|claim| ClaimFields::of(claim, &self.range));
            if let Some(claim) = fields {
                let host = Some(at);
                (self.pass_on)(&ConflictNotice { claim, host });
            }
        }
        let answer = verdict.answer.body();
        let sealed = self
            .desk
            .keys()
            .zip(signature)
            .map(|(keys, question)| sign_answer(keys, posted.path, question, &answer));
        let mut response = reply::bytes(StatusCode::OK, "application/json", Bytes::from(answer));
        if let Some(sealed) = sealed {
            let sealed = HeaderValue::try_from(sealed).expect("a signature is ASCII");
            let name = HeaderName::from_static(SIGNATURE_HEADER);
            response.headers_mut().insert(name, sealed);
        }
        Ok(response)
    }

    /// Who holds a port may be a peer, and is none any more when it has left.
    fn note_peer(&self, heard: &Heard) {
        let Some(slot) = self.range.slot(heard.slot()) else {
            return;
        };
        match heard {
            Heard::Claim { claim, at } => {
                let slot = self.ports.slot_at(*at, slot);
                self.announced.note(claim, slot, *at);
            }
            Heard::Left { uuid, .. } => self.announced.forget(*uuid, slot.index),
            Heard::Ourselves { .. } | Heard::Unbelieved { .. } => {}
        }
    }

    fn admit(&self, client: std::net::IpAddr) -> Result<(), Problem> {
        let now = Duration::from_nanos(clock::boot_now_ns());
        let limiter = self.limiter.lock();
        let mut limiter = limiter.unwrap_or_else(PoisonError::into_inner);
        let admitted = limiter.admit(client, now);
        admitted.map_err(|too_many| Problem::Refused(too_many.into()))
    }
}

async fn receive(body: &mut Upload) -> Result<Bytes, Problem> {
    let whole = timeout(BODY_PAUSE_MAX, Limited::new(body, REQUEST_MAX).collect()).await;
    match whole.map_err(|_| Problem::BodyTimeout)? {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<hyper::Error>() => Err(Problem::BodyBroken),
        Err(_) => Err(Problem::Refused(Refusal::TooLong)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    use repram_discovery::addresses::{DomainAddresses, DomainName};
    use repram_discovery::claim::conversation::DeskConfig;
    use repram_discovery::claim::core::{Stamp, Standing};
    use repram_discovery::peers::PeerSource as _;

    use super::*;

    #[tokio::test]
    async fn who_has_left_is_no_candidate() {
        let range = PortRange::new(8081, 3, 1000).expect("a range");
        let name = DomainName("localhost".to_owned());
        let desk = DeskConfig {
            range,
            ports: PublicPorts::new([(8082, 30912), (9082, 31912)]),
            bind: Ipv4Addr::LOCALHOST.into(),
            keys: None,
            addresses: Arc::new(DomainAddresses::new(Box::new(name))),
            call_back: None,
        };
        let ports = desk.ports.clone();
        let announced = AnnouncedPeers::default();
        let conversation = Conversation::new(
            Desk::new(desk).expect("a client"),
            range,
            ports,
            Uuid::from_u128(1),
            None,
            announced.clone(),
            Box::new(|_| {}),
        );
        let uuid = Uuid::from_u128(2);
        let claim = Claim {
            uuid,
            slot: 1,
            standing: Standing::Settled,
            stamp: Stamp::default(),
        };
        let at = IpAddr::from([192, 0, 2, 1]);
        let left = |slot| Heard::Left {
            uuid,
            slot,
            stamp: None,
        };
        conversation.note_peer(&Heard::Claim { claim, at });
        conversation.note_peer(&left(2));
        let found = announced.candidates().await.candidates;
        let places: Vec<_> = found.iter().map(|it| (it.http, it.gossip)).collect();
        assert_eq!(places, [((at, 30912).into(), (at, 31912).into())]);
        conversation.note_peer(&left(1));
        assert_eq!(announced.candidates().await.candidates.len(), 0);
    }
}
