//! `entrance serve` as a process: before and after it is ready, while its files and its keys change, and its end.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "support/program.rs"]
#[expect(dead_code, reason = "runs to the end only")]
mod program;
#[path = "support/server.rs"]
mod server;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use entrance::emulator::{self, Emulator, Fault, FaultOrder, MintRequest, Target};
use entrance::listen::Listen;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use tonic::transport::Endpoint;
use tonic_health::pb::health_check_response::ServingStatus;

use program::run;
use server::{DEADLINE, Server, ask};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/orders");
const ORDER: (&str, &str) = ("GET", "/orders/7");

/// The example's policies in a directory of their own, with a stand-in for their authority.
struct Scene {
    emulator: Emulator,
    directory: TempDir,
    policies: PathBuf,
}

impl Scene {
    async fn new() -> Self {
        let emulator = Emulator::start(emulator::Options::default()).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let policies = directory.path().join("policies");
        fs::create_dir(&policies).unwrap();
        let scene = Self { emulator, directory, policies };
        for name in ["application.yaml", "policy.yaml"] {
            scene.put(name, &scene.example(name));
        }
        scene
    }

    fn example(&self, name: &str) -> String {
        let text = fs::read_to_string(Path::new(EXAMPLE).join(name)).unwrap();
        text.replace("http://127.0.0.1:8080", self.emulator.base_url())
    }

    /// Writes a file in one step.
    fn put(&self, name: &str, text: &str) {
        let draft = self.directory.path().join("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.policies.join(name)).unwrap();
    }

    /// Denies everybody on the route that reads orders.
    fn close(&self) {
        let text = self.example("policy.yaml");
        let route = "  - name: read-order\n";
        self.put("policy.yaml", &text.replace(route, &format!("{route}    deny: [{{callers: Any}}]\n")));
    }

    fn token(&self, order: Value) -> String {
        let order: MintRequest = serde_json::from_value(order).unwrap();
        self.emulator.mint(&order).unwrap()
    }

    fn bob(&self) -> String {
        self.token(json!({"user": "bob"}))
    }

    fn jwks(&self, fault: Fault) {
        self.emulator.fault(FaultOrder { target: Target::Jwks, fault });
    }

    async fn start(&self, more: &[&str]) -> Server {
        Server::start(&self.policies, more).await
    }

    /// Starts a server and waits until it is ready.
    async fn ready(&self, more: &[&str]) -> Server {
        let server = self.start(more).await;
        server.becomes(|status, _| status == 200).await;
        server
    }
}

fn condition<'b>(body: &'b Value, name: &str) -> &'b Value {
    let conditions = body["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|condition| condition["name"].as_str().unwrap().starts_with(name));
    found.unwrap_or_else(|| panic!("no condition {name}: {body}"))
}

