//! The listening socket of ADMIN_ADDR.

use std::io;
use std::net::{SocketAddr, TcpListener};

use repram_discovery::holder::{Transport, holders_of, owners_of};

use super::gate::Gate;

/// A socket that listens on ADMIN_ADDR. Connections wait in the kernel's queue until it is
/// served.
#[derive(Debug)]
pub struct AdminSocket {
    pub(super) listener: TcpListener,
    pub(super) gate: Gate,
}

impl AdminSocket {
    /// Listens.
    ///
    /// # Errors
    /// When the address is taken, or the system refuses it.
    pub fn bind(address: SocketAddr, gate: Gate) -> Result<Self, Taken> {
        match TcpListener::bind(address) {
            Ok(listener) => Ok(Self { listener, gate }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(Taken::By {
                address,
                holder: holder(address.port()),
            }),
            Err(source) => Err(Taken::Refused { source }),
        }
    }
}

/// Who has the port, in words.
fn holder(port: u16) -> String {
    let holders = holders_of(port, Transport::Tcp);
    if !holders.is_empty() {
        let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
        return names.join(" and ");
    }
    match owners_of(port, Transport::Tcp).first() {
        Some(uid) => format!("a process of uid {uid} that we may not see"),
        None => "a process that we may not see".to_owned(),
    }
}

/// Why ADMIN_ADDR cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum Taken {
    /// Somebody else has it.
    #[error("ADMIN_ADDR {address} is held by {holder}")]
    By {
        /// The address.
        address: SocketAddr,
        /// Who has it, in words.
        holder: String,
    },
    /// The system refuses it: it is not this machine's, or we may not.
    #[error("the system refuses it")]
    Refused {
        /// What it said.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_names_its_holder() {
        let stranger = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let address = stranger.local_addr().expect("bound");
        let taken = AdminSocket::bind(address, Gate::default()).expect_err("taken");
        let text = taken.to_string();
        let us = format!("pid {}", std::process::id());
        assert!(
            text.contains(&us) && text.contains(&address.to_string()),
            "{text}"
        );
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        // Documentation addresses (RFC 5737) are nobody's.
        let address = SocketAddr::from(([192, 0, 2, 1], 9));
        let refused = AdminSocket::bind(address, Gate::default()).expect_err("not ours");
        assert!(matches!(refused, Taken::Refused { .. }), "{refused:?}");
    }
}
