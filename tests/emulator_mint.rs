//! The stand-in mints tokens of every kind, right and wrong, to order.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]

#[path = "support/jws.rs"]
mod jws;

use entrance::emulator::config::Config;
use entrance::emulator::defaults::{ADA, CONTOSO, FABRIKAM, JOB_CLIENT, ORDERS_API, SRE, WEB_CLIENT};
use entrance::emulator::{Emulator, Listed, Listing, MintFault, MintRequest, Options, Rotation, SignWith};
use jws::{header, payload};
use serde_json::{Value, json};

async fn start() -> Emulator {
    Emulator::start(Options::default()).await.unwrap()
}

fn order(json: Value) -> MintRequest {
    serde_json::from_value(json).unwrap()
}

#[tokio::test]
async fn each_base_has_the_claims_of_its_kind() {
    let running = start().await;
    let base = running.base_url();
    let mint = |kind: &str| payload(&running.mint(&order(json!({"base": kind}))).unwrap());
    let user = mint("user");
    assert_eq!(user["iss"], format!("{base}/{CONTOSO}/v2.0"));
    assert_eq!((&user["ver"], &user["aud"]), (&"2.0".into(), &ORDERS_API.into()));
    assert_eq!((&user["oid"], &user["azp"]), (&ADA.into(), &WEB_CLIENT.into()));
    assert_eq!(user["scp"], "orders.read orders.write");
    assert_eq!((&user["groups"], &user["idtyp"]), (&json!([SRE]), &"user".into()));
    assert_ne!(user["oid"], user["sub"]);
    let workload = mint("workload");
    assert_eq!((&workload["roles"], &workload["azp"]), (&json!(["Orders.Run"]), &JOB_CLIENT.into()));
    assert_eq!((&workload["oid"], &workload["idtyp"]), (&workload["sub"], &"app".into()));
    assert!(workload.get("scp").is_none() && workload.get("groups").is_none());
    let first = mint("user-v1");
    assert_eq!(first["iss"], format!("{base}/{CONTOSO}/"));
    assert_eq!((&first["ver"], &first["aud"]), (&"1.0".into(), &"api://orders".into()));
    assert!(first.get("azp").is_none() && first["appid"] == WEB_CLIENT);
    let program = mint("workload-v1");
    assert_eq!((&program["appid"], &program["oid"]), (&JOB_CLIENT.into(), &program["sub"]));
    let id = mint("id-token");
    assert!(id.get("scp").is_none() && id.get("azp").is_none() && id["nonce"].is_string());
}

#[tokio::test]
async fn a_request_over_http_is_the_same_order() {
    let running = start().await;
    let body = json!({"base": "user", "tenant": "fabrikam", "user": "bob", "set_claims": {"acrs": ["c1"]}});
    let response = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .post(format!("{}/_emulator/mint", running.base_url()))
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let claims = payload(answer["token"].as_str().unwrap());
    assert_eq!((&claims["tid"], &claims["acrs"]), (&FABRIKAM.into(), &json!(["c1"])));
    assert_eq!(claims["roles"], json!(["Orders.Read"]));
}

#[tokio::test]
async fn any_part_can_be_changed() {
    let running = start().await;
    let token = running
        .mint(&order(json!({
            "tenant": "33333333-3333-4333-8333-333333333333", "roles": [], "scopes": ["a", "b"], "groups": [],
            "set_claims": {"exp": "soon"}, "remove_claims": ["oid"],
            "set_header": {"crit": []}, "remove_header": ["kid"], "expires_in": -10,
        })))
        .unwrap();
    let (header, payload) = (header(&token), payload(&token));
    assert_eq!((&header["crit"], header.get("kid")), (&json!([]), None));
    assert_eq!((&payload["exp"], payload.get("oid")), (&"soon".into(), None));
    assert_eq!((&payload["scp"], payload.get("roles")), (&"a b".into(), None));
    assert_eq!(payload["tid"], "33333333-3333-4333-8333-333333333333");
    let raw = running.mint(&order(json!({"raw_payload": "[1]", "raw_header": "{}"})));
    assert_eq!(jws::payload(&raw.unwrap()), json!([1]));
}

