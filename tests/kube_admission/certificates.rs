//! Certificates: our own in a Secret, made by one of two, renewed under traffic, known to the API server and the
//! controller; and those of files.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entrance::listen::Listen;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::api_server::{ADA, ADMIN, ApiServer};
use super::scene::{self, DEADLINE, Scene, application};
use super::server::Server;

/// The certificate that a new connection is shown, if this authority vouches for it.
async fn shown(server: &Server, bundle: &[u8]) -> Option<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let Listen::Tcp(address) = &server.listen else { panic!("{}", server.listen) };
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect("127.0.0.1".try_into().unwrap(), stream).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?.first()?.clone().into_owned())
}

async fn kept(scene: &Scene, member: &str) -> Vec<u8> {
    let secret = scene
        .send(("GET", &format!("/api/v1/namespaces/{}/secrets/certificates", scene.system), ADMIN), &Value::Null)
        .await
        .taken()
        .body;
    STANDARD.decode(secret["data"][member].as_str().unwrap()).unwrap()
}

/// Renewed when a third is left: that is what a busy machine has for it.
const LIFETIME: &str = "24s";

#[tokio::test(flavor = "multi_thread")]
async fn our_own_certificate_is_renewed_under_traffic_and_all_replicas_show_it() {
    let scene = Scene::keeping("keeping", LIFETIME).await;
    let flags = Scene::keeping_flags(&scene.system, &scene.namespace, LIFETIME);
    let second = Scene::webhook(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    second.becomes(|status, _| status == 200).await;
    let kubeconfig = scene.server.kubeconfig(ADMIN);
    let lease = ["--lease-namespace", &scene.system, "--cert-secret", "certificates"];
    let flags = [&["--kubeconfig", kubeconfig.to_str().unwrap()], &lease[..]].concat();
    let controller = Server::run("controller", &flags, "xds").await;
    controller.becomes(|status, _| status == 200).await;
    let bundle = kept(&scene, "ca.crt").await;
    let (_, page) = scene.webhook.admin("/metrics").await;
    let left = page.lines().find_map(|line| line.strip_prefix("entrance_certificate_left_seconds "));
    assert!((-1..=24).contains(&left.unwrap().parse::<i64>().unwrap()), "{left:?}");
    let configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let at = format!("{configurations}/{}", scene.namespace);
    let configuration = scene.send(("GET", &at, ADMIN), &Value::Null).await.taken().body;
    for hook in configuration["webhooks"].as_array().unwrap() {
        assert_eq!(STANDARD.decode(hook["clientConfig"]["caBundle"].as_str().unwrap()).unwrap(), bundle);
    }
    // requests flow; meanwhile all of them show another certificate, twice
    let mut last = Vec::new();
    let mut renewals = 0;
    let traffic = async {
        while renewals < 3 {
            let at = scene.at("entraapplications?dryRun=All");
            scene.send(("POST", &at, ADA), &application()).await.taken();
            let found = [
                shown(&scene.webhook, &bundle).await.unwrap(),
                shown(&second, &bundle).await.unwrap(),
                shown(&controller, &bundle).await.unwrap(),
            ];
            if found.iter().all(|one| *one == found[0]) && !last.contains(&found[0]) {
                last.push(found[0].clone());
                renewals += 1;
            }
        }
    };
    timeout(DEADLINE * 3, traffic).await.unwrap();
    assert_eq!(kept(&scene, "ca.crt").await, bundle, "one authority for all of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_somebody_took_away_is_told_again() {
    let scene = Scene::keeping("told", "2160h").await;
    let at = format!("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{}", scene.namespace);
    let configuration = scene.send(("GET", &at, ADMIN), &Value::Null).await.taken().body;
    let mut hooks = configuration["webhooks"].clone();
    let bundle = hooks[0]["clientConfig"].as_object_mut().unwrap().remove("caBundle").unwrap();
    scene.send(("PATCH", &at, ADMIN), &json!({"webhooks": hooks})).await.taken();
    let wait = async {
        loop {
            let found = scene.send(("GET", &at, ADMIN), &Value::Null).await.taken().body;
            if found["webhooks"][0]["clientConfig"]["caBundle"] == bundle {
                return;
            }
            sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_again_when_they_change() {
    let scene = Scene::new("files", &[]).await;
    let (certificate, key, ca) = scene::certificate(scene.directory.path(), "other");
    assert!(shown(&scene.webhook, ca.as_bytes()).await.is_none(), "another authority");
    for (from, to) in [(&certificate, "server.pem"), (&key, "server.key")] {
        std::fs::rename(from, scene.directory.path().join(to)).unwrap();
    }
    let wait = async {
        while shown(&scene.webhook, ca.as_bytes()).await.is_none() {
            sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_secret_a_webhook_is_not_ready_and_says_why() {
    let namespace = ApiServer::shared().await.namespace("bare").await;
    let flags = Scene::keeping_flags(&namespace, "none", "9s");
    let mut webhook = Scene::webhook(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let said = webhook.logged(|line| line["code"] == "certificate_secret_failed").await;
    let wanted = format!("there is no Secret `{namespace}/certificates`; create an empty one, which is filled then");
    assert_eq!(said["problem"], wanted);
    assert_eq!(webhook.ready().await.0, 503);
}
