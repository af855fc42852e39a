//! One listener: who may ask, and each question from its bytes to its answer.

use std::convert::Infallible;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authorize::ports::Decide;
use crate::clock::Stopwatch;
use crate::listen::gate::Bounds;
use crate::listen::http1::{self, Terms};
use crate::listen::peers::Peers;
use crate::listen::places::Places;
use crate::listen::{Connection, Listen, Listener};
use crate::policy::decide::Verdict;
use crate::recorder::Recorder;

use super::answer::{answer, last_resort};
use super::dialect::Dialect;
use super::original::{Original, marks};

/// Longer than proxies keep an idle connection, so that it is they who close it and no question is lost: Traefik 90 seconds,
/// nginx 60, Caddy 120. Envoy keeps one for an hour unless its cluster says less, as that of our example does.
const IDLE: Duration = Duration::from_secs(180);
/// Header lines of a question: a client's hundred, and what the proxy adds.
const LINES: usize = 256;
/// Bytes of a question's head: the 60 KiB that Envoy takes from a client unless told otherwise, and what the proxy adds.
const BUFFER: usize = 64 * 1024;

/// How a listener is set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How questions are asked.
    pub dialect: Dialect,
    /// Who may ask over TCP.
    pub peers: Peers,
    /// What its connections may take.
    pub bounds: Bounds,
    /// For a question's head, from its first byte.
    pub head: Duration,
    /// The longest that a question may wait for keys.
    pub patience: Duration,
    /// Between the news that shutdown begins and the end of idle connections.
    pub drain_delay: Duration,
    /// For what is in flight after that.
    pub drain_deadline: Duration,
}

/// A server that listens already.
pub struct Server {
    listener: Listener,
    settings: Settings,
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

    /// Serves until `shutdown` is cancelled and what was in flight is answered.
    pub async fn serve<D: Decide>(self, recorder: Recorder<D>, shutdown: CancellationToken) {
        let Self { listener, settings } = self;
        let Settings { dialect, peers, head, patience, drain_delay, drain_deadline, .. } = settings;
        let terms = Terms { head, idle: IDLE, farewell: drain_deadline, lines: LINES, buffer: BUFFER };
        let desk = Arc::new(Desk { recorder, dialect, patience });
        let (connections, goaway) = (TaskTracker::new(), CancellationToken::new());
        let ending = async {
            shutdown.cancelled().await;
            tokio::time::sleep(drain_delay).await;
        };
        let connect = |connection| {
            connections.spawn(connected(connection, Arc::clone(&desk), (terms, goaway.clone())));
        };
        tokio::select! {
            never = accept((&listener, &peers), dialect, connect) => match never {},
            () = ending => {}
        }
        drop(listener);
        goaway.cancel();
        connections.close();
        connections.wait().await;
    }
}

/// Hands connections of those who may ask to `connect`.
async fn accept(
    (listener, peers): (&Listener, &Peers),
    dialect: Dialect,
    connect: impl Fn(Box<dyn Connection>),
) -> Infallible {
    let mut told = false;
    loop {
        match listener.accept().await {
            (connection, peer) if peers.admit(peer) => connect(connection),
            // each stranger once would let strangers fill the log
            (_, peer) if !told => {
                told = true;
                tracing::warn!(?peer, %dialect, "refused a peer that `--http-peer` does not name; further ones are not told");
            }
            (_, peer) => tracing::debug!(?peer, "refused a peer"),
        }
    }
}

async fn connected<D: Decide>(connection: Box<dyn Connection>, desk: Arc<Desk<D>>, terms: (Terms, CancellationToken)) {
    let answer = move |question: Request<Incoming>| {
        let desk = Arc::clone(&desk);
        async move { Ok(desk.answer(question).await) }
    };
    http1::converse(connection, answer, terms).await;
}

/// Where questions are answered.
struct Desk<D> {
    recorder: Recorder<D>,
    dialect: Dialect,
    patience: Duration,
}

impl<D: Decide> Desk<D> {
    async fn answer(&self, question: Request<Incoming>) -> Response<Body> {
        let answered = AssertUnwindSafe(self.decided(question)).catch_unwind().await;
        answered.unwrap_or_else(|_| {
            self.recorder.panicked();
            last_resort(self.dialect)
        })
    }

    async fn decided(&self, question: Request<Incoming>) -> Response<Body> {
        let watch = Stopwatch::start();
        let (asked, _) = question.into_parts();
        if length(&asked) > BUFFER {
            return too_long();
        }
        let decision = match Original::read(self.dialect, &asked) {
            Err(fault) => self.recorder.refuse(Verdict::malformed(fault), (marks(&asked.headers), watch)),
            Ok(original) => match self.recorder.decide_now(original, watch) {
                Ok((decision, _)) => decision,
                Err(undecided) => self.recorder.decide_later(undecided, self.patience).await.0,
            },
        };
        answer(decision, self.dialect)
    }
}

/// Bytes of a head. What comes in pieces is refused as soon as it is longer than the buffer, what comes at once may be read
/// before it is counted.
fn length(asked: &Parts) -> usize {
    const LINE: usize = ": \r\n".len();
    let first =
        [asked.method.as_str(), " ", asked.uri.path_and_query().map_or("", PathAndQuery::as_str), " HTTP/1.1\r\n"];
    let lines = asked.headers.iter().map(|(name, value)| [name.as_str().len(), value.len(), LINE]);
    let all = first.map(str::len).into_iter().chain(lines.flatten());
    all.fold("\r\n".len(), usize::saturating_add)
}

/// As hyper answers a head that is longer than its buffer.
fn too_long() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    response
}
