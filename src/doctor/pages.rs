//! Listeners that lead to no API: to answers of the proxy's own, and to pages that health checks and monitoring are given.

use super::cluster;
use super::config::Config;
use super::node::Node;
use super::tables::Tables;

/// What a proxy or the agent beside it tells everybody, by the whole path. The other pages of an admin port end the proxy,
/// change it, or tell its configuration.
const PAGES: [&str; 5] = ["/healthz/ready", "/metrics", "/ready", "/stats", "/stats/prometheus"];
/// What Istio lets health checks and monitoring see, by its beginning.
const BEGINNINGS: [&str; 3] = ["/healthz/ready", "/metrics", "/stats/prometheus"];
/// Settings of a route by which another path is asked for.
const REWRITES: [&str; 4] = ["prefix_rewrite", "path_rewrite", "regex_rewrite", "path_rewrite_policy"];

/// Whether requests can reach an upstream, as far as is seen. Another listener of the proxy is none: it is looked at itself.
pub(super) fn lead_anywhere(manager: &Node<'_>, config: &Config<'_>) -> bool {
    let tables = Tables::of(manager, config);
    !tables.unseen.is_empty() || tables.routes().iter().any(|route| leads(route, config))
}

fn leads(route: &Node<'_>, config: &Config<'_>) -> bool {
    let Some(action) = route.field("route") else { return false };
    let cluster = action.text("cluster");
    let is_own = cluster::is_admin(cluster, config) || cluster::is_agent(cluster, config);
    !(is_own && is_page(route, &action) || cluster::is_within(cluster, config))
}

fn is_page(route: &Node<'_>, action: &Node<'_>) -> bool {
    let Some(condition) = route.field("match") else { return false };
    let is_known = PAGES.contains(&condition.text("path")) || BEGINNINGS.contains(&condition.text("prefix"));
    is_known && REWRITES.iter().all(|rewrite| action.field(rewrite).is_none())
}
