//! Grants: roles lent inside one policy, from one second to another.

use entrance::authorize::decision::Decision;
use entrance::authorize::ports::Outcome;
use serde_json::{Value, json};

use crate::scene::{Scene, answer, token};
use crate::token_world::{CLIENT, Draft, NOW, TENANT};

const ORDERS: &str = "orders.example.com";
const ADMIN: &str = "orders.example.com/admin";
const OID: &str = "cccccccc-0000-4000-8000-000000000001";
const GROUP: &str = "dddddddd-0000-4000-8000-000000000001";

/// A scene in which `/admin` wants a role that nobody's token has.
fn scene() -> Scene {
    let scene = Scene::new();
    let roles = json!({"name": "admin", "path": "/admin", "allow": [{"roles": ["Orders.Admin"]}]});
    let any = json!({"name": "any", "path": "/{*rest}", "allow": [{"callers": "Any"}]});
    scene.set("/policies/0/spec/routes", json!([roles, any]));
    scene
}

fn time(offset: i64) -> String {
    jiff::Timestamp::from_second(NOW.plus(offset).0).unwrap().to_string()
}

fn grant(name: &str, subject: Value) -> Value {
    json!({
        "apiVersion": "entrance.dev/v1alpha1",
        "kind": "AccessGrant",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "policyRef": {"name": "orders"},
            "subject": subject,
            "roles": ["Orders.Admin"],
            "notBefore": time(10),
            "expiresAt": time(20),
            "approved": true,
        },
    })
}

fn user() -> Value {
    json!({"tenant": "contoso", "oid": OID})
}

fn with(mut grant: Value, field: &str, value: Value) -> Value {
    grant["spec"][field] = value;
    grant
}

async fn reason(scene: &Scene, host: &str, draft: &Draft) -> &'static str {
    answer(&scene.decide(host, &token(draft)).await).reason
}

fn grants(decision: &Decision) -> Option<String> {
    decision.verdict.matched().unwrap().grants.as_ref().map(ToString::to_string)
}

#[tokio::test]
async fn a_grant_counts_from_its_first_second_until_before_its_last() {
    let scene = scene();
    let ada = Draft::of("U2");
    scene.add(grant("ada", user()));
    for (forward, wanted) in
        [(9, "role_missing"), (1, "allow_entry_matched"), (9, "allow_entry_matched"), (1, "role_missing")]
    {
        scene.clock.forward(forward);
        assert_eq!(reason(&scene, ADMIN, &ada).await, wanted, "{}", scene.now().since(NOW));
    }
}

#[tokio::test]
async fn the_lent_roles_and_the_grant_are_told_only_where_they_decided() {
    let scene = scene();
    scene.add(grant("ada", user()));
    scene.clock.forward(10);
    let token = token(&Draft::of("U2"));
    let decision = scene.decide(ADMIN, &token).await;
    assert_eq!(grants(&decision).as_deref(), Some("shop/ada"));
    let caller = &decision.authenticated.as_ref().unwrap().caller;
    assert_eq!(caller.roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["Orders.Admin"]);
    let elsewhere = scene.decide(ORDERS, &token).await;
    assert_eq!((grants(&elsewhere), answer(&elsewhere).outcome), (None, Outcome::Allow));
    assert!(elsewhere.authenticated.as_ref().unwrap().caller.roles.is_empty());
    let again = scene.decide(ADMIN, &token).await;
    assert_eq!((grants(&again).as_deref(), again.cached), (Some("shop/ada"), true));
}

#[tokio::test]
async fn a_grant_counts_for_its_subject_alone() {
    let mut member = Draft::of("U2");
    member.claims.insert("groups".into(), json!([GROUP]));
    let mut overage = Draft::of("U2");
    overage.claims.insert("hasgroups".into(), json!(true));
    let (user_token, job) = (Draft::of("U2"), Draft::of("A2"));
    for (subject, draft, admitted) in [
        (user(), &user_token, true),
        (json!({"tenant": TENANT, "oid": OID}), &user_token, true),
        (json!({"tenant": TENANT, "oid": "cccccccc-0000-4000-8000-000000000002"}), &user_token, false),
        // the client of a user's token is not the client that calls as itself
        (json!({"client": CLIENT}), &user_token, false),
        (json!({"client": CLIENT}), &job, true),
        (json!({"group": GROUP}), &member, true),
        (json!({"group": "sre"}), &member, true),
        (json!({"group": GROUP}), &user_token, false),
        (json!({"group": GROUP}), &overage, false),
    ] {
        let scene = scene();
        scene.set("/applications/0/spec/groups", json!([{"name": "sre", "id": GROUP}]));
        scene.add(grant("it", subject.clone()));
        scene.clock.forward(10);
        let wanted = if admitted { "allow_entry_matched" } else { "role_missing" };
        assert_eq!(reason(&scene, ADMIN, draft).await, wanted, "{subject}");
    }
}

