//! A stand-in for Microsoft Entra ID on one machine: discovery, keys, client credentials, and tokens to order.
//!
//! It is for tests, demonstrations and development without a tenant. It speaks as Entra speaks where a validator or a
//! client library can tell: URLs, documents, key shapes, claims, error numbers. It opens for everyone who can reach it:
//! the control plane under `/_emulator/` mints any token without asking who wants it. So it listens on loopback unless
//! told otherwise, and then only with TLS; and tokens of its keys are worth nothing to anyone who trusts another authority.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /{tenant}/v2.0/.well-known/openid-configuration` | v2 metadata; `{tenant}` is an id, a name, `common` or `organizations` |
//! | `GET /{tenant}/.well-known/openid-configuration` | v1 metadata |
//! | `GET /{tenant}/discovery/v2.0/keys`, `/{tenant}/discovery/keys` | JWKS; v2 keys name their issuer |
//! | `POST /{tenant}/oauth2/v2.0/token` | client credentials: secret (form, Basic) or assertion (PS256, RS256) |
//! | `POST /_emulator/mint` | any token, see [`MintRequest`] |
//! | `POST /_emulator/rotate`, `/_emulator/keys` | another signing key, see [`Rotation`], [`Listed`] |
//! | `POST /_emulator/fault` | misbehaviour, see [`FaultOrder`] |
//! | `POST /_emulator/clients/{client}/keys` | one more key for assertions: `{"pem": …}` |
//! | `GET /_emulator/stats` | [`Stats`] |
//!
//! Departures from Entra: v1 issuers are `{base}/{tid}/` instead of `https://sts.windows.net/{tid}/`, since the stand-in
//! has one host; a client assertion counts once (`refuseReplay: false` in the directory turns that off); tokens are
//! signed by the current key only, while Entra has several data centres that rotate one after the other.

mod assertion;
pub mod config;
mod control;
pub mod defaults;
mod discovery;
mod grant;
mod guid;
mod http;
mod keys;
mod mint;
mod tls;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use tokio::net::TcpListener;

pub use assertion::{NotAKey, Registered};
use config::{Config, ConfigFault};
pub use control::{FaultOrder, Listed, Listing, Rotated, Rotation};
pub use keys::KeyFault;
pub use mint::{Base, MintFault, MintRequest, SignWith};
pub use tls::TlsFault;
use world::World;
pub use world::{Fault, Stats, Target};

use crate::clock::{Clock, SystemClock};

/// How to start.
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may reach it.
    pub reach: Reach,
    /// TLS with a certificate authority of its own.
    pub tls: Option<Tls>,
    /// Scheme, host and port as clients see them, if not those of `listen`. No trailing slash.
    pub base_url: Option<String>,
    /// Tenants, APIs, clients, users.
    pub directory: Config,
    /// The time that tokens are issued at.
    pub clock: Arc<dyn Clock>,
}

/// Who may reach the stand-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This machine. Another address is refused.
    Loopback,
    /// Whoever can reach the address; needs TLS.
    Network,
}

/// TLS with a certificate authority that exists for one run.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Names and addresses in the certificate, besides `localhost` and the address listened on.
    pub names: Vec<String>,
}

