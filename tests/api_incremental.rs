//! A compiler that saw everything before says the same as one that sees it for the first time, after any changes in any
//! order: state is a function of the set of objects.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]

#[path = "support/attached_world.rs"]
mod attached_world;

use std::collections::BTreeMap;
use std::sync::Arc;

use entrance::api::compile::{Compiled, Compiler};
use entrance::api::fault::About;
use entrance::api::object::{Kind, Object, ObjectId, Resources};
use entrance::api::settings::{Scope, Settings};
use entrance::policy::host::HostPattern;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::{collection, option, prop_assert_eq, proptest};
use serde_json::{Value, json};

const TENANT: &str = "7b9f0000-0000-4000-8000-000000000001";
const CLIENT: &str = "11aa22bb-33cc-44dd-8ee5-ff6677889900";

/// One change.
#[derive(Clone, Debug)]
enum Edit {
    Put(Value),
    Remove(Kind, &'static str, &'static str),
    /// Compile for somebody else from here on.
    Settle(usize),
}

fn settings(number: usize) -> Settings {
    let pins = || BTreeMap::from([(HostPattern::parse("*.example.com").unwrap(), "b".into())]);
    let labels = |app: &str| BTreeMap::from([("app".to_owned(), app.to_owned())]);
    match number {
        0 => Settings::default(),
        1 => Settings { pins: pins(), ..Settings::default() },
        _ => Settings { scope: Scope::Workload { namespace: "a".into(), labels: labels("x") }, ..Settings::default() },
    }
}

fn namespace() -> impl Strategy<Value = &'static str> {
    select(&["a", "b"][..])
}

fn name() -> impl Strategy<Value = &'static str> {
    select(&["p", "q", "r"][..])
}

fn metadata((namespace, name): (&str, &str), created: Option<u8>) -> Value {
    let at = created.map(|day| format!("2026-01-0{day}T00:00:00Z"));
    json!({"namespace": namespace, "name": name, "creationTimestamp": at})
}

fn policy() -> impl Strategy<Value = Value> {
    let hosts = select(&["x.example.com", "y.example.com", "*.example.com", "x.example.com:1"][..]);
    let hosts = collection::btree_set(hosts, 1..3);
    let path = select(&["/a", "/a/{b}", "no path"][..]);
    let spec = (hosts, path, select(&["Enforce", "Shadow"][..]), select(&["api", "absent"][..]), any::<bool>());
    (namespace(), name(), option::of(1..4_u8), spec).prop_map(|(at, name, created, spec)| {
        let (hosts, path, mode, application, selects) = spec;
        let allow = json!([{"tenants": ["contoso"]}]);
        let mut body = json!({
            "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": metadata((at, name), created),
            "spec": {
                "applicationRef": {"name": application}, "hosts": hosts, "mode": mode,
                "routes": [{"name": "one", "path": path, "allow": allow}, {"name": "two", "path": "/c", "allow": allow}],
            },
        });
        if selects {
            body["spec"]["selector"] = json!({"matchLabels": {"app": "x"}});
        }
        body
    })
}

fn other(kind: &'static str, spec: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let of = move |(at, name, spec)| json!({"apiVersion": "entrance.dev/v1alpha1", "kind": kind, "metadata": metadata((at, name), None), "spec": spec});
    (namespace(), select(&["api", "p", "g"][..]), spec).prop_map(of)
}

fn application() -> impl Strategy<Value = Value> {
    let spec = |name: &str| json!({"tenants": [{"id": TENANT, "name": name}], "clientId": CLIENT});
    other("EntraApplication", select(vec![spec("contoso"), spec("fabrikam"), json!({})]))
}

fn grant() -> impl Strategy<Value = Value> {
    let spec = |policy: &str| json!({"policyRef": {"name": policy}, "subject": {"client": CLIENT}, "roles": ["R"], "expiresAt": "2027-01-01T00:00:00Z", "approved": true});
    other("AccessGrant", select(vec![spec("p"), spec("q"), json!({"policyRef": {"name": "p"}}), json!({})]))
}

fn revocation() -> impl Strategy<Value = Value> {
    let sound =
        json!({"applicationRef": {"name": "api"}, "match": {"uti": "1"}, "issuedBefore": "2026-01-01T00:00:00Z"});
    let broken = json!({"applicationRef": {"name": "api"}});
    other("TokenRevocation", select(vec![sound, broken, json!({})]))
}

fn edit() -> impl Strategy<Value = Edit> {
    let kinds = select(vec![Kind::AccessPolicy, Kind::EntraApplication, Kind::AccessGrant, Kind::TokenRevocation]);
    let gone = (kinds, namespace(), select(&["p", "q", "r", "api", "g"][..]));
    let kinds = prop_oneof![3 => attached_world::kind(), 1 => Just(Kind::SecurityPolicy)];
    let lost = (kinds, namespace(), attached_world::name());
    prop_oneof![
        6 => policy().prop_map(Edit::Put),
        6 => attached_world::policy().prop_map(Edit::Put),
        6 => attached_world::object().prop_map(Edit::Put),
        2 => lost.prop_map(|(kind, namespace, name)| Edit::Remove(kind, namespace, name)),
        2 => application().prop_map(Edit::Put),
        1 => grant().prop_map(Edit::Put),
        1 => revocation().prop_map(Edit::Put),
        4 => gone.prop_map(|(kind, namespace, name)| Edit::Remove(kind, namespace, name)),
        1 => (0..3_usize).prop_map(Edit::Settle),
        1 => Just(Edit::Settle(0)),
    ]
}

