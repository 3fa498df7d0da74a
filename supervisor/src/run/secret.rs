//! Which secret the nodes of this fleet share.

use repram_config::Settings;
use repram_discovery::secret::{Secret, user_secret};
use repram_discovery::state_dir::StateDir;

use super::launch::{Secrets, chain};

/// The secrets to hand to the nodes, and what a person should know about them.
pub(super) fn choose(
    settings: &Settings,
    domain_is_here: bool,
    state: &StateDir,
) -> (Secrets, Option<String>) {
    let given = |secret: &Option<repram_config::Secret>| {
        secret.as_ref().map(|secret| Secret::new(secret.expose()))
    };
    let previous = given(&settings.cluster_secret_previous);
    if let Some(current) = given(&settings.cluster_secret) {
        return (Secrets { current: Some(current), previous }, None);
    }
    if !domain_is_here || has_foreign_sources(settings) {
        let warning = "no REPRAM_CLUSTER_SECRET is set: anyone who reaches the gossip ports can \
                       join and write; set the same secret on every host";
        return (Secrets::default(), Some(warning.into()));
    }
    match user_secret(state) {
        Ok(users) => (Secrets { current: Some(users.secret), previous }, None),
        Err(error) => {
            let warning = format!("no secret could be had, so the nodes run open: {}", chain(&error));
            (Secrets::default(), Some(warning))
        }
    }
}

/// Whether peers on other machines are looked for in any other way than by the domain.
fn has_foreign_sources(settings: &Settings) -> bool {
    let peers = settings.static_peers();
    let loopback = |host: &str| {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    peers.iter().any(|peer| !loopback(&peer.host)) || std::env::var_os("FLUX_APP_NAME").is_some()
}