#[tokio::test]
async fn the_wrong_keys_sign_as_they_should() {
    let running = start().await;
    let current = running.kid();
    let mint = |with| running.mint(&MintRequest { sign_with: with, ..MintRequest::default() });
    assert_eq!(header(&mint(SignWith::Current).unwrap())["kid"], current);
    assert_eq!(header(&mint(SignWith::Forged).unwrap())["kid"], current);
    assert_ne!(header(&mint(SignWith::Unlisted).unwrap())["kid"], current);
    let none = mint(SignWith::None).unwrap();
    assert!(none.ends_with('.') && header(&none)["alg"] == "none");
    assert_eq!(header(&mint(SignWith::Hmac).unwrap())["alg"], "HS256");
    assert!(matches!(mint(SignWith::Retired), Err(MintFault::NotRotated)));
    let rotated = running.rotate(Rotation::default()).await.unwrap();
    assert_eq!((&rotated.retired, &rotated.kid), (&current, &running.kid()));
    assert_eq!(header(&mint(SignWith::Retired).unwrap())["kid"], current);
}

#[tokio::test]
async fn what_the_directory_does_not_hold_is_named() {
    let running = start().await;
    for (request, complaint) in [
        (json!({"tenant": "nobody"}), "no tenant `nobody` in the directory"),
        (json!({"user": "nobody"}), "no user `nobody` in the directory"),
        (json!({"client": "nobody"}), "no client `nobody` in the directory"),
        (json!({"api": "nobody"}), "no API `nobody` in the directory"),
    ] {
        assert_eq!(running.mint(&order(request)).unwrap_err().to_string(), complaint);
    }
    assert!(serde_json::from_value::<MintRequest>(json!({"claims": {}})).is_err());
}

async fn listed(running: &Emulator) -> Vec<String> {
    let url = format!("{}/contoso/discovery/v2.0/keys", running.base_url());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = client.get(url).send().await.unwrap().bytes().await.unwrap();
    let document: Value = serde_json::from_slice(&body).unwrap();
    let keys = document["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn keys_come_and_go_in_the_documents_as_ordered() {
    let running = start().await;
    let first = running.kid();
    let order = Rotation { drop_old: true, listing: Listing::Never };
    let second = running.rotate(order).await.unwrap().kid;
    let shown = listed(&running).await;
    assert!(!shown.contains(&first) && !shown.contains(&second));
    assert!(running.list(&Listed { kid: None, listed: true }));
    assert!(running.list(&Listed { kid: Some(first.clone()), listed: true }));
    let shown = listed(&running).await;
    assert!(shown.contains(&first) && shown.contains(&second));
    assert!(running.list(&Listed { kid: Some(first.clone()), listed: false }));
    assert!(!listed(&running).await.contains(&first));
    assert!(!running.list(&Listed { kid: Some("nobody".into()), listed: true }));
    let order = Rotation { drop_old: false, listing: Listing::AfterMs(1) };
    let third = running.rotate(order).await.unwrap().kid;
    while !listed(&running).await.contains(&third) {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_directory_is_read_whole_or_not_at_all() {
    let good = format!("tenants: [{{id: {CONTOSO}, name: c}}]\napis: [{{clientId: {ORDERS_API}, name: o}}]\n");
    let config = Config::parse(&good).unwrap();
    assert_eq!((config.apis[0].token_version, config.refuse_replay), (2, true));
    for (text, complaint) in [
        ("tenants: []\napis: []", "`tenants` is empty; list at least one".to_owned()),
        ("a: [", "the directory is not valid".to_owned()),
        ("{}\n---\n{}", "the directory is not valid YAML or JSON: found `2` documents, expected one".to_owned()),
        (&format!("{good}more: 1"), "the directory has another shape than expected: unknown field `more`".to_owned()),
        (&good.replace(CONTOSO, "x"), "`x` is not a GUID".to_owned()),
        (&good.replace("name: o", "name: o, tokenVersion: 3"), "`tokenVersion` is `3`; write 1 or 2".to_owned()),
    ] {
        let fault = Config::parse(text).err().unwrap().to_string();
        assert!(fault.starts_with(&complaint), "{fault}");
    }
}
