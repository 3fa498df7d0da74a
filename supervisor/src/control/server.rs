//! The server of the control API.

use std::io;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::accepting::accept;
use super::admin::{Admin, AdminSocket};
use super::api::{Api, Caller, Shares};
use super::connection::serve;
use super::{ControlAddress, Request};
use crate::logs::Logs;

/// What a server needs.
#[derive(Debug)]
pub struct ControlConfig {
    /// Where it listens.
    pub address: ControlAddress,
    /// A network address beside it.
    pub admin: Option<AdminSocket>,
    /// Lines, events and rotation.
    pub logs: Logs,
    /// The event loop; bounded by [`super::REQUESTS_MAX`].
    pub requests: mpsc::Sender<Request>,
}

impl ControlConfig {
    /// Listens and serves in the background of the current tokio runtime, which must be able
    /// to do I/O and to tell the time.
    ///
    /// # Errors
    /// When the socket cannot be had: somebody answers there, or the system refuses.
    pub fn build(self) -> Result<Control, ControlError> {
        let Self {
            address,
            admin,
            logs,
            requests,
        } = self;
        let listener = address.listen().map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ControlError::InUse {
                address: address.clone(),
            },
            _ => ControlError::Listen {
                address: address.clone(),
                source,
            },
        })?;
        let listener = into_tokio(listener).map_err(|source| ControlError::Listen {
            address: address.clone(),
            source,
        })?;
        let (stop, stopped) = watch::channel(false);
        let mut servers = JoinSet::new();
        if let Some(socket) = admin {
            let api = Api::new(logs.clone(), requests.clone(), Shares::NETWORK);
            let admin = Admin::new(socket, api).map_err(ControlError::Admin)?;
            servers.spawn(admin.run(stopped.clone()));
        }
        let api = Api::new(logs, requests, Shares::SOCKET);
        servers.spawn(accept(listener, stopped, move |stream| {
            answer(stream, api.clone())
        }));
        Ok(Control {
            address,
            stop,
            servers,
        })
    }
}

fn into_tokio(listener: StdUnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// A running server.
#[derive(Debug)]
pub struct Control {
    address: ControlAddress,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
}

impl Control {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &ControlAddress {
        &self.address
    }

    /// Ends it: takes no new connection, gives answers under way until `limit`, removes the
    /// socket. Followers are answered to the end when [`Logs::finish`] was called before; a
    /// client that waits for a stop has its answer after the event `FleetStopped`.
    pub async fn finish(mut self, limit: Duration) {
        self.address.remove();
        // Fails only when the servers have ended already.
        let _ = self.stop.send(true);
        let all = async { while self.servers.join_next().await.is_some() {} };
        // Those that go on after this end with the set.
        let _ = timeout(limit, all).await;
    }
}

/// Serves somebody on this machine.
async fn answer(stream: UnixStream, api: Api) {
    // Root and our own user may ask. The file's permissions say the same; an abstract name
    // has none.
    let Ok(peer) = stream.peer_cred() else { return };
    if peer.uid() != 0 && peer.uid() != nix::unistd::geteuid().as_raw() {
        return;
    }
    let caller = Caller::Process {
        pid: peer.pid().filter(|pid| *pid > 0),
    };
    serve(stream, |request| {
        let (api, caller) = (api.clone(), caller.clone());
        async move { api.answer(&request, &caller).await }
    })
    .await;
}

/// Why the control API is not served.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another supervisor answers at this address.
    #[error("listen on {address}: another supervisor answers there")]
    InUse {
        /// The address.
        address: ControlAddress,
    },
    /// The system refused the socket.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: ControlAddress,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused the socket of ADMIN_ADDR.
    #[error("serve ADMIN_ADDR")]
    Admin(#[source] io::Error),
}
