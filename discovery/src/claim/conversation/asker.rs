//! Asking an announced peer back.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, redirect};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::addresses::DomainAddresses;
use crate::peers::{HealthAnswer, health_at};
use crate::public_ports::PublicPorts;
use crate::slot::Slot;

/// Questions at the same time, at most.
pub const QUESTIONS_MAX: usize = 4;

/// How long a request may wait for one of these places.
const PLACE_WAIT: Duration = Duration::from_secs(1);

/// How long one question may take, from connecting to the last byte. The one who is asked
/// has just spoken, so it is there.
const QUESTION_TIME: Duration = Duration::from_secs(1);

/// How long all addresses of the domain may take together.
const DOMAIN_TIME: Duration = Duration::from_secs(1);

/// How long a look-up of the domain may delay them. A name server that is away must not part
/// hosts that know each other.
const LOOK_UP_TIME: Duration = Duration::from_millis(500);

/// How long an answer to a request may take when everything in it takes its time: the wait
/// for a place, the question to the sender, the look-up, and the questions to the domain.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(4);

/// How old the domain's addresses may be for it.
const ADDRESSES_AGE_MAX: Duration = Duration::from_secs(5);

/// A call to a gossip port under way; nothing when no peer of the network answers there.
pub type CallFuture<'a> = Pin<Box<dyn Future<Output = Option<HealthAnswer>> + Send + 'a>>;

/// Somebody who speaks the protocol of the gossip port and can ask there who is at home.
/// Between hosts it may be the only port that is open.
pub trait CallBack: fmt::Debug + Send + Sync {
    /// Asks whoever listens at `gossip` who it is. May be dropped at any time.
    fn call(&self, gossip: SocketAddr) -> CallFuture<'_>;
}

/// Asks an announced peer back, few at a time: over its gossip port where that can be done
/// and it is on another host, else with `GET /health`.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    client: Client,
    addresses: Arc<DomainAddresses>,
    ports: PublicPorts,
    call_back: Option<Arc<dyn CallBack>>,
    places: Arc<Semaphore>,
}

/// All places were taken for too long.
#[derive(Debug)]
pub(super) struct NoPlace;

impl Asker {
    /// Questions go out from the address `bind`, so that hosts know each other by the
    /// addresses that they listen on.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub(super) fn new(
        bind: IpAddr,
        addresses: Arc<DomainAddresses>,
        ports: PublicPorts,
        call_back: Option<Arc<dyn CallBack>>,
    ) -> reqwest::Result<Self> {
        Ok(Self {
            client: client(bind, QUESTION_TIME)?,
            addresses,
            ports,
            call_back,
            places: Arc::new(Semaphore::new(QUESTIONS_MAX)),
        })
    }

    /// Looks at the host `sender`, then at all others of the domain, for somebody in `slot`
    /// whose answer is `wanted`. Returns it with its address.
    pub(super) async fn find(
        &self,
        sender: IpAddr,
        slot: Slot,
        wanted: impl Fn(&HealthAnswer) -> bool,
    ) -> Result<Option<(IpAddr, HealthAnswer)>, NoPlace> {
        let sender = sender.to_canonical();
        let answer = self.ask(sender, slot).await?;
        if let Some(answer) = answer.filter(&wanted) {
            return Ok(Some((sender, answer)));
        }
        let addresses = self
            .addresses
            .refreshed_within(LOOK_UP_TIME, ADDRESSES_AGE_MAX)
            .await;
        let others = addresses.iter().copied().filter(|other| *other != sender);
        let elsewhere = self.find_among(others, slot, wanted);
        Ok(timeout(DOMAIN_TIME, elsewhere).await.ok().flatten())
    }

    async fn find_among(
        &self,
        hosts: impl Iterator<Item = IpAddr>,
        slot: Slot,
        wanted: impl Fn(&HealthAnswer) -> bool,
    ) -> Option<(IpAddr, HealthAnswer)> {
        let mut questions = JoinSet::new();
        for address in hosts {
            let asker = self.clone();
            questions.spawn(async move {
                let answer = asker.ask(address, slot).await;
                (address, answer.ok().flatten())
            });
        }
        while let Some(asked) = questions.join_next().await {
            if let Ok((address, Some(answer))) = asked
                && wanted(&answer)
            {
                return Some((address, answer));
            }
        }
        None
    }

    async fn ask(&self, host: IpAddr, slot: Slot) -> Result<Option<HealthAnswer>, NoPlace> {
        let place = timeout(PLACE_WAIT, self.places.acquire()).await;
        let _place = place.map_err(|_| NoPlace)?.expect("it is never closed");
        Ok(match &self.call_back {
            Some(call_back) if !host.is_loopback() => {
                let gossip = SocketAddr::new(host, self.ports.at(host, slot.gossip));
                let called = timeout(QUESTION_TIME, call_back.call(gossip)).await;
                called.ok().flatten()
            }
            Some(_) | None => {
                let http = SocketAddr::new(host, self.ports.at(host, slot.http));
                health_at(&self.client, http).await
            }
        })
    }
}

/// A client that speaks from the address `bind` and keeps no connection: whoever answers on
/// a port may be another a moment later. Proxies of the environment are not used and
/// redirections not followed, because what counts is who listens on the port.
pub(super) fn client(bind: IpAddr, time: Duration) -> reqwest::Result<Client> {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(time)
        .pool_max_idle_per_host(0)
        .local_address(Some(bind).filter(|bind| !bind.is_unspecified()))
        .build()
}
