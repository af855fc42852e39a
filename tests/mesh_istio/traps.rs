//! The ways in which a mesh comes to let a request through that nobody decided, or to let none through: what happens, and
//! what `entrance doctor` says of it.

use serde_json::{Value, json};

use crate::children::until;
use crate::edge::Edge;
use crate::modes::{gateway_pod, hostname, kind};
use crate::plane::{documents, mesh};
use crate::private_network::inside;
use crate::proxy::{Proxy, Workload};
use crate::raw_http::Ask;
use crate::world::{HOST, World};

/// A request that must not come through.
fn protected() -> Ask {
    Ask::get(HOST, "/orders/7")
}

/// The request is refused for want of a token.
async fn holds(edge: &Edge) {
    assert_eq!(edge.ask(&protected()).await, "401 token_missing");
}

/// The request comes through, and the doctor finds this.
async fn is_open(edge: &Edge, finding: &str) {
    assert_eq!(edge.ask(&protected()).await, "200");
    says(edge, finding).await;
}

/// The request is refused so, whoever asks.
async fn is_closed(edge: &Edge, outcome: &str) {
    for ask in [protected(), World::shared().await.allowed()] {
        assert_eq!(edge.ask(&ask).await, outcome);
    }
}

/// The doctor finds this.
async fn says(edge: &Edge, finding: &str) {
    let found = edge.proxy.doctor().await;
    assert!(found.iter().any(|found| found.starts_with(finding)), "no {finding} in {found:#?}");
}

/// The policy of the example with these rules.
fn rules(rules: Value) -> impl FnOnce(&mut Value) {
    move |policy| policy["spec"]["rules"] = rules
}

#[test]
fn a_policy_without_rules_asks_about_nothing() {
    inside(async || {
        let _running = World::shared().await.running.read().await;
        is_open(
            &Edge::new("empty-rules", rules(json!([]))).await,
            "condition-unmet: AuthorizationPolicy `empty-rules/entrance` matches no request",
        )
        .await;
        let absent = Edge::new("no-rules", |policy| {
            policy["spec"].as_object_mut().unwrap().remove("rules");
        })
        .await;
        is_open(&absent, "condition-unmet: AuthorizationPolicy `no-rules/entrance` matches no request").await;
        let all = Edge::new("all-rules", rules(json!([{}]))).await;
        holds(&all).await;
        let found = all.proxy.doctor().await;
        assert!(!found.iter().any(|found| found.contains("AuthorizationPolicy")), "{found:#?}");
    });
}

#[test]
fn a_rule_about_principals_never_matches_where_nobody_has_one() {
    inside(async || {
        let _running = World::shared().await.running.read().await;
        let by_certificate = json!([{"from": [{"source": {"principals": ["*"]}}]}]);
        is_open(
            &Edge::new("principals", rules(by_certificate)).await,
            "condition-unmet: AuthorizationPolicy `principals/entrance` matches no request",
        )
        .await;
        let by_token = json!([{"from": [{"source": {"requestPrincipals": ["*"]}}]}]);
        is_open(
            &Edge::new("request-principals", rules(by_token)).await,
            "condition-unmet: AuthorizationPolicy `request-principals/entrance` matches no request",
        )
        .await;
    });
}

#[test]
fn a_policy_whose_selector_meets_nobody_is_not_there() {
    inside(async || {
        let _running = World::shared().await.running.read().await;
        let astray = Edge::new("selector", |policy| {
            policy["spec"]["selector"]["matchLabels"] = json!({"istio": "ingres"});
        })
        .await;
        is_open(&astray, "no-check").await;
    });
}

/// A route that is there before its policy, and one whose policy was deleted, are the same.
#[test]
fn a_route_without_its_policy_is_open() {
    inside(async || {
        let _running = World::shared().await.running.read().await;
        let edge = Edge::new("no-policy", |_| {}).await;
        holds(&edge).await;
        edge.without("entrance").await;
        is_open(&edge, "no-check").await;
        let spec = json!({"selector": {"matchLabels": {"istio": "no-policy"}}, "action": "CUSTOM",
            "provider": {"name": "entrance"}, "rules": [{}]});
        edge.policy("entrance", spec).await;
        holds(&edge).await;
    });
}

