//! Whether a connection to an upstream is encrypted, and whether it is known who is at its other end.

use super::node::Node;

/// What protects a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    None,
    /// With anybody who answers.
    Unverified,
    Verified,
}

/// What is known of those who connect to a filter chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peers {
    /// They have no certificates: connections are in clear.
    InClear,
    /// They are not asked for certificates.
    Unasked,
    /// They may have shown certificates, and whether these say who they are cannot be told.
    Claimed,
    /// The certificates that they have shown, if any, are those of an authority.
    Proven,
}

/// Transport sockets around another one.
const MOST_WRAPPERS: usize = 8;
/// What chooses the socket of an endpoint.
const MATCH: &str = "envoy.transport_socket_match";

/// What protects connections to an endpoint of a cluster.
pub(super) fn of(cluster: &Node<'_>, endpoint: &Node<'_>) -> Tls {
    by(chosen(cluster, endpoint).or_else(|| cluster.field("transport_socket")))
}

/// Whether any endpoint of a cluster may be reached with TLS. With its mutual TLS by itself Istio writes a socket with TLS,
/// for endpoints that are marked so, beside one in clear for the others.
pub(super) fn is_possible(cluster: &Node<'_>) -> bool {
    let matches = cluster.list("transport_socket_matches");
    let sockets = matches.iter().map(|one| one.field("transport_socket")).chain([cluster.field("transport_socket")]);
    sockets.map(by).any(|tls| tls != Tls::None)
}

/// What a transport socket does.
fn by(mut socket: Option<Node<'_>>) -> Tls {
    for _ in 0..MOST_WRAPPERS {
        let Some(outer) = &socket else { return Tls::None };
        let (kind, settings) = outer.typed("typed_config").unwrap_or_else(|| ("", outer.clone()));
        match kind {
            "UpstreamTlsContext" => return verified(&settings),
            "QuicUpstreamTransport" => {
                return settings.field("upstream_tls_context").map_or(Tls::None, |tls| verified(&tls));
            }
            "Alts" => return Tls::Verified,
            "" if outer.text("name").contains("tls") => return Tls::Unverified,
            _ => socket = settings.field("transport_socket"),
        }
    }
    Tls::None
}

/// Who connects to a filter chain; to a listener within the proxy another one may have let them.
pub(super) fn peers(listener: &Node<'_>, chain: &Node<'_>) -> Peers {
    const AUTHORITIES: [&str; 3] =
        ["validation_context", "validation_context_sds_secret_config", "combined_validation_context"];
    if listener.field("internal_listener").is_some() {
        return Peers::Claimed;
    }
    let Some(socket) = chain.field("transport_socket") else { return Peers::InClear };
    let (kind, settings) = socket.typed("typed_config").unwrap_or_else(|| ("", socket.clone()));
    let common = settings.field("common_tls_context");
    let is_asked = common.is_some_and(|common| AUTHORITIES.iter().any(|name| common.field(name).is_some()));
    match kind {
        "RawBuffer" => Peers::InClear,
        "DownstreamTlsContext" if is_asked && !is_credulous(&settings) && verified(&settings) == Tls::Verified => {
            Peers::Proven
        }
        _ if is_asked => Peers::Claimed,
        _ => Peers::Unasked,
    }
}

/// Whether certificates of anybody's making may do, wherever that stands.
fn is_credulous(settings: &Node<'_>) -> bool {
    let mut some = false;
    settings.walk(&mut |node| some |= !is_chain_verified(node));
    some
}

/// Whether the chain of a certificate has to lead to an authority, as is so unless something else is said.
fn is_chain_verified(context: &Node<'_>) -> bool {
    const WAYS: [&str; 2] = ["VERIFY_TRUST_CHAIN", "ACCEPT_UNTRUSTED"];
    context.choice("trust_chain_verification", &WAYS) == "VERIFY_TRUST_CHAIN"
}

