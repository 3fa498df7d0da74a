//! Who a node is and what it has, before anything is built from it.

use repram_config::{ClaimScope, Loaded};
use repram_discovery::auth::ClusterKeys;
use repram_discovery::claim::conversation::{CONFLICT_VARIABLE, ConflictNotice};
use repram_discovery::claim::core::Claim;
use repram_discovery::domain;
use repram_discovery::slot::PortRange;
use repram_discovery::state_dir::StateDir;
use repram_discovery::supervised::Sibling;
use sd_notify::NotifyState;

use super::claims::{DomainClaims, Place};
use super::failure::Failure;
use super::identity::{self, Identity};
use super::keys;
use super::sockets::{self, NodeSockets};
use crate::http::PassOn;
use crate::supervised::{InheritedSockets, Supervisor, notify};

/// What only a stand-alone node has.
pub(super) struct Alone {
    /// Locks its identity for as long as it lives.
    state: StateDir,
    /// Its claim, where ports are unique over a domain.
    pub(super) claims: Option<DomainClaims>,
}

/// What the life of a node in another slot begins with.
pub(super) struct Moved {
    state: StateDir,
    claims: DomainClaims,
}

impl Moved {
    /// What follows the life that has just ended; nothing without claims.
    pub(super) fn of(alone: Alone) -> Option<Self> {
        let Alone { state, claims } = alone;
        let mut claims = claims?;
        claims.vacated();
        Some(Self { state, claims })
    }
}

/// How a node comes to be.
pub(super) enum Origin {
    /// Its process was started, perhaps with sockets.
    Fresh(Option<InheritedSockets>),
    /// It had to leave its slot.
    Moved(Box<Moved>),
}

/// Who the node is and what it was given, before anything is built from it.
pub(super) struct Beginning {
    pub(super) identity: Identity,
    pub(super) keys: Option<ClusterKeys>,
    pub(super) sockets: NodeSockets,
    /// How its slot is claimed, where ports are unique over a domain.
    pub(super) claim: Option<Claim>,
    pub(super) pass_on: PassOn,
    pub(super) alone: Option<Alone>,
    pub(super) supervisor: Option<(Supervisor, Vec<Sibling>)>,
    pub(super) location: domain::Location,
}

/// What a supervisor gave.
pub(super) async fn under(
    mut supervisor: Supervisor,
    loaded: &Loaded,
    inherited: Option<InheritedSockets>,
    range: &PortRange,
) -> Result<Beginning, Failure> {
    let hello = supervisor.hello().await?;
    let settings = &loaded.settings;
    let sockets = match inherited {
        Some(sockets) => sockets.into(),
        None => sockets::bind_fixed(settings)?,
    };
    Ok(Beginning {
        identity: identity::given(loaded, &hello)?,
        keys: keys::given(&hello),
        sockets,
        claim: hello.claim.and_then(|claim| claim.claim(range)),
        pass_on: Box::new(tell_supervisor),
        alone: None,
        supervisor: Some((supervisor, hello.siblings)),
        location: domain::locate(&settings.discovery_domain).await,
    })
}

/// What a stand-alone node has itself.
pub(super) async fn alone(
    loaded: &Loaded,
    inherited: Option<InheritedSockets>,
    range: PortRange,
) -> Result<Beginning, Failure> {
    let settings = &loaded.settings;
    let mut state = identity::open_state(settings);
    let identity = identity::own(settings, &mut state);
    let location = domain::locate(&settings.discovery_domain).await;
    let keys = keys::own(loaded, &location, &state)?;
    let sockets = match inherited {
        Some(sockets) => sockets.into(),
        None if !sockets::are_claimed(settings) => sockets::bind_fixed(settings)?,
        None => match settings.claim_scope {
            ClaimScope::Host => sockets::claim(settings, &range, &identity, &mut state).await?,
            ClaimScope::Domain => {
                let begun = DomainClaims::begin(settings, range, &identity, keys.clone());
                let mut claims = begun.await?;
                let place = claims.first().await?;
                return Ok(settled(place, claims, state, identity, keys, location));
            }
        },
    };
    Ok(Beginning {
        identity,
        keys,
        sockets,
        claim: None,
        pass_on: Box::new(|_| {}),
        alone: Some(Alone {
            state,
            claims: None,
        }),
        supervisor: None,
        location,
    })
}

/// The next life of a node that had to leave its slot, as soon as there is another.
pub(super) async fn again(loaded: &Loaded, moved: Moved) -> Result<Beginning, Failure> {
    let Moved {
        mut state,
        mut claims,
    } = moved;
    let settings = &loaded.settings;
    let place = claims.another().await;
    let identity = identity::own(settings, &mut state);
    let location = domain::locate(&settings.discovery_domain).await;
    let keys = keys::own(loaded, &location, &state)?;
    Ok(settled(place, claims, state, identity, keys, location))
}

/// A node whose slot is settled over the domain.
fn settled(
    place: Place,
    claims: DomainClaims,
    mut state: StateDir,
    identity: Identity,
    keys: Option<ClusterKeys>,
    location: domain::Location,
) -> Beginning {
    state.remember_slot(&identity.node_id, place.claim.slot);
    let teller = claims.teller();
    Beginning {
        identity,
        keys,
        sockets: place.sockets.into(),
        claim: Some(place.claim),
        // A conflict that finds no room is told of again.
        pass_on: Box::new(move |notice| {
            let _ = teller.try_send(*notice);
        }),
        alone: Some(Alone {
            state,
            claims: Some(claims),
        }),
        supervisor: None,
        location,
    }
}

fn tell_supervisor(notice: &ConflictNotice) {
    let text = format!("{CONFLICT_VARIABLE}={notice}");
    notify(&[NotifyState::Custom(&text)]);
}
