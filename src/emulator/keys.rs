//! Signing keys: made, shown as Entra shows them in its JWKS, rotated, and used to sign.

use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, KeyPair as _, RsaEncoding};
use aws_lc_rs::{digest, encoding::Pkcs8V1Der, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};

/// The library could not make or use a key.
#[derive(Debug, thiserror::Error)]
#[error("the cryptographic library refused to make or use a key")]
pub struct KeyFault;

impl From<aws_lc_rs::error::Unspecified> for KeyFault {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self
    }
}

impl From<rcgen::Error> for KeyFault {
    fn from(_: rcgen::Error) -> Self {
        Self
    }
}

/// An RSA key of 2048 bits with the certificate that gives it its `kid`.
pub(super) struct SigningKey {
    pair: KeyPair,
    certificate: Vec<u8>,
    modulus: String,
    exponent: String,
    /// The base64url SHA-1 of the certificate, as Entra names its keys.
    pub(super) kid: String,
}

impl SigningKey {
    /// Makes a key; takes some tens of milliseconds of one core.
    pub(super) fn generate() -> Result<Self, KeyFault> {
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        let private: Pkcs8V1Der<'_> = pair.as_der()?;
        let signer = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
            &PrivatePkcs8KeyDer::from(private.as_ref()),
            &rcgen::PKCS_RSA_SHA256,
        )?;
        let certificate = rcgen::CertificateParams::default().self_signed(&signer)?;
        let certificate = certificate.der().to_vec();
        let (modulus, exponent) = components(pair.public_key().as_ref()).ok_or(KeyFault)?;
        Ok(Self {
            modulus: URL_SAFE_NO_PAD.encode(modulus),
            exponent: URL_SAFE_NO_PAD.encode(exponent),
            kid: thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY, &certificate),
            certificate,
            pair,
        })
    }

    /// The key as a member of a JWKS (RFC 7517), without `alg`, as Entra does it.
    pub(super) fn jwk(&self, issuer: Option<&str>) -> Value {
        let mut key = json!({
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": self.modulus,
            "e": self.exponent,
            "x5c": [STANDARD.encode(&self.certificate)],
        });
        if let (Some(issuer), Some(members)) = (issuer, key.as_object_mut()) {
            members.insert("issuer".into(), issuer.into());
        }
        key
    }

    /// Signs with the named algorithm of the RSA families; any other name signs as RS256.
    pub(super) fn sign(&self, algorithm: &str, message: &[u8]) -> Result<Vec<u8>, KeyFault> {
        let mut signed = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(padding(algorithm), &SystemRandom::new(), message, &mut signed)?;
        Ok(signed)
    }

    /// HMAC-SHA-256 with the public key's bytes as the secret: the confusion that a validator must not fall for.
    pub(super) fn confuse(&self, message: &[u8]) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.pair.public_key().as_ref());
        hmac::sign(&key, message).as_ref().to_vec()
    }
}

/// The keys of the stand-in, shared by its tenants as in Entra.
pub(super) struct Ring {
    /// The key that signs.
    pub(super) current: Arc<SigningKey>,
    /// The key that signed before the last rotation.
    pub(super) retired: Option<Arc<SigningKey>>,
    /// A key that never was and never will be listed.
    pub(super) unlisted: Arc<SigningKey>,
    /// What the JWKS shows.
    pub(super) listed: Vec<Arc<SigningKey>>,
}

impl Ring {
    /// A key that signs, another that is listed beside it (Entra always lists several), and one that is not.
    pub(super) fn generate() -> Result<Self, KeyFault> {
        let current = Arc::new(SigningKey::generate()?);
        let spare = Arc::new(SigningKey::generate()?);
        Ok(Self {
            listed: vec![spare, Arc::clone(&current)],
            retired: None,
            unlisted: Arc::new(SigningKey::generate()?),
            current,
        })
    }

    /// Signs with `key` from here on. Listing is a matter of its own.
    pub(super) fn promote(&mut self, key: Arc<SigningKey>) -> Arc<SigningKey> {
        let old = std::mem::replace(&mut self.current, key);
        self.retired = Some(Arc::clone(&old));
        old
    }

    /// Lists the key, once.
    pub(super) fn list(&mut self, key: &Arc<SigningKey>) {
        self.unlist(&key.kid);
        self.listed.push(Arc::clone(key));
    }

    /// Lists the key no longer.
    pub(super) fn unlist(&mut self, kid: &str) {
        self.listed.retain(|key| key.kid != kid);
    }
}

/// The base64url digest of some DER: `x5t` (SHA-1) and `x5t#S256` (RFC 7515 §4.1.7, §4.1.8).
pub(super) fn thumbprint(algorithm: &'static digest::Algorithm, der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(algorithm, der))
}

fn padding(algorithm: &str) -> &'static dyn RsaEncoding {
    match algorithm {
        "RS384" => &signature::RSA_PKCS1_SHA384,
        "RS512" => &signature::RSA_PKCS1_SHA512,
        "PS256" => &signature::RSA_PSS_SHA256,
        "PS384" => &signature::RSA_PSS_SHA384,
        "PS512" => &signature::RSA_PSS_SHA512,
        _ => &signature::RSA_PKCS1_SHA256,
    }
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 §A.1.1), without leading zeros.
fn components(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = element(der, 0x30)?;
    let (modulus, rest) = element(body, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    Some((modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent.strip_prefix(&[0]).unwrap_or(exponent)))
}

/// The content of the first DER element, if it has this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (size, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        length = (size.iter()).fold(0_usize, |sum, &byte| (sum << 8) | usize::from(byte));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    (found == tag).then_some((content, rest))
}

#[cfg(test)]
mod tests {
    use super::{Ring, SigningKey, components};
    use std::sync::Arc;

    #[test]
    fn a_key_looks_as_entra_shows_it() {
        let jwk = SigningKey::generate().unwrap().jwk(Some("https://issuer"));
        assert_eq!(jwk["e"], "AQAB");
        assert_eq!(jwk["n"].as_str().unwrap().len(), 342, "2048 bits");
        assert_eq!(jwk["kid"], jwk["x5t"]);
        assert_eq!(jwk["issuer"], "https://issuer");
        assert!(jwk.get("alg").is_none());
    }

    #[test]
    fn broken_der_has_no_components() {
        for der in [&b""[..], b"\x30", b"\x30\x05\x02\x01", b"\x02\x00", b"\x30\x84"] {
            assert!(components(der).is_none());
        }
    }

    #[test]
    fn a_promoted_key_signs_and_the_former_one_retires() {
        let mut ring = Ring::generate().unwrap();
        let key = Arc::new(SigningKey::generate().unwrap());
        let old = ring.promote(Arc::clone(&key));
        assert_eq!(ring.current.kid, key.kid);
        assert_eq!(ring.retired.as_ref().unwrap().kid, old.kid);
        assert!(ring.listed.iter().all(|listed| listed.kid != key.kid));
        ring.list(&key);
        ring.list(&key);
        ring.unlist(&old.kid);
        assert_eq!(ring.listed.len(), 2);
    }
}
