//! What the chart renders for Envoy Gateway: the real definitions accept it, and it protects.

use serde_json::Value;

use super::helm::{Helm, objects};
use super::private_network::inside;
use super::scene::Scene;

/// What the chart renders besides its own processes, with these values.
fn rendered(scene: &Scene, more: &[&str]) -> Vec<Value> {
    let set = |name: &str, value: &str| ["--set".to_owned(), format!("{name}={value}")];
    let within = scene.namespace("entrance");
    let values = [
        set("mesh", "envoy-gateway"),
        set("gateway.enabled", "true"),
        set("envoyGateway.rejectEscapedSlashes", "true"),
        set("envoyGateway.targets[0].name", "edge"),
        set("envoyGateway.targets[0].namespace", &scene.namespace("edge")),
    ];
    let values: Vec<&str> = values.iter().flatten().map(String::as_str).chain(more.iter().copied()).collect();
    let text = Helm::offline()
        .prints(&[&["template", "entrance", "charts/entrance", "--namespace", &within], &*values].concat());
    let ours = |object: &Value| object["apiVersion"].as_str().unwrap().starts_with("gateway.");
    objects(&text).into_iter().filter(ours).collect()
}

#[test]
fn the_chart_renders_what_protects_a_gateway() {
    inside(async || {
        let scene = Scene::new("chart").await;
        let entrance = scene.entrance().await;
        scene.ship("gateway.yaml").await;
        for object in super::plane::read("gateway.yaml").split_off(2) {
            scene.delete(object).await;
        }
        let all = rendered(&scene, &[]);
        let kinds: Vec<_> = all.iter().map(|object| object["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["ClientTrafficPolicy", "HTTPRoute", "ReferenceGrant", "SecurityPolicy"]);
        for object in &all {
            scene.apply(object.clone()).await;
        }
        scene.ship("route.yaml").await;
        scene.start().await;
        scene.becomes(&scene.read(), "401 token_missing").await;
        scene.becomes(&scene.read().bearer(&scene.token("bob")), "200").await;
        assert_eq!(scene.found("escaped-slashes").await, Vec::<String>::new());

        // what is left when the release is removed
        drop(entrance);
        for object in &all {
            if object["metadata"]["annotations"]["helm.sh/resource-policy"] != "keep" {
                scene.delete(object.clone()).await;
            }
        }
        scene.becomes(&scene.read(), "500").await;
    });
}

#[test]
fn the_definitions_accept_every_form_that_the_chart_has() {
    inside(async || {
        let scene = Scene::new("forms").await;
        let more =
            ["--set", "envoyGateway.targets[0].sectionName=http", "--set", "envoyGateway.targets[0].socket=true"];
        for object in rendered(&scene, &more) {
            scene.apply(object).await;
        }
    });
}
