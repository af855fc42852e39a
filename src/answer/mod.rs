//! What every proxy is told, in HTTP's own words: how a refusal reads, and the headers that tell an API who calls.
//!
//! Adapters put this into the protocol of their proxy; they add nothing to what a refusal says.

pub mod identity_headers;

mod challenge;

use crate::authorize::decision::{ChallengeContext, DecisionId};
use crate::policy::decide::{Challenge, Denial};
use crate::reason::{DenyStatus, ReasonCode};

/// Seconds after which a client may ask again what could not be decided.
const RETRY_AFTER: &str = "5";

/// A refusal: status, headers and body.
pub struct Refusal<'a> {
    id: &'a DecisionId,
    reason: ReasonCode,
    context: Option<&'a ChallengeContext>,
    asks: Option<&'a Challenge>,
}

impl<'a> Refusal<'a> {
    /// The refusal of a decision that says no. `context` is what a challenge may say of the application.
    #[must_use]
    pub const fn denied(id: &'a DecisionId, denial: &'a Denial, context: Option<&'a ChallengeContext>) -> Self {
        Self { id, reason: denial.reason(), context, asks: denial.challenge() }
    }

    /// A refusal of which no more is known than the reason.
    #[must_use]
    pub const fn plain(id: &'a DecisionId, reason: ReasonCode) -> Self {
        Self { id, reason, context: None, asks: None }
    }

    /// The stable reason.
    #[must_use]
    pub const fn reason(&self) -> ReasonCode {
        self.reason
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> DenyStatus {
        self.reason.status()
    }

    /// All headers; their values can stand in a header.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers =
            vec![("content-type", "application/problem+json".to_owned()), ("cache-control", "no-store".to_owned())];
        if let Some(challenge) = challenge::challenge(self.reason, self.context, self.asks) {
            headers.push(("www-authenticate", challenge));
        }
        if self.status() == DenyStatus::Unavailable {
            headers.push(("retry-after", RETRY_AFTER.to_owned()));
        }
        headers
    }

    /// RFC 9457 problem details. Says no more than the reason and the id; nothing in it needs escaping.
    #[must_use]
    pub fn body(&self) -> String {
        let status = self.status();
        format!(
            "{{\"type\":\"about:blank\",\"title\":\"{}\",\"status\":{},\"reason\":\"{}\",\"decision_id\":\"{}\"}}",
            status.title(),
            status.http(),
            self.reason,
            self.id
        )
    }
}
