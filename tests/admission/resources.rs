//! Our resources among others, and on their way out.

use std::sync::Arc;

use entrance::admission::review::{Request, Verdict};
use entrance::admission::validate::Judge;
use entrance::api::object::{Kind, Object, Resources};
use entrance::api::settings::Settings;
use serde_json::{Value, json};

use super::{refused, request};

fn policy(name: &str, host: &str, routes: Value) -> Value {
    json!({
        "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"applicationRef": {"name": "api"}, "hosts": [host], "routes": routes},
    })
}

fn application(roles: Value) -> Value {
    json!({
        "apiVersion": "entrance.dev/v1alpha1", "kind": "EntraApplication", "metadata": {"name": "api", "namespace": "shop"},
        "spec": {
            "tenants": [{"id": "11111111-1111-4111-8111-111111111111", "name": "contoso"}],
            "clientId": "aaaaaaaa-0000-4000-8000-000000000001", "roles": roles,
        },
    })
}

fn world(objects: &[Value]) -> Arc<Resources> {
    let mut all = Resources::new();
    for object in objects {
        all.put(Arc::new(Object::new(object.as_object().unwrap().clone()).unwrap().unwrap()));
    }
    Arc::new(all)
}

fn judge(request: &Request, standing: &[Value]) -> Verdict {
    let kind = Kind::of("entrance.dev/v1alpha1", &request.kind.kind).unwrap().unwrap();
    Judge::new(Settings::default()).judge(request, kind, &world(standing))
}

fn coming(object: Value, standing: &[Value]) -> Verdict {
    let kind = object["kind"].as_str().unwrap().to_owned();
    judge(&request(&kind, "CREATE", (Value::Null, object)), standing)
}

fn open(path: &str) -> Value {
    json!([{"name": "r", "path": path, "methods": ["GET"], "allow": [{"callers": "Any"}]}])
}

#[test]
fn names_of_an_application_that_is_there_are_warnings_like_one_that_is_not() {
    let tenants =
        json!([{"name": "r", "path": "/a", "methods": ["GET"], "allow": [{"tenants": ["fabrikam"], "roles": ["B"]}]}]);
    let object = policy("orders", "a.example.com", tenants);
    for (standing, parts) in [
        (vec![], &["spec.applicationRef: refers to EntraApplication shop/api, which is not there"][..]),
        (
            vec![application(json!(["A"]))],
            &["allow[0].tenants[0]: `fabrikam` is no tenant", "`B` is not among the `roles`"],
        ),
    ] {
        let verdict = coming(object.clone(), &standing);
        assert_eq!(verdict.outcome, Ok(vec![]));
        for part in parts {
            assert!(verdict.warnings.iter().any(|text| text.contains(part)), "no `{part}` in {:?}", verdict.warnings);
        }
    }
    let sound = policy("orders", "a.example.com", open("/a"));
    assert_eq!(coming(sound, &[application(json!(["A"]))]), Verdict::pass());
}

#[test]
fn what_an_application_takes_from_its_policies_is_told() {
    let uses = json!([{"name": "r", "path": "/a", "allow": [{"tenants": ["contoso"]}]}]);
    let standing = [application(json!([])), policy("orders", "a.example.com", uses)];
    let mut without = application(json!([]));
    without["spec"]["tenants"][0]["name"] = json!("renamed");
    let verdict = judge(&request("EntraApplication", "UPDATE", (application(json!([])), without)), &standing);
    assert_eq!(verdict.outcome, Ok(vec![]));
    assert!(
        verdict.warnings[0].starts_with("because of this: AccessPolicy shop/orders: spec.routes[0]"),
        "{verdict:?}"
    );
}

#[test]
fn routes_that_would_close_the_host_of_others_are_refused() {
    // a literal and a parameter at every place: with both halves a request would walk too long
    let half = |first: u32| {
        let path = |bits: u32| -> String {
            let segment = |at: u32| if bits & (1 << at) == 0 { format!("/s{at}") } else { format!("/{{p{at}}}") };
            format!("/x{}", (0..10).rev().map(segment).collect::<String>())
        };
        let route = |bits: u32| json!({"name": format!("r{bits}"), "path": path(bits), "allow": []});
        policy(&format!("half-{first}"), "a.example.com", (0..256).map(|at| route(first.saturating_add(at))).collect())
    };
    assert_eq!(coming(half(0), &[]).outcome, Ok(vec![]));
    for (new, standing) in [(half(0), half(256)), (half(256), half(0))] {
        let verdict = coming(new, &[standing]);
        assert!(refused(&verdict).contains("too many templates differ"), "{verdict:?}");
    }
}

