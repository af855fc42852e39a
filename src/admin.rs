//! The port for operators: is it alive, is it ready, what does it count, what does it enforce.
//!
//! Plain HTTP, meant for the node and the monitoring system. Nothing here changes anything, and nothing shows a token, a
//! key or a person: a snapshot is policies and their origin.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::listen::gate::{Bounds, Gate};
use crate::listen::http1::{self, Terms};
use crate::metrics::{Gauges, Metrics, exposition};

/// What the rest of the process tells of itself.
pub trait Inspect: Send + Sync + 'static {
    /// Everything that must be well for this process to be ready.
    fn conditions(&self) -> Vec<Condition>;

    /// What is measured when somebody asks.
    fn gauges(&self) -> Gauges;

    /// The policies in force, as JSON. No secrets, no personal data.
    fn snapshot(&self) -> serde_json::Value;
}

/// One thing that must be well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// A short name: `policies`, `keys/contoso`.
    pub name: String,
    /// Whether it is.
    pub ready: bool,
    /// What is the matter, or what is known.
    pub message: String,
}

/// What `/readyz` says.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    conditions: Vec<Condition>,
}

#[derive(Clone)]
struct Admin {
    inspect: Arc<dyn Inspect>,
    metrics: Arc<Metrics>,
}

/// `/livez`, `/readyz`, `/metrics` and `/debug/snapshot`.
pub fn router(inspect: Arc<dyn Inspect>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(measured))
        .route("/debug/snapshot", get(snapshot))
        .with_state(Admin { inspect, metrics })
}

/// Serves `router` until `shutdown` is cancelled; then connections end, those that answer after their answer.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let (connections, gate) = (TaskTracker::new(), Gate::new(Bounds::ADMIN));
    loop {
        let (stream, _) = tokio::select! {
            accepted = gate.tcp(&listener) => accepted,
            () = shutdown.cancelled() => break,
        };
        let router = router.clone();
        let answer = move |request| router.clone().oneshot(request);
        connections.spawn(http1::converse(stream, answer, (Terms::default(), shutdown.clone())));
    }
    connections.close();
    connections.wait().await;
}

/// The process runs and answers. Says nothing about policies or keys: a restart would mend neither.
async fn alive() -> &'static str {
    "ok\n"
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    let conditions = admin.inspect.conditions();
    // a process of which nothing is known is not ready
    let ready = !conditions.is_empty() && conditions.iter().all(|condition| condition.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, conditions }))
}

async fn measured(State(admin): State<Admin>) -> impl IntoResponse {
    let page = exposition::render(&admin.metrics, &admin.inspect.gauges());
    ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], page)
}

async fn snapshot(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(admin.inspect.snapshot()))
}
