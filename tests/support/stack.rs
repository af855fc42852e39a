//! Everything between a client and an API: the Entra stand-in, Entrance, Envoy, an upstream, and policies in files.

use std::path::PathBuf;

use entrance::emulator::{Emulator, MintRequest, Options};

use crate::children::{port, scratch, until};
use crate::entrance_process::{Entrance, Settings};
use crate::envoy_process::{Bootstrap, Envoy};
use crate::raw_http::{Answer, Ask, http1};
use crate::upstream::Upstream;

/// The host of the example policies.
pub(crate) const ORDERS: &str = "orders.example.com";

/// How Envoy reaches Entrance.
#[derive(Clone, Copy)]
pub(crate) enum Link {
    Tcp,
    Unix,
}

/// The policies of one stack: a directory that Entrance watches.
#[derive(Clone)]
pub(crate) struct Policies {
    directory: PathBuf,
    drafts: PathBuf,
    authority: String,
}

impl Policies {
    /// Writes a file in one step. The authority of the examples becomes the stand-in.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let draft = self.drafts.join(name);
        std::fs::write(&draft, text.replace("http://127.0.0.1:8080", &self.authority)).unwrap();
        std::fs::rename(draft, self.directory.join(name)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.directory.join(name)).unwrap();
    }
}

/// The shipped policies.
pub(crate) const APPLICATION: &str = include_str!("../../examples/orders/application.yaml");
pub(crate) const POLICY: &str = include_str!("../../examples/orders/policy.yaml");

/// Everything, running.
pub(crate) struct Stack {
    pub(crate) emulator: Emulator,
    pub(crate) upstream: Upstream,
    pub(crate) policies: Policies,
    pub(crate) entrance: Entrance,
    pub(crate) envoy: Envoy,
}

/// Everything but Envoy and Entrance, which tests start in their own way.
pub(crate) struct Ground {
    pub(crate) emulator: Emulator,
    pub(crate) upstream: Upstream,
    pub(crate) policies: Policies,
    directory: PathBuf,
}

impl Ground {
    /// The shipped policies and files of the test's own.
    pub(crate) async fn prepare(files: &[(&str, &str)]) -> Self {
        let directory = scratch("stack");
        let [policies, drafts] = ["policies", "drafts"].map(|name| directory.join(name));
        for made in [&policies, &drafts] {
            std::fs::create_dir(made).unwrap();
        }
        let emulator = Emulator::start(Options { listen: port(), ..Options::default() }).await.unwrap();
        let policies = Policies { directory: policies, drafts, authority: emulator.base_url().to_owned() };
        for (name, text) in [("application.yaml", APPLICATION), ("policy.yaml", POLICY)].iter().chain(files) {
            policies.write(name, text);
        }
        Self { emulator, upstream: Upstream::start().await, policies, directory }
    }

    /// Starts Entrance.
    pub(crate) async fn entrance(&self, link: Link, arguments: &[&str]) -> Entrance {
        let directory = scratch("entrance");
        let listen = match link {
            Link::Tcp => port().to_string(),
            Link::Unix => format!("unix:{}", directory.join("s").display()),
        };
        let policies = self.policies.directory.clone();
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Entrance::start(Settings { directory, policies, listen, arguments }).await
    }

    /// Starts Envoy in front of the upstream.
    pub(crate) async fn envoy(&self, bootstrap: Bootstrap) -> Envoy {
        Envoy::start(bootstrap.upstream(self.upstream.address), &self.directory).await
    }
}

impl Stack {
    /// Starts everything, ready.
    pub(crate) async fn start(link: Link) -> Self {
        Self::adjusted(link, &[], Bootstrap::patient).await
    }

    /// Starts everything, ready, with policies and settings of Envoy of the test's own.
    pub(crate) async fn adjusted(
        link: Link,
        files: &[(&str, &str)],
        adjust: impl FnOnce(Bootstrap) -> Bootstrap,
    ) -> Self {
        let ground = Ground::prepare(files).await;
        let entrance = ground.entrance(link, &[]).await;
        entrance.ready().await;
        Self::complete(ground, entrance, adjust).await
    }

    /// Adds Envoy.
    pub(crate) async fn complete(
        ground: Ground,
        entrance: Entrance,
        adjust: impl FnOnce(Bootstrap) -> Bootstrap,
    ) -> Self {
        let bootstrap = match entrance.listen.strip_prefix("unix:") {
            Some(socket) => Bootstrap::unix(socket),
            None => Bootstrap::tcp(&entrance.listen),
        };
        let envoy = ground.envoy(adjust(bootstrap)).await;
        let Ground { emulator, upstream, policies, .. } = ground;
        Self { emulator, upstream, policies, entrance, envoy }
    }

    /// Sends a request over a connection of its own.
    pub(crate) async fn ask(&self, ask: &Ask) -> Answer {
        http1(self.envoy.address, ask).await
    }

    /// A token of a user who reads orders.
    pub(crate) fn reader(&self) -> String {
        self.token(MintRequest { user: Some("bob".into()), ..MintRequest::default() })
    }

    /// A token of a user who administers orders.
    pub(crate) fn admin(&self) -> String {
        self.token(MintRequest { user: Some("ada".into()), ..MintRequest::default() })
    }

    /// A token to order.
    pub(crate) fn token(&self, order: MintRequest) -> String {
        self.emulator.mint(&order).unwrap()
    }

    /// Waits until Entrance enforces another generation than `former`.
    pub(crate) async fn generation_after(&self, former: u64) -> u64 {
        until("another generation is enforced", async || {
            let generation = self.entrance.generation().await;
            (generation != former).then_some(generation)
        })
        .await
    }
}
