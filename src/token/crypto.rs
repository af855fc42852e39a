//! The one cryptography provider, installed once and proved with a known answer before any token is seen.
//!
//! `jsonwebtoken` panics on the first token if no provider or two of them are compiled in; start-up is the time to
//! find out.

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

/// Installs aws-lc as the provider and tests it. May be called again.
///
/// # Errors
/// [`CryptoFault`] if RS256 does not give the known answers.
pub fn install_crypto() -> Result<(), CryptoFault> {
    let provider: &'static CryptoProvider = &aws_lc::DEFAULT_PROVIDER;
    if provider.install_default().is_err() {
        // Installed already, by an earlier call: the self test below judges whatever is there.
    }
    let key = DecodingKey::from_rsa_components(MODULUS, "AQAB").map_err(|_| CryptoFault::RefusesGood)?;
    let verifies = |message| jsonwebtoken::crypto::verify(SIGNATURE, message, &key, Algorithm::RS256).unwrap_or(false);
    if !verifies(MESSAGE) {
        return Err(CryptoFault::RefusesGood);
    }
    if verifies(b"another message") {
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
