//! Any object at all, put to a real API server as `kubectl apply --server-side` would.

use kube::Client;
use serde_json::{Value, json};

/// The address of an object's resource: of its kind, and of itself.
fn addresses(object: &Value, namespace: &str) -> (String, String) {
    let api_version = object["apiVersion"].as_str().unwrap();
    let base = if api_version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{api_version}") };
    let kind = object["kind"].as_str().unwrap().to_lowercase();
    let plural = match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with('a') => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        Some(_) | None => format!("{kind}s"),
    };
    const CLUSTER: [&str; 9] = [
        "namespace",
        "clusterrole",
        "clusterrolebinding",
        "customresourcedefinition",
        "validatingwebhookconfiguration",
        "mutatingwebhookconfiguration",
        "gatewayclass",
        "validatingadmissionpolicy",
        "validatingadmissionpolicybinding",
    ];
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(namespace);
    let scope = if CLUSTER.contains(&&*kind) { String::new() } else { format!("/namespaces/{namespace}") };
    let all = format!("{base}{scope}/{plural}");
    let one = format!("{all}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
    (all, one)
}

/// A way to put objects.
pub(crate) struct Objects<'c> {
    /// Who puts them.
    pub(crate) client: &'c Client,
    /// Where those go that do not say.
    pub(crate) namespace: &'c str,
    /// In whose name.
    pub(crate) manager: &'c str,
    /// Whether to change anything.
    pub(crate) dry_run: bool,
}

impl Objects<'_> {
    fn query(&self) -> String {
        let dry = if self.dry_run { "&dryRun=All" } else { "" };
        format!("fieldManager={}&fieldValidation=Strict{dry}", self.manager)
    }

    /// Applies one, by force.
    pub(crate) async fn apply(&self, object: &Value) -> Result<Value, String> {
        let at = format!("{}?force=true&{}", addresses(object, self.namespace).1, self.query());
        let request = http::Request::patch(at).header("content-type", "application/apply-patch+yaml");
        self.send(request, object).await
    }

    /// Creates one.
    pub(crate) async fn create(&self, object: &Value) -> Result<Value, String> {
        let at = format!("{}?{}", addresses(object, self.namespace).0, self.query());
        self.send(http::Request::post(at).header("content-type", "application/json"), object).await
    }

    /// Changes one by a merge patch of the part of it that is named: `""`, or `status`.
    pub(crate) async fn merge(&self, object: &Value, (part, change): (&str, &Value)) -> Result<Value, String> {
        let one = addresses(object, self.namespace).1;
        let at = format!("{one}{}{part}?{}", if part.is_empty() { "" } else { "/" }, self.query());
        self.send(http::Request::patch(at).header("content-type", "application/merge-patch+json"), change).await
    }

    /// Deletes one.
    pub(crate) async fn delete(&self, object: &Value) -> Result<Value, String> {
        let dry = if self.dry_run { json!(["All"]) } else { json!([]) };
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": dry});
        let request = http::Request::delete(addresses(object, self.namespace).1);
        self.send(request.header("content-type", "application/json"), &options).await
    }

    /// What is there, if it is.
    pub(crate) async fn read(&self, object: &Value) -> Option<Value> {
        let request = http::Request::get(addresses(object, self.namespace).1).body(Vec::new()).unwrap();
        self.client.request(request).await.ok()
    }

    async fn send(&self, request: http::request::Builder, body: &Value) -> Result<Value, String> {
        let request = request.body(serde_json::to_vec(body).unwrap()).unwrap();
        self.client.request(request).await.map_err(|error| error.to_string())
    }
}
