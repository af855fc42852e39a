//! What is answered when the cluster does not say what must be known, and what the port makes of strange requests.

use std::sync::Arc;

use axum::body::Body;
use entrance::admission::desk::{Cluster, Desk, Unanswered};
use entrance::admission::grant::{Approval, Rules};
use entrance::admission::inject::Version;
use entrance::admission::inject::sidecar::Sidecar;
use entrance::admission::review::{MAX_REVIEW, User, Verdict};
use entrance::admission::server::router;
use entrance::admission::validate::Judge;
use entrance::api::object::Resources;
use entrance::api::settings::Settings;
use entrance::clock::{FixedClock, UnixTime};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{refused, request};

/// A cluster of which this is known.
struct Known {
    synced: bool,
    approver: Result<bool, Unanswered>,
}

impl Cluster for Known {
    fn resources(&self) -> Option<Arc<Resources>> {
        self.synced.then(Arc::default)
    }

    fn sidecar(&self) -> Option<Arc<Sidecar>> {
        None
    }

    fn authority(&self) -> Option<Arc<str>> {
        None
    }

    fn version(&self) -> Option<Version> {
        None
    }

    fn may_approve<'a>(&'a self, user: &'a User, grant: (&'a str, &'a str)) -> BoxFuture<'a, Result<bool, Unanswered>> {
        assert_eq!((&*user.username, grant), ("ada", ("shop", "one")));
        ready(self.approver).boxed()
    }
}

fn desk(synced: bool, approver: Result<bool, Unanswered>) -> Desk {
    Desk {
        judge: Judge::new(Settings::default()),
        rules: Rules { longest: 7200, approval: Approval::Required },
        cluster: Arc::new(Known { synced, approver }),
        clock: Arc::new(FixedClock(UnixTime(1_800_000_000))),
        namespace: "entrance".to_owned(),
    }
}

fn object(kind: &str, spec: Value) -> Value {
    json!({"apiVersion": "entrance.dev/v1alpha1", "kind": kind, "metadata": {"name": "one"}, "spec": spec})
}

fn policy() -> Value {
    object("AccessPolicy", json!({"applicationRef": {"name": "api"}, "hosts": ["a.example.com"], "routes": []}))
}

#[tokio::test(flavor = "multi_thread")]
async fn before_everything_was_read_nothing_of_ours_changes() {
    let desk = desk(false, Ok(true));
    for (kind, operation, objects) in [
        ("AccessPolicy", "CREATE", (Value::Null, policy())),
        ("AccessPolicy", "UPDATE", (object("AccessPolicy", json!({})), policy())),
        ("EntraApplication", "DELETE", (object("EntraApplication", json!({})), Value::Null)),
    ] {
        let verdict = desk.validate(&request(kind, operation, objects)).await;
        assert!(refused(&verdict).contains("has not read all resources of the cluster yet"), "{kind} {operation}");
        assert_eq!(verdict.outcome.unwrap_err().code, 503);
    }
    // what nobody has to judge passes
    for (kind, operation, objects) in [
        ("AccessPolicy", "UPDATE", (policy(), policy())),
        ("AccessPolicy", "DELETE", (policy(), Value::Null)),
        ("Pod", "CREATE", (Value::Null, json!({"metadata": {"name": "x"}}))),
    ] {
        let verdict = desk.validate(&request(kind, operation, objects)).await;
        assert_eq!(verdict, Verdict::pass(), "{kind} {operation}");
    }
    let mut status = request("AccessPolicy", "UPDATE", (object("AccessPolicy", json!({})), policy()));
    status.sub_resource = Some("status".to_owned());
    assert_eq!(desk.validate(&status).await, Verdict::pass());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_waits_for_what_the_api_server_says() {
    let grant = |approved: bool| {
        let stamp = |user: &str| json!({"username": user, "uid": if user == "ada" { "2" } else { "3" }, "at": "2027-01-15T08:00:00Z"});
        let mut spec = json!({
            "policyRef": {"name": "orders"}, "subject": {"group": "33333333-0000-4000-8000-000000000001"}, "roles": ["A"],
            "expiresAt": "2027-01-15T09:00:00Z", "requestedBy": stamp("bob"),
        });
        if approved {
            spec["approved"] = json!(true);
            spec["approvedBy"] = stamp("ada");
        }
        object("AccessGrant", spec)
    };
    for (says, code) in [(Ok(true), None), (Ok(false), Some(403)), (Err(Unanswered), Some(503))] {
        let verdict = desk(true, says).validate(&request("AccessGrant", "UPDATE", (grant(false), grant(true)))).await;
        assert_eq!(verdict.outcome.as_ref().err().map(|refusal| refusal.code), code, "{verdict:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_answers_reviews_and_nothing_else() {
    let router = router(Arc::new(desk(true, Ok(true))));
    let send = async |method: &str, path: &str, body: Vec<u8>| {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let answer = router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = answer.status();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    };
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-7", "kind": {"group": "entrance.dev", "kind": "AccessPolicy"}, "namespace": "shop", "operation": "CREATE",
        "object": policy(),
    }});
    let review = review.to_string().into_bytes();
    for path in ["/validate", "/mutate"] {
        let (status, body) = send("POST", path, review.clone()).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, &body["response"]["uid"], &body["response"]["allowed"]),
            (StatusCode::OK, &json!("u-7"), &json!(true))
        );
        assert_eq!(send("GET", path, Vec::new()).await.0, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(send("POST", path, b"{}".to_vec()).await.0, StatusCode::BAD_REQUEST);
        let large = vec![b' '; MAX_REVIEW.checked_add(1).unwrap()];
        assert_eq!(send("POST", path, large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert_eq!(send("POST", "/other", review).await.0, StatusCode::NOT_FOUND);
}
