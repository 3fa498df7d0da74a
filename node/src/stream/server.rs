//! Accepting streams and answering on them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::channel::StreamError;
use super::greet::{Channel, GreetError, HELLO_WITHIN, boot_now_us};
use super::host::{Shared, count};
use super::lobby::{Admitted, Lobby, STRANGERS_MAX};
use super::peer::note_broken;
use super::quiet::Quiet;
use crate::door::Door;
use crate::membership::MAX_MEMBERS;
use crate::wire::Rope;
use crate::wire::frame::{Reply, Request};
use crate::wire::hello::Refused;
use crate::wire::record::BATCH;

/// Streams accepted at the same time: one of each member, some that are about to be replaced,
/// and those of strangers, of whom each may yet be a peer.
const MAX_STREAMS: usize = MAX_MEMBERS + 64 + STRANGERS_MAX;

/// Pause after accepting failed, which happens when the process or the machine has no room
/// for another connection.
const NO_ROOM: Duration = Duration::from_millis(200);

/// Least time between two lines in the log about strangers.
pub const STRANGERS_EVERY: Duration = Duration::from_secs(30);

/// What anybody could cause any number of lines about. Noise does not hide that a peer is of
/// another version.
struct Quiets {
    strangers: Quiet,
    versions: Quiet,
    crowds: Quiet,
}

impl Default for Quiets {
    fn default() -> Self {
        Self {
            strangers: Quiet::new(STRANGERS_EVERY),
            versions: Quiet::new(STRANGERS_EVERY),
            crowds: Quiet::new(STRANGERS_EVERY),
        }
    }
}

/// A connection's place among those of strangers, until it is known or gone.
struct Place {
    lobby: Arc<Mutex<Lobby<AbortHandle>>>,
    number: u64,
}

impl Place {
    /// It has said who it is.
    fn greeted(&self) {
        lock(&self.lobby).greeted(self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.lobby).leave(self.number);
    }
}

/// A panic while the lock was held is a bug that the panic itself has reported.
fn lock<T>(lobby: &Mutex<T>) -> MutexGuard<'_, T> {
    lobby.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts streams for ever.
pub async fn serve(mut door: Door, shared: Arc<Shared>) -> std::convert::Infallible {
    let quiet = Arc::new(Quiets::default());
    let lobby = Arc::default();
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            accepted = door.accept() => match accepted {
                Ok((socket, from)) if streams.len() < MAX_STREAMS => {
                    let place = admit(&lobby, from.ip(), &shared, &quiet);
                    let number = place.number;
                    let stream = stream(socket, place, Arc::clone(&shared), Arc::clone(&quiet));
                    let end = streams.spawn(stream);
                    lock(&lobby).attach(number, end);
                }
                // Dropping it closes it.
                Ok(_) => count(&shared.counters.crowded),
                Err(error) => {
                    tracing::debug!(%error, "no stream can be accepted now");
                    sleep(NO_ROOM).await;
                }
            },
            Some(_) = streams.join_next() => {}
        }
    }
}

/// Makes room for one more stranger.
fn admit(
    lobby: &Arc<Mutex<Lobby<AbortHandle>>>,
    from: IpAddr,
    shared: &Shared,
    quiet: &Quiets,
) -> Place {
    let Admitted { number, gave_way } = lock(lobby).admit(from);
    if let Some((address, end)) = gave_way {
        count(&shared.counters.crowded);
        quiet.crowds.say(|more| {
            tracing::warn!(
                %address,
                more,
                "too many connections that do not say who they are; the oldest are closed"
            );
        });
        // Its task gives its socket back.
        if let Some(end) = end {
            end.abort();
        }
    }
    Place {
        lobby: Arc::clone(lobby),
        number,
    }
}

async fn stream(socket: TcpStream, place: Place, shared: Arc<Shared>, quiet: Arc<Quiets>) {
    let address = socket.peer_addr();
    match shared.greeter.accept(socket, shared.host.identity()).await {
        Ok(channel) => {
            place.greeted();
            count(&shared.counters.accepted);
            let Err(error) = answer(channel, place, &shared).await;
            note_broken(&shared, &error);
            if let StreamError::Broken(_) | StreamError::Malformed(_) | StreamError::Unproved(_) =
                error
            {
                quiet
                    .strangers
                    .say(|more| tracing::warn!(?address, %error, more, "stream ended"));
            }
        }
        Err(GreetError::Refused(refused @ Refused::Version { .. })) => {
            count(&shared.counters.versions);
            quiet
                .versions
                .say(|more| tracing::warn!(?address, %refused, more, "peer refused"));
        }
        Err(GreetError::Refused(refused)) => {
            count(&shared.counters.refused);
            quiet
                .strangers
                .say(|more| tracing::warn!(?address, %refused, more, "stranger refused"));
        }
        Err(error) => tracing::debug!(?address, %error, "no greeting"),
    }
}

/// Answers questions until the stream ends. What arrived together is answered together.
async fn answer(
    mut channel: Channel,
    place: Place,
    shared: &Shared,
) -> Result<std::convert::Infallible, StreamError> {
    let mut next = channel.receiver.first(HELLO_WITHIN).await?;
    // It is a peer, and never has to give way.
    drop(place);
    let mut counted = None;
    loop {
        let mut record = Some(next);
        let mut answers = Rope::new();
        while let Some(mut questions) = record {
            while questions.remaining() > 0 {
                let question = Request::decode(&mut questions)?;
                // A connection for a confirmation is not the one on which the peer asks.
                if counted.is_none() && !matches!(question, Request::Carry { .. }) {
                    counted = Some(shared.incoming.count(&*shared.host, channel.peer.uuid));
                }
                answer_one(&channel, shared, question, &mut answers);
                if answers.len() >= BATCH {
                    channel.sender.send(std::mem::take(&mut answers)).await?;
                }
            }
            questions.finish()?;
            record = channel.receiver.ready()?;
        }
        if !answers.is_empty() {
            channel.sender.send(answers).await?;
        }
        next = channel.receiver.next().await?;
    }
}

fn answer_one(channel: &Channel, shared: &Shared, question: Request, answers: &mut Rope) {
    if let Request::Ping { id } = question {
        Reply::Pong {
            id,
            boot_us: boot_now_us(),
        }
        .encode(answers);
    } else {
        shared
            .host
            .answer(&channel.peer, channel.address.ip(), question, answers);
    }
}
