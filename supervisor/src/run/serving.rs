//! The control API, its ADMIN_ADDR and its token, as the settings have them.

use repram_config::{Loaded, Settings};
use repram_discovery::chain::chain;
use repram_discovery::state_dir::StateDir;
use tokio::sync::mpsc;

use super::places::Places;
use super::start::Refused;
use crate::control::{
    AdminSocket, Control, ControlAddress, ControlConfig, Gate, REQUESTS_MAX, Request, Taken, Token,
};

/// What a socket for ADMIN_ADDR may be bound to.
const ALLOWED: &str = "an address of this machine and a port that this user may bind";

/// Listens on ADMIN_ADDR, when it is set.
pub(super) fn bind(loaded: &Loaded, gate: &Gate) -> Result<Option<AdminSocket>, Refused> {
    let Some(address) = loaded.settings.admin_addr else {
        return Ok(None);
    };
    match AdminSocket::bind(address, gate.clone()) {
        Ok(socket) => Ok(Some(socket)),
        Err(taken @ Taken::By { .. }) => Err(Refused::Ports(vec![taken.to_string()])),
        Err(refused @ Taken::Refused { .. }) => {
            let found = format!("{address}, and {}", chain(&refused));
            Err(Refused::setting(loaded.problem(
                "admin_addr",
                found,
                ALLOWED,
            )))
        }
    }
}

/// The token that the settings ask for.
pub(super) fn token(settings: &Settings) -> Option<Token> {
    let secret = settings.admin_token.as_ref()?;
    Some(Token::new(secret.expose()))
}

/// What a person should know who lets others reach the control API.
pub(super) fn warning(settings: &Settings) -> Option<String> {
    let address = settings.admin_addr?;
    let public = !address.ip().to_canonical().is_loopback();
    (public && settings.admin_token.is_none()).then(|| {
        format!(
            "ADMIN_ADDR {address} has no token: everybody who reaches it can read the status, \
             the events and the logs; nothing can be changed there"
        )
    })
}

/// Listens and serves; gives what is asked of the event loop.
pub(super) fn serve(
    settings: &Settings,
    places: &Places,
    admin: Option<AdminSocket>,
) -> Result<(Control, mpsc::Receiver<Request>), Refused> {
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    let config = ControlConfig {
        address: control_address(settings, &places.state),
        admin,
        logs: places.logs.clone(),
        requests: sender,
    };
    let control = config
        .build()
        .map_err(|error| Refused::system("the control socket", &error))?;
    Ok((control, requests))
}

fn control_address(settings: &Settings, state: &StateDir) -> ControlAddress {
    match state.path() {
        Some(path) => ControlAddress::in_directory(path),
        None => {
            let uid = nix::unistd::geteuid().as_raw();
            ControlAddress::abstract_name(uid, settings.base_port)
        }
    }
}

#[cfg(test)]
mod tests {
    use repram_config::{Environment, Role, load};

    use super::*;

    fn loaded(variables: &[(&str, &str)]) -> Loaded {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let environment = Environment {
            variables,
            pid1: false,
            uid: 7,
            role: Role::Supervisor,
        };
        load(&environment, None, &[]).expect("good settings")
    }

    #[test]
    fn an_open_address_is_warned_of() {
        let check = |address: &str, token: &str, expect: bool| {
            let loaded = loaded(&[("ADMIN_ADDR", address), ("ADMIN_TOKEN", token)]);
            assert_eq!(
                warning(&loaded.settings).is_some(),
                expect,
                "{address} {token}"
            );
        };
        check("", "", false);
        check("127.0.0.1:9000", "", false);
        check("[::1]:9000", "", false);
        check("[::ffff:127.0.0.1]:9000", "", false);
        check("0.0.0.0:9000", "", true);
        check("[::]:9000", "", true);
        check("[::]:9000", "0123456789abcdef", false);
    }

    #[test]
    fn an_address_that_cannot_be_had_is_a_problem_of_the_setting() {
        // Documentation addresses (RFC 5737) are nobody's.
        let loaded = loaded(&[("ADMIN_ADDR", "192.0.2.1:9000")]);
        match bind(&loaded, &Gate::default()) {
            Err(Refused::Settings(problems)) => {
                let text = problems.to_string();
                assert!(
                    text.contains("ADMIN_ADDR") && text.contains("192.0.2.1"),
                    "{text}"
                );
            }
            _ => panic!("it is not ours"),
        }
    }
}
