//! The way to the authorizer.

use super::config::Config;
use super::listener::is_loopback;
use super::node::Node;
use super::tls::{self, Tls};
use super::{Findings, Place, Rule};

/// The options in which a cluster says what it speaks.
const PROTOCOLS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// What a check speaks to its authorizer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Grpc,
    Http,
}

/// Looks at the cluster that `service` names.
pub(super) fn examine(
    service: &Node<'_>,
    speech: Speech,
    (config, place): (&Config<'_>, &Place),
    findings: &mut Findings,
) {
    let field = if speech == Speech::Grpc { "cluster_name" } else { "cluster" };
    let name = service.text(field);
    let Some(cluster) = config.clusters.get(name) else {
        if config.whole {
            findings.add(Rule::ClusterMissing, (place, service, field), format!("cluster `{name}` is not there"));
        }
        return;
    };
    let place = place.then(format!("cluster `{name}`"));
    if speech == Speech::Grpc && !speaks_http2(cluster) {
        findings.add(Rule::ClusterNotHttp2, (&place, cluster, "typed_extension_protocol_options"), "speaks HTTP/1.1");
    }
    if let Some(protocol) = only_http2(cluster).filter(|_| speech == Speech::Http) {
        let found =
            "asks over HTTP/2 and by HTTP's own statuses: what speaks only HTTP/2 is a gRPC server, most likely";
        findings.add(Rule::HttpToGrpc, (&place, &protocol, ""), found);
    }
    encryption(cluster, (config, &place), findings);
}

/// Whether others can listen to what goes to another machine, or answer in its place.
fn encryption(cluster: &Node<'_>, (config, place): (&Config<'_>, &Place), findings: &mut Findings) {
    let own = endpoints(cluster);
    let known = if own.is_empty() { delivered(cluster, config) } else { own };
    if known.is_empty() && comes_from_elsewhere(cluster) && !tls::is_possible(cluster) {
        let found = "its addresses come from elsewhere: unless they are of this machine, tokens go there in clear";
        findings.add(Rule::ClusterPlaintext, (place, cluster, "transport_socket"), found);
    }
    for endpoint in known {
        let socket = endpoint.at(&["endpoint", "address", "socket_address"]);
        let Some(address) = socket.map(|socket| socket.text("address")).filter(|address| !is_loopback(address)) else {
            continue;
        };
        let (rule, found) = match tls::of(cluster, &endpoint) {
            Tls::None => (Rule::ClusterPlaintext, format!("`{address}` is reached without TLS")),
            Tls::Unverified => (Rule::ClusterUnverified, format!("whoever answers for `{address}` is believed")),
            Tls::Verified => continue,
        };
        return findings.add(rule, (place, cluster, "transport_socket"), found);
    }
}

fn speaks_http2(cluster: &Node<'_>) -> bool {
    if cluster.field("http2_protocol_options").is_some() {
        return true;
    }
    let Some(options) = options(cluster) else { return false };
    let explicit = options.at(&["explicit_http_config", "http2_protocol_options"]).is_some();
    // By ALPN, which needs TLS.
    let negotiated = options.field("auto_config").is_some() && cluster.field("transport_socket").is_some();
    explicit || negotiated || options.at(&["use_downstream_protocol_config", "http2_protocol_options"]).is_some()
}

/// Where a cluster says that it speaks HTTP/2 and nothing else.
fn only_http2<'a>(cluster: &Node<'a>) -> Option<Node<'a>> {
    let options = options(cluster).and_then(|options| options.at(&["explicit_http_config", "http2_protocol_options"]));
    options.or_else(|| cluster.field("http2_protocol_options"))
}

/// The options of a cluster for HTTP.
fn options<'a>(cluster: &Node<'a>) -> Option<Node<'a>> {
    // The names of extensions hold dots and are no field names.
    let options = cluster.field("typed_extension_protocol_options")?.field(PROTOCOLS)?;
    Some(options.unwrapped().1)
}

