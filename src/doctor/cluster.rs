//! The way to the authorizer.

use super::config::Config;
use super::listener::is_loopback;
use super::node::Node;
use super::{Findings, Place, Rule};

const PROTOCOLS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Looks at the cluster that `service` names in a field, and whether it must speak HTTP/2.
pub(super) fn examine(
    service: &Node<'_>,
    (field, http2): (&str, bool),
    (config, place): (&Config<'_>, &Place),
    findings: &mut Findings,
) {
    let name = service.text(field);
    let Some(cluster) = config.clusters.get(name) else {
        if config.whole {
            findings.add(Rule::ClusterMissing, (place, service, field), format!("cluster `{name}` is not there"));
        }
        return;
    };
    let place = place.then(format!("cluster `{name}`"));
    if http2 && !speaks_http2(cluster) {
        findings.add(Rule::ClusterNotHttp2, (&place, cluster, "typed_extension_protocol_options"), "speaks HTTP/1.1");
    }
    let is_private = ["transport_socket", "transport_socket_matches"].iter().any(|name| cluster.field(name).is_some());
    if let (false, Some(far)) = (is_private, far(cluster)) {
        findings.add(
            Rule::ClusterPlaintext,
            (&place, cluster, "transport_socket"),
            format!("`{far}` is reached without TLS"),
        );
    }
}

fn speaks_http2(cluster: &Node<'_>) -> bool {
    if cluster.field("http2_protocol_options").is_some() {
        return true;
    }
    // The names of extensions hold dots and are no field names.
    let options = cluster.field("typed_extension_protocol_options");
    let Some(options) = options.and_then(|options| options.field(PROTOCOLS)).map(|options| options.unwrapped().1)
    else {
        return false;
    };
    let explicit = options.at(&["explicit_http_config", "http2_protocol_options"]).is_some();
    // By ALPN, which needs TLS.
    let negotiated = options.field("auto_config").is_some() && cluster.field("transport_socket").is_some();
    explicit || negotiated || options.at(&["use_downstream_protocol_config", "http2_protocol_options"]).is_some()
}

/// An address of the cluster on another machine.
fn far<'a>(cluster: &Node<'a>) -> Option<&'a str> {
    let addresses = addresses(cluster);
    let sockets = addresses.iter().filter_map(|address| address.field("socket_address"));
    sockets.map(|socket| socket.text("address")).find(|address| !is_loopback(address))
}

/// The addresses of a cluster, as far as it says them itself.
fn addresses<'a>(cluster: &Node<'a>) -> Vec<Node<'a>> {
    let assignment = cluster.field("load_assignment");
    let localities = assignment.map(|assignment| assignment.list("endpoints")).unwrap_or_default();
    let endpoints = localities.iter().flat_map(|locality| locality.list("lb_endpoints"));
    endpoints.filter_map(|endpoint| endpoint.at(&["endpoint", "address"])).collect()
}

/// Whether a cluster is the proxy's own admin port, and nothing else.
pub(super) fn is_admin(name: &str, config: &Config<'_>) -> bool {
    let Some(admin) = config.admin.as_ref().and_then(|admin| admin.field("address")) else { return false };
    let Some(cluster) = config.clusters.get(name) else { return false };
    let addresses = addresses(cluster);
    !addresses.is_empty() && addresses.iter().all(|address| is_same(address, &admin))
}

/// Whether a cluster is listeners of the same proxy, and nothing else.
pub(super) fn is_within(name: &str, config: &Config<'_>) -> bool {
    let addresses = config.clusters.get(name).map(addresses).unwrap_or_default();
    !addresses.is_empty() && addresses.iter().all(|address| address.field("envoy_internal_address").is_some())
}

fn is_same(one: &Node<'_>, other: &Node<'_>) -> bool {
    let port = |node: &Node<'_>| node.at(&["socket_address", "port_value"]).map(|port| port.value.clone());
    let ip = |node: &Node<'_>| node.at(&["socket_address", "address"]).map(|ip| ip.value.clone());
    port(one).is_some() && port(one) == port(other) && ip(one) == ip(other)
}