fn object(body: &Value) -> Arc<Object> {
    Arc::new(Object::new(body.as_object().unwrap().clone()).unwrap().unwrap())
}

/// Everything that is told, as text.
fn told(compiled: &Compiled) -> (Vec<String>, Vec<String>, Vec<String>) {
    let tables = compiled.snapshot.tables();
    (
        compiled.faults.iter().map(ToString::to_string).collect(),
        tables.iter().map(|(host, table)| format!("{host}: {table:?}")).collect(),
        compiled.profiles.iter().map(|profile| format!("{profile:?}")).collect(),
    )
}

proptest! {
    #[test]
    fn what_was_there_before_does_not_matter(edits in collection::vec(edit(), 1..24)) {
        let (mut used, mut resources, mut rules) = (Compiler::default(), Resources::new(), settings(0));
        for edit in edits {
            match edit {
                Edit::Put(body) => drop(resources.put(object(&body))),
                Edit::Remove(kind, namespace, name) => {
                    drop(resources.remove(&ObjectId { kind, namespace: namespace.into(), name: name.into() }));
                }
                Edit::Settle(number) => rules = settings(number),
            }
            let (now, fresh) = (used.compile(&resources, &rules), Compiler::default().compile(&resources, &rules));
            prop_assert_eq!(told(&now), told(&fresh));
            prop_assert_eq!(now.revocations.len(), fresh.revocations.len());
        }
    }

    /// The same, where something leads past a policy in every other state.
    #[test]
    fn what_led_past_a_policy_before_does_not_matter(
        edits in collection::vec(prop_oneof![
            4 => attached_world::guard().prop_map(Edit::Put),
            2 => attached_world::name().prop_map(|name| Edit::Remove(Kind::SecurityPolicy, "a", name)),
            2 => attached_world::name().prop_map(|name| Edit::Remove(Kind::HttpRoute, "a", name)),
            2 => select(attached_world::hung()).prop_map(Edit::Put),
            1 => attached_world::object().prop_map(Edit::Put),
            1 => attached_world::policy().prop_map(Edit::Put),
        ], 1..16),
        policy in attached_world::policy(),
    ) {
        let (mut used, mut resources, rules) = (Compiler::default(), Resources::new(), settings(0));
        for body in attached_world::hung().iter().chain([&policy]) {
            resources.put(object(body));
        }
        for edit in edits {
            match edit {
                Edit::Put(body) => drop(resources.put(object(&body))),
                Edit::Remove(kind, namespace, name) => {
                    drop(resources.remove(&ObjectId { kind, namespace: namespace.into(), name: name.into() }));
                }
                Edit::Settle(_) => {}
            }
            let (now, fresh) = (used.compile(&resources, &rules), Compiler::default().compile(&resources, &rules));
            prop_assert_eq!(told(&now), told(&fresh));
        }
    }

    #[test]
    fn neither_order_nor_strangers_matter_to_what_is_attached(
        bodies in collection::vec(prop_oneof![2 => attached_world::object(), 1 => attached_world::policy()], 1..16),
        stranger in attached_world::object(),
        number in 0..3_usize,
    ) {
        let compiled = |resources: &Resources| Compiler::default().compile(resources, &settings(number));
        let mut resources = Resources::new();
        bodies.iter().for_each(|body| drop(resources.put(object(body))));
        let first = compiled(&resources);

        // They come the other way round, one by one, and each is looked at before the next.
        let (mut used, mut again) = (Compiler::default(), Resources::new());
        let mut last = used.compile(&again, &settings(number));
        for object in bodies.iter().rev().map(object) {
            if again.get(&object.id).is_none() {
                again.put(object);
            }
            last = used.compile(&again, &settings(number));
        }
        prop_assert_eq!(told(&last), told(&first));

        // Nobody is attached to anything in that namespace, and nothing there leads to another.
        let mut stranger = stranger;
        stranger["metadata"]["namespace"] = json!("z");
        // Nor does it come before any other: a route that does keeps a host for whoever has the Gateway.
        stranger["metadata"]["creationTimestamp"] = json!(null);
        resources.put(object(&stranger));
        let second = compiled(&resources);
        prop_assert_eq!(told(&second).1, told(&first).1);
        // A route of anybody's may lead past a policy: that is what is said then.
        let own = |compiled: &Compiled| compiled.faults.iter().filter(|fault| fault.about != About::Bypass).count();
        prop_assert_eq!(own(&second), own(&first));
    }
}
