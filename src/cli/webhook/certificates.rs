//! Where the certificate comes from that is shown: two files, or a Secret of our own.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::tls::Certificate;
use crate::tls::files::{Files, Followed};

use super::super::UsageError;
use super::super::args::WebhookArgs;

/// What is shown; `None`: nothing yet.
pub(super) type Shown = watch::Receiver<Option<Arc<Certificate>>>;

/// A source whose flags were found usable.
pub(super) enum Source {
    Files(Box<Followed>),
}

impl Source {
    pub(super) fn new(args: &WebhookArgs) -> Result<Self, UsageError> {
        let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else {
            return Err(UsageError::new("give --cert-secret, or --tls-cert and --tls-key"));
        };
        let followed = Followed::new(Files { certificate: certificate.clone(), key: key.clone() });
        let followed = followed.map_err(|fault| UsageError::new(format!("--tls-cert, --tls-key: {fault}")))?;
        Ok(Self::Files(Box::new(followed)))
    }

    /// Keeps it fresh until told to stop.
    pub(super) fn run(self, stop: &CancellationToken, tasks: &TaskTracker) -> Shown {
        match self {
            Self::Files(followed) => {
                let (_, shown) = watch::channel(Some(followed.certificate()));
                tasks.spawn(followed.run(stop.clone()));
                shown
            }
        }
    }
}
