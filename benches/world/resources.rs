//! Resources of any number: one application, and policies with the same number of routes each.

use serde_json::{Value, json};

use crate::check::HOST;
use crate::token::{API, TENANT};

/// How many.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) policies: usize,
    /// Routes of each policy, besides that of [`PATH`] in the first one.
    pub(crate) routes: usize,
    /// All policies on [`HOST`], instead of a host for each.
    pub(crate) one_host: bool,
}

/// What a user may read in every world.
pub(crate) const PATH: &str = "/orders/4711?expand=lines";

/// The application; `jwks` stands in it.
pub(crate) fn application(jwks: &str) -> Value {
    json!({
        "apiVersion": "entrance.dev/v1alpha1", "kind": "EntraApplication",
        "metadata": {"name": "orders-api", "namespace": "shop"},
        "spec": {
            "tenants": [{"id": TENANT, "name": "contoso"}], "clientId": API,
            "keys": {"staticJwks": {"inline": jwks}},
        },
    })
}

/// The policies.
pub(crate) fn policies(size: Size) -> impl Iterator<Item = Value> {
    (0..size.policies).map(move |number| policy(number, size))
}

/// One of the policies.
pub(crate) fn policy(number: usize, size: Size) -> Value {
    let host = if number == 0 || size.one_host { HOST.to_owned() } else { format!("api-{number}.example.com") };
    let mut routes: Vec<Value> = (0..size.routes).map(|at| route(number, at)).collect();
    if number == 0 {
        routes.push(json!({
            "name": "read-order", "path": "/orders/{id}", "methods": ["GET"],
            "allow": [{"callers": "User", "roles": ["Orders.Read"], "scopes": ["orders.read"]}],
        }));
    }
    json!({
        "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": {"name": format!("policy-{number}"), "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "applicationRef": {"name": "orders-api"}, "hosts": [host], "routes": routes,
            "deny": [{"clients": ["dddddddd-0000-4000-8000-00000000000d"]}],
        },
    })
}

fn route(policy: usize, at: usize) -> Value {
    json!({
        "name": format!("route-{at}"), "path": format!("/area-{policy}/things-{at}/{{id}}"), "methods": ["GET"],
        "allow": [{"roles": ["Things.Read", "Things.Write"]}, {"callers": "Workload", "roles": ["Things.Sync"]}],
    })
}
