//! What a subscriber may see is enough: whoever compiles it comes to the same rules as whoever has everything.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "the policies have these members")]

#[path = "support/attached_world.rs"]
#[expect(dead_code, reason = "what leads past a policy is no rule")]
mod attached_world;

use std::collections::BTreeMap;
use std::sync::Arc;

use entrance::api::compile::Compiler;
use entrance::api::object::{Kind, Object, Resources};
use entrance::api::settings::{Scope, Settings};
use entrance::delivery::view::{Audience, Catalogue};
use entrance::delivery::wire::{self, Received};
use proptest::{collection, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Value, json};

/// Everybody who may subscribe, and by which settings.
fn subscribers() -> Vec<(Audience, Settings)> {
    let mut all = vec![(Audience::Gateway, Settings::default())];
    for (namespace, app) in [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")] {
        let (namespace, labels): (Arc<str>, _) = (namespace.into(), BTreeMap::from([("app".into(), app.into())]));
        let scope = Scope::Workload { namespace: Arc::clone(&namespace), labels: labels.clone() };
        all.push((Audience::Workload { namespace, labels }, Settings { scope, ..Settings::default() }));
    }
    all
}

fn rules(resources: &Resources, settings: &Settings) -> Vec<String> {
    let compiled = Compiler::default().compile(resources, settings);
    compiled.snapshot.tables().iter().map(|(host, table)| format!("{host}: {table:?}")).collect()
}

/// What a subscriber has after it received all that it may see.
fn received(catalogue: &Catalogue, audience: &Audience) -> Resources {
    let mut resources = Resources::new();
    for parcel in catalogue.view(audience).into_values() {
        if let Received::Resource(object) = wire::open(&parcel.envelope()).unwrap() {
            resources.put(object);
        }
    }
    resources
}

fn object(body: &Value) -> Arc<Object> {
    Arc::new(Object::new(body.as_object().unwrap().clone()).unwrap().unwrap())
}

proptest! {
    #[test]
    fn what_a_subscriber_sees_comes_to_the_same_rules(
        bodies in collection::vec(prop_oneof![2 => attached_world::object(), 1 => attached_world::policy()], 1..16),
    ) {
        let (mut resources, mut catalogue) = (Resources::new(), Catalogue::default());
        for body in &bodies {
            resources.put(object(body));
            catalogue = catalogue.next(&resources);
        }
        for (audience, settings) in subscribers() {
            let seen = received(&catalogue, &audience);
            prop_assert_eq!(rules(&seen, &settings), rules(&resources, &settings), "{:?}", audience);
        }
    }
}

#[test]
fn what_nobody_is_attached_to_is_not_seen() {
    let group = "gateway.networking.k8s.io";
    let of = |version: &str, kind: &str, (namespace, name): (&str, &str), spec: Value| {
        let metadata = json!({"namespace": namespace, "name": name});
        object(&json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}))
    };
    let (gateway, policies) = (format!("{group}/v1"), "entrance.dev/v1alpha1");
    let parent = json!({"parentRefs": [{"name": "edge", "namespace": "infra"}]});
    let mut resources = Resources::new();
    for namespace in ["shop", "play"] {
        resources.put(of(&gateway, "HTTPRoute", (namespace, "web"), parent.clone()));
        resources.put(of("v1", "Service", (namespace, "web"), json!({})));
    }
    for (namespace, name) in [("infra", "edge"), ("infra", "other"), ("play", "own")] {
        resources.put(of(&gateway, "Gateway", (namespace, name), json!({"listeners": []})));
    }
    let target = json!([{"group": group, "kind": "HTTPRoute", "name": "web"}]);
    let policy = |spec: Value| of(policies, "AccessPolicy", ("shop", "web"), spec);
    let seen = |resources: &Resources, audience: &Audience| -> Vec<String> {
        let seen = received(&Catalogue::default().next(resources), audience);
        seen.all().filter(|object| object.id.kind != Kind::AccessPolicy).map(|object| object.id.to_string()).collect()
    };
    let workload = |namespace: &str| Audience::Workload { namespace: namespace.into(), labels: BTreeMap::new() };

    resources.put(policy(json!({"hosts": ["web.example.com"], "routes": []})));
    for audience in [Audience::Gateway, workload("shop"), workload("play")] {
        assert_eq!(seen(&resources, &audience), [""; 0], "{audience:?}");
    }
    resources.put(policy(json!({"targetRefs": target, "routes": []})));
    let attached = ["HTTPRoute shop/web", "Gateway infra/edge", "Service shop/web"];
    assert_eq!(seen(&resources, &Audience::Gateway), attached);
    assert_eq!(seen(&resources, &workload("shop")), attached);
    assert_eq!(seen(&resources, &workload("play")), [""; 0]);
}

