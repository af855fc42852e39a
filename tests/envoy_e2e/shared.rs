//! The stacks that tests share. None of these tests may change what the others see.

use std::future::Future;

use tokio::sync::OnceCell;

use crate::children::runtime;
use crate::envoy_process::Bootstrap;
use crate::stack::{Link, Stack};

pub(crate) const PATHS: &str = "paths.example.com";
pub(crate) const PREFLIGHT: &str = "preflight.example.com";
pub(crate) const SHADOW: &str = "shadow.example.com";
pub(crate) const NO_KEYS: &str = "no-keys.example.com";

/// The policies of the shared stacks.
pub(crate) const POLICIES: (&str, &str) = ("more.yaml", include_str!("../cases/envoy_policies.yaml"));

/// Runs a test on the runtime that shared stacks live on.
pub(crate) fn run(test: impl Future<Output = ()>) {
    runtime().block_on(test);
}

/// Envoy as shipped, over TCP.
pub(crate) async fn tcp() -> &'static Stack {
    static STACK: OnceCell<Stack> = OnceCell::const_new();
    STACK.get_or_init(|| start(Link::Tcp, Bootstrap::patient)).await
}

/// Envoy as shipped, over a Unix socket.
pub(crate) async fn unix() -> &'static Stack {
    static STACK: OnceCell<Stack> = OnceCell::const_new();
    STACK.get_or_init(|| start(Link::Unix, Bootstrap::patient)).await
}

/// An Envoy that lets pass what it can: Entrance is alone.
pub(crate) async fn careless() -> &'static Stack {
    static STACK: OnceCell<Stack> = OnceCell::const_new();
    STACK.get_or_init(|| start(Link::Tcp, |bootstrap| bootstrap.patient().lax_underscores().careless_paths())).await
}

async fn start(link: Link, adjust: impl FnOnce(Bootstrap) -> Bootstrap) -> Stack {
    let stack = Stack::adjusted(link, &[POLICIES], adjust).await;
    // An authority that never answers would keep a server that starts with it from becoming ready.
    let former = stack.entrance.generation().await;
    stack.policies.write("no-keys.yaml", include_str!("../cases/envoy_no_keys.yaml"));
    stack.generation_after(former).await;
    stack
}
