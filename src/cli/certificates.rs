//! Certificates on their way to those who show them: somebody's in two files, or our own, as a Secret holds it.

use std::path::Path;
use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::SystemClock;
use crate::cluster::certificates::{self, Keeping};
use crate::tls::Certificate;
use crate::tls::authority::Kept;
use crate::tls::files::{Files, Followed};

use super::UsageError;

/// The certificate of a Secret, and what others must trust.
type OfSecret = (watch::Receiver<Option<Arc<Certificate>>>, watch::Receiver<Option<String>>);

/// The certificate of `--tls-cert` and `--tls-key`, read for the first time.
pub(super) fn files(certificate: &Path, key: &Path) -> Result<Box<Followed>, UsageError> {
    let followed = Followed::new(Files { certificate: certificate.to_owned(), key: key.to_owned() });
    followed.map(Box::new).map_err(|fault| UsageError::new(format!("--tls-cert, --tls-key: {fault}")))
}

/// Follows a Secret until told to stop.
pub(super) fn secret(client: &Client, keeping: Keeping, stop: &CancellationToken, tasks: &TaskTracker) -> OfSecret {
    let (publish, kept) = watch::channel(None);
    let (show, certificate) = watch::channel(None);
    let (tell, bundle) = watch::channel(None);
    tasks.spawn(certificates::run(client.clone(), keeping, (publish, Arc::new(SystemClock)), stop.clone()));
    tasks.spawn(follow(kept, (show, tell)));
    (certificate, bundle)
}

type Publish = (watch::Sender<Option<Arc<Certificate>>>, watch::Sender<Option<String>>);

/// Shows what is kept. What cannot be used is told, and the former one is shown.
async fn follow(mut kept: watch::Receiver<Option<Arc<Kept>>>, (show, tell): Publish) {
    while kept.changed().await.is_ok() {
        let Some(kept) = kept.borrow_and_update().clone() else { continue };
        let shown = show.borrow().clone();
        let done = match shown {
            Some(certificate) => certificate.replace(&kept.shown),
            None => Certificate::new(&kept.shown).map(|certificate| drop(show.send_replace(Some(certificate)))),
        };
        match done {
            Ok(()) => {
                tracing::info!(code = "certificate_renewed", "new connections are shown another certificate");
                tell.send_replace(Some(kept.bundle.clone()));
            }
            Err(fault) => tracing::error!(code = "certificate_unusable", %fault, "the former certificate is shown"),
        }
    }
}
