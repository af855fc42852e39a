//! The ways in which a proxy of Istio comes to ask Entrance, each by a file of `examples/istio`.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::plane::{Plane, documents};
use crate::proxy::{Proxy, Workload, cluster};
use crate::secrets::Identity;
use crate::upstream::Upstream;
use crate::world::endpoints;

/// What the pods of the examples say that have an Entrance beside them.
const INJECT: &str = "entrance.dev/inject";

/// One way to the API.
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    /// Where a client of it connects, in clear.
    pub(crate) address: SocketAddr,
    pub(crate) proxy: Proxy,
    /// The client's own proxy, where the mesh wants mutual TLS.
    client: Option<Proxy>,
}

impl Mode {
    /// Name and address.
    pub(crate) fn at(&self) -> (&str, SocketAddr) {
        (self.name, self.address)
    }

    /// Whether clients of it are out of the mesh.
    pub(crate) fn is_edge(&self) -> bool {
        self.client.is_none() && !self.name.starts_with("sidecar")
    }
}

/// The one document of this kind in a list.
pub(crate) fn kind<'d>(documents: &'d mut [Value], kind: &str) -> &'d mut Value {
    documents.iter_mut().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// All of them.
pub(crate) async fn all(plane: &Plane, upstream: &Upstream) -> Vec<Mode> {
    // The service is there before the routes to it.
    plane.apply_all(&documents("examples/istio/sidecar.yaml")).await;
    let (ingress, gateway) = (ingress(plane).await, gateway(plane).await);
    let inside = [strict(plane, upstream).await, socket(plane, upstream).await, waypoint(plane).await];
    [ingress, gateway].into_iter().chain(inside).collect()
}

fn plain(name: &'static str, address: &str, proxy: Proxy) -> Mode {
    Mode { name, address: address.parse().unwrap(), proxy, client: None }
}

async fn ingress(plane: &Plane) -> Mode {
    let mut objects = documents("examples/istio/ingress.yaml");
    kind(&mut objects, "Gateway")["spec"]["servers"][0]["bind"] = json!("127.0.1.1");
    plane.apply_all(&objects).await;
    let workload = Workload::new("router", ("istio-ingress", "edge"), json!({"istio": "ingressgateway"}));
    plain("Gateway and VirtualService", "127.0.1.1:80", Proxy::start(&workload, plane).await)
}

/// What Istio's own controller would make for a Gateway: a pod with its labels, and a service before it.
pub(crate) async fn gateway_pod(plane: &Plane, workload: &Workload, (name, port): (&str, u16)) {
    let namespace = workload.namespace;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": namespace}});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("{}-0", workload.name), "namespace": namespace, "labels": workload.labels},
        "spec": {"serviceAccountName": "default", "containers": [{"name": "istio-proxy", "image": "proxy"}]},
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": workload.name, "namespace": namespace},
        "spec": {"clusterIP": "None", "selector": workload.labels,
            "ports": [{"name": name, "port": if name == "mesh" { port } else { 80 }, "targetPort": port}]},
    });
    plane.apply_all(&[account, pod.clone(), service]).await;
    let status = json!({"status": {"podIP": workload.address, "podIPs": [{"ip": workload.address}], "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}]}});
    plane.merge(&pod, ("status", &status)).await;
    plane.apply(&endpoints((namespace, workload.name), (name, port), &workload.address)).await;
}

/// The address that Istio's controller would fill in.
pub(crate) fn hostname(gateway: &mut Value, service: &str, namespace: &str) {
    let host = format!("{service}.{namespace}.svc.cluster.local");
    gateway["spec"]["addresses"] = json!([{"type": "Hostname", "value": host}]);
}

async fn gateway(plane: &Plane) -> Mode {
    let mut objects = documents("examples/istio/gateway-api.yaml");
    hostname(kind(&mut objects, "Gateway"), "edge-istio", "shop");
    let labels = json!({"gateway.networking.k8s.io/gateway-name": "edge"});
    let workload = Workload::new("router", ("shop", "edge-istio"), labels);
    gateway_pod(plane, &workload, ("http", 28720)).await;
    plane.apply_all(&objects).await;
    plain("Gateway API", "127.0.0.1:28720", Proxy::start(&workload, plane).await)
}

/// What interception would do: the inbound port of a pod whose traffic nobody redirects, and the Entrance it may ask.
pub(crate) fn inbound(workload: &Workload, (address, api): (&str, SocketAddr), authorizer: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
        "metadata": {"name": workload.name, "namespace": workload.namespace},
        "spec": {
            "workloadSelector": {"labels": workload.labels},
            "ingress": [{"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "bind": address,
                "captureMode": "NONE", "defaultEndpoint": format!("127.0.0.1:{}", api.port())}],
            "egress": [{"hosts": [format!("entrance/{authorizer}.entrance.internal")]}],
        },
    })
}

