//! One request, from its proxy to a decision that is written down and counted.
//!
//! Adapters read requests and answer them; what lies between is the same for all of them and stands here. There is no way
//! to a decision without a record, a panic while deciding is a refusal, and whoever has to wait for keys waits for a
//! bounded time among a bounded number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::authorize::decision::{Decision, RequestFacts};
use crate::authorize::ports::{AuditSink, Decide, Record, Timing};
use crate::clock::{Clock, Stopwatch};
use crate::metrics::Metrics;
use crate::policy::decide::Verdict;
use crate::reason::ReasonCode;
use crate::request::Request;

/// A request as an adapter read it.
pub trait Incoming: Send + Sync {
    /// The request to decide on.
    fn request(&self) -> Request<'_>;

    /// What the log keeps of it.
    fn facts(&self) -> RequestFacts;
}

/// What deciding needs besides someone who decides.
#[derive(Clone)]
pub struct Surroundings {
    /// Where decisions are recorded.
    pub audit: Arc<dyn AuditSink>,
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Has requests decided, and records what came of it.
pub struct Recorder<D> {
    decide: Arc<D>,
    surroundings: Surroundings,
    waiting: u64,
}

/// A request that has to wait for keys.
pub struct Undecided<D: Decide, I> {
    incoming: I,
    pending: D::Pending,
    watch: Stopwatch,
}

impl<D: Decide> Recorder<D> {
    /// Records what `decide` decides. At most `waiting` requests wait for keys at a time; one more is refused at once.
    #[must_use]
    pub const fn new(decide: Arc<D>, surroundings: Surroundings, waiting: u64) -> Self {
        Self { decide, surroundings, waiting }
    }

    /// Decides from memory. `watch` began with the request.
    ///
    /// # Errors
    /// Something must be fetched first: call [`Recorder::decide_later`].
    pub fn decide_now<I: Incoming>(
        &self,
        incoming: I,
        watch: Stopwatch,
    ) -> Result<(Decision, I), Box<Undecided<D, I>>> {
        let decision = match catch_unwind(AssertUnwindSafe(|| self.decide.try_decide(&incoming.request()))) {
            Ok(Ok(decision)) => decision,
            Ok(Err(pending)) => return Err(Box::new(Undecided { incoming, pending, watch })),
            Err(_) => self.after_panic(),
        };
        self.record(&decision, incoming.facts(), &watch);
        Ok((decision, incoming))
    }

    /// Fetches what is missing, for as long as `patience` lasts, and decides.
    pub async fn decide_later<I: Incoming>(
        &self,
        undecided: Box<Undecided<D, I>>,
        patience: Duration,
    ) -> (Decision, I) {
        let Undecided { incoming, pending, watch } = *undecided;
        let deciding = AssertUnwindSafe(self.wait(&incoming, pending, patience));
        let decision = deciding.catch_unwind().await.unwrap_or_else(|_| self.after_panic());
        self.record(&decision, incoming.facts(), &watch);
        (decision, incoming)
    }

    /// The decision on what cannot be read, or not be believed.
    pub fn refuse(&self, verdict: Verdict, (facts, watch): (RequestFacts, Stopwatch)) -> Decision {
        let decision = Decision { verdict, ..self.decide.refuse(ReasonCode::InternalError) };
        self.record(&decision, facts, &watch);
        decision
    }

    /// Counts a panic that an adapter caught.
    pub fn panicked(&self) {
        self.surroundings.metrics.panicked();
    }

    async fn wait<I: Incoming>(&self, incoming: &I, pending: D::Pending, patience: Duration) -> Decision {
        let Some(_waiting) = self.surroundings.metrics.wait(self.waiting) else {
            return self.decide.refuse(ReasonCode::KeysUnavailable);
        };
        let resumed = self.decide.resume(incoming.request(), pending, Some(patience));
        match tokio::time::timeout(patience, resumed).await {
            Ok(decision) => decision,
            Err(_) => self.decide.refuse(ReasonCode::KeysUnavailable),
        }
    }

    fn after_panic(&self) -> Decision {
        self.panicked();
        self.decide.refuse(ReasonCode::InternalError)
    }

    fn record(&self, decision: &Decision, facts: RequestFacts, watch: &Stopwatch) {
        let Surroundings { audit, metrics, clock } = &self.surroundings;
        let timing = Timing { time: clock.now(), took: watch.elapsed() };
        let record = Record::of(decision, facts, timing);
        metrics.decided(decision, timing.took);
        // a record that makes the sink panic must not cost the answer
        if catch_unwind(AssertUnwindSafe(|| audit.record(record))).is_err() {
            metrics.panicked();
            metrics.audit_lost(1);
        }
    }
}
