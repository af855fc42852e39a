//! What is done when a token names a key that is not on the shelf: who may cause a question, and how long it is waited for.

use std::sync::atomic::Ordering;
use std::time::Duration;

use entrance::authorize::ports::Decide as _;
use entrance::clock::Stopwatch;
use entrance::token::Version;
use futures_util::future::join_all;
use serde_json::json;

use crate::scene::{Scene, Sent, allow, answer, authority, authority_of, deny, own_key, token, unavailable};
use crate::signer::TestKey;
use crate::token_world::{Draft, KEY};

const ORDERS: &str = "orders.example.com";

fn others() -> serde_json::Value {
    json!([TestKey::new("k2").jwk()])
}

#[tokio::test]
async fn a_key_that_appears_is_waited_for() {
    let token = token(&Draft::of("U2"));
    for scene in [Scene::new(), Scene::without_keys(10)] {
        scene.shelf.clear();
        assert_eq!(scene.ask(ORDERS, &token), None);
        scene.shelf.bring(authority(&own_key()));
        assert_eq!(scene.answer(ORDERS, &token).await, allow(false));
        assert_eq!(scene.answer(ORDERS, &token).await, allow(true));
        assert_eq!(scene.shelf.asked(), 1);
    }
}

#[tokio::test]
async fn a_key_that_does_not_appear_is_unknown_or_none_is_available() {
    let token = token(&Draft::of("U2"));
    let scene = Scene::without_keys(10);
    assert_eq!(scene.answer(ORDERS, &token).await, unavailable("keys_unavailable"));
    scene.shelf.put(authority(&others()));
    assert_eq!(scene.answer(ORDERS, &token).await, deny("kid_unknown"));
    assert_eq!(scene.shelf.asked(), 2);
}

#[tokio::test]
async fn an_unknown_key_is_no_fault_of_the_token_while_its_source_fails() {
    let (scene, token) = (Scene::without_keys(10), token(&Draft::of("U2")));
    scene.shelf.put(authority(&others()));
    scene.shelf.fails.store(true, Ordering::SeqCst);
    assert_eq!(scene.answer(ORDERS, &token).await, unavailable("keys_unavailable"));
    scene.shelf.fails.store(false, Ordering::SeqCst);
    assert_eq!(scene.answer(ORDERS, &token).await, deny("kid_unknown"));
    // A key that is known needs nobody who answers.
    scene.shelf.put(authority(&own_key()));
    scene.shelf.fails.store(true, Ordering::SeqCst);
    assert_eq!(scene.answer(ORDERS, &token).await, allow(false));
    // What is wrong with a token by a key that is known stays wrong.
    scene.shelf.put(authority(&json!([TestKey::new(KEY.kid).jwk()])));
    assert_eq!(scene.answer(ORDERS, &token).await, deny("signature_invalid"));
}

#[tokio::test]
async fn nobody_waits_longer_than_two_seconds_or_than_the_caller_does() {
    let token = token(&Draft::of("U2"));
    let scene = Scene::without_keys(10);
    scene.shelf.silent.store(true, Ordering::SeqCst);
    // less than the next longer wait, which is all that a busy machine leaves to be told
    let waits = [(None, 2000..60_000), (Some(60_000), 2000..60_000), (Some(300), 300..2000)];
    let waits = waits.map(|(patience, expected)| {
        let (scene, sent) = (&scene, Sent::new(ORDERS, &token));
        async move {
            let pending = scene.authorizer.try_decide(&sent.request()).err().unwrap();
            let watch = Stopwatch::start();
            let decided = scene.authorizer.resume(sent.request(), pending, patience.map(Duration::from_millis)).await;
            assert_eq!(answer(&decided), unavailable("keys_unavailable"));
            let waited = watch.elapsed().as_millis();
            assert!(expected.contains(&waited), "{waited} ms instead of {expected:?}");
        }
    });
    join_all(waits).await;
}

/// A token that can never be accepted is refused at once, whatever keys may come.
#[tokio::test]
async fn a_token_of_a_foreign_issuer_or_tenant_causes_no_question() {
    for (name, value, reason) in [
        ("iss", "https://login.microsoftonline.com/22222222-2222-4222-8222-222222222222/v2.0", "issuer_mismatch"),
        ("iss", "https://login.microsoftonline.com/{tenantid}/v2.0", "issuer_mismatch"),
        ("iss", "https://evil.example/11111111-1111-4111-8111-111111111111/v2.0", "issuer_mismatch"),
        ("iss", "https://sts.windows.net/11111111-1111-4111-8111-111111111111/", "version_mismatch"),
        ("tid", "22222222-2222-4222-8222-222222222222", "tenant_not_allowed"),
        ("ver", "3.0", "version_unsupported"),
    ] {
        let mut draft = Draft::of("U2");
        draft.claims.insert(name.into(), json!(value));
        let token = token(&draft);
        let scene = Scene::without_keys(10);
        assert_eq!(scene.ask(ORDERS, &token), Some(deny(reason)), "{value}, no keys yet");
        scene.shelf.put(authority(&others()));
        assert_eq!(scene.ask(ORDERS, &token), Some(deny(reason)), "{value}, other keys");
        assert_eq!(scene.shelf.asked(), 0);
    }
}

