//! The certificate that subscribers are shown: of two files, of a Secret that the webhook keeps, or none on loopback.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kube::Client;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::certificates::Keeping;
use crate::tls::Certificate;
use crate::tls::files::Followed;

use super::super::UsageError;
use super::super::args::ControllerArgs;
use super::super::certificates::{files, secret};

/// Where it comes from; the flags were found usable.
pub(super) enum Given {
    Plain,
    Files(Box<Followed>),
    Secret(Keeping),
}

impl Given {
    pub(super) fn new(args: &ControllerArgs) -> Result<Self, UsageError> {
        if let Some(name) = &args.cert_secret {
            let (namespace, name) = (args.lease_namespace.clone(), name.clone());
            return Ok(Self::Secret(Keeping { namespace, name, renewing: None }));
        }
        let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else {
            if args.listen.ip().is_loopback() {
                return Ok(Self::Plain);
            }
            let why = "tokens would travel in the clear; give --tls-cert and --tls-key, or --cert-secret, or listen on \
                       loopback";
            return Err(UsageError::new(format!("--listen `{}`: {why}", args.listen)));
        };
        Ok(Self::Files(files(certificate, key)?))
    }

    /// Whether it is there from the start.
    pub(super) const fn is_there(&self) -> bool {
        match self {
            Self::Plain | Self::Files(_) => true,
            Self::Secret(_) => false,
        }
    }

    /// The certificate, once there is one, and `None` without TLS; it stays fresh until told to stop.
    pub(super) fn run(
        self,
        client: &Client,
        (stop, tasks): (&CancellationToken, &TaskTracker),
    ) -> BoxFuture<'static, Option<Arc<Certificate>>> {
        match self {
            Self::Plain => async { None }.boxed(),
            Self::Files(followed) => {
                let certificate = followed.certificate();
                tasks.spawn(followed.run(stop.clone()));
                async move { Some(certificate) }.boxed()
            }
            Self::Secret(keeping) => {
                let (mut certificate, _) = secret(client, keeping, stop, tasks);
                async move {
                    let found = certificate.wait_for(Option::is_some).await.map(|found| found.clone());
                    match found {
                        Ok(found) => found,
                        // Told to stop before there was one: nothing is served from here on.
                        Err(_) => std::future::pending().await,
                    }
                }
                .boxed()
            }
        }
    }
}
