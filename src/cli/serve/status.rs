//! What a running server tells of itself: whether it is ready, what it measures, what it enforces.
//!
//! **Ready** means: send requests here, it decides them as well as any other instance could.
//!
//! - `policies` is ready once policies were read. Files that turn unreadable later change nothing but the message.
//! - `kubernetes` or `controller`, whoever gives the policies, is ready once it gave everything, and stays so: one that is
//!   away later leaves what stands, and the message says since when.
//! - `keys/…`, one for each source of signing keys, is ready once the source has answered. A source that fails later
//!   stays ready while its keys count, and its message says that they are stale. When the last key has ended, tokens of
//!   that source are answered 503 wherever they are sent, so it stays ready then, too: to take every instance away
//!   would also close the door to those whose tokens can be checked. For the same reason a source that a policy names
//!   for the first time after the server was ready does not take readiness away; the message says what it lacks.
//! - While the server drains, it is not ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::Value;

use crate::admin::{Condition, Inspect};
use crate::authorize::Authorizer;
use crate::authorize::world::World;
use crate::entra::{KeyStore, SourceStatus};
use crate::listen::places::Places;
use crate::metrics::{Gauges, KeyGauge, ListenerGauge};
use crate::token::Profile;

use super::listing;

/// The state of one server. The publisher writes, everybody reads.
pub(super) struct Status {
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) keys: Arc<KeyStore>,
    listeners: Vec<(String, Arc<Places>)>,
    enforced: ArcSwapOption<Enforced>,
    problems: ArcSwap<Vec<String>>,
    supply: ArcSwapOption<Condition>,
    was_ready: AtomicBool,
    draining: AtomicBool,
}

/// What is enforced, and what is wrong with it.
pub(super) struct Enforced {
    pub(super) world: Arc<World>,
    pub(super) profiles: Vec<Arc<Profile>>,
    /// Each with its place in the files.
    pub(super) faults: Vec<String>,
}

impl Enforced {
    /// The same, with the faults at other places.
    pub(super) fn with(&self, faults: Vec<String>) -> Self {
        Self { world: Arc::clone(&self.world), profiles: self.profiles.clone(), faults }
    }
}

impl Status {
    /// A server without policies.
    pub(super) fn new(authorizer: Arc<Authorizer>, keys: Arc<KeyStore>, listeners: Vec<(String, Arc<Places>)>) -> Self {
        Self {
            authorizer,
            keys,
            listeners,
            enforced: ArcSwapOption::empty(),
            problems: ArcSwap::default(),
            supply: ArcSwapOption::empty(),
            was_ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    /// What is enforced at the moment.
    pub(super) fn enforced(&self) -> Option<Arc<Enforced>> {
        self.enforced.load_full()
    }

    /// Takes note of what is enforced from here on.
    pub(super) fn enforce(&self, enforced: Enforced) {
        self.enforced.store(Some(Arc::new(enforced)));
    }

    /// Takes note of what is wrong with the files that were read last.
    pub(super) fn trouble(&self, problems: Vec<String>) {
        self.problems.store(Arc::new(problems));
    }

    /// Takes note of how whoever gives the policies is doing.
    pub(super) fn supply(&self, condition: Condition) {
        self.supply.store(Some(Arc::new(condition)));
    }

    /// From here on the server is not ready.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Remembers that the server was ready, if it is, before policies bring sources that have not answered.
    pub(super) fn remember(&self) {
        self.note(&self.keys.status());
    }

    /// Whether the server is or was ready.
    fn note(&self, sources: &[SourceStatus]) -> bool {
        if self.enforced.load().is_some() && sources.iter().all(answered) {
            self.was_ready.store(true, Ordering::Relaxed);
        }
        self.was_ready.load(Ordering::Relaxed)
    }

    fn policies(&self) -> Condition {
        let problems = self.problems.load();
        let enforced = self.enforced.load();
        let message = match (enforced.as_ref(), problems.first()) {
            (None, None) => "not read yet".to_owned(),
            (None, Some(first)) => format!("cannot be read: {}", and_more(first, problems.len())),
            (Some(enforced), None) => match enforced.faults.first() {
                None => format!("generation {}", enforced.world.generation),
                Some(first) => {
                    let first = and_more(first, enforced.faults.len());
                    format!("generation {}, with faults: {first}", enforced.world.generation)
                }
            },
            (Some(enforced), Some(first)) => {
                let first = and_more(first, problems.len());
                format!("generation {} stands; not everything can be read: {first}", enforced.world.generation)
            }
        };
        Condition { name: "policies".to_owned(), ready: enforced.is_some(), message }
    }
}

impl Inspect for Status {
    fn conditions(&self) -> Vec<Condition> {
        let sources = self.keys.status();
        let was_ready = self.note(&sources);
        let mut conditions = vec![self.policies()];
        conditions.extend(self.supply.load().as_deref().cloned());
        conditions.extend(sources.iter().map(|source| keys(source, was_ready)));
        if self.draining.load(Ordering::Relaxed) {
            let message = "requests in flight are finished, then the process ends".to_owned();
            conditions.push(Condition { name: "running".to_owned(), ready: false, message });
        }
        conditions
    }

    fn gauges(&self) -> Gauges {
        let gauge = |source: &SourceStatus| KeyGauge {
            source: name(source),
            age: source.age.map(|age| Duration::from_secs(u64::try_from(age).unwrap_or(0))),
            usable: source.keys,
        };
        Gauges {
            generation: self.enforced.load().as_ref().map(|enforced| enforced.world.generation),
            keys: self.keys.status().iter().map(gauge).collect(),
            remembered_tokens: self.authorizer.remembered(),
            certificate: None,
            listeners: self.listeners.iter().map(listener).collect(),
        }
    }

    fn snapshot(&self) -> Value {
        listing::listing(self.enforced.load().as_deref(), &self.problems.load())
    }
}

fn listener((listener, places): &(String, Arc<Places>)) -> ListenerGauge {
    ListenerGauge { listener: listener.clone(), open: places.taken(), refused: places.refused() }
}

fn answered(source: &SourceStatus) -> bool {
    source.last_success.is_some()
}

/// The source by its metadata's address, without the part that is always the same.
fn name(source: &SourceStatus) -> String {
    let base = source.url.strip_suffix("/.well-known/openid-configuration").unwrap_or(&source.url);
    let tenant = source.tenant.to_string();
    // An authority whose address does not name the tenant may serve several.
    if base.contains(&tenant) { base.to_owned() } else { format!("{base}#{tenant}") }
}

fn keys(source: &SourceStatus, was_ready: bool) -> Condition {
    let error = source.last_error.map_or("no answer yet", |code| code.code());
    let age = source.age.unwrap_or_default();
    let message = match (answered(source), source.keys, source.stale) {
        (false, ..) if was_ready => {
            format!("no keys, so its tokens are answered 503: {error}; named since the server was ready")
        }
        (false, ..) => format!("no keys, so its tokens are answered 503: {error}"),
        (true, 0, _) => {
            format!("the keys have ended, so its tokens are answered 503: {error}; last fetched {age} s ago")
        }
        (true, keys, true) => format!("{keys} keys, stale: {error}; last fetched {age} s ago"),
        (true, keys, false) => format!("{keys} keys, fetched {age} s ago"),
    };
    Condition { name: format!("keys/{}", name(source)), ready: answered(source) || was_ready, message }
}

fn and_more(first: &str, count: usize) -> String {
    match count.saturating_sub(1) {
        0 => first.to_owned(),
        more => format!("{first} (and {more} more)"),
    }
}
