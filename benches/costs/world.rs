//! A world of any size that decides, and its one caller.

use std::sync::Arc;

use entrance::api::compile::{Compiled, Compiler};
use entrance::api::object::{Object, Resources};
use entrance::api::settings::Settings;
use entrance::authorize::Authorizer;
use entrance::authorize::ports::{AuditSink, Keys, Record};
use entrance::authorize::world::World;
use entrance::clock::{FixedClock, UnixTime};
use entrance::token::{Authority, Discovery, install_crypto};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::resources::{Size, application, policies};
use crate::token::Minter;

/// The moment of everything.
pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);
/// One policy with one route.
pub(crate) const SMALL: Size = Size { policies: 1, routes: 0, one_host: true };

/// A compiled world and the tokens that count in it.
pub(crate) struct Bench {
    pub(crate) minter: Minter,
    pub(crate) compiled: Compiled,
    pub(crate) authorizer: Arc<Authorizer>,
}

impl Bench {
    /// Compiles a world of this size and publishes it.
    pub(crate) fn new(size: Size) -> Self {
        install_crypto().expect("aws-lc");
        let minter = Minter::new(NOW.0);
        let resources = resources(&minter, size);
        let compiled = Compiler::default().compile(&resources, &Settings::default());
        let authorizer = Arc::new(Authorizer::with_keys(Arc::new(NoKeys), 10_000, Arc::new(FixedClock(NOW))));
        authorizer.publish(Arc::new(World::new(1, Arc::clone(&compiled.snapshot), &compiled.profiles)));
        Self { minter, compiled, authorizer }
    }
}

/// Resources of this size.
pub(crate) fn resources(minter: &Minter, size: Size) -> Resources {
    put(std::iter::once(application(&minter.jwks())).chain(policies(size)))
}

/// These documents as resources.
pub(crate) fn put(documents: impl Iterator<Item = Value>) -> Resources {
    let mut resources = Resources::new();
    for document in documents {
        resources.put(object(document));
    }
    resources
}

/// A document as a resource.
pub(crate) fn object(document: Value) -> Arc<Object> {
    let Value::Object(body) = document else { panic!("a resource is an object") };
    Arc::new(Object::new(body).expect("a resource").expect("one of ours"))
}

/// The keys stand in the application.
struct NoKeys;

impl Keys for NoKeys {
    fn authority(&self, _: &Discovery) -> Option<Arc<Authority>> {
        None
    }

    fn refresh<'a>(&'a self, _: &'a Arc<Discovery>, _: &'a str) -> BoxFuture<'a, ()> {
        std::future::ready(()).boxed()
    }

    fn is_current(&self, _: &Discovery) -> bool {
        true
    }
}

/// An audit log that costs nothing; what the real one costs is measured with the server.
pub(crate) struct Forgets;

impl AuditSink for Forgets {
    fn record(&self, record: Record) {
        std::hint::black_box(record);
    }
}
