//! Routes: where the check is switched off, and where identity headers are handled by somebody else.

use super::cluster;
use super::config::Config;
use super::filters::{Chain, Filter, is_identity};
use super::node::Node;
use super::{Findings, Place, Rule};

/// What stands above a route.
struct Above<'s, 'a> {
    checks: &'s [&'s Filter<'a>],
    /// For each check, whether it is made so far.
    on: Vec<bool>,
}

/// The routes of a connection manager, if they are in the document.
pub(super) fn routes<'a>(manager: &Node<'a>, config: &Config<'a>) -> Option<Node<'a>> {
    let delivered = manager.at(&["rds"]).map(|rds| rds.text("route_config_name"));
    manager.field("route_config").or_else(|| config.routes.get(delivered?).cloned())
}

/// What Istio lets health checks and monitoring see, by its beginning.
const PAGES: [&str; 3] = ["/healthz/ready", "/metrics", "/stats/prometheus"];

/// Whether requests can reach an upstream, as far as is seen. Answers of the proxy's own and single pages of its admin port
/// or of Istio's agent, which health checks and monitoring are given, are none; nor is another listener of the proxy, which
/// is looked at itself.
pub(super) fn lead_anywhere(manager: &Node<'_>, config: &Config<'_>) -> bool {
    let Some(routes) = routes(manager, config) else { return true };
    let hosts = routes.list("virtual_hosts");
    hosts.iter().any(|host| host.field("matcher").is_some())
        || hosts.iter().flat_map(|host| host.list("routes")).any(|route| {
            let Some(action) = route.field("route") else { return false };
            let condition = route.field("match");
            let is_page = condition.is_some_and(|condition| {
                condition.field("path").is_some() || PAGES.contains(&condition.text("prefix"))
            });
            let cluster = action.text("cluster");
            let is_own = cluster::is_admin(cluster, config) || cluster::is_agent(cluster, config);
            !(is_page && is_own || cluster::is_within(cluster, config))
        })
}

/// Looks at the routes of a connection manager.
pub(super) fn examine(
    manager: &Node<'_>,
    (chain, config, place): (&Chain<'_>, &Config<'_>, &Place),
    findings: &mut Findings,
) {
    let checks: Vec<_> = chain.checks().collect();
    let Some(routes) = routes(manager, config) else {
        let name = manager.at(&["rds"]).map_or("by scope", |rds| rds.text("route_config_name"));
        findings.add(Rule::UnseenRoutes, (place, manager, "rds"), format!("routes `{name}` are not in the document"));
        return;
    };
    let on = checks.iter().map(|check| !check.node.is_on("disabled")).collect();
    let above = Above { checks: &checks, on };
    let above = above.below(&routes);
    headers(&routes, place, findings);
    for host in routes.list("virtual_hosts") {
        let place = place.then(format!("virtual host `{}`", host.text("name")));
        let above = above.below(&host);
        headers(&host, &place, findings);
        overrides(&host, (&above, &place), findings);
        for (at, route) in host.list("routes").iter().enumerate() {
            let place = place.then(called(route, at));
            examine_route(route, (&above, &place), findings);
        }
        if host.field("matcher").is_some() {
            findings.add(Rule::UnseenRoutes, (&place, &host, "matcher"), "routes in a matcher tree are not looked at");
        }
    }
}

fn called(route: &Node<'_>, at: usize) -> String {
    let name = route.text("name");
    let found = route.field("match").and_then(|condition| {
        let kinds = ["path", "prefix", "path_separated_prefix"];
        kinds.iter().map(|kind| condition.text(kind)).find(|text| !text.is_empty())
    });
    match (name, found) {
        ("", Some(path)) => format!("route {at} (`{path}`)"),
        ("", None) => format!("route {at}"),
        (name, _) => format!("route `{name}`"),
    }
}

fn examine_route(route: &Node<'_>, (above, place): (&Above<'_, '_>, &Place), findings: &mut Findings) {
    headers(route, place, findings);
    for condition in route.field("match").iter().flat_map(|condition| condition.list("headers")) {
        if is_identity(condition.text("name")) {
            let found = format!("chosen by `{}`, which is still the client's", condition.text("name"));
            findings.add(Rule::IdentityRoutes, (place, &condition, "name"), found);
        }
    }
    overrides(route, (above, place), findings);
    let Some(action) = route.field("route") else {
        // A redirect or a direct response: no upstream is behind it.
        return;
    };
    let here = above.below(route);
    let clusters = action.field("weighted_clusters").map(|weighted| weighted.list("clusters")).unwrap_or_default();
    if clusters.is_empty() {
        here.report((route, action.text("cluster")), place, findings);
    }
    for cluster in clusters {
        here.below(&cluster).report((&cluster, cluster.text("name")), place, findings);
    }
}

impl<'s, 'a> Above<'s, 'a> {
    /// The state below a node that may override it.
    fn below(&self, node: &Node<'_>) -> Self {
        let on = self.checks.iter().zip(&self.on).map(|(check, on)| switched(node, check).unwrap_or(*on)).collect();
        Self { checks: self.checks, on }
    }

    /// A way to an upstream that no check stands before.
    fn report(&self, (node, cluster): (&Node<'_>, &str), place: &Place, findings: &mut Findings) {
        if self.checks.is_empty() || self.on.iter().any(|on| *on) {
            return;
        }
        let found = format!("requests reach cluster `{cluster}` unchecked");
        // Where policies switch the check on, nobody has switched it off.
        let by_policy = self.checks.iter().all(|check| check.policy().is_some());
        let rule = if by_policy { Rule::RouteWithoutPolicy } else { Rule::RouteUnprotected };
        findings.add(rule, (place, node, "typed_per_filter_config"), found);
    }
}

/// What a node says about a check; `None` if nothing.
fn switched(node: &Node<'_>, check: &Filter<'_>) -> Option<bool> {
    let (kind, config) = node.field("typed_per_filter_config")?.typed(check.name)?;
    if kind != "FilterConfig" {
        return Some(!config.is_on("disabled"));
    }
    if config.is_on("disabled") {
        return Some(false);
    }
    let inner = config.typed("config").map(|(_, inner)| inner);
    Some(inner.is_none_or(|inner| !inner.is_on("disabled")))
}

/// Whether another authorizer is asked here.
fn overrides(node: &Node<'_>, (above, place): (&Above<'_, '_>, &Place), findings: &mut Findings) {
    for check in above.checks {
        let config = node.field("typed_per_filter_config").and_then(|configs| configs.typed(check.name));
        let Some(settings) = config.and_then(|(_, config)| config.field("check_settings")) else { continue };
        for service in ["grpc_service", "http_service"] {
            if settings.field(service).is_some() {
                findings.add(Rule::RouteElsewhere, (place, &settings, service), "another authorizer is asked here");
            }
        }
    }
}

/// Changes of identity headers by the router, which come after the check.
fn headers(node: &Node<'_>, place: &Place, findings: &mut Findings) {
    for added in node.list("request_headers_to_add") {
        let name = added.field("header").map_or("", |header| header.text("key"));
        if is_identity(name) {
            findings.add(Rule::IdentityOverwritten, (place, &added, ""), format!("sets `{name}`"));
        }
    }
    for removed in node.list("request_headers_to_remove") {
        if removed.value.as_str().is_some_and(is_identity) {
            findings.add(Rule::IdentityOverwritten, (place, &removed, ""), format!("removes {}", removed.value));
        }
    }
}
