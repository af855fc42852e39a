//! Listeners, their filter chains, and the settings of the connection manager by which a request has one reading.

use std::net::IpAddr;

use super::config::Config;
use super::connections;
use super::filters::{self, Chain};
use super::node::Node;
use super::routes;
use super::tls::{self, Peers};
use super::{Findings, Place, Rule};

/// The admin port.
pub(super) fn admin(admin: &Node<'_>, findings: &mut Findings) {
    let Some(socket) = admin.at(&["address", "socket_address"]) else { return };
    let address = socket.text("address");
    if !is_loopback(address) {
        let place = Place::of("admin port");
        findings.add(Rule::AdminOpen, (&place, &socket, "address"), format!("listens on `{address}`"));
    }
}

/// Runtime values that take away what connection managers are told.
pub(super) fn runtime(config: &Config<'_>, findings: &mut Findings) {
    const SLASHES: [&str; 2] = ["http_connection_manager", "path_with_escaped_slashes_action_enabled"];
    for layer in &config.runtime {
        let whole = layer.field(&SLASHES.join(".")).or_else(|| layer.at(&SLASHES));
        if let Some(share) = whole.filter(|share| share.number().is_none_or(|share| share < 100.0)) {
            let found = "the action for escaped slashes is taken for a share of the requests, or for none";
            findings.add(Rule::EscapedSlashes, (&Place::of("runtime"), &share, ""), found);
        }
    }
}

/// Whether an address can be reached from this machine only.
pub(super) fn is_loopback(address: &str) -> bool {
    address == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// One listener.
pub(super) fn examine(listener: &Node<'_>, config: &Config<'_>, findings: &mut Findings) {
    let place = Place::of(format!("listener `{}`", listener.text("name")));
    for (at, chain) in listener.list("filter_chains").iter().enumerate() {
        let name = chain.text("name");
        let name = if name.is_empty() { at.to_string() } else { format!("`{name}`") };
        examine_chain((listener, chain), (config, &place.then(format!("filter chain {name}"))), findings);
    }
    if let Some(chain) = listener.field("default_filter_chain") {
        examine_chain((listener, &chain), (config, &place.then("default filter chain")), findings);
    }
    connections::datagrams(listener, &place, findings);
    if let Some((_, manager)) = listener.at(&["api_listener"]).and_then(|api| api.typed("api_listener")) {
        examine_manager((&manager, Peers::Unasked), (config, &place), findings);
    }
}

/// The connection managers of a listener.
pub(super) fn managers<'a>(listener: &Node<'a>) -> Vec<Node<'a>> {
    let chains = listener.list("filter_chains").into_iter().chain(listener.field("default_filter_chain"));
    let filters = chains.flat_map(|chain| chain.list("filters"));
    let typed = filters.filter_map(|filter| filter.typed("typed_config"));
    let api = listener.field("api_listener").and_then(|api| api.typed("api_listener"));
    typed.filter(|(kind, _)| *kind == "HttpConnectionManager").chain(api).map(|(_, manager)| manager).collect()
}

fn examine_chain(
    (listener, chain): (&Node<'_>, &Node<'_>),
    (config, place): (&Config<'_>, &Place),
    findings: &mut Findings,
) {
    let (filters, peers) = (chain.list("filters"), tls::peers(listener, chain));
    for filter in &filters {
        if let Some(("HttpConnectionManager", manager)) = config.given(filter).map(|any| any.unwrapped()) {
            examine_manager((&manager, peers), (config, place), findings);
        }
    }
    // What comes to a listener within the proxy has come through another one, or is on its way out.
    if listener.field("internal_listener").is_none() {
        connections::examine((&filters, peers), (config, place), findings);
    }
}

fn examine_manager(
    (manager, peers): (&Node<'_>, Peers),
    (config, place): (&Config<'_>, &Place),
    findings: &mut Findings,
) {
    let chain = Chain::of(manager, config, peers);
    filters::examine(&chain, (manager, config, place), findings);
    if chain.checks().next().is_some() {
        one_reading(manager, place, findings);
    }
    for upgrade in manager.list("upgrade_configs") {
        examine_upgrade((&upgrade, manager, &chain), (config, place), findings);
    }
    routes::examine(manager, (&chain, config, place), findings);
}

/// An upgrade, which may have filters of its own; the same routes switch those on and off.
fn examine_upgrade<'a>(
    (upgrade, manager, common): (&Node<'a>, &Node<'a>, &Chain<'a>),
    (config, place): (&Config<'a>, &Place),
    findings: &mut Findings,
) {
    let own = upgrade.list("filters");
    if own.is_empty() {
        return;
    }
    let (name, chain) = (upgrade.text("upgrade_type"), common.upgraded(&own, config));
    if chain.checks().next().is_none() {
        let found = format!("`{name}` has {} filters, and ext_authz is none of them", own.len());
        return findings.add(Rule::UpgradeUnchecked, (place, upgrade, "filters"), found);
    }
    let place = place.then(format!("upgrade `{name}`"));
    filters::examine(&chain, (manager, config, &place), findings);
    // What else is wrong with a route is said of it once.
    let mut routed = Findings::default();
    routes::examine(manager, (&chain, config, &place), &mut routed);
    let open = [Rule::RouteUnprotected, Rule::RouteWithoutPolicy];
    findings.0.extend(routed.0.into_iter().filter(|finding| open.contains(&finding.rule)));
}

/// What makes Envoy, the check and the upstream read a request in one way.
fn one_reading(manager: &Node<'_>, place: &Place, findings: &mut Findings) {
    let mut missing = |rule, field: &str, found: &str| findings.add(rule, (place, manager, field), found);
    if !manager.is_surely_on("normalize_path") {
        missing(
            Rule::PathNotNormalized,
            "normalize_path",
            "dot segments reach the check and the upstream as they were sent",
        );
    }
    if !manager.is_surely_on("merge_slashes") {
        missing(Rule::SlashesNotMerged, "merge_slashes", "`//` stays `//`");
    }
    let actions = [
        "IMPLEMENTATION_SPECIFIC_DEFAULT",
        "KEEP_UNCHANGED",
        "REJECT_REQUEST",
        "UNESCAPE_AND_REDIRECT",
        "UNESCAPE_AND_FORWARD",
    ];
    match manager.choice("path_with_escaped_slashes_action", &actions) {
        "REJECT_REQUEST" | "UNESCAPE_AND_REDIRECT" => {}
        "UNESCAPE_AND_FORWARD" => {
            missing(Rule::EscapedSlashes, "path_with_escaped_slashes_action", "`%2F` becomes `/` on the way");
        }
        _ => missing(Rule::EscapedSlashes, "path_with_escaped_slashes_action", "`%2F` and `%5C` pass as they are"),
    }
    let common = manager.field("common_http_protocol_options");
    let underscores = common.map_or("", |common| {
        common.choice("headers_with_underscores_action", &["ALLOW", "REJECT_REQUEST", "DROP_HEADER"])
    });
    if !matches!(underscores, "REJECT_REQUEST" | "DROP_HEADER") {
        missing(Rule::Underscores, "common_http_protocol_options", "names such as `x_entrance_roles` pass");
    }
    if !manager.is_surely_on("use_remote_address") {
        missing(Rule::RemoteAddress, "use_remote_address", "the client's address is taken from `x-forwarded-for`");
    }
}
