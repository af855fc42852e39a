//! What the corridor asks of its neighbours and offers to them, as traits: adapters know these and never each other.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::policy::decide::{Matched, Verdict};
use crate::reason::ReasonCode;
use crate::request::Request;
use crate::token::{Authority, Discovery};

use super::decision::{Authenticated, Decision, DecisionId, RequestFacts, ShadowResult};

/// Whoever decides requests.
///
/// The usual request is decided by [`Decide::try_decide`] from memory, without a future. What it cannot finish, because
/// keys have to be fetched first, goes on in [`Decide::resume`].
pub trait Decide: Send + Sync + 'static {
    /// How far a request got that has to wait.
    type Pending: Send;

    /// Decides from memory.
    ///
    /// # Errors
    /// Something must be fetched first: call [`Decide::resume`].
    fn try_decide(&self, request: &Request<'_>) -> Result<Decision, Self::Pending>;

    /// Fetches what is missing, then decides; waits no longer than `patience`, if there is one, and then decides with
    /// what it has.
    fn resume<'a>(
        &'a self,
        request: Request<'a>,
        pending: Self::Pending,
        patience: Option<Duration>,
    ) -> impl Future<Output = Decision> + Send + 'a;

    /// The decision on a request that the adapter itself has to refuse: malformed, overload, panic. Touches nothing
    /// but the id and the generation.
    fn refuse(&self, reason: ReasonCode) -> Decision;
}

/// Where signing keys come from.
pub trait Keys: Send + Sync {
    /// The newest good state of a source, from memory. `None` if it was never fetched, or if none of its keys counts
    /// any more: then tokens of this source cannot be judged.
    fn authority(&self, source: &Discovery) -> Option<Arc<Authority>>;

    /// Asks the source again because a token names the unknown key `kid`. Returns once that was done, or at once if the
    /// source may not be asked now, and in any case within two seconds. Says nothing about the outcome: look again.
    fn refresh<'a>(&'a self, source: &'a Arc<Discovery>, kid: &'a str) -> BoxFuture<'a, ()>;

    /// Whether the newest state is what the source says now, as far as anybody can tell: not while a question is under way,
    /// nor after one that failed. A key that is unknown then may be a new one. Asked about unknown keys only.
    fn is_current(&self, source: &Discovery) -> bool;
}

/// Where decisions are recorded.
pub trait AuditSink: Send + Sync {
    /// Takes a record and returns at once; what cannot be kept is counted.
    fn record(&self, record: Record);
}

/// Allowed, refused, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request goes through.
    Allow,
    /// It is refused.
    Deny,
    /// It could not be decided, and does not go through.
    Unavailable,
}

impl Outcome {
    /// The spelling in the audit log, in metadata and in metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Unavailable => "unavailable",
        }
    }

    /// What a verdict is called, and why: the permit's cause or the reason code.
    #[must_use]
    pub fn of(verdict: &Verdict) -> (Self, &'static str) {
        match verdict {
            Verdict::Permit(permit) => (Self::Allow, permit.code()),
            Verdict::Deny(denial) => (Self::Deny, denial.reason().code()),
            Verdict::Unavailable(outage) => (Self::Unavailable, outage.reason().code()),
        }
    }
}

/// One decision for the audit log: shared pointers and a short copy of the request, nothing rendered yet.
pub struct Record {
    /// Since 1970.
    pub time: Duration,
    /// How long the decision took.
    pub took: Duration,
    /// The decision's name.
    pub id: DecisionId,
    /// What was decided.
    pub outcome: Outcome,
    /// The permit's cause or the reason code.
    pub reason: &'static str,
    /// More about a denial; never a part of the token.
    pub detail: Option<Cow<'static, str>>,
    /// The policy, route and clause that decided.
    pub matched: Option<Matched>,
    /// The caller, if a token was verified.
    pub authenticated: Option<Arc<Authenticated>>,
    /// Why the token was not accepted, if one was looked at.
    pub rejection: Option<ReasonCode>,
    /// More about the rejection.
    pub token_detail: Option<Cow<'static, str>>,
    /// What the shadow policies would have decided.
    pub shadow: Option<ShadowResult>,
    /// The generation of the snapshot.
    pub generation: u64,
    /// Whether the verified token was remembered.
    pub cached: bool,
    /// The request.
    pub request: RequestFacts,
}

/// When a decision was made, and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Since 1970.
    pub time: Duration,
    /// From the whole request to the decision.
    pub took: Duration,
}

impl Record {
    /// The record of a decision.
    #[must_use]
    pub fn of(decision: &Decision, request: RequestFacts, timing: Timing) -> Self {
        let (outcome, reason) = Outcome::of(&decision.verdict);
        let detail = match &decision.verdict {
            Verdict::Permit(_) | Verdict::Unavailable(_) => None,
            Verdict::Deny(denial) => denial.detail(),
        };
        Self {
            time: timing.time,
            took: timing.took,
            id: decision.id,
            outcome,
            reason,
            detail,
            matched: decision.verdict.matched().cloned(),
            authenticated: decision.authenticated.clone(),
            rejection: decision.rejection,
            token_detail: decision.token_detail.clone(),
            shadow: decision.shadow.clone(),
            generation: decision.generation,
            cached: decision.cached,
            request: request.detached(),
        }
    }
}
