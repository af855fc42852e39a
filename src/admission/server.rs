//! The port on which reviews come in: HTTPS only.
//!
//! Whoever reaches it can ask; answers are about the question alone and keep nothing. The API server is not asked for a
//! certificate, since clusters differ in whether it has one for webhooks; a network policy keeps others out.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::desk::Desk;
use super::review::{self, MAX_REVIEW, Request, Verdict};

/// Longest time for a TLS handshake, for a request's head, and for a whole request. The API server waits 30 s at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// Reviews that are read at once: each may take 8 MiB.
const AT_ONCE: usize = 32;
const FAREWELL: Duration = Duration::from_secs(3);

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
        Ok(request) => answer("mutate", &request, &port.desk.mutate(&request).await),
        Err(fault) => unreadable(&fault),
    }
}

fn answer(path: &'static str, request: &Request, verdict: &Verdict) -> Response {
    let refused = verdict.outcome.as_ref().err().map(|refusal| refusal.message.as_str());
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
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    (tls, router): (Arc<ServerConfig>, Router),
    stop: CancellationToken,
) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(tls);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connect(stream, acceptor.clone(), (router.clone(), stop.clone())));
            }
            // Out of file descriptors, most likely: give others time to close some.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    connections.close();
    let (Ok(()) | Err(_)) = tokio::time::timeout(FAREWELL, connections.wait()).await;
    Ok(())
}

async fn connect(stream: TcpStream, tls: TlsAcceptor, (router, stop): (Router, CancellationToken)) {
    let stream = match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::warn!(code = "tls_failed", %error, "a TLS handshake failed"),
        Err(_) => return tracing::warn!(code = "tls_failed", error = "too slow", "a TLS handshake failed"),
    };
    let service = hyper::service::service_fn(move |request| in_time(router.clone(), request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

async fn in_time(router: Router, request: hyper::Request<hyper::body::Incoming>) -> Result<Response, Infallible> {
    match tokio::time::timeout(PATIENCE, router.oneshot(request)).await {
        Ok(answered) => answered,
        Err(_) => Ok(StatusCode::SERVICE_UNAVAILABLE.into_response()),
    }
}
