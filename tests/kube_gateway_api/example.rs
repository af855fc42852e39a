//! `examples/gateway-api`: the API server takes it with the experimental definitions, and the compiler has nothing against it.

use std::path::Path;

use entrance::api::compile::Compiler;
use entrance::api::settings::Settings;
use entrance::cluster::document;
use entrance::files::library::Library;
use kube::api::{Api, DynamicObject, PostParams};
use serde_json::{Value, json};

use super::api_server::{ADMIN, ApiServer};
use super::gateway_api::install;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_is_taken_and_comes_to_the_host_of_its_route() {
    entrance::token::install_crypto().unwrap();
    let server = ApiServer::shared().await;
    let client = server.client(ADMIN).await;
    install(&client, "gateway-api-experimental").await;
    for name in ["infra", "shop", "entrance"] {
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
        let body = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        namespaces.create(&PostParams::default(), &body).await.unwrap();
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gateway-api");
    let (mut filters, mut resources) = (Vec::new(), entrance::api::object::Resources::new());
    for file in ["gateway.yaml", "route.yaml", "policy.yaml"] {
        let library = Library::read(&folder.join(file)).unwrap();
        for object in library.resources.all() {
            let sent = Value::Object(object.body());
            let kept = taken(&client, &sent).await;
            filters.extend(kept.data.pointer("/spec/rules/0/filters/0/externalAuth/protocol").cloned());
            // What is enforced is what is left of an object of the API server.
            let object = document::resource(object.id.kind, &kept).unwrap().unwrap();
            resources.put(std::sync::Arc::new(object));
        }
    }
    assert_eq!(filters, ["GRPC"]);
    let compiled = Compiler::default().compile(&resources, &Settings::default());
    assert_eq!(compiled.faults, []);
    let hosts: Vec<String> = compiled.snapshot.tables().iter().map(|(host, _)| host.to_string()).collect();
    assert_eq!(hosts, ["orders.example.com"]);
}

/// Has an object created, and no field of it dropped.
async fn taken(client: &kube::Client, object: &Value) -> DynamicObject {
    let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let (group, version) = version.split_once('/').unwrap();
    let plural = match kind {
        "AccessPolicy" => "accesspolicies".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    };
    let namespace = object["metadata"]["namespace"].as_str().unwrap();
    let at = format!("/apis/{group}/{version}/namespaces/{namespace}/{plural}?fieldValidation=Strict");
    let request = http::Request::post(at).header("content-type", "application/json");
    let created = client.request::<DynamicObject>(request.body(object.to_string().into_bytes()).unwrap()).await;
    created.unwrap_or_else(|error| panic!("{kind}: {error}"))
}
