//! `entrance check` through the program itself: what it decides, what it prints, how it ends.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "support/orders.rs"]
mod orders;
#[path = "support/program.rs"]
mod program;
#[path = "support/signer.rs"]
mod signer;

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use entrance::files::yaml;
use serde_json::{Value, json};
use tempfile::TempDir;

use orders::{AUTHORITY, EXAMPLE, NOW, token, user, workload};
use program::{Ran, file, run, run_with};

/// A directory with the keys that sign, and the arguments that every run has.
struct Scene {
    directory: TempDir,
    jwks: String,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let jwks = file(directory.path(), "jwks.json", &orders::jwks());
        Self { directory, jwks }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A directory of policies with this one file.
    fn policies(&self, text: &str) -> String {
        let directory = self.path().join("policies");
        fs::create_dir_all(&directory).unwrap();
        file(&directory, "policy.yaml", text);
        directory.to_str().unwrap().to_owned()
    }

    /// Decides offline, with the token on standard input if there is one.
    fn check(&self, policies: &str, arguments: &[&str], token: Option<&str>) -> Ran {
        let now = NOW.to_string();
        let mut all = vec!["check", "--policies", policies, "--jwks", &self.jwks, "--now", &now];
        if token.is_some() {
            all.extend(["--token", "-"]);
        }
        all.extend(arguments);
        run_with(all, token.unwrap_or_default())
    }
}

/// The token of a case.
fn presented(case: &Value) -> Option<String> {
    match (&case["token"], case["workload"].as_array()) {
        (Value::Null, None) => None,
        (Value::String(text), None) => Some(text.clone()),
        (changes, None) => Some(token(changes.clone())),
        (_, Some(roles)) => Some(workload(&roles.iter().map(|role| role.as_str().unwrap()).collect::<Vec<_>>())),
    }
}

