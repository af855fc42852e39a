//! Grants: who asked, who approved, and what may change then.

use serde_json::{Value, json};

use super::api_server::{ADA, BOB};
use super::scene::Scene;

fn in_hours(hours: i64) -> String {
    let now = k8s_openapi::jiff::Timestamp::now().as_second();
    k8s_openapi::jiff::Timestamp::from_second(now.saturating_add(hours.saturating_mul(3600))).unwrap().to_string()
}

fn grant(name: &str, hours: i64) -> Value {
    json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": name}, "spec": {
        "policyRef": {"name": "orders"}, "subject": {"group": "33333333-0000-4000-8000-000000000001"},
        "roles": ["Orders.Admin"], "expiresAt": in_hours(hours), "reason": "INC-1",
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_approves_and_both_are_stamped() {
    let scene = Scene::new("grants", &["--longest-grant", "2h"]).await;
    scene
        .create(ADA, &grant("long", 3))
        .await
        .refused(422, &["spec.expiresAt: lends the roles for", "2h is the longest"]);
    let mut forged = grant("one", 1);
    forged["spec"]["requestedBy"] = json!({"username": "eve", "at": "2026-01-01T00:00:00Z"});
    forged["spec"]["approvedBy"] = json!({"username": "bob", "at": "2026-01-01T00:00:00Z"});
    let made = scene.create(ADA, &forged).await.taken().body;
    assert_eq!(
        (&made["spec"]["requestedBy"]["username"], &made["spec"]["requestedBy"]["uid"]),
        (&json!("ada"), &json!("2"))
    );
    assert!(made["spec"]["approvedBy"].is_null(), "{made}");

    let approve = json!({"spec": {"approved": true}});
    scene
        .merge(ADA, "accessgrants/one", approve.clone())
        .await
        .refused(403, &["`ada` asked for this grant, so another user must approve it"]);
    let other = json!({"spec": {"approved": true, "roles": ["Another"]}});
    scene.merge(BOB, "accessgrants/one", other).await.refused(422, &["an approval changes nothing else"]);
    let dry = scene.merge(BOB, "accessgrants/one?dryRun=All", approve.clone()).await.taken();
    assert_eq!(dry.body["spec"]["approvedBy"]["username"], "bob");
    let kept = scene.send(("GET", &scene.at("accessgrants/one"), ADA), &Value::Null).await.taken().body;
    assert!(kept["spec"]["approvedBy"].is_null(), "a dry run keeps nothing: {kept}");
    let approved = scene.merge(BOB, "accessgrants/one", approve.clone()).await.taken().body;
    assert_eq!(approved["spec"]["approvedBy"]["username"], "bob", "{approved}");
    assert_eq!(approved["spec"]["requestedBy"], made["spec"]["requestedBy"]);

    // it stands as it is, but may end earlier
    for (change, part) in [
        (json!({"roles": ["Another"]}), "spec.roles: cannot change"),
        (json!({"approved": false}), "spec.approved: cannot change"),
        (json!({"expiresAt": in_hours(2)}), "spec.expiresAt: can only become earlier"),
    ] {
        scene.merge(BOB, "accessgrants/one", json!({"spec": change})).await.refused(422, &[part]);
    }
    let stamps = json!({"spec": {"approvedBy": null, "requestedBy": {"username": "eve", "at": in_hours(0)}}});
    let same = scene.merge(ADA, "accessgrants/one", stamps).await.taken().body;
    assert_eq!(same["spec"], approved["spec"], "what a client writes over the stamps is put back");
    scene.merge(ADA, "accessgrants/one", json!({"spec": {"expiresAt": in_hours(0)}})).await.taken();
    scene.send(("DELETE", &scene.at("accessgrants/one"), ADA), &Value::Null).await.taken();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_a_request_becomes_its_requester() {
    let scene = Scene::new("changed", &[]).await;
    scene.create(BOB, &grant("one", 1)).await.taken();
    let approve = json!({"spec": {"approved": true}});
    scene
        .merge(ADA, "accessgrants/one", approve.clone())
        .await
        .refused(403, &["`ada` may not approve; it takes the verb `approve`"]);
    let changed = scene.merge(ADA, "accessgrants/one", json!({"spec": {"roles": ["Another"]}})).await.taken().body;
    assert_eq!(changed["spec"]["requestedBy"]["username"], "ada");
    scene.merge(BOB, "accessgrants/one", approve).await.taken();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_approval_whoever_may_approve_may_grant() {
    let scene = Scene::new("alone", &["--grant-approval", "none"]).await;
    scene.create(ADA, &grant("one", 1)).await.refused(403, &["`ada` may not approve"]);
    let made = scene.create(BOB, &grant("one", 1)).await.taken().body;
    assert_eq!(made["spec"]["approved"], true);
    assert_eq!(made["spec"]["approvedBy"]["username"], "bob");
}
