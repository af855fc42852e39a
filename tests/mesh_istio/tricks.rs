//! `entrance bypass` against an edge that istiod configures, with and without the hardening.

use serde_json::json;

use crate::children::until;
use crate::edge::Edge;
use crate::modes::kind;
use crate::plane::documents;
use crate::private_network::inside;
use crate::raw_http::{Ask, http1};
use crate::suite::{Tokens, Verdict, verdict};
use crate::upstreams::{Kind, Server};
use crate::world::World;

/// Leads the edge to a server on this machine.
async fn before(edge: &Edge, (name, server): (&str, &Server)) {
    let plane = &World::shared().await.plane;
    let host = format!("{name}.shop.internal");
    let service = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "hosts": [host], "location": "MESH_INTERNAL", "resolution": "STATIC",
            "ports": [{"name": "http", "number": 80, "targetPort": server.address.port(), "protocol": "HTTP"}],
            "endpoints": [{"address": "127.0.0.1"}],
        },
    });
    let mut route = kind(&mut documents("examples/istio/ingress.yaml"), "VirtualService").clone();
    route["metadata"]["namespace"] = json!("tricks");
    route["spec"]["hosts"] = json!(["*"]);
    route["spec"]["http"][0]["route"][0]["destination"]["host"] = json!(host);
    plane.apply_all(&[service, route]).await;
    edge.proxy.sees(&format!("outbound|80||{host}")).await;
    until("the server answers through the edge", async || {
        let ask = Ask::get(crate::HOST, "/");
        (http1(edge.address, &ask).await.status == 200).then_some(())
    })
    .await;
}

fn clean(what: &str, run: &Verdict) {
    assert_eq!(run.caught(), Vec::<&str>::new(), "{what}: {:#}", run.told["findings"]);
    assert_eq!(run.code, 0, "{what}: {:#}", run.told);
    for family in run.told["families"].as_object().unwrap().keys() {
        assert!(run.count(family, "sent") > 0, "{what}: {family} sent nothing");
    }
}

/// One server reads paths as browsers do, the other believes in underscores.
#[test]
fn nothing_gets_past_entrance_behind_istio() {
    inside(async || {
        let world = World::shared().await;
        let _alone = world.running.write().await;
        world.plane.apply_all(&documents("tests/cases/envoy_policies.yaml")).await;
        let tokens = Tokens::of(&world.emulator);
        let edge = Edge::new("tricks", |policy| policy["spec"]["provider"]["name"] = json!("patient")).await;
        let node = Server::start(Kind::Node).await;
        before(&edge, ("node", &node)).await;
        clean("node", &verdict((edge.address, &node.report()), &tokens, &[]).await);
        let gunicorn = Server::start(Kind::Gunicorn).await;
        before(&edge, ("gunicorn", &gunicorn)).await;
        clean("gunicorn", &verdict((edge.address, &gunicorn.report()), &tokens, &[]).await);
        edge.harden().await;
        edge.proxy.sees("REJECT_REQUEST").await;
        before(&edge, ("gunicorn", &gunicorn)).await;
        clean("gunicorn, hardened", &verdict((edge.address, &gunicorn.report()), &tokens, &[]).await);
    });
}