/// The filters that requests to a cluster go through behind the router.
pub(super) fn filters<'a>(cluster: &Node<'a>) -> Vec<Node<'a>> {
    options(cluster).map(|options| options.list("http_filters")).unwrap_or_default()
}

/// The addresses of a cluster, as far as it says them itself.
pub(super) fn addresses<'a>(cluster: &Node<'a>) -> Vec<Node<'a>> {
    endpoints(cluster).iter().filter_map(|endpoint| endpoint.at(&["endpoint", "address"])).collect()
}

fn endpoints<'a>(cluster: &Node<'a>) -> Vec<Node<'a>> {
    cluster.field("load_assignment").as_ref().map(assigned).unwrap_or_default()
}

fn assigned<'a>(assignment: &Node<'a>) -> Vec<Node<'a>> {
    assignment.list("endpoints").iter().flat_map(|locality| locality.list("lb_endpoints")).collect()
}

/// The endpoints that a server has delivered, as far as the document holds them.
fn delivered<'a>(cluster: &Node<'_>, config: &Config<'a>) -> Vec<Node<'a>> {
    let service = cluster.field("eds_cluster_config").map_or("", |eds| eds.text("service_name"));
    let name = if service.is_empty() { cluster.text("name") } else { service };
    config.endpoints.get(name).map(assigned).unwrap_or_default()
}

/// Whether somebody else says where a cluster is.
fn comes_from_elsewhere(cluster: &Node<'_>) -> bool {
    let kinds = ["STATIC", "STRICT_DNS", "LOGICAL_DNS", "EDS", "ORIGINAL_DST"];
    let is_own = matches!(cluster.choice("type", &kinds), "STATIC" | "STRICT_DNS" | "LOGICAL_DNS");
    !is_own || cluster.field("cluster_type").is_some()
}

/// Whether a cluster is the agent that Istio has beside each proxy, which tells of its health and collects metrics.
pub(super) fn is_agent(name: &str, config: &Config<'_>) -> bool {
    let addresses = config.clusters.get(name).map(addresses).unwrap_or_default();
    let is_here =
        |address: &Node<'_>| address.field("socket_address").is_some_and(|socket| is_loopback(socket.text("address")));
    config.is_of_istio() && name == "agent" && !addresses.is_empty() && addresses.iter().all(is_here)
}

/// Whether a cluster is the proxy's own admin port, and nothing else.
pub(super) fn is_admin(name: &str, config: &Config<'_>) -> bool {
    let Some(admin) = config.admin.as_ref().and_then(|admin| admin.field("address")) else { return false };
    let Some(cluster) = config.clusters.get(name) else { return false };
    let addresses = addresses(cluster);
    !addresses.is_empty() && addresses.iter().all(|address| is_same(address, &admin))
}

/// Whether a cluster has nobody, now or later.
pub(super) fn leads_nowhere(name: &str, config: &Config<'_>) -> bool {
    let Some(cluster) = config.clusters.get(name) else { return false };
    let is_static = matches!(cluster.text("type"), "" | "STATIC") && cluster.field("cluster_type").is_none();
    is_static && addresses(cluster).is_empty()
}

/// Whether a cluster is listeners of the same proxy, and nothing else.
pub(super) fn is_within(name: &str, config: &Config<'_>) -> bool {
    let addresses = config.clusters.get(name).map(addresses).unwrap_or_default();
    !addresses.is_empty() && addresses.iter().all(|address| address.field("envoy_internal_address").is_some())
}

/// Whether two addresses are one.
pub(super) fn is_same(one: &Node<'_>, other: &Node<'_>) -> bool {
    let port = |node: &Node<'_>| node.at(&["socket_address", "port_value"]).map(|port| port.value.clone());
    let ip = |node: &Node<'_>| node.at(&["socket_address", "address"]).map(|ip| ip.value.clone());
    let pipe = |node: &Node<'_>| node.at(&["pipe", "path"]).map(|path| path.value.clone());
    let is_socket = port(one).is_some() && port(one) == port(other) && ip(one) == ip(other);
    is_socket || (pipe(one).is_some() && pipe(one) == pipe(other))
}