#[test]
fn what_a_rule_leaves_out_is_not_asked_about() {
    inside(async || {
        let _running = World::shared().await.running.read().await;
        let left_out = json!([{"to": [{"operation": {"notPaths": ["/orders/*"]}}]}]);
        is_open(
            &Edge::new("paths", rules(left_out)).await,
            "filter-conditional: requests that AuthorizationPolicy `paths/entrance`",
        )
        .await;
        let some = Edge::new("some-paths", rules(json!([{"to": [{"operation": {"paths": ["/orders/*"]}}]}]))).await;
        holds(&some).await;
        // The mesh normalises paths before rules match them, so that there is no way around by another spelling.
        for target in ["//orders/7", "/orders//7", "/x/../orders/7", "/%6frders/7", "/x/..%2forders/7", "/orders%2F7"] {
            // what another test told the mesh may still be on its way out
            let world = World::shared().await;
            world.becomes(("another spelling", some.address), &Ask::get(HOST, target), "401 token_missing").await;
        }
        assert_eq!(some.ask(&Ask::get(HOST, "/elsewhere")).await, "200");
    });
}

#[test]
fn an_authorizer_that_is_not_there_opens_the_door_only_where_somebody_said_so() {
    inside(async || {
        let _running = World::shared().await.running.read().await;
        let provider = |name: &'static str| move |policy: &mut Value| policy["spec"]["provider"]["name"] = json!(name);
        is_open(&Edge::new("fail-open", provider("nobody-open")).await, "failure-mode-allow").await;
        is_closed(&Edge::new("nobody", provider("nobody")).await, "503").await;
        let unknown = Edge::new("unknown", |policy| {
            provider("entrence")(policy);
            rules(json!([{"to": [{"operation": {"notPaths": ["/healthz"]}}]}]))(policy);
        })
        .await;
        is_closed(&unknown, "403").await;
        assert_eq!(unknown.ask(&Ask::get(HOST, "/healthz")).await, "200");
        says(&unknown, "provider-unusable: what AuthorizationPolicy `unknown/entrance` matches is refused").await;
        is_closed(&Edge::new("unknown-service", provider("unknown-service")).await, "403").await;
        says(&Edge::new("patient", provider("patient")).await, "no-timeout: is 600 s, and nobody waits that long")
            .await;
    });
}

/// gRPC servers answer 200 to what they do not know, and that is a permit to who asks over HTTP: Entrance does not.
#[test]
fn the_doctor_sees_that_a_provider_asks_the_port_for_grpc_over_http() {
    inside(async || {
        let _running = World::shared().await.running.read().await;
        let edge = Edge::new("over-http", |policy| policy["spec"]["provider"]["name"] = json!("over-http")).await;
        says(&edge, "http-to-grpc").await;
        for ask in [protected(), World::shared().await.allowed()] {
            assert_ne!(edge.ask(&ask).await, "200");
        }
    });
}

#[test]
fn two_providers_for_one_workload_close_the_door() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        let edge = Edge::new("two-providers", rules(json!([{"to": [{"operation": {"paths": ["/orders/*"]}}]}]))).await;
        holds(&edge).await;
        let rules = json!([{"to": [{"operation": {"paths": ["/reports/*"]}}]}]);
        edge.policy("second", json!({"action": "CUSTOM", "provider": {"name": "nobody"}, "rules": rules})).await;
        is_closed(&edge, "403").await;
        says(&edge, "provider-unusable: what AuthorizationPolicy `two-providers/second` matches is refused").await;
        assert_eq!(edge.ask(&Ask::get(HOST, "/reports/1")).await, "403");
        assert_eq!(edge.ask(&Ask::get(HOST, "/elsewhere")).await, "200");
    });
}

