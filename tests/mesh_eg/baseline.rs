//! A policy of the Gateway: every route is protected, whoever attaches it and whenever.

use serde_json::json;

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
