//! Key sets (RFC 7517): element by element, so that one bad key never takes the good ones along.
//!
//! Entra's keys carry no `alg`; it is pinned here. `x5c` is not used: trust comes from TLS to the authority.

use std::collections::HashMap;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::clock::UnixTime;

use super::crypto::Rs256;
use super::header::MAX_KID;

/// Largest document, in bytes.
pub const MAX_DOCUMENT: usize = 1 << 20;
const MAX_KEYS: usize = 1000;
/// 65537 (RFC 8017 §3.1), the only exponent accepted.
const EXPONENT: [u8; 3] = [1, 0, 1];
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// One usable signing key.
#[derive(Clone)]
pub struct Key {
    public: Rs256,
    fingerprint: [u8; 32],
    /// `issuer`, perhaps with `{tenantid}`; absent on v1 keys.
    pub issuer: Option<Box<str>>,
    /// `cloud_instance_name`.
    pub cloud_instance: Option<Box<str>>,
    /// The key counts before this time only.
    pub valid_until: UnixTime,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("issuer", &self.issuer)
            .field("valid_until", &self.valid_until)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// A hash of the public key and of what binds it to an issuer: two keys with one id are told apart by it.
    #[must_use]
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Whether `signature` is this key's RS256 signature of `message`.
    pub(super) fn signed(&self, signature: &[u8], message: &[u8]) -> bool {
        self.public.verifies(message, signature)
    }
}

/// Keys by id.
#[derive(Clone, Debug, Default)]
pub struct KeySet(HashMap<Box<str>, Key>);

impl KeySet {
    /// A set of these keys.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = (Box<str>, Key)>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// The key of this id, if it still counts at `now`.
    #[must_use]
    pub fn find(&self, kid: &str, now: UnixTime) -> Option<&Key> {
        self.0.get(kid).filter(|key| now < key.valid_until)
    }

    /// Whether any key counts at `now`.
    #[must_use]
    pub fn lives(&self, now: UnixTime) -> bool {
        self.0.values().any(|key| now < key.valid_until)
    }

