//! The suite finds what there is to find: each family finds a mistake that was made for it, and none cries wolf.

use std::net::SocketAddr;

use entrance::bypass::family::Family;
use entrance::emulator::{Emulator, Options};
use entrance::tls::Pem;
use serde_json::Value;

use crate::children::{port, runtime, scratch};
use crate::envoy_process::{Bootstrap, Envoy};
use crate::naive::{Mistake, Naive, relay, terminate};
use crate::ours::Care;
use crate::program::{file, run};
use crate::suite::{Tokens, Verdict, arguments, told, told_by, verdict};
use crate::upstreams::{Kind, Server};

/// What each mistake is found by.
const FINDS: [(Mistake, &[Family]); 7] = [
    (
        Mistake::Prefix,
        &[
            Family::PathDots,
            Family::PathSlashes,
            Family::PathParameters,
            Family::PathEncoding,
            Family::Query,
            Family::Target,
            Family::Combinations,
        ],
    ),
    (Mistake::Methods, &[Family::Method, Family::Http2]),
    (Mistake::Hosts, &[Family::Host]),
    (Mistake::Forwarded, &[Family::Forwarded]),
    (Mistake::Identity, &[Family::Identity]),
    (Mistake::Unsigned, &[Family::Tokens]),
    (Mistake::Contains, &[Family::Credentials]),
];

/// What a proxy that asks once for a connection is found by.
const RELAYED: [Family; 3] = [Family::Framing, Family::Pipelining, Family::Protocol];

/// Tomcat, which reads paths in more ways than others, behind a careless Envoy and a naive server.
struct Scene {
    naive: Naive,
    server: Server,
    envoy: Envoy,
    tokens: Tokens,
    _emulator: Emulator,
}

impl Scene {
    async fn start() -> Self {
        let emulator = Emulator::start(Options { listen: port(), ..Options::default() }).await.unwrap();
        let tokens = Tokens::of(&emulator);
        let naive = Naive::start(tokens.permitted()).await;
        let server = Server::start(Kind::Tomcat).await;
        let bootstrap = Care::Careless.envoy(Bootstrap::tcp(&naive.address.to_string())).upstream(server.address);
        let envoy = Envoy::start(bootstrap, &scratch("envoy")).await;
        Self { naive, server, envoy, tokens, _emulator: emulator }
    }

    async fn verdict(&self, target: SocketAddr, more: &[&str]) -> Verdict {
        verdict((target, &self.server.report()), &self.tokens, more).await
    }
}

fn only(families: &[Family]) -> Vec<&'static str> {
    families.iter().flat_map(|family| ["--family", family.id()]).collect()
}

fn ids(families: &[Family]) -> Vec<&'static str> {
    let mut ids: Vec<_> = families.iter().map(|family| family.id()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn every_family_finds_a_mistake() {
    let all: Vec<Family> = FINDS.iter().flat_map(|(_, families)| families.iter().copied()).chain(RELAYED).collect();
    assert_eq!(ids(&all), ids(&Family::ALL), "each family is here once");
    runtime().block_on(async {
        let scene = Scene::start().await;
        for (mistake, families) in FINDS {
            scene.naive.make(mistake);
            let found = scene.verdict(scene.envoy.address, &only(families)).await;
            assert_eq!((found.code, found.caught()), (1, ids(families)), "{mistake:?}: {:#}", found.told["families"]);
            scene.naive.make(Mistake::None);
            let none = scene.verdict(scene.envoy.address, &only(families)).await;
            assert_eq!((none.code, none.caught()), (0, Vec::new()), "{:#}", none.told["findings"]);
        }
        let proxy = relay(scene.server.address, scene.tokens.permitted()).await;
        // where nobody refuses, much is waited for in vain
        let found = scene.verdict(proxy, &[&only(&RELAYED)[..], &["--http1", "--timeout", "3000"]].concat()).await;
        assert_eq!((found.code, found.caught()), (1, ids(&RELAYED)), "{:#}", found.told["families"]);
        a_server_that_believes_other_paths_is_found_out(&scene).await;
        a_server_that_takes_a_prefix_off_is_found_out(&scene).await;
        findings_are_told(&scene).await;
        tls_makes_no_difference(&scene).await;
        nothing_is_proved_by_what_reaches_nothing(&scene).await;
    });
}

/// The same authorizer, without a mistake but that it does not know what the server believes.
async fn a_server_that_believes_other_paths_is_found_out(scene: &Scene) {
    scene.naive.make(Mistake::None);
    let few = only(&[Family::Forwarded, Family::Combinations]);
    let believer = Server::start(Kind::Believer).await;
    let bootstrap = Care::Careless.envoy(Bootstrap::tcp(&scene.naive.address.to_string()));
    let envoy = Envoy::start(bootstrap.upstream(believer.address), &scratch("envoy")).await;
    let found = verdict((envoy.address, &believer.report()), &scene.tokens, &few).await;
    assert_eq!((found.code, found.caught()), (1, vec![Family::Forwarded.id()]), "{:#}", found.told["families"]);
}

/// gunicorn as it comes takes `SCRIPT_NAME` from its peer; an application that believes, `X-Script-Name`. Whoever looks at
/// how paths begin lets both through.
async fn a_server_that_takes_a_prefix_off_is_found_out(scene: &Scene) {
    scene.naive.make(Mistake::Prefix);
    for (kind, trick) in [
        (Kind::Gunicorn, "GET /public/admin/users with SCRIPT_NAME: /public"),
        (Kind::Believer, "GET /public/admin/users with X-Script-Name: /public"),
    ] {
        let server = Server::start(kind).await;
        let bootstrap = Care::Careless.envoy(Bootstrap::tcp(&scene.naive.address.to_string()));
        let envoy = Envoy::start(bootstrap.upstream(server.address), &scratch("envoy")).await;
        let found = verdict((envoy.address, &server.report()), &scene.tokens, &only(&[Family::Forwarded])).await;
        let findings = found.told["findings"].as_array().unwrap();
        let names = |finding: &Value| finding["trick"] == trick;
        assert!(found.code == 1 && findings.iter().any(names), "{kind:?}: {findings:#?}");
    }
}

/// For people and for code scanning, with the request that got past and without its token.
async fn findings_are_told(scene: &Scene) {
    scene.naive.make(Mistake::Unsigned);
    let place = (scene.envoy.address, &*scene.server.report());
    let ran = told(place, &scene.tokens, &only(&[Family::Tokens])).await;
    let wanted = "bypass: tokens: alg-none\n  a request without a permit arrived at a protected resource\n  arrived at \
                  `admin` as GET /admin/users (read as /admin/users) of `paths.example.com`\n  answered 200 to GET \
                  /admin/users HTTP/1.1\\r\\nhost: paths.example.com\\r\\nx-bypass-nonce: <nonce>\\r\\nauthorization: \
                  Bearer <token alg-none>\\r\\n";
    assert!(ran.code == 1 && ran.out.contains(wanted), "{}", ran.out);
    let ran = told(place, &scene.tokens, &[&only(&[Family::Tokens])[..], &["-o", "sarif"]].concat()).await;
    let sarif: Value = ran.json();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert!(ran.code == 1 && results.iter().all(|result| result["ruleId"] == "tokens"));
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), Family::ALL.len() + 1);
}

