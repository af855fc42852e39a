//! An authorizer with two applications, a shelf of keys and a clock, all of which a test changes as it likes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use entrance::api::compile::Compiler;
use entrance::api::fault::Fault;
use entrance::api::settings::Settings;
use entrance::authorize::Authorizer;
use entrance::authorize::decision::Decision;
use entrance::authorize::ports::{Decide as _, Keys, Outcome};
use entrance::authorize::world::World;
use entrance::clock::{Clock, UnixTime};
use entrance::request::{Named, Request};
use entrance::token::cloud::{Cloud, Issuer};
use entrance::token::{Authority, Discovery, Version, jwks};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::rules::{document, resources, yaml};
use crate::token_world::{Draft, KEY, NOW};

/// Two applications of one tenant, and what asks for their tokens. `shadow.example.com` and the shadow policy only record.
const RESOURCES: &str = r"
applications:
- apiVersion: entrance.dev/v1alpha1
  kind: EntraApplication
  metadata: {name: orders-api, namespace: shop}
  spec:
    clientId: aaaaaaaa-0000-4000-8000-000000000001
    audiences: [api://orders]
    tokenVersions: [V1, V2]
    tenants: [{id: 11111111-1111-4111-8111-111111111111, name: contoso}]
- apiVersion: entrance.dev/v1alpha1
  kind: EntraApplication
  metadata: {name: stock-api, namespace: shop}
  spec:
    clientId: aaaaaaaa-0000-4000-8000-000000000002
    tenants: [{id: 11111111-1111-4111-8111-111111111111, name: contoso}]
more: []
policies:
- apiVersion: entrance.dev/v1alpha1
  kind: AccessPolicy
  metadata: {name: orders, namespace: shop}
  spec:
    applicationRef: {name: orders-api}
    hosts: [orders.example.com]
    routes:
    - {name: any, path: '/{*rest}', allow: [{callers: Any}]}
    - {name: health, path: /healthz, anonymous: true}
- apiVersion: entrance.dev/v1alpha1
  kind: AccessPolicy
  metadata: {name: stock, namespace: shop}
  spec:
    applicationRef: {name: stock-api}
    hosts: [stock.example.com]
    routes: [{name: any, path: '/{*rest}', allow: [{callers: Any}]}]
- apiVersion: entrance.dev/v1alpha1
  kind: AccessPolicy
  metadata: {name: orders-next, namespace: shop}
  spec:
    applicationRef: {name: stock-api}
    mode: Shadow
    hosts: [orders.example.com, shadow.example.com]
    routes: [{name: any, path: '/{*rest}', allow: [{callers: Any}]}]
";

/// A clock that a test moves.
pub(crate) struct Hand(AtomicI64);

impl Hand {
    pub(crate) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// Keys by token version. Nothing comes from a network; what a question brings is laid out beforehand.
#[derive(Default)]
pub(crate) struct Shelf {
    held: Mutex<BTreeMap<Version, Arc<Authority>>>,
    next: Mutex<Option<Authority>>,
    asked: AtomicU64,
    pub(crate) silent: std::sync::atomic::AtomicBool,
    /// Questions come to nothing.
    pub(crate) fails: std::sync::atomic::AtomicBool,
}

impl Shelf {
    /// From now on these count for tokens of version 2.
    pub(crate) fn put(&self, authority: Authority) {
        self.put_for(Version::V2, authority);
    }

    pub(crate) fn put_for(&self, version: Version, authority: Authority) {
        self.held.lock().unwrap().insert(version, Arc::new(authority));
    }

    pub(crate) fn clear(&self) {
        self.held.lock().unwrap().clear();
    }

    /// The next question brings these.
    pub(crate) fn bring(&self, authority: Authority) {
        *self.next.lock().unwrap() = Some(authority);
    }

    /// How often keys were asked for.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Keys for Shelf {
    fn authority(&self, source: &Discovery) -> Option<Arc<Authority>> {
        self.held.lock().unwrap().get(&source.version).cloned()
    }

    fn refresh<'a>(&'a self, _: &'a Arc<Discovery>, _: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if let Some(next) = self.next.lock().unwrap().take() {
                self.put(next);
            }
        })
    }

    fn is_current(&self, _: &Discovery) -> bool {
        !self.fails.load(Ordering::SeqCst)
    }
}

/// The public cloud with the keys of this document.
pub(crate) fn authority(keys: &Value) -> Authority {
    authority_of(Version::V2, keys)
}

pub(crate) fn authority_of(version: Version, keys: &Value) -> Authority {
    let keys = jwks::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap().keys;
    Issuer::Cloud(Cloud::Public).published(version, keys)
}

/// The tests' own key as it is listed.
pub(crate) fn own_key() -> Value {
    json!([KEY.jwk()])
}

/// A draft, signed.
pub(crate) fn token(draft: &Draft) -> String {
    let (header, payload) = draft.texts();
    KEY.token(header.as_bytes(), payload.as_bytes())
}

/// The answer to one request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) reason: &'static str,
    pub(crate) cached: bool,
}

pub(crate) struct Scene {
    pub(crate) authorizer: Authorizer,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) clock: Arc<Hand>,
    compiler: Mutex<Compiler>,
    documents: Mutex<Value>,
}

