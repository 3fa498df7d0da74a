//! The address that peers are told.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use repram_config::Settings;
use repram_discovery::domain::{self, Location};
use tracing::warn;

use super::chain::chain;
use super::keys::on_flux;

/// The address at which peers reach this node: NODE_ADDRESS, else loopback where the domain
/// is this machine, else the local address of the route to the first candidate.
///
/// It need not be right for everyone: a receiver on another host takes the sender's own
/// address instead of a loopback address.
pub(super) async fn advertised(settings: &Settings, location: &Location) -> IpAddr {
    let bind = settings.bind_address;
    if let Some(host) = &settings.node_address {
        match domain::resolve(host).await {
            Ok(addresses) => {
                return choose(&addresses, bind).unwrap_or_else(|| loopback(bind));
            }
            Err(error) => warn!(
                error = chain(&error),
                "NODE_ADDRESS cannot be used; peers are told the address of the route to them"
            ),
        }
    } else if location.is_this_machine() && !on_flux() {
        return loopback(bind);
    }
    if !bind.is_unspecified() {
        return bind;
    }
    let candidate = match location.addresses().first() {
        Some(address) => Some(*address),
        None => first_static_peer(settings).await,
    };
    candidate
        .and_then(|candidate| route_to(candidate).ok())
        .unwrap_or_else(|| {
            warn!("no route to any peer is known yet: peers take the address they see");
            loopback(bind)
        })
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

/// The port that peers are told for one of ours.
pub(super) fn public_port(settings: &Settings, port: u16) -> u16 {
    let public = settings
        .advertise_ports
        .iter()
        .find(|pair| pair.container == port);
    public.map_or(port, |pair| pair.public)
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