#[tokio::test]
async fn a_grant_counts_inside_its_policy_alone() {
    let scene = scene();
    let allow = json!([{"name": "any", "path": "/{*rest}", "allow": [{"roles": ["Orders.Admin"]}]}]);
    scene.set("/policies/1/spec/routes", allow);
    scene.add(grant("ada", user()));
    scene.clock.forward(10);
    let mut draft = Draft::of("U2");
    draft.claims.insert("aud".into(), json!("aaaaaaaa-0000-4000-8000-000000000002"));
    assert_eq!(reason(&scene, "stock.example.com", &draft).await, "role_missing");
}

#[tokio::test]
async fn what_is_not_approved_broken_or_for_nobody_lends_nothing() {
    let ada = Draft::of("U2");
    for (field, value) in [("approved", json!(false)), ("approved", Value::Null)] {
        let scene = scene();
        scene.add(with(grant("ada", user()), field, value));
        scene.clock.forward(10);
        assert_eq!(reason(&scene, ADMIN, &ada).await, "role_missing", "{field}");
    }
    for (field, value, fault) in [
        ("roles", json!([]), "spec.roles"),
        ("expiresAt", json!(time(10)), "spec.expiresAt: must be after `notBefore`"),
        ("policyRef", json!({"name": "nothing"}), "spec.policyRef: names an AccessPolicy that is not there"),
        ("subject", json!({"tenant": "fabrikam", "oid": OID}), "spec.subject.tenant: `fabrikam` is no tenant"),
        ("surplus", json!(1), "spec.surplus"),
    ] {
        let scene = scene();
        let found = scene.add_broken(with(grant("ada", user()), field, value));
        assert!(found.contains(fault), "{found}");
        scene.clock.forward(10);
        assert_eq!(reason(&scene, ADMIN, &ada).await, "role_missing", "{field}");
        assert_eq!(reason(&scene, ORDERS, &ada).await, "allow_entry_matched", "a broken grant takes nothing along");
    }
}

#[tokio::test]
async fn a_deny_entry_wins_over_every_grant() {
    let ada = Draft::of("U2");
    for deny in [json!({"callers": "User"}), json!({"roles": ["Orders.Admin"]})] {
        let scene = scene();
        scene.set("/policies/0/spec/deny", json!([deny]));
        scene.add(grant("ada", user()));
        scene.clock.forward(10);
        assert_eq!(reason(&scene, ADMIN, &ada).await, "deny_entry_matched", "{deny}");
    }
}

#[tokio::test]
async fn several_grants_count_together_and_those_that_add_are_named() {
    let scene = scene();
    let both = json!([{"name": "admin", "path": "/admin", "allow": [{"allRoles": ["Orders.Admin", "Orders.Audit"]}]}]);
    scene.set("/policies/0/spec/routes", both);
    scene.add(grant("ada", user()));
    scene.clock.forward(10);
    let mut ada = Draft::of("U2");
    assert_eq!(reason(&scene, ADMIN, &ada).await, "role_missing");
    scene.add(with(grant("more", user()), "roles", json!(["Orders.Audit", "Orders.Read"])));
    scene.add(with(grant("held", user()), "roles", json!(["Orders.Read"])));
    ada.claims.insert("roles".into(), json!(["Orders.Read"]));
    let decision = scene.decide(ADMIN, &token(&ada)).await;
    assert_eq!(grants(&decision).as_deref(), Some("shop/ada,shop/more"));
    let roles = &decision.authenticated.as_ref().unwrap().caller.roles;
    assert_eq!(roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["Orders.Admin", "Orders.Audit", "Orders.Read"]);
}
