//! The control plane: a real API server with the definitions, and a real Envoy Gateway that watches it.
//!
//! It is told to make its proxies as Deployments, as in a cluster. Nobody starts those here: tests read the command line
//! of Envoy out of them ([`super::proxy`]).

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entrance::emulator::{Emulator, Options};
use entrance::files::yaml;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::api_server::{ADMIN, ApiServer, binary};
use super::children::{Process, port, scratch, until};
use super::objects::Objects;
use super::private_network::certificate;

/// Where Envoy Gateway lives, and its proxies.
pub(crate) const SYSTEM: &str = "envoy-gateway-system";

const CONFIGURATION: &str = "
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
admin: {address: {host: 127.0.0.1, port: 27019}}
telemetry: {metrics: {prometheus: {disable: true}}}
extensionApis: {enableBackend: true}
provider:
  type: Kubernetes
  kubernetes: {leaderElection: {disable: true}, proxyTopologyInjector: {disabled: true}}
";

/// Everything that a cluster has before anybody makes a Gateway.
pub(crate) struct Plane {
    pub(crate) server: &'static ApiServer,
    /// The certificate that proxies show to Envoy Gateway, its key, and the authority: `tls.crt`, `tls.key`, `ca.crt`.
    pub(crate) proxies: PathBuf,
    gateway: Process,
    /// The stand-in for Entra: that of all tests, since each Entrance sees the applications of all.
    pub(crate) emulator: Emulator,
}

impl Plane {
    /// The one that all tests share.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Plane> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    async fn start() -> Self {
        entrance::token::install_crypto().unwrap();
        let server = ApiServer::shared().await;
        let client = server.client(ADMIN).await;
        let to = Objects { client: &client, namespace: SYSTEM, manager: "test", dry_run: false };
        definitions(&to).await;
        apply(&to, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})).await;
        let kubeconfig = server.kubeconfig(ADMIN);
        let mut certgen = Command::new(binary("envoy-gateway"));
        certgen.args(["certgen", "--disable-topology-injector"]).env("KUBECONFIG", &kubeconfig);
        let made = certgen.output().unwrap();
        assert!(made.status.success(), "{made:?}");
        for (name, bytes) in secret(&to, "envoy-gateway").await {
            certificate(&name, &bytes);
        }
        let proxies = scratch("proxies");
        for (name, bytes) in secret(&to, "envoy").await {
            std::fs::write(proxies.join(name), bytes).unwrap();
        }
        let gateway = launch(&kubeconfig);
        for object in read("gateway.yaml").into_iter().filter(|object| object["kind"] == "GatewayClass") {
            apply(&to, &object).await;
        }
        let emulator = Emulator::start(Options { listen: port(), ..Options::default() }).await.unwrap();
        Self { server, proxies, gateway, emulator }
    }
}

impl Plane {
    /// What the API server answers to a question, if it has that.
    pub(crate) async fn read(&self, path: &str) -> Option<Value> {
        let client = self.server.client(ADMIN).await;
        client.request(http::Request::get(path).body(Vec::new()).unwrap()).await.ok()
    }

    /// What Envoy Gateway has made for a Gateway.
    pub(crate) async fn deployment(&self, (namespace, name): (&str, &str), wanted: impl Fn(&Value) -> bool) -> Value {
        let owner = "gateway.envoyproxy.io/owning-gateway";
        let query = format!("labelSelector={owner}-namespace={namespace},{owner}-name={name}");
        let at = format!("/apis/apps/v1/namespaces/{SYSTEM}/deployments?{query}");
        until("Envoy Gateway makes a Deployment", async || {
            assert!(self.gateway.ended().is_none(), "Envoy Gateway ended:\n{}", self.gateway.said());
            self.read(&at).await?["items"].as_array()?.first().filter(|found| wanted(found)).cloned()
        })
        .await
    }
}

fn launch(kubeconfig: &Path) -> Process {
    let directory = scratch("envoy-gateway");
    let file = directory.join("envoy-gateway.yaml");
    std::fs::write(&file, CONFIGURATION).unwrap();
    let mut command = Command::new(binary("envoy-gateway"));
    command.args(["server", "--config-path"]).arg(file).env("KUBECONFIG", kubeconfig);
    Process::start(command, &directory.join("envoy-gateway.log"))
}

/// Applies, or fails.
pub(crate) async fn apply(to: &Objects<'_>, object: &Value) {
    let applied = to.apply(object).await;
    applied.unwrap_or_else(|error| panic!("{} {}: {error}", object["kind"], object["metadata"]["name"]));
}

/// The objects of a file of `examples/envoy-gateway`.
pub(crate) fn read(name: &str) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/envoy-gateway").join(name);
    let documents = yaml::parse(&std::fs::read(file).unwrap()).unwrap();
    documents.into_iter().map(|document| document.body).collect()
}

/// The definitions of Gateway API and of Envoy Gateway.
async fn definitions(to: &Objects<'_>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/envoy-gateway-crds");
    let entries =
        std::fs::read_dir(&directory).unwrap_or_else(|_| panic!("there is no {directory:?}: run `make tools`"));
    let mut names = Vec::new();
    for entry in entries {
        let definition = yaml::parse(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap().remove(0).body;
        apply(to, &definition).await;
        names.push(definition);
    }
    for definition in &names {
        until("the definition is established", async || {
            let now = to.read(definition).await?;
            let conditions = now["status"]["conditions"].as_array()?.clone();
            conditions.iter().any(|one| one["type"] == "Established" && one["status"] == "True").then_some(())
        })
        .await;
    }
}

/// The files of a Secret of [`SYSTEM`].
async fn secret(to: &Objects<'_>, name: &str) -> Vec<(String, Vec<u8>)> {
    let known = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": SYSTEM}});
    let found = to.read(&known).await.unwrap_or_else(|| panic!("there is no Secret `{name}`"));
    let files = found["data"].as_object().unwrap().iter();
    files.map(|(name, text)| (name.clone(), STANDARD.decode(text.as_str().unwrap()).unwrap())).collect()
}
