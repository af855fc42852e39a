//! What replicas tell each other of their data planes, so that the one that writes statuses counts all of them. Pure.
//!
//! A replica tells how many data planes it has that see the same, and of which resources some lack the present version.
//! It does not tell versions: a digest says which state of all resources that was, and the reader knows since when each
//! resource is as it is. What changed after that state counts as not held yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::object::ObjectId;
use crate::cluster::conditions::Planes;
use crate::cluster::statuses::KINDS;
use crate::delivery::roster::Plane;
use crate::delivery::view::{Audience, Catalogue};

use super::planes::Counter;

/// The data planes of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// Of the state that it delivers.
    digest: String,
    #[serde(default)]
    groups: Vec<Group>,
    /// Resources that not everybody holds who should, by the name under which they travel.
    #[serde(default)]
    behind: BTreeMap<String, Behind>,
    /// How many hold a resource although they belong to another namespace.
    #[serde(default)]
    abroad: BTreeMap<String, usize>,
}

/// Data planes that see the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Group {
    /// `None`: gateways, which see everything.
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    planes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Behind {
    planes: usize,
    #[serde(default)]
    refused: Option<String>,
}

impl Summary {
    /// What this replica tells.
    pub(super) fn of(catalogue: &Catalogue, planes: Vec<Arc<Plane>>) -> Self {
        let digest = format!("{:032x}", catalogue.digest());
        if planes.is_empty() {
            return Self { digest, ..Self::default() };
        }
        let mut groups: BTreeMap<(Option<String>, BTreeMap<String, String>), usize> = BTreeMap::new();
        for plane in &planes {
            let key = match &plane.audience {
                Audience::Gateway => (None, BTreeMap::new()),
                Audience::Workload { namespace, labels } => (Some(namespace.to_string()), labels.clone()),
            };
            let count = groups.entry(key).or_default();
            *count = count.saturating_add(1);
        }
        let group = |((namespace, labels), planes)| Group { namespace, labels, planes };
        let mut summary = Self { digest, groups: groups.into_iter().map(group).collect(), ..Self::default() };
        let counter = Counter::new(catalogue, planes);
        // Nothing is said of what has no status.
        for (id, parcel) in catalogue.all().filter(|(id, _)| KINDS.contains(&id.kind)) {
            let (Planes { hold, all, refused }, abroad) = (counter.count(id), counter.abroad(id));
            if hold < all {
                let planes = all.saturating_sub(hold);
                summary.behind.insert(parcel.name.to_string(), Behind { planes, refused });
            }
            if abroad > 0 {
                summary.abroad.insert(parcel.name.to_string(), abroad);
            }
        }
        summary
    }

    /// How many data planes it tells of.
    pub(super) fn planes(&self) -> usize {
        self.groups.iter().fold(0, |sum, group| sum.saturating_add(group.planes))
    }

    /// The same without saying who they are, for when that is too long to tell.
    pub(super) fn silent(&self) -> Self {
        Self { digest: self.digest.clone(), ..Self::default() }
    }

    /// Adds those who should hold a resource, and those who do. `reached`: up to which generation of this catalogue that
    /// replica is known to be.
    fn count(&self, (catalogue, reached): (&Catalogue, u64), id: &ObjectId, planes: &mut Planes) {
        let Some(parcel) = catalogue.parcel(id) else { return };
        let native = self.groups.iter().filter(|group| catalogue.concerns(id, &group.audience()));
        let native = native.fold(0_usize, |sum, group| sum.saturating_add(group.planes));
        let all = native.saturating_add(self.abroad.get(&*parcel.name).copied().unwrap_or(0));
        planes.all = planes.all.saturating_add(all);
        if catalogue.since(id).is_none_or(|since| since > reached) {
            return;
        }
        let behind = self.behind.get(&*parcel.name);
        let lacking = behind.map_or(0, |behind| behind.planes);
        planes.hold = planes.hold.saturating_add(all.saturating_sub(lacking));
        if let (None, Some(why)) = (&planes.refused, behind.and_then(|behind| behind.refused.clone())) {
            planes.refused = Some(why);
        }
    }
}

impl Group {
    fn audience(&self) -> Audience {
        match &self.namespace {
            None => Audience::Gateway,
            Some(namespace) => Audience::Workload { namespace: namespace.as_str().into(), labels: self.labels.clone() },
        }
    }
}

/// The other replicas, by identity.
pub(super) type Summaries = BTreeMap<String, Summary>;

/// How far the other replicas are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Peers {
    summaries: Arc<Summaries>,
    reached: BTreeMap<String, u64>,
}

impl Peers {
    /// Takes in what they told last.
    pub(super) fn hear(&mut self, summaries: &Arc<Summaries>, catalogue: &Catalogue) {
        self.summaries = Arc::clone(summaries);
        self.reached.retain(|replica, _| summaries.contains_key(replica));
        for (replica, summary) in &**summaries {
            let reached = u128::from_str_radix(&summary.digest, 16).ok().and_then(|digest| catalogue.reached(digest));
            if let Some(reached) = reached {
                self.reached.insert(replica.clone(), reached);
            }
        }
    }

