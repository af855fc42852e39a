//! The parts of a server that have no port: keys, authorizer, audit log, counters.

use std::sync::Arc;

use crate::audit::output::{FileOutput, Output};
use crate::audit::{self, AuditThread};
use crate::authorize::Authorizer;
use crate::authorize::ports::{AuditSink, Keys, Record};
use crate::clock::{Clock, SystemClock};
use crate::entra::{self, KeyStore};
use crate::envoy::service::{Limits, Service};
use crate::metrics::Metrics;
use crate::recorder::{Recorder, Surroundings};

use super::super::args::{AuditSink as Sink, ServeArgs};
use super::super::{UsageError, keys};

/// PEM of further authorities to trust when fetching signing keys, if no file names them.
const EXTRA_CA: &str = "ENTRANCE_EXTRA_CA_PEM";

/// The parts, ready to be connected.
pub(super) struct Parts {
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) keys: Arc<KeyStore>,
    pub(super) metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    audit: Arc<dyn AuditSink>,
    scribe: Option<AuditThread>,
}

impl Parts {
    /// Makes them. Needs a runtime.
    pub(super) fn new(args: &ServeArgs) -> Result<Self, UsageError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let metrics = Arc::new(Metrics::default());
        let extra_ca = args.extra_ca.as_deref().map(keys::extra_ca).transpose()?.or_else(|| keys::given(EXTRA_CA));
        let options = entra::Options { extra_ca, clock: Arc::clone(&clock), ..entra::Options::default() };
        let keys = Arc::new(KeyStore::new(options).map_err(|fault| UsageError::new(fault.to_string()))?);
        let (audit, scribe) = audit(args, (Arc::clone(&clock), Arc::clone(&metrics)))?;
        let capacity = usize::try_from(args.token_cache).unwrap_or(usize::MAX);
        let source: Arc<dyn Keys> = Arc::clone(&keys) as _;
        let authorizer = Arc::new(Authorizer::with_keys(source, capacity, Arc::clone(&clock)));
        Ok(Self { authorizer, keys, metrics, clock, audit, scribe })
    }

    /// What one listener for gRPC answers with.
    pub(super) fn service(&self) -> Service<Authorizer> {
        Service::new(Arc::clone(&self.authorizer), self.surroundings(), Limits::default())
    }

    /// What one listener for HTTP has requests decided by.
    pub(super) fn recorder(&self) -> Recorder<Authorizer> {
        Recorder::new(Arc::clone(&self.authorizer), self.surroundings(), Limits::default().waiting)
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            audit: Arc::clone(&self.audit),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
        }
    }

    /// Stops to ask for keys and writes the audit log out.
    pub(super) async fn close(self) {
        self.keys.shutdown().await;
        if let Some(scribe) = self.scribe {
            tokio::task::block_in_place(|| scribe.close());
        }
    }
}

type Audit = (Arc<dyn AuditSink>, Option<AuditThread>);

fn audit(args: &ServeArgs, (clock, metrics): (Arc<dyn Clock>, Arc<Metrics>)) -> Result<Audit, UsageError> {
    let output = match &args.audit {
        Sink::Off => return Ok((Arc::new(Unrecorded), None)),
        Sink::Stdout => Output::Stdout,
        Sink::File(path) => Output::File(FileOutput {
            path: path.clone(),
            max_bytes: args.audit_rotate_size.saturating_mul(1 << 20),
            keep: args.audit_rotate_keep,
        }),
    };
    let started = audit::start(output, clock, metrics);
    let (audit, scribe) = started.map_err(|error| {
        let sink = match &args.audit {
            Sink::File(path) => format!("`{}`", path.display()),
            Sink::Stdout | Sink::Off => "standard output".to_owned(),
        };
        UsageError::new(format!("--audit: cannot write to {sink}: {error}; name a file in a directory that exists"))
    })?;
    Ok((Arc::new(audit), Some(scribe)))
}

/// `--audit off`.
struct Unrecorded;

impl AuditSink for Unrecorded {
    fn record(&self, _: Record) {}
}
