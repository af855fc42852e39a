//! The one decision, and the only place that can permit.
//!
//! [`decide`] takes a located request and what became of its token and gives a [`Verdict`], which has no default. A
//! [`Permit`] has private fields and no constructor: whoever holds one got it from here.
//!
//! ```compile_fail
//! let forged = entrance::policy::decide::Permit { cause: entrance::policy::decide::Cause::AnonymousRoute, matched: None, lent: None };
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use crate::clock::UnixTime;
use crate::identity::{ApplicationId, Caller};
use crate::reason::{DenyStatus, ReasonCode};

use super::condition::Facts;
use super::grant::{Lent, lend};
use super::host::HostFault;
use super::locate::{Finding, Located};
use super::path::PathFault;
use super::rules::{Poison, PolicyId};
use super::scope::ScopeFault;
use super::slot::Place;
use super::weigh::weigh;

/// What became of a request.
#[must_use]
#[derive(Debug)]
pub enum Verdict {
    /// It may go on.
    Permit(Permit),
    /// It may not.
    Deny(Denial),
    /// It cannot be decided, and does not go on.
    Unavailable(Outage),
}

/// Proof that [`decide`] said yes to one request.
#[must_use]
#[derive(Debug)]
pub struct Permit {
    cause: Cause,
    matched: Option<Matched>,
    lent: Option<Box<Caller>>,
}

/// Why a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An entry of the route admits the caller.
    AllowEntry {
        /// Its position.
        index: usize,
    },
    /// The route asks for no token.
    AnonymousRoute,
    /// A CORS preflight.
    Preflight,
    /// Only shadow policies cover the host: they record, and everything passes.
    ShadowOnly,
}

/// A refusal.
#[derive(Clone, Debug)]
pub struct Denial {
    pub(super) reason: ReasonCode,
    pub(super) detail: Detail,
    pub(super) challenge: Option<Challenge>,
    pub(super) matched: Option<Matched>,
}

/// No decision.
#[derive(Clone, Debug)]
pub struct Outage {
    reason: ReasonCode,
    matched: Option<Matched>,
}

/// What the client is asked to come back with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// One of these scopes.
    Scopes(Vec<Box<str>>),
    /// A session that satisfies this authentication context.
    AuthContext(Box<str>),
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// The policy.
    pub policy: PolicyId,
    /// The route's name.
    pub route: Arc<str>,
    /// The entry, as in `allow[0]`, `deny[1]` or `spec.deny[0]`.
    pub clause: Option<Arc<str>>,
    /// The grants without which the entry would not hold.
    pub grants: Option<Arc<str>>,
}

/// More about a refusal. For the audit log and `check`, never for the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The reason says it all.
    None,
    /// What is wrong with the host.
    Host(HostFault),
    /// What is wrong with what the proxy names.
    Scope(ScopeFault),
    /// What is wrong with the path.
    Path(PathFault),
    /// A server that drops `;` parameters or resolves escapes before it compares would find another route.
    Lenient,
    /// A template covers the path, but no route there the method.
    Method,
    /// What is wrong with the policy.
    Poison(Poison),
    /// `applicationRef` names nothing that is there.
    Unresolved,
    /// A `when` failed.
    Condition,
    /// What an adapter found wrong with the request.
    Malformed(&'static str),
}

impl Detail {
    fn text(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::None => None,
            Self::Host(fault) => Some(fault.to_string().into()),
            Self::Scope(fault) => Some(fault.to_string().into()),
            Self::Path(fault) => Some(fault.to_string().into()),
            Self::Lenient => {
                Some("a server that drops `;` parameters or resolves escapes first would find another route".into())
            }
            Self::Method => Some("the path has a route, but not for this method".into()),
            Self::Poison(Poison(text)) => Some(text.to_string().into()),
            Self::Unresolved => Some("`applicationRef` does not resolve".into()),
            Self::Malformed(fault) => Some((*fault).into()),
            Self::Condition => Some("`when` could not be evaluated".into()),
        }
    }
}

