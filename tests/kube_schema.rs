//! The API server takes our definitions, and accepts and rejects what the compiler does.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/api_server.rs"]
mod api_server;

use api_server::ApiServer;

#[tokio::test]
async fn the_definitions_are_established() {
    let server = ApiServer::shared().await;
    let _ = server.namespace("x").await;
}
