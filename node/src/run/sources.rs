//! Where peers are looked for.

use repram_config::Settings;
use repram_discovery::chain::chain;
use repram_discovery::fetch::{Fetch, NotHttp};
use repram_discovery::peers::{
    AnnouncedPeers, FluxPeers, FluxPeersConfig, PeerSource, RangeScan, ScanConfig, SiblingPorts,
    StaticPeers,
};
use repram_discovery::public_ports::PublicPorts;
use repram_discovery::slot::{PortRange, Slot};
use tracing::warn;

use super::failure::Failure;
use crate::cluster::{AddressConfig, Me};

/// The sources that the settings ask for. One that cannot be set up is told of and left out:
/// the others may be enough.
///
/// # Errors
/// When the settings have a URL that cannot be asked.
pub(super) fn of(
    settings: &Settings,
    me: &Me,
    range: PortRange,
    siblings: &SiblingPorts,
    announced: &AnnouncedPeers,
    address: &AddressConfig,
) -> Result<Vec<Box<dyn PeerSource>>, Failure> {
    let mut sources: Vec<Box<dyn PeerSource>> = vec![Box::new(announced.clone())];
    let peers = settings.static_peers().into_iter();
    let peers: Vec<_> = peers.map(|peer| (peer.host, peer.port)).collect();
    if !peers.is_empty() {
        let (offset, ports) = (settings.gossip_port_offset, address.ports.clone());
        sources.push(Box::new(StaticPeers::new(peers, offset, ports)));
    }
    if let Some(app) = &settings.flux_app_name {
        let flux = flux(settings, app, &range, address).map_err(|error| Failure::System {
            what: "the platform cannot be asked for peers",
            source: std::io::Error::other(error),
        })?;
        sources.push(Box::new(flux));
    }
    if settings.use_auto_discovery {
        let scan = RangeScan::new(ScanConfig {
            domain: me.domain.clone(),
            network: me.network.clone(),
            range,
            ports: address.ports.clone(),
            uuid: me.uuid,
            siblings: siblings.clone(),
        });
        match scan {
            Ok(scan) => sources.push(Box::new(scan)),
            Err(error) => warn!(
                error = chain(&error),
                "the domain cannot be scanned for peers"
            ),
        }
    }
    Ok(sources)
}

/// The other instances of the app.
fn flux(
    settings: &Settings,
    app: &str,
    range: &PortRange,
    address: &AddressConfig,
) -> Result<FluxPeers, NotHttp> {
    let location = &settings.flux_location_url;
    let config = FluxPeersConfig {
        app: app.to_owned(),
        location: Fetch::new(&format!("{}/{app}", location.trim_end_matches('/')))?,
        refresh: settings.flux_peers_refresh,
        ports: instance_ports(range, settings.node_count, &address.ports),
        own: address.own.clone(),
    };
    Ok(FluxPeers::start(config))
}

/// The ports, HTTP and gossip, at which an instance may be reached from another host: the
/// public ones where there is a list, else those of the slots that its nodes take first. One
/// that answers is enough, it knows its siblings.
fn instance_ports(range: &PortRange, nodes: u16, public: &PublicPorts) -> Vec<(u16, u16)> {
    let is_published = |slot: &Slot| public.is_empty() || public.lists(slot.gossip);
    let count = if public.is_empty() { nodes } else { u16::MAX };
    let slots = range.slots().filter(is_published).take(usize::from(count));
    slots
        .map(|slot| (public.public(slot.http), public.public(slot.gossip)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_instances_are_looked_for() {
        let range = PortRange::new(8081, 10, 1000).expect("a range");
        let check = |nodes: u16, public: &[(u16, u16)], expect: &[(u16, u16)]| {
            let public = PublicPorts::new(public.iter().copied());
            assert_eq!(instance_ports(&range, nodes, &public), expect);
        };
        check(2, &[], &[(8081, 9081), (8082, 9082)]);
        check(20, &[(9081, 31911)], &[(8081, 31911)]);
        // A front port, and the gossip ports of a fleet that was scaled up meanwhile.
        check(
            1,
            &[(8080, 30910), (9081, 31911), (9083, 31913)],
            &[(8081, 31911), (8083, 31913)],
        );
        check(1, &[(8080, 30910)], &[]);
    }
}