impl Scene {
    /// With the good key on the shelf for both versions.
    pub(crate) fn new() -> Self {
        let scene = Self::without_keys(1000);
        scene.shelf.put_for(Version::V1, authority_of(Version::V1, &own_key()));
        scene.shelf.put(authority(&own_key()));
        scene
    }

    /// Remembering at most so many tokens.
    pub(crate) fn without_keys(capacity: usize) -> Self {
        let shelf = Arc::new(Shelf::default());
        let clock = Arc::new(Hand(AtomicI64::new(NOW.0)));
        let keys = Arc::clone(&shelf) as Arc<dyn Keys>;
        let authorizer = Authorizer::with_keys(keys, capacity, Arc::clone(&clock) as Arc<dyn Clock>);
        let compiler = Mutex::new(Compiler::default());
        let scene = Self { authorizer, shelf, clock, compiler, documents: Mutex::new(yaml(RESOURCES)) };
        scene.publish();
        scene
    }

    /// Changes a resource, as in `/applications/0/spec/clientId`, and publishes what comes of it.
    pub(crate) fn set(&self, pointer: &str, value: Value) {
        let (above, last) = pointer.rsplit_once('/').unwrap();
        let mut documents = self.documents.lock().unwrap();
        let object = documents.pointer_mut(above).unwrap().as_object_mut().unwrap();
        object.insert(last.to_owned(), value);
        drop(documents);
        self.publish();
    }

    /// Puts one more resource in, and publishes what comes of it.
    pub(crate) fn add(&self, resource: Value) {
        self.documents.lock().unwrap()["more"].as_array_mut().unwrap().push(resource);
        self.publish();
    }

    /// The same for a broken one; what is wrong.
    pub(crate) fn add_broken(&self, resource: Value) -> String {
        self.documents.lock().unwrap()["more"].as_array_mut().unwrap().push(resource);
        self.compiled().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// Takes away what was added.
    pub(crate) fn restore(&self) {
        self.documents.lock().unwrap()["more"] = json!([]);
        self.publish();
    }

    /// Compiles the resources, which are sound, and publishes the world.
    pub(crate) fn publish(&self) {
        let faults = self.compiled();
        assert!(faults.is_empty(), "{faults:?}");
    }

    fn compiled(&self) -> Vec<Fault> {
        let documents = self.documents.lock().unwrap();
        let all =
            ["applications", "policies", "more"].iter().flat_map(|kind| documents[kind].as_array().unwrap().clone());
        let resources = resources(all.map(document));
        let compiled = self.compiler.lock().unwrap().compile(&resources, &Settings::default());
        let generation = self.authorizer.world().map_or(1, |world| world.generation.saturating_add(1));
        let world = World::new(generation, compiled.snapshot, &compiled.profiles).revoking(compiled.revocations);
        self.authorizer.publish(Arc::new(world));
        compiled.faults
    }

    /// What is said to a request with this token, at once; `None`: keys have to be asked for first.
    pub(crate) fn ask(&self, host: &str, token: &str) -> Option<Answer> {
        let sent = Sent::new(host, token);
        self.authorizer.try_decide(&sent.request()).ok().map(|decision| answer(&decision))
    }

    /// What is said in the end.
    pub(crate) async fn answer(&self, host: &str, token: &str) -> Answer {
        answer(&self.decide(host, token).await)
    }

    pub(crate) async fn decide(&self, host: &str, token: &str) -> Decision {
        let sent = Sent::new(host, token);
        match self.authorizer.try_decide(&sent.request()) {
            Ok(decision) => decision,
            Err(pending) => self.authorizer.resume(sent.request(), pending, None).await,
        }
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.clock.unix()
    }
}

pub(crate) fn answer(decision: &Decision) -> Answer {
    let (outcome, reason) = Outcome::of(&decision.verdict);
    Answer { outcome, reason, cached: decision.cached }
}

/// A request as bytes.
pub(crate) struct Sent {
    method: Bytes,
    host: Bytes,
    target: Bytes,
    headers: Vec<(Bytes, Bytes)>,
}

impl Sent {
    /// `GET` with this token, to `host` or `host/path`.
    pub(crate) fn new(host: &str, token: &str) -> Self {
        let (host, path) = host.split_once('/').unwrap_or((host, "orders/7"));
        Self {
            method: Bytes::from_static(b"GET"),
            host: Bytes::copy_from_slice(host.as_bytes()),
            target: format!("/{path}").into(),
            headers: vec![("authorization".into(), format!("Bearer {token}").into())],
        }
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            host: &self.host,
            target: &self.target,
            headers: &self.headers,
            named: Named::default(),
        }
    }
}

pub(crate) fn allow(cached: bool) -> Answer {
    Answer { outcome: Outcome::Allow, reason: "allow_entry_matched", cached }
}

pub(crate) fn deny(reason: &'static str) -> Answer {
    Answer { outcome: Outcome::Deny, reason, cached: false }
}

pub(crate) fn unavailable(reason: &'static str) -> Answer {
    Answer { outcome: Outcome::Unavailable, reason, cached: false }
}
