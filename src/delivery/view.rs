//! What each subscriber may see.
//!
//! A sidecar sees the resources of its namespace, of the policies those without a selector or with one that its pod
//! matches, and from other namespaces what those policies refer to, if a ReferenceGrant there permits it. A gateway sees
//! everything. What policies may be attached to is seen where some policy of its namespace is attached to anything, and the
//! Gateways that lead there; of ConfigMaps those that an application takes its keys from.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde_json::{Map, Value};

use crate::api::object::{Kind, Object, ObjectId, Resources};
use crate::api::reference::{self, Permission};
use crate::api::target;

use super::wire::{MAX_BODY, Parcel, Pins};

/// Who subscribes, as the controller knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A shared gateway.
    Gateway,
    /// The sidecar of one workload.
    Workload {
        /// The namespace.
        namespace: Arc<str>,
        /// The pod's labels.
        labels: BTreeMap<String, String>,
    },
}

/// All resources, ready to be delivered.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Counts the catalogues of this process.
    pub generation: u64,
    /// What all of this was made from.
    resources: Resources,
    /// By namespace: the next catalogue shares those where nothing changed.
    shares: HashMap<Arc<str>, Arc<Share>, RandomState>,
    /// For gateways; `None`: no host is given to anybody.
    pins: Option<Parcel>,
    /// Of the newest catalogues: what they held, and their generation here.
    history: VecDeque<(u128, u64)>,
}

type Share = BTreeMap<ObjectId, Stock>;

/// One resource, and what decides who may see it.
#[derive(Clone, Debug)]
struct Stock {
    object: Arc<Object>,
    parcel: Parcel,
    terms: Arc<Terms>,
    /// The generation in which this version came.
    since: u64,
}

/// What a resource says of who needs it, read once for all subscribers.
#[derive(Debug, Default)]
struct Terms {
    /// `selector.matchLabels` of a policy. One that cannot be read is the receiver's to judge.
    selector: Option<Map<String, Value>>,
    /// `applicationRef.name`.
    application: Option<Box<str>>,
    /// `applicationRef.namespace`.
    namespace: Option<Box<str>>,
    /// A policy that is attached to something.
    attached: bool,
    /// The Gateways that are parents of a route.
    gateways: Vec<ObjectId>,
    /// The ConfigMap of an application.
    keys: Option<ObjectId>,
    /// What a ReferenceGrant permits.
    permission: Permission,
}

impl Terms {
    fn of(object: &Object) -> Self {
        if matches!(object.id.kind, Kind::HttpRoute | Kind::GrpcRoute) {
            return Self { gateways: target::gateways(object), ..Self::default() };
        }
        if object.id.kind == Kind::EntraApplication {
            return Self { keys: reference::key_map(object), ..Self::default() };
        }
        if object.id.kind == Kind::ReferenceGrant {
            return Self { permission: Permission::of(object), ..Self::default() };
        }
        if !matches!(object.id.kind, Kind::AccessPolicy | Kind::TokenRevocation) {
            return Self::default();
        }
        let body = object.body();
        let at = |pointer: &str| body.get("spec").and_then(|spec| spec.pointer(pointer));
        let text = |pointer: &str| at(pointer).and_then(Value::as_str).map(Into::into);
        Self {
            selector: at("/selector/matchLabels").and_then(Value::as_object).cloned(),
            application: text("/applicationRef/name"),
            namespace: text("/applicationRef/namespace"),
            attached: !target::of(object).is_empty(),
            ..Self::default()
        }
    }

    /// Whether a policy may be meant for a pod with these labels.
    fn concern(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.iter().flatten().all(|(key, value)| match value.as_str() {
            Some(value) => labels.get(key).is_some_and(|label| label == value),
            None => true,
        })
    }
}

impl Stock {
    fn new(object: &Arc<Object>, since: u64) -> Self {
        let terms = Arc::new(Terms::of(object));
        Self { object: Arc::clone(object), parcel: Parcel::resource(object), terms, since }
    }

