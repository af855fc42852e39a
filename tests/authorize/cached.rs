//! A remembered token is worth what a fresh one is, for one application, while its key, its issuer and its profile are
//! what they were.

use entrance::clock::UnixTime;
use entrance::token::{IssuerTemplate, KeySet, Version};
use serde_json::{Value, json};

use crate::scene::{Scene, allow, authority, authority_of, deny, own_key, token, unavailable};
use crate::signer::TestKey;
use crate::token_world::{CLIENT, Draft, KEY};

const ORDERS: &str = "orders.example.com";
const STOCK: &str = "stock.example.com";

fn with(name: &str, value: Value) -> Value {
    let mut key = KEY.jwk();
    key[name] = value;
    json!([key])
}

#[test]
fn a_token_is_verified_once() {
    let scene = Scene::new();
    for base in ["U2", "A2", "U1"] {
        let token = token(&Draft::of(base));
        assert_eq!(scene.ask(ORDERS, &token), Some(allow(false)), "{base}");
        assert_eq!(scene.ask(ORDERS, &token), Some(allow(true)), "{base}");
    }
    assert_eq!(scene.authorizer.remembered(), 3);
}

#[test]
fn a_token_verified_for_one_application_says_nothing_about_another() {
    let scene = Scene::new();
    let orders = token(&Draft::of("U2"));
    assert_eq!(scene.ask(ORDERS, &orders), Some(allow(false)));
    for _ in 0..2 {
        assert_eq!(scene.ask(STOCK, &orders), Some(deny("audience_mismatch")));
    }
    let mut draft = Draft::of("U2");
    draft.claims.insert("aud".into(), json!("aaaaaaaa-0000-4000-8000-000000000002"));
    let stock = token(&draft);
    assert_eq!(scene.ask(STOCK, &stock), Some(allow(false)));
    assert_eq!(scene.ask(STOCK, &stock), Some(allow(true)));
    assert_eq!(scene.ask(ORDERS, &stock), Some(deny("audience_mismatch")));
    assert_eq!(scene.ask(ORDERS, &orders), Some(allow(true)));
}

