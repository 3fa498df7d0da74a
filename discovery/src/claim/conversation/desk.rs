//! Where requests come in.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::asker::{Asker, CallBack, NoPlace};
use super::fields::StandingWord;
use super::refusal::Refusal;
use super::request::{Kind, REQUEST_MAX, Request};
use crate::addresses::DomainAddresses;
use crate::auth::{ClusterKeys, HttpSignature, ReplayWindow, SignedRequest};
use crate::claim::core::{Claim, Stamp};
use crate::peers::{HealthAnswer, UnixMillis};
use crate::public_ports::PublicPorts;
use crate::rate::Rate;
use crate::slot::{PortRange, Slot};

/// Requests of one client that are let in, on each port.
///
/// A claimant sends five a second while its claim is tentative and one now and then after
/// that, and only one claimant of a host holds a port.
pub const POST_RATE: Rate = Rate {
    per_second: 10,
    burst: 20,
};

/// What a desk needs to know.
#[derive(Debug)]
pub struct DeskConfig {
    /// The range that the domain shares.
    pub range: PortRange,
    /// The public numbers of its ports; other hosts are asked there.
    pub ports: PublicPorts,
    /// The address that we listen on, and ask from.
    pub bind: IpAddr,
    /// The keys of the network; without them every request is taken.
    pub keys: Option<ClusterKeys>,
    /// Where announced peers may be, beside the address of whoever announces them.
    pub addresses: Arc<DomainAddresses>,
    /// Asks those of other hosts back over the gossip port, where nothing needs to be known
    /// of their claims. Without it they are asked over HTTP.
    pub call_back: Option<Arc<dyn CallBack>>,
}

/// Takes requests in and finds out what of them is to be believed.
///
/// Whoever serves it limits requests to [`POST_RATE`] before it reads their bodies.
#[derive(Debug)]
pub struct Desk {
    range: PortRange,
    ports: PublicPorts,
    keys: Option<ClusterKeys>,
    window: Mutex<ReplayWindow>,
    asker: Asker,
    own: Mutex<BTreeSet<Uuid>>,
}

/// One POST as it came.
#[derive(Clone, Copy, Debug)]
pub struct Posted<'a> {
    /// Which request it is.
    pub kind: Kind,
    /// Path and query as they stand in the request line.
    pub path: &'a str,
    /// The value of the header [`crate::auth::SIGNATURE_HEADER`].
    pub signature: Option<&'a str>,
    /// The body, at most [`REQUEST_MAX`] bytes.
    pub body: &'a [u8],
    /// Who sent it.
    pub client: IpAddr,
}

/// What a request comes down to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// We said it ourselves: one of the domain's addresses is our own.
    Ourselves {
        /// Index of the slot that it was about.
        slot: u16,
    },
    /// Somebody holds a slot.
    Claim {
        /// What it claims.
        claim: Claim,
        /// Where it is.
        at: IpAddr,
    },
    /// Somebody holds a slot no more.
    Left {
        /// Who left.
        uuid: Uuid,
        /// Index of the slot that it left.
        slot: u16,
        /// The age of the statement, if we may trust it.
        stamp: Option<Stamp>,
    },
    /// What was said is not what was found.
    Unbelieved {
        /// Index of the slot that it was about.
        slot: u16,
        /// What was found instead.
        reason: String,
    },
}

impl Heard {
    /// Index of the slot that was spoken of.
    #[must_use]
    pub fn slot(&self) -> u16 {
        match self {
            Self::Claim { claim, .. } => claim.slot,
            Self::Ourselves { slot } | Self::Left { slot, .. } | Self::Unbelieved { slot, .. } => {
                *slot
            }
        }
    }
}

