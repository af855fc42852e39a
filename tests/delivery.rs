//! Delivery over loopback, both ends of it: who gets what, what a change sends, refusals, reconnects, TLS, the disk.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "a measurement is shown")]

#[path = "support/free_port.rs"]
mod free_port;
#[path = "delivery/scene.rs"]
mod scene;

use std::sync::Arc;

use entrance::api::settings::Scope;
use entrance::clock::{Stopwatch, SystemClock};
use entrance::delivery::client::{Delivered, Options, Subscriber};
use entrance::delivery::roster::Plane;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::google::rpc::Status;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use scene::{Client, DEADLINE, Scene, application, held, policy, resources};

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_gets_its_namespace_and_what_its_labels_match_and_nothing_else() {
    let scene = Scene::new().await;
    scene.publish(&[
        application("shop", "orders-api"),
        policy("shop", "everywhere", None),
        policy("shop", "orders", Some(("app", "orders"))),
        policy("shop", "carts", Some(("app", "carts"))),
        policy("billing", "bills", None),
        application("billing", "bills-api"),
        // what only statuses rest on is nobody's
        scene::object(serde_json::json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "SecurityPolicy",
            "metadata": {"namespace": "shop", "name": "cors"}, "spec": {},
        })),
    ]);
    let mut client = scene.client("shop:app=orders").await;
    let wanted =
        ["AccessPolicy/shop/everywhere", "AccessPolicy/shop/orders", "EntraApplication/shop/orders-api", "workload"];
    client.settles(&wanted).await;
    // what it asks for plays no part
    let mut greedy = scene.client("shop:app=orders").await;
    let resource_names_subscribe = vec!["AccessPolicy/billing/bills".to_owned()];
    let request = DeltaDiscoveryRequest { resource_names_subscribe, ..DeltaDiscoveryRequest::default() };
    greedy.say(request).await;
    greedy.settles(&wanted).await;
    let mut gateway = scene.client("gateway").await;
    gateway.responds().await;
    assert_eq!(gateway.names().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_sends_what_changed_and_a_reconnect_what_changed_meanwhile() {
    let scene = Scene::new().await;
    let many: Vec<_> = (0..20).map(|at| policy("shop", &format!("p{at}"), None)).collect();
    scene.publish(&many);
    let mut client = scene.client("shop:").await;
    assert_eq!(client.responds().await, (21, 0));
    let mut changed = many.clone();
    changed[3] = policy("shop", "p3", Some(("changed", "no"))); // no label of it: it goes
    changed[4] = entrance_changed("p4", 2);
    scene.publish(&changed);
    assert_eq!(client.responds().await, (1, 1));
    let known = client.leave();
    changed.pop();
    changed[5] = entrance_changed("p5", 2);
    scene.publish(&changed);
    let mut again = scene.client_with("shop:", known).await;
    assert_eq!(again.responds().await, (1, 1));
    let known = again.leave();
    let mut third = scene.client_with("shop:", known).await;
    assert_eq!(third.responds().await, (0, 0), "nothing changed, and that is said");
}

fn entrance_changed(name: &str, generation: i64) -> Arc<entrance::api::object::Object> {
    scene::object(serde_json::json!({
        "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": {"namespace": "shop", "name": name, "generation": generation}, "spec": {"hosts": ["x.example.com"]},
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_resource_keeps_no_other_out_and_its_next_version_is_sent() {
    let scene = Scene::new().await;
    let mut all: Vec<_> = (0..9).map(|at| policy("shop", &format!("p{at}"), None)).collect();
    scene.publish(&all);
    let mut client = scene.client("shop:").await;
    client.refuses = Some("AccessPolicy/shop/p5".to_owned());
    let wanted: Vec<String> = (0..9).filter(|at| *at != 5).map(|at| format!("AccessPolicy/shop/p{at}")).collect();
    let mut wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    wanted.push("workload");
    client.settles(&wanted).await;
    scene
        .roster_has(|planes| planes[0].refused.get("AccessPolicy/shop/p5").is_some_and(|why| why.contains("cannot")))
        .await;
    client.refuses = None;
    all[5] = entrance_changed("p5", 2);
    scene.publish(&all);
    wanted.push("AccessPolicy/shop/p5");
    client.settles(&wanted).await;
    scene.roster_has(|planes| planes[0].refused.is_empty() && planes[0].held.len() == 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_subscriber_says_of_what_it_may_not_see_is_not_noted() {
    let scene = Scene::new().await;
    scene.publish(&[policy("shop", "orders", None), policy("evil", "own", None)]);
    let claims = |count: usize| {
        let claims = (0..count).map(|at| (format!("AccessPolicy/shop/p{at}"), "x".to_owned()));
        claims.chain([("AccessPolicy/shop/orders".to_owned(), "x".to_owned()), ("x".repeat(4096), "x".to_owned())])
    };
    let mut greedy = scene.client_with("evil:", claims(20_000).collect()).await;
    assert_eq!(greedy.responds().await, (2, 10_000), "what is not there is taken away, within a bound");
    drop(greedy);
    scene.roster_has(<[_]>::is_empty).await;
    // It refuses everything, until each part of it stood alone, with a text that would like to be another's.
    let mut client = scene.client_with("evil:", claims(1).collect()).await;
    client.silent = true;
    let message = format!("\u{202e}URGENT\u{7} {}", "!".repeat(4096));
    for response in 0..7 {
        let count = client.responds().await;
        assert_eq!(count == (2, 2), response == 0, "{count:?}");
        client.refuse(&message).await;
    }
    let own = "AccessPolicy/evil/own";
    let noted = |plane: &Plane| plane.refused.keys().map(|name| &**name).eq([own, "workload"]) && plane.held.is_empty();
    scene.roster_has(|planes| noted(&planes[0])).await;
    scene
        .roster_has(|planes| planes[0].refused[own].len() == 256 && planes[0].refused[own].starts_with("?URGENT? !!!"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_good_token_gets_nothing() {
    let scene = Scene::new().await;
    scene.publish(&[policy("shop", "p", None)]);
    for (token, code) in [("bad", "Unauthenticated"), ("", "Unauthenticated"), ("away", "Unavailable")] {
        let refused = Client::connect(&scene.url(), token, DeltaDiscoveryRequest::default()).await.err().unwrap();
        assert_eq!(format!("{:?}", refused.code()), code, "{token}: {}", refused.message());
        assert!(!refused.message().contains("bad"), "a token is never repeated: {}", refused.message());
    }
    scene.roster_has(<[_]>::is_empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token() {
    let scene = Scene::new().await;
    scene.publish(&[policy("shop", "p", None)]);
    let mut client = scene.client("brief").await;
    let end = timeout(DEADLINE, client.ends()).await.unwrap();
    assert!(end.message().contains("the token has ended"), "{end:?}");
}

/// The real subscriber.
struct Sidecar {
    states: tokio::sync::watch::Receiver<Delivered>,
    stop: CancellationToken,
    _directory: tempfile::TempDir,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Sidecar {
    fn start(url: String, ca: Option<&str>, state: Option<&std::path::Path>) -> Self {
        Self::holding("shop:app=orders\n", (url, ca, state))
    }

    fn holding(held: &str, (url, ca, state): (String, Option<&str>, Option<&std::path::Path>)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("token");
        std::fs::write(&token, held).unwrap();
        let options = Options { url, ca: ca.map(|pem| pem.as_bytes().to_vec()), token, state: state.map(Into::into) };
        let subscriber = Subscriber::new(options, Arc::new(SystemClock)).unwrap();
        let (states, stop) = (subscriber.watch(), CancellationToken::new());
        tokio::spawn(subscriber.run(stop.clone()));
        Self { states, stop, _directory: directory }
    }

    async fn becomes(&mut self, wanted: impl FnMut(&Delivered) -> bool) -> Delivered {
        timeout(DEADLINE, self.states.wait_for(wanted)).await.unwrap().unwrap().clone()
    }
}

/// Waits until the disk holds this text.
async fn kept(disk: &std::path::Path, text: &str) {
    let file = entrance::delivery::disk::file(disk);
    let wait = async {
        while !std::fs::read_to_string(&file).unwrap_or_default().contains(text) {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_follows_survives_the_controller_and_recalls_from_disk() {
    let mut scene = Scene::new().await;
    scene.publish(&[policy("shop", "one", None)]);
    let disk = tempfile::tempdir().unwrap();
    let mut sidecar = Sidecar::start(scene.url(), None, Some(disk.path()));
    let first = sidecar.becomes(|delivered| delivered.live).await.state.unwrap();
    assert_eq!(held(&first.resources), ["AccessPolicy shop/one"]);
    let labels = [("app".to_owned(), "orders".to_owned())].into();
    assert_eq!(first.scope, Scope::Workload { namespace: "shop".into(), labels });
    scene.publish(&[policy("shop", "two", None)]);
    sidecar
        .becomes(|delivered| delivered.state.as_ref().is_some_and(|s| held(&s.resources) == ["AccessPolicy shop/two"]))
        .await;
    kept(disk.path(), "two").await;
    scene.end().await;
    let after = sidecar.becomes(|delivered| !delivered.live).await;
    assert_eq!(held(&after.state.unwrap().resources), ["AccessPolicy shop/two"], "the last good state stands");
    drop(sidecar);
    // started without a controller
    let mut second = Sidecar::start(scene.url(), None, Some(disk.path()));
    let recalled = second.becomes(|delivered| delivered.problem.is_some()).await.state.unwrap();
    assert!(recalled.recalled);
    assert_eq!(held(&recalled.resources), ["AccessPolicy shop/two"]);
    let mut empty = Sidecar::start(scene.url(), None, None);
    assert!(empty.becomes(|delivered| delivered.problem.is_some()).await.state.is_none());
    // the controller comes back at the same address, knowing less
    scene.again().await;
    scene.publish(&[]);
    let live = second.becomes(|delivered| delivered.live).await.state.unwrap();
    assert!(live.resources.is_empty() && !live.recalled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_told_which_hosts_are_given_away_and_recalls_it() {
    let mut scene = Scene::new().await;
    scene.pin(&[("orders.example.com", "shop"), ("*.example.com", "platform")]);
    scene.publish(&[policy("shop", "one", None)]);
    let mut client = scene.client("shop:").await;
    client.settles(&["AccessPolicy/shop/one", "workload"]).await;
    let disk = tempfile::tempdir().unwrap();
    let gateway = |scene: &Scene| Sidecar::holding("gateway", (scene.url(), None, Some(disk.path())));
    let told = |delivered: &Delivered| {
        let state = delivered.state.as_ref().unwrap();
        let pins = state.pins.iter().map(|(host, namespace)| format!("{host}={namespace}"));
        (pins.collect::<Vec<_>>().join(" "), state.recalled)
    };
    let mut first = gateway(&scene);
    let pins = "orders.example.com=shop *.example.com=platform".to_owned();
    assert_eq!(told(&first.becomes(|delivered| delivered.live).await), (pins.clone(), false));
    kept(disk.path(), "platform").await;
    scene.end().await;
    drop(first);
    let mut second = gateway(&scene);
    assert_eq!(told(&second.becomes(|delivered| delivered.problem.is_some()).await), (pins, true));
    // an installation that gives nothing away any more
    scene.again().await;
    scene.publish(&[]);
    assert_eq!(told(&second.becomes(|delivered| delivered.live).await), (String::new(), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_broken_counts_as_none() {
    let disk = tempfile::tempdir().unwrap();
    let format = |version: u8, rest: &str| format!(r#"{{"format": "entrance.dev/subscription/{version}"{rest}}}"#);
    let broken = [String::new(), "{".to_owned(), format(2, ""), format(2, r#", "entries": []"#)];
    // a workload that does not say which, and what may be a part
    let partial = [format(2, r#", "gateway": false, "entries": []"#), format(1, r#", "gateway": true, "entries": []"#)];
    for text in broken.iter().chain(&partial) {
        std::fs::write(entrance::delivery::disk::file(disk.path()), text).unwrap();
        assert!(entrance::delivery::disk::recall(disk.path()).is_none(), "{text}");
    }
    std::fs::write(entrance::delivery::disk::file(disk.path()), format(2, r#", "gateway": true, "entries": []"#))
        .unwrap();
    assert!(entrance::delivery::disk::recall(disk.path()).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_holds_for_those_who_know_the_authority_and_the_clear_is_for_loopback_only() {
    entrance::token::install_crypto().unwrap();
    let scene = Scene::with_tls().await;
    scene.publish(&[policy("shop", "one", None)]);
    let mut sidecar = Sidecar::start(scene.url(), Some(scene.ca.as_ref().unwrap()), None);
    sidecar.becomes(|delivered| delivered.live).await;
    let other = scene::authority().0;
    let mut stranger = Sidecar::start(scene.url(), Some(&other), None);
    let refused = stranger.becomes(|delivered| delivered.problem.is_some()).await;
    assert!(refused.state.is_none());
    // another authority's certificate takes the place of the first: for those who connect from now on
    let (authority, renewed) = scene::authority();
    scene.certificate.as_ref().unwrap().replace(&renewed).unwrap();
    let mut second = Sidecar::start(scene.url(), Some(&authority), None);
    second.becomes(|delivered| delivered.live).await;
    scene.publish(&[policy("shop", "two", None)]);
    let told = |delivered: &Delivered| delivered.state.as_ref().is_some_and(|state| held(&state.resources).len() == 1);
    for connected in [&mut sidecar, &mut second] {
        let now = connected.becomes(|delivered| told(delivered) && delivered.live).await;
        assert!(now.problem.is_none(), "{:?}", now.problem);
    }
    for url in ["http://controller.example.com:9193", "ftp://127.0.0.1:1", "controller:9193", ""] {
        let options = Options { url: url.to_owned(), ca: None, token: "token".into(), state: None };
        assert!(Subscriber::new(options, Arc::new(SystemClock)).is_err(), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_subscribers_get_one_change() {
    const MANY: usize = 1000;
    let scene = Scene::new().await;
    let mut all: Vec<_> = (0..20).map(|at| policy("shop", &format!("p{at}"), None)).collect();
    all.extend((0..2000).map(|at| policy(&format!("other-{}", at % 50), &format!("q{at}"), None)));
    scene.publish(&all);
    let mut clients = Vec::new();
    for _ in 0..MANY {
        let mut client = scene.client("shop:app=orders").await;
        assert_eq!(client.responds().await, (21, 0));
        clients.push(client);
    }
    all[7] = entrance_changed("p7", 2);
    let watch = Stopwatch::start();
    scene.publish(&all);
    let waiting = clients.iter_mut().map(|client| async move { assert_eq!(client.responds().await, (1, 0)) });
    timeout(DEADLINE * 2, futures_util::future::join_all(waiting)).await.unwrap();
    let took = watch.elapsed();
    let memory = std::fs::read_to_string("/proc/self/status").unwrap();
    let memory = memory.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default().to_owned();
    println!("{MANY} subscribers have one change after {took:?}; both ends of all streams: {memory}");
    scene.roster_has(|planes| planes.len() == MANY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_something_else_acknowledges_nothing() {
    let scene = Scene::new().await;
    scene.publish(&[policy("shop", "one", None)]);
    let mut client = scene.client("shop:").await;
    client.silent = true;
    client.responds().await;
    let stale =
        DeltaDiscoveryRequest { response_nonce: "no such nonce".to_owned(), ..DeltaDiscoveryRequest::default() };
    client.say(stale.clone()).await;
    let error_detail = Some(Status { message: "no".to_owned(), ..Status::default() });
    client.say(DeltaDiscoveryRequest { error_detail, ..stale }).await;
    client.silent = false;
    client.acknowledge().await;
    scene.publish(&[policy("shop", "two", None)]);
    assert_eq!(client.responds().await, (1, 1));
    scene
        .roster_has(|planes| planes[0].held.contains_key("AccessPolicy/shop/two") && planes[0].refused.is_empty())
        .await;
    assert_eq!(resources(&[policy("shop", "two", None)]).len(), 1);
}
