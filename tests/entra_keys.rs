//! Signing keys are found, kept fresh, and kept through outages, and nobody can make us ask too often.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]

#[path = "support/authority.rs"]
mod authority;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use authority::{Answer, Authority, TENANT, key, keys, metadata, tenant};
use entrance::authorize::ports::Keys as _;
use entrance::clock::{Clock, UnixTime};
use entrance::entra::schedule::Timing;
use entrance::entra::{FaultCode, KeyStore, Options, SourceStatus};
use entrance::token::cloud::{CustomAuthority, Issuer};
use entrance::token::{Discovery, Version};
use futures_util::future::join_all;
use serde_json::{Value, json};

const HOUR: i64 = 3600;
const MINUTE: i64 = 60;

/// A clock that a test moves.
struct Hand(AtomicI64);

impl Hand {
    fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// A store that watches one authority.
struct Scene {
    server: Authority,
    source: Arc<Discovery>,
    store: Arc<KeyStore>,
    clock: Arc<Hand>,
}

/// Nothing happens by itself within the time of a test, and a busy machine has time to answer.
fn quiet() -> Timing {
    Timing {
        retry_first: Duration::from_secs(3600),
        retry_last: Duration::from_secs(3600),
        patience: Duration::from_secs(10),
        ..Timing::default()
    }
}

impl Scene {
    async fn start() -> Self {
        Self::with(Authority::start().await, quiet()).await
    }

    async fn with(server: Authority, timing: Timing) -> Self {
        let clock = Arc::new(Hand(AtomicI64::new(1_800_000_000)));
        let options = Options {
            timing,
            timeout: Duration::from_secs(2),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..Options::default()
        };
        let store = Arc::new(KeyStore::new(options).unwrap());
        let source = server.source();
        store.watch([Arc::clone(&source)]);
        store.settled().await;
        Self { server, source, store, clock }
    }

    fn knows(&self, kid: &str) -> bool {
        let now = UnixTime(self.clock.0.load(Ordering::SeqCst));
        let authority = self.store.authority(&self.source);
        authority.is_some_and(|authority| authority.keys.find(kid, now).is_some())
    }

    async fn look_for(&self, kid: &str) {
        self.store.refresh(&self.source, kid).await;
    }

    fn status(&self) -> SourceStatus {
        self.store.status().remove(0)
    }

    fn fetches(&self) -> u64 {
        self.server.asked()[0]
    }
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, waiting).await.unwrap();
}

#[tokio::test]
async fn keys_are_there_after_the_first_question() {
    let scene = Scene::start().await;
    assert!(scene.knows("a") && !scene.knows("b"));
    let authority = scene.store.authority(&scene.source).unwrap();
    let issuer = format!("{}/{TENANT}/v2.0", scene.server.base);
    assert_eq!(authority.issuer.of(tenant()), issuer);
    assert_eq!(authority.cloud_instance.as_deref(), Some("test"));
    assert_eq!(scene.server.asked(), [1, 1, 0]);
    let status = scene.status();
    assert_eq!((status.keys, status.stale, status.last_error), (1, false, None));
    assert_eq!((status.age, &status.url), (Some(0), &scene.source.metadata_url));
}

#[tokio::test]
async fn keys_of_a_user_flow_are_for_tokens_of_that_flow() {
    let server = Authority::start().await;
    let authority = CustomAuthority::parse(&format!("{}/contoso/B2C_1_in", server.base)).unwrap();
    let source = Issuer::Custom(authority).discovery(tenant(), Version::V2);
    let store = KeyStore::new(Options::default()).unwrap();
    store.watch([Arc::clone(&source)]);
    store.settled().await;
    assert_eq!(store.authority(&source).unwrap().user_flow.as_deref(), Some("B2C_1_in"));
}

