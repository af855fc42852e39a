//! What the compiler says of resources, and what a broken part takes along: every row of `cases/resources.yaml`; and which
//! hosts targets come to: every row of `cases/targets.yaml`; and which routes are left open: `cases/guards.yaml`.
//!
//! Each row is compiled twice, by a fresh compiler and by one that compiled all rows before: state is a function of the
//! set of objects, not of what was there before.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::wildcard_enum_match_arm, reason = "the other kinds of values are one case")]

#[path = "support/rules.rs"]
mod rules;

use std::collections::BTreeMap;

use entrance::api::compile::{Compiled, Compiler};
use entrance::api::object::{Object, Resources};
use entrance::api::settings::{Scope, Settings};
use entrance::policy::host::HostPattern;
use entrance::token::jwks;
use serde_json::{Value, json};

use rules::{document, reason, resources, yaml};

struct Row {
    name: String,
    resources: Resources,
    settings: Settings,
    faults: Vec<String>,
    answers: BTreeMap<String, String>,
    /// All hosts that have rules.
    hosts: Option<Vec<String>>,
}

fn rows() -> Vec<Row> {
    let tables =
        [include_str!("cases/resources.yaml"), include_str!("cases/targets.yaml"), include_str!("cases/guards.yaml")];
    let tables = tables.map(yaml);
    let rows = |table: &Value| -> Vec<Row> {
        table["cases"].as_array().unwrap().iter().map(|case| row(&table["base"], case)).collect()
    };
    tables.iter().flat_map(rows).collect()
}

fn row(base: &Value, case: &Value) -> Row {
    let mut documents = base.clone();
    for (pointer, value) in members(&case["set"]) {
        put(&mut documents, &pointer, repeated(value));
    }
    for pointer in case["drop"].as_array().into_iter().flatten() {
        take(&mut documents, pointer.as_str().unwrap());
    }
    let more = case["more"].as_array().cloned().unwrap_or_default();
    let all = members(&documents).into_iter().map(|(_, document)| document).chain(more);
    let texts =
        |value: &Value| value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().into()).collect();
    let answers = members(&case["answers"]).into_iter().map(|(ask, answer)| (ask, answer.as_str().unwrap().into()));
    Row {
        name: case["name"].as_str().unwrap().to_owned(),
        resources: resources(all.map(document)),
        settings: settings(case),
        faults: texts(&case["faults"]),
        answers: answers.collect(),
        hosts: case["hosts"].is_array().then(|| texts(&case["hosts"])),
    }
}

fn settings(case: &Value) -> Settings {
    let pin =
        |(host, namespace): (String, Value)| (HostPattern::parse(&host).unwrap(), namespace.as_str().unwrap().into());
    let label = |(key, value): (String, Value)| (key, value.as_str().unwrap().to_owned());
    let scope = match &case["workload"] {
        Value::Null => Scope::Gateway,
        workload => Scope::Workload {
            namespace: workload["namespace"].as_str().unwrap().into(),
            labels: members(&workload["labels"]).into_iter().map(label).collect(),
        },
    };
    Settings { scope, pins: members(&case["pins"]).into_iter().map(pin).collect(), keys: None }
}

fn members(value: &Value) -> Vec<(String, Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// `{repeat: 65, value: x}` is a list of so many.
fn repeated(value: Value) -> Value {
    match value["repeat"].as_u64() {
        Some(count) => (0..count).map(|_| value["value"].clone()).collect(),
        None => value,
    }
}

fn put(documents: &mut Value, pointer: &str, value: Value) {
    let (above, last) = pointer.rsplit_once('/').unwrap();
    match documents.pointer_mut(above).unwrap() {
        Value::Array(items) => {
            let at: usize = last.parse().unwrap();
            items.resize(items.len().max(at.saturating_add(1)), Value::Null);
            items[at] = value;
        }
        object => drop(object.as_object_mut().unwrap().insert(last.to_owned(), value)),
    }
}

fn take(documents: &mut Value, pointer: &str) {
    let (above, last) = pointer.rsplit_once('/').unwrap();
    let gone = documents.pointer_mut(above).unwrap().as_object_mut().unwrap().remove(last);
    assert!(gone.is_some(), "{pointer} is not there to be dropped");
}

/// A policy must not vanish because somebody adds routes to what it guards: others would decide there.
#[test]
fn a_service_with_more_hosts_than_can_be_told_closes_the_namespace() {
    let base = &yaml(include_str!("cases/targets.yaml"))["base"];
    let mut documents = base.clone();
    put(&mut documents, "/policy/spec/targetRefs/0", json!({"group": "", "kind": "Service", "name": "orders"}));
    let wide = json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": {"name": "wide", "namespace": "shop"}, "spec": {"applicationRef": {"name": "orders-api"},
        "hosts": ["*.example.com"], "routes": [{"name": "all", "path": "/{*rest}", "anonymous": true}]}});
    let route = |at: usize| {
        let mut route = base["route"].clone();
        let names: Vec<String> = (0..16).map(|name| format!("h{name}.r{at}.example.com")).collect();
        put(&mut route, "/metadata/name", json!(format!("r{at}")));
        put(&mut route, "/spec/hostnames", json!(names));
        route
    };
    let answer = |routes: usize| {
        let all = members(&documents).into_iter().map(|(_, document)| document).chain([wide.clone()]);
        let all = all.chain((0..routes).map(route)).map(document);
        let compiled = Compiler::default().compile(&resources(all), &Settings::default());
        reason(&compiled.snapshot, ("GET", "orders.example.com", "/orders/7"))
    };
    assert_eq!(answer(10), "token_missing");
    assert_eq!(answer(70), "policy_invalid");
}

