//! The Gateway API at a real API server: its definitions, from `.tools/crds`, and objects of it.

use std::path::Path;
use std::time::Duration;

use entrance::files::yaml;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::{conditions, wait::await_condition};
use kube::{Client, ResourceExt as _};
use serde_json::Value;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(60);

/// Installs the definitions of a channel: `gateway-api` or `gateway-api-experimental`.
pub(crate) async fn install(client: &Client, channel: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/crds").join(channel);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|_| panic!("no {}: run `make tools`", folder.display()));
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut names = Vec::new();
    for file in files {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        let definition = yaml::parse(&text).unwrap().remove(0).body;
        let definition: CustomResourceDefinition = serde_json::from_value(definition).unwrap();
        names.push(definition.name_any());
        api.patch(&definition.name_any(), &PatchParams::apply("test"), &Patch::Apply(&definition)).await.unwrap();
    }
    for name in names {
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        timeout(DEADLINE, established).await.unwrap_or_else(|_| panic!("{name} is not established")).unwrap();
    }
}

/// Objects of a kind in a namespace.
pub(crate) fn api(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let group = if kind == "Service" { "" } else { "gateway.networking.k8s.io" };
    let gvk = GroupVersionKind::gvk(group, "v1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &format!("{}s", kind.to_lowercase()));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// Applies an object, as it stands.
pub(crate) async fn apply(client: &Client, namespace: &str, object: Value) {
    let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
    let params = PatchParams {
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::apply("test").force()
    };
    let applied = api(client, kind, namespace).patch(name, &params, &Patch::Apply(&object)).await;
    applied.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
}
