//! The control API on a network address.
//!
//! Whoever reaches the address may read; what changes anything needs a token, and without one
//! nothing can be changed there. Two things keep the pages of a browser on this machine out,
//! which reach a loopback address as everybody does: answers carry no CORS headers, so that no
//! script of another site reads them, and on loopback the `Host` of a request must name this
//! machine, so that a name that was bound to it meanwhile (DNS rebinding) is no way around.

mod gate;
mod socket;

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub use self::gate::{Gate, Token};
pub use self::socket::{AdminSocket, Taken};

use super::accepting::accept;
use super::api::{Api, Caller, problem_response};
use super::connection::serve;

/// The server of ADMIN_ADDR.
#[derive(Debug)]
pub(super) struct Admin {
    listener: TcpListener,
    gate: Gate,
    api: Api,
}

impl Admin {
    pub(super) fn new(socket: AdminSocket, api: Api) -> io::Result<Self> {
        let AdminSocket { listener, gate } = socket;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener: TcpListener::from_std(listener)?,
            gate,
            api,
        })
    }

    /// Serves until `stopped`.
    pub(super) async fn run(self, stopped: watch::Receiver<bool>) {
        let Self {
            listener,
            gate,
            api,
        } = self;
        accept(listener, stopped, move |stream| {
            answer(stream, gate.clone(), api.clone())
        })
        .await;
    }
}

/// Serves somebody on the network.
async fn answer(stream: TcpStream, gate: Gate, api: Api) {
    let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else {
        return;
    };
    // Answers are small and come in few pieces.
    let _ = stream.set_nodelay(true);
    let caller = Caller::Network {
        peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
    };
    serve(stream, |request| {
        let admitted = gate.admit(&request, local.ip());
        let (api, caller) = (api.clone(), caller.clone());
        async move {
            match admitted {
                Ok(()) => api.answer(&request, &caller).await,
                Err(problem) => problem_response(&problem),
            }
        }
    })
    .await;
}
