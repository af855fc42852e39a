//! An API server that does not know a kind for a moment, as one of several does that lags behind: what was listed stands.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::convert::Infallible;
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
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const DEADLINE: Duration = Duration::from_secs(60);

/// What was asked for HTTPRoutes.
#[derive(Default)]
struct Server {
    lists: AtomicUsize,
    watches: AtomicUsize,
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
    /// Lists in pages only. The second watch of HTTPRoutes is told that there is no such kind.
    fn respond(&self, uri: &http::Uri) -> Response<Body> {
        let query = uri.query().unwrap_or_default();
        let routes = uri.path().ends_with("/httproutes");
        let watches = query.contains("watch=true") || query.contains("watch=1");
        if query.contains("sendInitialEvents") {
            return refusal(422);
        }
        if watches {
            return match (routes, routes.then(|| self.watches.fetch_add(1, Ordering::SeqCst))) {
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
            self.lists.fetch_add(1, Ordering::SeqCst);
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

#[tokio::test]
async fn a_kind_that_is_unknown_for_a_moment_is_listed_anew_and_nothing_is_lost() {
    let server = Arc::new(Server::default());
    let (service, stop, tasks) = (Arc::clone(&server), CancellationToken::new(), TaskTracker::new());
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let response = service.respond(request.uri());
        async move { Ok::<_, Infallible>(response) }
    });
    let client = Client::new(service, "default");
    let mut states = mirror::run((&client, &[]), Arc::new(SystemClock), &stop, &tasks);
    let seen = tokio::time::timeout(DEADLINE, states.wait_for(|state| routes(state).is_some())).await;
    assert_eq!(routes(&seen.unwrap().unwrap()), Some(1));
    let listed_anew = async {
        while server.lists.load(Ordering::SeqCst) < 2 {
            states.changed().await.unwrap();
            assert_eq!(routes(&states.borrow()), Some(1), "a route was lost");
        }
        while !states.borrow().failing.is_empty() {
            states.changed().await.unwrap();
            assert_eq!(routes(&states.borrow()), Some(1), "a route was lost");
        }
    };
    let listed = tokio::time::timeout(DEADLINE, listed_anew).await;
    assert!(listed.is_ok(), "HTTPRoutes were not listed anew after {} watches", server.watches.load(Ordering::SeqCst));
    stop.cancel();
}
