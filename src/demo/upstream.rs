//! The example API: answers every request with what it received, as a service behind Envoy sees it.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::response::Json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::DemoError;

/// A running example API.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Upstream {
    pub(super) async fn start() -> Result<Self, DemoError> {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.map_err(|e| DemoError::failed("bind the example API", &e))?;
        let address = listener.local_addr().map_err(|e| DemoError::failed("bind the example API", &e))?;
        let app = Router::new().fallback(echo);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "example API ended");
            }
        });
        Ok(Self { address, task })
    }

    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

async fn echo(request: Request) -> Json<serde_json::Value> {
    let identity: serde_json::Map<String, serde_json::Value> = request
        .headers()
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-entrance-"))
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    Json(serde_json::json!({
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "identity": identity,
    }))
}