#[tokio::test]
async fn t22_an_unknown_key_is_asked_for_once_in_five_minutes() {
    let scene = Scene::start().await;
    for (forward, fetches) in [(0, 2), (0, 2), (299, 2), (2, 3), (60, 3)] {
        scene.clock.forward(forward);
        scene.look_for("unknown").await;
        scene.look_for("other").await;
        assert_eq!(scene.fetches(), fetches);
    }
    assert!(scene.knows("a"));
}

#[tokio::test]
async fn t23_a_key_rotated_in_after_the_start_is_found_at_once() {
    let scene = Scene::start().await;
    scene.server.list(&["a", "b"]);
    scene.look_for("b").await;
    assert!(scene.knows("a") && scene.knows("b"));
    scene.look_for("b").await;
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test]
async fn t24_ten_thousand_key_ids_cause_one_question() {
    let scene = Scene::start().await;
    let kids: Vec<String> = (0..10_000).map(|kid| format!("kid-{kid}")).collect();
    join_all(kids.iter().map(|kid| scene.look_for(kid))).await;
    for kid in &kids {
        scene.look_for(kid).await;
    }
    assert_eq!(scene.server.asked(), [2, 2, 0]);
}

#[tokio::test]
async fn a_hundred_requests_for_one_key_share_one_question_and_all_get_it() {
    let scene = Scene::start().await;
    let late = Answer::Late(Duration::from_millis(50), keys(&["a", "b"]));
    scene.server.jwks(late);
    join_all((0..100).map(|_| async {
        scene.look_for("b").await;
        assert!(scene.knows("b"));
    }))
    .await;
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test]
async fn t25_without_keys_since_the_start_there_is_no_authority() {
    let server = Authority::start().await;
    server.jwks(Answer::Status(503));
    let scene = Scene::with(server, quiet()).await;
    assert!(scene.store.authority(&scene.source).is_none());
    let status = scene.status();
    assert_eq!(status.last_error, Some(FaultCode::FetchFailed));
    assert_eq!((status.age, status.keys, status.stale), (None, 0, false));
    scene.look_for("a").await;
    assert_eq!(scene.fetches(), 1, "a failure rests the budget");
    scene.server.list(&["a"]);
    scene.clock.forward(5 * MINUTE);
    scene.look_for("a").await;
    assert!(scene.knows("a"));
}

#[tokio::test]
async fn t26_keys_outlive_an_outage_by_a_day_and_no_longer() {
    let scene = Scene::start().await;
    scene.server.metadata(Answer::Status(500));
    scene.clock.forward(2 * HOUR);
    scene.look_for("unknown").await;
    assert!(scene.knows("a"));
    let status = scene.status();
    assert_eq!((status.keys, status.stale, status.age), (1, true, Some(2 * HOUR)));
    assert_eq!((status.successes, status.failures), (1, 1));
    scene.clock.forward(22 * HOUR - 1);
    assert!(scene.knows("a"));
    scene.clock.forward(1);
    assert!(scene.store.authority(&scene.source).is_none());
    assert_eq!((scene.status().keys, scene.status().stale), (0, false));
}

#[tokio::test]
async fn t27_to_t29_unusable_keys_are_skipped_and_good_ones_stay() {
    let server = Authority::start().await;
    let changed = |kid: &str, member: &str, value: Value| {
        let mut key = key(kid);
        key[member] = value;
        key
    };
    server.jwks(Answer::Json(json!({"keys": [
        "a string", key("good"), key("twice"), key("twice"),
        changed("enc", "use", "enc".into()), changed("alg", "alg", "RS512".into()),
        changed("small", "n", "w".repeat(171).into()), changed("three", "e", "Aw".into()),
        changed("private", "d", "AQAB".into()), changed("ec", "kty", "EC".into()),
    ]})));
    let scene = Scene::with(server, quiet()).await;
    assert!(scene.knows("good"));
    assert_eq!(scene.status().keys, 1);
}

/// Makes a bad answer of a server at this address.
type Spoiler = Box<dyn Fn(&str) -> Answer>;

