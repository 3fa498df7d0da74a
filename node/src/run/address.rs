//! The address that peers are told.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use repram_config::Settings;
use repram_discovery::chain::chain;
use repram_discovery::domain::{self, Location};
use repram_discovery::fetch::{Fetch, NotHttp};
use repram_discovery::flux::host_address;
use repram_discovery::own_address::{AddressOrigin, KnownAddress, OwnAddress};
use repram_discovery::public_ports::PublicPorts;
use tracing::warn;

use crate::cluster::AddressConfig;

/// How long a start waits for the platform to tell the address. Without it the node begins
/// with what it knows and tells its peers later.
const HOSTINFO_WAIT: Duration = Duration::from_secs(1);

/// The address at which peers reach this node, and the numbers of its ports there.
///
/// # Errors
/// When the settings have a URL that cannot be asked.
pub(super) async fn of(settings: &Settings, location: &Location) -> Result<AddressConfig, NotHttp> {
    let ports = public_ports(settings);
    if !asks_flux(settings) {
        let KnownAddress { ip, origin } = advertised(settings, location).await;
        return Ok(AddressConfig {
            own: OwnAddress::fixed(ip, origin),
            ports,
            hostinfo: None,
        });
    }
    let hostinfo = Fetch::new(&settings.flux_hostinfo_url)?;
    let given = settings.flux_node_host_ip.as_deref();
    let given = given.and_then(|given| {
        let ip = host_address(given);
        if ip.is_none() {
            warn!(
                given,
                "FLUX_NODE_HOST_IP is no address of a host, and not used"
            );
        }
        ip
    });
    let own = OwnAddress::on_flux(given, loopback(settings.bind_address));
    own.ask(&hostinfo, HOSTINFO_WAIT).await;
    Ok(AddressConfig {
        own,
        ports,
        hostinfo: Some((hostinfo, settings.flux_address_refresh)),
    })
}

/// Whether the address is to be had from the platform.
fn asks_flux(settings: &Settings) -> bool {
    settings.flux_app_name.is_some() && settings.node_address.is_none()
}

/// NODE_ADDRESS, else loopback where the domain is this machine, else the local address of
/// the route to the first candidate.
///
/// It need not be right for everyone: a receiver on another host takes the sender's own
/// address instead of a loopback address.
async fn advertised(settings: &Settings, location: &Location) -> KnownAddress {
    let known = |ip, origin| KnownAddress { ip, origin };
    let bind = settings.bind_address;
    if let Some(host) = &settings.node_address {
        match domain::resolve(host).await {
            Ok(addresses) => {
                let ip = choose(&addresses, bind).unwrap_or_else(|| loopback(bind));
                return known(ip, AddressOrigin::NodeAddress);
            }
            Err(error) => warn!(
                error = chain(&error),
                "NODE_ADDRESS cannot be used; peers are told the address of the route to them"
            ),
        }
    } else if location.is_this_machine() {
        return known(loopback(bind), AddressOrigin::ThisMachine);
    }
    if !bind.is_unspecified() {
        return known(bind, AddressOrigin::BindAddress);
    }
    let candidate = match location.addresses().first() {
        Some(address) => Some(*address),
        None => first_static_peer(settings).await,
    };
    match candidate.and_then(|candidate| route_to(candidate).ok()) {
        Some(ip) => known(ip, AddressOrigin::Route),
        None => {
            warn!("no route to any peer is known yet: peers take the address they see");
            known(loopback(bind), AddressOrigin::Unknown)
        }
    }
}

async fn first_static_peer(settings: &Settings) -> Option<IpAddr> {
    let host = settings.static_peers().into_iter().next()?.host;
    domain::resolve(&host).await.ok()?.first().copied()
}

/// The first address that a node bound to `bind` can be reached at.
fn choose(addresses: &[IpAddr], bind: IpAddr) -> Option<IpAddr> {
    let reachable = |address: &&IpAddr| match bind {
        IpAddr::V4(_) => address.is_ipv4(),
        // `::` takes both families.
        IpAddr::V6(bind) => bind.is_unspecified() || address.is_ipv6(),
    };
    addresses
        .iter()
        .find(reachable)
        .or(addresses.first())
        .copied()
}

fn loopback(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V6(bind) if !bind.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(_) | IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
    }
}

/// Our end of the route to `address`: connecting a datagram socket looks the route up and
/// sends nothing.
fn route_to(address: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    /// Any port but 0 will do.
    const DISCARD: u16 = 9;
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(SocketAddr::new(address, DISCARD))?;
    Ok(socket.local_addr()?.ip())
}

/// The numbers under which other hosts reach our ports.
pub(super) fn public_ports(settings: &Settings) -> PublicPorts {
    let pairs = settings.advertise_ports.iter();
    PublicPorts::new(pairs.map(|pair| (pair.container, pair.public)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_fit_what_is_bound() {
        let ip = |text: &str| -> IpAddr { text.parse().expect("is an address") };
        let both = [ip("::1"), ip("127.0.0.1")];
        assert_eq!(choose(&both, ip("127.0.0.1")), Some(both[1]));
        assert_eq!(choose(&both, ip("0.0.0.0")), Some(both[1]));
        assert_eq!(choose(&both, ip("::")), Some(both[0]));
        assert_eq!(
            choose(&both[1..], ip("::1")),
            Some(both[1]),
            "better than none"
        );
        assert_eq!(choose(&[], ip("::")), None);
        assert_eq!(loopback(ip("::")), both[1]);
        assert_eq!(loopback(ip("::1")), both[0]);
    }

    #[test]
    fn the_route_to_ourselves_is_loopback() {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert_eq!(
            route_to(loopback).expect("every machine has loopback"),
            loopback
        );
    }
}
