//! Accepts connections, plain or TLS, and serves the endpoints until told to stop.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::listen::gate::{Bounds, Gate};
use crate::listen::guarded::Guarded;
use crate::listen::http1::{self, Terms};

use super::world::World;

/// Longest time for a TLS handshake.
const PATIENCE: Duration = Duration::from_secs(10);
/// Who tests wants an end at once.
const TERMS: Terms =
    Terms { head: PATIENCE, idle: PATIENCE, farewell: Duration::from_secs(1), lines: 100, buffer: 64 * 1024 };

/// Where requests come in.
pub(super) struct Door {
    /// The bound socket.
    pub(super) listener: TcpListener,
    /// TLS, if any.
    pub(super) tls: Option<TlsAcceptor>,
}

/// Serves until the world stops. Connections are tasks of the world.
pub(super) async fn serve(door: Door, world: Arc<World>, router: Router) {
    let gate = Gate::new(Bounds::default());
    loop {
        let (stream, _) = tokio::select! {
            accepted = gate.tcp(&door.listener) => accepted,
            () = world.stop.cancelled() => return,
        };
        let connection = connect(stream, door.tls.clone(), (Arc::clone(&world), router.clone()));
        world.tasks.spawn(connection);
    }
}

async fn connect(stream: Guarded<TcpStream>, tls: Option<TlsAcceptor>, (world, router): (Arc<World>, Router)) {
    let answer = move |request| router.clone().oneshot(request);
    let terms = (TERMS, world.stop.clone());
    let Some(tls) = tls else {
        return http1::converse(stream, answer, terms).await;
    };
    match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => http1::converse(stream, answer, terms).await,
        Ok(Err(error)) => tracing::debug!(%error, "tls handshake failed"),
        Err(_) => tracing::debug!("tls handshake took too long"),
    }
}
