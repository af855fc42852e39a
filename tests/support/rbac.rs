//! The objects of `examples/kubernetes/rbac.yaml`, at a real API server.

use entrance::files::yaml;
use kube::Client;
use serde_json::{Value, json};

/// Creates every object of the file, as it stands.
pub(crate) async fn apply(client: &Client) {
    for object in objects() {
        create(client, &object).await;
    }
}

/// The same for an installation of its own: in this namespace, which is there, instead of `entrance`, and with cluster
/// roles of its own name. The rules are those of the file.
pub(crate) async fn apply_in(client: &Client, namespace: &str) {
    for mut object in objects().into_iter().filter(|object| object["kind"] != "Namespace") {
        let metadata = &mut object["metadata"];
        if metadata.get("namespace").is_some() {
            metadata["namespace"] = json!(namespace);
        } else {
            rename(&mut metadata["name"], namespace);
        }
        if object["roleRef"]["kind"] == "ClusterRole" {
            rename(&mut object["roleRef"]["name"], namespace);
        }
        for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
            subject["namespace"] = json!(namespace);
        }
        create(client, &object).await;
    }
}

fn rename(name: &mut Value, namespace: &str) {
    *name = json!(format!("{namespace}:{}", name.as_str().unwrap()));
}

fn objects() -> Vec<Value> {
    let documents = yaml::parse(include_bytes!("../../examples/kubernetes/rbac.yaml")).unwrap();
    documents.into_iter().map(|document| document.body).collect()
}

async fn create(client: &Client, object: &Value) {
    let api_version = object["apiVersion"].as_str().unwrap();
    let base = if api_version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{api_version}") };
    let scope = object["metadata"]["namespace"].as_str().map(|name| format!("/namespaces/{name}"));
    let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
    let at = format!("{base}{}/{plural}?fieldValidation=Strict", scope.unwrap_or_default());
    let request = http::Request::post(at).header("content-type", "application/json");
    let request = request.body(serde_json::to_vec(object).unwrap()).unwrap();
    client.request::<Value>(request).await.unwrap_or_else(|error| panic!("{}: {error}", object["metadata"]));
}
