//! The operators' port over real HTTP.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;

use entrance::admin::{Condition, Inspect, router, serve};
use entrance::metrics::{Gauges, Metrics};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct Process(Vec<Condition>);

impl Inspect for Process {
    fn conditions(&self) -> Vec<Condition> {
        self.0.clone()
    }

    fn gauges(&self) -> Gauges {
        Gauges { generation: Some(7), ..Gauges::default() }
    }

    fn snapshot(&self) -> Value {
        json!({"generation": 7})
    }
}

fn condition(name: &str, ready: bool) -> Condition {
    Condition { name: name.to_owned(), ready, message: "as it is".to_owned() }
}

struct Admin {
    base: String,
    shutdown: CancellationToken,
}

async fn admin(conditions: Vec<Condition>) -> Admin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let router = router(Arc::new(Process(conditions)), Arc::new(Metrics::default()));
    tokio::spawn(serve(listener, router, shutdown.clone()));
    Admin { base, shutdown }
}

async fn get(admin: &Admin, path: &str) -> (u16, String) {
    let response = reqwest::get(format!("{}{path}", admin.base)).await.unwrap();
    let status = response.status().as_u16();
    (status, response.text().await.unwrap())
}

#[tokio::test]
async fn ready_when_every_condition_is() {
    let conditions = vec![condition("policies", true), condition("keys/contoso", true)];
    let admin = admin(conditions).await;
    let (status, body) = get(&admin, "/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["ready"]), (200, &json!(true)));
    assert_eq!(body["conditions"][1]["name"], "keys/contoso");
}

#[tokio::test]
async fn not_ready_while_one_condition_is_not_but_alive() {
    let conditions = vec![condition("policies", true), condition("keys/contoso", false)];
    let admin = admin(conditions).await;
    let (status, body) = get(&admin, "/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["ready"]), (503, &json!(false)));
    assert_eq!(body["conditions"][1]["message"], "as it is");
    assert_eq!(get(&admin, "/livez").await, (200, "ok\n".to_owned()));
}

#[tokio::test]
async fn not_ready_while_nothing_is_known() {
    let admin = admin(Vec::new()).await;
    assert_eq!(get(&admin, "/readyz").await.0, 503);
}

#[tokio::test]
async fn metrics_and_the_snapshot_can_be_read() {
    let admin = admin(Vec::new()).await;
    let (status, page) = get(&admin, "/metrics").await;
    assert_eq!(status, 200);
    assert!(page.contains("entrance_snapshot_generation 7\n"));
    let (status, body) = get(&admin, "/debug/snapshot").await;
    assert_eq!(status, 200);
    assert_eq!(body, "{\"generation\":7}");
    assert_eq!(get(&admin, "/nothing").await.0, 404);
}

#[tokio::test]
async fn shutdown_ends_the_listener() {
    let admin = admin(Vec::new()).await;
    assert_eq!(get(&admin, "/livez").await.0, 200);
    admin.shutdown.cancel();
    let ended = async {
        while reqwest::get(format!("{}/livez", admin.base)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), ended).await.unwrap();
}
