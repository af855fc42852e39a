//! Proxies that ask somebody else: what is done for Entrance leaves them alone.

use serde_json::json;

use crate::edge::Edge;
use crate::permissive::permissive;
use crate::plane::documents;
use crate::private_network::inside;
use crate::raw_http::{Ask, Wire, probe};
use crate::world::{HOST, World};

/// A permit like that of oauth2-proxy: it says who asks, and the proxy passes that on.
const PERMIT: &[u8] = b"HTTP/1.1 200 OK\r\nx-auth-user: alice\r\ncontent-length: 0\r\n\r\n";

/// A name of the mesh for it, in the place of a Service.
async fn known(port: u16) {
    let service = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "others", "namespace": "shop"},
        "spec": {
            "hosts": ["others.internal"], "location": "MESH_INTERNAL", "resolution": "STATIC",
            "ports": [{"name": "http", "number": 80, "targetPort": port, "protocol": "HTTP"}],
            "endpoints": [{"address": "127.0.0.1"}],
        },
    });
    World::shared().await.plane.apply(&service).await;
}

/// The API sees whom the other authorizer names, not whom the client names; the rest of the request is as it came.
async fn passes_on(edge: &Edge) {
    let ask = Ask::get(HOST, "/orders%2F7").header("x-auth-user", "root").header("x_team", "shop");
    let ask = Ask { probe: probe(), ..ask };
    let answer = Wire::connect(edge.address).await.send(&ask.bytes()).await.unwrap();
    assert_eq!(answer.outcome(), "200");
    let received = World::shared().await.upstream.received(&ask.probe);
    let [request] = &received[..] else { panic!("{received:?}") };
    assert_eq!(request.values("x-auth-user"), ["alice"], "{request:?}");
    assert_eq!(request.values("x_team"), ["shop"], "{request:?}");
}

/// Rules about what an authorizer may change are merged into every check of a proxy, whoever is asked.
#[test]
fn the_hardening_leaves_alone_who_asks_another_authorizer() {
    inside(async || {
        let world = World::shared().await;
        let _alone = world.running.write().await;
        known(permissive(PERMIT).await).await;
        let edge = Edge::new("others", |policy| policy["spec"]["provider"]["name"] = json!("others")).await;
        passes_on(&edge).await;
        let hardening = documents("examples/istio/hardening.yaml");
        world.plane.apply_all(&hardening).await;
        let ours = world.modes.iter().find(|mode| mode.name == "Gateway and VirtualService").unwrap();
        world.becomes(ours.at(), &Ask::get(HOST, "/healthz").header("x_team", "shop"), "400").await;
        edge.settle().await;
        passes_on(&edge).await;
        for object in &hardening {
            world.plane.delete(object).await;
        }
    });
}
