//! Accepts connections, plain or TLS, and serves the endpoints until told to stop.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::world::World;

/// Longest time for a TLS handshake, and for a request's head.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where requests come in.
pub(super) struct Door {
    /// The bound socket.
    pub(super) listener: TcpListener,
    /// TLS, if any.
    pub(super) tls: Option<TlsAcceptor>,
}

/// Serves until the world stops. Connections are tasks of the world.
pub(super) async fn serve(door: Door, world: Arc<World>, router: Router) {
    loop {
        let accepted = tokio::select! {
            accepted = door.listener.accept() => accepted,
            () = world.stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: give others time to close some.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let connection = connect(stream, door.tls.clone(), (Arc::clone(&world), router.clone()));
        world.tasks.spawn(connection);
    }
}

async fn connect(stream: TcpStream, tls: Option<TlsAcceptor>, (world, router): (Arc<World>, Router)) {
    let Some(tls) = tls else {
        return converse(stream, &world, router).await;
    };
    match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => converse(stream, &world, router).await,
        Ok(Err(error)) => tracing::debug!(%error, "tls handshake failed"),
        Err(_) => tracing::debug!("tls handshake took too long"),
    }
}

async fn converse<S>(stream: S, world: &World, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| router.clone().oneshot(request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = world.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(Duration::from_secs(1), connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
