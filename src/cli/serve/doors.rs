//! The ports: one server for each `--listen` and `--listen-http`, and the admin port.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::envoy::server::{Server, Settings, Signals};
use crate::envoy::service::Limits;
use crate::forward_auth::server::{Server as HttpServer, Settings as HttpSettings};
use crate::listen::Listen;
use crate::listen::gate::Bounds;
use crate::listen::http1::Terms;
use crate::listen::peers::Peers;
use crate::listen::places::Places;

use super::super::UsageError;
use super::super::args::ServeArgs;
use super::super::descriptors;
use super::super::ports::{announce, bind, taken};
use super::parts::Parts;
use super::status::Status;

/// Ports that are bound: nobody else can have them, and nobody is answered yet.
pub(super) struct Doors {
    servers: Vec<Server>,
    asked: Vec<HttpServer>,
    admin: TcpListener,
}

impl Doors {
    /// Binds all ports.
    pub(super) async fn bind(args: &ServeArgs) -> Result<Self, UsageError> {
        let bounds = bounds(args);
        let settings = Settings {
            bounds,
            drain_delay: Duration::from_secs(args.drain_delay),
            drain_deadline: Duration::from_secs(args.drain_timeout),
            ..Settings::default()
        };
        let mut servers = Vec::new();
        for listen in &args.listen {
            let bound = Server::bind(listen, settings).await;
            servers.push(bound.map_err(|error| taken(("--listen", listen), &error))?);
        }
        let asked = asked(args, bounds).await?;
        let admin = bind("--admin", args.admin).await?;
        Ok(Self { servers, asked, admin })
    }

    /// The places of each port, by its address.
    pub(super) fn places(&self) -> Vec<(String, Arc<Places>)> {
        let checked = self.servers.iter().map(|server| (server.address(), server.places()));
        let asked = self.asked.iter().map(|server| (server.address(), server.places()));
        let name = |address: io::Result<Listen>| address.map_or_else(|error| error.to_string(), |at| at.to_string());
        checked.chain(asked).map(|(address, places)| (name(address), Arc::clone(places))).collect()
    }

    /// Answers on all of them. `ready` tells the servers when there are policies.
    pub(super) fn open(self, (parts, status): (&Parts, Arc<Status>), ready: watch::Receiver<bool>) -> Open {
        let (shutdown, last) = (CancellationToken::new(), CancellationToken::new());
        let mut serving = JoinSet::new();
        for server in self.servers {
            announce("ext_authz", server.address());
            let signals = Signals { ready: ready.clone(), shutdown: shutdown.clone() };
            serving.spawn(server.serve(parts.service(), signals));
        }
        for server in self.asked {
            announce("forward_auth", server.address());
            serving.spawn(server.serve(parts.recorder(), shutdown.clone()));
        }
        announce("admin", self.admin.local_addr());
        let router = admin::router(status, Arc::clone(&parts.metrics));
        let mut admin = JoinSet::new();
        admin.spawn(admin::serve(self.admin, router, last.clone()));
        Open { serving, admin, shutdown, last }
    }
}

fn bounds(args: &ServeArgs) -> Bounds {
    let wanted = usize::try_from(args.max_connections).unwrap_or(usize::MAX);
    let listeners = args.listen.len().saturating_add(args.listen_http.len());
    descriptors::bounds(wanted, listeners)
}

/// Binds the ports for proxies that ask over HTTP.
async fn asked(args: &ServeArgs, bounds: Bounds) -> Result<Vec<HttpServer>, UsageError> {
    let peers = Peers::new(args.http_peers.clone());
    let mut servers = Vec::new();
    for ask in &args.listen_http {
        if matches!(ask.listen, Listen::Tcp(_)) && args.http_peers.is_empty() {
            return Err(UsageError::new(format!(
                "--listen-http: `{ask}` would believe everybody who can connect; name the proxies with \
                 `--http-peer 10.0.0.0/8`, or listen on `unix:PATH`"
            )));
        }
        let settings = HttpSettings {
            dialect: ask.dialect,
            peers: peers.clone(),
            bounds,
            head: Terms::default().head,
            patience: Limits::default().patience,
            drain_delay: Duration::from_secs(args.drain_delay),
            drain_deadline: Duration::from_secs(args.drain_timeout),
        };
        let bound = HttpServer::bind(&ask.listen, settings).await;
        servers.push(bound.map_err(|error| taken(("--listen-http", &ask.listen), &error))?);
    }
    Ok(servers)
}

/// Ports that are answered.
pub(super) struct Open {
    serving: JoinSet<()>,
    admin: JoinSet<()>,
    shutdown: CancellationToken,
    last: CancellationToken,
}

impl Open {
    /// Waits until a port is no longer answered, which nobody asked for.
    pub(super) async fn ended(&mut self) {
        tokio::select! {
            Some(ended) = self.serving.join_next() => complain("ext_authz", ended),
            Some(ended) = self.admin.join_next() => complain("admin", ended),
        }
    }

    /// Drains the servers, then closes the admin port.
    pub(super) async fn close(mut self) {
        self.shutdown.cancel();
        while self.serving.join_next().await.is_some() {}
        self.last.cancel();
        // A client that keeps its connection open must not keep the process.
        let closed = async { while self.admin.join_next().await.is_some() {} };
        let (Ok(()) | Err(_)) = tokio::time::timeout(Duration::from_secs(1), closed).await;
    }
}

fn complain(port: &'static str, ended: Result<(), JoinError>) {
    let why = match ended {
        Ok(()) => "without an error".to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::error!(port, why, "a port is no longer answered");
}
