//! Nothing gets past Entrance: not with Envoy as we ship it, and not with an Envoy that leaves everything to Entrance.

use entrance::emulator::{Emulator, Options};
use futures_util::future::join;

use crate::children::{port, runtime, scratch};
use crate::entrance_process::{Entrance, Settings};
use crate::envoy_process::{Bootstrap, Envoy};
use crate::page::{self, Kept};
use crate::suite::{Tokens, Verdict, verdict};
use crate::upstreams::{Kind, Server};

/// Rules in which what is not protected is open, which is what an attacker hopes for.
const POLICIES: [(&str, &str); 2] = [
    ("application.yaml", include_str!("../../examples/orders/application.yaml")),
    ("policies.yaml", include_str!("../cases/envoy_policies.yaml")),
];

/// Entrance and whose tokens it knows.
pub(crate) struct Guard {
    pub(crate) entrance: Entrance,
    pub(crate) tokens: Tokens,
    _emulator: Emulator,
}

impl Guard {
    pub(crate) async fn start() -> Self {
        Self::asked(&[]).await
    }

    /// With further arguments.
    pub(crate) async fn asked(arguments: &[&str]) -> Self {
        let emulator = Emulator::start(Options { listen: port(), ..Options::default() }).await.unwrap();
        let tokens = Tokens::of(&emulator);
        let directory = scratch("entrance");
        let policies = directory.join("policies");
        std::fs::create_dir(&policies).unwrap();
        for (name, text) in POLICIES {
            std::fs::write(policies.join(name), text.replace("http://127.0.0.1:8080", emulator.base_url())).unwrap();
        }
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let settings = Settings { directory, policies, listen: port().to_string(), arguments };
        let entrance = Entrance::start(settings).await;
        entrance.ready().await;
        Self { entrance, tokens, _emulator: emulator }
    }
}

/// How Envoy is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Care {
    /// As we ship it.
    Shipped,
    /// Paths as they come, underscores in headers.
    Careless,
}

impl Care {
    pub(crate) const BOTH: [Self; 2] = [Self::Shipped, Self::Careless];

    /// Its name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Shipped => "as shipped",
            Self::Careless => "careless",
        }
    }

    pub(crate) fn envoy(self, bootstrap: Bootstrap) -> Bootstrap {
        match self {
            Self::Shipped => bootstrap.patient(),
            Self::Careless => bootstrap.patient().lax_underscores().careless_paths(),
        }
    }
}

/// The suite in front of a server of its own: what others send there would be nobody's.
async fn one(guard: &Guard, kind: Kind, care: Care) -> Verdict {
    some(guard, (kind, care), &[]).await
}

/// The same with some of it.
async fn some(guard: &Guard, (kind, care): (Kind, Care), more: &[&str]) -> Verdict {
    let server = Server::start(kind).await;
    let bootstrap = care.envoy(Bootstrap::tcp(&guard.entrance.listen));
    let envoy = Envoy::start(bootstrap.upstream(server.address), &scratch("envoy")).await;
    let verdict = verdict((envoy.address, &server.report()), &guard.tokens, more).await;
    assert_eq!(verdict.code, 0, "{kind:?} behind {care:?}: {:#}", verdict.told["findings"]);
    verdict
}

#[test]
fn nothing_gets_past_entrance() {
    runtime().block_on(async {
        let guard = Guard::start().await;
        let mut verdicts = page::Verdicts::new();
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            let both = join(one(&guard, kind, Care::Shipped), one(&guard, kind, Care::Careless)).await;
            verdicts.extend([((at, Care::Shipped), both.0), ((at, Care::Careless), both.1)]);
        }
        page::settle("envoy", &page::envoys(&verdicts), Kept::Counts);
    });
}

/// hypercorn goes on in HTTP/2 if it is asked to, and serves what nobody was asked about.
#[test]
fn no_upgrade_opens_a_tunnel_past_envoy() {
    runtime().block_on(async {
        let guard = Guard::start().await;
        for care in Care::BOTH {
            some(&guard, (Kind::Hypercorn, care), &["--family", "protocol"]).await;
        }
    });
}

/// Such a server does what its proxy never saw, unless somebody refuses to pass on what it would believe. Both families
/// have headers of that kind: the others go by the path of the request.
#[test]
fn nothing_gets_past_to_a_server_that_believes_another_path() {
    const FEW: [&str; 4] = ["--family", "forwarded", "--family", "combinations"];
    runtime().block_on(async {
        let guard = Guard::start().await;
        let at = |care| some(&guard, (Kind::Believer, care), &FEW);
        let (shipped, careless) = join(at(Care::Shipped), at(Care::Careless)).await;
        let table = page::cares(&[(Care::Shipped, &shipped), (Care::Careless, &careless)]);
        page::settle("believer", &format!("\n{table}\n"), Kept::Counts);
    });
}