#[test]
fn what_leaves_the_spec_alone_is_never_judged() {
    let broken = policy("orders", "not a host", json!([]));
    assert!(refused(&coming(broken.clone(), &[])).contains("spec.hosts[0]: "));
    let mut labelled = broken.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(judge(&request("AccessPolicy", "UPDATE", (broken.clone(), labelled)), &[]), Verdict::pass());
    let mut leaving = broken.clone();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(judge(&request("AccessPolicy", "UPDATE", (broken.clone(), leaving)), &[]), Verdict::pass());
    let mut changed = policy("orders", "another broken one", json!([]));
    for on_its_way_out in [false, true] {
        if on_its_way_out {
            changed["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        assert!(
            !refused(&judge(&request("AccessPolicy", "UPDATE", (broken.clone(), changed.clone())), &[])).is_empty()
        );
    }
}

#[test]
fn an_object_without_a_name_yet_is_judged_by_what_it_is_going_to_be_called() {
    let mut object = policy("orders", "a.example.com", open("/a//b"));
    object["metadata"] = json!({"generateName": "orders-"});
    assert!(refused(&coming(object, &[])).starts_with("AccessPolicy shop/orders-x is invalid: spec.routes[0].path: "));
}

#[test]
fn an_application_goes_when_nobody_uses_it_or_somebody_says_so() {
    let delete = |change: &dyn Fn(&mut Value), user: &str, standing: &[Value]| {
        let mut object = application(json!([]));
        change(&mut object);
        let mut asked = request("EntraApplication", "DELETE", (object, Value::Null));
        asked.user_info.username = user.to_owned();
        judge(&asked, standing)
    };
    let users: Vec<Value> = (0..7).map(|at| policy(&format!("p{at}"), "a.example.com", json!([]))).collect();
    let verdict = delete(&|_| (), "ada", &users);
    let said = refused(&verdict);
    assert!(said.contains("is used by AccessPolicy shop/p0, shop/p1, shop/p2, shop/p3, shop/p4 and 2 more"), "{said}");
    let mut elsewhere = policy("far", "a.example.com", json!([]));
    elsewhere["metadata"]["namespace"] = json!("other");
    assert_eq!(delete(&|_| (), "ada", &[elsewhere.clone()]), Verdict::pass(), "it means another application");
    elsewhere["spec"]["applicationRef"]["namespace"] = json!("shop");
    assert!(refused(&delete(&|_| (), "ada", &[elsewhere])).contains("other/far"));
    let annotated =
        |object: &mut Value| object["metadata"]["annotations"] = json!({"entrance.dev/allow-delete": "true"});
    assert_eq!(delete(&annotated, "ada", &users), Verdict::pass());
    let no = |object: &mut Value| object["metadata"]["annotations"] = json!({"entrance.dev/allow-delete": "yes"});
    assert!(!refused(&delete(&no, "ada", &users)).is_empty());
    let controller = "system:serviceaccount:kube-system:namespace-controller";
    assert_eq!(delete(&|_| (), controller, &users), Verdict::pass(), "its namespace goes as a whole");
}

#[test]
fn a_target_that_is_not_there_is_a_warning_and_a_broken_one_is_refused() {
    let attached = |targets: Value| {
        let mut object = policy("orders", "a.example.com", open("/a"));
        let spec = object["spec"].as_object_mut().unwrap();
        spec.remove("hosts");
        spec.insert("targetRefs".to_owned(), targets);
        object
    };
    let service = json!({"group": "", "kind": "Service", "name": "orders"});
    let api = application(json!(["A"]));
    let verdict = coming(attached(json!([service])), std::slice::from_ref(&api));
    assert_eq!(verdict.outcome, Ok(vec![]));
    let told = "spec.targetRefs[0]: refers to Service shop/orders, which is not there";
    assert!(verdict.warnings.iter().any(|text| text.contains(told)), "{:?}", verdict.warnings);
    let metadata = json!({"name": "orders", "namespace": "shop"});
    let there = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata});
    assert_eq!(coming(attached(json!([service])), &[api, there]), Verdict::pass());
    for (targets, part) in [
        (json!([service, service]), "spec.targetRefs: names Service shop/orders twice"),
        (json!([{"group": "", "kind": "HTTPRoute", "name": "x"}]), "spec.targetRefs[0].group: must be"),
        (json!([{"group": "", "kind": "Pod", "name": "x"}]), "spec.targetRefs[0].kind: must be"),
        (json!([]), "spec.targetRefs: is empty"),
    ] {
        let verdict = coming(attached(targets), &[]);
        assert!(refused(&verdict).contains(part), "no `{part}` in {}", refused(&verdict));
    }
}
