//! TLS before the listeners of a Gateway: an authority, certificates of it as Secrets, and clients that say in their handshake
//! for which host they come. What they ask for in there is another matter.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::children::until;
use super::raw_http::{Ask, Streams, Wire, probe};
use super::scene::Scene;

/// Who signs certificates, and is trusted for it.
pub(crate) struct Authority {
    roots: RootCertStore,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(params.self_signed(&key).unwrap().der().clone()).unwrap();
        Self { roots, issuer: Issuer::new(params, key) }
    }

    /// A Secret in the namespace of the Gateway with a certificate for these hosts.
    pub(crate) fn secret(&self, name: &str, hosts: &[&str]) -> Value {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name, "namespace": "edge"}, "data": {
                "tls.crt": STANDARD.encode(certificate.pem()), "tls.key": STANDARD.encode(key.serialize_pem())}})
    }

    /// A connection that is opened for this host, and offers these protocols.
    pub(crate) async fn dial(
        &self,
        to: SocketAddr,
        (host, protocols): (&str, &[&str]),
    ) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let mut config = ClientConfig::builder().with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// A port of this machine whose connections go on in such connections. Runs as long as its runtime.
    pub(crate) async fn tunnel(self: &Arc<Self>, to: SocketAddr, host: &str, protocol: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (authority, host) = (Arc::clone(self), Arc::<str>::from(host));
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (authority, host) = (Arc::clone(&authority), Arc::clone(&host));
                tokio::spawn(async move {
                    if let Ok(mut far) = authority.dial(to, (&host, &[protocol])).await {
                        drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                    }
                });
            }
        });
        address
    }
}

/// A client whose connections are opened for one host. It asks for any.
pub(crate) struct Client<'s> {
    scene: &'s Scene,
    http1: SocketAddr,
    pub(crate) http2: SocketAddr,
}

impl<'s> Client<'s> {
    /// One of the listener for TLS of a Gateway.
    pub(crate) async fn of(scene: &'s Scene, authority: &Arc<Authority>, host: &str) -> Self {
        let tunnel = async |protocol| authority.tunnel(scene.secured(), host, protocol).await;
        Self { scene, http1: tunnel("http/1.1").await, http2: tunnel("h2").await }
    }

    /// The outcome over HTTP/1.1; `None` without an answer.
    async fn first(&self, ask: &Ask) -> Option<String> {
        let ask = Ask { probe: probe(), ..ask.clone() };
        let answer = Wire::try_connect(self.http1).await?.send(&ask.bytes()).await?;
        self.scene.judged(&ask, answer.status);
        Some(answer.outcome())
    }

    /// The outcome, which is the same over HTTP/1.1, over HTTP/2, and with more requests on one connection.
    pub(crate) async fn outcome(&self, ask: &Ask) -> String {
        let first = self.first(ask).await.unwrap_or_else(|| panic!("no answer to {ask:?}"));
        let streams = Streams::connect(self.http2).await;
        for again in [ask.clone(), ask.clone()] {
            let again = Ask { probe: probe(), ..again };
            let answer = streams.ask(&again).await;
            self.scene.judged(&again, answer.status);
            assert_eq!(answer.outcome(), first, "over HTTP/2, {ask:?}");
        }
        first
    }

    /// Asks until a request comes out like this.
    pub(crate) async fn becomes(&self, ask: &Ask, outcome: &str) {
        let mut last = None;
        until(&format!("{ask:?} is {outcome}"), async || {
            last = self.first(ask).await;
            (last.as_deref() == Some(outcome)).then_some(())
        })
        .await;
        assert_eq!(self.outcome(ask).await, outcome, "{ask:?}");
    }

    /// Sends what may be answered in any way over HTTP/1.1 and HTTP/2, and fails if the API saw any of it.
    pub(crate) async fn reaches_nothing(&self, ask: &Ask) {
        let ask = Ask { probe: probe(), ..ask.clone() };
        Wire::connect(self.http1).await.send(&ask.bytes()).await;
        drop(Streams::connect(self.http2).await.post(&ask, Bytes::new(), HeaderMap::new()).await);
        assert_eq!(self.scene.upstream.received(&ask.probe).len(), 0, "{ask:?}");
    }
}