#[test]
fn without_normalisation_by_the_mesh_another_spelling_of_a_path_goes_around_a_rule() {
    inside(async || {
        let world = World::shared().await;
        let _alone = world.running.write().await;
        let paths = rules(json!([{"to": [{"operation": {"paths": ["/orders/*"]}}]}]));
        let edge = Edge::new("spellings", paths).await;
        let around = Ask::get(HOST, "//orders/7");
        assert_eq!(edge.ask(&around).await, "401 token_missing");
        let mut base = mesh();
        base.as_object_mut().unwrap().remove("pathNormalization");
        world.plane.configure(base).await;
        world.becomes(("the mesh as it comes", edge.address), &around, "200").await;
        holds(&edge).await;
        says(&edge, "slashes-not-merged").await;
        world.plane.configure(mesh()).await;
        world.becomes(("the mesh of the example", edge.address), &around, "401 token_missing").await;
    });
}

/// Istio's own controller sets the label; whoever deploys gateways by hand has to.
#[test]
fn a_gateway_whose_pods_lack_their_label_is_not_what_a_policy_targets() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        let namespace = "unlabelled";
        let labels = json!({"app": "by-hand"});
        let mut objects = documents("examples/istio/gateway-api.yaml");
        for object in &mut objects {
            object["metadata"]["namespace"] = json!(namespace);
        }
        hostname(kind(&mut objects, "Gateway"), "edge", namespace);
        let backend = json!({"name": "orders", "namespace": "shop", "port": 80});
        kind(&mut objects, "HTTPRoute")["spec"]["rules"][0]["backendRefs"][0] = backend;
        let grant = json!({"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
            "metadata": {"name": namespace, "namespace": "shop"},
            "spec": {"to": [{"group": "", "kind": "Service"}],
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": namespace}]}});
        let own = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        world.plane.apply_all(&[own, grant]).await;
        let workload = Workload::new("router", (namespace, "edge"), labels.clone());
        gateway_pod(&world.plane, &workload, ("http", 28730)).await;
        world.plane.apply_all(&objects).await;
        let proxy = Proxy::start(&workload, &world.plane).await;
        let at = ("a gateway without its label", "127.0.0.1:28730".parse().unwrap());
        world.becomes(at, &protected(), "200").await;
        let gateway = world.plane.read(kind(&mut objects, "Gateway")).await.unwrap();
        let accepted = gateway["status"]["conditions"].as_array().unwrap().iter();
        assert!(accepted.clone().any(|one| one["type"] == "Accepted" && one["status"] == "True"), "{gateway:#}");
        let found = proxy.doctor().await;
        assert!(found.iter().any(|found| found.starts_with("no-check")), "{found:#?}");
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "edge-0", "namespace": namespace}});
        let label = json!({"metadata": {"labels": {"gateway.networking.k8s.io/gateway-name": "edge"}}});
        world.plane.merge(&pod, ("", &label)).await;
        world.becomes(at, &protected(), "401 token_missing").await;
    });
}

/// ztunnel would have to ask, and cannot.
#[test]
fn a_waypoint_does_what_policies_say_that_target_it_and_nothing_that_selects_pods() {
    inside(async || {
        let world = World::shared().await;
        let _alone = world.running.write().await;
        let waypoint = world.modes.iter().find(|mode| mode.name == "ambient waypoint").unwrap();
        world.becomes(waypoint.at(), &protected(), "401 token_missing").await;
        let policy = kind(&mut documents("examples/istio/waypoint.yaml"), "AuthorizationPolicy").clone();
        let service = json!([{"group": "", "kind": "Service", "name": "reports"}]);
        let with = |target: (&str, Value)| {
            let mut policy = policy.clone();
            policy["spec"].as_object_mut().unwrap().remove("targetRefs");
            policy["spec"][target.0] = target.1;
            policy
        };
        let selecting = with(("selector", json!({"matchLabels": {"app": "reports"}})));
        world.plane.apply(&selecting).await;
        world.becomes(waypoint.at(), &protected(), "200").await;
        let found = waypoint.proxy.doctor().await;
        assert!(found.iter().any(|found| found.starts_with("no-check")), "{found:#?}");
        until("the policy says so", async || {
            let status = world.plane.read(&selecting).await?["status"].to_string();
            status.contains("UnsupportedValue").then_some(())
        })
        .await;
        world.plane.apply(&with(("targetRefs", service))).await;
        world.becomes(waypoint.at(), &protected(), "401 token_missing").await;
        world.plane.apply(&policy).await;
        world.becomes(waypoint.at(), &protected(), "401 token_missing").await;
    });
}
