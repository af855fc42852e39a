//! The requests that every proxy gets, through the Envoy that Envoy Gateway configures: a column of docs/integrations.md.

use entrance::emulator::MintRequest;
use entrance::files::yaml;

use super::children::scratch;
use super::private_network::inside;
use super::raw_http::Ask;
use super::same_requests::{POLICIES, Way};
use super::scene::Scene;

#[test]
fn the_same_requests_have_the_same_outcome_behind_envoy_gateway() {
    inside(async || {
        let scene = Scene::new("requests").await;
        let audit = scratch("audit").join("audit.log");
        let entrance = scene.entrance_with(&["--audit", &format!("file:{}", audit.display())]).await;
        let policies = POLICIES.replace("http://127.0.0.1:8080", scene.plane.emulator.base_url());
        for document in yaml::parse(policies.as_bytes()).unwrap() {
            scene.apply(document.body).await;
        }
        scene.ship("gateway.yaml").await;
        scene.ship("service.yaml").await;
        scene.route_every_host().await;
        scene.start().await;
        scene.becomes(&scene.read().bearer(&scene.token("bob")), "200").await;
        // watched apart from policies: the grant and the revocation
        let with = |claim: &str, value: &str| {
            let set_claims = [(claim.to_owned(), value.into())].into_iter().collect();
            scene.minted(MintRequest { user: Some("eve".into()), set_claims, ..MintRequest::default() })
        };
        let create = Ask::new("POST", "same.example.com", "/orders").header("content-length", "0");
        let lent = create.bearer(&with("oid", "cccccccc-0000-4000-8000-0000000000aa"));
        let revoked = Ask::get("same.example.com", "/orders").bearer(&with("sid", "stolen-session"));
        scene.becomes(&lent, "200").await;
        scene.becomes(&revoked, "401 token_revoked").await;
        let way = Way {
            address: scene.proxy().address,
            upstream: &scene.upstream,
            audit: &audit,
            emulator: &scene.plane.emulator,
        };
        let column = way.walk().await;
        drop(entrance);
        assert_eq!(way.open_doors().await, Vec::<String>::new());
        column.settles("envoy-gateway");
    });
}
