//! The gateway of Entrance within the mesh, as the chart has it: tokens travel to it by mutual TLS, or not at all.

use serde_json::{Value, json};

use crate::edge::Edge;
use crate::helm::{Helm, object, objects};
use crate::private_network::{ADDRESS, inside};
use crate::proxy::{Proxy, Workload};
use crate::raw_http::Ask;
use crate::world::{HOST, World, endpoints};

/// Another Service for it, with a proxy before the Entrance that sidecars of these tests ask.
const NAME: &str = "entrance-meshed";
const PORT: u16 = 9391;

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME, "namespace": "entrance"},
        "spec": {"ports": [{"name": "grpc", "port": 9191, "targetPort": "grpc", "appProtocol": "grpc"}]},
    })
}

/// The port of the gateway's pod, as interception would have it.
fn inbound(labels: &Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
        "metadata": {"name": NAME, "namespace": "entrance"},
        "spec": {
            "workloadSelector": {"labels": labels},
            "ingress": [{"port": {"number": PORT, "name": "grpc", "protocol": "GRPC"}, "bind": ADDRESS,
                "captureMode": "NONE", "defaultEndpoint": "127.0.0.1:9291"}],
            "egress": [{"hosts": ["./nobody.entrance.internal"]}],
        },
    })
}

#[test]
fn tokens_travel_to_the_gateway_of_the_chart_by_mutual_tls_or_not_at_all() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        let chart = objects(&Helm::offline().renders(&["-f", "tests/chart/values/istio.yaml"]));
        let authentication = object(&chart, "PeerAuthentication", "entrance-gateway");
        let labels = &authentication["spec"]["selector"]["matchLabels"];
        let ours = [service(), endpoints(("entrance", NAME), ("grpc", PORT), ADDRESS), inbound(labels)];
        world.plane.apply_all(&ours).await;
        world.plane.apply(authentication).await;
        let workload = Workload::new("sidecar", ("entrance", "entrance-gateway"), labels.clone());
        let proxy = Proxy::start(&workload, &world.plane).await;
        let edge = Edge::new("meshed", |policy| policy["spec"]["provider"]["name"] = json!("meshed")).await;
        // Without the rule the proxy of the edge would send them in clear.
        assert_eq!(edge.ask(&world.allowed()).await, "503");
        assert_eq!(world.ask(format!("{ADDRESS}:{PORT}").parse().unwrap(), &world.allowed()).await, "closed");
        let in_clear = async || edge.proxy.doctor().await.iter().any(|found| found.starts_with("cluster-plaintext"));
        assert!(in_clear().await);
        let mut rule = object(&chart, "DestinationRule", "entrance-gateway").clone();
        rule["metadata"]["name"] = json!(NAME);
        rule["spec"]["host"] = json!(format!("{NAME}.entrance.svc.cluster.local"));
        world.plane.apply(&rule).await;
        let at = ("an edge that asks by mutual TLS", edge.address);
        world.becomes(at, &world.allowed(), "200").await;
        assert_eq!(edge.ask(&Ask::get(HOST, "/orders/7")).await, "401 token_missing");
        assert!(!in_clear().await);
        proxy.accepted_everything().await;
    });
}
