//! What a decision carries, and which world it is made by.

use std::sync::Arc;

use entrance::authorize::Authorizer;
use entrance::authorize::ports::{Decide as _, Keys};
use entrance::reason::ReasonCode;
use serde_json::json;

use crate::scene::{Scene, Sent, allow, answer, token, unavailable};
use crate::token_world::{Draft, TENANT};

const ORDERS: &str = "orders.example.com";

#[test]
fn before_the_first_world_nothing_is_decided() {
    let scene = Scene::new();
    let keys = Arc::clone(&scene.shelf) as Arc<dyn Keys>;
    let clock = Arc::clone(&scene.clock) as Arc<dyn entrance::clock::Clock>;
    let authorizer = Authorizer::with_keys(keys, 10, clock);
    let sent = Sent::new(ORDERS, &token(&Draft::of("U2")));
    let decision = authorizer.try_decide(&sent.request()).unwrap_or_else(|_| panic!("no keys are needed to say no"));
    assert_eq!(answer(&decision), unavailable("policy_unavailable"));
    assert_eq!(decision.generation, 0);
    assert_eq!(answer(&authorizer.refuse(ReasonCode::RequestMalformed)).reason, "request_malformed");
}

#[tokio::test]
async fn a_decision_names_its_world_its_caller_and_what_a_challenge_may_say() {
    let scene = Scene::new();
    let decision = scene.decide(ORDERS, &token(&Draft::of("U2"))).await;
    assert_eq!((answer(&decision), decision.generation), (allow(false), 1));
    let authenticated = decision.authenticated.unwrap();
    assert_eq!(&*authenticated.application.0, "shop/orders-api");
    assert_eq!(authenticated.caller.tenant.to_string(), TENANT);
    let challenge = decision.challenge.unwrap();
    assert_eq!(challenge.tenant.unwrap().to_string(), TENANT);
    assert_eq!(
        (&*challenge.client_id, &*challenge.scope_prefix),
        ("aaaaaaaa-0000-4000-8000-000000000001", "api://orders")
    );
    scene.publish();
    let refused = scene.decide(ORDERS, "rubbish").await;
    assert_eq!((answer(&refused).reason, refused.generation), ("token_malformed", 2));
    assert_eq!((refused.rejection, refused.authenticated.is_none()), (Some(ReasonCode::TokenMalformed), true));
    assert!(refused.token_detail.is_some());
}

#[tokio::test]
async fn an_application_of_several_tenants_sends_users_to_the_common_endpoint() {
    let scene = Scene::new();
    let tenants = [TENANT, "22222222-2222-4222-8222-222222222222"].map(|id| json!({ "id": id }));
    scene.set("/applications/0/spec/tenants", json!(tenants));
    let challenge = scene.decide(ORDERS, "rubbish").await.challenge.unwrap();
    assert_eq!(challenge.tenant, None);
    assert_eq!(&*challenge.authorization_uri, "https://login.microsoftonline.com/common/oauth2/v2.0/authorize");
}

#[tokio::test]
async fn a_shadow_policy_sees_the_token_for_its_own_application() {
    let scene = Scene::new();
    let orders = scene.decide(ORDERS, &token(&Draft::of("U2"))).await;
    let shadow = orders.shadow.unwrap();
    assert_eq!((shadow.outcome, shadow.reason), ("deny", "audience_mismatch"));
    assert_eq!(shadow.policy.unwrap().to_string(), "shop/orders-next");
    let mut draft = Draft::of("U2");
    draft.claims.insert("aud".into(), json!("aaaaaaaa-0000-4000-8000-000000000002"));
    let stock = scene.decide(ORDERS, &token(&draft)).await;
    assert_eq!(answer(&stock).reason, "audience_mismatch");
    assert!(stock.authenticated.is_none(), "verified for the shadow only");
    assert_eq!(stock.shadow.unwrap().reason, "allow_entry_matched");
}

#[tokio::test]
async fn where_only_shadow_policies_stand_the_caller_is_recorded() {
    let scene = Scene::new();
    let mut draft = Draft::of("U2");
    draft.claims.insert("aud".into(), json!("aaaaaaaa-0000-4000-8000-000000000002"));
    let decision = scene.decide("shadow.example.com", &token(&draft)).await;
    assert_eq!(answer(&decision).reason, "shadow_only");
    assert_eq!(&*decision.authenticated.unwrap().application.0, "shop/stock-api");
    let refused = scene.decide("shadow.example.com", "rubbish").await;
    assert_eq!((answer(&refused).reason, refused.rejection), ("shadow_only", Some(ReasonCode::TokenMalformed)));
}
