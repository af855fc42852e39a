//! What only the dump of a running proxy holds: endpoints that a server delivers, and chains of a mesh with mutual TLS.

use entrance::doctor::{Finding, Rule, examine};
use serde_json::{Value, json};

use crate::{SHIPPED, istio, read, unchecked};

const KINDS: &str = "type.googleapis.com/envoy.extensions";

/// What an Envoy with this bootstrap tells, and of its endpoints.
fn dumped(document: &Value, endpoints: &Value) -> Value {
    let kind = |name: &str| format!("type.googleapis.com/envoy.admin.v3.{name}");
    let resources = |list: &str, of: &str| {
        let all = document["static_resources"][list].as_array().unwrap();
        all.iter().map(|one| json!({of: one})).collect::<Vec<_>>()
    };
    json!({"configs": [
        {"@type": kind("ListenersConfigDump"), "static_listeners": resources("listeners", "listener")},
        {"@type": kind("ClustersConfigDump"), "static_clusters": resources("clusters", "cluster")},
        {"@type": kind("EndpointsConfigDump"), "dynamic_endpoint_configs": [{"endpoint_config": endpoints}]},
    ]})
}

fn tls(side: &str, common: Value) -> Value {
    let kind = format!("{KINDS}.transport_sockets.tls.v3.{side}TlsContext");
    json!({"name": "tls", "typed_config": {"@type": kind, "common_tls_context": common}})
}

/// As Envoy Gateway has a Service, and Istio one, with its mutual TLS by itself and without.
#[test]
fn endpoints_of_a_dump_say_whether_tokens_leave_the_machine_in_clear() {
    let anchor = json!({"validation_context": {"trusted_ca": {"filename": "ca.pem"}}});
    let clear = json!({"typed_config": {"@type": format!("{KINDS}.transport_sockets.raw_buffer.v3.RawBuffer")}});
    let by_mark = json!([
        {"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transport_socket": tls("Upstream", anchor)},
        {"name": "tlsMode-disabled", "match": {}, "transport_socket": clear},
    ]);
    let socket = |ip: &str| json!({"address": {"socket_address": {"address": ip, "port_value": 9191}}});
    let pipe = json!({"address": {"pipe": {"path": "/run/entrance/authz.sock"}}});
    let marked = json!({"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"}}});
    let none = Value::Null;
    for (name, endpoint, metadata, matches, found) in [
        ("entrance", socket("10.99.0.1"), &none, &none, Some("`10.99.0.1` is reached without TLS")),
        ("entrance", socket("127.0.0.1"), &none, &none, None),
        ("entrance", pipe, &none, &none, None),
        ("entrance", socket("10.99.0.1"), &marked, &by_mark, None),
        ("entrance", socket("10.99.0.1"), &none, &by_mark, Some("`10.99.0.1` is reached without TLS")),
        ("other", socket("127.0.0.1"), &none, &none, Some("its addresses come from elsewhere")),
        ("other", socket("10.99.0.1"), &none, &by_mark, None),
    ] {
        let mut document = read(SHIPPED);
        let cluster = &mut document["static_resources"]["clusters"][0];
        cluster.as_object_mut().unwrap().remove("load_assignment");
        cluster["type"] = json!("EDS");
        cluster["eds_cluster_config"] = json!({"eds_config": {"ads": {}}, "service_name": "entrance"});
        cluster["name"] = json!("entrance");
        cluster["transport_socket_matches"] = matches.clone();
        let endpoints = json!([{"lb_endpoints": [{"endpoint": endpoint, "metadata": metadata}]}]);
        let dump = dumped(&document, &json!({"cluster_name": name, "endpoints": endpoints}));
        let findings = examine(&dump).unwrap();
        assert!(findings.iter().all(|finding| finding.rule == Rule::ClusterPlaintext), "{findings:#?}");
        assert_eq!(findings.len(), usize::from(found.is_some()), "{dump:#}");
        assert!(findings.iter().all(|finding| finding.found.starts_with(found.unwrap())), "{findings:#?}");
    }
}

/// A sidecar that asks nobody and lets an account through, with this transport socket; and more of its listener.
fn behind(socket: &Value, more: Value) -> Vec<Finding> {
    let mut listener = unchecked(more, "api");
    let chain = &mut listener["filter_chains"][0];
    chain["transport_socket"] = socket.clone();
    let principal = json!({"authenticated": {"principal_name": {"exact": "spiffe://cluster.local/ns/edge/sa/edge"}}});
    chain["filters"][0]["typed_config"]["http_filters"] = json!([{
        "name": "envoy.filters.http.rbac",
        "typed_config": {"@type": format!("{KINDS}.filters.http.rbac.v3.RBAC"), "rules": {"policies": {
            "ns[shop]-policy[orders]-rule[0]": {"permissions": [{"any": true}], "principals": [principal]},
        }}},
    }]);
    examine(&istio("sidecar", &[listener])).unwrap()
}

#[test]
fn principals_count_where_certificates_prove_them_or_nobody_has_one() {
    let delivered = json!({"name": "ROOTCA", "sds_config": {"ads": {}}});
    let mutual = |context: Value| {
        let both = json!({"default_validation_context": context, "validation_context_sds_secret_config": delivered});
        tls("Downstream", json!({"combined_validation_context": both}))
    };
    let sound = mutual(json!({"match_typed_subject_alt_names": []}));
    let wrapped = |inner: &Value| json!({"typed_config": {"@type": format!("{KINDS}.transport_sockets.tap.v3.Tap"), "transport_socket": inner}});
    let here = || json!({"traffic_direction": "INBOUND"});
    for (socket, more, end) in [
        (sound.clone(), here(), Some("lets through only `spiffe://cluster.local/ns/edge/sa/edge`, by certificate")),
        (Value::Null, here(), Some("would need a certificate")),
        (tls("Downstream", json!({"tls_certificates": []})), here(), None),
        (mutual(json!({"trust_chain_verification": "ACCEPT_UNTRUSTED"})), here(), None),
        (mutual(json!({"trust_chain_verification": 1})), here(), None),
        (tls("Downstream", json!({"validation_context": {}})), here(), None),
        (wrapped(&sound), here(), None),
        (sound, json!({"internal_listener": {}}), None),
    ] {
        let findings = behind(&socket, more);
        let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
        let wanted = if end.is_some() { Rule::EdgeOnly } else { Rule::NoCheck };
        assert_eq!(finding.rule, wanted, "{socket:#}");
        assert!(finding.found.ends_with(end.unwrap_or("asks an authorizer")), "{finding:?}");
    }
}
