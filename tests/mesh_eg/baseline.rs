//! A policy of the Gateway: every route is protected, whoever attaches it and whenever.

use serde_json::json;

use super::plane::read;
use super::private_network::inside;
use super::raw_http::Ask;
use super::scene::Scene;

#[test]
fn a_gateway_with_a_policy_puts_every_request_to_entrance() {
    inside(async || {
        let scene = Scene::new("whole").await;
        let entrance = scene.entrance().await;
        scene.ship("gateway.yaml").await;
        scene.ship("service.yaml").await;
        scene.start().await;
        scene.becomes(&scene.read(), "404").await;
        // by the first route, which leads nowhere
        scene.has_check().await;
        scene.ship("route.yaml").await;
        let before = scene.becomes(&scene.read(), "401 token_missing").await;
        assert!(!before.contains(&"200".to_owned()), "{before:?}");

        let (bob, ada) = (scene.token("bob"), scene.token("ada"));
        let read = scene.read().bearer(&bob);
        let write = Ask::new("POST", &scene.host, "/orders");
        scene.becomes(&read, "200").await;
        for (ask, outcome) in [
            (write.clone().bearer(&bob), "403 role_missing"),
            (write.bearer(&ada), "200"),
            (Ask::get(&scene.host, "/elsewhere").bearer(&ada), "403 no_route"),
            (Ask::get(&scene.host, "/orders%2F7").bearer(&ada), "400"),
            (Ask::get("elsewhere.example.com", "/orders/7").bearer(&ada), "404"),
        ] {
            assert_eq!(scene.outcome(&ask).await, outcome, "{ask:?}");
        }
        let closed = json!({"spec": {"deny": [{"callers": "Any"}]}});
        let open = json!({"spec": {"deny": []}});
        for (change, outcome) in [(closed, "403 deny_entry_matched"), (open, "200")] {
            scene.edit(&change).await;
            scene.becomes(&read, outcome).await;
        }
        drop(entrance);
        for ask in [&read, &scene.read()] {
            scene.becomes(ask, "503").await;
        }
        let _entrance = scene.entrance().await;
        scene.becomes(&read, "200").await;
    });
}

#[test]
fn a_policy_of_a_route_names_the_access_policy_that_decides() {
    inside(async || {
        let (scene, _entrance) = Scene::protected("named").await;
        let bob = scene.token("bob");
        let elsewhere = Ask::get("elsewhere.example.com", "/orders/7");
        scene.route_every_host().await;
        scene.becomes(&elsewhere, "403 no_policy_for_host").await;
        scene.ship("named.yaml").await;
        scene.becomes(&elsewhere, "401 token_missing").await;
        assert_eq!(scene.outcome(&elsewhere.clone().bearer(&bob)).await, "200");

        for (name, value, outcome) in [
            ("entrance.dev/policy", "shop/nobody", "403 scope_unknown"),
            ("entrance.dev/plicy", "shop/orders", "400 scope_invalid"),
        ] {
            let mut policy = read("named.yaml").remove(0);
            policy["spec"]["extAuth"]["contextExtensions"] = json!([{"name": name, "type": "Value", "value": value}]);
            scene.apply(policy).await;
            scene.becomes(&elsewhere.clone().bearer(&bob), outcome).await;
        }
    });
}

/// A load balancer gives the Service an address, and the kubelet starts the pods: that is all that is missing here.
#[test]
fn the_gateway_is_programmed_once_its_proxy_runs() {
    inside(async || {
        let (scene, _entrance) = Scene::protected("programmed").await;
        let deployment = scene.deployment(|_| true).await;
        let running = json!({"status": {
            "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1, "observedGeneration": 1,
        }});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {
            "name": deployment["metadata"]["name"], "namespace": deployment["metadata"]["namespace"]}});
        let reached = json!({"status": {"loadBalancer": {"ingress": [{"ip": "10.99.0.1"}]}}});
        let deployed = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": service["metadata"]});
        scene.objects().merge(&deployed, ("status", &running)).await.unwrap();
        scene.objects().merge(&service, ("status", &reached)).await.unwrap();
        let gateway = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "edge"}});
        scene
            .sees(gateway, |gateway| {
                let conditions = gateway["status"]["conditions"].as_array().into_iter().flatten();
                conditions.into_iter().any(|one| one["type"] == "Programmed" && one["status"] == "True")
            })
            .await;
    });
}
