//! The certificate of a port, and how another one takes its place.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::clock::UnixTime;

use super::validity::validity;

/// A certificate with its private key, both PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The certificate, and those between it and its authority.
    pub certificate: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").finish_non_exhaustive()
    }
}

/// Why a certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// The certificate's text.
    #[error("there is no certificate in PEM: {0}")]
    Certificate(String),
    /// The key's text.
    #[error("there is no private key in PEM: {0}")]
    Key(String),
    /// They are no pair, or of a kind that cannot be used.
    #[error("the certificate and its key cannot be used together: {0}")]
    Pair(String),
}

/// What is shown to those who connect.
pub struct Certificate {
    shown: ArcSwap<CertifiedKey>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

impl Certificate {
    /// Shows this one.
    ///
    /// # Errors
    /// [`CertificateFault`].
    pub fn new(pem: &Pem) -> Result<Arc<Self>, CertificateFault> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let shown = ArcSwap::from_pointee(read(pem, &provider)?);
        Ok(Arc::new(Self { shown, provider }))
    }

    /// Shows another one from now on. One that cannot be used changes nothing.
    ///
    /// # Errors
    /// [`CertificateFault`].
    pub fn replace(&self, pem: &Pem) -> Result<(), CertificateFault> {
        self.shown.store(Arc::new(read(pem, &self.provider)?));
        Ok(())
    }

    /// When the one that is shown ends.
    #[must_use]
    pub fn until(&self) -> Option<UnixTime> {
        validity(self.shown.load().cert.first()?).map(|(_, until)| until)
    }

    /// Shakes hands with this certificate, whichever it is at that moment, for these protocols.
    ///
    /// # Errors
    /// [`CertificateFault::Pair`]: the provider of cryptography cannot speak TLS.
    pub fn acceptor(self: &Arc<Self>, protocols: &[&[u8]]) -> Result<TlsAcceptor, CertificateFault> {
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| CertificateFault::Pair(error.to_string()))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Shown(Arc::clone(self))));
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

#[derive(Debug)]
struct Shown(Arc<Certificate>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.shown.load_full())
    }
}

fn read(pem: &Pem, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateFault> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.certificate).collect();
    let chain = chain.map_err(|error| CertificateFault::Certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(CertificateFault::Certificate("it has no `BEGIN CERTIFICATE`".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| CertificateFault::Key(error.to_string()))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| CertificateFault::Pair(error.to_string()))
}