impl Desk {
    /// A desk that remembers nothing said before it opened.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(config: DeskConfig) -> reqwest::Result<Self> {
        Ok(Self {
            range: config.range,
            ports: config.ports.clone(),
            keys: config.keys,
            window: Mutex::new(ReplayWindow::new(UnixMillis::now().0)),
            asker: Asker::new(
                config.bind,
                config.addresses,
                config.ports,
                config.call_back,
            )?,
            own: Mutex::default(),
        })
    }

    /// The keys of the network, with which answers are signed.
    #[must_use]
    pub fn keys(&self) -> Option<&ClusterKeys> {
        self.keys.as_ref()
    }

    /// Adds an identity for which this process speaks: nobody has to tell us about it.
    pub fn add_own(&self, uuid: Uuid) {
        lock(&self.own).insert(uuid);
    }

    /// Takes one away.
    pub fn remove_own(&self, uuid: Uuid) {
        lock(&self.own).remove(&uuid);
    }

    /// Finds out what is to be believed of a request.
    ///
    /// # Errors
    /// [`Refusal`] for what is answered without looking at what it says.
    pub async fn hear(&self, posted: Posted<'_>) -> Result<Heard, Refusal> {
        if posted.body.len() > REQUEST_MAX {
            return Err(Refusal::TooLong);
        }
        let signed = self.check_signature(&posted)?;
        let request = Request::parse(posted.kind, posted.body)?;
        let port = request.port;
        let slot = self
            .slot_of(port, posted.client)
            .ok_or_else(|| Refusal::OutOfRange {
                port,
                first: self.range.base(),
                last: self.range.base() + (self.range.count() - 1),
            })?;
        if request
            .uuid
            .is_some_and(|uuid| lock(&self.own).contains(&uuid))
        {
            return Ok(Heard::Ourselves { slot: slot.index });
        }
        let asked = match posted.kind {
            Kind::Announce | Kind::Conflict => {
                self.ask_back(slot, &request, posted.client, signed).await
            }
            Kind::Leave => {
                self.ask_whether_gone(slot, &request, posted.client, signed)
                    .await
            }
        };
        asked.map_err(|NoPlace| Refusal::Busy)
    }

    /// The slot whose HTTP port `client` calls `port`: a host elsewhere speaks of public
    /// ports first.
    fn slot_of(&self, port: u16, client: IpAddr) -> Option<Slot> {
        let in_container = self.range.slot_of_http(port);
        let public = self.ports.container(port);
        let public = public.and_then(|container| self.range.slot_of_http(container));
        if client.to_canonical().is_loopback() {
            in_container.or(public)
        } else {
            public.or(in_container)
        }
    }

    /// Whether the request is signed; without keys nothing is.
    fn check_signature(&self, posted: &Posted<'_>) -> Result<bool, Refusal> {
        let Some(keys) = &self.keys else {
            return Ok(false);
        };
        let request = SignedRequest {
            method: "POST",
            path: posted.path,
            body: posted.body,
        };
        let mut window = lock(&self.window);
        HttpSignature::check(
            posted.signature,
            keys,
            request,
            &mut window,
            UnixMillis::now().0,
        )
        .map(|()| true)
        .map_err(Refusal::Unsigned)
    }

    async fn ask_back(
        &self,
        slot: Slot,
        request: &Request,
        client: IpAddr,
        signed: bool,
    ) -> Result<Heard, NoPlace> {
        let shows_it = |answer: &HealthAnswer| match request.uuid {
            Some(uuid) => answer.uuid == Some(uuid),
            None => {
                let same_name = answer.node_id.is_some() && answer.node_id == request.node_id;
                answer.uuid.is_some() && same_name
            }
        };
        let found = self.asker.find(client, slot, shows_it).await?;
        let Some((at, answer)) = found else {
            let who = request.uuid.map_or_else(
                || {
                    format!(
                        "node {:?} with a uuid",
                        request.node_id.as_deref().unwrap_or("")
                    )
                },
                |uuid| uuid.to_string(),
            );
            let reason = format!(
                "{who} was not found on port {} of {}, nor of the domain",
                request.port,
                client.to_canonical()
            );
            let slot = slot.index;
            return Ok(Heard::Unbelieved { slot, reason });
        };
        let claim = claim_of(slot, request, &answer, signed);
        if lock(&self.own).contains(&claim.uuid) {
            return Ok(Heard::Ourselves { slot: slot.index });
        }
        Ok(Heard::Claim { claim, at })
    }

    async fn ask_whether_gone(
        &self,
        slot: Slot,
        request: &Request,
        client: IpAddr,
        signed: bool,
    ) -> Result<Heard, NoPlace> {
        let Some(uuid) = request.uuid else {
            let reason = "a leave without a uuid tells nothing".to_owned();
            let slot = slot.index;
            return Ok(Heard::Unbelieved { slot, reason });
        };
        let stamp = request.stamp.filter(|_| signed);
        let still_there = |answer: &HealthAnswer| answer.uuid == Some(uuid);
        let found = if signed {
            None
        } else {
            self.asker.find(client, slot, still_there).await?
        };
        let slot = slot.index;
        Ok(match found {
            None => Heard::Left { uuid, slot, stamp },
            Some((at, _)) => {
                let reason = format!("{uuid} still answers on port {} of {at}", request.port);
                Heard::Unbelieved { slot, reason }
            }
        })
    }
}

/// The claim of a peer that was asked back.
///
/// What is signed needs no other witness. Otherwise the request was only a reason to ask,
/// and what counts is what the peer itself said. Other programs and earlier versions say
/// nothing of claims there: who answers for a port holds it.
fn claim_of(slot: Slot, request: &Request, answer: &HealthAnswer, signed: bool) -> Claim {
    let said = request.standing.zip(request.stamp).filter(|_| signed);
    let shown = answer
        .claim
        .filter(|claim| claim.port == slot.http)
        .map(|claim| {
            let stamp = Stamp {
                incarnation: claim.incarnation,
                sequence: claim.sequence,
            };
            (claim.standing, stamp)
        });
    let (standing, stamp) = said.or(shown).unwrap_or_else(|| {
        let standing = if answer.is_claiming() {
            StandingWord::Tentative
        } else {
            StandingWord::Settled
        };
        (standing, request.stamp.unwrap_or_default())
    });
    Claim {
        uuid: answer.uuid.expect("only who shows a uuid is found"),
        slot: slot.index,
        standing: standing.into(),
        stamp,
    }
}

/// What is behind these locks stays consistent whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
