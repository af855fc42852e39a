//! Which policies a round has to judge again. Pure.
//!
//! What is known of a policy follows from the policy itself, what is wrong with it, and who holds it; of ten thousand one
//! or two are another than in the round before. Of all other kinds there are few, and time and keys change them: they are
//! judged each time.

use std::collections::HashSet;
use std::sync::Arc;

use crate::api::fault::Fault;
use crate::api::object::{Kind, ObjectId, Resources};
use crate::delivery::roster::Plane;

use super::peers::Peers;

/// What a round rests on.
pub(super) struct Basis {
    pub(super) resources: Resources,
    pub(super) faults: Vec<Fault>,
    /// `None`: data planes had no time to come yet.
    pub(super) planes: Option<Vec<Arc<Plane>>>,
    pub(super) peers: Peers,
}

/// The policies that are judged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Every one.
    All,
    /// These.
    Only(HashSet<ObjectId>),
}

impl Basis {
    /// What has to be judged again, given what the round before rested on.
    pub(super) fn extent(&self, before: &Self) -> Extent {
        if self.peers != before.peers {
            return Extent::All;
        }
        let held = match (&before.planes, &self.planes) {
            (None, None) => Some(HashSet::new()),
            (Some(before), Some(now)) => held_otherwise(before, now),
            (None, Some(_)) | (Some(_), None) => None,
        };
        let Some(mut policies) = held else { return Extent::All };
        policies.extend(self.resources.since(&before.resources));
        if self.faults != before.faults {
            policies.extend(self.faults.iter().chain(&before.faults).map(|fault| fault.object.clone()));
        }
        Extent::Only(policies)
    }
}

/// What some data plane holds or refuses, and did not, or the other way round. `None`: these are other data planes.
fn held_otherwise(before: &[Arc<Plane>], now: &[Arc<Plane>]) -> Option<HashSet<ObjectId>> {
    let same = |one: &Plane, other: &Plane| one.name == other.name && one.audience == other.audience;
    if before.len() != now.len() || !before.iter().zip(now).all(|(one, other)| same(one, other)) {
        return None;
    }
    let mut names = HashSet::new();
    for (one, other) in before.iter().zip(now).filter(|(one, other)| !Arc::ptr_eq(one, other)) {
        for (one, other) in [(one, other), (other, one)] {
            let held = one.held.iter().filter(|(name, version)| other.held.get(*name) != Some(version));
            let refused = one.refused.iter().filter(|(name, why)| other.refused.get(*name) != Some(why));
            names.extend(held.chain(refused).map(|(name, _)| &**name));
        }
    }
    Some(names.into_iter().filter_map(policy).collect())
}

/// The policy that travels under this name.
fn policy(name: &str) -> Option<ObjectId> {
    let (namespace, name) = name.strip_prefix(Kind::AccessPolicy.as_str())?.strip_prefix('/')?.split_once('/')?;
    Some(ObjectId { kind: Kind::AccessPolicy, namespace: namespace.into(), name: name.into() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;

    use super::{Basis, Extent};
    use crate::api::fault::{About, Fault};
    use crate::api::field_path::FieldPath;
    use crate::api::object::{Kind, Object, ObjectId, Resources};
    use crate::cli::controller::peers::Peers;
    use crate::delivery::roster::Plane;
    use crate::delivery::view::Audience;

    fn id(name: &str) -> ObjectId {
        ObjectId { kind: Kind::AccessPolicy, namespace: "shop".into(), name: name.into() }
    }

    fn policy(name: &str, generation: i64) -> Arc<Object> {
        let body = json!({
            "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy",
            "metadata": {"namespace": "shop", "name": name, "generation": generation},
        });
        Arc::new(Object::new(body.as_object().unwrap().clone()).unwrap().unwrap())
    }

    fn plane(name: &str, held: &[(&str, &str)], refused: &[&str]) -> Arc<Plane> {
        let at = |name: &str| -> Arc<str> { format!("AccessPolicy/shop/{name}").into() };
        let held: BTreeMap<_, Arc<str>> = held.iter().map(|(name, version)| (at(name), (*version).into())).collect();
        let refused = refused.iter().map(|name| (at(name), "no".into())).collect();
        Arc::new(Plane { name: name.into(), audience: Audience::Gateway, held, refused })
    }

    fn basis() -> Basis {
        let mut resources = Resources::new();
        for name in ["a", "b", "c"] {
            resources.put(policy(name, 1));
        }
        let planes = vec![plane("one", &[("a", "1"), ("b", "1")], &["c"]), plane("two", &[("a", "1")], &[])];
        Basis { resources, faults: Vec::new(), planes: Some(planes), peers: Peers::default() }
    }

    fn only(names: &[&str]) -> Extent {
        Extent::Only(names.iter().map(|name| id(name)).collect())
    }

    /// What is judged again after this became of the first round's ground.
    fn after(change: impl Fn(&mut Basis)) -> Extent {
        let (before, mut now) = (basis(), basis());
        now.resources = before.resources.clone();
        change(&mut now);
        let (there, back) = (now.extent(&before), before.extent(&now));
        assert_eq!(there, back, "what changes a judgement changes it back");
        there
    }

    #[test]
    fn what_changed_is_judged_again_and_nothing_else() {
        let planes = |first: Arc<Plane>| Some(vec![first, plane("two", &[("a", "1")], &[])]);
        let fault = || {
            let (path, problem) = (FieldPath::root().field("spec"), "is wrong".into());
            Fault { object: id("b"), path, problem, about: About::Invalid }
        };
        assert_eq!(after(|_| {}), only(&[]));
        assert_eq!(after(|now| drop(now.resources.put(policy("b", 2)))), only(&["b"]));
        assert_eq!(after(|now| drop(now.resources.put(policy("d", 1)))), only(&["d"]));
        assert_eq!(after(|now| drop(now.resources.remove(&id("a")))), only(&["a"]));
        assert_eq!(after(|now| now.faults.push(fault())), only(&["b"]));
        let one = |held: &[_], refused: &[_]| planes(plane("one", held, refused));
        assert_eq!(after(|now| now.planes = one(&[("a", "2"), ("b", "1")], &["c"])), only(&["a"]));
        assert_eq!(after(|now| now.planes = one(&[("a", "1")], &["c"])), only(&["b"]));
        assert_eq!(after(|now| now.planes = one(&[("a", "1"), ("b", "1")], &[])), only(&["c"]));
    }

    #[test]
    fn other_data_planes_are_another_count_of_everything() {
        assert_eq!(after(|now| now.planes = None), Extent::All);
        assert_eq!(after(|now| now.planes.iter_mut().for_each(|planes| drop(planes.pop()))), Extent::All);
        assert_eq!(after(|now| now.planes.iter_mut().for_each(|planes| planes.reverse())), Extent::All);
    }
}
