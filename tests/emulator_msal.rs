//! Microsoft's own client library takes the stand-in for Entra. Needs `.tools/venv`, which `make tools` installs.
#![cfg(feature = "emulator")]

use std::path::Path;

use entrance::emulator::defaults::{CLIENT_SECRET, CONTOSO, JOB_CLIENT};
use entrance::emulator::{Emulator, Options, Tls};
use serde_json::Value;
use tokio::process::Command;

#[tokio::test]
async fn msal_gets_tokens_with_a_secret_and_with_a_certificate() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/bin/python");
    assert!(python.exists(), "no Python environment for tests: run `make tools`");
    let options = Options { tls: Some(Tls::default()), ..Options::default() };
    let emulator = Emulator::start(options).await.unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
    emulator.register(JOB_CLIENT, &certificate).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/msal_check.py"))
        .arg(format!("{}/{CONTOSO}", emulator.base_url()))
        .args([JOB_CLIENT, CLIENT_SECRET, "api://orders/.default"])
        .arg(file("ca.pem", emulator.ca_pem().unwrap()))
        .arg(file("key.pem", &key.serialize_pem()))
        .arg(file("certificate.pem", &certificate))
        .output()
        .await
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let outcomes: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = |pointer: &str| outcomes.pointer(pointer).cloned().unwrap_or_default();
    for way in ["secret", "certificate"] {
        assert_eq!(told(&format!("/{way}/token_type")), "Bearer", "{}", told(&format!("/{way}")));
        assert!(told(&format!("/{way}/access_token")).is_string());
    }
    assert_eq!(told("/wrong/error"), "invalid_client");
    assert_eq!(told("/wrong/error_codes/0"), 7_000_215);
}
