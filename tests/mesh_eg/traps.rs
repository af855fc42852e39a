//! What opens the door again: each is how Envoy Gateway means it, shown with requests that reach the API unchecked, with
//! what the doctor finds in the proxy, and with what keeps the door shut.

use serde_json::{Value, json};

use super::plane::read;
use super::private_network::inside;
use super::raw_http::Ask;
use super::scene::{Scene, condition, gateway_policy, ours, reason};

fn policy(name: &str, namespace: &str) -> Value {
    json!({"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "SecurityPolicy",
        "metadata": {"name": name, "namespace": namespace}})
}

#[test]
fn a_policy_of_a_route_takes_the_check_away_unless_it_merges() {
    inside(async || {
        let (scene, _entrance) = Scene::protected("merge").await;
        let mut other = read("route.yaml").remove(0);
        other["metadata"]["name"] = json!("other");
        other["spec"]["hostnames"] = json!(["other.example.com"]);
        scene.apply(other).await;
        assert_eq!(scene.unprotected().await, Vec::<String>::new());
        let mut bare = read("route-policy.yaml").remove(0);
        bare["spec"].as_object_mut().unwrap().remove("mergeType");
        let _controller = scene.controller("nobody/nobody").await;
        let told = |policy: &Value| condition(policy, "Bypassed").cloned();
        scene.sees(ours(), |policy| condition(policy, "Accepted").is_some() && told(policy).is_none()).await;
        scene.apply(bare.clone()).await;
        scene.becomes(&scene.read(), "200").await;
        assert_eq!(scene.unprotected().await.len(), 1);
        let bypassed = scene.sees(ours(), |policy| told(policy).is_some_and(|one| one["status"] == "True")).await;
        let message = told(&bypassed).unwrap()["message"].as_str().unwrap().to_owned();
        let shop = scene.namespace("shop");
        for part in
            [format!("by HTTPRoute {shop}/orders"), format!("since SecurityPolicy {shop}/orders has no `extAuth`")]
        {
            assert!(message.contains(&part), "{message}");
        }
        scene.sees(policy("entrance", "edge"), |policy| reason(policy, "Overridden").is_some()).await;

        scene.ship("route-policy.yaml").await;
        scene.becomes(&scene.read(), "401 token_missing").await;
        scene.sees(policy("entrance", "edge"), |policy| reason(policy, "Merged").is_some()).await;
        assert_eq!(scene.unprotected().await, Vec::<String>::new());
        scene.sees(ours(), |policy| told(policy).is_none()).await;
        let preflight = Ask::new("OPTIONS", &scene.host, "/orders/7")
            .header("origin", "https://shop.example.com")
            .header("access-control-request-method", "GET");
        // the filter for CORS stands before the check and answers what it knows
        let answer = scene.ask_unchecked(&preflight).await;
        assert_eq!((answer.status, answer.value("access-control-allow-origin")), (200, "https://shop.example.com"));
    });
}

#[test]
fn a_policy_of_a_listener_takes_the_check_away() {
    inside(async || {
        let (scene, _entrance) = Scene::protected("listener").await;
        let mut listener = policy("cors", "edge");
        listener["spec"] =
            json!({"targetRefs": ours_at("http"), "cors": {"allowOrigins": ["https://shop.example.com"]}});
        scene.apply(listener.clone()).await;
        scene.becomes(&scene.read(), "200").await;
        assert_eq!(scene.found("no-check").await.len(), 1);
        scene.delete(listener).await;
        scene.becomes(&scene.read(), "401 token_missing").await;
    });
}

/// A listener of the Gateway.
fn ours_at(section: &str) -> Value {
    json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "sectionName": section}])
}

#[test]
fn a_route_is_open_while_it_has_no_policy() {
    inside(async || {
        let scene = Scene::new("order").await;
        let _entrance = scene.entrance().await;
        for file in ["gateway.yaml", "route.yaml"] {
            scene.ship(file).await;
        }
        scene.start().await;
        scene.becomes(&scene.read(), "200").await;
        assert_eq!(scene.found("no-check").await.len(), 1);
        scene.ship("service.yaml").await;
        scene.becomes(&scene.read(), "401 token_missing").await;
        assert_eq!(scene.found("no-check").await, Vec::<String>::new());
        scene.delete(policy("entrance", "edge")).await;
        scene.becomes(&scene.read(), "200").await;
        assert_eq!(scene.found("no-check").await.len(), 1);
    });
}

#[test]
fn a_policy_that_fails_open_is_no_policy_while_its_service_is_missing() {
    inside(async || {
        let (scene, entrance) = Scene::protected("missing").await;
        let elsewhere = |grpc: &mut Value| grpc["backendRefs"][0]["name"] = json!("nowhere");
        scene.apply(gateway_policy(|check| elsewhere(&mut check["grpc"]))).await;
        scene.becomes(&scene.read(), "500").await;
        scene.sees(policy("entrance", "edge"), |policy| reason(policy, "Accepted").as_deref() == Some("Invalid")).await;

        scene
            .apply(gateway_policy(|check| {
                elsewhere(&mut check["grpc"]);
                check["failOpen"] = json!(true);
            }))
            .await;
        scene.becomes(&scene.read(), "200").await;
        assert_eq!(scene.found("no-check").await.len(), 1);
        let _controller = scene.controller("nobody/nobody").await;
        let failing = |policy: &Value| {
            let bypassed = condition(policy, "Bypassed").and_then(|one| one["message"].as_str().map(str::to_owned));
            bypassed.is_some_and(|message| message.contains("says `failOpen: true`"))
        };
        scene.sees(ours(), failing).await;

        // with a Service it is open as soon as nobody answers there
        scene.apply(gateway_policy(|check| check["failOpen"] = json!(true))).await;
        scene.becomes(&scene.read(), "401 token_missing").await;
        assert_eq!(scene.found("failure-mode-allow").await.len(), 1);
        drop(entrance);
        scene.becomes(&scene.read(), "200").await;
    });
}

#[test]
fn a_service_of_another_namespace_is_no_service_without_its_grant() {
    inside(async || {
        let (scene, _entrance) = Scene::protected("granted").await;
        let grant = read("service.yaml").remove(1);
        scene.delete(grant.clone()).await;
        scene.becomes(&scene.read(), "500").await;
        scene.apply(grant).await;
        scene.becomes(&scene.read(), "401 token_missing").await;
    });
}

#[test]
fn the_answer_to_an_outage_is_what_the_policy_says() {
    inside(async || {
        let (scene, entrance) = Scene::protected("outage").await;
        drop(entrance);
        scene.becomes(&scene.read(), "503").await;
        scene
            .apply(gateway_policy(|check| {
                check.as_object_mut().unwrap().remove("statusOnError");
            }))
            .await;
        scene.becomes(&scene.read(), "403").await;
        assert_eq!(scene.found("status-on-error").await.len(), 1);
    });
}
