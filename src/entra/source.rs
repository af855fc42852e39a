//! One source: the task that asks it, the state that it publishes, and the requests that wait for it.
//!
//! One task per source asks, in the background and on demand, so there is never more than one question under way.
//! Readers see whole states only, through one atomic pointer. The gate orders demands; nobody holds it while waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use aws_lc_rs::rand;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, UnixTime};
use crate::token::{Authority, Discovery};

use super::fetch::{FaultCode, FetchFault, Fetched, Fetcher};
use super::ledger;
use super::schedule::{Budget, Timing};

/// Most key ids that one question can turn out to miss.
const MOST_ASKING: usize = 1000;

/// What all sources share.
pub(super) struct Shared {
    pub(super) fetcher: Fetcher,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) timing: Timing,
}

/// One source.
pub(super) struct Source {
    pub(super) discovery: Arc<Discovery>,
    pub(super) stop: CancellationToken,
    shared: Arc<Shared>,
    published: ArcSwapOption<Published>,
    gate: Mutex<Gate>,
    demand: Notify,
    /// How many questions are over.
    over: watch::Sender<u64>,
}

/// A good state.
struct Published {
    authority: Arc<Authority>,
    /// When the last of its keys stops to count.
    end: UnixTime,
}

#[derive(Default)]
struct Gate {
    budget: Budget,
    /// The question under way or demanded, counted from one.
    pending: Option<u64>,
    /// Key ids that the demanded question was asked for, before it began.
    asking: Vec<Box<str>>,
    under_way: bool,
    record: Record,
}

/// How it went so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    pub(super) last_success: Option<UnixTime>,
    pub(super) last_error: Option<FaultCode>,
    pub(super) successes: u64,
    pub(super) failures: u64,
    failures_in_a_row: u32,
}

impl Source {
    /// A source that was never asked.
    pub(super) fn new(discovery: Arc<Discovery>, shared: Arc<Shared>, stop: CancellationToken) -> Self {
        Self {
            discovery,
            stop,
            shared,
            published: ArcSwapOption::empty(),
            gate: Mutex::default(),
            demand: Notify::new(),
            over: watch::Sender::new(0),
        }
    }

    /// The newest good state, while any of its keys counts.
    pub(super) fn authority(&self) -> Option<Arc<Authority>> {
        let published = self.published.load();
        let published = published.as_ref()?;
        (self.now() < published.end).then(|| Arc::clone(&published.authority))
    }

    /// Whether the last question brought keys, and none is under way.
    pub(super) fn is_current(&self) -> bool {
        let gate = self.gate();
        gate.pending.is_none() && gate.record.failures_in_a_row == 0
    }

    /// How it went so far, and how many keys count.
    pub(super) fn record(&self) -> (Record, usize) {
        let now = self.now();
        let keys = self.authority().map_or(0, |authority| {
            let living = authority.keys.iter();
            living.filter(|(_, key)| now < key.valid_until).count()
        });
        (self.gate().record, keys)
    }

