//! A namespace of a real API server that asks a real webhook, and users of it who may do this and that.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kube::Client;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::api_server::{ADA, ADMIN, ApiServer, BOB};
use super::server::Server;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    pub(crate) server: &'static ApiServer,
    pub(crate) namespace: String,
    /// Where the webhook itself is.
    pub(crate) system: String,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) webhook: Server,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn taken(self) -> Self {
        assert!(self.code < 300, "refused: {} {}", self.code, self.message());
        self
    }

    #[track_caller]
    pub(crate) fn refused(self, code: u16, parts: &[&str]) {
        assert_eq!(self.code, code, "{}", self.body);
        for part in parts {
            assert!(self.message().contains(part), "no `{part}` in: {}", self.message());
        }
    }
}

/// An authority, and a certificate of it for the loopback address, as two files.
pub(crate) fn certificate(directory: &Path, name: &str) -> (PathBuf, PathBuf, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, format!("test authority {name}"));
    let key = KeyPair::generate().unwrap();
    let ca = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let (certificate, private) = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
    std::fs::write(&certificate, server.pem()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    (certificate, private, ca)
}

/// Where a request goes, and as whom.
pub(crate) type To<'a> = (&'a str, &'a str, &'a str);

impl Scene {
    /// A namespace whose reviews go to a webhook of its own, with a certificate in files.
    pub(crate) async fn new(prefix: &str, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key, ca) = certificate(directory.path(), "server");
        let files = [&certificate, &key].map(|file| file.to_str().unwrap().to_owned());
        let namespace = ApiServer::shared().await.namespace(prefix).await;
        let flags = [&["--tls-cert", &files[0], "--tls-key", &files[1]], more].concat();
        let webhook = Self::webhook(&flags).await;
        let server = ApiServer::shared().await;
        let scene = Self { server, namespace, system: "entrance".to_owned(), directory, webhook };
        scene.register(Some(&ca)).await;
        scene.webhook.becomes(|status, _| status == 200).await;
        scene.users().await;
        scene.asked().await;
        scene
    }

    /// The same with an authority of its own, in the Secret `certificates`, and certificates that last so long.
    pub(crate) async fn keeping(prefix: &str, lifetime: &str) -> Self {
        let server = ApiServer::shared().await;
        let (namespace, system) = (server.namespace(prefix).await, server.namespace("system").await);
        let flags = Self::keeping_flags(&system, &namespace, lifetime);
        let webhook = Self::webhook(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let scene = Self { server, namespace, system, directory: tempfile::tempdir().unwrap(), webhook };
        scene.register(None).await;
        let secret = json!({"metadata": {"name": "certificates"}, "type": "Opaque"});
        let at = format!("/api/v1/namespaces/{}/secrets", scene.system);
        scene.send(("POST", &at, ADMIN), &secret).await.taken();
        scene.webhook.becomes(|status, _| status == 200).await;
        scene.users().await;
        scene.asked().await;
        scene
    }

    pub(crate) fn keeping_flags(system: &str, configuration: &str, lifetime: &str) -> Vec<String> {
        let flags = ["--namespace", system, "--cert-secret", "certificates", "--san", "127.0.0.1", "--service", "hook"];
        let more = ["--webhook-configuration", configuration, "--cert-lifetime", lifetime];
        flags.iter().chain(&more).map(|&flag| flag.to_owned()).collect()
    }

    /// A webhook that listens.
    pub(crate) async fn webhook(flags: &[&str]) -> Server {
        entrance::token::install_crypto().unwrap();
        let kubeconfig = ApiServer::shared().await.kubeconfig(ADMIN);
        Server::run("webhook", &[&["--kubeconfig", kubeconfig.to_str().unwrap()], flags].concat(), "webhook").await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.webhook.listen)
    }

    /// Lets the API server ask.
    async fn register(&self, ca: Option<&str>) {
        use base64::Engine as _;
        let bundle = ca.map(|ca| base64::engine::general_purpose::STANDARD.encode(ca));
        let hook = |name: &str, path: &str, rules: Value, more: Value| {
            let mut hook = json!({
                "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
                "timeoutSeconds": 30, "clientConfig": {"url": self.url(path), "caBundle": bundle}, "rules": rules,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
            });
            hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            hook
        };
        let ours = |resources: Value, operations: Value| json!([{"apiGroups": ["entrance.dev"], "apiVersions": ["v1alpha1"], "resources": resources, "operations": operations}]);
        let all = json!(["CREATE", "UPDATE", "DELETE"]);
        let validating = hook("validate.entrance.dev", "/validate", ours(json!(["*/*"]), all), json!({}));
        let stamping = hook(
            "stamp.entrance.dev",
            "/mutate",
            ours(json!(["accessgrants"]), json!(["CREATE", "UPDATE"])),
            json!({}),
        );
        let pods = json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]);
        let injecting = hook(
            "inject.entrance.dev",
            "/mutate",
            pods,
            json!({"reinvocationPolicy": "IfNeeded", "objectSelector": {"matchLabels": {"entrance.dev/inject": "true"}}}),
        );
        let base = "/apis/admissionregistration.k8s.io/v1";
        for (plural, hooks) in [
            ("validatingwebhookconfigurations", vec![validating]),
            ("mutatingwebhookconfigurations", vec![stamping, injecting]),
        ] {
            let body = json!({"metadata": {"name": self.namespace}, "webhooks": hooks});
            self.send(("POST", &format!("{base}/{plural}"), ADMIN), &body).await.taken();
        }
    }

    /// Lets the API server ask another webhook from now on.
    pub(crate) async fn repoint(&self, webhook: &Server) {
        for plural in ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"] {
            let at = format!("/apis/admissionregistration.k8s.io/v1/{plural}/{}", self.namespace);
            let mut found = self.send(("GET", &at, ADMIN), &Value::Null).await.taken().body;
            for hook in found["webhooks"].as_array_mut().unwrap() {
                let url = hook["clientConfig"]["url"].as_str().unwrap().to_owned();
                let path = url.rsplit('/').next().unwrap();
                hook["clientConfig"]["url"] = json!(format!("https://{}/{path}", webhook.listen));
            }
            self.send(("PATCH", &at, ADMIN), &json!({"webhooks": found["webhooks"]})).await.taken();
        }
    }

    /// `ada` and `bob` may write everything of ours and pods; `bob` may approve as well.
    async fn users(&self) {
        let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", self.namespace);
        let rule = |group: &str, resource: &str, verb: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]});
        let roles = [
            ("write", json!([rule("entrance.dev", "*", "*"), rule("", "pods", "*")]), json!(["ada", "bob"])),
            ("approve", json!([rule("entrance.dev", "accessgrants", "approve")]), json!(["bob"])),
        ];
        let verbs = json!(["get", "list", "create", "update", "patch", "delete"]);
        for (name, mut rules, users) in roles {
            if name == "write" {
                for rule in rules.as_array_mut().unwrap() {
                    rule["verbs"] = verbs.clone();
                }
            }
            let body = json!({"metadata": {"name": name}, "rules": rules});
            self.send(("POST", &format!("{rbac}/roles"), ADMIN), &body).await.taken();
            let subjects = users.as_array().unwrap().iter();
            let subjects =
                subjects.map(|user| json!({"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}));
            let body = json!({
                "metadata": {"name": name}, "subjects": subjects.collect::<Value>(),
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            });
            self.send(("POST", &format!("{rbac}/rolebindings"), ADMIN), &body).await.taken();
        }
    }

    /// Waits until the API server asks the webhook, which it learns of a little later.
    async fn asked(&self) {
        let probe = json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "probe"}, "spec": {
            "policyRef": {"name": "x"}, "subject": {"group": "33333333-0000-4000-8000-000000000001"},
            "roles": ["A"], "expiresAt": "2099-01-01T00:00:00Z",
        }});
        let asked =
            |answer: &Answer| answer.message().contains("is the longest") && !answer.message().contains("stamped");
        for user in [ADA, BOB] {
            let mut last = None;
            let wait = async {
                while !last.as_ref().is_some_and(asked) {
                    sleep(Duration::from_millis(50)).await;
                    last = Some(self.send(("POST", &self.at("accessgrants?dryRun=All"), user), &probe).await);
                }
            };
            if timeout(DEADLINE, wait).await.is_err() {
                panic!("the webhook was never asked: {last:?}");
            }
        }
    }

    /// The path of objects of ours.
    pub(crate) fn at(&self, plural: &str) -> String {
        format!("/apis/entrance.dev/v1alpha1/namespaces/{}/{plural}", self.namespace)
    }

    /// The path of objects of the core.
    pub(crate) fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }

    /// Sends a request as somebody: method, path, token.
    pub(crate) async fn send(&self, (method, path, token): To<'_>, body: &Value) -> Answer {
        send(&self.server.client(token).await, (method, path), body).await
    }

    /// Creates an object of ours as somebody.
    pub(crate) async fn create(&self, token: &str, object: &Value) -> Answer {
        let plural = plural(object["kind"].as_str().unwrap());
        self.send(("POST", &self.at(plural), token), object).await
    }

    /// Merges a change into an object of ours as somebody.
    pub(crate) async fn merge(&self, token: &str, object: &str, change: Value) -> Answer {
        self.send(("PATCH", &self.at(object), token), &change).await
    }

    /// Runs kubectl here; standard output and error.
    pub(crate) fn kubectl(&self, token: &str, arguments: &[&str], input: &Value) -> (bool, String) {
        let file = self.directory.path().join("input.json");
        std::fs::write(&file, input.to_string()).unwrap();
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin/kubectl");
        let mut command = Command::new(if own.is_file() { own } else { "kubectl".into() });
        command.arg("--kubeconfig").arg(self.server.kubeconfig(token)).args(["--namespace", &self.namespace]);
        let ran = command.args(arguments).arg("-f").arg(file).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ran.status.success(), format!("{}{}", text(&ran.stdout), text(&ran.stderr)))
    }
}

