//! Trailers come when the check is over. Over HTTP/2 Envoy passes them on, but for those that tell who calls.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::children::{port, scratch};
use crate::envoy_process::{Bootstrap, Envoy};
use crate::raw_http::{Ask, Streams};
use crate::same_requests::POLICIES;
use crate::stack::{Ground, Link};

/// What somebody writes whose API speaks HTTP/2.
const PLAIN: &str = "    connect_timeout: 1s\n";
const HTTP2: &str = "    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
";

/// An API over HTTP/2 that tells the trailers of its requests.
async fn api() -> (SocketAddr, Receiver<HeaderMap>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, trailers) = channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, told.clone()));
        }
    });
    (address, trailers)
}

async fn serve(stream: TcpStream, told: Sender<HeaderMap>) -> Option<()> {
    let mut connection = h2::server::handshake(stream).await.ok()?;
    while let Some(Ok((request, mut answer))) = connection.accept().await {
        let told = told.clone();
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(chunk)) = body.data().await {
                body.flow_control().release_capacity(chunk.len()).ok()?;
            }
            told.send(body.trailers().await.ok()?.unwrap_or_default()).await.ok()?;
            answer.send_response(Response::new(()), true).ok().map(drop)
        });
    }
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_trailer_tells_who_calls() {
    let ground = Ground::prepare(&[("same.yaml", POLICIES)]).await;
    let at = port();
    let arguments = ["--listen-http", &format!("envoy={at}"), "--http-peer", "127.0.0.0/8"];
    let entrance = ground.entrance(Link::Tcp, &arguments).await;
    entrance.ready().await;
    for shipped in [Bootstrap::tcp(&entrance.listen), Bootstrap::http(at)] {
        let (api, mut trailers) = api().await;
        let bootstrap = shipped.patient().lax_underscores().put(PLAIN, HTTP2).upstream(api);
        let envoy = Envoy::start(bootstrap, &scratch("envoy")).await;
        let sent = ["x-entrance-roles", "x_entrance_roles", "x~entrance.roles", "x-checksum"];
        let value = || HeaderValue::from_static("Orders.Admin");
        let map = sent.into_iter().map(|name| (HeaderName::from_static(name), value())).collect();
        let ask = Ask::new("POST", "same.example.com", "/public/x");
        let streams = Streams::connect(envoy.address).await;
        let answer = streams.post(&ask, Bytes::from_static(b"abc"), map).await.unwrap();
        assert_eq!(answer.status, 200);
        let arrived = trailers.recv().await.unwrap();
        assert_eq!(arrived.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-checksum"]);
    }
}