/// What the workloads of `evil` see of other namespaces, when this is there beside a policy that refers to `shop/api`.
fn abroad(more: &[Arc<Object>]) -> Vec<String> {
    let ours = |kind: &str, (namespace, name): (&str, &str), spec: Value| {
        let metadata = json!({"namespace": namespace, "name": name});
        object(&json!({"apiVersion": "entrance.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}))
    };
    let revoked = |application: &str| json!({"applicationRef": {"name": application}, "match": {"oid": "a person"}});
    let mut resources = Resources::new();
    for application in ["api", "other"] {
        let keys = json!({"keys": {"staticJwks": {"configMapRef": {"name": format!("{application}-keys")}}}});
        resources.put(ours("EntraApplication", ("shop", application), keys));
        resources.put(ours("TokenRevocation", ("shop", application), revoked(application)));
        resources.put(map("shop", &format!("{application}-keys"), 10));
    }
    resources.put(map("shop", "unrelated", 10));
    let reference = json!({"applicationRef": {"name": "api", "namespace": "shop"}, "hosts": ["x.example.com"]});
    resources.put(ours("AccessPolicy", ("evil", "own"), reference));
    more.iter().for_each(|object| drop(resources.put(Arc::clone(object))));
    let audience = Audience::Workload { namespace: "evil".into(), labels: BTreeMap::new() };
    let seen = received(&Catalogue::default().next(&resources), &audience);
    seen.all().filter(|object| *object.id.namespace == *"shop").map(|object| object.id.to_string()).collect()
}

fn map(namespace: &str, name: &str, size: usize) -> Arc<Object> {
    object(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name},
        "data": {"keys": "\u{1}".repeat(size)}}))
}

fn permission(name: &str, from: &str, application: Option<&str>) -> Arc<Object> {
    let group = "entrance.dev";
    object(&json!({
        "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {
            "from": [{"group": group, "kind": "AccessPolicy", "namespace": from}],
            "to": [{"group": group, "kind": "EntraApplication", "name": application}],
        },
    }))
}

#[test]
fn what_a_policy_refers_to_elsewhere_is_seen_if_it_is_permitted_there() {
    let strangers = [permission("to-billing", "billing", None), permission("other", "evil", Some("other"))];
    assert_eq!(abroad(&[]), [""; 0]);
    assert_eq!(abroad(&strangers), [""; 0]);
    let [billing, other] = strangers;
    let permitted =
        ["EntraApplication shop/api", "TokenRevocation shop/api", "ConfigMap shop/api-keys", "ReferenceGrant shop/yes"];
    assert_eq!(abroad(&[billing, other, permission("yes", "evil", Some("api"))]), permitted);
    assert_eq!(abroad(&[permission("yes", "evil", None)]), permitted);
    // a key set that no subscriber would take keeps nothing else out
    let large = map("shop", "api-keys", 1 << 20);
    assert_eq!(abroad(&[permission("yes", "evil", None), large]), [permitted[0], permitted[1], permitted[3]]);
}

#[test]
fn of_config_maps_only_key_sets_are_seen() {
    let mut resources = Resources::new();
    for name in ["keys", "large", "other"] {
        resources.put(map("shop", name, if name == "large" { 1 << 20 } else { 10 }));
    }
    for name in ["keys", "large"] {
        resources.put(object(&json!({
            "apiVersion": "entrance.dev/v1alpha1", "kind": "EntraApplication", "metadata": {"namespace": "shop", "name": name},
            "spec": {"keys": {"staticJwks": {"configMapRef": {"name": name}}}},
        })));
    }
    let catalogue = Catalogue::default().next(&resources);
    for audience in [Audience::Gateway, Audience::Workload { namespace: "shop".into(), labels: BTreeMap::new() }] {
        let seen = received(&catalogue, &audience);
        let maps: Vec<&str> = seen.of(Kind::ConfigMap).map(|map| &*map.id.name).collect();
        assert_eq!(maps, ["keys"], "{audience:?}");
    }
    assert_eq!(catalogue.undelivered().map(ToString::to_string).collect::<Vec<_>>(), ["ConfigMap shop/large"]);
}