/// The first of the sockets that the metadata of an endpoint matches.
fn chosen<'a>(cluster: &Node<'a>, endpoint: &Node<'_>) -> Option<Node<'a>> {
    let marks = endpoint.at(&["metadata", "filter_metadata", MATCH]);
    let has = |name: &str, value: &Node<'_>| {
        marks.as_ref().and_then(|marks| marks.value.get(name)).is_some_and(|mark| mark == value.value)
    };
    let matches = cluster.list("transport_socket_matches");
    let is_met = |one: &Node<'a>| {
        let wanted = one.field("match");
        wanted.iter().flat_map(Node::members).all(|(name, value)| has(name, &value))
    };
    matches.into_iter().find(is_met).and_then(|one| one.field("transport_socket"))
}

fn verified(settings: &Node<'_>) -> Tls {
    let Some(common) = settings.field("common_tls_context") else { return Tls::Unverified };
    let is_delivered = ["validation_context_sds_secret_config", "validation_context_certificate_provider_instance"]
        .iter()
        .any(|name| common.field(name).is_some());
    let combined = common.field("combined_validation_context");
    let is_combined = combined.as_ref().is_some_and(|combined| {
        combined.field("validation_context_sds_secret_config").is_some()
            || combined.field("default_validation_context").is_some_and(|context| anchored(&context))
    });
    let is_anchored = common.field("validation_context").is_some_and(|context| anchored(&context));
    if is_delivered || is_combined || is_anchored { Tls::Verified } else { Tls::Unverified }
}

/// Whether there is something that a certificate is held against.
fn anchored(context: &Node<'_>) -> bool {
    const ANCHORS: [&str; 6] = [
        "trusted_ca",
        "ca_certificate_provider_instance",
        "system_root_certs",
        "verify_certificate_spki",
        "verify_certificate_hash",
        "custom_validator_config",
    ];
    is_chain_verified(context) && ANCHORS.iter().any(|name| context.field(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::{Tls, of};
    use crate::doctor::node::Node;
    use serde_json::{Value, json};

    fn socket(kind: &str, settings: Value) -> Value {
        let mut config = settings;
        config["@type"] = json!(format!("type.googleapis.com/envoy.extensions.transport_sockets.{kind}"));
        json!({"name": "socket", "typed_config": config})
    }

    fn tls(common: Value) -> Value {
        socket("tls.v3.UpstreamTlsContext", json!({"common_tls_context": common}))
    }

    #[test]
    fn a_connection_is_as_good_as_what_certificates_are_held_against() {
        let anchor = json!({"validation_context": {"trusted_ca": {"filename": "ca.pem"}}});
        let credulous =
            json!({"validation_context": {"trusted_ca": {}, "trust_chain_verification": "ACCEPT_UNTRUSTED"}});
        let delivered = json!({"combined_validation_context": {
            "default_validation_context": {}, "validation_context_sds_secret_config": {"name": "ca"}}});
        let wrapped = |inner: Value| {
            socket("proxy_protocol.v3.ProxyProtocolUpstreamTransport", json!({"transport_socket": inner}))
        };
        let quic = json!({"upstream_tls_context": {"common_tls_context": anchor}});
        for (socket, wanted) in [
            (tls(anchor.clone()), Tls::Verified),
            (tls(delivered), Tls::Verified),
            (tls(json!({"validation_context_sds_secret_config": {"name": "ca"}})), Tls::Verified),
            (tls(json!({"combined_validation_context": {"default_validation_context": {}}})), Tls::Unverified),
            (tls(credulous), Tls::Unverified),
            (tls(json!({"validation_context": {"trusted_ca": {}, "trust_chain_verification": 1}})), Tls::Unverified),
            (tls(json!({"tls_certificates": []})), Tls::Unverified),
            (json!({"name": "envoy.transport_sockets.tls"}), Tls::Unverified),
            (wrapped(tls(anchor.clone())), Tls::Verified),
            (wrapped(socket("raw_buffer.v3.RawBuffer", json!({}))), Tls::None),
            (socket("quic.v3.QuicUpstreamTransport", quic), Tls::Verified),
            (Value::Null, Tls::None),
        ] {
            let cluster = json!({"transport_socket": socket});
            let endpoint = json!({});
            assert_eq!(of(&Node::root(&cluster), &Node::root(&endpoint)), wanted, "{cluster}");
        }
    }
}
