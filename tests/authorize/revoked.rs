//! Revocations: tokens that are good by themselves and refused from one moment to the next, remembered or not.

use serde_json::{Value, json};

use crate::scene::{Scene, allow, deny, token};
use crate::token_world::{CLIENT, Draft, NOW, TENANT};

const ORDERS: &str = "orders.example.com";
const STOCK: &str = "stock.example.com";
const OID: &str = "cccccccc-0000-4000-8000-000000000001";
/// When the tests' tokens were issued, seen from [`NOW`].
const ISSUED: i64 = -60;

fn revocation(matches: Value, before: &str) -> Value {
    json!({
        "apiVersion": "entrance.dev/v1alpha1",
        "kind": "TokenRevocation",
        "metadata": {"name": "it", "namespace": "shop"},
        "spec": {"applicationRef": {"name": "orders-api"}, "match": matches, "issuedBefore": before},
    })
}

fn time(offset: i64) -> String {
    jiff::Timestamp::from_second(NOW.plus(offset).0).unwrap().to_string()
}

fn draft() -> Draft {
    let mut draft = Draft::of("U2");
    draft.claims.insert("sid".into(), json!("session-1"));
    draft.claims.insert("uti".into(), json!("token-1"));
    draft
}

#[test]
fn each_kind_refuses_its_own_tokens_at_once_although_they_are_remembered() {
    let token = token(&draft());
    for (ours, others) in [
        (json!({"oid": OID}), json!({"oid": "cccccccc-0000-4000-8000-000000000002"})),
        (json!({"client": CLIENT}), json!({"client": OID})),
        (json!({"tenant": TENANT}), json!({"tenant": OID})),
        (json!({"sid": "session-1"}), json!({"sid": "token-1"})),
        (json!({"uti": "token-1"}), json!({"uti": "session-1"})),
    ] {
        let scene = Scene::new();
        assert_eq!(scene.ask(ORDERS, &token), Some(allow(false)));
        scene.add(revocation(others.clone(), &time(0)));
        assert_eq!(scene.ask(ORDERS, &token), Some(allow(true)), "{others}");
        scene.restore();
        scene.add(revocation(ours.clone(), &time(0)));
        for _ in 0..2 {
            assert_eq!(scene.ask(ORDERS, &token), Some(deny("token_revoked")), "{ours}");
        }
        scene.restore();
        assert_eq!(scene.ask(ORDERS, &token), Some(allow(true)), "taken back");
    }
}

#[test]
fn only_tokens_issued_before_the_moment_are_refused() {
    let token = token(&draft());
    let fraction = time(ISSUED).replace('Z', ".000000001Z");
    for (before, refused) in
        [(time(ISSUED - 1), false), (time(ISSUED), false), (fraction, true), (time(ISSUED + 1), true)]
    {
        let scene = Scene::new();
        scene.add(revocation(json!({"oid": OID}), &before));
        let wanted = if refused { deny("token_revoked") } else { allow(false) };
        assert_eq!(scene.ask(ORDERS, &token), Some(wanted), "{before}");
    }
}

#[test]
fn other_applications_and_anonymous_routes_are_not_concerned() {
    let scene = Scene::new();
    scene.add(revocation(json!({"oid": OID}), &time(0)));
    let mut draft = draft();
    assert_eq!(scene.ask(ORDERS, &token(&draft)), Some(deny("token_revoked")));
    assert_eq!(scene.ask("orders.example.com/healthz", &token(&draft)).unwrap().reason, "anonymous_route");
    draft.claims.insert("aud".into(), json!("aaaaaaaa-0000-4000-8000-000000000002"));
    assert_eq!(scene.ask(STOCK, &token(&draft)), Some(allow(false)));
}

#[test]
fn a_token_that_is_bad_by_itself_says_so_first() {
    let scene = Scene::new();
    scene.add(revocation(json!({"tenant": TENANT}), &time(0)));
    let token = token(&draft());
    scene.clock.forward(2 * 3600);
    assert_eq!(scene.ask(ORDERS, &token), Some(deny("token_expired")));
}

#[test]
fn of_two_moments_for_the_same_the_later_one_counts() {
    let scene = Scene::new();
    scene.add(revocation(json!({"oid": OID}), &time(0)));
    let mut earlier = revocation(json!({"oid": OID}), &time(ISSUED - 10));
    earlier["metadata"]["name"] = json!("earlier");
    scene.add(earlier);
    assert_eq!(scene.ask(ORDERS, &token(&draft())), Some(deny("token_revoked")));
}

#[test]
fn a_broken_one_closes_its_application_until_it_is_mended() {
    let scene = Scene::new();
    let token = token(&draft());
    assert_eq!(scene.ask(ORDERS, &token), Some(allow(false)));
    let fault = scene.add_broken(revocation(json!({"oid": OID, "sid": "x"}), &time(0)));
    assert!(fault.contains("spec.match: must name exactly one of oid, client, tenant, sid, uti"), "{fault}");
    assert!(fault.contains("AccessPolicy shop/orders: spec.applicationRef: refers to EntraApplication"), "{fault}");
    assert!(fault.contains("for which a TokenRevocation is invalid"), "{fault}");
    assert_eq!(scene.ask(ORDERS, &token).unwrap().reason, "policy_invalid");
    scene.restore();
    assert_eq!(scene.ask(ORDERS, &token), Some(allow(true)));
}