    /// Asks, in the background and on demand, until told to stop.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            self.begin();
            let outcome = tokio::select! {
                outcome = self.shared.fetcher.fetch(&self.discovery) => outcome,
                () = self.stop.cancelled() => return,
            };
            let failures = self.finish(outcome);
            tokio::select! {
                () = tokio::time::sleep(self.shared.timing.delay(failures, dice())) => {}
                () = self.demanded() => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Waits until the first question is over, or the source is dropped.
    pub(super) async fn settled(&self) {
        self.wait(1).await;
    }

    /// Has `kid` looked for, if the budget allows, and waits for that as long as patience lasts.
    pub(super) async fn refresh(&self, kid: &str) {
        let look = async {
            while let Some(question) = self.question(kid) {
                self.wait(question).await;
            }
        };
        tokio::select! {
            () = look => {}
            () = tokio::time::sleep(self.shared.timing.patience) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// The question to wait for, if waiting can still bring `kid`.
    fn question(&self, kid: &str) -> Option<u64> {
        if self.stop.is_cancelled() {
            // Nobody asks any more: a question that is pending stays so for ever.
            return None;
        }
        let now = self.now();
        let mut gate = self.gate();
        let known = self.authority();
        if known.is_some_and(|authority| authority.keys.find(kid, now).is_some()) {
            return None;
        }
        if let Some(pending) = gate.pending {
            // A question under way may have been answered before the key came: it proves nothing about its absence.
            if !gate.under_way && gate.asking.len() < MOST_ASKING {
                gate.asking.push(kid.into());
            }
            return Some(pending);
        }
        if !gate.budget.draw(kid, (now, self.shared.timing.pause)) {
            return None;
        }
        gate.asking.push(kid.into());
        let next = self.over.borrow().saturating_add(1);
        gate.pending = Some(next);
        self.demand.notify_one();
        Some(next)
    }

    async fn wait(&self, question: u64) {
        let mut over = self.over.subscribe();
        tokio::select! {
            waited = over.wait_for(|over| *over >= question) => drop(waited),
            () = self.stop.cancelled() => {}
        }
    }

    /// Waits for a demand. One that the timer was quicker to answer is over by the time it is seen here.
    async fn demanded(&self) {
        loop {
            self.demand.notified().await;
            if self.gate().pending.is_some() {
                return;
            }
        }
    }

    fn begin(&self) {
        let mut gate = self.gate();
        gate.pending = Some(self.over.borrow().saturating_add(1));
        gate.under_way = true;
    }

    /// Takes in what came of a question; the answer is the number of failures in a row.
    fn finish(&self, outcome: Result<Fetched, FetchFault>) -> u32 {
        let now = self.now();
        let listed = match outcome {
            Ok(fetched) => Some(self.publish(&fetched, now)),
            Err(fault) => {
                self.report(&fault);
                self.gate().record.failed(fault.code);
                None
            }
        };
        let mut gate = self.gate();
        let asking = std::mem::take(&mut gate.asking);
        match listed {
            Some(authority) => {
                gate.record.succeeded(now);
                let pause = self.shared.timing.pause;
                for kid in asking {
                    if authority.keys.find(&kid, now).is_none() {
                        gate.budget.miss(kid, (now, pause));
                    }
                }
            }
            None => gate.budget.fail(now),
        }
        gate.pending = None;
        gate.under_way = false;
        let failures = gate.record.failures_in_a_row;
        // Before the gate opens: whoever comes next must not count this question as one to wait for.
        self.over.send_modify(|over| *over = over.saturating_add(1));
        drop(gate);
        failures
    }

    fn publish(&self, fetched: &Fetched, now: UnixTime) -> Arc<Authority> {
        let former = self.published.load();
        let former = former.as_ref().map(|former| &former.authority.keys);
        let keys = ledger::carry(former, &fetched.jwks.keys, (now, &self.shared.timing));
        let end = ledger::end(&keys);
        let count = keys.len();
        let authority = Arc::new(Authority {
            issuer: fetched.metadata.issuer.clone(),
            other_version: self.discovery.other_version.clone(),
            key_issuer: self.discovery.key_issuer.clone(),
            cloud_instance: fetched.metadata.cloud_instance.clone(),
            user_flow: self.discovery.user_flow.clone(),
            keys,
        });
        self.published.store(Some(Arc::new(Published { authority: Arc::clone(&authority), end })));
        let url = &*self.discovery.metadata_url;
        for (at, why) in &fetched.jwks.skipped {
            tracing::warn!(code = "jwks_key_skipped", url, at, why, "a key is not used");
        }
        tracing::debug!(url, keys = count, "signing keys fetched");
        authority
    }

    fn report(&self, fault: &FetchFault) {
        let kept = self.authority().is_some();
        let url = &*self.discovery.metadata_url;
        let (code, detail) = (fault.code.code(), &*fault.detail);
        tracing::warn!(code, url, detail, kept, "signing keys not refreshed");
    }

    fn now(&self) -> UnixTime {
        self.shared.clock.unix()
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn succeeded(&mut self, now: UnixTime) {
        self.last_success = Some(now);
        self.last_error = None;
        self.successes = self.successes.saturating_add(1);
        self.failures_in_a_row = 0;
    }

    const fn failed(&mut self, code: FaultCode) {
        self.last_error = Some(code);
        self.failures = self.failures.saturating_add(1);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
    }
}

/// A number in 0..1. Without randomness the jitter is the same everywhere, which is a pity and no more.
fn dice() -> f64 {
    let mut bytes = [0x80, 0, 0, 0];
    match rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}
