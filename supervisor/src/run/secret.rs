//! Which secret the nodes of this fleet share.

use repram_config::{Loaded, Problem, Settings};
use repram_discovery::chain::chain;
use repram_discovery::secret::{Secret, user_secret};
use repram_discovery::state_dir::StateDir;

use super::launch::Secrets;

/// The secrets to hand to the nodes, and what a person should know about them.
///
/// # Errors
/// The user's own secret exists and cannot be used. Running open instead, or with another
/// one, would split the user's network without a word.
pub(super) fn choose(
    loaded: &Loaded,
    domain_is_here: bool,
    state: &StateDir,
) -> Result<(Secrets, Option<String>), Problem> {
    let settings = &loaded.settings;
    let given = |secret: &Option<repram_config::Secret>| {
        secret.as_ref().map(|secret| Secret::new(secret.expose()))
    };
    let previous = given(&settings.cluster_secret_previous);
    if let Some(current) = given(&settings.cluster_secret) {
        return Ok((
            Secrets {
                current: Some(current),
                previous,
            },
            None,
        ));
    }
    if !domain_is_here || has_foreign_sources(settings) {
        let warning = "no REPRAM_CLUSTER_SECRET is set: anyone who reaches the gossip ports can \
                       join and write; set the same secret on every host";
        return Ok((Secrets::default(), Some(warning.into())));
    }
    let users = user_secret(state).map_err(|error| {
        let found = format!(
            "nothing, and the secret of this user is of no use: {}",
            chain(&error)
        );
        loaded.problem(
            "cluster_secret",
            found,
            "a secret; or repair or remove that file",
        )
    })?;
    let warning = users.file.is_none().then_some(
        "the secret of this fleet cannot be kept in a file: only its own nodes form a network",
    );
    let secrets = Secrets {
        current: Some(users.secret),
        previous,
    };
    Ok((secrets, warning.map(str::to_owned)))
}

/// Whether peers on other machines are looked for in any other way than by the domain.
fn has_foreign_sources(settings: &Settings) -> bool {
    let peers = settings.static_peers();
    let loopback = |host: &str| {
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    };
    peers.iter().any(|peer| !loopback(&peer.host)) || settings.flux_app_name.is_some()
}