fn message(condition: &Value) -> &str {
    condition["message"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_what_it_enforces_and_enforces_it() {
    let scene = Scene::new().await;
    let mut server = scene.ready(&[]).await;
    let loaded = server.logged(|line| line["message"] == "policies loaded").await;
    let counted = ["generation", "hosts", "policies", "routes", "applications", "faults"].map(|name| &loaded[name]);
    assert_eq!(counted, [&json!(1), &json!(1), &json!(1), &json!(7), &json!(1), &json!(0)]);
    assert_eq!(server.health().await, ServingStatus::Serving);
    let (_, body) = server.ready().await;
    assert_eq!(message(condition(&body, "policies")), "generation 1");
    let keys = condition(&body, &format!("keys/{}/", scene.emulator.base_url()));
    assert!(message(keys).starts_with("2 keys, fetched "), "{keys}");
    let channel = server.channel().await;
    assert_eq!(ask(&channel, ORDER, None).await, (401, "token_missing".into()));
    assert_eq!(ask(&channel, ORDER, Some(&scene.bob())).await.0, 200);
    let (_, metrics) = server.admin("/metrics").await;
    assert!(metrics.contains("entrance_snapshot_generation 1\n"), "{metrics}");
    let (_, snapshot) = server.admin("/debug/snapshot").await;
    let snapshot: Value = serde_json::from_str(&snapshot).unwrap();
    assert_eq!(snapshot["hosts"], json!([{"host": "orders.example.com", "poison": null, "policies": ["shop/orders"]}]));
    let health = json!({
        "name": "health", "path": "/healthz", "methods": ["GET"], "access": "anonymous", "allow": 0, "deny": 0, "poison": null,
    });
    assert_eq!((&snapshot["policies"][0]["routes"][0], &snapshot["policies"][0]["deny"]), (&health, &json!(1)));
    assert_eq!(snapshot["applications"][0]["name"], "shop/orders-api");
    assert_eq!((&snapshot["generation"], &snapshot["faults"]), (&json!(1), &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_policies_nothing_is_decided_until_they_can_be_read() {
    let scene = Scene::new().await;
    let good = scene.example("policy.yaml");
    scene.put("policy.yaml", &good.replace("spec:\n", "spec: [\n"));
    let mut server = scene.start(&[]).await;
    server.logged(|line| line["level"] == "ERROR" && line.to_string().contains("policy.yaml:")).await;
    let body = server.becomes(|_, body| message(condition(body, "policies")).contains("policy.yaml:")).await;
    assert_eq!((server.ready().await.0, &body["ready"]), (503, &json!(false)));
    assert_eq!(server.admin("/livez").await.0, 200);
    assert_eq!(server.health().await, ServingStatus::NotServing);
    let channel = server.channel().await;
    assert_eq!(ask(&channel, ORDER, Some(&scene.bob())).await, (503, "policy_unavailable".into()));
    scene.put("policy.yaml", &good);
    server.becomes(|status, _| status == 200).await;
    assert_eq!(ask(&channel, ORDER, Some(&scene.bob())).await.0, 200);
    assert_eq!(server.health().await, ServingStatus::Serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_enforced_live_and_a_comment_makes_no_generation() {
    let scene = Scene::new().await;
    let mut server = scene.ready(&[]).await;
    let channel = server.channel().await;
    let bob = scene.bob();
    assert_eq!(ask(&channel, ORDER, Some(&bob)).await.0, 200);
    let text = scene.example("policy.yaml");
    scene.put("policy.yaml", &format!("# A comment.\n{text}"));
    // A file of its own tells when the comment was seen: its name would come first in the message.
    scene.put("a.yaml", "- broken");
    server.becomes(|_, body| message(condition(body, "policies")).contains("a.yaml")).await;
    assert_eq!(ask(&channel, ORDER, Some(&bob)).await.0, 200);
    fs::remove_file(scene.policies.join("a.yaml")).unwrap();
    server.becomes(|_, body| message(condition(body, "policies")) == "generation 1").await;
    scene.close();
    let loaded = server.logged(|line| line["message"] == "policies loaded" && line["generation"] != 1).await;
    assert_eq!(loaded["generation"], 2);
    assert_eq!(ask(&channel, ORDER, Some(&bob)).await, (403, "deny_entry_matched".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_keeps_the_rules_and_a_broken_object_denies_what_it_covers() {
    let scene = Scene::new().await;
    let mut server = scene.ready(&[]).await;
    let channel = server.channel().await;
    let text = scene.example("policy.yaml");
    scene.put("policy.yaml", &text.replace("spec:\n", "spec: [\n"));
    server.logged(|line| line["level"] == "ERROR" && line.to_string().contains("policy.yaml:")).await;
    let body = server.becomes(|_, body| message(condition(body, "policies")).contains("policy.yaml:")).await;
    assert!(message(condition(&body, "policies")).starts_with("generation 1 stands"), "{body}");
    assert_eq!(server.ready().await.0, 200);
    assert_eq!(ask(&channel, ORDER, Some(&scene.bob())).await.0, 200);
    let (_, snapshot) = server.admin("/debug/snapshot").await;
    assert!(snapshot.contains("policy.yaml:") && snapshot.contains("\"generation\":1"), "{snapshot}");

    scene.put("policy.yaml", &text.replace("methods: [POST]", "methods: [post it]"));
    let line = text.lines().position(|line| line.contains("methods: [POST]")).unwrap() + 1;
    let fault = server.logged(|line| line["level"] == "WARN" && line.to_string().contains("methods")).await;
    assert!(fault.to_string().contains(&format!("policy.yaml:{line}:")), "{fault}");
    server.becomes(|_, body| message(condition(body, "policies")).starts_with("generation 2, with faults")).await;
    assert_eq!(ask(&channel, ("POST", "/orders"), Some(&scene.bob())).await, (403, "policy_invalid".into()));
    assert_eq!(ask(&channel, ORDER, Some(&scene.bob())).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_never_came_make_it_unready_and_stale_ones_do_not() {
    let scene = Scene::new().await;
    scene.jwks(Fault::Error);
    let server = scene.start(&[]).await;
    let body = server.becomes(|_, body| body.to_string().contains("fetch_failed")).await;
    assert_eq!((server.ready().await.0, &condition(&body, "policies")["ready"]), (503, &json!(true)));
    assert_eq!((&condition(&body, "keys/")["ready"], server.health().await), (&json!(false), ServingStatus::Serving));
    let channel = server.channel().await;
    assert_eq!(ask(&channel, ORDER, Some(&scene.bob())).await, (503, "keys_unavailable".into()));
    assert_eq!(ask(&channel, ("GET", "/healthz"), None).await.0, 200);
    scene.jwks(Fault::None);
    server.becomes(|status, _| status == 200).await;
    assert_eq!(ask(&channel, ORDER, Some(&scene.bob())).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_ready_a_source_that_fails_or_is_new_takes_nobody_away() {
    let scene = Scene::new().await;
    let server = scene.ready(&[]).await;
    let channel = server.channel().await;
    scene.jwks(Fault::Rubbish);
    let unknown = scene.token(json!({"user": "bob", "sign_with": "unlisted"}));
    assert_eq!(ask(&channel, ORDER, Some(&unknown)).await, (503, "keys_unavailable".into()));
    let body = server.becomes(|_, body| body.to_string().contains("stale: jwks_rejected")).await;
    assert_eq!((&body["ready"], ask(&channel, ORDER, Some(&scene.bob())).await.0), (&json!(true), 200));

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let other = scene.example("application.yaml").replace("name: orders-api", "name: other-api");
    scene.put("other.yaml", &other.replace(scene.emulator.base_url(), &format!("http://{closed}")));
    let name = format!("keys/http://{closed}/");
    let body = server.becomes(|_, body| body.to_string().contains(&name)).await;
    assert!(message(condition(&body, &name)).starts_with("no keys, so its tokens are answered 503"), "{body}");
    assert_eq!(server.ready().await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_requests_finish_writes_the_log_out_and_ends_with_0() {
    let scene = Scene::new().await;
    let log = scene.directory.path().join("audit.log");
    let sink = format!("file:{}", log.display());
    let mut server = scene.ready(&["--audit", &sink, "--drain-delay", "0"]).await;
    let channel = server.channel().await;
    assert_eq!(ask(&channel, ORDER, Some(&scene.bob())).await.0, 200);
    scene.jwks(Fault::Slow { ms: 700 });
    let unknown = scene.token(json!({"user": "bob", "sign_with": "unlisted"}));
    let waiting = tokio::spawn(async move { ask(&channel, ORDER, Some(&unknown)).await });
    let asked = async {
        while scene.emulator.stats().jwks < 2 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, asked).await.unwrap();
    server.signal("TERM").await;
    assert_eq!(waiting.await.unwrap(), (401, "kid_unknown".into()));
    assert_eq!(server.end().await, 0);
    let lines = fs::read_to_string(&log).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_end_before_the_audit_log_is_written_out() {
    let scene = Scene::new().await;
    let mut server = scene.ready(&["--audit", "stdout"]).await;
    let channel = server.channel().await;
    // More than the pipe holds, so that the writer has to wait for a reader.
    for _ in 0..600 {
        ask(&channel, ORDER, None).await;
    }
    server.signal("TERM").await;
    let early = timeout(Duration::from_millis(500), server.end()).await;
    assert!(early.is_err(), "it ended with records in its hands");
    let mut log = String::new();
    server.out.take().unwrap().read_to_string(&mut log).await.unwrap();
    assert_eq!(log.lines().count(), 600);
    assert_eq!(server.end().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn until_the_drain_delay_is_over_all_is_as_before_and_a_second_signal_cuts_it_short() {
    let scene = Scene::new().await;
    let mut server = scene.ready(&["--drain-delay", "600"]).await;
    let channel = server.channel().await;
    server.signal("INT").await;
    let body = server.becomes(|status, _| status == 503).await;
    assert_eq!(condition(&body, "running")["ready"], json!(false));
    let drained = async {
        while server.health().await != ServingStatus::NotServing {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, drained).await.unwrap();
    assert_eq!(ask(&channel, ORDER, Some(&scene.bob())).await.0, 200);
    server.signal("TERM").await;
    assert_eq!(server.end().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_neither_answers_nor_the_end() {
    let scene = Scene::new().await;
    let socket = scene.directory.path().join("entrance.sock");
    let (policies, listen) = (scene.policies.to_str().unwrap(), format!("unix:{}", socket.display()));
    let serve = ["serve", "--policies", policies, "--listen", &listen, "--admin", "127.0.0.1:0", "--audit", "off"];
    let mut command = Command::from(program::program(serve));
    // far more than the pipe holds
    command.env("RUST_LOG", "trace").stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let asked = async {
        while tokio::net::UnixStream::connect(&socket).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
        let channel = Endpoint::try_from(listen.clone()).unwrap().connect().await.unwrap();
        for _ in 0..200 {
            ask(&channel, ("GET", "/a//b"), None).await;
        }
    };
    timeout(DEADLINE, asked).await.unwrap();
    server::signal(child.id().unwrap(), "TERM").await;
    assert!(timeout(DEADLINE, child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_may_come_over_a_unix_socket() {
    let scene = Scene::new().await;
    let socket = scene.directory.path().join("entrance.sock");
    let listen = format!("unix:{}", socket.display());
    let server = scene.ready(&["--listen", &listen]).await;
    assert_eq!(server.listen, Listen::Unix(socket));
    assert_eq!(ask(&server.channel().await, ORDER, Some(&scene.bob())).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_file_is_rotated_by_size() {
    let scene = Scene::new().await;
    let log = scene.directory.path().join("audit.log");
    fs::write(&log, "x".repeat(1 << 20)).unwrap();
    let sink = format!("file:{}", log.display());
    let mut server = scene.ready(&["--audit", &sink, "--audit-rotate-size", "1"]).await;
    assert_eq!(ask(&server.channel().await, ORDER, None).await.0, 401);
    server.signal("TERM").await;
    assert_eq!(server.end().await, 0);
    assert_eq!(fs::metadata(scene.directory.path().join("audit.log.1")).unwrap().len(), 1 << 20);
    let line: Value = serde_json::from_str(&fs::read_to_string(&log).unwrap()).unwrap();
    assert_eq!(line["authorization"]["reason"], "token_missing");
}

#[test]
fn bad_use_ends_with_2_and_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let good = ["serve", "--policies", EXAMPLE, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--audit", "off"];
    let cases: [(Vec<&str>, &str); 12] = [
        (vec!["serve"], "--policies"),
        (vec!["serve", "--policies", "/does/not/exist"], "/does/not/exist"),
        (vec!["serve", "--policies", EXAMPLE, "--listen", "localhost:9191"], "unix:PATH"),
        (vec!["serve", "--policies", EXAMPLE, "--listen", &taken], "choose another"),
        (vec!["serve", "--policies", EXAMPLE, "--listen", "127.0.0.1:0", "--admin", &taken], "--admin"),
        (vec!["serve", "--policies", EXAMPLE, "--listen", "unix:/does/not/exist/s"], "/does/not/exist/s"),
        (vec!["serve", "--policies", EXAMPLE, "--audit", "syslog"], "file:PATH"),
        (vec!["serve", "--policies", EXAMPLE, "--audit", "file:/does/not/exist/a"], "--audit"),
        ([&good[..], &["--extra-ca", "/does/not/exist"]].concat(), "--extra-ca"),
        ([&good[..], &["--token-cache", "0"]].concat(), "--token-cache"),
        ([&good[..], &["--pin-host", "a b=shop"]].concat(), "--pin-host"),
        (
            vec!["serve", "--controller", "http://127.0.0.1:1", "--pin-host", "x.example.com=shop"],
            "the controller says which",
        ),
    ];
    for (arguments, part) in cases {
        let ran = run(arguments.iter().copied());
        assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(part), "{arguments:?}: {}", ran.err);
    }
}

/// The authorities of an injected sidecar come by its environment: they are used, so what is none ends the command.
#[test]
fn authorities_of_the_environment_are_read() {
    let serve = ["serve", "--policies", EXAMPLE, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--audit", "off"];
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let output = program::program(serve).env("ENTRANCE_EXTRA_CA_PEM", pem).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("certificate"), "{said}");
}
