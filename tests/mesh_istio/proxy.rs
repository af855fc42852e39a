//! A stock Envoy that istiod configures, in the place of an `istio-proxy`.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::children::{Process, scratch, until};
use crate::envoy_process::{binary, text};
use crate::plane::Plane;

/// Whom a proxy poses as.
#[derive(Clone)]
pub(crate) struct Workload {
    /// `router`, `sidecar` or `waypoint`.
    pub(crate) role: &'static str,
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
    /// Those of its pod, by which policies find it.
    pub(crate) labels: Value,
    /// Its address, with which nothing is done but to tell it from others. An address of an endpoint would make it that.
    pub(crate) address: String,
}

impl Workload {
    pub(crate) fn new(role: &'static str, (namespace, name): (&'static str, &'static str), labels: Value) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(2);
        let address = format!("10.9.0.{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Self { role, name, namespace, labels, address }
    }

    fn node(&self) -> Value {
        let Self { role, name, namespace, labels, address, .. } = self;
        // From 1.30 on istiod expects more of a waypoint than stock Envoy has.
        let version = if *role == "waypoint" { "1.29.1" } else { "1.31.0" };
        let mut metadata =
            json!({"NAMESPACE": namespace, "LABELS": labels, "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": version});
        if *role == "sidecar" {
            metadata["INTERCEPTION_MODE"] = json!("NONE");
        }
        let id = format!("{role}~{address}~{name}-0.{namespace}~{namespace}.svc.cluster.local");
        json!({"id": id, "cluster": name, "metadata": metadata})
    }

    fn bootstrap(&self, plane: &Plane) -> Value {
        let ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
        let clusters = [cluster("xds-grpc", plane.xds), cluster("sds-grpc", plane.secrets.address)];
        let internal = "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener";
        json!({
            "node": self.node(),
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "bootstrap_extensions": [
                {"name": "envoy.bootstrap.internal_listener", "typed_config": {"@type": internal}}
            ],
            "dynamic_resources": {
                "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]},
                "cds_config": ads, "lds_config": ads,
            },
            "static_resources": {"clusters": clusters},
        })
    }
}

/// A gRPC server on this machine, as a cluster.
pub(crate) fn cluster(name: &str, address: SocketAddr) -> Value {
    let socket = json!({"address": address.ip().to_string(), "port_value": address.port()});
    let protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "typed_extension_protocol_options": {protocol: {
            "@type": format!("type.googleapis.com/{protocol}"),
            "explicit_http_config": {"http2_protocol_options": {}},
        }},
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": {"socket_address": socket}}}]}]},
    })
}

/// A running Envoy.
pub(crate) struct Proxy {
    pub(crate) admin: SocketAddr,
    process: Process,
}

impl Proxy {
    /// Starts it; it has its first configuration when this returns.
    pub(crate) async fn start(workload: &Workload, plane: &Plane) -> Self {
        Self::of(&workload.bootstrap(plane), workload.name).await
    }

    /// Starts an Envoy with this bootstrap.
    pub(crate) async fn of(bootstrap: &Value, name: &str) -> Self {
        let directory = scratch(name);
        let [config, admin] = ["envoy.json", "admin"].map(|file| directory.join(file));
        std::fs::write(&config, bootstrap.to_string()).unwrap();
        let mut command = Command::new(binary());
        command.arg("-c").arg(&config).arg("--admin-address-path").arg(&admin);
        command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"]);
        let process = Process::start(command, &directory.join("envoy.log"));
        let admin = until("Envoy names its admin port", async || {
            assert!(process.ended().is_none(), "Envoy ended:\n{}", process.said());
            std::fs::read_to_string(&admin).ok()?.parse().ok()
        })
        .await;
        let proxy = Self { admin, process };
        until(&format!("the proxy {name} is ready:\n{}", proxy.process.said()), async || {
            (text(admin, "/ready").await? == "LIVE\n").then_some(())
        })
        .await;
        proxy
    }

    /// Nothing that istiod sent was refused: a refused update leaves the one before it in force.
    pub(crate) async fn accepted_everything(&self) {
        for kind in ["listener_manager.lds", "cluster_manager.cds"] {
            let name = format!("{kind}.update_rejected");
            let page = text(self.admin, &format!("/stats?filter={name}")).await.unwrap();
            assert_eq!(page.trim_end(), format!("{name}: 0"), "{}", self.process.said());
        }
    }

    /// What it was told, as `entrance doctor` reads it.
    pub(crate) async fn dump(&self) -> Value {
        serde_json::from_str(&text(self.admin, "/config_dump").await.unwrap()).unwrap()
    }
}
