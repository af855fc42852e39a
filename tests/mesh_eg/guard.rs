//! What the API server is told to refuse, and that it takes everything which the documentation shows.

use std::path::Path;

use entrance::files::yaml;
use serde_json::{Value, json};

use super::children::until;
use super::plane::read;
use super::private_network::inside;
use super::scene::Scene;

/// The guard, for one namespace: other tests share the API server.
async fn guard(scene: &Scene) {
    let name = json!(scene.namespace("guard"));
    for mut object in read("guard.yaml") {
        object["metadata"]["name"] = name.clone();
        if object["kind"] == "ValidatingAdmissionPolicyBinding" {
            let names = ["shop", "edge"].map(|name| scene.namespace(name));
            let here = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": names});
            object["spec"]["policyName"] = name.clone();
            object["spec"]["matchResources"] = json!({"namespaceSelector": {"matchExpressions": [here]}});
        } else {
            for variable in object["spec"]["variables"].as_array_mut().unwrap() {
                let mut text = variable["expression"].as_str().unwrap().to_owned();
                for name in ["edge", "entrance"] {
                    text = text.replace(&format!("'{name}'"), &format!("'{}'", scene.namespace(name)));
                }
                variable["expression"] = json!(text);
            }
        }
        scene.apply(object).await;
    }
}

#[test]
fn a_guarded_namespace_has_no_policy_that_opens_a_door() {
    inside(async || {
        let scene = Scene::new("guard").await;
        guard(&scene).await;
        let merged = read("route-policy.yaml").remove(0);
        let named = read("named.yaml").remove(0);
        let with = |mut policy: Value, place: &str, value: Value| {
            *policy.pointer_mut(place).unwrap() = value;
            policy
        };
        let mut bare = merged.clone();
        bare["spec"].as_object_mut().unwrap().remove("mergeType");
        until("the guard is on", async || scene.dry_run(&bare).await.err()).await;
        let named = its_own_names(&scene, named).await;
        let socket = json!([{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "entrance"}]);
        let refs = "/spec/extAuth/grpc/backendRefs";
        for (policy, complaint) in [
            (bare, "takes the check away"),
            (with(named.clone(), "/spec/extAuth/failOpen", json!(true)), "everybody passes"),
            (with(named.clone(), &format!("{refs}/0/name"), json!("other")), "asks another authorizer"),
            (with(named.clone(), &format!("{refs}/0/namespace"), json!("other")), "asks another authorizer"),
            (with(named.clone(), refs, json!([{"name": "entrance-gateway", "port": 9191}])), "asks another authorizer"),
            (merged, ""),
            (named.clone(), ""),
            (with(named, refs, socket), "asks another authorizer"),
            (read("service.yaml").remove(0), ""),
            (read("unix.yaml").pop().unwrap(), ""),
        ] {
            judged(&scene, &policy, complaint).await;
        }
    });
}

/// A policy with these targets, and with something that is no check.
fn about(namespace: &str, targets: Value) -> Value {
    let mut policy = json!({"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "SecurityPolicy",
        "metadata": {"name": "about", "namespace": namespace}, "spec": targets});
    policy["spec"]["cors"] = json!({"allowOrigins": ["https://shop.example.com"]});
    policy
}

/// The same with a check by somebody else, which opens where it fails.
fn elsewhere(mut policy: Value) -> Value {
    policy["spec"]["extAuth"] =
        json!({"grpc": {"backendRefs": [{"name": "opa", "port": 9191}]}, "timeout": "10s", "failOpen": true});
    policy
}