/// What became of a request's token, for one application.
#[derive(Clone, Copy, Debug)]
pub enum Evidence<'a> {
    /// Nobody looked.
    None,
    /// No acceptable token.
    Rejected(ReasonCode),
    /// A verified caller.
    Caller {
        /// The caller.
        caller: &'a Caller,
        /// The application that the token was verified for.
        application: &'a ApplicationId,
    },
}

/// A decision, and what shadow policies would have decided.
#[derive(Debug)]
pub struct Decided {
    /// What counts.
    pub verdict: Verdict,
    /// What is recorded. Cannot be used as a permit.
    pub shadow: Option<Recorded>,
}

/// A decision that changes nothing.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// `allow`, `deny` or `unavailable`.
    pub outcome: &'static str,
    /// The permit's cause or the reason code.
    pub reason: &'static str,
    /// What decided.
    pub matched: Option<Matched>,
}

/// Decides. `evidence` says what became of the token for a given application; it is asked for those of the located
/// places only.
pub fn decide<'e>(located: &Located<'_>, evidence: &dyn Fn(&ApplicationId) -> Evidence<'e>, now: UnixTime) -> Decided {
    let judge = |finding| judge(finding, located, (evidence, now));
    let verdict = match judge(&located.enforcing) {
        Ruling::Admit { cause, matched, lent } => Verdict::Permit(Permit { cause, matched, lent }),
        Ruling::Refuse(denial) if denial.reason.status() == DenyStatus::Unavailable => {
            Verdict::Unavailable(Outage { reason: denial.reason, matched: denial.matched })
        }
        Ruling::Refuse(denial) => Verdict::Deny(denial),
    };
    Decided { verdict, shadow: located.shadow.as_ref().map(|finding| judge(finding).recorded()) }
}

/// A decision before it counts.
pub(super) enum Ruling {
    /// The rules say yes.
    Admit {
        /// Why.
        cause: Cause,
        /// What said so.
        matched: Option<Matched>,
        /// The caller with the lent roles without which the rules would say no.
        lent: Option<Box<Caller>>,
    },
    /// The rules say no, or cannot say.
    Refuse(Denial),
}

impl Ruling {
    /// A ruling that lent roles made.
    fn thanks_to(self, lent: Lent) -> Self {
        match self {
            Self::Admit { cause, matched, .. } => {
                let matched = matched.map(|matched| Matched { grants: Some(lent.by), ..matched });
                Self::Admit { cause, matched, lent: Some(Box::new(lent.caller)) }
            }
            Self::Refuse(denial) => Self::Refuse(denial),
        }
    }

    fn recorded(self) -> Recorded {
        match self {
            Self::Admit { cause, matched, .. } => Recorded { outcome: "allow", reason: cause.code(), matched },
            Self::Refuse(Denial { reason, matched, .. }) => {
                let outcome = if reason.status() == DenyStatus::Unavailable { "unavailable" } else { "deny" };
                Recorded { outcome, reason: reason.code(), matched }
            }
        }
    }
}

type Ask<'q, 'e> = (&'q dyn Fn(&ApplicationId) -> Evidence<'e>, UnixTime);