    /// Whether this is what says which tokens of the application of this name count, beside its keys. `policies`: whose
    /// policies refer to it.
    fn belongs(&self, application: &str, policies: &str) -> bool {
        match self.object.id.kind {
            Kind::EntraApplication => *self.object.id.name == *application,
            Kind::TokenRevocation => self.terms.application.as_deref().is_none_or(|name| name == application),
            Kind::ReferenceGrant => self.terms.permission.covers(policies, application),
            Kind::AccessPolicy
            | Kind::AccessGrant
            | Kind::ConfigMap
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::Gateway
            | Kind::Service
            | Kind::SecurityPolicy => false,
        }
    }

    /// Whether subscribers would refuse it. Of all kinds the API server stores ConfigMaps alone in fewer bytes than they
    /// have as JSON, and without its ConfigMap an application accepts no token.
    fn is_too_large(&self) -> bool {
        self.object.id.kind == Kind::ConfigMap && self.object.text().len() > MAX_BODY
    }
}

/// Catalogues that are remembered, to tell how far another replica is.
const HISTORY: usize = 256;

impl Catalogue {
    /// An empty catalogue of an installation that gave these hosts away.
    #[must_use]
    pub fn pinning(pins: &Pins) -> Self {
        Self { pins: (!pins.is_empty()).then(|| Parcel::pins(pins)), ..Self::default() }
    }

    /// The next catalogue. What did not change is neither encoded again nor looked at.
    #[must_use]
    pub fn next(&self, resources: &Resources) -> Self {
        let (generation, mut digest) = (self.generation.saturating_add(1), self.digest());
        let mut shares = self.shares.clone();
        // What nobody enforces is delivered to nobody.
        for id in resources.since(&self.resources).into_iter().filter(|id| id.kind != Kind::SecurityPolicy) {
            let share = shares.entry(Arc::clone(&id.namespace)).or_default();
            let known = share.get(&id);
            match resources.get(&id) {
                Some(object) if known.is_some_and(|known| known.object == *object) => continue,
                Some(object) => {
                    let stock = Stock::new(object, generation);
                    if stock.is_too_large() {
                        let bytes = object.text().len();
                        tracing::warn!(code = "not_delivered", object = %id, bytes, "is larger than 2 MiB as JSON");
                    }
                    digest ^= stock.parcel.hash() ^ known.map_or(0, |known| known.parcel.hash());
                    Arc::make_mut(share).insert(id, stock);
                }
                None => {
                    digest ^= known.map_or(0, |known| known.parcel.hash());
                    Arc::make_mut(share).remove(&id);
                    if share.is_empty() {
                        shares.remove(&id.namespace);
                    }
                }
            }
        }
        let mut history = self.history.clone();
        history.push_front((digest, generation));
        history.truncate(HISTORY);
        Self { generation, resources: resources.clone(), shares, pins: self.pins.clone(), history }
    }

    /// What this was made from.
    #[must_use]
    pub const fn resources(&self) -> &Resources {
        &self.resources
    }

    /// What `audience` may see, by name.
    #[must_use]
    pub fn view(&self, audience: &Audience) -> BTreeMap<Arc<str>, Parcel> {
        match audience {
            Audience::Gateway => {
                let seen = self.shares.keys().flat_map(|namespace| self.seen(namespace));
                seen.map(|stock| &stock.parcel).chain(&self.pins).map(named).collect()
            }
            Audience::Workload { namespace, labels } => {
                let mut view = self.of_workload(namespace, labels);
                let (name, parcel) = named(&Parcel::workload(namespace, labels));
                view.insert(name, parcel);
                view
            }
        }
    }

    /// The name and the version under which a resource is delivered.
    #[must_use]
    pub fn parcel(&self, id: &ObjectId) -> Option<&Parcel> {
        self.stock(id).map(|stock| &stock.parcel)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&ObjectId, &Parcel)> {
        self.stocks().map(|(id, stock)| (id, &stock.parcel))
    }

    /// What is too large to be delivered.
    pub fn undelivered(&self) -> impl Iterator<Item = &ObjectId> {
        self.stocks().filter(|(_, stock)| stock.is_too_large()).map(|(id, _)| id)
    }

