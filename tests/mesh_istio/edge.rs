//! An edge of a test's own: that of `examples/istio/ingress.yaml`, in a namespace and at an address of its own, with
//! whatever a test makes of it.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::{Value, json};

use crate::children::until;
use crate::modes::kind;
use crate::plane::documents;
use crate::proxy::{Proxy, Workload};
use crate::raw_http::{Ask, probe};
use crate::world::World;

/// The edge.
pub(crate) struct Edge {
    world: &'static World,
    namespace: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) proxy: Proxy,
}

impl Edge {
    /// The example, but for what `change` makes of its policy.
    pub(crate) async fn new(namespace: &'static str, change: impl FnOnce(&mut Value)) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let world = World::shared().await;
        let bind = format!("127.0.2.{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let address = format!("{bind}:80").parse().unwrap();
        let mut objects = documents("examples/istio/ingress.yaml");
        // A Gateway takes proxies of all namespaces that have its labels.
        let labels = json!({"istio": namespace});
        let gateway = kind(&mut objects, "Gateway");
        gateway["spec"]["selector"] = labels.clone();
        gateway["spec"]["servers"][0]["bind"] = json!(bind);
        // Hosts that nobody names would be answered by Envoy.
        gateway["spec"]["servers"][0]["hosts"] = json!(["*"]);
        kind(&mut objects, "VirtualService")["spec"]["hosts"] = json!(["*"]);
        let policy = kind(&mut objects, "AuthorizationPolicy");
        policy["spec"]["selector"]["matchLabels"] = labels.clone();
        change(policy);
        world.plane.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})).await;
        for object in &mut objects {
            object["metadata"]["namespace"] = json!(namespace);
        }
        world.plane.apply_all(&objects).await;
        let workload = Workload::new("router", (namespace, "edge"), labels);
        let proxy = Proxy::start(&workload, &world.plane).await;
        let edge = Self { world, namespace, address, proxy };
        edge.settle().await;
        edge
    }

    /// Applies another policy, in this namespace.
    pub(crate) async fn policy(&self, name: &str, spec: Value) {
        self.apply("AuthorizationPolicy", (name, spec)).await;
    }

    /// Deletes a policy of this namespace.
    pub(crate) async fn without(&self, name: &str) {
        let metadata = json!({"name": name, "namespace": self.namespace});
        let object = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": metadata});
        self.world.plane.delete(&object).await;
        self.settle().await;
    }

    /// Applies another object about security.
    pub(crate) async fn apply(&self, kind: &str, (name, spec): (&str, Value)) {
        let metadata = json!({"name": name, "namespace": self.namespace});
        let object = json!({"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec});
        self.world.plane.apply(&object).await;
        self.settle().await;
    }

    /// Applies the hardening of the example's edge to this one.
    pub(crate) async fn harden(&self) {
        let mut hardening = documents("examples/istio/hardening.yaml").remove(0);
        assert_eq!(hardening["spec"]["workloadSelector"]["labels"], json!({"istio": "ingressgateway"}));
        hardening["metadata"]["namespace"] = json!(self.namespace);
        hardening["spec"]["workloadSelector"]["labels"] = json!({"istio": self.namespace});
        self.world.plane.apply(&hardening).await;
        self.settle().await;
    }

    /// Waits until the proxy has what was applied before.
    pub(crate) async fn settle(&self) {
        let mark = format!("mark-{}", probe());
        let mut route = kind(&mut documents("examples/istio/ingress.yaml"), "VirtualService").clone();
        route["metadata"]["namespace"] = json!(self.namespace);
        route["spec"]["hosts"] = json!(["*"]);
        route["spec"]["http"][0]["headers"] = json!({"response": {"set": {"x-mark": mark}}});
        self.world.plane.apply(&route).await;
        self.proxy.sees(&mark).await;
    }

    /// The outcome of a request.
    pub(crate) async fn ask(&self, ask: &Ask) -> String {
        self.world.ask(self.address, ask).await
    }
}

impl Proxy {
    /// Waits until its configuration holds this.
    pub(crate) async fn sees(&self, mark: &str) {
        until(&format!("the proxy sees {mark}"), async || self.dump().await.to_string().contains(mark).then_some(()))
            .await;
    }

    /// What `entrance doctor` finds: rule and what was found of everything that is more than a note.
    pub(crate) async fn doctor(&self) -> Vec<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_entrance"));
        command.args(["doctor", "-o", "json", &format!("http://{}", self.admin)]);
        let output = tokio::process::Command::from(command).output().await.unwrap();
        let page: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = page["findings"].as_array().unwrap().iter();
        let findings = findings.filter(|finding| finding["severity"] != "note");
        let text = |finding: &Value, member: &str| finding[member].as_str().unwrap_or_default().to_owned();
        findings.map(|finding| format!("{}: {}", text(finding, "rule"), text(finding, "found"))).collect()
    }
}
