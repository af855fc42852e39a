//! `attached`: 5,000 policies by `targetRefs`, each for a route of its own on one Gateway, when one of the routes changed.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use entrance::api::compile::Compiler;
use entrance::api::settings::Settings;
use serde_json::{Value, json};

use crate::resources::{Size, application, policy};
use crate::token::Minter;
use crate::world::{NOW, object, put};

const MANY: Size = Size { policies: 5_000, routes: 1, one_host: false };
const GROUP: &str = "gateway.networking.k8s.io";

fn gateway() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "edge", "namespace": "shop"},
        "spec": {"listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]},
    })
}

fn route(number: usize, host: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": format!("route-{number}"), "namespace": "shop"},
        "spec": {
            "parentRefs": [{"name": "edge"}], "hostnames": [host],
            "rules": [{"backendRefs": [{"name": format!("api-{number}"), "port": 80}]}],
        },
    })
}

/// A policy with its route for a target.
fn attached(number: usize) -> Value {
    let mut policy = policy(number, MANY);
    policy["spec"].as_object_mut().unwrap().remove("hosts");
    policy["spec"]["targetRefs"] = json!([{"group": GROUP, "kind": "HTTPRoute", "name": format!("route-{number}")}]);
    policy
}

/// By Envoy Gateway one route is put to an authorizer, and no other.
fn guard() -> Value {
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "SecurityPolicy",
        "metadata": {"name": "one", "namespace": "shop"},
        "spec": {
            "targetRefs": [{"group": GROUP, "kind": "HTTPRoute", "name": "route-0"}],
            "extAuth": {"grpc": {"backendRefs": [{"name": "entrance"}]}},
        },
    })
}

pub(crate) fn compile(c: &mut Criterion) {
    let minter = Minter::new(NOW.0);
    let settings = Settings::default();
    let mut group = c.benchmark_group("attached");
    group.sample_size(10);
    for (name, guards, wide) in [
        ("one_route_changed", vec![], ""),
        ("one_route_changed_of_many_open", vec![guard()], ""),
        ("one_route_changed_of_many_open_wildcards", vec![guard()], "*."),
    ] {
        group.bench_function(name, |b| {
            let routes = (0..MANY.policies).map(|number| route(number, &format!("{wide}api-{number}.example.com")));
            let all = [application(&minter.jwks()), gateway()].into_iter().chain(guards.clone());
            let mut all = put(all.chain(routes).chain((0..MANY.policies).map(attached)));
            let (mut compiler, mut count) = (Compiler::default(), 0_u64);
            black_box(compiler.compile(&all, &settings));
            b.iter_batched(
                || {
                    count += 1;
                    all.put(object(route(2_500, &format!("{wide}changed-{count}.example.com"))));
                    all.clone()
                },
                |resources| (compiler.compile(&resources, &settings), resources),
                BatchSize::PerIteration,
            );
        });
    }
}