    /// Whether any of them has data planes.
    pub(super) fn any(&self) -> bool {
        self.summaries.values().any(|summary| summary.planes() > 0)
    }

    /// What of them counts: nothing, if none has data planes.
    pub(super) fn counting(&self) -> Self {
        if self.any() { self.clone() } else { Self::default() }
    }

    /// Adds their data planes to those of this replica.
    pub(super) fn count(&self, catalogue: &Catalogue, id: &ObjectId, planes: &mut Planes) {
        for (replica, summary) in &*self.summaries {
            let reached = self.reached.get(replica).copied().unwrap_or(0);
            summary.count((catalogue, reached), id, planes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;

    use super::{Peers, Summaries, Summary};
    use crate::api::object::{Kind, Object, ObjectId, Resources};
    use crate::cluster::conditions::Planes;
    use crate::delivery::roster::Plane;
    use crate::delivery::view::{Audience, Catalogue};

    fn policies(generations: &[(&str, i64)]) -> Resources {
        let mut resources = Resources::new();
        for (name, generation) in generations {
            let body = json!({
                "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy",
                "metadata": {"namespace": "shop", "name": name, "generation": generation},
                "spec": {"selector": (*name == "gated").then(|| json!({"matchLabels": {"app": "gate"}}))},
            });
            resources.put(Arc::new(Object::new(body.as_object().unwrap().clone()).unwrap().unwrap()));
        }
        resources
    }

    fn id(name: &str) -> ObjectId {
        ObjectId { kind: Kind::AccessPolicy, namespace: "shop".into(), name: name.into() }
    }

    /// A workload that holds what it may see, but for one policy.
    fn plane(catalogue: &Catalogue, app: &str, lacks: &str) -> Arc<Plane> {
        let labels = [("app".to_owned(), app.to_owned())].into();
        let audience = Audience::Workload { namespace: "shop".into(), labels };
        let view = catalogue.view(&audience).into_iter();
        let held = view.map(|(name, parcel)| (name, parcel.version)).filter(|(name, _)| !name.ends_with(lacks));
        let refused = BTreeMap::from([(format!("AccessPolicy/shop/{lacks}").into(), "no".into())]);
        Arc::new(Plane { name: format!("pod shop/{app}").into(), audience, held: held.collect(), refused })
    }

    /// Held, of those that should, and why not.
    fn counted(peers: &Peers, catalogue: &Catalogue, name: &str) -> (usize, usize, Option<String>) {
        let mut planes = Planes::default();
        peers.count(catalogue, &id(name), &mut planes);
        (planes.hold, planes.all, planes.refused)
    }

    fn hear(peers: &mut Peers, told: &Summary, catalogue: &Catalogue) {
        let text = serde_json::to_string(told).unwrap();
        let told: Summary = serde_json::from_str(&text).unwrap();
        peers.hear(&Arc::new(Summaries::from([("other".to_owned(), told)])), catalogue);
    }

    #[test]
    fn the_data_planes_of_another_replica_count_as_far_as_it_is_known_to_be() {
        let first = policies(&[("all", 1), ("gated", 1), ("bad", 1)]);
        // the replicas came by different ways to the same state
        let there = Catalogue::default().next(&policies(&[("all", 1)])).next(&first);
        let here = Catalogue::default().next(&first);
        let planes = ["gate", "shop", "shop"].map(|app| plane(&there, app, "bad")).to_vec();
        let told = Summary::of(&there, planes);
        assert_eq!(told.planes(), 3);
        let mut peers = Peers::default();
        assert!(!peers.any());
        hear(&mut peers, &told, &here);
        assert!(peers.any());
        assert_eq!(counted(&peers, &here, "all"), (3, 3, None));
        assert_eq!(counted(&peers, &here, "gated"), (1, 1, None));
        assert_eq!(counted(&peers, &here, "bad"), (0, 3, Some("pod shop/gate: no".to_owned())));
        // one policy changes, and the other replica does not know yet: the rest stays counted
        let second = policies(&[("all", 2), ("gated", 1), ("bad", 1)]);
        let here = here.next(&second);
        hear(&mut peers, &told, &here);
        assert_eq!(counted(&peers, &here, "all"), (0, 3, None));
        assert_eq!(counted(&peers, &here, "gated"), (1, 1, None));
        let there = there.next(&second);
        let told = Summary::of(&there, vec![plane(&there, "shop", "nothing")]);
        hear(&mut peers, &told, &here);
        assert_eq!(counted(&peers, &here, "all"), (1, 1, None));
        assert_eq!(counted(&peers, &here, "gated"), (0, 0, None));
        // a state that nobody here ever saw leaves it where it was; one that is silent has no data planes
        let ahead = Summary::of(&there.next(&first).next(&policies(&[("all", 3)])), vec![]);
        hear(&mut peers, &ahead, &here);
        assert_eq!(counted(&peers, &here, "all"), (0, 0, None));
        hear(&mut peers, &told.silent(), &here);
        assert!(!peers.any());
    }
}
