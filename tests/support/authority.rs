//! An authority under test control: what it answers is set from outside, and every question is counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use entrance::identity::{Guid, TenantId};
use entrance::token::cloud::{CustomAuthority, Issuer};
use entrance::token::{Discovery, Version};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The tenant of the documents.
pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";

/// What an address answers.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A document.
    Json(Value),
    /// A body of any kind.
    Text(String),
    /// A status without a body.
    Status(u16),
    /// A redirect.
    Redirect(String),
    /// A document after a while.
    Late(Duration, Value),
}

/// The server. Ends when dropped.
pub(crate) struct Authority {
    pub(crate) base: String,
    told: Arc<Told>,
    stop: CancellationToken,
}

struct Told {
    metadata: Mutex<Answer>,
    jwks: Mutex<Answer>,
    asked: [AtomicU64; 3],
}

impl Authority {
    /// Starts with good metadata and one key, `a`.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let told = Arc::new(Told {
            metadata: Mutex::new(Answer::Json(metadata(&base))),
            jwks: Mutex::new(Answer::Json(keys(&["a"]))),
            asked: Default::default(),
        });
        let stop = CancellationToken::new();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&told));
        let ended = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(ended).await });
        Self { base, told, stop }
    }

    /// The source that this server is.
    pub(crate) fn source(&self) -> Arc<Discovery> {
        let authority = CustomAuthority::parse(&self.base).unwrap();
        Issuer::Custom(authority).discovery(tenant(), Version::V2)
    }

    pub(crate) fn metadata(&self, answer: Answer) {
        *self.told.metadata.lock().unwrap() = answer;
    }

    pub(crate) fn jwks(&self, answer: Answer) {
        *self.told.jwks.lock().unwrap() = answer;
    }

    /// Lists keys of these ids.
    pub(crate) fn list(&self, kids: &[&str]) {
        self.jwks(Answer::Json(keys(kids)));
    }

    /// How often metadata, keys and anything else were asked for.
    pub(crate) fn asked(&self) -> [u64; 3] {
        std::array::from_fn(|at| self.told.asked[at].load(Ordering::SeqCst))
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn tenant() -> TenantId {
    Guid::parse(TENANT).unwrap()
}

/// Good metadata of a server at `base`.
pub(crate) fn metadata(base: &str) -> Value {
    json!({
        "issuer": format!("{base}/{TENANT}/v2.0"),
        "jwks_uri": format!("{base}/{TENANT}/discovery/v2.0/keys"),
        "cloud_instance_name": "test",
    })
}

/// A key document with keys of these ids.
pub(crate) fn keys(kids: &[&str]) -> Value {
    json!({ "keys": kids.iter().map(|kid| key(kid)).collect::<Vec<_>>() })
}

/// A usable key of this id: 2048 bits, exponent 65537.
pub(crate) fn key(kid: &str) -> Value {
    let modulus = "w".repeat(342);
    json!({"kty": "RSA", "use": "sig", "kid": kid, "x5t": kid, "n": modulus, "e": "AQAB"})
}

async fn answer(State(told): State<Arc<Told>>, request: Request) -> Response {
    let path = request.uri().path();
    let (at, answer) = if path.ends_with("/openid-configuration") {
        (0, told.metadata.lock().unwrap().clone())
    } else if path.ends_with("/keys") {
        (1, told.jwks.lock().unwrap().clone())
    } else {
        (2, Answer::Json(keys(&["elsewhere"])))
    };
    told.asked[at].fetch_add(1, Ordering::SeqCst);
    match answer {
        Answer::Json(document) => document.to_string().into_response(),
        Answer::Text(text) => text.into_response(),
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Answer::Late(delay, document) => {
            tokio::time::sleep(delay).await;
            document.to_string().into_response()
        }
    }
}
