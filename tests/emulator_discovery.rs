//! The stand-in's documents have the shapes that validators of Entra tokens rely on.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use entrance::emulator::defaults::{CONTOSO, FABRIKAM};
use entrance::emulator::{Emulator, Fault, FaultOrder, Options, Reach, StartFault, Stats, Target, Tls};
use serde_json::Value;

async fn start() -> Emulator {
    Emulator::start(Options::default()).await.unwrap()
}

async fn get(running: &Emulator, path: &str) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}{path}", running.base_url());
    let response = client.get(url).send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn metadata_names_the_issuer_of_its_version_and_tenant() {
    let running = start().await;
    let base = running.base_url().to_owned();
    let v2 = ".well-known/openid-configuration";
    for (path, issuer) in [
        (format!("/{CONTOSO}/v2.0/{v2}"), format!("{base}/{CONTOSO}/v2.0")),
        (format!("/{CONTOSO}/{v2}"), format!("{base}/{CONTOSO}/")),
        (format!("/fabrikam.onmicrosoft.com/v2.0/{v2}"), format!("{base}/{FABRIKAM}/v2.0")),
        (format!("/common/v2.0/{v2}"), format!("{base}/{{tenantid}}/v2.0")),
        (format!("/organizations/v2.0/{v2}"), format!("{base}/{{tenantid}}/v2.0")),
        (format!("/common/{v2}"), format!("{base}/{{tenantid}}/")),
    ] {
        let (status, document) = get(&running, &path).await;
        assert_eq!((status, &document["issuer"]), (200, &Value::from(issuer)), "{path}");
        let jwks = document["jwks_uri"].as_str().unwrap();
        assert!(jwks.starts_with(&base), "{path}");
        let (status, keys) = get(&running, jwks.strip_prefix(&base).unwrap()).await;
        assert_eq!(status, 200);
        assert_eq!(keys["keys"].as_array().unwrap().len(), 2, "{path}");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn an_application_parameter_reaches_the_keys() {
    let running = start().await;
    let path = "/contoso/v2.0/.well-known/openid-configuration?appid=x";
    let (_, document) = get(&running, path).await;
    let uri = document["jwks_uri"].as_str().unwrap();
    assert!(uri.ends_with("/contoso/discovery/v2.0/keys?appid=x"), "{uri}");
}

#[tokio::test]
async fn only_keys_of_version_two_name_their_issuer() {
    let running = start().await;
    let base = running.base_url();
    for (path, issuer) in [
        (format!("/{CONTOSO}/discovery/v2.0/keys"), Some(format!("{base}/{CONTOSO}/v2.0"))),
        ("/common/discovery/v2.0/keys".into(), Some(format!("{base}/{{tenantid}}/v2.0"))),
        (format!("/{CONTOSO}/discovery/keys"), None),
    ] {
        let (_, document) = get(&running, &path).await;
        for key in document["keys"].as_array().unwrap() {
            assert_eq!(key.get("issuer").and_then(Value::as_str), issuer.as_deref(), "{path}");
            assert_eq!((&key["kty"], &key["use"]), (&"RSA".into(), &"sig".into()));
            assert_eq!(key["kid"], key["x5t"]);
            assert!(key.get("alg").is_none() && key.get("d").is_none());
        }
    }
}

#[tokio::test]
async fn an_unknown_tenant_is_refused_as_entra_does() {
    let running = start().await;
    for path in ["/nobody/v2.0/.well-known/openid-configuration", "/nobody/discovery/v2.0/keys"] {
        let (status, body) = get(&running, path).await;
        assert_eq!((status, &body["error_codes"][0]), (400, &90_002.into()));
        assert!(body["error_description"].as_str().unwrap().starts_with("AADSTS90002: "));
    }
}

#[tokio::test]
async fn faults_begin_and_end_when_ordered() {
    let running = start().await;
    let metadata = "/contoso/v2.0/.well-known/openid-configuration";
    let jwks = "/contoso/discovery/v2.0/keys";
    let order = |target, fault| running.fault(FaultOrder { target, fault });
    order(Target::Metadata, Fault::Error);
    assert_eq!(get(&running, metadata).await.0, 500);
    order(Target::Metadata, Fault::Rubbish);
    assert_eq!(get(&running, metadata).await, (200, Value::Null));
    order(Target::Metadata, Fault::ForeignJwksUri);
    let uri = get(&running, metadata).await.1["jwks_uri"].clone();
    assert!(uri.as_str().unwrap().starts_with("https://keys.attacker.example/"));
    order(Target::Metadata, Fault::None);
    order(Target::Jwks, Fault::NoKeys);
    assert!(get(&running, jwks).await.1["keys"].as_array().unwrap().is_empty());
    order(Target::Jwks, Fault::Slow { ms: 1 });
    assert_eq!(get(&running, jwks).await.1["keys"].as_array().unwrap().len(), 2);
    let counted = Stats { metadata: 3, jwks: 2, token: 0 };
    assert_eq!(running.stats(), counted);
    assert_eq!(get(&running, "/_emulator/stats").await.1["metadata"], 3);
}

#[tokio::test]
async fn it_does_not_listen_on_the_network_unless_told_twice() {
    let options = |reach, tls| Options { listen: ([0, 0, 0, 0], 0).into(), reach, tls, ..Options::default() };
    let refused = Emulator::start(options(Reach::Loopback, Some(Tls::default()))).await;
    assert!(matches!(refused.err(), Some(StartFault::NotLoopback(_))));
    let refused = Emulator::start(options(Reach::Network, None)).await;
    assert!(matches!(refused.err(), Some(StartFault::PlainOnNetwork(_))));
}

#[tokio::test]
async fn clients_that_trust_its_authority_reach_it_over_tls() {
    let options = Options { tls: Some(Tls::default()), ..Options::default() };
    let running = Emulator::start(options).await.unwrap();
    assert!(running.base_url().starts_with("https://127.0.0.1:"));
    let ca = reqwest::Certificate::from_pem(running.ca_pem().unwrap().as_bytes()).unwrap();
    let url = format!("{}/contoso/discovery/v2.0/keys", running.base_url());
    let trusting = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build().unwrap();
    assert_eq!(trusting.get(&url).send().await.unwrap().status(), 200);
    let other = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(other.get(&url).send().await.is_err());
    running.shutdown().await;
}
