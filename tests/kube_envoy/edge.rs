//! A real proxy with a server of ours behind it, and an API that keeps what reaches it.

use std::any::Any;
use std::net::SocketAddr;

use k8s_openapi::jiff::Timestamp;

use crate::children::{scratch, until};
use crate::envoy_process::{Bootstrap, Envoy};
use crate::proxy_process::{Kind, Neighbours, PATIENT, Proxy};
use crate::raw_http::{Ask, http1, probe};
use crate::scene::Running;
use crate::upstream::Upstream;

/// One way from a client to the API.
pub(crate) struct Edge {
    name: &'static str,
    address: SocketAddr,
    upstream: Upstream,
    /// What has to go on for it.
    _held: Vec<Box<dyn Any + Send + Sync>>,
}

/// The second that it is.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}

impl Edge {
    /// Puts an Envoy before a server.
    pub(crate) async fn before(name: &'static str, server: Running) -> Self {
        let edge = Self::envoy(name, Bootstrap::tcp(&server.address())).await;
        Self { _held: edge._held.into_iter().chain([Box::new(server) as Box<_>]).collect(), ..edge }
    }

    /// An Envoy before a server that somebody else keeps.
    pub(crate) async fn envoy(name: &'static str, bootstrap: Bootstrap) -> Self {
        let upstream = Upstream::start().await;
        let envoy = Envoy::start(bootstrap.patient().upstream(upstream.address), &scratch("edge")).await;
        Self { name, address: envoy.address, upstream, _held: vec![Box::new(envoy)] }
    }

    /// Another proxy before a server that somebody else keeps.
    pub(crate) async fn proxy(kind: Kind, entrance: SocketAddr) -> Self {
        let upstream = Upstream::start().await;
        let proxy = Proxy::start(kind, &Neighbours { entrance, upstream: upstream.address }, &PATIENT).await;
        Self { name: kind.dialect(), address: proxy.address, upstream, _held: vec![Box::new(proxy)] }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The outcome of one more such request. It reached the API if it came out well, and only then.
    async fn ask(&self, ask: &Ask) -> String {
        let ask = Ask { probe: probe(), ..ask.clone() };
        let outcome = http1(self.address, &ask).await.outcome();
        let reached = self.upstream.received(&ask.probe).len();
        assert_eq!(reached, usize::from(outcome == "200"), "{}: {outcome} for {ask:?}", self.name);
        outcome
    }

    /// Waits until a request has this outcome.
    pub(crate) async fn becomes(&self, ask: &Ask, outcome: &str) {
        let mut last = String::new();
        let what = format!("{}: {outcome} for {ask:?}", self.name);
        until(&what, async || {
            last = self.ask(ask).await;
            (last == outcome).then_some(())
        })
        .await;
    }

    /// A request has this outcome already.
    pub(crate) async fn refuses(&self, ask: &Ask, outcome: &str) {
        assert_eq!(self.ask(ask).await, outcome, "{}: {ask:?}", self.name);
    }

    /// Goes on asking: it comes to be permitted, stays so until this second, and not a moment longer.
    pub(crate) async fn until(&self, ask: &Ask, end: i64) {
        self.becomes(ask, "200").await;
        assert!(now() < end, "{}: too late to see it end", self.name);
        let (mut before, mut after) = (0, 0);
        while after < 50 {
            let asked = now();
            let outcome = self.ask(ask).await;
            let answered = now();
            // what was asked before the end and answered after it may have come out either way
            if answered < end {
                assert_eq!(outcome, "200", "{}: it ended too early", self.name);
                before += 1;
            } else if asked >= end {
                assert_eq!(outcome, "403 role_missing", "{}: it went on after its end", self.name);
                after += 1;
            }
        }
        assert!(before > 0, "{}", self.name);
    }
}