    fn stocks(&self) -> impl Iterator<Item = (&ObjectId, &Stock)> {
        self.shares.values().flat_map(|share| share.iter())
    }

    fn stock(&self, id: &ObjectId) -> Option<&Stock> {
        self.shares.get(&id.namespace)?.get(id)
    }

    /// What it holds, as one number: the same at every replica that holds the same.
    #[must_use]
    pub fn digest(&self) -> u128 {
        self.history.front().map_or(0, |(digest, _)| *digest)
    }

    /// The generation here in which everything was as it is at a replica with this digest, if that is remembered.
    #[must_use]
    pub fn reached(&self, digest: u128) -> Option<u64> {
        self.history.iter().find(|(known, _)| *known == digest).map(|(_, generation)| *generation)
    }

    /// The generation in which the present version of a resource came.
    #[must_use]
    pub fn since(&self, id: &ObjectId) -> Option<u64> {
        self.stock(id).map(|stock| stock.since)
    }

    /// Whether `audience` should hold a resource by its own namespace and labels; what comes from elsewhere because a
    /// policy refers to it is not counted.
    #[must_use]
    pub fn concerns(&self, id: &ObjectId, audience: &Audience) -> bool {
        match audience {
            Audience::Gateway => true,
            Audience::Workload { namespace, .. } if *namespace != id.namespace => false,
            Audience::Workload { labels, .. } => {
                id.kind != Kind::AccessPolicy || self.stock(id).is_some_and(|stock| stock.terms.concern(labels))
            }
        }
    }

    fn of_workload(&self, namespace: &str, labels: &BTreeMap<String, String>) -> BTreeMap<Arc<str>, Parcel> {
        let mut view = BTreeMap::new();
        for stock in self.seen(namespace) {
            if stock.object.id.kind == Kind::AccessPolicy {
                if !stock.terms.concern(labels) {
                    continue;
                }
                view.extend(self.referred(stock).into_iter().map(|abroad| named(&abroad.parcel)));
            }
            view.extend([named(&stock.parcel)]);
        }
        view
    }

    fn of(&self, namespace: &str) -> impl Iterator<Item = &Stock> {
        self.shares.get(namespace).into_iter().flat_map(|share| share.values())
    }

    /// What a namespace holds, without what nobody is attached to, and the Gateways elsewhere that lead to its routes.
    fn seen(&self, namespace: &str) -> impl Iterator<Item = &Stock> {
        let attached = self.of(namespace).any(|stock| stock.terms.attached);
        let own = self.of(namespace).filter(move |stock| attached || !target::may_be(stock.object.id.kind));
        let own = own.filter(|stock| stock.object.id.kind != Kind::ConfigMap);
        let keys = self.of(namespace).filter_map(|stock| self.keys(stock));
        let parents = self.of(namespace).filter(move |_| attached).flat_map(|stock| &stock.terms.gateways);
        let abroad = parents.filter(move |id| *id.namespace != *namespace).filter_map(|id| self.stock(id));
        own.chain(keys).chain(abroad)
    }

    /// The ConfigMap of an application.
    fn keys(&self, application: &Stock) -> Option<&Stock> {
        self.stock(application.terms.keys.as_ref()?).filter(|map| !map.is_too_large())
    }

    /// What a policy needs from the namespace of its application, if that is another one that permits it.
    fn referred(&self, policy: &Stock) -> Vec<&Stock> {
        let Terms { application: Some(name), namespace: Some(namespace), .. } = &*policy.terms else {
            return Vec::new();
        };
        let own = &*policy.object.id.namespace;
        let permits = |stock: &Stock| stock.terms.permission.covers(own, name);
        if **namespace == *own || !self.of(namespace).any(permits) {
            return Vec::new();
        }
        let needed = self.of(namespace).filter(|stock| stock.belongs(name, own));
        needed.flat_map(|stock| std::iter::once(stock).chain(self.keys(stock))).collect()
    }
}

fn named(parcel: &Parcel) -> (Arc<str>, Parcel) {
    (Arc::clone(&parcel.name), parcel.clone())
}
