//! Watches every kind that concerns us and publishes all resources together, whole, after each change.
//!
//! One task per kind watches; one task owns the copy and publishes. Nothing is published before every kind was listed
//! once. A watch that fails is tried again, faster at first, and what is known stands meanwhile. Kinds of others may be
//! unknown to the API server, or not permitted: then there is none of them, until that changes. One refusal says little, since
//! one of several API servers may lag behind: it must last.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, utils::Backoff, watcher as watch_objects};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::object::{Kind, Resources};
use crate::clock::{Clock, UnixTime, by_chance};

use super::document;
use super::refusals::{Refusal, Refusals};
use super::store::{Change, Store};

/// What only statuses rest on.
pub const GUARDS: [Kind; 1] = [Kind::SecurityPolicy];

/// ConfigMaps without this label are not looked at.
pub const JWKS_LABEL: &str = "entrance.dev/jwks=true";

/// A list that comes as a watch is given up after so long without a word: the server may not know how to end it.
const SILENCE: Duration = Duration::from_secs(10);

/// Changes on their way to the copy.
const CHANGES: usize = 1024;

/// What is mirrored, and how that is going.
#[derive(Clone, Debug, Default)]
pub struct Mirrored {
    /// All resources; `None` before every kind was listed once.
    pub resources: Option<Arc<Resources>>,
    /// Kinds whose watch fails at the moment, and since when.
    pub failing: Vec<(Kind, UnixTime)>,
    /// Kinds that were never listed.
    pub missing: Vec<Kind>,
}

/// What a watch reports to the copy.
enum Report {
    Change(Change),
    /// The API server does not know the kind, or this account may not read it.
    Refused(Refusal),
    Failing,
}

/// Watches [`Kind::DECIDING`] and `more` until `stop` is cancelled; the receiver sees each state.
pub fn run(
    (client, more): (&Client, &[Kind]),
    clock: Arc<dyn Clock>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> watch::Receiver<Mirrored> {
    let (reports, inbox) = mpsc::channel(CHANGES);
    let kinds: Vec<Kind> = Kind::DECIDING.iter().chain(more).copied().collect();
    for &kind in &kinds {
        let (client, reports, stop) = (client.clone(), reports.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = observe(client, kind, reports) => {}
                () = stop.cancelled() => {}
            }
        });
    }
    let (publish, published) = watch::channel(Mirrored::default());
    let mut store = Store::new(kinds);
    // Nothing is decided by these: nobody waits for them.
    for kind in more {
        store.empty(*kind);
    }
    tasks.spawn(keep((inbox, store), publish, clock));
    published
}

