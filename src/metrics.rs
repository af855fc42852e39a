//! What is counted, and its text for Prometheus.
//!
//! Counting on the request path is one relaxed addition per fact, in tables that are indexed by enum: no lock, no map,
//! no label built. Labels hold closed sets of words only: reasons, outcomes, names from configuration; never a host, a
//! path or a person. What others know better (the age of keys, the generation of the policy) is asked for when somebody
//! reads: [`Gauges`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::authorize::decision::Decision;
use crate::policy::decide::{Cause, Verdict};
use crate::reason::ReasonCode;

pub mod exposition;
mod histogram;

use histogram::Histogram;

const REASONS: usize = ReasonCode::ALL.len();

/// The words for [`Cause`], in the order of [`cause_index`].
const CAUSES: [&str; 4] = ["allow_entry_matched", "anonymous_route", "preflight_allowed", "shadow_only"];

/// The outcomes that a shadow policy may have.
const SHADOW: [&str; 3] = ["allow", "deny", "unavailable"];

/// All counters of one process.
#[derive(Debug)]
pub struct Metrics {
    permits: [AtomicU64; CAUSES.len()],
    refusals: [AtomicU64; REASONS],
    shadow: [AtomicU64; SHADOW.len()],
    durations: Histogram,
    token_hits: AtomicU64,
    token_misses: AtomicU64,
    panics: AtomicU64,
    waiting: AtomicU64,
    audit_written: AtomicU64,
    audit_lost: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            permits: zeros(),
            refusals: zeros(),
            shadow: zeros(),
            durations: Histogram::default(),
            token_hits: AtomicU64::new(0),
            token_misses: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            audit_written: AtomicU64::new(0),
            audit_lost: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Counts a decision and how long it took.
    pub fn decided(&self, decision: &Decision, took: Duration) {
        let counter = match &decision.verdict {
            Verdict::Permit(permit) => self.permits.get(cause_index(permit.cause())),
            Verdict::Deny(denial) => self.refusals.get(denial.reason().index()),
            Verdict::Unavailable(outage) => self.refusals.get(outage.reason().index()),
        };
        count(counter);
        if let Some(shadow) = &decision.shadow {
            let at = SHADOW.iter().position(|outcome| *outcome == shadow.outcome);
            count(at.and_then(|at| self.shadow.get(at)));
        }
        if decision.cached {
            count(Some(&self.token_hits));
        } else if decision.authenticated.is_some() || decision.rejection.is_some() {
            count(Some(&self.token_misses));
        }
        self.durations.observe(took);
    }

    /// Counts a panic that was caught in one check.
    pub fn panicked(&self) {
        count(Some(&self.panics));
    }

    /// Counts one more check that waits for keys, if fewer than `limit` do; the guard takes it back.
    #[must_use]
    pub fn wait(&self, limit: u64) -> Option<Waiting<'_>> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        (before < limit).then_some(waiting)
    }

    /// Counts audit records that were written.
    pub fn audit_written(&self, records: u64) {
        self.audit_written.fetch_add(records, Ordering::Relaxed);
    }

    /// Counts audit records that were lost.
    pub fn audit_lost(&self, records: u64) {
        self.audit_lost.fetch_add(records, Ordering::Relaxed);
    }

    /// How many audit records were lost so far.
    #[must_use]
    pub fn audit_losses(&self) -> u64 {
        self.audit_lost.load(Ordering::Relaxed)
    }

    /// How many panics were caught so far.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// How many requests were let through or refused so far.
    #[must_use]
    pub fn decisions(&self) -> u64 {
        let sum = |table: &[AtomicU64]| {
            table.iter().map(|counter| counter.load(Ordering::Relaxed)).fold(0, u64::saturating_add)
        };
        sum(&self.permits).saturating_add(sum(&self.refusals))
    }
}

/// One check that waits.
#[derive(Debug)]
pub struct Waiting<'a>(&'a AtomicU64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is asked for when somebody reads.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// The generation of the snapshot in force; `None` before the first one.
    pub generation: Option<u64>,
    /// The sources of signing keys.
    pub keys: Vec<KeyGauge>,
    /// Verified tokens that are remembered.
    pub remembered_tokens: usize,
    /// Seconds until the certificate of our own port ends, where one is renewed.
    pub certificate: Option<i64>,
    /// The listeners on which decisions are asked for.
    pub listeners: Vec<ListenerGauge>,
}

/// The connections of one listener.
#[derive(Clone, Debug)]
pub struct ListenerGauge {
    /// Where it listens.
    pub listener: String,
    /// Connections at the moment.
    pub open: usize,
    /// Connections that were closed at once, since there was no place for them.
    pub refused: u64,
}

/// The state of one source of signing keys.
#[derive(Clone, Debug)]
pub struct KeyGauge {
    /// The source, as configured: tenant and version, or the metadata URL.
    pub source: String,
    /// Since the last successful fetch; `None` if there was none.
    pub age: Option<Duration>,
    /// Keys that may be used.
    pub usable: usize,
}

fn zeros<const N: usize>() -> [AtomicU64; N] {
    [const { AtomicU64::new(0) }; N]
}

fn count(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

const fn cause_index(cause: Cause) -> usize {
    match cause {
        Cause::AllowEntry { .. } => 0,
        Cause::AnonymousRoute => 1,
        Cause::Preflight => 2,
        Cause::ShadowOnly => 3,
    }
}
