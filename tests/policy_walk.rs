//! No request walks long: rules whose templates would make it are refused, and told so.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

#[expect(dead_code, reason = "other tests read YAML")]
#[path = "support/rules.rs"]
mod rules;

use std::sync::Arc;

use entrance::api::compile::{Compiled, Compiler};
use entrance::api::object::Object;
use entrance::api::settings::Settings;
use entrance::policy::rules::{Access, GroupOverage, Methods, Mode, Policy, PolicyId, Preflight, Route, Seniority};
use entrance::policy::table::HostTable;
use entrance::policy::template::PathTemplate;
use entrance::policy::tree::{MAX_WALK, Reading};
use serde_json::{Value, json};

use rules::{document, reason, resources};

/// Every template of so many levels with a literal or a parameter at each.
fn product(levels: usize) -> Vec<String> {
    let template = |bits: usize| {
        let part = |level: usize| if bits >> level & 1 == 0 { "/a".to_owned() } else { format!("/{{p{level}}}") };
        (0..levels).map(part).collect()
    };
    (0..1_usize << levels).map(template).collect()
}

fn policies(templates: &[String], mode: &str) -> Vec<Object> {
    let policy = |(at, templates): (usize, &[String])| {
        let route = |template: &String| json!({"name": template.replace(['/', '{', '}'], "."), "path": template, "anonymous": true});
        let routes: Vec<Value> = templates.iter().map(route).collect();
        document(json!({
            "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy",
            "metadata": {"name": format!("p{at}"), "namespace": "shop", "creationTimestamp": format!("2026-01-0{}T00:00:00Z", at + 1)},
            "spec": {"applicationRef": {"name": "api"}, "hosts": ["orders.example.com"], "mode": mode, "routes": routes},
        }))
    };
    templates.chunks(256).enumerate().map(policy).collect()
}

fn application() -> Object {
    document(json!({
        "apiVersion": "entrance.dev/v1alpha1", "kind": "EntraApplication", "metadata": {"name": "api", "namespace": "shop"},
        "spec": {
            "clientId": "aaaaaaaa-0000-4000-8000-000000000001",
            "tenants": [{"id": "11111111-1111-4111-8111-111111111111", "name": "contoso"}],
        },
    }))
}

fn compiled(objects: Vec<Object>) -> Compiled {
    Compiler::default().compile(&resources(objects.into_iter().chain([application()])), &Settings::default())
}

fn says(compiled: &Compiled, path: &str) -> &'static str {
    reason(&compiled.snapshot, ("GET", "orders.example.com", path))
}

#[test]
fn templates_that_are_all_open_at_once_are_refused_beyond_a_bound() {
    let most = compiled(policies(&product(9), "Enforce"));
    assert_eq!(most.faults, []);
    assert_eq!(says(&most, &"/a".repeat(9)), "anonymous_route");
    assert_eq!(says(&most, &"/x".repeat(9)), "anonymous_route");
    assert_eq!(says(&most, &"/a".repeat(10)), "no_route");
    let more = compiled(policies(&product(10), "Enforce"));
    let faults: Vec<String> = more.faults.iter().map(ToString::to_string).collect();
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    assert!(
        fault.starts_with("AccessPolicy shop/p3: spec.routes: on `orders.example.com` too many templates"),
        "{fault}"
    );
    assert_eq!(says(&more, &"/a".repeat(10)), "policy_invalid");
    assert_eq!(says(&more, "/"), "policy_invalid");
}

#[test]
fn rules_that_only_record_are_told_so_too_and_change_nothing() {
    let more = compiled(policies(&product(10), "Shadow"));
    assert_eq!(more.faults.len(), 1);
    assert_eq!(says(&more, "/"), "shadow_only");
    let (_, table) = more.snapshot.tables().remove(0);
    assert!(table.shadow().unwrap().is_tangled && table.enforcing().is_none());
}

fn table(templates: impl Iterator<Item = String>) -> HostTable {
    let route = |text: String| {
        let template = PathTemplate::parse(&text).unwrap();
        Arc::new(Route { name: text.into(), template, methods: Methods::All, access: Access::Anonymous })
    };
    let policy = Policy {
        grants: Vec::new(),
        seniority: Seniority { created: 0, id: PolicyId { namespace: "shop".into(), name: "p".into() } },
        mode: Mode::Enforce,
        preflight: Preflight::Deny,
        application: None,
        group_overage: GroupOverage::Deny,
        deny: Ok(Arc::default()),
        routes: templates.map(route).collect(),
        poison: None,
    };
    HostTable::build(vec![Arc::new(policy)], None)
}

#[test]
fn templates_that_differ_in_literals_count_once() {
    let table = table(
        (0..20_000).flat_map(|at| [format!("/v1/r{at}"), format!("/v1/r{at}/{{id}}"), format!("/v1/r{at}/special")]),
    );
    let side = table.enforcing().unwrap();
    assert_eq!(side.tree.longest_walk(), 5);
    assert!(!side.is_tangled && side.poison.is_none());
    assert!(side.tree.find("/v1/r19999/special", Reading::AsSent).is_some());
}

#[test]
fn the_longest_walk_is_as_long_as_the_nodes_that_one_path_can_meet() {
    for (templates, walk) in [
        (vec!["/"], 2),
        (vec!["/a"], 2),
        (vec!["/{*rest}"], 1),
        (vec!["/a", "/b", "/c/{*rest}"], 2),
        (vec!["/a", "/{p}"], 3),
        (vec!["/a/b", "/{p}"], 4),
        (vec!["/a/b", "/{p}/c", "/{p}/{q}"], 6),
    ] {
        let table = table(templates.iter().map(|text| (*text).to_owned()));
        assert_eq!(table.enforcing().unwrap().tree.longest_walk(), walk, "{templates:?}");
    }
    assert_eq!(table(product(9).into_iter()).enforcing().unwrap().tree.longest_walk(), MAX_WALK - 1);
}
