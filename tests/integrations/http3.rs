//! HTTP/3, which Caddy speaks as soon as it speaks TLS: a `CONNECT` with a protocol asks for a WebSocket (RFC 9220), and
//! Caddy makes a `GET` of it for the API, behind a question about `CONNECT`.

use std::net::SocketAddr;
use std::path::Path;

use tokio::process::Command;

use crate::children::{port, scratch};
use crate::edge::Edge;
use crate::proxy_process::{Kind, Slip};
use crate::raw_http::probe;

/// Everybody may, by any method.
const OPEN: &str = "/public/ws";

/// One request over HTTP/3, and the status that answers it.
async fn asked(address: SocketAddr, method: &str, probe: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join(".tools/venv/bin/python");
    assert!(python.exists(), "no Python environment for tests: run `make tools`");
    let mut command = Command::new(python);
    command.arg(root.join("tools/http3.py")).args([
        &address.port().to_string(),
        "same.example.com",
        method,
        OPEN,
        probe,
    ]);
    let output = command.kill_on_drop(true).output().await.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The example with TLS on a second port.
async fn secured(more: &[Slip<'_>]) -> (Edge, SocketAddr) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(["same.example.com".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (directory, address) = (scratch("certificate"), port());
    let file = |name: &str, text: String| {
        std::fs::write(directory.join(name), text).unwrap();
        directory.join(name).display().to_string()
    };
    let (certificate, key) = (file("certificate.pem", certificate.pem()), file("key.pem", key.serialize_pem()));
    let last = "\t\treverse_proxy 127.0.0.1:8000\n\t}\n}\n";
    let tls = format!("https://same.example.com:{} {{\n\ttls {certificate} {key}\n\timport api\n}}\n", address.port());
    let both = format!("{last}http://:10000 {{\n\timport api\n}}\n{tls}");
    let slips = [("auto_https off", "auto_https disable_redirects"), ("http://:10000 {", "(api) {"), (last, &*both)];
    (Edge::careless(Some(Kind::Caddy), &[&slips, more].concat()).await, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connect_reaches_the_api() {
    let no_line: Slip<'_> = ("respond @connect 405", "");
    for (slips, refused) in [(&[][..], "405"), (&[no_line], "400")] {
        let (edge, address) = secured(slips).await;
        let read = probe();
        assert_eq!(asked(address, "GET", &read).await, "200");
        assert_eq!(edge.ground.upstream.received(&read).len(), 1);
        let tunnel = probe();
        assert_eq!(asked(address, "CONNECT", &tunnel).await, refused);
        assert!(edge.ground.upstream.received(&tunnel).is_empty());
    }
}