/// Owns the copy.
async fn keep(
    (mut inbox, mut store): (mpsc::Receiver<(Kind, Report)>, Store),
    publish: watch::Sender<Mirrored>,
    clock: Arc<dyn Clock>,
) {
    let (mut batch, mut refusals) = (Vec::new(), Refusals::default());
    loop {
        let due = refusals.due(&store);
        tokio::select! {
            received = inbox.recv_many(&mut batch, CHANGES) => if received == 0 { return },
            () = until(due) => {}
        }
        let now = clock.unix();
        let mut mirrored = publish.borrow().clone();
        for (kind, report) in batch.drain(..) {
            let failing = mirrored.failing.iter().position(|(failing, _)| *failing == kind);
            match &report {
                Report::Refused(refusal) => refusals.hear(kind, *refusal, Instant::now()),
                // It may still be refused.
                Report::Change(Change::Begin) => {}
                Report::Change(_) | Report::Failing => refusals.forget(kind),
            }
            match (report, failing) {
                (Report::Failing, None) => mirrored.failing.push((kind, now)),
                // What was once listed stays as it was.
                (Report::Refused(_), None) if store.holds(kind) => mirrored.failing.push((kind, now)),
                // Of what there is nothing, nothing can be stale.
                (Report::Refused(_), Some(at)) if store.lists(kind) && !store.holds(kind) => {
                    mirrored.failing.swap_remove(at);
                }
                (Report::Failing | Report::Refused(_), _) => {}
                (Report::Change(Change::Begin), _) => store.apply(kind, Change::Begin),
                (Report::Change(change), failing) => {
                    failing.map(|at| mirrored.failing.swap_remove(at));
                    store.apply(kind, change);
                }
            }
        }
        for kind in refusals.settle(&mut store, Instant::now()) {
            mirrored.failing.retain(|(failing, _)| *failing != kind);
        }
        if let Some(news) = store.news() {
            mirrored.resources = Some(news);
        }
        mirrored.missing = store.missing().collect();
        publish.send_replace(mirrored);
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// How a kind is listed before it is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    /// As the beginning of its watch: one object at a time, never a whole list in the API server's memory or in ours.
    Streamed,
    /// In pages, for a server that knows only that.
    Paged,
}

/// Why a watch is begun anew.
enum Restart {
    /// The server does not list by watching.
    NotStreamed,
    /// It broke, and cannot or must not be resumed where it was.
    Forgotten,
}

/// Watches one kind for ever.
async fn observe(client: Client, kind: Kind, reports: mpsc::Sender<(Kind, Report)>) {
    let mut listing = Listing::Streamed;
    while let Some(restart) = follow(&client, (kind, listing), &reports).await {
        match restart {
            Restart::NotStreamed => {
                tracing::info!(
                    code = "listed_in_pages",
                    kind = kind.as_str(),
                    "the API server cannot list by watching"
                );
                listing = Listing::Paged;
            }
            Restart::Forgotten => tokio::time::sleep(by_chance(Duration::from_secs(1))).await,
        }
    }
}

/// Lists and watches until that must begin anew; `None`: nobody listens any more.
async fn follow(
    client: &Client,
    (kind, listing): (Kind, Listing),
    reports: &mpsc::Sender<(Kind, Report)>,
) -> Option<Restart> {
    let mut events = pin!(events(client, (kind, listing)).backoff(Pauses::default()));
    let mut listed = false;
    loop {
        let doubtful = listing == Listing::Streamed && !listed;
        let next = events.next();
        let event = match doubtful {
            true => match timeout(SILENCE, next).await {
                Ok(event) => event?,
                Err(_) => return Some(Restart::NotStreamed),
            },
            false => next.await?,
        };
        listed |= matches!(event, Ok(Event::InitDone));
        let restart = event.as_ref().err().and_then(|error| restart(error, (doubtful, listed)));
        if matches!(restart, Some(Restart::NotStreamed)) {
            return restart;
        }
        // What was listed stands until a list says otherwise: one refusal may be a server's that lags behind.
        let told = match &event {
            Err(error) if listed => vec![failing(kind, error)],
            Ok(_) | Err(_) => reports_of(kind, event),
        };
        for report in told {
            reports.send((kind, report)).await.ok()?;
        }
        if restart.is_some() {
            return restart;
        }
    }
}

/// Whether this failure of a watch needs more than another attempt. `doubtful`: nothing was listed by watching yet.
///
/// A watch that breaks after its list is begun anew with a list. One that goes on from where it was says nothing until
/// something changes: nobody would know that it is well again, or that the server had forgotten a kind meanwhile.
fn restart(error: &watcher::Error, (doubtful, listed): (bool, bool)) -> Option<Restart> {
    match error {
        _ if listed => Some(Restart::Forgotten),
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => match status.code {
            400 | 422 if doubtful => Some(Restart::NotStreamed),
            410 => Some(Restart::Forgotten),
            _ => None,
        },
        watcher::Error::WatchStartFailed(_)
        | watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchError(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => None,
    }
}

type Events<T> = watcher::Result<Event<T>>;

/// The events of a kind.
fn events(client: &Client, (kind, listing): (Kind, Listing)) -> BoxStream<'static, Events<DynamicObject>> {
    let (group, version, plural) = document::coordinates(kind);
    let gvk = GroupVersionKind::gvk(group, version, kind.as_str());
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    if kind == Kind::Service {
        // There may be many, and nothing but their names matters.
        let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), &resource);
        return watch_objects(api, config(kind, listing)).map_ok(named).boxed();
    }
    watch_objects(Api::all_with(client.clone(), &resource), config(kind, listing)).boxed()
}

