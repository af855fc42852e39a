//! The ports: reviews, and the admin port.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admission::desk::Desk;
use crate::admission::server;
use crate::listen::gate::Bounds;

use super::super::UsageError;
use super::super::args::WebhookArgs;
use super::super::descriptors;
use super::super::ports::{Serving, announce, bind};
use super::certificates::Shown;
use super::status::Status;

/// Ports that are bound, then answered.
pub(super) struct Doors {
    bound: Option<(TcpListener, TcpListener)>,
    serving: Serving,
}

impl Doors {
    /// Binds both ports.
    pub(super) async fn bind(args: &WebhookArgs) -> Result<Self, UsageError> {
        let reviews = bind("--listen", args.listen).await?;
        announce("webhook", reviews.local_addr());
        let admin = bind("--admin", args.admin).await?;
        announce("admin", admin.local_addr());
        Ok(Self { bound: Some((reviews, admin)), serving: Serving::default() })
    }

    /// Answers on both; reviews as soon as there is a certificate to show.
    pub(super) fn open(
        &mut self,
        (desk, status): (Arc<Desk>, Arc<Status>),
        mut shown: Shown,
        stop: &CancellationToken,
    ) {
        let Some((reviews, admin)) = self.bound.take() else { return };
        let closing = stop.clone();
        let bounds = descriptors::bounds(Bounds::default().connections, 1);
        self.serving.spawn(async move {
            let certificate = tokio::select! {
                found = shown.certificate.wait_for(Option::is_some) => found.ok().and_then(|found| found.clone()),
                () = closing.cancelled() => return Ok(()),
            };
            let certificate = certificate.ok_or("there will be no certificate")?;
            let tls = certificate.acceptor(&[b"http/1.1"]).map_err(|fault| fault.to_string())?;
            server::serve(reviews, (tls, server::router(desk), bounds), closing).await;
            Ok(())
        });
        self.serving.admin(admin, (status, stop.clone()));
    }

    /// Waits until a port is no longer answered.
    pub(super) async fn ended(&mut self) {
        self.serving.ended().await;
    }

    /// Waits for what is in flight; the ports were told to end.
    pub(super) async fn close(self) {
        self.serving.close(async {}).await;
    }
}