/// External ID and B2C publish issuers of several forms: before the metadata came, any of the authority's own hosts may be.
#[tokio::test]
async fn a_custom_authority_is_asked_for_tokens_of_its_own_hosts_only() {
    let scene = Scene::without_keys(10);
    scene.set("/applications/0/spec/authority", json!("https://contoso.ciamlogin.com/contoso.onmicrosoft.com"));
    for (issuer, asks) in [
        ("https://11111111-1111-4111-8111-111111111111.ciamlogin.com/11111111-1111-4111-8111-111111111111/v2.0", true),
        ("https://contoso.ciamlogin.com/tfp/11111111-1111-4111-8111-111111111111/x/v2.0/", true),
        ("https://contoso.ciamlogin.com/22222222-2222-4222-8222-222222222222/v2.0", false),
        ("https://contoso.ciamlogin.com/{tenantid}/v2.0", false),
        ("https://login.microsoftonline.com/11111111-1111-4111-8111-111111111111/v2.0", false),
    ] {
        let mut draft = Draft::of("U2");
        draft.claims.insert("iss".into(), json!(issuer));
        let expected = if asks { None } else { Some(deny("issuer_mismatch")) };
        assert_eq!(scene.ask(ORDERS, &token(&draft)), expected, "{issuer}");
    }
}

#[tokio::test]
async fn a_user_flow_is_asked_for_its_own_tokens_only() {
    let scene = Scene::without_keys(10);
    scene.set("/applications/0/spec/authority", json!("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_in"));
    for (flow, expected) in [("B2C_1_IN", None), ("B2C_1_reset", Some(deny("issuer_mismatch")))] {
        let mut draft = Draft::of("U2");
        draft.claims.insert("tfp".into(), json!(flow));
        draft.claims.insert("iss".into(), json!("https://c.b2clogin.com/11111111-1111-4111-8111-111111111111/v2.0/"));
        assert_eq!(scene.ask(ORDERS, &token(&draft)), expected, "{flow}");
    }
}

#[test]
fn without_an_issuer_of_the_other_version_a_foreign_issuer_is_just_foreign() {
    let mut draft = Draft::of("U2");
    draft.claims.insert("iss".into(), json!("https://sts.windows.net/11111111-1111-4111-8111-111111111111/"));
    let scene = Scene::new();
    let mut alone = authority(&own_key());
    alone.other_version = None;
    scene.shelf.put(alone);
    assert_eq!(scene.ask(ORDERS, &token(&draft)), Some(deny("issuer_mismatch")));
}

#[tokio::test]
async fn only_a_rule_that_decides_causes_questions() {
    let mut draft = Draft::of("U2");
    draft.claims.insert("aud".into(), json!("aaaaaaaa-0000-4000-8000-000000000002"));
    let token = token(&draft);
    let scene = Scene::without_keys(10);
    let decision = scene.decide("shadow.example.com", &token).await;
    assert_eq!(answer(&decision).reason, "shadow_only");
    let shadow = decision.shadow.unwrap();
    assert_eq!((shadow.outcome, shadow.reason), ("unavailable", "keys_unavailable"));
    assert_eq!(scene.shelf.asked(), 0);
}

#[tokio::test]
async fn an_anonymous_route_looks_at_no_token() {
    let scene = Scene::without_keys(10);
    let decision = scene.decide("orders.example.com/healthz", &token(&Draft::of("U2"))).await;
    assert_eq!(answer(&decision).reason, "anonymous_route");
    assert!(decision.authenticated.is_none() && decision.rejection.is_none());
    assert_eq!(scene.shelf.asked(), 0);
}

#[tokio::test]
async fn each_version_has_keys_of_its_own() {
    let scene = Scene::without_keys(10);
    scene.shelf.put(authority(&own_key()));
    let old = token(&Draft::of("U1"));
    assert_eq!(scene.ask(ORDERS, &old), None);
    scene.shelf.put_for(Version::V1, authority_of(Version::V1, &own_key()));
    assert_eq!(scene.ask(ORDERS, &old), Some(allow(false)));
}
