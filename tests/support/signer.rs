//! A signer for tests: RSA keys made when the test starts, and compact JWS over any header and payload, however wrong.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A signing key with its id.
pub(crate) struct TestKey {
    pub(crate) kid: &'static str,
    pair: RsaKeyPair,
}

impl TestKey {
    /// Makes a fresh key of 2048 bits.
    pub(crate) fn new(kid: &'static str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        Self { kid, pair }
    }

    /// The modulus, in base64url.
    pub(crate) fn modulus(&self) -> String {
        // RSAPublicKey (RFC 8017 A.1.1): a sequence of two integers, the first of 257 bytes with its leading zero.
        let der = self.pair.public_key().as_ref();
        let modulus = der.strip_prefix(&[0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00]);
        URL_SAFE_NO_PAD.encode(&modulus.unwrap()[..256])
    }

    /// The public key as Entra lists it: without `alg`.
    pub(crate) fn jwk(&self) -> Value {
        json!({
            "kty": "RSA", "use": "sig", "kid": self.kid, "x5t": self.kid, "n": self.modulus(), "e": "AQAB",
            "x5c": ["MIIC"],
        })
    }

    /// A token of these texts, encoded and signed as they are.
    pub(crate) fn token(&self, header: &[u8], payload: &[u8]) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        self.pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
