//! One finished decision and what was seen on the way to it: plain values for those who answer and record.
//!
//! Nothing here decides. A [`Decision`] carries its [`Verdict`] by value, so that the permit inside it is used once.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::identity::{ApplicationId, Caller, TenantId};
use crate::policy::decide::Verdict;
use crate::policy::rules::PolicyId;
use crate::reason::ReasonCode;

/// One finished decision, ready to be answered and recorded.
pub struct Decision {
    /// Its name in the answer, the audit log and the access log.
    pub id: DecisionId,
    /// What was decided.
    pub verdict: Verdict,
    /// The caller. Present if and only if a token was verified.
    pub authenticated: Option<Arc<Authenticated>>,
    /// Why the token was not accepted, if one was looked at.
    pub rejection: Option<ReasonCode>,
    /// More about the rejection; for the audit log only, never a part of the token.
    pub token_detail: Option<Cow<'static, str>>,
    /// What a challenge may say; present if the route's application is known.
    pub challenge: Option<Arc<ChallengeContext>>,
    /// What the shadow policies would have decided.
    pub shadow: Option<ShadowResult>,
    /// The generation of the snapshot that decided.
    pub generation: u64,
    /// Whether the verified token was remembered from an earlier request.
    pub cached: bool,
}

/// The name of one decision: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecisionId([u8; 32]);

impl DecisionId {
    /// Renders 128 bits; whoever calls makes them unique.
    #[must_use]
    pub fn new(bits: u128) -> Self {
        let mut text = [b'0'; 32];
        let mut rest = bits;
        for digit in text.iter_mut().rev() {
            let nibble = u8::try_from(rest & 0xf).unwrap_or(0);
            *digit = match nibble {
                0..=9 => b'0'.wrapping_add(nibble),
                _ => b'a'.wrapping_sub(10).wrapping_add(nibble),
            };
            rest >>= 4;
        }
        Self(text)
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A verified caller, with slots in which adapters keep what they computed from it once.
pub struct Authenticated {
    /// Who calls.
    pub caller: Caller,
    /// The application that the token was verified for.
    pub application: ApplicationId,
    /// The constant part of an answer.
    pub answer: OnceLock<PreparedAnswer>,
    /// The constant part of an audit record.
    pub record: OnceLock<Bytes>,
}

impl Authenticated {
    /// A caller whose slots are empty.
    #[must_use]
    pub fn new(caller: Caller, application: ApplicationId) -> Self {
        Self { caller, application, answer: OnceLock::new(), record: OnceLock::new() }
    }
}

/// What an answering adapter keeps of a caller, in its own encoding.
pub struct PreparedAnswer {
    /// First the facts about the caller that go beside those of the request, then everything else that is the same for
    /// all requests of this caller.
    pub encoded: Box<[u8]>,
    /// Where the second begins.
    pub rest: usize,
}

/// What a challenge tells a client about where to get a token (RFC 6750 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeContext {
    /// `realm`: the tenant, if the application has exactly one.
    pub tenant: Option<TenantId>,
    /// `authorization_uri`.
    pub authorization_uri: Box<str>,
    /// `client_id` of the API.
    pub client_id: Box<str>,
    /// The application id URI that makes a full scope URI of a scope's name, without a trailing slash.
    pub scope_prefix: Box<str>,
    /// `resource_metadata` (RFC 9728), where configured.
    pub resource_metadata: Option<Box<str>>,
}

/// What shadow policies would have decided.
#[derive(Clone, Debug)]
pub struct ShadowResult {
    /// `allow`, `deny` or `unavailable`.
    pub outcome: &'static str,
    /// The permit's cause or the reason code.
    pub reason: &'static str,
    /// The policy, if one matched.
    pub policy: Option<PolicyId>,
    /// The route, if one matched.
    pub route: Option<Arc<str>>,
}

/// Bytes of a method, a host or an id that a log shows.
pub const SHORT: usize = 256;
/// Bytes of a path that a log shows.
pub const LONG: usize = 2048;

/// How a request ends up in the log: what the proxy sent, each perhaps empty.
#[derive(Clone, Debug, Default)]
pub struct RequestFacts {
    /// The method, as sent.
    pub method: Bytes,
    /// The authority, as sent.
    pub host: Bytes,
    /// The path without its query, as sent.
    pub path: Bytes,
    /// `HTTP/1.1`, `HTTP/2`.
    pub protocol: Bytes,
    /// `x-request-id`.
    pub request_id: Bytes,
    /// `traceparent`.
    pub traceparent: Bytes,
    /// The address that the proxy takes for the client's.
    pub source: Bytes,
}

impl RequestFacts {
    /// The same about this request. The query is left out, and user information before the host: tokens, names and
    /// passwords end up there.
    #[must_use]
    pub fn about(self, method: &Bytes, authority: &Bytes, target: &Bytes) -> Self {
        let start = authority.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at.saturating_add(1));
        let end = target.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len());
        Self { method: method.clone(), host: authority.slice(start..), path: target.slice(..end), ..self }
    }

    /// The same in memory of its own, each cut to a byte more than is shown. A log keeps thousands of these, and a slice
    /// would keep the whole message of a stranger, token and all.
    #[must_use]
    pub fn detached(&self) -> Self {
        let Self { method, host, path, protocol, request_id, traceparent, source } = self;
        let short = [method, host, protocol, request_id, traceparent, source].map(|part| (part, SHORT));
        let [method, host, protocol, request_id, traceparent, source] = short;
        let parts = [method, host, (path, LONG), protocol, request_id, traceparent, source];
        let parts = parts.map(|(part, most)| part.get(..=most).unwrap_or(part));
        let mut all = Bytes::from(parts.concat());
        let [method, host, path, protocol, request_id, traceparent, source] =
            parts.map(|part| all.split_to(part.len()));
        Self { method, host, path, protocol, request_id, traceparent, source }
    }
}

#[cfg(test)]
mod tests {
    use super::DecisionId;

    #[test]
    fn a_decision_id_is_its_bits_in_lower_case_hex() {
        let bits = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;
        assert_eq!(DecisionId::new(bits).as_str(), "0123456789abcdeffedcba9876543210");
        assert_eq!(DecisionId::new(0).as_str(), "0".repeat(32));
    }
}