    /// All keys with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Key)> {
        self.0.iter().map(|(kid, key)| (&**kid, key))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A document that is refused as a whole; what was known before goes on to count. Code `jwks_rejected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksRejection {
    /// More than 1 MiB.
    #[error("the key set is larger than 1 MiB")]
    TooLarge,
    /// Not `{"keys": […]}`.
    #[error("the key set is not an object with a list `keys`")]
    Shape,
    /// More than 1000 elements.
    #[error("the key set lists more than 1000 keys")]
    TooMany,
    /// No key of it can be used.
    #[error("the key set lists no usable RS256 key")]
    NoUsableKey,
}

/// What a document held.
#[derive(Debug)]
pub struct ParsedKeys {
    /// The usable keys, valid for ever; whoever fetched them sets an end.
    pub keys: KeySet,
    /// Why each of the others was skipped, by position. Code `jwks_key_skipped`.
    pub skipped: Vec<(usize, &'static str)>,
}

/// Reads a key set.
///
/// # Errors
/// [`JwksRejection`] if the document as a whole is not acceptable.
pub fn parse(bytes: &[u8]) -> Result<ParsedKeys, JwksRejection> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(JwksRejection::TooLarge);
    }
    let document: Value = serde_json::from_slice(bytes).map_err(|_| JwksRejection::Shape)?;
    let elements = document.get("keys").and_then(Value::as_array).ok_or(JwksRejection::Shape)?;
    if elements.len() > MAX_KEYS {
        return Err(JwksRejection::TooMany);
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for kid in elements.iter().filter_map(|element| element.get("kid")?.as_str()) {
        let count = seen.entry(kid).or_default();
        *count = count.saturating_add(1);
    }
    let (mut keys, mut skipped) = (HashMap::new(), Vec::new());
    for (at, element) in elements.iter().enumerate() {
        match key(element) {
            Ok((kid, _)) if seen.get(kid).is_some_and(|count| *count > 1) => skipped.push((at, "`kid` occurs twice")),
            Ok((kid, key)) => {
                keys.insert(Box::from(kid), key);
            }
            Err(why) => skipped.push((at, why)),
        }
    }
    if keys.is_empty() {
        return Err(JwksRejection::NoUsableKey);
    }
    Ok(ParsedKeys { keys: KeySet(keys), skipped })
}

fn key(element: &Value) -> Result<(&str, Key), &'static str> {
    let members = element.as_object().ok_or("not an object")?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    usable(members)?;
    let kid = text("kid").filter(|kid| !kid.is_empty() && kid.len() <= MAX_KID).ok_or("no `kid` of 1 to 256 bytes")?;
    let decode = |name| text(name).and_then(|value| URL_SAFE_NO_PAD.decode(value).ok()).map(trimmed);
    let modulus = decode("n").ok_or("`n` is not base64url")?;
    let exponent = decode("e").ok_or("`e` is not base64url")?;
    let bits = modulus
        .first()
        .map_or(0, |first| modulus.len().saturating_mul(8).saturating_sub(first.leading_zeros() as usize));
    if !(2048..=4096).contains(&bits) {
        return Err("modulus of less than 2048 or more than 4096 bits");
    }
    if exponent != EXPONENT {
        return Err("exponent other than 65537");
    }
    let key = Key {
        public: Rs256::new(&modulus, &exponent).ok_or("`n` and `e` make no RSA key")?,
        fingerprint: fingerprint(&modulus, [text("issuer"), text("cloud_instance_name")]),
        issuer: text("issuer").map(Box::from),
        cloud_instance: text("cloud_instance_name").map(Box::from),
        valid_until: UnixTime(i64::MAX),
    };
    Ok((kid, key))
}

/// Each part is told by its length, so that no two keys come to the same bytes.
fn fingerprint(modulus: &[u8], binding: [Option<&str>; 2]) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(modulus);
    for part in binding {
        hash.update(&part.map_or(u64::MAX, |part| u64::try_from(part.len()).unwrap_or(u64::MAX)).to_be_bytes());
        hash.update(part.unwrap_or_default().as_bytes());
    }
    let mut fingerprint = [0_u8; 32];
    for (to, from) in fingerprint.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    fingerprint
}

fn usable(members: &Map<String, Value>) -> Result<(), &'static str> {
    let is = |name: &str, expected: &str| members.get(name).is_none_or(|value| value == expected);
    if members.get("kty").and_then(Value::as_str) != Some("RSA") {
        return Err("`kty` is not RSA");
    }
    if !is("use", "sig") {
        return Err("`use` is not sig");
    }
    if !is("alg", "RS256") {
        return Err("`alg` is not RS256");
    }
    let verifies = |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
    if members.get("key_ops").is_some_and(|ops| !verifies(ops)) {
        return Err("`key_ops` without verify");
    }
    if PRIVATE.iter().any(|name| members.contains_key(*name)) {
        return Err("a private key");
    }
    if ["issuer", "cloud_instance_name"].iter().any(|name| members.get(*name).is_some_and(|value| !value.is_string())) {
        return Err("`issuer` or `cloud_instance_name` is not a string");
    }
    Ok(())
}

/// Without leading zero bytes.
fn trimmed(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::clock::UnixTime;

    #[test]
    fn a_signature_that_cannot_be_read_is_none() {
        let document = format!(r#"{{"keys":[{{"kty":"RSA","kid":"k","e":"AQAB","n":"{}"}}]}}"#, "w".repeat(342));
        let keys = parse(document.as_bytes()).unwrap().keys;
        let key = keys.find("k", UnixTime(0)).unwrap();
        for signature in [&b""[..], b"=", b"no signature", &[0; 255], &[0; 257]] {
            assert!(!key.signed(signature, b"message"), "{signature:?}");
        }
    }
}
