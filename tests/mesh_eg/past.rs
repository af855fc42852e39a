//! The bypass suite against the Envoy that Envoy Gateway configures: as the example has it, and with paths as they are unless
//! somebody says otherwise.

use entrance::files::yaml;
use serde_json::Value;

use super::children::until;
use super::plane::read;
use super::private_network::{ADDRESS, inside};
use super::raw_http::{Ask, http1};
use super::relay::Relay;
use super::scene::Scene;
use super::suite::{Tokens, verdict};
use super::upstreams::{Kind, Server};

/// Rules in which what is not protected is open.
const POLICIES: &str = include_str!("../cases/envoy_policies.yaml");

/// A Gateway that protects, and behind it a server that reads paths as browsers do.
async fn before(scene: &Scene, server: &Server) -> Relay {
    for document in yaml::parse(POLICIES.as_bytes()).unwrap() {
        scene.apply(document.body).await;
    }
    // an address of the pod's network instead of loopback
    let relay = Relay::on(ADDRESS, server.address).await;
    scene.service(("shop", "orders", 8000), relay.address).await;
    scene.ship("gateway.yaml").await;
    scene.ship("service.yaml").await;
    scene.route_every_host().await;
    scene.start().await;
    relay
}

/// Waits until a request to a path is answered so.
async fn answers(scene: &Scene, path: &str, status: u16) {
    until("Envoy is as it should be", async || {
        tokio::net::TcpStream::connect(scene.proxy().address).await.ok()?;
        (http1(scene.proxy().address, &Ask::get(crate::HOST, path)).await.status == status).then_some(())
    })
    .await;
}

#[test]
fn nothing_gets_past_entrance_behind_envoy_gateway() {
    inside(async || {
        let scene = Scene::new("past").await;
        let _entrance = scene.entrance().await;
        let server = Server::start(Kind::Node).await;
        let _relay = before(&scene, &server).await;
        answers(&scene, "/admin/users", 401).await;
        answers(&scene, "/public/hello", 200).await;
        let tokens = Tokens::of(&scene.plane.emulator);
        for (slashes, status) in [("refused", 400), ("resolved by a redirect", 307)] {
            answers(&scene, "/public%2Fhello", status).await;
            let run = verdict((scene.proxy().address, &server.report()), &tokens, &[]).await;
            let families = run.told["families"].as_object().unwrap();
            assert!(families.keys().all(|family| run.count(family, "sent") > 0), "{families:?}");
            assert_eq!(run.caught(), Vec::<&str>::new(), "slashes {slashes}: {:#}", run.told["findings"]);
            assert_eq!(run.code, 0, "slashes {slashes}");
            if status == 400 {
                let slashes = |object: &Value| object["kind"] == "ClientTrafficPolicy";
                scene.delete(read("gateway.yaml").into_iter().find(slashes).unwrap()).await;
            }
        }
    });
}