/// Namespaces of `edge` have Gateways that Entrance stands before, those of `shop` have none.
#[test]
fn the_guard_lets_others_have_policies_of_their_own_gateways() {
    inside(async || {
        let scene = Scene::new("theirs").await;
        guard(&scene).await;
        let to = |kind: &str| json!({"group": "gateway.networking.k8s.io", "kind": kind, "name": "edge"});
        let one = |kind: &str| json!({"targetRef": to(kind)});
        let listed = |kind: &str| json!({"targetRefs": [to(kind)]});
        let mut listener = listed("Gateway");
        listener["targetRefs"][0]["sectionName"] = json!("http");
        let selected = |kind: &str, namespaces: Value| json!({"targetSelectors": [{"kind": kind, "matchLabels": {"team": "shop"}, "namespaces": namespaces}]});
        let (same, all) = (json!({"from": "Same"}), json!({"from": "All"}));
        let (routes, gateway) = ("away from its routes", "away from its Gateway or listener");
        until("the guard is on", async || scene.dry_run(&about("shop", one("HTTPRoute"))).await.err()).await;
        for (namespace, targets, complaint) in [
            ("shop", listed("Gateway"), ""),
            ("shop", one("Gateway"), ""),
            ("shop", listener.clone(), ""),
            ("shop", selected("Gateway", same.clone()), ""),
            ("shop", listed("TCPRoute"), ""),
            ("edge", listed("TCPRoute"), ""),
            ("shop", selected("Gateway", all.clone()), gateway),
            ("shop", listed("ListenerSet"), gateway),
            ("shop", selected("ListenerSet", same.clone()), gateway),
            ("edge", listed("Gateway"), gateway),
            ("edge", one("Gateway"), gateway),
            ("edge", listener, gateway),
            ("edge", selected("Gateway", same), gateway),
            ("shop", json!({"targetRefs": [to("Gateway"), to("HTTPRoute")]}), routes),
            ("shop", one("GRPCRoute"), routes),
            ("shop", listed("HTTPRoute"), routes),
            ("shop", selected("HTTPRoute", all), routes),
        ] {
            let policy = about(namespace, targets);
            judged(&scene, &policy, complaint).await;
            let complaint = if complaint.is_empty() { "" } else { "everybody passes" };
            let mut policy = elsewhere(policy);
            judged(&scene, &policy, complaint).await;
            policy["spec"]["extAuth"].as_object_mut().unwrap().remove("failOpen");
            let complaint = if complaint.is_empty() { "" } else { "asks another authorizer" };
            judged(&scene, &policy, complaint).await;
        }
        let mut ours = elsewhere(about("shop", listed("Gateway")));
        ours["spec"]["extAuth"]["grpc"]["backendRefs"] =
            json!([{"name": "entrance-gateway", "namespace": "entrance", "port": 9191}]);
        judged(&scene, &ours, "everybody passes").await;
    });
}

/// Of policies that name what decides, those are let in that name what is of their own namespace. One of these.
async fn its_own_names(scene: &Scene, named: Value) -> Value {
    let own = scene.namespace("shop");
    let names = |name: &str, value: Value| {
        let mut extension = json!({"name": name});
        extension.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        let mut policy = named.clone();
        policy["spec"]["extAuth"]["contextExtensions"] = json!([{"name": "team", "value": "x"}, extension]);
        policy
    };
    let value = |text: &str| json!({"type": "Value", "value": text});
    let reference =
        json!({"type": "ValueRef", "valueRef": {"group": "", "kind": "ConfigMap", "name": "own", "key": "policy"}});
    let (policy, application) = ("entrance.dev/policy", "entrance.dev/application");
    let elsewhere = "names what is not of its own namespace";
    for (extended, complaint) in [
        (names(policy, value(&format!("{own}/orders"))), ""),
        (names(policy, json!({"value": format!("{own}/orders")})), ""),
        (names(application, value(&format!("{own}/orders-api"))), ""),
        (names("others.dev/policy", value("other/lax")), ""),
        (names("others.dev/policy", reference.clone()), ""),
        (names(policy, value("other/lax")), elsewhere),
        (names(application, value("other/lax")), elsewhere),
        (names(policy, value(&format!("{own}-lax/orders"))), elsewhere),
        (names(policy, value(&own)), elsewhere),
        (names(policy, value("")), elsewhere),
        (names(policy, reference), elsewhere),
        (names("Entrance.dev/Policy", value("other/lax")), elsewhere),
        (names("Entrance.dev/policy", value(&format!("{own}/orders"))), elsewhere),
        (names("entrance.dev/polcy", value(&format!("{own}/orders"))), elsewhere),
        (names("ENTRANCE.DEV", value(&format!("{own}/orders"))), elsewhere),
    ] {
        judged(scene, &extended, complaint).await;
    }
    names(policy, value(&format!("{own}/orders")))
}

/// The API server takes it, or complains so.
async fn judged(scene: &Scene, policy: &Value, complaint: &str) {
    match scene.dry_run(policy).await {
        Ok(_) => assert_eq!(complaint, "", "{policy:#}"),
        Err(error) => assert!(!complaint.is_empty() && error.contains(complaint), "{error} for {policy:#}"),
    }
}

/// The objects in YAML blocks of a page that are not Entrance's own.
fn shown(page: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let objects = blocks.flat_map(|block| yaml::parse(block.as_bytes()).unwrap()).map(|document| document.body);
    objects.filter(|object| object["kind"].is_string()).collect()
}

#[test]
fn the_definitions_accept_what_the_documentation_shows() {
    inside(async || {
        let scene = Scene::new("docs").await;
        let mut all = shown("docs/envoy-gateway.md");
        assert!(all.len() >= 3, "{all:?}");
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/envoy-gateway")).unwrap() {
            all.extend(read(entry.unwrap().file_name().to_str().unwrap()));
        }
        for object in all {
            scene.dry_run(&object).await.unwrap_or_else(|error| panic!("{error} for {object:#}"));
        }
        let wrong = json!({"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "SecurityPolicy",
            "metadata": {"name": "wrong", "namespace": "edge"}, "spec": {"extAuthz": {}}});
        assert!(scene.dry_run(&wrong).await.is_err());
    });
}
