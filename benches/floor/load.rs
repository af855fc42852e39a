//! Sends the checks of a file, each once or all in turn: 8 connections with 16 streams each, like h2load, which can send one
//! body only.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use h2::client::SendRequest;
use http::Request;
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 8;
const STREAMS: usize = 16;
const CHECK: &str = "http://floor/envoy.service.auth.v3.Authorization/Check";

/// Prints how many checks were sent, as many as asked or each once, and how many of them were permitted.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn load(address: &str, file: &Path, count: Option<usize>) {
    let checks: Arc<[Bytes]> = frames(std::fs::read(file).unwrap().into()).into();
    let count = count.unwrap_or(checks.len());
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        connections.spawn(connection);
        for _ in 0..STREAMS {
            workers.spawn(work(client.clone(), (Arc::clone(&checks), count), Arc::clone(&next)));
        }
    }
    let mut permits = 0;
    while let Some(more) = workers.join_next().await {
        permits += more.unwrap();
    }
    println!("{count} {permits}");
}

fn frames(mut all: Bytes) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while !all.is_empty() {
        let length = u32::from_be_bytes([all[1], all[2], all[3], all[4]]);
        frames.push(all.split_to(usize::try_from(length).unwrap() + 5));
    }
    frames
}

async fn work(client: SendRequest<Bytes>, (checks, count): (Arc<[Bytes]>, usize), next: Arc<AtomicUsize>) -> usize {
    let mut permits = 0;
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= count {
            return permits;
        }
        permits += usize::from(permitted(&client, checks[at % checks.len()].clone()).await);
    }
}

async fn permitted(client: &SendRequest<Bytes>, check: Bytes) -> bool {
    let request =
        Request::post(CHECK).header("content-type", "application/grpc").header("te", "trailers").body(()).unwrap();
    let mut client = client.clone().ready().await.unwrap();
    let (response, mut stream) = client.send_request(request, false).unwrap();
    stream.send_data(check, true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let mut whole = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
        whole.extend_from_slice(&part);
    }
    body.trailers().await.unwrap();
    let answer = CheckResponse::decode(&whole[5..]).unwrap();
    answer.status.is_some_and(|status| status.code == 0)
}