fn check(row: &Row, compiled: &Compiled, by: &str) {
    let found: Vec<String> = compiled.faults.iter().map(ToString::to_string).collect();
    let fits = |found: &String, wanted: &String| match wanted.strip_suffix('…') {
        Some(beginning) => found.starts_with(beginning),
        None => found == wanted,
    };
    let same =
        found.len() == row.faults.len() && found.iter().zip(&row.faults).all(|(found, wanted)| fits(found, wanted));
    assert!(same, "{} ({by}): faults\n{found:#?}\nbut wanted\n{:#?}", row.name, row.faults);
    if let Some(wanted) = &row.hosts {
        let hosts: Vec<String> = compiled.snapshot.tables().iter().map(|(host, _)| host.to_string()).collect();
        assert_eq!(hosts, *wanted, "{} ({by}): hosts", row.name);
    }
    for (ask, wanted) in &row.answers {
        let (method, rest) = ask.split_once(' ').unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        assert_eq!(reason(&compiled.snapshot, (method, host, path)), *wanted, "{} ({by}): {ask}", row.name);
    }
}

#[test]
fn every_row_has_its_faults_and_its_answers() {
    let mut used = Compiler::default();
    for row in rows() {
        check(&row, &Compiler::default().compile(&row.resources, &row.settings), "fresh compiler");
        check(&row, &used.compile(&row.resources, &row.settings), "used compiler");
    }
}

#[test]
fn what_did_not_change_is_the_same_thing_afterwards() {
    let rows = rows();
    let base = &rows[0];
    let mut compiler = Compiler::default();
    let first = compiler.compile(&base.resources, &base.settings);
    let mut edited = base.resources.clone();
    let policy = base.resources.of(entrance::api::object::Kind::AccessPolicy).next().unwrap();
    let mut changed = policy.body();
    put(changed.get_mut("spec").unwrap(), "/routes/1/path", "/livez".into());
    assert!(edited.put(std::sync::Arc::new(Object::new(changed).unwrap().unwrap())).is_some());
    let second = compiler.compile(&edited, &base.settings);
    assert!(std::sync::Arc::ptr_eq(&first.profiles[0], &second.profiles[0]), "a cached token stays good");
    let table = |compiled: &Compiled, at: usize| std::ptr::from_ref(compiled.snapshot.tables()[at].1);
    assert_ne!(table(&first, 0), table(&second, 0));
    assert_eq!(table(&first, 1), table(&second, 1), "the other host was not merged again");
    assert_eq!(reason(&second.snapshot, ("GET", "orders.example.com", "/healthz")), "no_route");
    assert_eq!(reason(&second.snapshot, ("GET", "orders.example.com", "/livez")), "anonymous_route");
}

#[test]
fn keys_that_were_used_instead_are_forgotten_with_their_settings() {
    let rows = rows();
    let base = &rows[0];
    let key = json!({"kty": "RSA", "kid": "k1", "n": "w".repeat(342), "e": "AQAB"});
    let keys = jwks::parse(json!({"keys": [key]}).to_string().as_bytes()).unwrap().keys;
    let instead = Settings { keys: Some(keys), ..Settings::default() };
    let mut compiler = Compiler::default();
    let mut discovered = |settings: &Settings| {
        let compiled = compiler.compile(&base.resources, settings);
        compiled.profiles.iter().map(|profile| profile.discoveries().count()).sum::<usize>()
    };
    let own = discovered(&Settings::default());
    assert!(own > 0);
    assert_eq!([discovered(&instead), discovered(&Settings::default())], [0, own]);
}
