//! The JOSE header (RFC 7515 §4): what must be there, and everything that must not.

use std::sync::Arc;

use crate::reason::ReasonCode;

use super::json::{self, Json, JsonFault, Object};
use super::rejection::{Detail, TokenRejection};

/// Longest key id, in bytes; longer ones are in no key set.
pub(super) const MAX_KID: usize = 256;

/// Every member that is read or refused: no other spelling of these may stand beside them.
const READ: [&str; 9] = ["alg", "typ", "kid", "crit", "b64", "enc", "zip", "cty", "nonce"];

/// What verification needs of the header.
pub(super) struct Header {
    pub(super) kid: Arc<str>,
}

/// A header that was accepted once, as it was sent. What it says need not be read again: all tokens of a key have the
/// same one, as a rule.
#[derive(Clone)]
pub struct KnownHeader {
    encoded: Box<[u8]>,
    allow_missing_typ: bool,
    kid: Arc<str>,
}

impl KnownHeader {
    /// Remembers one.
    pub(super) fn new(encoded: &[u8], allow_missing_typ: bool, header: &Header) -> Self {
        Self { encoded: encoded.into(), allow_missing_typ, kid: Arc::clone(&header.kid) }
    }

    /// What [`parse`] made of it, if these are the same bytes and it was asked the same.
    pub(super) fn read(&self, encoded: &[u8], allow_missing_typ: bool) -> Option<Header> {
        let same = *self.encoded == *encoded && self.allow_missing_typ == allow_missing_typ;
        same.then(|| Header { kid: Arc::clone(&self.kid) })
    }
}

fn no(reason: ReasonCode, detail: Detail) -> TokenRejection {
    TokenRejection::new(reason, detail)
}

/// Reads and judges a header. `jku`, `jwk`, `x5u` and `x5c` are never looked at.
pub(super) fn parse(bytes: &[u8], allow_missing_typ: bool) -> Result<Header, TokenRejection> {
    let header = json::object(bytes).map_err(|fault| match fault {
        JsonFault::Duplicate => no(ReasonCode::HeaderDuplicate, "a member twice"),
        JsonFault::Syntax => no(ReasonCode::HeaderInvalid, "not JSON"),
        JsonFault::NotObject => no(ReasonCode::HeaderInvalid, "not an object"),
        JsonFault::TooDeep => no(ReasonCode::HeaderInvalid, "nested too deep"),
    })?;
    if header.two_spellings(&READ) {
        return Err(no(ReasonCode::HeaderDuplicate, "a member in two spellings"));
    }
    algorithm(&header)?;
    if header.has("crit") || header.has("b64") {
        return Err(no(ReasonCode::HeaderCritUnsupported, "`crit` or `b64` in the header"));
    }
    if header.has("enc") || header.has("zip") {
        return Err(no(ReasonCode::HeaderInvalid, "`enc` or `zip` in a signed token"));
    }
    content_type(&header)?;
    token_type(&header, allow_missing_typ)?;
    let kid = key_id(&header)?;
    if header.has("nonce") {
        return Err(no(ReasonCode::TokenGraphNonce, "`nonce` in the header"));
    }
    Ok(Header { kid })
}

fn algorithm(header: &Object<'_>) -> Result<(), TokenRejection> {
    match header.get("alg") {
        Some(Json::Text(alg)) if alg == "RS256" => Ok(()),
        Some(Json::Text(_)) => Err(no(ReasonCode::AlgNotAllowed, "`alg` is not RS256")),
        Some(_) => Err(no(ReasonCode::HeaderInvalid, "`alg` is not a string")),
        None => Err(no(ReasonCode::AlgNotAllowed, "no `alg`")),
    }
}

fn content_type(header: &Object<'_>) -> Result<(), TokenRejection> {
    match header.get("cty") {
        None => Ok(()),
        Some(Json::Text(cty)) if !media_type(cty).eq_ignore_ascii_case("jwt") => Ok(()),
        Some(_) => Err(no(ReasonCode::HeaderInvalid, "`cty` announces a nested token")),
    }
}

fn token_type(header: &Object<'_>, allow_missing: bool) -> Result<(), TokenRejection> {
    match header.get("typ") {
        Some(Json::Text(typ))
            if media_type(typ).eq_ignore_ascii_case("jwt") || media_type(typ).eq_ignore_ascii_case("at+jwt") =>
        {
            Ok(())
        }
        Some(Json::Text(_)) => Err(no(ReasonCode::TypNotAllowed, "`typ` is neither JWT nor at+jwt")),
        Some(_) => Err(no(ReasonCode::HeaderInvalid, "`typ` is not a string")),
        None if allow_missing => Ok(()),
        None => Err(no(ReasonCode::TypNotAllowed, "no `typ`")),
    }
}

/// A media type without its optional `application/` (RFC 7515 §4.1.9).
fn media_type(text: &str) -> &str {
    match text.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        Some(_) | None => text,
    }
}

fn key_id(header: &Object<'_>) -> Result<Arc<str>, TokenRejection> {
    match header.get("kid") {
        Some(Json::Text(kid)) if kid.is_empty() => Err(no(ReasonCode::KidMissing, "empty `kid`")),
        Some(Json::Text(kid)) if kid.len() > MAX_KID => Err(no(ReasonCode::HeaderInvalid, "`kid` too long")),
        Some(Json::Text(kid)) => Ok(Arc::from(&**kid)),
        Some(_) => Err(no(ReasonCode::HeaderInvalid, "`kid` is not a string")),
        None => Err(no(ReasonCode::KidMissing, "no `kid`")),
    }
}
