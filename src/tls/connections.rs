//! Connections of a listener, once they have shaken hands: no more than there are places for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

use crate::listen::gate::{Bounds, Gate};
use crate::listen::guarded::Guarded;

/// Longest time for a handshake.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most handshakes at one time: more wait in the system's queue.
const HANDSHAKES: usize = 256;
/// Connections on their way to whoever serves them.
const READY: usize = 16;

/// Accepts until nobody takes connections any more. A slow handshake keeps no other one waiting.
pub fn connections(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    bounds: Bounds,
) -> impl Stream<Item = io::Result<TlsStream<Guarded<TcpStream>>>> + Send + 'static {
    let (ready, taken) = mpsc::channel(READY);
    tokio::spawn(accept(listener, (acceptor, Gate::new(bounds)), ready));
    ReceiverStream::new(taken)
}

type Ready = mpsc::Sender<io::Result<TlsStream<Guarded<TcpStream>>>>;

async fn accept(listener: TcpListener, (acceptor, gate): (TlsAcceptor, Gate), ready: Ready) {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, _) = tokio::select! {
            accepted = gate.tcp(&listener) => accepted,
            () = ready.closed() => return,
        };
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        tokio::spawn(async move {
            let shaken = timeout(PATIENCE, acceptor.accept(stream)).await;
            drop(place);
            match shaken {
                // Whoever serves may have ended meanwhile.
                Ok(Ok(stream)) => drop(ready.send(Ok(stream)).await),
                Ok(Err(error)) => tracing::debug!(%error, "tls handshake failed"),
                Err(_) => tracing::debug!("tls handshake took too long"),
            }
        });
    }
}
