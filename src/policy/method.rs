//! Methods, and the one that a preflight asks about.

use crate::request::Headers;

/// Longest method, in bytes.
pub const MAX_METHOD: usize = 32;

/// Whether this is a method: upper-case letters, digits and hyphens. Others are legal (RFC 9110 §9.1) but servers
/// differ in whether `get` is `GET`.
#[must_use]
pub fn is_method(method: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    !method.is_empty() && method.len() <= MAX_METHOD && method.iter().all(fits)
}

/// The method that a CORS preflight asks about (Fetch §4.8): `OPTIONS` with an origin and exactly one wished method.
#[must_use]
pub fn preflight_for(method: &[u8], headers: &dyn Headers) -> Option<bytes::Bytes> {
    if method != b"OPTIONS" {
        return None;
    }
    let (mut origin, mut wished, mut more) = (false, None, false);
    headers.each(&mut |name, value| {
        origin |= name.eq_ignore_ascii_case(b"origin") && !value.is_empty();
        if name.eq_ignore_ascii_case(b"access-control-request-method") {
            more |= wished.is_some();
            wished = Some(value.clone());
        }
    });
    wished.filter(|wished| origin && !more && is_method(wished))
}
