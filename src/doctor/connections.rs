//! What no check of requests sees: connections and datagrams that are forwarded as they are, and listeners that are not in
//! the document.

use super::cluster;
use super::config::Config;
use super::edge;
use super::node::Node;
use super::tls::Peers;
use super::upstreams;
use super::{Findings, Place, Rule};

/// What a dump tells of updates that failed, and a bootstrap of more listeners.
pub(super) fn unseen(config: &Config<'_>, findings: &mut Findings) {
    if let Some(more) = &config.more_listeners {
        let found = "listeners that a server or a file delivers are not in the document";
        findings.add(Rule::UnseenListeners, (&Place::of("bootstrap"), more, ""), found);
    }
    for (what, error) in &config.rejected {
        let details = error.text("details");
        let found = if details.is_empty() { "no reason is given" } else { details };
        findings.add(Rule::UpdateRejected, (&Place::of(what), error, ""), found);
    }
}

/// Looks at the network filters of a chain, the last of which has the connection.
pub(super) fn examine(
    (filters, peers): (&[Node<'_>], Peers),
    (config, place): (&Config<'_>, &Place),
    findings: &mut Findings,
) {
    for filter in filters {
        if filter.field("config_discovery").is_some() && config.given(filter).is_none() {
            let found = "the configuration of a network filter is not in the document";
            findings.add(Rule::UnseenFilter, (place, filter, "config_discovery"), found);
        }
    }
    let Some(last) = filters.last().filter(|_| !asks_about_connections(filters)) else { return };
    let at = (place, last, "");
    match config.given(last).map(|any| any.unwrapped()) {
        Some(("HttpConnectionManager", _)) | None => {}
        Some(("TcpProxy", proxy)) => {
            let mut doubts = Findings::default();
            forwarded(&proxy, (config, at), &mut doubts);
            let is_beside = doubts.0.iter().any(|doubt| doubt.rule == Rule::TcpBeside);
            if doubts.0.is_empty() || is_beside || !edge::connections(filters, (peers, place), findings) {
                findings.0.append(&mut doubts.0);
            }
        }
        Some((kind, _)) if answers_itself(last, kind) => {}
        Some((kind, _)) => {
            findings.add(Rule::NotHttp, at, format!("connections are for `{kind}`, which reads no requests of HTTP"));
        }
    }
}

/// Connections that go to clusters as they are.
fn forwarded(proxy: &Node<'_>, (config, at): (&Config<'_>, (&Place, &Node<'_>, &str)), findings: &mut Findings) {
    let names = upstreams::named(proxy);
    if names.is_empty() {
        return findings.add(Rule::NotHttp, at, "connections go to a cluster that is chosen at run time");
    }
    for name in names.into_iter().filter(|name| !cluster::leads_nowhere(name, config)) {
        if let Some(checked) = upstreams::same(name, config) {
            let found = format!("connections go to cluster `{name}`, where requests to `{checked}` are checked");
            return findings.add(Rule::TcpBeside, at, found);
        }
        findings.add(Rule::NotHttp, at, format!("connections go to cluster `{name}` as they are"));
    }
}

/// Whether a filter sends back what it is sent, or what it was given.
fn answers_itself(filter: &Node<'_>, kind: &str) -> bool {
    let url = filter.field("typed_config").map_or("", |config| config.text("@type"));
    kind == "Echo" || url.ends_with("envoy.extensions.filters.network.direct_response.v3.Config")
}

/// Whether an authorizer is asked about each connection; one of requests refuses what is none. A condition of the question
/// may only be that of Istio, whose marks another filter of the chain sets.
fn asks_about_connections(filters: &[Node<'_>]) -> bool {
    let typed: Vec<_> = filters.iter().filter_map(|filter| filter.typed("typed_config")).collect();
    let has_marks = typed.iter().any(|(kind, _)| *kind == "RBAC");
    typed.iter().any(|(kind, settings)| {
        let condition = settings.field("filter_enabled_metadata");
        let is_met = condition.is_none_or(|condition| {
            has_marks && condition.text("filter") == "envoy.filters.network.rbac" && !condition.is_on("invert")
        });
        *kind == "ExtAuthz" && is_met && !settings.is_on("failure_mode_allow")
    })
}

/// Datagrams are forwarded by filters of the listener.
pub(super) fn datagrams(listener: &Node<'_>, place: &Place, findings: &mut Findings) {
    for filter in listener.list("listener_filters") {
        if let Some(("UdpProxyConfig", _)) = filter.typed("typed_config") {
            findings.add(Rule::NotHttp, (place, &filter, ""), "datagrams are forwarded as they are");
        }
    }
}