fn plural(kind: &str) -> &'static str {
    match kind {
        "EntraApplication" => "entraapplications",
        "AccessPolicy" => "accesspolicies",
        "AccessGrant" => "accessgrants",
        "TokenRevocation" => "tokenrevocations",
        other => panic!("{other}"),
    }
}

async fn send(client: &Client, (method, path): (&str, &str), body: &Value) -> Answer {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = client.send(request.body(body.into()).unwrap()).await.unwrap();
    let code = answer.status().as_u16();
    let warnings = answer.headers().get_all("warning").iter().map(|text| text.to_str().unwrap().to_owned()).collect();
    let bytes = axum::body::to_bytes(axum::body::Body::new(answer.into_body()), 16 << 20).await.unwrap();
    Answer { code, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null), warnings }
}

/// An application.
pub(crate) fn application() -> Value {
    json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "EntraApplication", "metadata": {"name": "orders-api"}, "spec": {
        "tenants": [{"id": "11111111-1111-4111-8111-111111111111", "name": "contoso"}],
        "clientId": "aaaaaaaa-0000-4000-8000-000000000001", "roles": ["Orders.Read", "Orders.Admin"],
    }})
}

/// A policy that refers to it.
pub(crate) fn policy(host: &str) -> Value {
    json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": "orders"}, "spec": {
        "applicationRef": {"name": "orders-api"}, "hosts": [host],
        "routes": [{"name": "read", "path": "/orders/{id}", "methods": ["GET"], "allow": [{"roles": ["Orders.Read"]}]}],
    }})
}
