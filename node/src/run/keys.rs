//! Which secret the gossip network is under.

use std::net::IpAddr;

use repram_config::{Loaded, Settings};
use repram_discovery::auth::ClusterKeys;
use repram_discovery::chain::chain;
use repram_discovery::domain::Location;
use repram_discovery::secret::{Secret, user_secret};
use repram_discovery::state_dir::StateDir;
use repram_discovery::supervised::Hello;
use tracing::warn;

use super::failure::Failure;

/// The keys that the supervisor gave.
pub(super) fn given(hello: &Hello) -> Option<ClusterKeys> {
    let keys = hello.secret.as_ref();
    let keys = keys.map(|secret| ClusterKeys::new(secret, hello.secret_previous.as_ref()));
    warn_when_open(keys)
}

/// The keys of a stand-alone node: the secret that it was given, else that of its user
/// where nobody else's nodes can be found, else none.
///
/// # Errors
/// When there is a user's secret that cannot be used: running open instead would split the
/// user's network without a word.
pub(super) fn own(
    loaded: &Loaded,
    location: &Location,
    state: &StateDir,
) -> Result<Option<ClusterKeys>, Failure> {
    let settings = &loaded.settings;
    let given = |secret: &Option<repram_config::Secret>| {
        secret.as_ref().map(|secret| Secret::new(secret.expose()))
    };
    let previous = given(&settings.cluster_secret_previous);
    if let Some(current) = given(&settings.cluster_secret) {
        return Ok(Some(ClusterKeys::new(&current, previous.as_ref())));
    }
    if !location.is_this_machine() || has_foreign_sources(settings) {
        return Ok(warn_when_open(None));
    }
    let user = user_secret(state).map_err(|error| {
        let found = format!(
            "nothing, and this user's own secret cannot be used: {}",
            chain(&error)
        );
        let allowed = "a secret, or else that file repaired or removed";
        Failure::Settings(loaded.problem("cluster_secret", found, allowed).into())
    })?;
    if user.file.is_none() {
        warn!("no place to keep this user's secret: no other node can join this one");
    }
    Ok(Some(ClusterKeys::new(&user.secret, previous.as_ref())))
}

fn warn_when_open(keys: Option<ClusterKeys>) -> Option<ClusterKeys> {
    if keys.is_none() {
        warn!(
            "no REPRAM_CLUSTER_SECRET is set: anyone who reaches the gossip port can join and \
             write; set the same secret on every node"
        );
    }
    keys
}

/// Whether peers are looked for in other places than the domain.
pub(super) fn has_foreign_sources(settings: &Settings) -> bool {
    let is_loopback = |host: &str| {
        host.eq_ignore_ascii_case("localhost")
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    };
    settings.flux_app_name.is_some()
        || settings
            .static_peers()
            .iter()
            .any(|peer| !is_loopback(&peer.host))
}
