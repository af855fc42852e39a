//! What each subscriber may see.
//!
//! A sidecar sees the resources of its namespace, of the policies those without a selector or with one that its pod
//! matches, and from other namespaces what those policies refer to. A gateway sees everything.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde_json::{Map, Value};

use crate::api::object::{Kind, Object, ObjectId, Resources};

use super::wire::{Parcel, Pins};

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
    parcels: HashMap<ObjectId, Stock, RandomState>,
    namespaces: HashMap<Arc<str>, Arc<[ObjectId]>>,
    /// For gateways; `None`: no host is given to anybody.
    pins: Option<Parcel>,
    /// Of the newest catalogues: what they held, and their generation here.
    history: VecDeque<(u128, u64)>,
}

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
}

impl Terms {
    fn of(object: &Object) -> Self {
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
}

/// Catalogues that are remembered, to tell how far another replica is.
const HISTORY: usize = 256;

impl Catalogue {
    /// An empty catalogue of an installation that gave these hosts away.
    #[must_use]
    pub fn pinning(pins: &Pins) -> Self {
        Self { pins: (!pins.is_empty()).then(|| Parcel::pins(pins)), ..Self::default() }
    }

    /// The next catalogue. What did not change is not encoded again.
    #[must_use]
    pub fn next(&self, resources: &Resources) -> Self {
        let mut parcels = HashMap::with_capacity_and_hasher(resources.len(), RandomState::default());
        let mut namespaces: HashMap<Arc<str>, Vec<ObjectId>> = HashMap::new();
        let (generation, mut digest) = (self.generation.saturating_add(1), 0);
        for object in resources.all() {
            let same = |known: &&Stock| Arc::ptr_eq(&known.object, object) || known.object == *object;
            let known = self.parcels.get(&object.id).filter(same).cloned();
            let stock = known.unwrap_or_else(|| Stock::new(object, generation));
            digest ^= stock.parcel.hash();
            namespaces.entry(Arc::clone(&object.id.namespace)).or_default().push(object.id.clone());
            parcels.insert(object.id.clone(), stock);
        }
        let namespaces = namespaces.into_iter().map(|(namespace, ids)| (namespace, ids.into())).collect();
        let mut history = self.history.clone();
        history.push_front((digest, generation));
        history.truncate(HISTORY);
        Self { generation, parcels, namespaces, pins: self.pins.clone(), history }
    }

    /// What `audience` may see, by name.
    #[must_use]
    pub fn view(&self, audience: &Audience) -> BTreeMap<Arc<str>, Parcel> {
        match audience {
            Audience::Gateway => {
                self.parcels.values().map(|stock| &stock.parcel).chain(&self.pins).map(named).collect()
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
        self.parcels.get(id).map(|stock| &stock.parcel)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&ObjectId, &Parcel)> {
        self.parcels.iter().map(|(id, stock)| (id, &stock.parcel))
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
        self.parcels.get(id).map(|stock| stock.since)
    }

    /// Whether `audience` should hold a resource by its own namespace and labels; what comes from elsewhere because a
    /// policy refers to it is not counted.
    #[must_use]
    pub fn concerns(&self, id: &ObjectId, audience: &Audience) -> bool {
        match audience {
            Audience::Gateway => true,
            Audience::Workload { namespace, .. } if *namespace != id.namespace => false,
            Audience::Workload { labels, .. } => {
                id.kind != Kind::AccessPolicy || self.parcels.get(id).is_some_and(|stock| stock.terms.concern(labels))
            }
        }
    }

    fn of_workload(&self, namespace: &str, labels: &BTreeMap<String, String>) -> BTreeMap<Arc<str>, Parcel> {
        let mut view = BTreeMap::new();
        for stock in self.ids(namespace).filter_map(|id| self.parcels.get(id)) {
            if stock.object.id.kind == Kind::AccessPolicy {
                if !stock.terms.concern(labels) {
                    continue;
                }
                let abroad = self.referred(stock).into_iter().filter_map(|id| self.parcels.get(id));
                view.extend(abroad.map(|abroad| named(&abroad.parcel)));
            }
            view.extend([named(&stock.parcel)]);
        }
        view
    }

    fn ids(&self, namespace: &str) -> impl Iterator<Item = &ObjectId> {
        self.namespaces.get(namespace).into_iter().flat_map(|ids| ids.iter())
    }

    /// What a policy needs from the namespace of its application, if that is another one.
    fn referred(&self, policy: &Stock) -> Vec<&ObjectId> {
        let Terms { application: Some(name), namespace: Some(namespace), .. } = &*policy.terms else {
            return Vec::new();
        };
        if **namespace == *policy.object.id.namespace {
            return Vec::new();
        }
        self.ids(namespace).filter(|id| self.belongs(id, name)).collect()
    }

    /// Whether an object is the application of this name, or part of what says which of its tokens count.
    fn belongs(&self, id: &ObjectId, application: &str) -> bool {
        let named = || self.parcels.get(id).and_then(|stock| stock.terms.application.as_deref());
        match id.kind {
            Kind::EntraApplication => *id.name == *application,
            Kind::TokenRevocation => named().is_none_or(|name| name == application),
            Kind::ReferenceGrant | Kind::ConfigMap => true,
            Kind::AccessPolicy | Kind::AccessGrant => false,
        }
    }
}

fn named(parcel: &Parcel) -> (Arc<str>, Parcel) {
    (Arc::clone(&parcel.name), parcel.clone())
}
