//! The ports: delivery, and the admin port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::cluster::review::Reviewer;
use crate::delivery::door::Door;
use crate::delivery::server::Delivery;
use crate::metrics::Metrics;
use crate::tls::files::{Files, Followed};

use super::super::UsageError;
use super::super::args::ControllerArgs;
use super::status::Status;
use super::{Parts, admit};

/// Ports that are bound, then answered.
pub(super) struct Doors {
    bound: Option<Bound>,
    serving: JoinSet<Result<(), String>>,
}

struct Bound {
    door: Door,
    admin: TcpListener,
    followed: Option<Followed>,
}

impl Doors {
    /// Binds both ports.
    pub(super) async fn bind(args: &ControllerArgs) -> Result<Self, UsageError> {
        let followed = certificate(args)?;
        let listener = bind("--listen", args.listen).await?;
        announce("xds", listener.local_addr());
        let door = Door::new(listener, followed.as_ref().map(Followed::certificate).as_ref())
            .map_err(|fault| UsageError::new(format!("--tls-cert, --tls-key: {fault}")))?;
        let admin = bind("--admin", args.admin).await?;
        announce("admin", admin.local_addr());
        Ok(Self { bound: Some(Bound { door, admin, followed }), serving: JoinSet::new() })
    }

    /// Answers on both.
    pub(super) fn open(
        &mut self,
        args: &ControllerArgs,
        parts: &Parts,
        (status, stop): (Arc<Status>, CancellationToken),
    ) {
        let Some(Bound { door, admin, followed }) = self.bound.take() else { return };
        if let Some(followed) = followed {
            let stop = stop.clone();
            self.serving.spawn(async move {
                followed.run(stop).await;
                Ok(())
            });
        }
        let judge = admit::Door {
            reviewer: Reviewer::new(parts.client.clone(), Arc::clone(&parts.clock)),
            clock: Arc::clone(&parts.clock),
            gateways: args.gateways.iter().cloned().collect(),
        };
        let (ready, readiness) = watch::channel(false);
        let mut catalogue = status.catalogue.clone();
        let delivery = Delivery::new(catalogue.clone(), Arc::new(judge), (Arc::clone(&parts.roster), stop.clone()));
        let closing = stop.clone();
        self.serving.spawn(async move {
            let serving = door.serve(delivery, (readiness, closing));
            let telling = async {
                if catalogue.wait_for(Option::is_some).await.is_ok() {
                    ready.send_replace(true);
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                served = serving => served.map_err(|error| error.to_string()),
                () = telling => Ok(()),
            }
        });
        let router = admin::router(status, Arc::new(Metrics::default()));
        self.serving.spawn(async move { admin::serve(admin, router, stop).await.map_err(|error| error.to_string()) });
    }

    /// Waits until a port is no longer answered.
    pub(super) async fn ended(&mut self) {
        match self.serving.join_next().await {
            Some(Ok(Ok(()))) | None => tracing::error!("a port is no longer answered"),
            Some(Ok(Err(why))) => tracing::error!(why, "a port is no longer answered"),
            Some(Err(error)) => tracing::error!(%error, "a port is no longer answered"),
        }
    }

    /// Waits for what is in flight; the ports were told to end.
    pub(super) async fn close(mut self) {
        let closed = async { while self.serving.join_next().await.is_some() {} };
        let (Ok(()) | Err(_)) = tokio::time::timeout(Duration::from_secs(6), closed).await;
    }
}

pub(in super::super) async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener, UsageError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| UsageError::new(format!("{flag}: cannot listen on `{address}`: {error}")))
}

pub(in super::super) fn announce(port: &'static str, address: io::Result<SocketAddr>) {
    let address = address.map_or_else(|error| error.to_string(), |address| address.to_string());
    tracing::info!(port, address, "listening");
}

/// The certificate, unless only this machine can listen.
fn certificate(args: &ControllerArgs) -> Result<Option<Followed>, UsageError> {
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else {
        if args.listen.ip().is_loopback() {
            return Ok(None);
        }
        let why = "tokens would travel in the clear; give --tls-cert and --tls-key, or listen on loopback";
        return Err(UsageError::new(format!("--listen `{}`: {why}", args.listen)));
    };
    let files = Files { certificate: certificate.clone(), key: key.clone() };
    let followed = Followed::new(files);
    Ok(Some(followed.map_err(|fault| UsageError::new(format!("--tls-cert, --tls-key: {fault}")))?))
}
