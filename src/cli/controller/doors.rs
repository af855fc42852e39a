//! The ports: delivery, and the admin port.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::review::Reviewer;
use crate::delivery::door::{Door, SUBSCRIBERS};
use crate::delivery::server::Delivery;

use super::super::UsageError;
use super::super::args::ControllerArgs;
use super::super::descriptors;
use super::super::ports::{Serving, announce, bind};
use super::certificate::Given;
use super::status::Status;
use super::{Parts, admit};

/// Ports that are bound, then answered.
pub(super) struct Doors {
    bound: Option<Bound>,
    serving: Serving,
    tasks: TaskTracker,
    shown: watch::Sender<bool>,
}

struct Bound {
    listener: TcpListener,
    admin: TcpListener,
    given: Given,
}

impl Doors {
    /// Binds both ports.
    pub(super) async fn bind(args: &ControllerArgs) -> Result<Self, UsageError> {
        let given = Given::new(args)?;
        let listener = bind("--listen", args.listen).await?;
        announce("xds", listener.local_addr());
        let admin = bind("--admin", args.admin).await?;
        announce("admin", admin.local_addr());
        let shown = watch::Sender::new(given.is_there());
        let bound = Some(Bound { listener, admin, given });
        Ok(Self { bound, serving: Serving::default(), tasks: TaskTracker::new(), shown })
    }

    /// Whether there is a certificate to show, if one is needed.
    pub(super) fn shown(&self) -> watch::Receiver<bool> {
        self.shown.subscribe()
    }

    /// Answers on both.
    pub(super) fn open(
        &mut self,
        args: &ControllerArgs,
        parts: &Parts,
        (status, stop): (Arc<Status>, CancellationToken),
    ) {
        let Some(Bound { listener, admin, given }) = self.bound.take() else { return };
        let judge = admit::Door {
            reviewer: Reviewer::new(parts.client.clone(), Arc::clone(&parts.clock)),
            clock: Arc::clone(&parts.clock),
            gateways: args.gateways.iter().cloned().collect(),
        };
        let (ready, readiness) = watch::channel(false);
        let mut catalogue = status.catalogue.clone();
        let delivery = Delivery::new(catalogue.clone(), Arc::new(judge), (Arc::clone(&parts.roster), stop.clone()));
        let bounds = descriptors::bounds(SUBSCRIBERS, 1);
        let certificate = given.run(&parts.client, (&stop, &self.tasks));
        let (closing, shown) = (stop.clone(), self.shown.clone());
        self.serving.spawn(async move {
            let certificate = tokio::select! {
                certificate = certificate => certificate,
                () = closing.cancelled() => return Ok(()),
            };
            let door = Door::new(listener, certificate.as_ref()).map_err(|fault| fault.to_string())?.keeping(bounds);
            shown.send_replace(true);
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
        self.serving.admin(admin, (status, stop));
    }

    /// Waits until a port is no longer answered.
    pub(super) async fn ended(&mut self) {
        self.serving.ended().await;
    }

    /// Waits for what is in flight; the ports were told to end.
    pub(super) async fn close(self) {
        let Self { serving, tasks, .. } = self;
        let rest = async {
            tasks.close();
            tasks.wait().await;
        };
        serving.close(rest).await;
    }
}
