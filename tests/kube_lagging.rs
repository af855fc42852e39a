//! An API server that does not know a kind for a moment, as one of several does that lags behind: what was listed stands.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use entrance::api::object::{Kind, Resources};
use entrance::clock::SystemClock;
use entrance::cluster::mirror::{self, Mirrored};
use http::{Request, Response, StatusCode};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const DEADLINE: Duration = Duration::from_secs(60);

/// What was asked for HTTPRoutes, and how that is answered.
#[derive(Default)]
struct Server {
    lists: AtomicUsize,
    watches: AtomicUsize,
    /// The code with which lists are refused, and which of them.
    refused: Option<(u16, Range<usize>)>,
    /// The first watch ends, and the second one is told that there is no such kind.
    forgets: bool,
}

fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body.to_string())).unwrap()
}

fn refusal(code: u16) -> Response<Body> {
    let status = StatusCode::from_u16(code).unwrap();
    answer(
        status,
        &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no", "reason": "x"}),
    )
}

impl Server {
    /// Lists in pages only.
    fn respond(&self, uri: &http::Uri) -> Response<Body> {
        let query = uri.query().unwrap_or_default();
        let routes = uri.path().ends_with("/httproutes");
        let watches = query.contains("watch=true") || query.contains("watch=1");
        if query.contains("sendInitialEvents") {
            return refusal(422);
        }
        if watches {
            return match (routes && self.forgets, routes.then(|| self.watches.fetch_add(1, Ordering::SeqCst))) {
                (true, Some(1)) => refusal(404),
                (true, Some(0)) => Response::new(Body::empty()),
                _ => Response::new(Body::from_stream(
                    futures_util::stream::pending::<Result<bytes::Bytes, Infallible>>(),
                )),
            };
        }
        let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "orders", "namespace": "shop", "uid": "1", "resourceVersion": "7"}, "spec": {}});
        let items = if routes { vec![route] } else { Vec::new() };
        if routes {
            let list = self.lists.fetch_add(1, Ordering::SeqCst);
            if let Some((code, _)) = self.refused.as_ref().filter(|(_, lists)| lists.contains(&list)) {
                return refusal(*code);
            }
        }
        answer(
            StatusCode::OK,
            &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items}),
        )
    }
}

fn routes(mirrored: &Mirrored) -> Option<usize> {
    mirrored.resources.as_deref().map(|resources: &Resources| resources.of(Kind::HttpRoute).count())
}

/// A mirror of a server.
fn mirror(server: &Arc<Server>, stop: &CancellationToken) -> watch::Receiver<Mirrored> {
    let service = Arc::clone(server);
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let response = service.respond(request.uri());
        async move { Ok::<_, Infallible>(response) }
    });
    let client = Client::new(service, "default");
    mirror::run((&client, &[]), Arc::new(SystemClock), stop, &TaskTracker::new())
}

/// The first state, and when it came.
async fn first(states: &mut watch::Receiver<Mirrored>) -> (Mirrored, Duration) {
    let began = Instant::now();
    let seen = tokio::time::timeout(DEADLINE, states.wait_for(|state| routes(state).is_some())).await;
    (seen.unwrap().unwrap().clone(), began.elapsed())
}

#[tokio::test]
async fn a_kind_that_is_unknown_for_a_moment_is_listed_anew_and_nothing_is_lost() {
    for refused in [None, Some((404, 1..3)), Some((403, 1..3))] {
        let server = Arc::new(Server { refused: refused.clone(), forgets: true, ..Server::default() });
        let stop = CancellationToken::new();
        let mut states = mirror(&server, &stop);
        let (state, _) = first(&mut states).await;
        assert_eq!(routes(&state), Some(1));
        let mut failed = !state.failing.is_empty();
        let listed_anew = async {
            while server.lists.load(Ordering::SeqCst) < 4 - if refused.is_none() { 2 } else { 0 }
                || !states.borrow().failing.is_empty()
            {
                states.changed().await.unwrap();
                assert_eq!(routes(&states.borrow()), Some(1), "a route was lost: {refused:?}");
                failed |= !states.borrow().failing.is_empty();
            }
        };
        let listed = tokio::time::timeout(DEADLINE, listed_anew).await;
        assert!(listed.is_ok(), "not listed anew after {} watches", server.watches.load(Ordering::SeqCst));
        assert!(failed, "nothing was said: {refused:?}");
        stop.cancel();
    }
}

#[tokio::test]
async fn a_kind_that_is_refused_at_the_start_is_waited_for_and_then_counts_as_none() {
    for code in [403, 404] {
        let stop = CancellationToken::new();
        let briefly = Arc::new(Server { refused: Some((code, 0..2)), ..Server::default() });
        let (state, _) = first(&mut mirror(&briefly, &stop)).await;
        assert_eq!((routes(&state), state.missing), (Some(1), Vec::new()), "{code}");
        let always = Arc::new(Server { refused: Some((code, 0..usize::MAX)), ..Server::default() });
        let (state, took) = first(&mut mirror(&always, &stop)).await;
        assert_eq!((routes(&state), state.missing), (Some(0), Vec::new()), "{code}");
        assert!(took >= Duration::from_secs(2), "{code}: {took:?}");
        // our own kinds are another matter, and what may be read later is
        let later = Arc::new(Server { refused: Some((code, 0..40)), ..Server::default() });
        let mut states = mirror(&later, &stop);
        assert_eq!(routes(&first(&mut states).await.0), Some(0), "{code}");
        let seen = tokio::time::timeout(DEADLINE, states.wait_for(|state| routes(state) == Some(1))).await;
        assert!(seen.is_ok(), "{code}: never listed");
        drop(seen);
        stop.cancel();
    }
}
