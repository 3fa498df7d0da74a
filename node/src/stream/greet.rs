//! Opening and accepting streams: connecting, greeting, and who is there.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;
use uuid::Uuid;

use super::channel::{Receiver, Sender, StreamError};
use super::offset::ClockOffset;
use crate::clock::boot_now_ns;
use crate::membership::Identity;
use crate::wire::Seal;
use crate::wire::hello::{self, ClockId, Hello, Nonce, PREFIX_LENGTH, Refused, SessionKeys};
use crate::wire::record::{RecordReader, RecordWriter};

/// How long connecting may take: a few round trips around the world, or one lost SYN.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// How long an accepted peer may take to say who it is, and then to prove it by its first
/// record.
pub(super) const HELLO_WITHIN: Duration = Duration::from_secs(2);

/// After so long without an acknowledgement from the peer's kernel a connection with data
/// under way is given up (TCP_USER_TIMEOUT, tcp(7)); the default is a quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// After so long without traffic the kernel asks whether the peer's host is still there,
/// and then again every [`PROBE`], nine times: connections of a host that vanished do not
/// stay for ever.
const IDLE: Duration = Duration::from_secs(30);

/// See [`IDLE`].
const PROBE: Duration = Duration::from_secs(10);

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum GreetError {
    /// Nobody accepts connections there, or the connection failed.
    #[error("connection failed")]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The peer is not one of this network.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Another node than expected answers there.
    #[error("another node answers there: {found}")]
    WrongPeer {
        /// Who.
        found: Uuid,
    },
    /// It is this node itself.
    #[error("it is this node itself")]
    Own,
    /// The stream ended during the first exchange.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// What this node says of itself in greetings.
pub struct Greeter {
    /// The network and its secret.
    pub seal: Seal,
    /// Which boot clock this node reads.
    pub clock: ClockId,
}

/// A greeted stream.
pub struct Channel {
    /// The half that receives.
    pub receiver: Receiver<OwnedReadHalf>,
    /// The half that sends.
    pub sender: Sender<OwnedWriteHalf>,
    /// Who is at the other end.
    pub peer: Identity,
    /// Its address.
    pub address: SocketAddr,
    /// Where it sees us.
    pub sees_us_at: IpAddr,
    /// How its clock relates to ours.
    pub offset: ClockOffset,
}

/// The boot clock in microseconds.
#[must_use]
pub fn boot_now_us() -> u64 {
    boot_now_ns() / 1_000
}

impl Greeter {
    /// Opens a stream to `address`. The peer may take `patience` to greet back: its process
    /// may only be about to start while its socket is there already.
    ///
    /// # Errors
    /// When there is no peer of this network.
    pub async fn open(
        &self,
        address: SocketAddr,
        own: Identity,
        patience: Duration,
    ) -> Result<Channel, GreetError> {
        let socket = within(CONNECT_WITHIN, TcpStream::connect(address)).await??;
        prepare(&socket)?;
        let ours = self.hello(own, address.ip());
        within(patience, self.open_greeting(socket, ours)).await?
    }

    async fn open_greeting(
        &self,
        mut socket: TcpStream,
        ours: Hello,
    ) -> Result<Channel, GreetError> {
        let nonce = ours.nonce;
        socket
            .write_all(&hello::encode(&self.seal, &ours, None))
            .await?;
        let theirs = self.read(&mut socket, Some(&nonce)).await?;
        let received = boot_now_us();
        if theirs.identity.uuid == ours.identity.uuid {
            return Err(GreetError::Own);
        }
        let mut offset = ClockOffset::new(theirs.clock == self.clock);
        offset.measure(ours.boot_us, theirs.boot_us, received);
        let keys = SessionKeys::new(&self.seal, &nonce, &theirs.nonce);
        let address = peer_address(&socket)?;
        let (read, write) = socket.into_split();
        Ok(Channel {
            receiver: Receiver::new(read, RecordReader::new(keys.server)),
            sender: Sender::new(write, RecordWriter::new(keys.client)),
            peer: theirs.identity,
            address,
            sees_us_at: theirs.sees_at,
            offset,
        })
    }

    /// Greets whoever connected. What it says of itself is to be believed when its first
    /// record has verified.
    ///
    /// # Errors
    /// When it is no peer of this network.
    pub async fn accept(
        &self,
        mut socket: TcpStream,
        own: Identity,
    ) -> Result<Channel, GreetError> {
        prepare(&socket)?;
        let theirs = within(HELLO_WITHIN, self.read(&mut socket, None)).await??;
        if theirs.identity.uuid == own.uuid {
            return Err(GreetError::Own);
        }
        let address = peer_address(&socket)?;
        let ours = self.hello(own, address.ip());
        let answer = hello::encode(&self.seal, &ours, Some(&theirs.nonce));
        within(HELLO_WITHIN, socket.write_all(&answer)).await??;
        let keys = SessionKeys::new(&self.seal, &theirs.nonce, &ours.nonce);
        let (read, write) = socket.into_split();
        Ok(Channel {
            receiver: Receiver::new(read, RecordReader::of_stranger(keys.client)),
            sender: Sender::new(write, RecordWriter::new(keys.server)),
            peer: theirs.identity,
            address,
            sees_us_at: theirs.sees_at,
            offset: ClockOffset::new(theirs.clock == self.clock),
        })
    }

    fn hello(&self, identity: Identity, sees_at: IpAddr) -> Hello {
        let nonce = fresh_nonce();
        Hello {
            nonce,
            clock: self.clock,
            boot_us: boot_now_us(),
            sees_at,
            identity,
        }
    }

    async fn read(
        &self,
        socket: &mut TcpStream,
        answered: Option<&Nonce>,
    ) -> Result<Hello, GreetError> {
        let mut prefix = [0; PREFIX_LENGTH];
        socket.read_exact(&mut prefix).await?;
        let rest = hello::rest_length(&self.seal, &prefix)?;
        let mut whole = BytesMut::zeroed(PREFIX_LENGTH + rest);
        whole[..PREFIX_LENGTH].copy_from_slice(&prefix);
        socket.read_exact(&mut whole[PREFIX_LENGTH..]).await?;
        let whole: Bytes = whole.freeze();
        Ok(hello::decode(&self.seal, &whole, answered)?)
    }
}

/// Bytes of the kernel's generator, by way of a random UUID: 122 of the 128 bits are
/// random, far more than two sessions would need to differ.
fn fresh_nonce() -> Nonce {
    Uuid::new_v4().into_bytes()
}

/// Where the peer is, IPv4 as such even on a dual-stack socket.
fn peer_address(socket: &TcpStream) -> io::Result<SocketAddr> {
    let address = socket.peer_addr()?;
    Ok(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    // Frames are gathered by us, so the kernel need not wait for more.
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(IDLE).with_interval(PROBE))
}

async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T, GreetError> {
    timeout(limit, future)
        .await
        .map_err(|_| GreetError::TimedOut(limit))
}
