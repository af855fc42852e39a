//! `token`: the value of an `Authorization` header. The only values accepted are those that hold a genuine token.

use bytes::Bytes;
use entrance::identity::Caller;
use entrance::token::{KeySource, Profile, RawToken, TokenRejection, credential, inspect};

use super::world::{APP, NOW, PROFILE, USER, USER_V1};

/// For mutations.
pub const WORDS: &[&str] = &[
    "Bearer ",
    "bearer ",
    "PoP ",
    "Basic ",
    ".",
    "..",
    ",",
    " ",
    "=",
    "eyJhbGciOiJub25lIn0",
    "eyJ",
    "AAAA",
    "\0",
    "\n",
    USER,
    APP,
    USER_V1,
];

/// The values that are to be accepted.
pub const GENUINE: [&str; 3] = [USER, APP, USER_V1];

/// Takes a token the whole way. The world has static keys only, so that nothing is ever fetched.
///
/// # Errors
/// The token is not accepted.
pub fn judge(raw: &RawToken, profile: &Profile) -> Result<Caller, TokenRejection> {
    let unverified = inspect(raw, profile)?;
    assert_eq!(profile.tenants.len(), 1);
    assert!(profile.tenants.contains_key(&unverified.tenant()), "a tenant that is not listed");
    assert!(profile.versions.contains(&unverified.version()), "a version that is not accepted");
    assert!((1..=256).contains(&unverified.kid().len()), "a key id without bound");
    match profile.source(unverified.tenant(), unverified.version()) {
        Some(KeySource::Static(authority)) => unverified.verify(authority, NOW),
        Some(KeySource::Discovered(_)) | None => unreachable!("the world has static keys"),
    }
}

/// The token of an `Authorization` value.
#[must_use]
pub fn after_scheme(value: &str) -> &str {
    value.split_once(' ').map_or(value, |(_, token)| token)
}

/// The target.
///
/// # Panics
/// A value is accepted that holds no genuine token.
pub fn bearer(data: &[u8]) {
    let headers = vec![(Bytes::from_static(b"authorization"), Bytes::copy_from_slice(data))];
    let Ok(raw) = credential(&headers) else { return };
    assert!(data.ends_with(raw.expose()), "the token is not the end of the value");
    assert_eq!(format!("{raw:?}"), format!("RawToken({} bytes)", raw.expose().len()));
    let Ok(caller) = judge(&raw, &PROFILE) else { return };
    let genuine = GENUINE.iter().any(|value| after_scheme(value).as_bytes() == raw.expose());
    assert!(genuine, "accepted a token that nobody signed");
    assert!(!caller.subject.is_empty() && !caller.client.is_empty());
}
