//! The gRPC server: connections, the health service, and an orderly end.
//!
//! It speaks HTTP/2 directly and serves two services, external authorization and `grpc.health.v1.Health`. Health says
//! `NOT_SERVING` until the server is told that it is ready, and again from the moment shutdown begins.
//!
//! Shutdown: health first, then a delay in which load balancers notice and checks are answered as before, then no new
//! connections and GOAWAY on the old ones, then time for what is in flight, then the end.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::{HeaderValue, Request, Response, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;
use tower::Service as _;

use crate::authorize::ports::Decide;

use super::frame::Reply;
use super::greeting::greeted;
use super::service::Service;
use super::together::{Together, calls};
use crate::listen::gate::Bounds;
use crate::listen::grpc;
use crate::listen::places::Places;
use crate::listen::{Connection, Listen, Listener};

/// The name of the service, as health checks know it.
pub const SERVICE: &str = "envoy.service.auth.v3.Authorization";

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// All that is served.
const CALLS: [&str; 3] = [CHECK, "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"];
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Envoy resets a call that it no longer waits for. Many at once are a bad moment, not an attack: the connection stays.
const RESETS: usize = 1024;

/// The largest health check, which is the name of a service.
const NAMES: usize = 1024;

/// How connections are kept and ended.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What connections may take.
    pub bounds: Bounds,
    /// Calls at a time on one connection; Envoy queues what is beyond.
    pub streams: u32,
    /// For a new connection to begin to speak HTTP/2.
    pub greeting: Duration,
    /// A connection that is silent for so long is pinged,
    pub keepalive: Duration,
    /// and closed if no answer comes in this time.
    pub keepalive_timeout: Duration,
    /// Between the news that shutdown begins and GOAWAY.
    pub drain_delay: Duration,
    /// For what is in flight after GOAWAY.
    pub drain_deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            streams: 1024,
            greeting: Duration::from_secs(10),
            keepalive: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            drain_delay: Duration::ZERO,
            drain_deadline: Duration::from_secs(10),
        }
    }
}

/// A server that listens already.
pub struct Server {
    listener: Listener,
    settings: Settings,
}

/// What a server is told while it runs.
pub struct Signals {
    /// Whether policies are loaded, so that checks can be answered.
    pub ready: watch::Receiver<bool>,
    /// Cancelled when the process is to end.
    pub shutdown: CancellationToken,
}