/// What a server answers after a good start is refused, is called by this code, and changes nothing.
async fn keeps_its_keys(spoil: impl Fn(&Authority), code: FaultCode) {
    let scene = Scene::start().await;
    spoil(&scene.server);
    scene.look_for("elsewhere").await;
    assert_eq!(scene.status().last_error, Some(code));
    assert!(scene.knows("a") && !scene.knows("elsewhere"));
    assert!(scene.status().stale && !scene.store.is_current(&scene.source));
    assert_eq!(scene.server.asked()[2], 0, "nothing was followed elsewhere");
    scene.server.metadata(Answer::Json(metadata(&scene.server.base)));
    scene.server.list(&["b"]);
    scene.clock.forward(5 * MINUTE);
    scene.look_for("b").await;
    assert!(scene.knows("b") && scene.status().last_error.is_none());
    assert!(scene.store.is_current(&scene.source));
}

#[tokio::test]
async fn t82_bad_metadata_leaves_the_keys_as_they_were() {
    let spoilt = |member: &str, value: &str| {
        let (member, value) = (member.to_owned(), value.to_owned());
        move |base: &str| {
            let mut document = metadata(base);
            document[&member] = value.replace("{port}", base.rsplit(':').next().unwrap()).into();
            Answer::Json(document)
        }
    };
    let elsewhere = "http://localhost:{port}/elsewhere";
    let answers: [Spoiler; 8] = [
        Box::new(spoilt("jwks_uri", elsewhere)),
        Box::new(spoilt("jwks_uri", "https://keys.attacker.example/keys")),
        Box::new(spoilt("issuer", "http://127.0.0.1:{port}/other/v2.0")),
        Box::new(spoilt("issuer", "")),
        Box::new(|base: &str| {
            let port = base.rsplit(':').next().unwrap();
            Answer::Redirect(format!("http://localhost:{port}/elsewhere"))
        }),
        Box::new(|base: &str| {
            let mut document = metadata(base);
            document["padding"] = "x".repeat(2 << 20).into();
            Answer::Json(document)
        }),
        Box::new(|_: &str| Answer::Text("<html>".into())),
        Box::new(|_: &str| Answer::Text("[]".into())),
    ];
    for answer in answers {
        let spoil = |server: &Authority| server.metadata(answer(&server.base));
        keeps_its_keys(spoil, FaultCode::MetadataRejected).await;
    }
}

#[tokio::test]
async fn t83_bad_key_documents_leave_the_keys_as_they_were() {
    let mut unusable = keys(&["elsewhere"]);
    unusable["keys"][0]["use"] = "enc".into();
    let mut large = keys(&["elsewhere"]);
    large["padding"] = "x".repeat(2 << 20).into();
    let many: Vec<Value> = (0..1001).map(|kid| key(&kid.to_string())).collect();
    for answer in [
        Answer::Json(json!({"keys": []})),
        Answer::Json(unusable),
        Answer::Json(large),
        Answer::Json(json!({ "keys": many })),
        Answer::Text("rubbish".into()),
        Answer::Redirect("https://keys.attacker.example/elsewhere".into()),
    ] {
        let spoil = |server: &Authority| server.jwks(answer.clone());
        keeps_its_keys(spoil, FaultCode::JwksRejected).await;
    }
}

#[tokio::test]
async fn documents_that_do_not_come_leave_the_keys_as_they_were() {
    for answer in [
        Answer::Status(500),
        Answer::Status(404),
        Answer::Status(204),
        Answer::Late(Duration::from_secs(30), keys(&["elsewhere"])),
    ] {
        let spoil = |server: &Authority| server.jwks(answer.clone());
        keeps_its_keys(spoil, FaultCode::FetchFailed).await;
    }
}

#[tokio::test]
async fn a_redirect_on_the_same_host_is_followed() {
    let server = Authority::start().await;
    server.jwks(Answer::Redirect(format!("{}/elsewhere", server.base)));
    let scene = Scene::with(server, quiet()).await;
    assert!(scene.knows("elsewhere"));
    scene.server.jwks(Answer::Redirect(format!("{}/again/keys", scene.server.base)));
    scene.look_for("a").await;
    assert_eq!(scene.status().last_error, Some(FaultCode::JwksRejected), "a circle");
}

