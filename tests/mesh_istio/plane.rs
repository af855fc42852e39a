//! A real istiod, with the API server of the test binary behind it, and the mesh configuration of the examples.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use entrance::files::yaml;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::runtime::{conditions, wait::await_condition};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::api_server::{ADMIN, ApiServer, binary};
use crate::children::{Process, port, scratch, until};
use crate::envoy_process::text;
use crate::helm::{Helm, objects};
use crate::objects::Objects;
use crate::secrets::Secrets;

/// Stock Envoy lacks the filters of Istio's own build, and there is no istio-agent that would serve it certificates.
const SETTINGS: [(&str, &str); 7] = [
    ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
    ("PILOT_ENABLE_ALPN_FILTER", "false"),
    ("PILOT_ENABLE_AMBIENT", "true"),
    // Nobody here runs what it would deploy.
    ("PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER", "false"),
    ("PILOT_DEBOUNCE_AFTER", "10ms"),
    ("POD_NAME", "istiod-0"),
    ("POD_NAMESPACE", "istio-system"),
];
const NAMESPACES: [&str; 3] = ["istio-system", "istio-ingress", "shop"];

/// The control plane.
pub(crate) struct Plane {
    pub(crate) server: &'static ApiServer,
    client: kube::Client,
    /// Where proxies ask for their configuration.
    pub(crate) xds: SocketAddr,
    /// Where they get their certificates.
    pub(crate) secrets: Secrets,
    http: SocketAddr,
    directory: PathBuf,
    /// `None` while it is stopped.
    process: Mutex<Option<Process>>,
}

/// The documents of a file of this repository.
pub(crate) fn documents(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let read = yaml::parse(&bytes).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
    read.into_iter().map(|document| document.body).filter(|body| !body.is_null()).collect()
}

/// The mesh configuration of the examples, providers that nobody should have, and one of others.
pub(crate) fn mesh() -> Value {
    let mut config = documents("examples/istio/mesh.yaml").remove(0)["meshConfig"].take();
    config["enableAutoMtls"] = json!(false);
    let providers = config["extensionProviders"].as_array_mut().unwrap();
    let mut of = |name: &str, change: Value| {
        let mut provider = providers[0].clone();
        provider["name"] = json!(name);
        let settings = provider["envoyExtAuthzGrpc"].as_object_mut().unwrap();
        settings.extend(change.as_object().unwrap().clone());
        settings.retain(|_, value| !value.is_null());
        providers.push(provider);
    };
    let nobody = "nobody.entrance.internal";
    of("nobody", json!({"service": nobody}));
    of("nobody-open", json!({"service": nobody, "failOpen": true}));
    of("unknown-service", json!({"service": "unknown.entrance.internal"}));
    of("meshed", json!({"service": "entrance-meshed.entrance.svc.cluster.local"}));
    of("patient", json!({"timeout": null}));
    let headers = json!(["x-auth-user"]);
    providers.push(json!({"name": "others", "envoyExtAuthzHttp":
        {"service": "others.internal", "port": 80, "timeout": "5s", "headersToUpstreamOnAllow": headers}}));
    config
}

impl Plane {
    /// Starts it; it has read everything when this returns.
    pub(crate) async fn start() -> Self {
        let server = ApiServer::shared().await;
        let client = server.client(ADMIN).await;
        prepare(&client).await;
        let [xds, http] = [port(), port()];
        let (secrets, directory) = (Secrets::start().await, scratch("istiod"));
        let plane = Self { server, client, xds, secrets, http, directory, process: Mutex::default() };
        plane.configure(mesh()).await;
        // mTLS needs certificates, which nobody hands out here.
        plane
            .apply(&json!({
                "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
                "metadata": {"name": "default", "namespace": "istio-system"}, "spec": {"mtls": {"mode": "DISABLE"}}
            }))
            .await;
        let injector = ["-s", "templates/istiod-injector-configmap.yaml", "-n", "istio-system"];
        let injector = [&["template", "istiod", ".tools/istio/chart"], &injector[..]].concat();
        plane.apply(&objects(&Helm::offline().prints(&injector))[0]).await;
        plane.resume().await;
        plane
    }

    /// Starts istiod where it was before.
    pub(crate) async fn resume(&self) {
        let mut command = Command::new(binary("pilot-discovery"));
        command.env_clear().envs(SETTINGS).current_dir(&self.directory);
        command.arg("discovery").arg("--kubeconfig").arg(self.server.kubeconfig(ADMIN));
        // Files that are not there: it reads its configuration from the ConfigMap.
        command.args(["--meshConfig", "absent", "--networksConfig", "absent"]);
        for (flag, address) in [("--grpcAddr", self.xds), ("--httpAddr", self.http), ("--monitoringAddr", port())] {
            command.arg(flag).arg(address.to_string());
        }
        command.args(["--httpsAddr", "", "--secureGRPCAddr", "", "--ctrlz_port", "0"]);
        let process = Process::start(command, &self.directory.join("istiod.log"));
        until("istiod is ready", async || {
            assert!(process.ended().is_none(), "istiod ended:\n{}", process.said());
            text(self.http, "/ready").await.filter(String::is_empty)
        })
        .await;
        *self.process.lock().await = Some(process);
    }

    /// Ends istiod, without a word.
    pub(crate) async fn stop(&self) {
        self.process.lock().await.take();
    }

    fn objects(&self) -> Objects<'_> {
        Objects { client: &self.client, namespace: "default", manager: "test", dry_run: false }
    }

    /// Applies an object.
    pub(crate) async fn apply(&self, object: &Value) -> Value {
        self.objects().apply(object).await.unwrap_or_else(|error| panic!("{error}: {object:#}"))
    }

    /// Applies all of them.
    pub(crate) async fn apply_all(&self, objects: &[Value]) {
        for object in objects {
            self.apply(object).await;
        }
    }

    /// Changes a part of an object, as [`Objects::merge`] has it.
    pub(crate) async fn merge(&self, object: &Value, change: (&str, &Value)) {
        self.objects().merge(object, change).await.unwrap_or_else(|error| panic!("{error}: {object:#}"));
    }

    /// Deletes an object.
    pub(crate) async fn delete(&self, object: &Value) {
        self.objects().delete(object).await.unwrap_or_else(|error| panic!("{error}: {object:#}"));
    }

    /// What is there.
    pub(crate) async fn read(&self, object: &Value) -> Option<Value> {
        self.objects().read(object).await
    }

    /// The answer of the injector to an `AdmissionReview`.
    pub(crate) async fn inject(&self, review: &Value) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("http://{}/inject", self.http)).header("content-type", "application/json");
        let answer = request.body(review.to_string()).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// Sets the mesh configuration.
    pub(crate) async fn configure(&self, mesh: Value) {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": mesh.to_string()},
        }))
        .await;
    }
}

/// The definitions of Istio and Gateway API, and namespaces.
async fn prepare(client: &kube::Client) {
    let to = Objects { client, namespace: "", manager: "test", dry_run: false };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/istio/crds")).unwrap() {
        for definition in documents(entry.unwrap().path().to_str().unwrap()) {
            to.apply(&definition).await.unwrap();
            names.push(definition["metadata"]["name"].as_str().unwrap().to_owned());
        }
    }
    let all: kube::Api<CustomResourceDefinition> = kube::Api::all(client.clone());
    for name in names {
        await_condition(all.clone(), &name, conditions::is_crd_established()).await.unwrap();
    }
    for name in NAMESPACES {
        to.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await.unwrap();
    }
}