impl Default for Options {
    /// Plain HTTP on a free loopback port, with the built-in directory.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            reach: Reach::Loopback,
            tls: None,
            base_url: None,
            directory: defaults::config(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why the stand-in did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// The address is not of this machine alone.
    #[error(
        "`{0}` is not a loopback address; the stand-in mints any token for anyone, so say that the network may reach it"
    )]
    NotLoopback(SocketAddr),
    /// The network may reach it, but without TLS.
    #[error("`{0}` is not a loopback address; turn TLS on")]
    PlainOnNetwork(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on `{0}`: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The directory is invalid.
    #[error(transparent)]
    Directory(#[from] ConfigFault),
    /// A certificate of a client cannot be read.
    #[error("client `{0}`: {1}")]
    ClientKey(String, NotAKey),
    /// No keys.
    #[error(transparent)]
    Keys(#[from] KeyFault),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] TlsFault),
}

/// A running stand-in. Dropping it stops it without waiting.
pub struct Emulator {
    world: Arc<World>,
    address: SocketAddr,
    ca_pem: Option<String>,
}

impl Emulator {
    /// Starts the stand-in; it answers when this returns.
    ///
    /// # Errors
    /// [`StartFault`] if it may not or cannot listen, or its directory is invalid.
    pub async fn start(options: Options) -> Result<Self, StartFault> {
        let asked = options.listen;
        if !asked.ip().is_loopback() {
            match (options.reach, &options.tls) {
                (Reach::Loopback, _) => return Err(StartFault::NotLoopback(asked)),
                (Reach::Network, None) => return Err(StartFault::PlainOnNetwork(asked)),
                (Reach::Network, Some(_)) => {}
            }
        }
        options.directory.check()?;
        let listener = TcpListener::bind(asked).await.map_err(|error| StartFault::Listen(asked, error))?;
        let address = listener.local_addr().map_err(|error| StartFault::Listen(asked, error))?;
        let (acceptor, ca_pem) = match &options.tls {
            Some(tls) => Some(tls::acceptor(names(tls, address))?).unzip(),
            None => (None, None),
        };
        let world = Arc::new(world(options, address).await?);
        let router = routes(&world);
        let door = http::Door { listener, tls: acceptor };
        world.tasks.spawn(http::serve(door, Arc::clone(&world), router));
        tracing::info!(base_url = world.base, "entra stand-in listens");
        Ok(Self { world, address, ca_pem })
    }

    /// Scheme, host and port, without a trailing slash: the authority to configure.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.world.base
    }

    /// The address listened on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The PEM of the certificate authority to trust, with TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// The `kid` of the key that signs.
    #[must_use]
    pub fn kid(&self) -> String {
        self.world.ring.lock().current.kid.clone()
    }

    /// Mints a token.
    ///
    /// # Errors
    /// [`MintFault`] if the request names what does not exist.
    pub fn mint(&self, request: &MintRequest) -> Result<String, MintFault> {
        mint::mint(&self.world, request)
    }

    /// Signs with another key from here on.
    ///
    /// # Errors
    /// [`KeyFault`] if the key cannot be made.
    pub async fn rotate(&self, order: Rotation) -> Result<Rotated, KeyFault> {
        control::rotate(&self.world, order).await
    }

    /// Shows a key in the key documents or hides it; `false` if there is no such key.
    #[must_use]
    pub fn list(&self, order: &Listed) -> bool {
        control::list(&self.world, order)
    }

    /// Makes an endpoint misbehave, or behave again.
    pub fn fault(&self, order: FaultOrder) {
        *self.world.faults.lock().of(order.target) = order.fault;
    }

    /// Lets a client sign assertions with one more key, from a PEM certificate or public key.
    ///
    /// # Errors
    /// [`NotAKey`] if the PEM holds neither.
    pub fn register(&self, client_id: &str, pem: &str) -> Result<Registered, NotAKey> {
        control::register(&self.world, client_id, pem)
    }

    /// How often each endpoint was asked.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.world.stats()
    }

    /// Stops listening, ends open connections and waits for all of it.
    pub async fn shutdown(&self) {
        self.world.stop.cancel();
        self.world.tasks.close();
        self.world.tasks.wait().await;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.world.stop.cancel();
    }
}

fn names(tls: &Tls, address: SocketAddr) -> Vec<String> {
    let mut names = tls.names.clone();
    names.extend(["localhost".into(), "127.0.0.1".into(), "::1".into()]);
    names.push(address.ip().to_string());
    names.sort();
    names.dedup();
    names
}

async fn world(options: Options, address: SocketAddr) -> Result<World, StartFault> {
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    let base = options.base_url.unwrap_or_else(|| format!("{scheme}://{address}"));
    let ring = tokio::task::spawn_blocking(keys::Ring::generate).await.map_err(|_| KeyFault)??;
    let world = World::new(options.directory, base, (ring, options.clock));
    for client in &world.config.clients {
        for pem in &client.certificates {
            control::register(&world, &client.client_id, pem)
                .map_err(|fault| StartFault::ClientKey(client.name.clone(), fault))?;
        }
    }
    Ok(world)
}

fn routes(world: &Arc<World>) -> Router {
    Router::new()
        .merge(discovery::routes())
        .merge(grant::routes())
        .merge(control::routes())
        .fallback(async || StatusCode::NOT_FOUND)
        .with_state(Arc::clone(world))
}
