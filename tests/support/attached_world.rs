//! Policies that are attached to objects of the Gateway API, and such objects: by chance, sound or not, in two namespaces.

use entrance::api::object::Kind;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any};
use proptest::sample::{select, subsequence};
use proptest::{collection, option, prop_oneof};
use serde_json::{Value, json};

const GROUP: &str = "gateway.networking.k8s.io";
const HOSTS: [&str; 6] =
    ["x.example.com", "y.example.com", "*.example.com", "*.x.example.com", "x.internal", "*.*.com"];

pub(crate) fn namespace() -> impl Strategy<Value = &'static str> {
    select(&["a", "b"][..])
}

/// Names of what a policy may be attached to.
pub(crate) fn name() -> impl Strategy<Value = &'static str> {
    select(&["r", "s", "g"][..])
}

/// The kinds that a policy may be attached to.
pub(crate) fn kind() -> impl Strategy<Value = Kind> {
    select(vec![Kind::HttpRoute, Kind::GrpcRoute, Kind::Gateway, Kind::Service])
}

fn hosts(most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    // The last one is broken, and seldom.
    prop_oneof![8 => subsequence(&HOSTS[..5], 0..=most), 1 => subsequence(&HOSTS[..], 1..=most)]
}

fn target() -> impl Strategy<Value = Value> {
    (kind(), name(), option::weighted(0.2, select(&["one", "two"][..]))).prop_map(|(kind, name, section)| {
        let group = if kind == Kind::Service { "" } else { GROUP };
        let mut target = json!({"group": group, "kind": kind.as_str(), "name": name});
        if let Some(section) = section {
            target["sectionName"] = json!(section);
        }
        target
    })
}

/// The fields of a policy that say where it counts.
pub(crate) fn attached() -> impl Strategy<Value = Value> {
    let listed = option::weighted(0.3, subsequence(&HOSTS[..5], 1..3));
    (collection::vec(target(), 1..4), listed).prop_map(|(targets, listed)| match listed {
        Some(hosts) => json!({"targetRefs": targets, "hosts": hosts}),
        None => json!({"targetRefs": targets}),
    })
}

/// An object.
pub(crate) fn of(kind: Kind, (namespace, name): (&str, &str), spec: Value) -> Value {
    let version = if kind == Kind::Service { "v1".to_owned() } else { format!("{GROUP}/v1") };
    json!({"apiVersion": version, "kind": kind.as_str(), "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

fn parent() -> impl Strategy<Value = Value> {
    let section = option::weighted(0.3, select(&["one", "two"][..]));
    let gateway = (option::of(namespace()), name(), section)
        .prop_map(|(namespace, name, section)| json!({"name": name, "namespace": namespace, "sectionName": section}));
    let service = name().prop_map(|name| json!({"group": "", "kind": "Service", "name": name}));
    prop_oneof![4 => gateway, 1 => service, 1 => Just(json!({"group": GROUP, "kind": "ListenerSet", "name": "l"}))]
}

fn route() -> impl Strategy<Value = Value> {
    let kind = select(vec![Kind::HttpRoute, Kind::GrpcRoute]);
    let spec = (collection::vec(parent(), 0..3), hosts(3), option::of(name()), option::weighted(0.2, namespace()));
    let at = (namespace(), name(), option::of(1..4_u8));
    (kind, at, spec).prop_map(|(kind, (namespace, name, day), (parents, hosts, backend, elsewhere))| {
        let backends: Value = backend.iter().map(|name| json!({"name": name, "namespace": elsewhere})).collect();
        let spec = json!({"parentRefs": parents, "hostnames": hosts, "rules": [{"backendRefs": backends}]});
        let mut route = of(kind, (namespace, name), spec);
        route["metadata"]["creationTimestamp"] = day.map(|day| format!("2026-01-0{day}T00:00:00Z")).into();
        route
    })
}

fn gateway() -> impl Strategy<Value = Value> {
    let from = select(&["All", "Same", "None", "Selector"][..]);
    let listener = (option::of(select(&HOSTS[..5])), from, select(&["HTTP", "HTTPS", "TCP"][..]));
    (namespace(), name(), collection::vec(listener, 0..3)).prop_map(|(namespace, name, listeners)| {
        let listener = |((hostname, from, protocol), name): ((Option<&str>, &str, &str), &str)| {
            let allowed = json!({"namespaces": {"from": from}});
            json!({"name": name, "port": 80, "protocol": protocol, "hostname": hostname, "allowedRoutes": allowed})
        };
        let listeners: Value = listeners.into_iter().zip(["one", "two"]).map(listener).collect();
        of(Kind::Gateway, (namespace, name), json!({"listeners": listeners}))
    })
}

/// A SecurityPolicy of Envoy Gateway, about a route or a Gateway, which may check or take a check away.
pub(crate) fn guard() -> impl Strategy<Value = Value> {
    let kind = select(vec![Kind::HttpRoute, Kind::GrpcRoute, Kind::Gateway]);
    let section = option::weighted(0.2, select(&["one", "two"][..]));
    let target = (kind, name(), section).prop_map(|(kind, name, section)| {
        let mut target = json!({"group": GROUP, "kind": kind.as_str(), "name": name});
        if let Some(section) = section {
            target["sectionName"] = json!(section);
        }
        target
    });
    let what = (
        option::of(any::<bool>()),
        option::weighted(0.3, Just("StrategicMerge")),
        option::weighted(0.1, Just(json!([{}]))),
    );
    (namespace(), name(), collection::vec(target, 1..3), what).prop_map(|(namespace, name, targets, what)| {
        let (checks, merges, selectors) = what;
        let check = checks.map(|fails| json!({"failOpen": fails}));
        json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "SecurityPolicy",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"targetRefs": targets, "extAuth": check, "mergeType": merges, "targetSelectors": selectors},
        })
    })
}

/// An object that a policy may be attached to, or that is about such an object.
pub(crate) fn object() -> BoxedStrategy<Value> {
    let service = (namespace(), name()).prop_map(|at| of(Kind::Service, at, json!({})));
    prop_oneof![4 => route(), 3 => gateway(), 2 => service, 3 => guard()].boxed()
}

/// A Gateway with two routes on it.
pub(crate) fn hung() -> Vec<Value> {
    let listener =
        json!({"name": "one", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}});
    let route = |name: &str, host: &str| {
        of(Kind::HttpRoute, ("a", name), json!({"parentRefs": [{"name": "g"}], "hostnames": [host]}))
    };
    let gateway = of(Kind::Gateway, ("a", "g"), json!({"listeners": [listener]}));
    vec![gateway, route("r", "x.example.com"), route("s", "*.example.com")]
}

/// A policy of this name that is attached to something.
pub(crate) fn policy() -> BoxedStrategy<Value> {
    let name = select(&["p", "q", "r"][..]);
    (namespace(), name, attached(), any::<bool>())
        .prop_map(|(namespace, name, places, selects)| {
            let mut body = json!({
                "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy",
                "metadata": {"namespace": namespace, "name": name}, "spec": places,
            });
            body["spec"]["applicationRef"] = json!({"name": "api"});
            body["spec"]["routes"] = json!([{"name": name, "path": format!("/{name}"), "anonymous": true}]);
            if selects {
                body["spec"]["selector"] = json!({"matchLabels": {"app": "x"}});
            }
            body
        })
        .boxed()
}