/// The same through TLS, over HTTP/1 and HTTP/2, with an authority that is given.
async fn tls_makes_no_difference(scene: &Scene) {
    scene.naive.make(Mistake::Hosts);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let pem = Pem { certificate: certificate.pem().into(), key: key.serialize_pem().into() };
    let door = terminate(scene.envoy.address, &pem).await;
    let directory = scratch("authority");
    let authority = file(&directory, "authority.pem", &certificate.pem());
    let other = rcgen::KeyPair::generate().unwrap();
    let stranger = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&other).unwrap();
    let stranger = file(&directory, "stranger.pem", &stranger.pem());
    let nothing = file(&directory, "nothing.pem", "nothing");
    let (url, report) = (format!("https://localhost:{}", door.port()), scene.server.report());
    let few = only(&[Family::Host]);
    let run =
        async |ca: &[&str]| told_by((&url, &report), &scene.tokens, &[&few[..], ca, &["-o", "json"]].concat()).await;
    let ran = run(&["--ca", &authority]).await;
    let plain = scene.verdict(scene.envoy.address, &few).await;
    let secured = Verdict { code: ran.code, told: ran.json() };
    let found = |verdict: &Verdict| verdict.count(Family::Host.id(), "bypassed");
    // a server may close a connection in the moment in which the proxy uses it again
    assert!(secured.code == 1 && found(&secured).abs_diff(found(&plain)) <= 2, "{}", ran.err);
    let stranger: &[&str] = &["--ca", &stranger];
    let nothing: &[&str] = &["--ca", &nothing];
    let faults =
        [(stranger, "invalid peer certificate"), (nothing, "it holds no certificate in PEM"), (&[], "with --ca")];
    for (ca, why) in faults {
        let ran = run(ca).await;
        assert!(ran.code == 2 && ran.err.contains(why), "{}", ran.err);
    }
}

/// A run that reaches nothing is not passed: it ends with 2.
async fn nothing_is_proved_by_what_reaches_nothing(scene: &Scene) {
    scene.naive.make(Mistake::None);
    let directory = scratch("reports");
    let empty = file(&directory, "empty", "");
    let rubbish = file(&directory, "rubbish", "{\"resource\": 1}\n");
    let few = only(&[Family::Host]);
    let at = scene.envoy.address;
    let elsewhere = Server::start(Kind::Node).await;
    let cases: [(SocketAddr, &str, &[&str], &str); 7] = [
        (at, &empty, &[], "the open GET /public/hello did not arrive at `public`"),
        (at, &rubbish, &[], "line 1 of the upstream's report is no arrival"),
        (at, &elsewhere.report(), &[], "the open GET /public/hello did not arrive at `public`"),
        (at, "nowhere.jsonl", &[], "the report of the upstream at `nowhere.jsonl` cannot be read"),
        (port(), &scene.server.report(), &[], "cannot be reached"),
        (at, &scene.server.report(), &["--open", "public=/private"], "did not arrive at `public` (answered 403"),
        (at, &scene.server.report(), &["--protected", "root=/admin/users"], "did not arrive at `root` (answered 200"),
    ];
    for (target, report, more, wanted) in cases {
        let ran = told((target, report), &scene.tokens, &[&few[..], more].concat()).await;
        assert!(ran.code == 2 && ran.err.contains(wanted) && ran.out.is_empty(), "{wanted}: {} {}", ran.out, ran.err);
    }
    // a token that opens nothing
    let (target, report) = (format!("http://{at}"), scene.server.report());
    let mut all = arguments((&target, &report), &scene.tokens, &few);
    let place = all.iter().position(|word| *word == "--permitted-token").unwrap() + 1;
    let wrong = file(&directory, "wrong", "a.b.c");
    all[place] = &wrong;
    let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    let ran = tokio::task::spawn_blocking(move || run(all.iter().map(String::as_str))).await.unwrap();
    let wanted = "GET /admin/users with the permitted token did not arrive at `admin` (answered 403)";
    assert!(ran.code == 2 && ran.err.contains(wanted), "{}", ran.err);
}