impl Server {
    /// Starts to listen.
    ///
    /// # Errors
    /// The address is taken or not permitted.
    pub async fn bind(listen: &Listen, settings: Settings) -> io::Result<Self> {
        Ok(Self { listener: Listener::bind(listen, settings.bounds).await?, settings })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<Listen> {
        self.listener.address()
    }

    /// The places of its connections.
    #[must_use]
    pub const fn places(&self) -> &Arc<Places> {
        self.listener.places()
    }

    /// Serves until shutdown is complete.
    pub async fn serve<D: Decide>(self, service: Service<D>, signals: Signals) {
        let Self { listener, settings } = self;
        let (reporter, health) = health().await;
        let shared =
            Arc::new(Shared { service, settings, goaway: CancellationToken::new(), end: CancellationToken::new() });
        let tracker = TaskTracker::new();
        let accepting = accept(&listener, &shared, (&tracker, health));
        tokio::select! {
            never = accepting => match never {},
            () = drain(&reporter, signals, settings.drain_delay) => {}
        }
        drop(listener);
        shared.goaway.cancel();
        tracker.close();
        if tokio::time::timeout(settings.drain_deadline, tracker.wait()).await.is_err() {
            shared.end.cancel();
            tracker.wait().await;
        }
    }
}

struct Shared<D> {
    service: Service<D>,
    settings: Settings,
    /// No new calls.
    goaway: CancellationToken,
    /// No calls at all.
    end: CancellationToken,
}

async fn health() -> (HealthReporter, HealthServer<impl Health>) {
    let (reporter, health) = tonic_health::server::health_reporter();
    report(&reporter, false).await;
    (reporter, health.max_decoding_message_size(NAMES))
}

async fn report(reporter: &HealthReporter, ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    reporter.set_service_status("", status).await;
    reporter.set_service_status(SERVICE, status).await;
}

/// Passes readiness on until shutdown begins; ends when connections may be closed.
async fn drain(reporter: &HealthReporter, mut signals: Signals, delay: Duration) {
    loop {
        let ready = *signals.ready.borrow_and_update();
        report(reporter, ready).await;
        tokio::select! {
            () = signals.shutdown.cancelled() => break,
            changed = signals.ready.changed() => {
                if changed.is_err() {
                    // nobody is left to say otherwise: it stays as it is
                    signals.shutdown.cancelled().await;
                    break;
                }
            }
        }
    }
    report(reporter, false).await;
    tokio::time::sleep(delay).await;
}

async fn accept<D: Decide, H: Health>(
    listener: &Listener,
    shared: &Arc<Shared<D>>,
    (tracker, health): (&TaskTracker, HealthServer<H>),
) -> Infallible {
    loop {
        let (connection, _) = listener.accept().await;
        tracker.spawn(connected(connection, Arc::clone(shared), health.clone()));
    }
}

async fn connected<D: Decide, H: Health>(
    connection: Box<dyn Connection>,
    shared: Arc<Shared<D>>,
    health: HealthServer<H>,
) {
    let settings = shared.settings;
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(settings.greeting, greeted(connection)) => greeted,
        () = shared.goaway.cancelled() => return,
    };
    let connection = match greeted {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%error, "a connection did not begin"),
        Err(_) => return tracing::debug!("a connection stayed silent"),
    };
    let answering = {
        let shared = Arc::clone(&shared);
        service_fn(move |call| respond(call, &shared, &health))
    };
    let (calls, waiting) = calls();
    let connection = http2::Builder::new(calls)
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams)
        .max_pending_accept_reset_streams(RESETS)
        .keep_alive_interval(settings.keepalive)
        .keep_alive_timeout(settings.keepalive_timeout)
        .serve_connection(TokioIo::new(connection), answering);
    let mut connection = Together::new(connection, waiting);
    let result = tokio::select! {
        result = &mut connection => result,
        () = shared.goaway.cancelled() => {
            connection.connection().graceful_shutdown();
            tokio::select! {
                result = connection => result,
                () = shared.end.cancelled() => Ok(()),
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A check is the usual call, and its future holds what a check needs and no more.
fn respond<D: Decide, H: Health>(
    call: Request<Incoming>,
    shared: &Arc<Shared<D>>,
    health: &HealthServer<H>,
) -> impl Future<Output = Result<Response<Answered>, Infallible>> + use<D, H> {
    if let Some(refused) = grpc::refused(&call, &CALLS) {
        return Either::Right(std::future::ready(Ok(refused.map(tonic::body::Body::new).map(Answered::Other))).boxed());
    }
    if call.uri().path() == CHECK {
        let (shared, patience) = (Arc::clone(shared), shared.service.patience(call.headers()));
        let body = call.into_body();
        return Either::Left(async move {
            let answer = shared.service.check(body, patience).await;
            let mut response = Response::new(Answered::Check(Reply::new(answer)));
            response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
            Ok(response)
        });
    }
    Either::Right(healthy(call, health.clone()).boxed())
}

async fn healthy<H: Health>(
    call: Request<Incoming>,
    mut health: HealthServer<H>,
) -> Result<Response<Answered>, Infallible> {
    health.call(call).await.map(|response| response.map(Answered::Other))
}

/// The body of a response.
enum Answered {
    Check(Reply),
    Other(tonic::body::Body),
}

impl Body for Answered {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        match self.get_mut() {
            Self::Check(reply) => Pin::new(reply).poll_frame(context).map_err(|never| match never {}),
            Self::Other(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Check(reply) => reply.is_end_stream(),
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Check(reply) => reply.size_hint(),
            Self::Other(body) => body.size_hint(),
        }
    }
}
