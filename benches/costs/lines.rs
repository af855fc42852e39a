//! The header lines of a request outside an ext_authz message.

use bytes::Bytes;

/// Header lines with this token.
pub(crate) fn headers(token: &str) -> Vec<(Bytes, Bytes)> {
    vec![
        ("x-request-id".into(), "2f1b2a86-5c1e-4e0a-9f51-0d6f3c1f9a77".into()),
        ("authorization".into(), format!("Bearer {token}").into()),
    ]
}
