//! What docs/forward-auth.md calls a must is one: without it, some request of the same requests shows why.

use futures_util::future::join_all;

use crate::edge::Edge;
use crate::proxy_process::{Kind, Slip};
use crate::same_requests::{COLUMNS, differences};

/// A setting that somebody forgot or changed, and the request that comes out wrong then.
type Must = (&'static [Slip<'static>], &'static str);

const COPIED: &str = "                  allowed_upstream_headers: {patterns: [{prefix: x-entrance-}]}\n";

const TAKEN: &str = "request_mutations:
                - remove_on_match: {key_matcher: {safe_regex: {regex: \"x[^a-z0-9]entrance[^a-z0-9].*\"}}}";

const ENVOY: [Must; 3] = [
    (&[(TAKEN, "request_mutations: []")], "identity spoofed under a name that nobody sets"),
    (&[(COPIED, "")], "a user reads"),
    (&[("- {exact: origin}", "- {exact: x-other}")], "a preflight"),
];

const TRAEFIK: [Must; 3] = [
    (&[("        authResponseHeadersRegex: (?i)^x[^a-z0-9]entrance[^a-z0-9]\n", "")], "identity spoofed"),
    (
        &[("trustForwardHeader: false", "trustForwardHeader: true"), ("insecure: false", "insecure: true")],
        "forwarded headers name a forbidden request",
    ),
    (&[("underscoreHeadersStrategy: reject", "underscoreHeadersStrategy: keep")], "identity spoofed in underscores"),
];

const NGINX: [Must; 6] = [
    (&[("        proxy_buffer_size     64k;\n        proxy_buffers         4 64k;\n", "")], "a user has many roles"),
    (&[("X-Original-URI     $request_uri", "X-Original-URI $uri")], "dot segments towards a public page"),
    (&[("proxy_pass http://api;", "proxy_pass http://api/;")], "letters are escaped"),
    (&[("Host               $host", "Host $http_host")], "an absolute target of another host"),
    (&[("proxy_set_header X-Entrance-Roles    $entrance_roles;", "")], "identity spoofed"),
    (&[("underscores_in_headers off", "underscores_in_headers on")], "identity spoofed in underscores"),
];

const CADDY: [Must; 3] = [
    (&[("uri /?", "uri /")], "a public page with a query"),
    (&[("request_header @plain -Connection", "")], "Connection names the identity"),
    (&[(" X-Entrance-Roles X-Entrance-Scopes", " X-Entrance-Scopes")], "a user reads"),
];

async fn needed((kind, column): (Option<Kind>, &str), (slips, request): Must) {
    let edge = Edge::careless(kind, slips).await;
    let known = COLUMNS.iter().find(|(name, ..)| *name == column).unwrap().2;
    let faults = edge.walk().await.faults(&differences(known));
    let shown = faults.iter().any(|fault| fault.starts_with(&format!("{request}: ")));
    assert!(shown, "`{request}` does not mind {slips:?} in {column}: {faults:#?}");
}

async fn all(proxy: (Option<Kind>, &str), musts: &[Must]) {
    join_all(musts.iter().map(|must| needed(proxy, *must))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_envoy_over_http() {
    all((None, "envoy-http"), &ENVOY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_traefik() {
    all((Some(Kind::Traefik), "traefik"), &TRAEFIK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_nginx() {
    all((Some(Kind::Nginx), "nginx"), &NGINX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_caddy() {
    all((Some(Kind::Caddy), "caddy"), &CADDY).await;
}

/// A door that stands open without Entrance is found.
#[tokio::test(flavor = "multi_thread")]
async fn of_envoy_without_entrance() {
    let edge = Edge::careless(None, &[("failure_mode_allow: false", "failure_mode_allow: true")]).await;
    edge.entrance.process.signal("KILL");
    edge.entrance.process.end().await;
    let open = edge.way(&edge.entrance.audit_log()).open_doors().await;
    assert!(open.iter().any(|door| door.starts_with("no token for a protected path: 200")), "{open:#?}");
}
