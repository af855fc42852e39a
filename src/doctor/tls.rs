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

/// Transport sockets around another one.
const MOST_WRAPPERS: usize = 8;
/// What chooses the socket of an endpoint.
const MATCH: &str = "envoy.transport_socket_match";

/// What protects connections to an endpoint of a cluster.
pub(super) fn of(cluster: &Node<'_>, endpoint: &Node<'_>) -> Tls {
    let mut socket = chosen(cluster, endpoint).or_else(|| cluster.field("transport_socket"));
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
    context.text("trust_chain_verification") != "ACCEPT_UNTRUSTED"
        && ANCHORS.iter().any(|name| context.field(name).is_some())
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
