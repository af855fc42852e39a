//! What the ports of all servers have in common: binding them, telling where they are, noticing that one is gone.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Inspect};
use crate::metrics::Metrics;

use super::UsageError;

/// What to do when a port cannot be had.
const ADVICE: [(io::ErrorKind, &str); 3] = [
    (io::ErrorKind::AddrInUse, "; end the process that has it, or choose another address"),
    (io::ErrorKind::PermissionDenied, "; choose a port from 1024 on, or a directory that this user may write to"),
    (io::ErrorKind::AddrNotAvailable, "; write an address that this machine has"),
];

/// The longest wait for what is in flight.
const FAREWELL: Duration = Duration::from_secs(6);

/// Binds the address that a flag names.
pub(super) async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener, UsageError> {
    TcpListener::bind(address).await.map_err(|error| taken((flag, &address), &error))
}

/// Why the address that a flag names cannot be had.
pub(super) fn taken((flag, address): (&str, &dyn Display), error: &io::Error) -> UsageError {
    let advice = ADVICE.iter().find(|(kind, _)| *kind == error.kind()).map_or("", |(_, advice)| advice);
    UsageError::new(format!("{flag}: cannot listen on `{address}`: {error}{advice}"))
}

/// Tells where a port is.
pub(super) fn announce(port: &'static str, address: io::Result<impl Display>) {
    let address = address.map_or_else(|error| error.to_string(), |address| address.to_string());
    tracing::info!(port, address, "listening");
}

/// Ports that are answered, by one task each.
#[derive(Default)]
pub(super) struct Serving(JoinSet<Result<(), String>>);

impl Serving {
    /// Answers one more.
    pub(super) fn spawn(&mut self, serving: impl Future<Output = Result<(), String>> + Send + 'static) {
        self.0.spawn(serving);
    }

    /// Answers the admin port until `stop`, for a process that decides nothing.
    pub(super) fn admin(&mut self, listener: TcpListener, (inspect, stop): (Arc<dyn Inspect>, CancellationToken)) {
        let router = admin::router(inspect, Arc::new(Metrics::default()));
        self.spawn(async move {
            admin::serve(listener, router, stop).await;
            Ok(())
        });
    }

    /// Waits until one is no longer answered, and tells why.
    pub(super) async fn ended(&mut self) {
        match self.0.join_next().await {
            Some(Ok(Ok(()))) | None => tracing::error!("a port is no longer answered"),
            Some(Ok(Err(why))) => tracing::error!(why, "a port is no longer answered"),
            Some(Err(error)) => tracing::error!(%error, "a port is no longer answered"),
        }
    }

    /// Waits for what is in flight, and for `rest`; the ports were told to end.
    pub(super) async fn close(mut self, rest: impl Future<Output = ()>) {
        let closed = async {
            while self.0.join_next().await.is_some() {}
            rest.await;
        };
        let (Ok(()) | Err(_)) = tokio::time::timeout(FAREWELL, closed).await;
    }
}
