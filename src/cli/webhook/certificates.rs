//! Where the certificate comes from that is shown: two files, or a Secret of our own.

use std::net::IpAddr;
use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::bundle;
use crate::cluster::certificates::Keeping;
use crate::tls::Certificate;
use crate::tls::authority::Lifetimes;
use crate::tls::files::Followed;

use super::super::UsageError;
use super::super::args::WebhookArgs;
use super::super::certificates::{files, secret};

/// What is known of certificates at the moment.
#[derive(Clone)]
pub(super) struct Shown {
    /// What is shown; `None`: nothing yet.
    pub(super) certificate: watch::Receiver<Option<Arc<Certificate>>>,
    /// What others must trust, if it is ours.
    pub(super) bundle: watch::Receiver<Option<String>>,
    /// Whether the API server knows that.
    pub(super) told: watch::Receiver<bool>,
}

/// A source whose flags were found usable.
pub(super) enum Source {
    Files(Box<Followed>),
    Secret { client: Client, keeping: Keeping, configuration: Option<String> },
}

impl Source {
    pub(super) fn new(args: &WebhookArgs, client: &Client) -> Result<Self, UsageError> {
        if let Some(name) = &args.cert_secret {
            let lifetimes = Lifetimes { certificate: args.cert_lifetime.0, ..Lifetimes::default() };
            let keeping = Keeping {
                namespace: args.namespace.clone(),
                name: name.clone(),
                renewing: Some((names(args)?, lifetimes)),
            };
            let configuration = args.webhook_configuration.clone();
            return Ok(Self::Secret { client: client.clone(), keeping, configuration });
        }
        let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else {
            return Err(UsageError::new("give --cert-secret, or --tls-cert and --tls-key"));
        };
        Ok(Self::Files(files(certificate, key)?))
    }

    /// Keeps it fresh until told to stop.
    pub(super) fn run(self, stop: &CancellationToken, tasks: &TaskTracker) -> Shown {
        match self {
            Self::Files(followed) => {
                let (_, certificate) = watch::channel(Some(followed.certificate()));
                tasks.spawn(followed.run(stop.clone()));
                Shown { certificate, bundle: watch::channel(None).1, told: watch::channel(true).1 }
            }
            Self::Secret { client, keeping, configuration } => {
                let (certificate, bundle) = secret(&client, keeping, stop, tasks);
                let (tell, told) = watch::channel(configuration.is_none());
                if let Some(name) = configuration {
                    tasks.spawn(bundle::run((client, name), bundle.clone(), tell, stop.clone()));
                }
                Shown { certificate, bundle, told }
            }
        }
    }
}

/// The names that the certificate is for.
fn names(args: &WebhookArgs) -> Result<Vec<String>, UsageError> {
    let namespace = &args.namespace;
    let of = |service: &String| {
        [
            service.clone(),
            format!("{service}.{namespace}"),
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
        ]
    };
    let mut names: Vec<String> = args.services.iter().flat_map(of).chain(args.sans.iter().cloned()).collect();
    names.dedup();
    for name in &names {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if name.parse::<IpAddr>().is_err() && !name.split('.').all(label) {
            return Err(UsageError::new(format!("--service, --san: `{name}` is no name of a host, and no address")));
        }
    }
    if names.is_empty() {
        return Err(UsageError::new("--cert-secret: name what the certificate is for by --service or --san"));
    }
    Ok(names)
}
