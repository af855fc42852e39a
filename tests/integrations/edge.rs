//! A proxy that asks over HTTP, with Entrance beside it and an API behind.

use std::net::SocketAddr;
use std::path::Path;

use crate::children::port;
use crate::entrance_process::Entrance;
use crate::envoy_process::{Bootstrap, Envoy};
use crate::proxy_process::{Kind, Neighbours, PATIENT, Proxy, Slip};
use crate::same_requests::{Column, POLICIES, Way};
use crate::stack::{Ground, Link};

/// Paths that lead astray must not lead from what everybody may see to what nobody without a role may see.
const ASTRAY: &str = include_str!("../cases/envoy_policies.yaml");

/// A proxy with Entrance beside it and the API behind.
pub(crate) struct Edge {
    pub(crate) ground: Ground,
    pub(crate) entrance: Entrance,
    pub(crate) proxy: Door,
}

/// What clients talk to.
pub(crate) enum Door {
    Envoy(Envoy),
    Other(Proxy),
}

impl Door {
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Envoy(envoy) => envoy.address,
            Self::Other(proxy) => proxy.address,
        }
    }
}

impl Edge {
    /// Starts everything; no kind is Envoy.
    pub(crate) async fn start(kind: Option<Kind>) -> Self {
        Self::careless(kind, &[]).await
    }

    /// Starts everything, with slips in the proxy's files.
    pub(crate) async fn careless(kind: Option<Kind>, slips: &[Slip<'_>]) -> Self {
        let patient = if kind.is_some() { &PATIENT[..] } else { &[] };
        Self::exactly(kind, &[slips, patient].concat()).await
    }

    /// Starts everything, with slips in the proxy's files and no patience.
    pub(crate) async fn exactly(kind: Option<Kind>, slips: &[Slip<'_>]) -> Self {
        let ground = Ground::prepare(&[("same.yaml", POLICIES), ("astray.yaml", ASTRAY)]).await;
        let at = port();
        let listen = format!("{}={at}", kind.map_or("envoy", Kind::dialect));
        let entrance = ground.entrance(Link::Tcp, &["--listen-http", &listen, "--http-peer", "127.0.0.0/8"]).await;
        entrance.ready().await;
        let proxy = match kind {
            None => {
                let shipped = Bootstrap::http(at).patient().shown("x-department");
                let slipped = slips.iter().fold(shipped, |bootstrap, (old, new)| bootstrap.put(old, new));
                Door::Envoy(ground.envoy(slipped).await)
            }
            Some(kind) => {
                let neighbours = Neighbours { entrance: at, upstream: ground.upstream.address };
                Door::Other(Proxy::start(kind, &neighbours, slips).await)
            }
        };
        Self { ground, entrance, proxy }
    }

    /// The same requests through it.
    pub(crate) async fn walk(&self) -> Column {
        self.way(&self.entrance.audit_log()).walk().await
    }

    pub(crate) fn way<'a>(&'a self, audit: &'a Path) -> Way<'a> {
        let Ground { upstream, emulator, .. } = &self.ground;
        Way { address: self.proxy.address(), upstream, audit, emulator }
    }
}
