//! Routes: where the check is switched off, and where identity headers are handled by somebody else.

use crate::answer::identity_headers;

use super::cluster::{self, Speech};
use super::config::Config;
use super::filters::{self, Chain, Filter};
use super::node::Node;
use super::spelling;
use super::tables::{self, Tables};
use super::{Findings, Place, Rule};

/// What stands above a route.
struct Above<'s, 'a> {
    chain: &'s Chain<'a>,
    config: &'s Config<'a>,
    checks: &'s [&'s Filter<'a>],
    /// For each check, whether it is made so far.
    on: Vec<bool>,
}

/// Looks at the routes of a connection manager.
pub(super) fn examine(
    manager: &Node<'_>,
    (chain, config, place): (&Chain<'_>, &Config<'_>, &Place),
    findings: &mut Findings,
) {
    let checks: Vec<_> = chain.checks().collect();
    let tables = Tables::of(manager, config);
    for (at, name) in &tables.unseen {
        findings.add(Rule::UnseenRoutes, (place, at, ""), format!("routes `{name}` are not in the document"));
    }
    let on = checks.iter().map(|check| !check.node.is_on("disabled")).collect();
    let above = Above { chain, config, checks: &checks, on };
    for table in &tables.seen {
        if !checks.is_empty() {
            spelling::examine((manager, table), place, findings);
        }
        let above = above.below(table);
        above.look(table, place, findings);
        for host in table.list("virtual_hosts") {
            let place = place.then(format!("virtual host `{}`", host.text("name")));
            let above = above.below(&host);
            above.look(&host, &place, findings);
            for (at, route) in tables::routes(&host).0.iter().enumerate() {
                examine_route(route, (&above, &place.then(called(route, at))), findings);
            }
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
    for condition in route.field("match").iter().flat_map(|condition| condition.list("headers")) {
        if identity_headers::is_ours(condition.text("name").as_bytes()) {
            let found = format!("chosen by `{}`, which is still the client's", condition.text("name"));
            findings.add(Rule::IdentityRoutes, (place, &condition, "name"), found);
        }
    }
    above.look(route, place, findings);
    let Some(action) = route.field("route") else {
        // A redirect or a direct response: no upstream is behind it.
        return;
    };
    let here = above.below(route);
    let clusters = action.field("weighted_clusters").map(|weighted| weighted.list("clusters")).unwrap_or_default();
    if !here.checks.is_empty() {
        here.doors(&action, place, findings);
    }
    if clusters.is_empty() {
        here.report((route, action.text("cluster")), place, findings);
    }
    for cluster in clusters {
        above.look(&cluster, place, findings);
        here.chosen(&cluster, place, findings);
        here.below(&cluster).report((&cluster, cluster.text("name")), place, findings);
    }
}

impl<'s, 'a> Above<'s, 'a> {
    /// The state below a node that may override it.
    fn below(&self, node: &Node<'_>) -> Self {
        let on = self.checks.iter().zip(&self.on).map(|(check, on)| switched(node, check).unwrap_or(*on)).collect();
        Self { on, ..*self }
    }

    /// Looks at what a node says to filters and to the router.
    fn look(&self, node: &Node<'_>, place: &Place, findings: &mut Findings) {
        headers(node, place, findings);
        overrides(node, (self, place), findings);
        filters::overrides(node, (self.chain, place), findings);
    }

    /// A way to an upstream that no check stands before, or not all.
    fn report(&self, (node, cluster): (&Node<'_>, &str), place: &Place, findings: &mut Findings) {
        let at = (place, node, "typed_per_filter_config");
        let names = |on: bool| {
            let checks = self.checks.iter().zip(&self.on).filter(move |(_, is_on)| **is_on == on);
            checks.map(|(check, _)| *check)
        };
        let staying: Vec<_> = names(true).map(|check| format!("`{}`", check.name)).collect();
        if !staying.is_empty() {
            // Those that are off unless a route switches them on are not missed.
            for check in names(false).filter(|check| !check.node.is_on("disabled")) {
                let stays = staying.join(", ");
                let found = format!("cluster `{cluster}` is reached without `{}`; what stays is {stays}", check.name);
                findings.add(Rule::RouteLessChecked, at, found);
            }
        } else if !self.checks.is_empty() {
            let found = format!("requests reach cluster `{cluster}` unchecked");
            // Where policies switch the check on, nobody has switched it off.
            let by_policy = self.checks.iter().all(|check| check.policy().is_some());
            let rule = if by_policy { Rule::RouteWithoutPolicy } else { Rule::RouteUnprotected };
            findings.add(rule, at, found);
        }
    }

    /// Ways in which a checked request becomes another one.
    fn doors(&self, action: &Node<'_>, place: &Place, findings: &mut Findings) {
        self.chosen(action, place, findings);
        let is_within = cluster::is_within(action.text("cluster"), self.config);
        for upgrade in action.list("upgrade_configs") {
            if upgrade.field("connect_config").is_some() && !is_within {
                let found = format!("cluster `{}` gets what the client sends", action.text("cluster"));
                findings.add(Rule::ConnectTerminated, (place, &upgrade, "connect_config"), found);
            }
        }
    }

    /// What a header of the client chooses.
    fn chosen(&self, action: &Node<'_>, place: &Place, findings: &mut Findings) {
        for (field, what) in [("cluster_header", "the cluster"), ("host_rewrite_header", "the host")] {
            let name = action.text(field);
            if !name.is_empty() && !self.checks.is_empty() {
                let found = format!("`{name}` names {what}");
                findings.add(Rule::ClientChooses, (place, action, field), found);
            }
        }
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
        if let Some(uri) = settings.at(&["http_service", "server_uri"]) {
            cluster::examine(&uri, Speech::Http, (above.config, place), findings);
        }
    }
}

/// Changes of identity headers by the router, which come after the check.
fn headers(node: &Node<'_>, place: &Place, findings: &mut Findings) {
    for added in node.list("request_headers_to_add") {
        let name = added.field("header").map_or("", |header| header.text("key"));
        if identity_headers::is_ours(name.as_bytes()) {
            findings.add(Rule::IdentityOverwritten, (place, &added, ""), format!("sets `{name}`"));
        }
    }
    for removed in node.list("request_headers_to_remove") {
        if removed.value.as_str().is_some_and(|name| identity_headers::is_ours(name.as_bytes())) {
            findings.add(Rule::IdentityOverwritten, (place, &removed, ""), format!("removes {}", removed.value));
        }
    }
}
