//! Where connections come in: those for which there is a place, each guarded.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::guarded::{Guarded, Transport};
use super::notice::{Notice, PAUSE};
use super::places::Places;

/// Between two attempts to accept.
const BREATH: Duration = Duration::from_millis(50);

/// What the connections of one listener may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at a time; a quarter of them from one address.
    pub connections: usize,
    /// For a write to make progress.
    pub stall: Duration,
}

impl Bounds {
    /// For a port that operators ask: kubelet, monitoring, a terminal.
    pub const ADMIN: Self = Self { connections: 64, stall: Duration::from_secs(10) };
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: 1024, stall: Duration::from_secs(10) }
    }
}

/// The gate of one listener.
pub struct Gate {
    places: Arc<Places>,
    stall: Duration,
    full: Notice,
    broken: Notice,
}

impl Gate {
    /// A gate with these bounds.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let Bounds { connections, stall } = bounds;
        Self { places: Places::new(connections), stall, full: Notice::default(), broken: Notice::default() }
    }

    /// The places behind it.
    #[must_use]
    pub const fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// The next connection of a TCP port that is let in, and its peer.
    pub async fn tcp(&self, listener: &TcpListener) -> (Guarded<TcpStream>, IpAddr) {
        loop {
            let accepted = async {
                let (stream, peer) = listener.accept().await?;
                Ok((stream, peer.ip()))
            };
            let Some((stream, peer)) = self.accepted(accepted).await else { continue };
            if stream.set_nodelay(true).is_err() {
                // the peer is gone already
                continue;
            }
            if let Some(guarded) = self.seated(stream, Some(peer)) {
                return (guarded, peer);
            }
        }
    }

    /// The next connection of a Unix socket that is let in.
    pub async fn unix(&self, listener: &UnixListener) -> Guarded<UnixStream> {
        loop {
            let accepted = async { listener.accept().await.map(|(stream, _)| stream) };
            let Some(stream) = self.accepted(accepted).await else { continue };
            if let Some(guarded) = self.seated(stream, None) {
                return guarded;
            }
        }
    }

    /// What hinders is most likely that there are no file descriptors left, and others need time to close some.
    async fn accepted<T>(&self, accept: impl Future<Output = io::Result<T>>) -> Option<T> {
        match accept.await {
            Ok(accepted) => Some(accepted),
            // one that its peer gave up holds up nobody else
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => None,
            Err(error) => {
                if let Some(untold) = self.broken.due(PAUSE) {
                    tracing::warn!(%error, untold, "cannot accept a connection");
                }
                tokio::time::sleep(BREATH).await;
                None
            }
        }
    }

    fn seated<S: Transport>(&self, stream: S, peer: Option<IpAddr>) -> Option<Guarded<S>> {
        match self.places.take(peer) {
            Ok(place) => Some(Guarded::new(stream, (place, self.stall))),
            Err(full) => {
                if let Some(untold) = self.full.due(PAUSE) {
                    tracing::warn!(peer = peer.map(tracing::field::display), untold, "closed a new connection: {full}");
                }
                stream.give_up();
                None
            }
        }
    }
}
