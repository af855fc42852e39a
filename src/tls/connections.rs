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

#[cfg(test)]
mod tests {
    use super::connections;
    use crate::clock::UnixTime;
    use crate::listen::gate::Bounds;
    use crate::tls::Certificate;
    use crate::tls::authority::{Lifetimes, next};
    use std::time::Duration;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    /// Shorter than a handshake may take.
    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_handshake_takes_a_place() {
        crate::token::install_crypto().unwrap();
        let lifetimes = Lifetimes { authority: 30_000, certificate: 900 };
        let kept = next(None, (&["127.0.0.1".to_owned()], lifetimes), UnixTime(1_800_000_000)).unwrap().unwrap();
        let acceptor = Certificate::new(&kept.shown).unwrap().acceptor(&[]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _served = connections(listener, acceptor, Bounds { connections: 8, ..Bounds::default() });
        let mut held = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        // closed before that was noticed, or after
        if let Ok(mut third) = TcpStream::connect(address).await {
            assert!(matches!(timeout(SOON, third.read(&mut [0])).await.unwrap(), Ok(0) | Err(_)));
        }
        for stream in &mut held {
            assert!(timeout(Duration::from_millis(50), stream.read(&mut [0])).await.is_err(), "closed");
        }
    }
}