fn named(event: Event<PartialObjectMeta<DynamicObject>>) -> Event<DynamicObject> {
    let object = |of: PartialObjectMeta<DynamicObject>| DynamicObject {
        types: of.types,
        metadata: of.metadata,
        data: serde_json::Value::Null,
    };
    match event {
        Event::Init => Event::Init,
        Event::InitApply(of) => Event::InitApply(object(of)),
        Event::InitDone => Event::InitDone,
        Event::Apply(of) => Event::Apply(object(of)),
        Event::Delete(of) => Event::Delete(object(of)),
    }
}

fn config(kind: Kind, listing: Listing) -> watcher::Config {
    let config = match kind {
        Kind::ConfigMap => watcher::Config::default().labels(JWKS_LABEL),
        Kind::EntraApplication
        | Kind::AccessPolicy
        | Kind::AccessGrant
        | Kind::TokenRevocation
        | Kind::ReferenceGrant
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::Gateway
        | Kind::Service
        | Kind::SecurityPolicy => watcher::Config::default(),
    };
    match listing {
        Listing::Streamed => config.streaming_lists(),
        Listing::Paged => config,
    }
}

fn reports_of(kind: Kind, event: Result<Event<DynamicObject>, watcher::Error>) -> Vec<Report> {
    let put = |object: &DynamicObject, change: fn(Arc<crate::api::object::Object>) -> Change| match document::resource(
        kind, object,
    ) {
        Ok(Some(object)) => vec![Report::Change(change(Arc::new(object)))],
        Ok(None) => Vec::new(),
        Err(fault) => {
            tracing::error!(code = "object_unidentified", kind = kind.as_str(), path = %fault.path, problem = %fault.problem);
            Vec::new()
        }
    };
    match event {
        Ok(Event::Init) => vec![Report::Change(Change::Begin)],
        Ok(Event::InitApply(object)) => put(&object, Change::Listed),
        Ok(Event::InitDone) => vec![Report::Change(Change::Complete)],
        Ok(Event::Apply(object)) => put(&object, Change::Put),
        Ok(Event::Delete(object)) => {
            document::identity(kind, &object).map(|id| Report::Change(Change::Gone(id))).into_iter().collect()
        }
        // The Gateway API may not be installed: there is nothing of it, and there may be something later.
        Err(error) => match refused(&error).filter(|_| !is_ours(kind)) {
            Some(404) => vec![Report::Refused(Refusal::Unknown)],
            Some(403) => vec![Report::Refused(Refusal::Forbidden)],
            Some(_) | None => vec![failing(kind, &error)],
        },
    }
}

fn failing(kind: Kind, error: &watcher::Error) -> Report {
    tracing::warn!(code = "watch_failed", kind = kind.as_str(), %error, "trying again");
    Report::Failing
}

/// Without these nothing can be decided.
const fn is_ours(kind: Kind) -> bool {
    match kind {
        Kind::EntraApplication | Kind::AccessPolicy | Kind::AccessGrant | Kind::TokenRevocation => true,
        Kind::ConfigMap
        | Kind::ReferenceGrant
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::Gateway
        | Kind::Service
        | Kind::SecurityPolicy => false,
    }
}

/// The code with which the API server refused to list a kind.
const fn refused(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchError(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => None,
    }
}

/// Between two attempts: a quarter of a second at first, five seconds at most, a third more or less by chance.
#[derive(Debug, Default)]
struct Pauses {
    failures: u32,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(250).saturating_mul(1_u32.checked_shl(self.failures.min(5)).unwrap_or(32));
        self.failures = self.failures.saturating_add(1);
        Some(by_chance(pause.min(Duration::from_secs(5))))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.failures = 0;
    }
}