#[test]
fn another_token_is_another_token() {
    let scene = Scene::new();
    let good = token(&Draft::of("U2"));
    assert_eq!(scene.ask(ORDERS, &good), Some(allow(false)));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    assert!(!scene.ask(ORDERS, &forged).unwrap().cached);
    assert_ne!(scene.ask(ORDERS, &forged), Some(allow(false)));
    assert_eq!(scene.ask(ORDERS, &good), Some(allow(true)));
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_key() {
    let token = token(&Draft::of("U2"));
    let other = TestKey::new("k2");
    let same_id = TestKey::new(KEY.kid);
    for (keys, expected) in [
        (json!([other.jwk()]), deny("kid_unknown")),
        (json!([same_id.jwk()]), deny("signature_invalid")),
        (
            with("issuer", json!("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0")),
            deny("key_issuer_mismatch"),
        ),
        (with("cloud_instance_name", json!("microsoftonline.us")), deny("key_issuer_mismatch")),
    ] {
        let scene = Scene::new();
        assert_eq!(scene.ask(ORDERS, &token), Some(allow(false)));
        assert_eq!(scene.ask(ORDERS, &token), Some(allow(true)));
        scene.shelf.put(authority(&keys));
        for _ in 0..2 {
            assert_eq!(scene.answer(ORDERS, &token).await, expected);
        }
        scene.shelf.put(authority(&own_key()));
        assert_eq!(scene.answer(ORDERS, &token).await.reason, "allow_entry_matched");
    }
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_issuer() {
    let token = token(&Draft::of("U2"));
    let scene = Scene::new();
    assert_eq!(scene.ask(ORDERS, &token), Some(allow(false)));
    let mut moved = authority(&own_key());
    moved.issuer = IssuerTemplate::new("https://login.example/{tenantid}/v2.0");
    scene.shelf.put(moved);
    assert_eq!(scene.answer(ORDERS, &token).await, deny("issuer_mismatch"));
    let mut other_cloud = authority(&with("cloud_instance_name", json!("microsoftonline.com")));
    scene.shelf.put(other_cloud.clone());
    assert_eq!(scene.answer(ORDERS, &token).await, allow(false));
    other_cloud.cloud_instance = Some("microsoftonline.us".into());
    scene.shelf.put(other_cloud);
    assert_eq!(scene.answer(ORDERS, &token).await, deny("key_issuer_mismatch"));
}

#[tokio::test]
async fn a_remembered_token_ends_when_its_key_does() {
    let token = token(&Draft::of("U2"));
    let scene = Scene::new();
    let fresh = authority(&own_key());
    let mut ending = fresh.clone();
    let until = UnixTime(scene.now().0.saturating_add(10));
    ending.keys = KeySet::new(fresh.keys.iter().map(|(kid, key)| {
        let mut key = key.clone();
        key.valid_until = until;
        (kid.into(), key)
    }));
    scene.shelf.put(ending);
    assert_eq!(scene.ask(ORDERS, &token), Some(allow(false)));
    scene.clock.forward(9);
    assert_eq!(scene.ask(ORDERS, &token), Some(allow(true)));
    scene.clock.forward(1);
    assert_eq!(scene.answer(ORDERS, &token).await, unavailable("keys_unavailable"));
    scene.shelf.clear();
    assert_eq!(scene.answer(ORDERS, &token).await, unavailable("keys_unavailable"));
}

#[test]
fn a_remembered_token_ends_at_its_time() {
    let token = token(&Draft::of("U2"));
    let scene = Scene::new();
    assert_eq!(scene.ask(ORDERS, &token), Some(allow(false)));
    scene.clock.forward(3600 + 59);
    assert_eq!(scene.ask(ORDERS, &token), Some(allow(true)));
    scene.clock.forward(1);
    assert_eq!(scene.ask(ORDERS, &token), Some(deny("token_expired")));
    scene.clock.forward(-3600 - 181);
    assert_eq!(scene.ask(ORDERS, &token), Some(deny("token_not_yet_valid")));
}

#[test]
fn a_remembered_token_ends_with_the_profile_it_was_verified_by() {
    let token = token(&Draft::of("U2"));
    let scene = Scene::new();
    assert_eq!(scene.ask(ORDERS, &token), Some(allow(false)));
    scene.publish();
    assert_eq!(scene.ask(ORDERS, &token), Some(allow(true)), "nothing changed");
    scene.set("/applications/0/spec/allowedClients", json!(["bbbbbbbb-0000-4000-8000-000000000009"]));
    assert_eq!(scene.ask(ORDERS, &token), Some(deny("client_not_allowed")));
    scene.set("/applications/0/spec/allowedClients", json!([CLIENT]));
    assert_eq!(scene.ask(ORDERS, &token), Some(allow(false)));
    scene.set("/applications/0/spec/tenants", json!([{"id": "22222222-2222-4222-8222-222222222222"}]));
    assert_eq!(scene.ask(ORDERS, &token), Some(deny("tenant_not_allowed")));
    scene.set("/applications/0/spec/tenants", json!([{"id": "11111111-1111-4111-8111-111111111111"}]));
    assert_eq!(scene.ask(ORDERS, &token), Some(allow(false)));
    scene.set("/applications/0/spec/tokenVersions", json!(["V1"]));
    assert_eq!(scene.ask(ORDERS, &token), Some(deny("version_unsupported")));
}

#[tokio::test]
async fn keys_of_one_version_say_nothing_about_tokens_of_the_other() {
    let token = token(&Draft::of("U1"));
    let scene = Scene::new();
    assert_eq!(scene.ask(ORDERS, &token), Some(allow(false)));
    let other = TestKey::new("k2");
    scene.shelf.put_for(Version::V1, authority_of(Version::V1, &json!([other.jwk()])));
    assert_eq!(scene.answer(ORDERS, &token).await, deny("kid_unknown"));
}

#[test]
fn no_more_tokens_are_remembered_than_fit() {
    let scene = Scene::without_keys(20);
    scene.shelf.put(authority(&own_key()));
    let tokens: Vec<String> = (0..60)
        .map(|number| {
            let mut draft = Draft::of("U2");
            draft.claims.insert("uti".into(), json!(number.to_string()));
            token(&draft)
        })
        .collect();
    let constant = &tokens[0];
    for token in &tokens {
        assert_eq!(scene.ask(ORDERS, token).unwrap().reason, "allow_entry_matched");
        assert_eq!(scene.ask(ORDERS, token), Some(allow(true)), "just remembered");
        assert_eq!(scene.ask(ORDERS, constant), Some(allow(true)), "what is used stays");
        assert!(scene.authorizer.remembered() <= 22, "{}", scene.authorizer.remembered());
    }
    assert_eq!(scene.ask(ORDERS, &tokens[1]), Some(allow(false)), "what is not used goes");
}

#[test]
fn what_was_refused_is_not_remembered() {
    let scene = Scene::new();
    for change in [("aud", json!("x")), ("exp", json!(1)), ("idtyp", json!("device"))] {
        let mut draft = Draft::of("U2");
        draft.claims.insert(change.0.into(), change.1);
        assert_ne!(scene.ask(ORDERS, &token(&draft)), Some(allow(false)));
    }
    assert_eq!(scene.authorizer.remembered(), 0);
}
