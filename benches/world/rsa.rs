//! One RSA-2048 verification and nothing else: the floor of a new token.

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::token::Minter;

/// A parsed key, a message and its signature.
pub(crate) struct Bare {
    key: ParsedPublicKey,
    signed: String,
    signature: Vec<u8>,
}

impl Bare {
    /// That of a token.
    pub(crate) fn new(minter: &Minter) -> Self {
        let token = minter.token(0);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (n, e) = (URL_SAFE_NO_PAD.decode(minter.key.modulus()).unwrap(), vec![1_u8, 0, 1]);
        let key = RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).unwrap();
        Self { key, signed: signed.to_owned(), signature: URL_SAFE_NO_PAD.decode(signature).unwrap() }
    }

    /// Verifies once.
    pub(crate) fn verify(&self) {
        self.key.verify_sig(std::hint::black_box(self.signed.as_bytes()), &self.signature).unwrap();
    }
}