#[tokio::test]
async fn a_removed_key_counts_for_one_more_hour() {
    let scene = Scene::start().await;
    scene.server.list(&["b"]);
    scene.look_for("b").await;
    scene.clock.forward(HOUR - 1);
    assert!(scene.knows("a") && scene.knows("b"));
    scene.clock.forward(1);
    assert!(!scene.knows("a") && scene.knows("b"));
}

#[tokio::test]
async fn a_request_waits_no_longer_than_its_patience() {
    let timing = Timing { patience: Duration::from_millis(20), ..quiet() };
    let scene = Scene::with(Authority::start().await, timing).await;
    let late = Answer::Late(Duration::from_secs(1), keys(&["b"]));
    scene.server.jwks(late);
    scene.look_for("b").await;
    assert!(!scene.knows("b"), "it did not wait");
    assert!(!scene.store.is_current(&scene.source), "nor is the question over");
    until(|| scene.knows("b")).await;
}

#[tokio::test]
async fn a_failed_start_is_tried_again() {
    let server = Authority::start().await;
    server.metadata(Answer::Status(500));
    let timing = Timing { retry_first: Duration::from_millis(1), ..Timing::default() };
    let scene = Scene::with(server, timing).await;
    until(|| scene.status().failures >= 3).await;
    scene.server.metadata(Answer::Json(metadata(&scene.server.base)));
    until(|| scene.knows("a")).await;
}

#[tokio::test]
async fn new_keys_come_without_being_asked_for() {
    let timing = Timing { refresh: Duration::from_millis(10), ..quiet() };
    let scene = Scene::with(Authority::start().await, timing).await;
    scene.server.list(&["a", "b"]);
    until(|| scene.knows("b")).await;
}

#[tokio::test]
async fn the_store_watches_what_policies_name_and_nothing_else() {
    let scene = Scene::start().await;
    let other = Authority::start().await;
    let second = other.source();
    // An equal source from another policy is the same source.
    let twin = scene.server.source();
    scene.store.watch([Arc::clone(&twin), Arc::clone(&second), scene.server.source()]);
    scene.store.settled().await;
    assert_eq!((scene.fetches(), scene.store.status().len()), (1, 2));
    assert!(scene.store.authority(&twin).is_some() && scene.store.authority(&second).is_some());
    scene.store.watch([Arc::clone(&second)]);
    assert!(scene.store.authority(&twin).is_none());
    scene.look_for("unknown").await;
    assert_eq!((scene.fetches(), other.asked()[0]), (1, 1));
    scene.store.watch([]);
    assert!(scene.store.status().is_empty());
}

#[tokio::test]
async fn shutdown_ends_all_tasks_and_keeps_what_is_known() {
    let scene = Scene::start().await;
    scene.server.jwks(Answer::Late(Duration::from_secs(30), keys(&["b"])));
    let waiting = scene.look_for("b");
    let stopping = async {
        until(|| scene.server.asked()[1] == 2).await;
        scene.store.shutdown().await;
    };
    tokio::join!(waiting, stopping);
    assert!(scene.knows("a") && !scene.knows("b"));
    scene.look_for("c").await;
}

#[test]
fn a_source_that_is_dropped_lets_go_of_all_who_wait() {
    let (done, waited) = std::sync::mpsc::channel();
    // On a thread of its own: whoever does not let go never lets a timer fire either.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let scene = Scene::start().await;
            scene.server.jwks(Answer::Late(Duration::from_secs(30), keys(&["b"])));
            let waiting = join_all((0..32).map(|_| scene.look_for("b")));
            let dropping = async {
                until(|| scene.server.asked()[1] == 2).await;
                scene.store.watch([]);
            };
            tokio::join!(waiting, dropping);
        });
        done.send(()).unwrap();
    });
    waited.recv_timeout(Duration::from_secs(60)).unwrap();
}
