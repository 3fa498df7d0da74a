//! The front port that all nodes share.

use repram_config::Settings;
use repram_discovery::front::{FrontPort, FrontPortTaken};

use super::strangers;
use crate::event::EventKind;
use crate::status::IngressStatus;

/// The port, and whether its door is open: it is as long as a node is ready.
///
/// Nodes accept on it themselves, so nothing stands between a client and its node. That no
/// node which is not ready accepts is the matter of the nodes; that nobody hangs when none
/// does is ours.
#[derive(Debug)]
pub(super) struct Ingress {
    pub(super) front: FrontPort,
    is_open: bool,
    /// Whether the last attempt to move the door failed, which is told of once.
    troubled: bool,
}

impl Ingress {
    /// Takes INGRESS_PORT, if there is to be one.
    ///
    /// # Errors
    /// Who holds it, line by line, with what to do.
    pub(super) fn bind(settings: &Settings) -> Result<Option<Self>, Vec<String>> {
        let Some(port) = settings.ingress_port else {
            return Ok(None);
        };
        let front =
            FrontPort::bind(settings.bind_address, port).map_err(|taken| refused(&taken))?;
        Ok(Some(Self {
            front,
            is_open: false,
            troubled: false,
        }))
    }

    /// What it is at this moment.
    pub(super) fn status(&self) -> IngressStatus {
        IngressStatus {
            port: self.front.port(),
            open: self.is_open,
        }
    }

    /// Opens the door when a node is ready, closes it when none is, and says what there is to
    /// tell.
    pub(super) fn follow(&mut self, any_ready: bool) -> Option<EventKind> {
        if any_ready == self.is_open {
            return None;
        }
        let port = self.front.port();
        match self.front.set_open(any_ready) {
            Ok(()) => {
                (self.is_open, self.troubled) = (any_ready, false);
                Some(match any_ready {
                    true => EventKind::IngressOpened { port },
                    false => EventKind::IngressClosed { port },
                })
            }
            // Tried again at the next event of the fleet.
            Err(error) => {
                let verb = if any_ready { "opened" } else { "closed" };
                let message = format!("the front port {port} could not be {verb}: {error}");
                let told = std::mem::replace(&mut self.troubled, true);
                (!told).then_some(EventKind::Warning { message })
            }
        }
    }
}

fn refused(taken: &FrontPortTaken) -> Vec<String> {
    let port = taken.address.port();
    let found = match taken.source.kind() {
        std::io::ErrorKind::AddrInUse => format!("is held by {}", strangers::who(port)),
        _ => format!("cannot be had at {}: {}", taken.address, taken.source),
    };
    vec![
        format!("the front port {port} {found}"),
        "end that, or choose another INGRESS_PORT".to_owned(),
    ]
}