#[test]
fn decisions_come_out_as_the_table_says() {
    let scene = Scene::new();
    let cases = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/check.yaml")).unwrap();
    let cases = yaml::parse(&cases).unwrap().remove(0).body;
    for case in cases.as_array().unwrap() {
        let arguments: Vec<_> =
            case["arguments"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        let ran = scene.check(EXAMPLE, &[&arguments[..], &["-o", "json"]].concat(), presented(case).as_deref());
        let report = ran.json();
        let mut found = json!({"exit": ran.code});
        for key in ["decision", "status", "reason", "route", "clause"] {
            found[key] = report[key].clone();
        }
        assert_eq!(found, case["expect"], "{}: {report}{}", case["name"], ran.err);
        let policy = if report["route"].is_null() { Value::Null } else { json!("shop/orders") };
        assert_eq!(report["policy"], policy, "{}", case["name"]);
    }
}

#[test]
fn grants_and_revocations_count_offline_too() {
    let scene = Scene::new();
    let spoken =
        ["application.yaml", "policy.yaml"].map(|name| fs::read_to_string(format!("{EXAMPLE}/{name}")).unwrap());
    let with = |kind: &str, spec: &str| {
        let more =
            format!("apiVersion: entrance.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: it, namespace: shop}}\n");
        scene.policies(&format!("{}\n---\n{}\n---\n{more}spec: {spec}\n", spoken[0], spoken[1]))
    };
    let arguments = ["--url", "https://orders.example.com/orders/7", "-o", "json"];
    let decide = |policies: &str, roles: &[&str]| scene.check(policies, &arguments, Some(&user(roles))).json();
    let subject = "cccccccc-0000-4000-8000-000000000002";
    let grant = format!(
        "{{policyRef: {{name: orders}}, subject: {{tenant: {}, oid: {subject}}}, roles: [Orders.Read], \
         expiresAt: '2100-01-01T00:00:00Z', approved: true}}",
        orders::TENANT
    );
    assert_eq!(decide(EXAMPLE, &[])["decision"], "deny");
    let lent = decide(&with("AccessGrant", &grant), &[]);
    assert_eq!((&lent["decision"], &lent["caller"]["roles"]), (&json!("allow"), &json!(["Orders.Read"])));
    let steps = lent["trace"].as_array().unwrap();
    let step = json!({"stage": "grant", "subject": "shop/it", "outcome": "lends Orders.Read"});
    assert!(steps.contains(&step), "{lent}");
    let revocation = format!(
        "{{applicationRef: {{name: orders-api}}, match: {{oid: {subject}}}, issuedBefore: '2100-01-01T00:00:00Z'}}"
    );
    assert_eq!(decide(EXAMPLE, &["Orders.Read"])["decision"], "allow");
    let refused = decide(&with("TokenRevocation", &revocation), &["Orders.Read"]);
    assert_eq!((&refused["decision"], &refused["reason"]), (&json!("deny"), &json!("token_revoked")));
}

#[test]
fn an_expectation_makes_the_exit_code() {
    let scene = Scene::new();
    let reader = user(&["Orders.Read"]);
    let read = ["--url", "https://orders.example.com/orders/7"];
    let write = ["--url", "https://orders.example.com/orders", "--method", "POST"];
    let expect =
        |request: &[&str], expected| scene.check(EXAMPLE, &[request, &["--expect", expected]].concat(), Some(&reader));
    for (request, expected, code) in [
        (&read[..], "allow", 0),
        (&read, "deny", 1),
        (&read, "role_missing", 1),
        (&write, "deny", 0),
        (&write, "role_missing", 0),
        (&write, "scope_missing", 1),
        (&write, "unavailable", 1),
        (&write, "allow", 1),
        (&write, "rolle_missing", 2),
    ] {
        assert_eq!(expect(request, expected).code, code, "{request:?} {expected}");
    }
    let surprised = expect(&write, "allow").err;
    assert_eq!(surprised.trim_end(), "error: expected `allow`, the decision is `deny`: role_missing");
}

#[test]
fn the_report_has_exactly_the_keys_that_are_promised() {
    let scene = Scene::new();
    let arguments = ["--url", "https://orders.example.com/orders/7", "-o", "json"];
    let report = scene.check(EXAMPLE, &arguments, Some(&user(&["Orders.Read"]))).json();
    let keys: Vec<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
    let promised = ["caller", "clause", "decision", "generation", "policy", "reason", "route", "status", "trace"];
    assert_eq!(keys, promised);
    let caller = json!({
        "tenant": orders::TENANT, "subject": "cccccccc-0000-4000-8000-000000000002",
        "client": "bbbbbbbb-0000-4000-8000-000000000001", "kind": "user",
        "roles": ["Orders.Read"], "scopes": ["orders.read", "orders.write"],
    });
    assert_eq!((&report["caller"], &report["generation"]), (&caller, &json!(1)));
    let steps = report["trace"].as_array().unwrap();
    let stages: Vec<_> = steps.iter().map(|step| step["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["host", "policy", "path", "route", "token", "clause", "clause", "clause", "decision"]);
    assert_eq!(steps[7]["outcome"], "does not hold (callers: yes, groups: no, scopes: yes)");
}

#[test]
fn people_read_the_decision_first_and_the_trace_below() {
    let scene = Scene::new();
    let arguments = ["--method", "POST", "--url", "https://orders.example.com/orders"];
    let token = user(&["Orders.Read"]);
    let ran = scene.check(EXAMPLE, &arguments, Some(&token));
    let mut lines = ran.out.lines();
    assert_eq!(lines.next(), Some("DENY 403 role_missing: a required role is missing"));
    for part in [
        "decided by  shop/orders, route create-order, allow[0]",
        "caller      user cccccccc-0000-4000-8000-000000000002",
        "clause      allow[0]: does not hold (callers: yes, roles: no, scopes: yes)",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    assert!(!ran.out.contains(token.split('.').next().unwrap()) && ran.err.is_empty(), "{}{}", ran.out, ran.err);
}

#[test]
fn keys_from_a_file_need_no_network() {
    let scene = Scene::new();
    let authority = TcpListener::bind("127.0.0.1:0").unwrap();
    authority.set_nonblocking(true).unwrap();
    let base = format!("http://{}", authority.local_addr().unwrap());
    let text = ["application.yaml", "policy.yaml"].map(|name| example(name, &base)).join("---\n");
    let policies = scene.policies(&text);
    let issuer = format!("{base}/{}/v2.0", orders::TENANT);
    let token = token(json!({"iss": issuer, "roles": ["Orders.Read"]}));
    let ran = scene.check(&policies, &["--url", "https://orders.example.com/orders/7"], Some(&token));
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(authority.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// One of the example's files, for another authority.
fn example(name: &str, authority: &str) -> String {
    fs::read_to_string(Path::new(EXAMPLE).join(name)).unwrap().replace(AUTHORITY, authority)
}

#[test]
fn an_authority_that_does_not_answer_makes_it_unavailable_and_is_named() {
    let scene = Scene::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let base = format!("http://{closed}");
    let policies = scene.policies(&["application.yaml", "policy.yaml"].map(|name| example(name, &base)).join("---\n"));
    let issuer = format!("{base}/{}/v2.0", orders::TENANT);
    let token = file(scene.path(), "token", &token(json!({"iss": issuer, "roles": ["Orders.Read"]})));
    let now = NOW.to_string();
    let url = "https://orders.example.com/orders/7";
    let ran = run(["check", "--policies", &policies, "--url", url, "--token", &token, "--now", &now, "-o", "json"]);
    let report = ran.json();
    let found = (ran.code, &report["decision"], &report["status"], &report["reason"]);
    assert_eq!(found, (1, &json!("unavailable"), &json!(503), &json!("keys_unavailable")));
    assert!(ran.err.contains(&format!("no signing keys from {base}")), "{}", ran.err);
}

#[test]
fn what_is_broken_is_warned_of_and_denies() {
    let scene = Scene::new();
    let text = example("policy.yaml", AUTHORITY).replace("path: /orders/{id}\n", "path: /orders/{id\n");
    let policies = scene.policies(&format!("{}---\n{text}", example("application.yaml", AUTHORITY)));
    let ran = scene.check(&policies, &["--url", "https://orders.example.com/healthz", "-o", "json"], None);
    assert_eq!((ran.code, &ran.json()["reason"]), (1, &json!("policy_invalid")), "{}", ran.err);
    let place = ran.err.lines().find(|line| line.starts_with("warning: ")).unwrap();
    assert!(place.contains("policy.yaml:") && place.contains("spec.routes[2].path"), "{place}");
}

#[test]
fn bad_use_ends_with_2_and_says_what_to_do() {
    let scene = Scene::new();
    let broken = scene.policies("apiVersion: entrance.dev/v1alpha1\nkind: [AccessPolicy\n");
    let rubbish = file(scene.path(), "rubbish.json", "{}");
    let url = ["--url", "https://orders.example.com/"];
    let with = |more: &'static [&'static str]| [&["--policies", EXAMPLE], &url[..], more].concat();
    let cases: [(Vec<&str>, &str); 12] = [
        (vec!["--policies", EXAMPLE], "--url"),
        (vec!["--policies", "/does/not/exist", url[0], url[1]], "/does/not/exist"),
        (vec!["--policies", &broken, url[0], url[1]], "policy.yaml:"),
        (vec!["--policies", EXAMPLE, url[0], url[1], "--jwks", &rubbish], "`keys`"),
        (vec!["--policies", EXAMPLE, "--url", "orders.example.com/"], "https://"),
        (with(&["--header", "no colon"]), "Name: value"),
        (with(&["--now", "yesterday"]), "RFC 3339"),
        (with(&["--token", "/does/not/exist"]), "--token"),
        (with(&["--pin-host", "orders.example.com"]), "HOST=NAMESPACE"),
        (with(&["--workload-label", "a=b"]), "--workload-namespace"),
        (with(&["-o", "xml"]), "json"),
        (with(&["--unknown"]), "--unknown"),
    ];
    for (arguments, part) in cases {
        let ran = run([&["check"], &arguments[..]].concat());
        assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(part) && ran.out.is_empty(), "{arguments:?}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn a_pinned_host_and_a_selector_count_as_they_do_for_a_server() {
    let scene = Scene::new();
    let sidecar =
        example("policy.yaml", AUTHORITY).replace("  hosts:", "  selector: {matchLabels: {app: orders}}\n  hosts:");
    let policies = scene.policies(&format!("{}---\n{sidecar}", example("application.yaml", AUTHORITY)));
    let reason = |more: &[&str]| {
        let arguments = [&["--url", "https://orders.example.com/healthz", "-o", "json"], more].concat();
        scene.check(&policies, &arguments, None).json()["reason"].clone()
    };
    assert_eq!(reason(&[]), "no_policy_for_host");
    assert_eq!(reason(&["--workload-namespace", "shop", "--workload-label", "app=orders"]), "anonymous_route");
    assert_eq!(reason(&["--workload-namespace", "shop", "--workload-label", "app=other"]), "no_policy_for_host");
    let pinned = scene.check(
        EXAMPLE,
        &["--url", "https://orders.example.com/healthz", "--pin-host", "orders.example.com=billing", "-o", "json"],
        None,
    );
    assert_eq!(pinned.json()["reason"], "no_policy_for_host");
    assert!(pinned.err.contains("HostOwnedElsewhere"), "{}", pinned.err);
}

#[test]
fn shadow_policies_let_pass_and_the_trace_says_what_they_would_have_done() {
    let scene = Scene::new();
    let text = example("policy.yaml", AUTHORITY).replace("spec:\n", "spec:\n  mode: Shadow\n");
    let policies = scene.policies(&format!("{}---\n{text}", example("application.yaml", AUTHORITY)));
    let arguments = ["--method", "POST", "--url", "https://orders.example.com/orders", "-o", "json"];
    let ran = scene.check(&policies, &arguments, Some(&user(&["Orders.Read"])));
    let report = ran.json();
    assert_eq!((ran.code, &report["reason"]), (0, &json!("shadow_only")), "{}", ran.err);
    let shadow = report["trace"].as_array().unwrap().iter().find(|step| step["stage"] == "shadow").unwrap();
    let expected = json!({
        "stage": "shadow", "subject": "shop/orders: create-order", "outcome": "would be deny: role_missing",
    });
    assert_eq!(*shadow, expected);
}

/// Keys over the network, from the stand-in.
#[cfg(feature = "emulator")]
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_discovered_without_a_file() {
    use entrance::emulator::{Emulator, MintRequest, Options, Rotation};

    let emulator = Emulator::start(Options::default()).await.unwrap();
    let scene = Scene::new();
    let files = ["application.yaml", "policy.yaml"].map(|name| example(name, emulator.base_url()));
    let policies = scene.policies(&files.join("---\n"));
    let check = |name: &str, order: Value| {
        let order: MintRequest = serde_json::from_value(order).unwrap();
        let token = file(scene.path(), name, &emulator.mint(&order).unwrap());
        run([
            "check",
            "--policies",
            &policies,
            "--url",
            "https://orders.example.com/orders/7",
            "--token",
            &token,
            "-o",
            "json",
        ])
    };
    let allowed = check("bob", json!({"user": "bob"}));
    assert_eq!((allowed.code, &allowed.json()["reason"]), (0, &json!("allow_entry_matched")), "{}", allowed.err);
    emulator.rotate(Rotation::default()).await.unwrap();
    assert_eq!(check("rotated", json!({"user": "bob"})).code, 0);
    let forged = check("forged", json!({"user": "bob", "sign_with": "forged"}));
    assert_eq!((forged.code, &forged.json()["reason"]), (1, &json!("signature_invalid")));
    let before = emulator.stats().metadata;
    let anonymous = run(["check", "--policies", &policies, "--url", "https://orders.example.com/healthz"]);
    assert_eq!((anonymous.code, emulator.stats().metadata), (0, before), "no token, no question");
}

#[test]
fn what_a_policy_is_attached_to_counts_offline_too() {
    let scene = Scene::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gateway-api");
    let decide = |policies: &str, url: &str| {
        let ran = scene.check(policies, &["--url", url, "-o", "json"], None);
        let report = ran.json();
        (report["reason"].as_str().unwrap().to_owned(), report["policy"].clone(), ran.err)
    };
    let (reason, policy, told) = decide(example, "https://orders.example.com/orders/7");
    assert_eq!((&*reason, policy, &*told), ("token_missing", json!("shop/orders"), ""));
    let (reason, ..) = decide(example, "https://other.example.com/orders/7");
    assert_eq!(reason, "no_policy_for_host");

    // Without its route the policy counts for nothing, and says so with its place.
    let alone = scene.policies(&fs::read_to_string(format!("{example}/policy.yaml")).unwrap());
    let (reason, policy, told) = decide(&alone, "https://orders.example.com/healthz");
    assert_eq!((&*reason, policy), ("no_policy_for_host", Value::Null));
    assert!(
        told.contains("policy.yaml:15:5: AccessPolicy shop/orders: spec.targetRefs[0]: refers to HTTPRoute"),
        "{told}"
    );
}
