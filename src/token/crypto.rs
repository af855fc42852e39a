//! The one cryptography provider, installed once and proved with a known answer before any token is seen.
//!
//! `jsonwebtoken` panics on the first token if no provider or two of them are compiled in; start-up is the time to
//! find out.

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, aws_lc};
use jsonwebtoken::{Algorithm, DecodingKey};

const MESSAGE: &[u8] = b"entrance known-answer test";
/// The modulus of a throw-away RSA-2048 key whose private half was deleted.
const MODULUS: &str = "vsg7j3sEvBZRTEB7bwc1GgVzExaleAADqsahrIh2CMPo1tFiJiWG2tgi6z6yTwef-ugJqXhxnXubzFQaOqeU3eSDo9Ra5aNpWQfJSfIMgdVfiUyVV8aprVidlLMz-m_jMLwkRkA-TlWMsKq9eN6jpY8khkJ7LkmjzlwKeBvBUW4TLVATmpHN6eCglkb-oXbtkpn5H7Bvzu6Cpka6YkjZDPYrmnRM7V52j5HMUYnhEC_q00hxvYEgnYHEpHMRuw-qIXqpbNfHZ07x85V-Vec9w6juaFADJU6gCtKGHwF5ife8jYk1eUueLK8MJMmxYQiPjbBDocCVPGmoQuw_7KfHZQ";
/// Its RS256 signature of [`MESSAGE`].
const SIGNATURE: &str = "DxsGN2at-bYZRcSEJD6wWE6gLLLrkRu4AWyK3PamgO6G0kO_Zakhzdebz1o61k0jJ646vGIOfylhwFPdjoPfFsWz2PD3GiTirLSv6MD0Y0Jo4bzINaAireJeacODq8LoYVQtpovsL3NIgVoH361_xMVaJGcKl4Ap_NUZ2IeNHKWhBIQ26eKTEj_OqKc7dvL8wiLhgE_XfXK40v7Sim4SyWiLEuSyb-SByu7W45IqGDB6tHZrKUyIvM7X0OWEGd1PKjIWMdJNFGwOqoKuAQ1HG8SdBUTYlcnQNYMQ3J-Gd9_q2StZO8BwIJZ9DYbE1uAOt-ZCCAxB0lCmR23Kpn9zBw";

/// The provider is missing or wrong; code `crypto_provider_invalid`. The process must not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoFault {
    /// The known answer did not verify.
    #[error("the known-answer test of RS256 failed")]
    RefusesGood,
    /// A wrong answer did verify.
    #[error("RS256 accepted a wrong signature")]
    AcceptsBad,
}

/// A public key that verifies RS256 signatures (RFC 7518 §3.3). Parsed once: `jsonwebtoken` builds the key anew for each
/// token, which takes a third as long as the verification itself.
#[derive(Clone)]
pub(super) struct Rs256(ParsedPublicKey);

impl Rs256 {
    /// The key of these big-endian numbers, without leading zeros. `None`: they make no RSA key.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let numbers = RsaPublicKeyComponents { n: modulus, e: exponent };
        numbers.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok().map(Self)
    }

    /// Whether this is the key's signature of the message.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

/// Installs aws-lc as the provider and tests it, by way of `jsonwebtoken` and by way of [`Rs256`], which must agree. May
/// be called again.
///
/// # Errors
/// [`CryptoFault`] if RS256 does not give the known answers.
pub fn install_crypto() -> Result<(), CryptoFault> {
    let provider: &'static CryptoProvider = &aws_lc::DEFAULT_PROVIDER;
    if provider.install_default().is_err() {
        // Installed already, by an earlier call: the self test below judges whatever is there.
    }
    let key = DecodingKey::from_rsa_components(MODULUS, "AQAB").map_err(|_| CryptoFault::RefusesGood)?;
    let decode = |text| URL_SAFE_NO_PAD.decode(text).map_err(|_| CryptoFault::RefusesGood);
    let (modulus, signature) = (decode(MODULUS)?, decode(SIGNATURE)?);
    let own = Rs256::new(&modulus, &[1, 0, 1]).ok_or(CryptoFault::RefusesGood)?;
    let verify = |message: &[u8]| {
        let other = jsonwebtoken::crypto::verify(SIGNATURE, message, &key, Algorithm::RS256).unwrap_or(false);
        [own.verifies(message, &signature), other]
    };
    if verify(MESSAGE) != [true, true] {
        return Err(CryptoFault::RefusesGood);
    }
    if verify(b"another message") != [false, false] {
        return Err(CryptoFault::AcceptsBad);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::install_crypto;

    #[test]
    fn provider_gives_the_known_answers_however_often_it_is_installed() {
        assert_eq!(install_crypto(), Ok(()));
        assert_eq!(install_crypto(), Ok(()));
    }
}
