//! The credential of a request, before anything is known about it: one `Authorization: Bearer` line or a rejection.

use std::fmt;

use bytes::Bytes;

use crate::reason::ReasonCode;
use crate::request::Headers;

use super::rejection::TokenRejection;

/// A bearer token as it was sent. Cannot be printed, copied or serialised; [`RawToken::expose`] is the one door.
pub struct RawToken(Bytes);

impl RawToken {
    /// Wraps the bytes of a token.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The token itself: for verification and for the cache, never for output.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RawToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawToken({} bytes)", self.0.len())
    }
}

const SCHEME: &[u8] = b"bearer";

/// Finds the one bearer token of a request (RFC 6750 §2.1). Tokens in query, cookie or body do not count.
///
/// # Errors
/// `token_missing`, `token_multiple` (two lines, or a comma, which is how proxies join lines),
/// `token_scheme_unsupported`, `token_malformed`.
pub fn credential(headers: &dyn Headers) -> Result<RawToken, TokenRejection> {
    let mut found: Option<Bytes> = None;
    let mut count = 0_usize;
    headers.each(&mut |name, value| {
        if name.eq_ignore_ascii_case(b"authorization") {
            count = count.saturating_add(1);
            found = Some(value.clone());
        }
    });
    let Some(value) = found else {
        return Err(TokenRejection::new(ReasonCode::TokenMissing, "no Authorization header"));
    };
    if count > 1 {
        return Err(TokenRejection::new(ReasonCode::TokenMultiple, "more than one Authorization header"));
    }
    bearer(&value)
}

fn bearer(value: &Bytes) -> Result<RawToken, TokenRejection> {
    if value.contains(&b',') {
        return Err(TokenRejection::new(ReasonCode::TokenMultiple, "a comma in Authorization"));
    }
    let scheme = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    if value.is_empty() {
        return Err(TokenRejection::new(ReasonCode::TokenMissing, "empty Authorization header"));
    }
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(TokenRejection::new(ReasonCode::TokenSchemeUnsupported, "scheme other than Bearer"));
    }
    let Some(token) = value.get(SCHEME.len().saturating_add(1)..).filter(|token| !token.is_empty()) else {
        return Err(TokenRejection::new(ReasonCode::TokenMissing, "Bearer without a token"));
    };
    if token.contains(&b' ') {
        return Err(TokenRejection::new(ReasonCode::TokenMalformed, "white space in the token"));
    }
    Ok(RawToken(value.slice_ref(token)))
}