async fn strict(plane: &Plane, upstream: &Upstream) -> Mode {
    let workload = Workload::new("sidecar", ("shop", "orders"), json!({"app": "orders", INJECT: "true"}));
    plane.apply(&inbound(&workload, ("127.0.1.2", upstream.address), "entrance-sidecar")).await;
    let proxy = Proxy::start(&workload, plane).await;
    // What stands beside the edges of the examples lets nobody else to the API.
    let client = client(("strict", "127.0.1.3"), ("127.0.1.2", 8080), (&plane.secrets.edges[0], None)).await;
    let address = "127.0.1.3:80".parse().unwrap();
    Mode { name: "sidecar, mutual TLS", address, proxy, client: Some(client) }
}

async fn socket(plane: &Plane, upstream: &Upstream) -> Mode {
    plane.apply_all(&documents("examples/istio/sidecar-unix.yaml")).await;
    let workload = Workload::new("sidecar", ("shop", "invoices"), json!({"app": "invoices", INJECT: "true"}));
    plane.apply(&inbound(&workload, ("127.0.1.4", upstream.address), "entrance-socket")).await;
    plain("sidecar, Unix socket", "127.0.1.4:8080", Proxy::start(&workload, plane).await)
}

async fn waypoint(plane: &Plane) -> Mode {
    let ambient = json!({"metadata": {"labels": {"istio.io/dataplane-mode": "ambient"}}});
    let shop = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    plane.merge(&shop, ("", &ambient)).await;
    let mut objects = documents("examples/istio/waypoint.yaml");
    hostname(kind(&mut objects, "Gateway"), "waypoint", "shop");
    let labels = json!({"gateway.networking.k8s.io/gateway-name": "waypoint"});
    let workload = Workload::new("waypoint", ("shop", "waypoint"), labels);
    gateway_pod(plane, &workload, ("mesh", 15008)).await;
    plane.apply_all(&objects).await;
    // Filters of Istio's own build of Envoy.
    let remove = |name: &str| {
        json!({"applyTo": "HTTP_FILTER", "patch": {"operation": "REMOVE"}, "match": {"context": "ANY", "listener":
            {"filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager",
                "subFilter": {"name": name}}}}}})
    };
    let names = ["waypoint_downstream_peer_metadata", "waypoint_upstream_peer_metadata"];
    plane
        .apply(&json!({
            "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
            "metadata": {"name": "stock", "namespace": "shop"},
            "spec": {"configPatches": names.map(remove), "targetRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "waypoint"}]},
        }))
        .await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "reports", "namespace": "shop"}});
    let service = plane.read(&service).await.unwrap();
    let tunnel = format!("{}:80", service["spec"]["clusterIP"].as_str().unwrap());
    let proxy = Proxy::start(&workload, plane).await;
    let client = client(("tunnel", "127.0.1.5"), ("127.0.0.1", 15008), (&plane.secrets.client, Some(&tunnel))).await;
    let address = "127.0.1.5:80".parse().unwrap();
    Mode { name: "ambient waypoint", address, proxy, client: Some(client) }
}

/// An Envoy that brings what comes to port 80 of an address to the mesh: by mutual TLS as this identity, through an HBONE
/// tunnel if a destination of it is given.
pub(crate) async fn client(
    (name, address): (&str, &str),
    (host, port): (&str, u16),
    (identity, tunnel): (&Identity, Option<&str>),
) -> Proxy {
    let mut upstream = cluster("mesh", SocketAddr::new(host.parse().unwrap(), port));
    if tunnel.is_none() {
        upstream.as_object_mut().unwrap().remove("typed_extension_protocol_options");
    }
    let inline = |pem: &str| json!({"inline_string": pem});
    upstream["transport_socket"] = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": [if tunnel.is_some() { "h2" } else { "istio" }],
            // Not further than 1.2 by default, and the mesh wants 1.3.
            "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [
                {"certificate_chain": inline(&identity.certificate), "private_key": inline(&identity.key)}],
            "validation_context": {"trusted_ca": inline(&identity.authority)},
        },
    }});
    let mut forward = json!({"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "mesh", "cluster": "mesh"});
    if let Some(destination) = tunnel {
        forward["tunneling_config"] = json!({"hostname": destination});
    }
    let bootstrap = json!({
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {"clusters": [upstream], "listeners": [{
            "name": "client", "address": {"socket_address": {"address": address, "port_value": 80}},
            "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": forward}]}],
        }]},
    });
    Proxy::of(&bootstrap, name).await
}
