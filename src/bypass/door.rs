//! Where the proxy is, and connections to it: plain, or with TLS around the same bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A connection, whatever it goes through.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// The proxy's door.
#[derive(Clone, Debug)]
pub struct Door {
    address: SocketAddr,
    tls: Option<Tls>,
}

#[derive(Clone, Debug)]
struct Tls {
    name: ServerName<'static>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

/// Why nobody can be trusted behind it.
#[derive(Debug, thiserror::Error)]
pub enum DoorFault {
    /// The file holds no certificate.
    #[error("it holds no certificate in PEM")]
    NoCertificate,
    /// A certificate, or the name of the server, is not one.
    #[error("{0}")]
    Unusable(String),
}

impl Door {
    /// A door without TLS.
    #[must_use]
    pub const fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// A door with TLS: the server shows a certificate for `name` from one of the authorities in `pem`.
    ///
    /// # Errors
    /// If nothing can be trusted by that.
    pub fn with_tls(address: SocketAddr, name: &str, pem: &[u8]) -> Result<Self, DoorFault> {
        let unusable = |why: String| DoorFault::Unusable(why);
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(DoorFault::NoCertificate);
        }
        let name = ServerName::try_from(name.to_owned()).map_err(|error| unusable(error.to_string()))?;
        let config = |protocol: &[u8]| {
            let mut config = ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        Ok(Self { address, tls: Some(Tls { name, http1: config(b"http/1.1"), http2: config(b"h2") }) })
    }

    /// A connection, within this time.
    pub(super) async fn connect(&self, version: Version, patience: Duration) -> io::Result<Box<dyn Wire>> {
        timeout(patience, self.open(version)).await?
    }

    async fn open(&self, version: Version) -> io::Result<Box<dyn Wire>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let config = match version {
            Version::Http1 => &tls.http1,
            Version::Http2 => &tls.http2,
        };
        let connector = TlsConnector::from(Arc::clone(config));
        Ok(Box::new(connector.connect(tls.name.clone(), stream).await?))
    }
}

impl std::fmt::Display for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Door;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let fault = |pem: &[u8]| Door::with_tls("127.0.0.1:1".parse().unwrap(), "a", pem).unwrap_err().to_string();
        assert_eq!(fault(b"nothing"), "it holds no certificate in PEM");
        assert!(fault(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").contains("ertificate"));
    }
}
