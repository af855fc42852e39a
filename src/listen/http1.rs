//! HTTP/1.1 on one connection, with an end to a peer's silence and an orderly end of our own.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::begun::Begun;

/// How long a connection is kept, and what it may bring.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// For the head of a request, from its first byte: what is slower loses its connection.
    pub head: Duration,
    /// For the head of a request, from the end of the one before; no shorter than `head`.
    pub idle: Duration,
    /// For what is in flight when the end was announced.
    pub farewell: Duration,
    /// Header lines of a request; more are answered 431.
    pub lines: usize,
    /// Bytes of a request's head; at least 8192.
    pub buffer: usize,
}

impl Default for Terms {
    fn default() -> Self {
        let head = Duration::from_secs(10);
        Self { head, idle: head, farewell: Duration::from_secs(3), lines: 100, buffer: 64 * 1024 }
    }
}

/// Answers the requests of a connection with `answer` until it ends, or until shortly after `stop`.
pub async fn converse<S, A, F, B>(stream: S, answer: A, (terms, stop): (Terms, CancellationToken))
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if terms.head < terms.idle {
        speak(Begun::new(stream, terms.head), answer, (terms, stop)).await;
    } else {
        speak(stream, answer, (terms, stop)).await;
    }
}

async fn speak<S, A, F, B>(stream: S, answer: A, (terms, stop): (Terms, CancellationToken))
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(terms.idle)
        .max_headers(terms.lines)
        .max_buf_size(terms.buffer)
        .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(terms.farewell, connection).await {
                Ok(ended) => ended,
                Err(_) => return tracing::debug!("a connection did not end in time"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
