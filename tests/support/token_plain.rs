//! The plain case of the token world: the default application, its one key, and tokens signed by it.

use bytes::Bytes;
use entrance::token::cloud::{Cloud, Issuer};
use entrance::token::{Authority, Profile, RawToken, Version, jwks};
use serde_json::json;

use crate::token_world::{self, Draft, KEY};

/// The authority of a version, with [`KEY`] alone.
pub(crate) fn authority(version: Version) -> Authority {
    let document = json!({"keys": [KEY.jwk()]}).to_string();
    let keys = jwks::parse(document.as_bytes()).unwrap().keys;
    Issuer::Cloud(Cloud::Public).published(version, keys)
}

/// The application with this key.
pub(crate) fn profile() -> Profile {
    token_world::profile(authority)
}

/// A draft, signed.
pub(crate) fn signed(draft: &Draft) -> RawToken {
    let (header, payload) = draft.texts();
    raw(KEY.token(header.as_bytes(), payload.as_bytes()))
}

/// A token as bytes off the wire.
pub(crate) fn raw(token: impl Into<Vec<u8>>) -> RawToken {
    RawToken::new(Bytes::from(token.into()))
}
