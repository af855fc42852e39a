//! The hosts of a policy that is attached to something are those that the documentation promises, in whatever world; and
//! what is missing there is told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]

#[path = "support/attached_oracle.rs"]
mod attached_oracle;
#[path = "support/attached_world.rs"]
mod attached_world;

use std::collections::BTreeMap;
use std::sync::Arc;

use entrance::api::compile::{Compiled, Compiler};
use entrance::api::fault::About;
use entrance::api::lint;
use entrance::api::object::{Kind, Object, Resources};
use entrance::api::settings::{Scope, Settings};
use proptest::prelude::{ProptestConfig, any};
use proptest::sample::select;
use proptest::{collection, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Value, json};

use attached_oracle::{Oracle, World, covers, names, place};

fn resources<'v>(bodies: impl Iterator<Item = &'v Value>) -> Resources {
    let mut resources = Resources::new();
    for body in bodies {
        resources.put(Arc::new(Object::new(body.as_object().unwrap().clone()).unwrap().unwrap()));
    }
    resources
}

fn compiled<'v>(bodies: impl Iterator<Item = &'v Value>, sidecar: bool) -> Compiled {
    let resources = resources(bodies);
    let labels = BTreeMap::from([("app".to_owned(), "x".to_owned())]);
    let scope = if sidecar { Scope::Workload { namespace: "a".into(), labels } } else { Scope::Gateway };
    Compiler::default().compile(&resources, &Settings { scope, ..Settings::default() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn a_policy_speaks_for_what_is_promised(
        bodies in collection::vec(attached_world::object(), 0..12),
        hung in any::<bool>(),
        mut policy in attached_world::policy(),
        sidecar in any::<bool>(),
    ) {
        // In half of the worlds something is whole from the start, and the policy asks for more than that.
        if hung {
            policy["metadata"]["namespace"] = json!("a");
            policy["spec"]["hosts"] = json!(["*.example.com"]);
        }
        let services = ["r", "s", "g"].map(|name| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": name}}));
        let whole = attached_world::hung().into_iter().chain(services).filter(|_| hung);
        let world: World = whole.chain(bodies).map(|body| (place(&body), body)).collect();
        let oracle = Oracle { world: &world, policy: &policy, sidecar };
        let compiled = compiled(world.values().chain([&policy]), sidecar);
        let hosts: Vec<String> = compiled.snapshot.tables().iter().map(|(host, _)| host.to_string()).collect();
        for name in names() {
            let speaks = hosts.iter().any(|host| covers(host, &name));
            prop_assert_eq!(speaks, oracle.speaks_for(&name), "{} by {:?}", name, hosts);
        }
        let targets = policy["spec"]["targetRefs"].as_array().unwrap();
        for (at, _) in targets.iter().enumerate().filter(|(_, target)| !oracle.is_broken() && oracle.lacks(target)) {
            let path = format!("spec.targetRefs[{at}]");
            let told = |about: &About| *about == About::Target;
            prop_assert!(compiled.faults.iter().any(|fault| told(&fault.about) && fault.path.to_string() == path), "{}", path);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn whoever_comes_later_decides_nothing_that_others_serve(
        bodies in collection::vec(prop_oneof![3 => attached_world::object(), 2 => attached_world::policy()], 0..14),
        newcomers in collection::vec(prop_oneof![attached_world::object(), attached_world::policy()], 1..8),
        (host, hung) in (select(&["x.example.com", "*.x.example.com", "y.example.com"][..]), select(&["a", "b"][..])),
    ) {
        // Somebody has a baseline on a Gateway, somebody a route there, and a newcomer another one.
        let listener = json!({"name": "one", "port": 80, "protocol": "HTTP", "hostname": "*.example.com", "allowedRoutes": {"namespaces": {"from": "All"}}});
        let gateway = attached_world::of(Kind::Gateway, ("a", "g"), json!({"listeners": [listener]}));
        let mut base = placed("a", 1, json!({"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g"}]}));
        base["metadata"]["name"] = json!("base");
        let route = |namespace: &str, host: &str| {
            let spec = json!({"parentRefs": [{"name": "g", "namespace": "a"}], "hostnames": [host], "rules": [{"backendRefs": [{"name": "s"}]}]});
            attached_world::of(Kind::HttpRoute, (namespace, "r"), spec)
        };
        let bodies = bodies.into_iter().chain([gateway, base, route(hung, "x.example.com")]);
        let mine = placed("z", 1, json!({"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "r"}]}));
        let newcomers = newcomers.into_iter().chain([route("z", host), mine]);
        let mut first: World = bodies.map(|body| (place(&body), body)).collect();
        first.values_mut().for_each(|body| body["metadata"]["creationTimestamp"] = json!("2026-01-04T00:00:00Z"));
        let mut newcomers: Vec<Value> = newcomers.collect();
        for body in &mut newcomers {
            body["metadata"]["namespace"] = json!("z");
            body["metadata"]["creationTimestamp"] = json!("2026-01-05T00:00:00Z");
        }
        let later: World = newcomers.into_iter().map(|body| (place(&body), body)).collect();
        let (before, after) = (compiled(first.values(), false), compiled(first.values().chain(later.values()), false));
        let oracle = Oracle { world: &first, policy: &Value::Null, sidecar: false };
        for name in names() {
            let Some(owner) = decider(&before, &name).filter(|owner| oracle.is_served(&name, owner)) else { continue };
            prop_assert!(decider(&after, &name).is_some_and(|decider| decider != "z"), "`{}` of {}", name, owner);
        }
    }
}

/// The namespace whose policies decide for a name.
fn decider(compiled: &Compiled, name: &str) -> Option<String> {
    let tables = compiled.snapshot.tables();
    let covering = tables.iter().filter(|(host, _)| covers(&host.to_string(), name));
    // The exact name is longer than any wildcard above it.
    let (_, table) = covering.max_by_key(|(host, _)| host.to_string().trim_start_matches('*').len())?;
    table.policies().first().map(|policy| policy.id().namespace.to_string())
}

/// Routes to one Service, each with 16 hosts of its own.
fn crowd(routes: usize) -> Vec<Value> {
    let listener = json!({"name": "all", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"});
    let gateway = attached_world::of(Kind::Gateway, ("a", "edge"), json!({"listeners": [listener]}));
    let service = attached_world::of(Kind::Service, ("a", "s"), json!({}));
    let route = |route: usize| {
        let hosts: Vec<String> = (0..16).map(|host| format!("h{route}-{host}.example.com")).collect();
        let rules = json!([{"backendRefs": [{"name": "s"}]}]);
        let spec = json!({"parentRefs": [{"name": "edge"}], "hostnames": hosts, "rules": rules});
        attached_world::of(Kind::HttpRoute, ("a", &format!("r{route}")), spec)
    };
    [gateway, service].into_iter().chain((0..routes).map(route)).collect()
}

/// A policy of this namespace and day.
fn placed(namespace: &str, day: u8, mut spec: Value) -> Value {
    spec["applicationRef"] = json!({"name": "api"});
    spec["routes"] = json!([{"name": "all", "path": "/{*rest}", "anonymous": true}]);
    let metadata =
        json!({"namespace": namespace, "name": "p", "creationTimestamp": format!("2026-01-0{day}T00:00:00Z")});
    json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": metadata, "spec": spec})
}

#[test]
fn hosts_that_are_too_many_to_be_meant_are_closed_and_fall_to_nobody() {
    let targets = json!({"targetRefs": [{"group": "", "kind": "Service", "name": "s"}]});
    let policies = [placed("a", 1, targets), placed("b", 2, json!({"hosts": ["*.example.com", "h3-3.example.com"]}))];
    let world = crowd(70);
    let compiled = compiled(world.iter().chain(&policies), false);
    let tables = compiled.snapshot.tables();
    let tables: BTreeMap<String, _> = tables.iter().map(|(host, table)| (host.to_string(), table)).collect();
    for host in (0..70).flat_map(|route| (0..16).map(move |host| format!("h{route}-{host}.example.com"))) {
        let table = tables[&host];
        assert!(table.poison().is_some(), "{host}");
        assert!(table.policies().iter().all(|policy| *policy.id().namespace == *"a"), "{host}");
    }
    assert!(tables["*.example.com"].poison().is_none());
}

#[test]
fn whoever_opens_the_sidecars_of_others_is_warned() {
    let told = |bodies: &[&Value]| {
        let all = resources(bodies.iter().copied());
        let compiled = compiled(bodies.iter().copied(), false);
        let remarks = all.of(Kind::AccessPolicy).flat_map(|policy| lint::remarks(policy, &all, &compiled));
        let selectors = remarks.filter(|remark| remark.path.to_string() == "spec.selector");
        selectors.map(|remark| remark.problem.into_string()).collect::<Vec<_>>()
    };
    let open = placed("a", 1, json!({"hosts": ["status.example.com"]}));
    let mut beside = placed("a", 1, json!({"hosts": ["*"], "selector": {"matchLabels": {"app": "x"}}}));
    beside["metadata"]["name"] = json!("beside");
    let mut elsewhere = beside.clone();
    elsewhere["metadata"]["namespace"] = json!("b");
    let mut shut = open.clone();
    shut["spec"]["routes"][0] = json!({"name": "all", "path": "/{*rest}", "allow": [{"callers": "Any"}]});
    let one = told(&[&open, &beside]);
    assert!(one[0].starts_with("is missing, unlike in AccessPolicy a/beside, so that its anonymous routes open"));
    assert_eq!(
        [one, told(&[&open, &elsewhere]), told(&[&shut, &beside]), told(&[&open])].map(|told| told.len()),
        [1, 0, 0, 0]
    );
}
