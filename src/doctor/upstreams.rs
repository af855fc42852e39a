//! What is behind the checks: the clusters that checked requests go to, the filters on the way there, and connections that
//! go there beside the checks.

use std::collections::BTreeSet;

use super::cluster;
use super::config::Config;
use super::filters::{self, Chain};
use super::listener::managers;
use super::node::Node;
use super::tables::Tables;
use super::tls::Peers;
use super::{Findings, Place, Rule};

/// The clusters that the routes behind a check lead to.
pub(super) fn of<'a>(config: &Config<'a>) -> BTreeSet<&'a str> {
    let inbound = config.listeners.iter().filter(|listener| !config.is_own_way_out(listener));
    let managers = inbound.flat_map(managers);
    let checked = managers.filter(|manager| Chain::of(manager, config, Peers::Unasked).checks().next().is_some());
    checked.flat_map(|manager| Tables::of(&manager, config).routes()).flat_map(|route| clusters(&route)).collect()
}

fn clusters<'a>(route: &Node<'a>) -> Vec<&'a str> {
    let Some(action) = route.field("route") else { return Vec::new() };
    named(&action)
}

/// The clusters that a route's action or the settings of a TCP proxy name.
pub(super) fn named<'a>(action: &Node<'a>) -> Vec<&'a str> {
    let weighted = action.field("weighted_clusters").map(|weighted| weighted.list("clusters")).unwrap_or_default();
    let names = weighted.iter().map(|cluster| cluster.text("name")).chain([action.text("cluster")]);
    names.filter(|name| !name.is_empty()).collect()
}

/// The checked cluster that another one is, or is in the same place as.
pub(super) fn same<'a>(name: &str, config: &Config<'a>) -> Option<&'a str> {
    let places = |name: &str| config.clusters.get(name).map(cluster::addresses).unwrap_or_default();
    let own = places(name);
    config.upstreams.iter().copied().find(|checked| {
        let theirs = places(checked);
        *checked == name || own.iter().any(|one| theirs.iter().any(|other| cluster::is_same(one, other)))
    })
}

/// Looks at the filters on the way to the clusters, and at who says where that leads.
pub(super) fn examine(config: &Config<'_>, findings: &mut Findings) {
    for name in &config.upstreams {
        let Some(cluster) = config.clusters.get(name) else { continue };
        let place = Place::of(format!("cluster `{name}`"));
        for filter in cluster::filters(cluster) {
            filters::behind(&filter, &place, findings);
        }
        if let Some(original) =
            cluster.field("original_dst_lb_config").filter(|original| original.is_on("use_http_header"))
        {
            let header = Some(original.text("http_header_name")).filter(|name| !name.is_empty());
            let found = format!("`{}` names the address", header.unwrap_or("x-envoy-original-dst-host"));
            findings.add(Rule::ClientChooses, (&place, &original, "use_http_header"), found);
        }
    }
}
