//! The controller's certificate: another one in its files is shown to those who connect from then on, without a restart.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "support/server.rs"]
#[expect(dead_code, reason = "checks and health are tested elsewhere")]
mod server;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use entrance::listen::Listen;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use server::Server;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

const DEADLINE: Duration = Duration::from_secs(60);

/// Signs certificates.
struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Writes a pair as kubelet does: a directory of its own, and a link that changes at once.
    fn renew(&self, at: &Path) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        put(at, &certificate.pem(), &key.serialize_pem());
        certificate.der().clone()
    }
}

fn put(at: &Path, certificate: &str, key: &str) {
    let made = tempfile::tempdir_in(at).unwrap().keep();
    std::fs::write(made.join("tls.crt"), certificate).unwrap();
    std::fs::write(made.join("tls.key"), key).unwrap();
    let fresh = at.join("fresh");
    std::os::unix::fs::symlink(&made, &fresh).unwrap();
    std::fs::rename(&fresh, at.join("data")).unwrap();
}

/// The certificate that a new connection is shown.
async fn shown(server: &Server, authority: &Authority) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let Listen::Tcp(address) = &server.listen else { panic!("{}", server.listen) };
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap().first().unwrap().clone().into_owned()
}

/// A kubeconfig of a cluster that is away: the controller delivers nothing, but it shows its certificate.
fn nowhere(directory: &Path) -> String {
    let file = directory.join("kubeconfig");
    let text = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "c", "user": {}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]}"#;
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_never() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let first = authority.renew(directory.path());
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| directory.path().join("data").join(name));
    let kubeconfig = nowhere(directory.path());
    let flags = ["--kubeconfig", &kubeconfig, "--tls-cert", certificate.to_str().unwrap()];
    let flags = [&flags[..], &["--tls-key", key.to_str().unwrap()]].concat();
    let mut server = Server::run("controller", &flags, "xds").await;
    assert_eq!(shown(&server, &authority).await, first);

    let second = authority.renew(directory.path());
    let wait = async {
        while shown(&server, &authority).await != second {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap();

    // a key of another certificate, and no certificate at all
    let stray = KeyPair::generate().unwrap().serialize_pem();
    let text = std::fs::read_to_string(&certificate).unwrap();
    for (certificate, key) in [(text.as_str(), stray.as_str()), ("", stray.as_str())] {
        put(directory.path(), certificate, key);
        server.logged(|line| line["code"] == "certificate_unusable").await;
        assert_eq!(shown(&server, &authority).await, second);
    }
}
