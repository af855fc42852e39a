//! `entrance token inspect` through the program itself.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "support/orders.rs"]
mod orders;
#[path = "support/program.rs"]
mod program;
#[path = "support/signer.rs"]
mod signer;

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use orders::{EXAMPLE, NOW, TENANT, token, user, workload};
use program::{Ran, file, run, run_with};

struct Scene {
    directory: TempDir,
    jwks: String,
    application: String,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let jwks = file(directory.path(), "jwks.json", &orders::jwks());
        let example = Path::new(EXAMPLE).join("application.yaml");
        let application = file(directory.path(), "application.yaml", &std::fs::read_to_string(example).unwrap());
        Self { directory, jwks, application }
    }

    /// Looks at a token that comes on standard input.
    fn inspect(&self, more: &[&str], token: &str) -> Ran {
        let now = NOW.to_string();
        let start = ["token", "inspect", "-", "--jwks", &self.jwks, "--now", &now, "-o", "json"];
        let named: &[&str] = if more.contains(&"--application") { &[] } else { &["--application", &self.application] };
        run_with([&start[..], named, more].concat(), token)
    }

    /// A file with the example's application twice, the second time as `shop/orders-v1` with other fields.
    fn two(&self, changes: &[(&str, &str)]) -> String {
        let first = std::fs::read_to_string(&self.application).unwrap();
        let named = first.replace("name: orders-api", "name: orders-v1");
        let second = changes.iter().fold(named, |text, (from, to)| text.replace(from, to));
        file(self.directory.path(), "two.yaml", &format!("{first}---\n{second}"))
    }
}

#[test]
fn a_token_counts_or_has_one_reason() {
    let scene = Scene::new();
    let none = |claim: &str| token(json!({"roles": ["Orders.Read"], claim: null}));
    let expired = token(json!({"iat": NOW - 9000, "nbf": NOW - 9000, "exp": NOW - 3600}));
    let allow = (0, "allow", 200, "token_verified");
    let deny = |status, reason| (1, "deny", status, reason);
    for (text, expected) in [
        (user(&["Orders.Read"]), allow),
        (format!("\n{}\n\n", user(&[])), allow),
        (workload(&["Orders.Run"]), allow),
        (workload(&[]), deny(403, "role_missing")),
        (String::new(), deny(401, "token_missing")),
        ("a.b".to_owned(), deny(401, "token_malformed")),
        (none("oid"), deny(401, "claim_missing")),
        (token(json!({"aud": "api://orders"})), deny(401, "audience_mismatch")),
        (token(json!({"tid": "22222222-2222-4222-8222-222222222222"})), deny(401, "tenant_not_allowed")),
        (token(json!({"ver": "1.0"})), deny(401, "version_unsupported")),
        (expired, deny(401, "token_expired")),
        (none("azp"), deny(401, "token_not_access_token")),
    ] {
        let ran = scene.inspect(&[], &text);
        let report = ran.json();
        let found = (ran.code, &report["decision"], &report["status"], &report["reason"]);
        let (code, decision, status, reason) = expected;
        assert_eq!(found, (code, &json!(decision), &json!(status), &json!(reason)), "{report}{}", ran.err);
    }
}

#[test]
fn the_report_has_the_keys_of_check_without_those_of_policies() {
    let scene = Scene::new();
    let report = scene.inspect(&[], &user(&["Orders.Read"])).json();
    let keys: Vec<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["caller", "decision", "reason", "status", "trace"]);
    assert_eq!(report["caller"]["tenant"], TENANT);
    let refused = scene.inspect(&[], "rubbish").json();
    assert_eq!(refused["caller"], Value::Null);
}

#[test]
fn a_token_is_never_printed() {
    let scene = Scene::new();
    let good = user(&["Orders.Read"]);
    let bad = format!("{}x", good);
    for text in [&good, &bad] {
        let ran = scene.inspect(&["-o", "text"], text);
        for part in text.split('.') {
            assert!(!ran.out.contains(part) && !ran.err.contains(part), "{}{}", ran.out, ran.err);
        }
    }
}

#[test]
fn one_of_several_applications_is_picked_by_name() {
    let scene = Scene::new();
    let two = scene.two(&[("tokenVersions: [V2]", "tokenVersions: [V1]")]);
    let pick = |name: &str| scene.inspect(&["--application", &format!("{two}{name}")], &user(&["Orders.Read"]));
    assert_eq!(pick("#orders-api").json()["reason"], "token_verified");
    assert_eq!(pick("#shop/orders-v1").json()["reason"], "version_unsupported");
    for (name, part) in [("", "#shop/orders-api"), ("#other", "`other`"), ("#other/orders-api", "`other/orders-api`")] {
        let ran = pick(name);
        assert_eq!(ran.code, 2, "{name}");
        assert!(ran.err.contains(part), "{name}: {}", ran.err);
    }
}

#[test]
fn a_key_that_names_its_issuer_serves_that_one_only() {
    let scene = Scene::new();
    let mut jwks: Value = serde_json::from_str(&orders::jwks()).unwrap();
    let mut with = |issuer: &str| {
        jwks["keys"][0]["issuer"] = json!(issuer);
        let own = file(scene.directory.path(), "own.json", &jwks.to_string());
        let now = NOW.to_string();
        let start =
            ["token", "inspect", "--application", &scene.application, "--now", &now, "-o", "json", "--jwks", &own];
        run_with(start, &user(&["Orders.Read"])).json()["reason"].clone()
    };
    assert_eq!(with(&format!("{}/{{tenantid}}/v2.0", orders::AUTHORITY)), "token_verified");
    assert_eq!(with(&format!("{}/{TENANT}/v2.0", orders::AUTHORITY)), "token_verified");
    assert_eq!(
        with("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"),
        "key_issuer_mismatch"
    );
}

#[test]
fn bad_use_ends_with_2() {
    let scene = Scene::new();
    let broken = scene.two(&[("clientId: aaaaaaaa", "clientId: AAAAAAAA")]);
    let broken = format!("{broken}#orders-v1");
    let text = file(scene.directory.path(), "broken.yaml", "apiVersion: v1\nkind: [\n");
    for (application, part) in [
        (&*text, "broken.yaml:3:1: "),
        ("/does/not/exist.yaml", "/does/not/exist.yaml"),
        (&*broken, "is broken"),
        (&format!("{EXAMPLE}/policy.yaml"), "no EntraApplication"),
    ] {
        let ran = run(["token", "inspect", "rubbish", "--application", application]);
        assert_eq!(ran.code, 2, "{application}: {}", ran.out);
        assert!(ran.err.contains(part), "{application}: {}", ran.err);
    }
    assert_eq!(run(["token", "inspect", "rubbish"]).code, 2);
}
