//! The port on which reviews come in: HTTPS only.
//!
//! Whoever reaches it can ask; answers are about the question alone and keep nothing. The API server is not asked for a
//! certificate, since clusters differ in whether it has one for webhooks; a network policy keeps others out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::listen::gate::Bounds;
use crate::listen::http1::{self, Terms};
use crate::tls;

use super::desk::Desk;
use super::review::{self, MAX_REVIEW, Request, Verdict};

/// Longest time for a whole request. The API server waits 30 s at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// Reviews that are read at once: each may take 8 MiB.
const AT_ONCE: usize = 32;
#[derive(Clone)]
struct Port {
    desk: Arc<Desk>,
    places: Arc<Semaphore>,
}

/// `POST /validate` and `POST /mutate`.
pub fn router(desk: Arc<Desk>) -> Router {
    let port = Port { desk, places: Arc::new(Semaphore::new(AT_ONCE)) };
    Router::new()
        .route("/validate", post(validate))
        .route("/mutate", post(mutate))
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(DefaultBodyLimit::max(MAX_REVIEW))
        .layer(from_fn_with_state(port.clone(), place))
        .with_state(port)
}

/// A place is needed before the body is read, so that many large ones cannot fill the memory.
async fn place(State(port): State<Port>, request: axum::extract::Request, next: Next) -> Response {
    match port.places.acquire().await {
        Ok(_place) => next.run(request).await,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn validate(State(port): State<Port>, body: Bytes) -> Response {
    match review::read(&body) {
        Ok(request) => answer("validate", &request, &port.desk.validate(&request).await),
        Err(fault) => unreadable(&fault),
    }
}

async fn mutate(State(port): State<Port>, body: Bytes) -> Response {
    match review::read(&body) {
        Ok(request) => answer("mutate", &request, &port.desk.mutate(&request)),
        Err(fault) => unreadable(&fault),
    }
}

fn answer(path: &'static str, request: &Request, verdict: &Verdict) -> Response {
    // The message may name people; the one who asked has it.
    let refused = verdict.outcome.as_ref().err().map(|refusal| refusal.reason);
    let of = (&request.kind.kind, &request.namespace, &request.name);
    tracing::info!(
        code = "reviewed", path, kind = of.0, namespace = of.1, name = of.2, operation = ?request.operation,
        allowed = refused.is_none(), refused, warnings = verdict.warnings.len(), dry_run = request.dry_run,
    );
    ([(header::CONTENT_TYPE, "application/json")], verdict.render(&request.uid).to_string()).into_response()
}

fn unreadable(fault: &review::ReviewFault) -> Response {
    tracing::warn!(code = "review_unreadable", %fault);
    (StatusCode::BAD_REQUEST, format!("{fault}\n")).into_response()
}

/// Serves until told to stop; what is in flight is answered.
pub async fn serve(
    listener: TcpListener,
    (tls, router, bounds): (TlsAcceptor, Router, Bounds),
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let mut accepted = std::pin::pin!(tls::connections(listener, tls, bounds));
    loop {
        let stream = tokio::select! {
            stream = accepted.next() => stream,
            () = stop.cancelled() => break,
        };
        match stream {
            Some(Ok(stream)) => {
                let router = router.clone();
                let answer = move |request| in_time(router.clone(), request);
                tasks.spawn(http1::converse(stream, answer, (Terms::default(), stop.clone())));
            }
            Some(Err(error)) => tracing::warn!(code = "connection_lost", %error),
            None => break,
        }
    }
    tasks.close();
    let (Ok(()) | Err(_)) = tokio::time::timeout(Terms::default().farewell, tasks.wait()).await;
}

async fn in_time(router: Router, request: hyper::Request<hyper::body::Incoming>) -> Result<Response, Infallible> {
    match tokio::time::timeout(PATIENCE, router.oneshot(request)).await {
        Ok(answered) => answered,
        Err(_) => Ok(StatusCode::SERVICE_UNAVAILABLE.into_response()),
    }
}