fn judge(finding: &Finding<'_>, located: &Located<'_>, (evidence, now): Ask<'_, '_>) -> Ruling {
    let admit = |cause, place: &Place| Ruling::Admit { cause, matched: Some(place.matched()), lent: None };
    let protected = match finding {
        Finding::Refused { reason, detail, place } => {
            let matched = place.map(Place::matched);
            return Ruling::Refuse(Denial { reason: *reason, detail: detail.clone(), challenge: None, matched });
        }
        Finding::ShadowOnly => return Ruling::Admit { cause: Cause::ShadowOnly, matched: None, lent: None },
        Finding::Preflight(place) => return admit(Cause::Preflight, place),
        Finding::Anonymous(place) => return admit(Cause::AnonymousRoute, place),
        Finding::Protected(protected) => protected,
    };
    let refuse = |reason| Ruling::Refuse(Denial::at(protected.place, reason));
    let caller = match evidence(protected.application) {
        Evidence::Rejected(reason) => return refuse(reason),
        Evidence::Caller { caller, application } if application == protected.application => caller,
        // A token that was verified for another application says nothing here.
        Evidence::Caller { .. } | Evidence::None => return refuse(ReasonCode::InternalError),
    };
    let Some(path) = &located.path else { return refuse(ReasonCode::InternalError) };
    let template = &protected.place.route.template;
    let facts = Facts { request: located.request, path, host: located.host.as_str(), template, caller, now };
    match weigh(protected, &facts) {
        Ruling::Refuse(denial) => match lend(&protected.place.policy.grants, caller, now) {
            Some(lent) => weigh(protected, &Facts { caller: &lent.caller, ..facts }).thanks_to(lent),
            None => Ruling::Refuse(denial),
        },
        admitted @ Ruling::Admit { .. } => admitted,
    }
}

impl Verdict {
    /// What decided, if the request got as far as a route.
    #[must_use]
    pub const fn matched(&self) -> Option<&Matched> {
        match self {
            Self::Permit(permit) => permit.matched.as_ref(),
            Self::Deny(denial) => denial.matched.as_ref(),
            Self::Unavailable(outage) => outage.matched.as_ref(),
        }
    }

    /// The verdict on a request that could not be decided or not even be read.
    pub fn refusal(reason: ReasonCode) -> Self {
        match reason.status() {
            DenyStatus::Unavailable => Self::Unavailable(Outage { reason, matched: None }),
            DenyStatus::BadRequest | DenyStatus::Unauthorized | DenyStatus::Forbidden => {
                Self::Deny(Denial { reason, detail: Detail::None, challenge: None, matched: None })
            }
        }
    }
}

impl Verdict {
    /// The verdict on a request that cannot be believed; what is wrong with it goes into the log.
    pub const fn malformed(fault: &'static str) -> Self {
        let detail = Detail::Malformed(fault);
        Self::Deny(Denial { reason: ReasonCode::RequestMalformed, detail, challenge: None, matched: None })
    }
}

impl Permit {
    /// Why.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// The stable code of the cause.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.cause.code()
    }

    /// The caller with lent roles, if those made the difference.
    #[must_use]
    pub fn lent(&self) -> Option<&Caller> {
        self.lent.as_deref()
    }
}

impl Cause {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AllowEntry { .. } => "allow_entry_matched",
            Self::AnonymousRoute => "anonymous_route",
            Self::Preflight => "preflight_allowed",
            Self::ShadowOnly => "shadow_only",
        }
    }
}

impl Denial {
    pub(super) fn at(place: &Place, reason: ReasonCode) -> Self {
        Self { reason, detail: Detail::None, challenge: None, matched: Some(place.matched()) }
    }

    /// A refusal that tells the client what to come back with.
    #[must_use]
    pub const fn challenging(reason: ReasonCode, challenge: Challenge) -> Self {
        Self { reason, detail: Detail::None, challenge: Some(challenge), matched: None }
    }

    /// The stable reason.
    #[must_use]
    pub const fn reason(&self) -> ReasonCode {
        self.reason
    }

    /// More, for the audit log.
    #[must_use]
    pub fn detail(&self) -> Option<Cow<'static, str>> {
        self.detail.text()
    }

    /// What the client is asked to come back with.
    #[must_use]
    pub const fn challenge(&self) -> Option<&Challenge> {
        self.challenge.as_ref()
    }
}

impl Outage {
    /// The stable reason.
    #[must_use]
    pub const fn reason(&self) -> ReasonCode {
        self.reason
    }
}
