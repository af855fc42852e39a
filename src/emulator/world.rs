//! What the endpoints share: the directory, the keys, the faults ordered by the control plane, the counters.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::assertion::Registered;
use super::config::{Api, Client, Config, Tenant};
use super::keys::Ring;
use crate::clock::{Clock, UnixTime};

/// The state of one stand-in.
pub(super) struct World {
    /// The directory.
    pub(super) config: Config,
    /// Scheme, host and port, without a trailing slash.
    pub(super) base: String,
    /// The time.
    pub(super) clock: Arc<dyn Clock>,
    /// How the endpoints misbehave.
    pub(super) faults: Watched<Faults>,
    /// The signing keys.
    pub(super) ring: Watched<Ring>,
    /// The keys that clients may sign assertions with, by client id.
    pub(super) registered: Watched<HashMap<String, Vec<Registered>>>,
    /// The assertions seen, by client id and `jti`, and when they expire.
    pub(super) spent: Watched<HashMap<(String, String), UnixTime>>,
    /// Everything that runs.
    pub(super) tasks: TaskTracker,
    /// Ends everything that runs.
    pub(super) stop: CancellationToken,
    metadata: AtomicU64,
    jwks: AtomicU64,
    tokens: AtomicU64,
}

/// A value behind a lock that a panicking holder does not close.
pub(super) struct Watched<T>(Mutex<T>);

impl<T> Watched<T> {
    /// Puts the value behind the lock.
    pub(super) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// The value, for as long as the guard lives.
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An endpoint that can be made to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The discovery documents.
    Metadata,
    /// The key documents.
    Jwks,
    /// The token endpoint.
    Token,
}

/// How an endpoint misbehaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Answers 500.
    Error,
    /// Answers rightly, but late.
    Slow {
        /// The delay.
        ms: u64,
    },
    /// Answers 200 with something that is not JSON.
    Rubbish,
    /// Metadata only: names a key document on another host.
    ForeignJwksUri,
    /// Keys only: lists no key.
    NoKeys,
}

/// What is ordered now, by endpoint.
#[derive(Default)]
pub(super) struct Faults {
    metadata: Fault,
    jwks: Fault,
    token: Fault,
}

impl Faults {
    /// The fault of an endpoint.
    pub(super) const fn of(&mut self, target: Target) -> &mut Fault {
        match target {
            Target::Metadata => &mut self.metadata,
            Target::Jwks => &mut self.jwks,
            Target::Token => &mut self.token,
        }
    }
}

/// How often each endpoint was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests for discovery documents.
    pub metadata: u64,
    /// Requests for key documents.
    pub jwks: u64,
    /// Requests for tokens.
    pub token: u64,
}

/// Which tenants a URL names.
#[derive(Clone, Copy)]
pub(super) enum TenantForm<'a> {
    /// `common` or `organizations`: a template.
    Many,
    /// One tenant.
    One(&'a Tenant),
}

impl World {
    /// A world where nothing has happened yet.
    pub(super) fn new(config: Config, base: String, parts: (Ring, Arc<dyn Clock>)) -> Self {
        let (ring, clock) = parts;
        Self {
            config,
            base,
            clock,
            faults: Watched::new(Faults::default()),
            ring: Watched::new(ring),
            registered: Watched::new(HashMap::new()),
            spent: Watched::new(HashMap::new()),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            metadata: AtomicU64::new(0),
            jwks: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
        }
    }

    /// Counts a request to the endpoint and says how to misbehave; a slow answer has been waited for already.
    pub(super) async fn visit(&self, target: Target) -> Fault {
        self.counter(target).fetch_add(1, Ordering::Relaxed);
        let fault = self.faults.lock().of(target).clone();
        if let Fault::Slow { ms } = fault {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        fault
    }

    /// The counters.
    pub(super) fn stats(&self) -> Stats {
        Stats {
            metadata: self.metadata.load(Ordering::Relaxed),
            jwks: self.jwks.load(Ordering::Relaxed),
            token: self.tokens.load(Ordering::Relaxed),
        }
    }

    /// The tenant that a URL segment or a mint request names: by id, name or `{name}.onmicrosoft.com`.
    pub(super) fn tenant(&self, named: &str) -> Option<&Tenant> {
        let name = named.strip_suffix(".onmicrosoft.com").unwrap_or(named);
        self.config.tenants.iter().find(|tenant| tenant.id == named || tenant.name == name)
    }

    /// The tenant or the template that a URL segment names.
    pub(super) fn tenant_form(&self, named: &str) -> Option<TenantForm<'_>> {
        if matches!(named, "common" | "organizations") {
            return Some(TenantForm::Many);
        }
        self.tenant(named).map(TenantForm::One)
    }

    /// The API with this client id, name or App ID URI.
    pub(super) fn api(&self, named: &str) -> Option<&Api> {
        let bare = named.trim_end_matches('/');
        self.config.apis.iter().find(|api| {
            api.client_id == bare
                || api.name == bare
                || bare.strip_prefix("api://") == Some(api.client_id.as_str())
                || api.identifier_uris.iter().any(|uri| uri.trim_end_matches('/') == bare)
        })
    }

    /// The client with this client id or name.
    pub(super) fn client(&self, named: &str) -> Option<&Client> {
        self.config.clients.iter().find(|client| client.client_id == named || client.name == named)
    }

    /// The issuer of v2 tokens; `tenant` is an id or the literal `{tenantid}`.
    pub(super) fn issuer_v2(&self, tenant: &str) -> String {
        format!("{}/{tenant}/v2.0", self.base)
    }

    /// The issuer of v1 tokens; Entra's own is at `sts.windows.net`.
    pub(super) fn issuer_v1(&self, tenant: &str) -> String {
        format!("{}/{tenant}/", self.base)
    }

    const fn counter(&self, target: Target) -> &AtomicU64 {
        match target {
            Target::Metadata => &self.metadata,
            Target::Jwks => &self.jwks,
            Target::Token => &self.tokens,
        }
    }
}
