//! Signing keys from Microsoft Entra ID, or from whoever speaks as it does: discovered, kept fresh, kept through outages.
//!
//! A *source* is one metadata document ([`Discovery`]). Applications that need the same one share it. Each source has
//! one task that asks it: at once when the first policy names it, then about every hour, sooner after a failure, and
//! when a token names a key that is not known, within a budget.
//!
//! What is promised:
//!
//! - Reading ([`Keys::authority`]) takes no lock and does no I/O.
//! - A state replaces the former one only if metadata and keys are both acceptable. Otherwise the former one goes on to
//!   count, each key until a day after it was last listed; a key that was removed, for an hour.
//! - Nobody outside can make us ask more than once in five minutes, nor make us remember more than a thousand key ids.
//!   Only what requests cause and what fails counts against that: a key that is rotated in a minute after the regular
//!   question is still picked up at once.
//! - No unverified value forms an address. What is asked follows from policies and from judged metadata.
//!
//! Intervals run on the runtime's timer; lifetimes, pauses and ages run on [`Clock`].

mod fetch;
mod ledger;
pub mod schedule;
mod source;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::{HashMap, HashMapExt as _};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authorize::ports::Keys;
use crate::clock::{Clock, SystemClock, UnixTime};
use crate::identity::TenantId;
use crate::token::{Authority, Discovery, Version};

pub use fetch::{ClientFault, FaultCode};
use schedule::Timing;
use source::{Shared, Source};

/// How sources are asked.
pub struct Options {
    /// PEM certificates to trust besides the system's.
    pub extra_ca: Option<Vec<u8>>,
    /// Longest time for one document.
    pub timeout: Duration,
    /// The intervals.
    pub timing: Timing,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            extra_ca: None,
            timeout: Duration::from_secs(10),
            timing: Timing::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// How one source is doing, for readiness, metrics and people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// The metadata's address.
    pub url: Box<str>,
    /// The tenant.
    pub tenant: TenantId,
    /// The token version.
    pub version: Version,
    /// When keys last came.
    pub last_success: Option<UnixTime>,
    /// Seconds since then.
    pub age: Option<i64>,
    /// How many keys count.
    pub keys: usize,
    /// Keys count, but the last question failed: this cannot go on for ever.
    pub stale: bool,
    /// What went wrong with the last question.
    pub last_error: Option<FaultCode>,
    /// Questions that brought keys.
    pub successes: u64,
    /// Questions that did not.
    pub failures: u64,
}

type Sources = HashMap<Arc<Discovery>, Arc<Source>>;

/// The keys of all sources that policies name.
pub struct KeyStore {
    sources: ArcSwap<Sources>,
    /// Held while the set of sources changes.
    writer: Mutex<()>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl KeyStore {
    /// A store without sources.
    ///
    /// # Errors
    /// [`ClientFault`] if the certificates to trust cannot be read.
    pub fn new(options: Options) -> Result<Self, ClientFault> {
        let fetcher = fetch::Fetcher::new(options.extra_ca.as_deref(), options.timeout)?;
        Ok(Self {
            sources: ArcSwap::from_pointee(Sources::new()),
            writer: Mutex::new(()),
            shared: Arc::new(Shared { fetcher, clock: options.clock, timing: options.timing }),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Watches exactly these sources: keeps those that it has, starts to ask new ones, drops the others with their keys.
    /// Needs a runtime.
    pub fn watch(&self, wanted: impl IntoIterator<Item = Arc<Discovery>>) {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.sources.load();
        let mut next = Sources::new();
        for discovery in wanted {
            if next.contains_key(&discovery) {
                continue;
            }
            let kept = held.get(&discovery).map(Arc::clone);
            let source = kept.unwrap_or_else(|| self.open(&discovery));
            next.insert(discovery, source);
        }
        for (discovery, source) in held.iter() {
            if !next.contains_key(discovery) {
                source.stop.cancel();
            }
        }
        self.sources.store(Arc::new(next));
    }

    /// Waits until every source that is watched at the moment was asked once, with whatever outcome.
    pub async fn settled(&self) {
        let sources = self.sources.load_full();
        join_all(sources.values().map(|source| source.settled())).await;
    }

    /// How each source is doing, ordered by address.
    #[must_use]
    pub fn status(&self) -> Vec<SourceStatus> {
        let now = self.shared.clock.unix();
        let sources = self.sources.load();
        let mut status: Vec<_> = sources.values().map(|source| tell(source, now)).collect();
        status.sort_by(|one, other| one.url.cmp(&other.url));
        status
    }

    /// Stops asking and waits for all that runs. What is known stays.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn open(&self, discovery: &Arc<Discovery>) -> Arc<Source> {
        let source = Arc::new(Source::new(Arc::clone(discovery), Arc::clone(&self.shared), self.stop.child_token()));
        self.tasks.spawn(Arc::clone(&source).run());
        source
    }
}

impl Keys for KeyStore {
    fn authority(&self, source: &Discovery) -> Option<Arc<Authority>> {
        self.sources.load().get(source)?.authority()
    }

    fn refresh<'a>(&'a self, source: &'a Arc<Discovery>, kid: &'a str) -> BoxFuture<'a, ()> {
        let held = self.sources.load().get(source).map(Arc::clone);
        async move {
            if let Some(source) = held {
                source.refresh(kid).await;
            }
        }
        .boxed()
    }

    fn is_current(&self, source: &Discovery) -> bool {
        self.sources.load().get(source).is_some_and(|source| source.is_current())
    }
}

impl Drop for KeyStore {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn tell(source: &Source, now: UnixTime) -> SourceStatus {
    let (record, keys) = source.record();
    SourceStatus {
        url: source.discovery.metadata_url.clone(),
        tenant: source.discovery.tenant,
        version: source.discovery.version,
        last_success: record.last_success,
        age: record.last_success.map(|then| now.since(then)),
        keys,
        stale: keys > 0 && record.last_error.is_some(),
        last_error: record.last_error,
        successes: record.successes,
        failures: record.failures,
    }
}
