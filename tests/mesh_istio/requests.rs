//! The requests that every proxy gets, through the Envoy that istiod configures by `examples/istio`: a column of
//! docs/integrations.md.

use entrance::files::yaml;
use serde_json::json;

use crate::edge::Edge;
use crate::plane::documents;
use crate::private_network::inside;
use crate::raw_http::Ask;
use crate::same_requests::{POLICIES, Way, differences};
use crate::world::World;

#[test]
fn the_same_requests_have_the_same_outcome_behind_istio() {
    inside(async || {
        let world = World::shared().await;
        let _alone = world.running.write().await;
        let policies = POLICIES.replace("http://127.0.0.1:8080", world.emulator.base_url());
        for document in yaml::parse(policies.as_bytes()).unwrap() {
            world.plane.apply(&document.body).await;
        }
        let hardening = documents("examples/istio/hardening.yaml");
        world.plane.apply_all(&hardening).await;
        let edge = Edge::new("requests", |_| {}).await;
        edge.harden().await;
        // Watched apart from policies: the grant and the revocation.
        let eve = |claims| world.token(json!({"user": "eve", "set_claims": claims}));
        let create = Ask::new("POST", "same.example.com", "/orders").header("content-length", "0");
        let lent = create.bearer(&eve(json!({"oid": "cccccccc-0000-4000-8000-0000000000aa"})));
        let revoked = Ask::get("same.example.com", "/orders").bearer(&eve(json!({"sid": "stolen-session"})));
        world.becomes(("a grant", edge.address), &lent, "200").await;
        world.becomes(("a revocation", edge.address), &revoked, "401 token_revoked").await;
        let way =
            Way { address: edge.address, upstream: &world.upstream, audit: &world.audit, emulator: &world.emulator };
        let column = way.walk().await;
        // A waypoint asks the same Entrance.
        let waypoint = world.modes.iter().find(|mode| mode.name == "ambient waypoint").unwrap();
        let through = Way { address: waypoint.address, ..way };
        // istiod tells each proxy by itself
        let escaped = Ask::get("same.example.com", "/orders%2F7");
        world.becomes(("the hardening", waypoint.address), &escaped, "400").await;
        let faults = through.walk().await.faults(&differences(&["istio", "envoy"]));
        assert!(faults.is_empty(), "ambient waypoint:\n{}", faults.join("\n"));
        world.stop().await;
        for way in [&way, &through] {
            assert_eq!(way.open_doors().await, Vec::<String>::new());
        }
        world.resume().await;
        for object in &hardening {
            world.plane.delete(object).await;
        }
        column.settles("istio");
    });
}
