//! The port on which resources are delivered: gRPC, with TLS unless it is loopback, and the health protocol beside it.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Connected, TcpIncoming};
use tonic::transport::{Error, Server};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::listen::gate::Bounds;
use crate::listen::guarded::Guarded;
use crate::tls::{self, Certificate, CertificateFault};

use super::server::Delivery;

/// Largest request, in bytes: a subscriber that comes back tells what it holds.
const MAX_REQUEST: usize = 32 << 20;
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Subscribers over TLS; a sidecar, a gateway and whoever looks keep one connection each.
pub const SUBSCRIBERS: usize = 8192;
/// For streams that end; they are told to.
const FAREWELL: Duration = Duration::from_secs(5);

/// A port that is not served yet.
pub struct Door {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    bounds: Bounds,
}

impl Door {
    /// A door at this listener.
    ///
    /// # Errors
    /// The certificate cannot be used.
    pub fn new(listener: TcpListener, certificate: Option<&Arc<Certificate>>) -> Result<Self, CertificateFault> {
        let tls = certificate.map(|certificate| certificate.acceptor(&[b"h2"])).transpose()?;
        Ok(Self { listener, tls, bounds: Bounds { connections: SUBSCRIBERS, ..Bounds::default() } })
    }

    /// The same with other bounds for connections over TLS.
    #[must_use]
    pub fn keeping(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Serves until told to stop. Healthy once `ready` says so.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(
        self,
        delivery: Delivery,
        (ready, stop): (watch::Receiver<bool>, CancellationToken),
    ) -> Result<(), Error> {
        let (reporter, health) = tonic_health::server::health_reporter();
        report(&reporter, false).await;
        let discovery = AggregatedDiscoveryServiceServer::new(delivery).max_decoding_message_size(MAX_REQUEST);
        let mut server = Server::builder().http2_keepalive_interval(Some(KEEPALIVE));
        let router = server.add_service(health).add_service(discovery);
        let serving = async {
            match self.tls {
                Some(tls) => {
                    let incoming = tls::connections(self.listener, tls, self.bounds);
                    router.serve_with_incoming_shutdown(incoming, stop.cancelled()).await
                }
                None => {
                    let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
                    router.serve_with_incoming_shutdown(incoming, stop.cancelled()).await
                }
            }
        };
        let telling = tell(&reporter, ready, &stop);
        let ending = async {
            stop.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            served = async { tokio::join!(serving, telling).0 } => served,
            () = ending => Ok(()),
        }
    }
}

impl Connected for Guarded<TcpStream> {
    type ConnectInfo = ();

    /// Who is there is told by a token.
    fn connect_info(&self) {}
}

async fn report(reporter: &HealthReporter, ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    reporter.set_service_status("", status).await;
    reporter.set_service_status("envoy.service.discovery.v3.AggregatedDiscoveryService", status).await;
}

async fn tell(reporter: &HealthReporter, mut ready: watch::Receiver<bool>, stop: &CancellationToken) {
    loop {
        let now = *ready.borrow_and_update();
        report(reporter, now).await;
        tokio::select! {
            changed = ready.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return report(reporter, false).await,
        }
    }
}
