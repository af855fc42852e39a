//! How many data planes hold an object, of those that should.

use std::collections::HashMap;
use std::sync::Arc;

use crate::api::object::ObjectId;
use crate::cluster::conditions::Planes;
use crate::delivery::roster::Plane;
use crate::delivery::view::{Audience, Catalogue};

/// The data planes of one moment, by what they may see.
pub(super) struct Counter<'c> {
    catalogue: &'c Catalogue,
    gateways: Vec<Arc<Plane>>,
    workloads: HashMap<Arc<str>, Vec<Arc<Plane>>>,
    /// Workloads that hold something of this namespace although they belong to another.
    abroad: HashMap<Arc<str>, Vec<Arc<Plane>>>,
}

impl<'c> Counter<'c> {
    pub(super) fn new(catalogue: &'c Catalogue, planes: Vec<Arc<Plane>>) -> Self {
        let mut counter = Self { catalogue, gateways: Vec::new(), workloads: HashMap::new(), abroad: HashMap::new() };
        for plane in planes {
            match &plane.audience {
                Audience::Gateway => counter.gateways.push(plane),
                Audience::Workload { namespace, .. } => {
                    let mut foreign: Vec<&str> = plane
                        .held
                        .keys()
                        .filter_map(|name| name.split('/').nth(1))
                        .filter(|at| *at != &**namespace)
                        .collect();
                    foreign.dedup();
                    for at in foreign {
                        counter.abroad.entry(at.into()).or_default().push(Arc::clone(&plane));
                    }
                    counter.workloads.entry(Arc::clone(namespace)).or_default().push(plane);
                }
            }
        }
        counter
    }

    /// Who holds this object.
    pub(super) fn count(&self, id: &ObjectId) -> Planes {
        let Some(parcel) = self.catalogue.parcel(id) else { return Planes::default() };
        let native = of(&self.workloads, id).filter(|plane| self.catalogue.concerns(id, &plane.audience));
        let abroad = of(&self.abroad, id).filter(|plane| plane.held.contains_key(&parcel.name));
        let mut planes = Planes::default();
        for plane in self.gateways.iter().chain(native).chain(abroad) {
            planes.all = planes.all.saturating_add(1);
            if plane.held.get(&parcel.name) == Some(&parcel.version) {
                planes.hold = planes.hold.saturating_add(1);
            } else if let Some(why) = plane.refused.get(&parcel.name) {
                planes.refused.get_or_insert_with(|| reason(plane, id, why));
            }
        }
        planes
    }
}

impl Counter<'_> {
    /// How many hold this object although they belong to another namespace.
    pub(super) fn abroad(&self, id: &ObjectId) -> usize {
        let Some(parcel) = self.catalogue.parcel(id) else { return 0 };
        of(&self.abroad, id).filter(|plane| plane.held.contains_key(&parcel.name)).count()
    }
}

/// Who refused an object and why. A status is no place for the words of other teams.
fn reason(plane: &Plane, id: &ObjectId, why: &str) -> String {
    match &plane.audience {
        Audience::Workload { namespace, .. } if *namespace != id.namespace => {
            format!("{}, which is of another namespace; its log says why", plane.name)
        }
        Audience::Gateway | Audience::Workload { .. } => format!("{}: {why}", plane.name),
    }
}

fn of<'m>(map: &'m HashMap<Arc<str>, Vec<Arc<Plane>>>, id: &ObjectId) -> impl Iterator<Item = &'m Arc<Plane>> {
    map.get(&id.namespace).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;

    use super::Counter;
    use crate::api::object::{Kind, Object, Resources};
    use crate::delivery::roster::Plane;
    use crate::delivery::view::{Audience, Catalogue};

    #[test]
    fn the_words_of_another_team_do_not_come_into_a_status() {
        let body = json!({
            "apiVersion": "entrance.dev/v1alpha1", "kind": "EntraApplication",
            "metadata": {"namespace": "shop", "name": "api"},
        });
        let application = Arc::new(Object::new(body.as_object().unwrap().clone()).unwrap().unwrap());
        let mut resources = Resources::new();
        resources.put(Arc::clone(&application));
        let catalogue = Catalogue::default().next(&resources);
        let refused = |namespace: &str| {
            let audience = Audience::Workload { namespace: namespace.into(), labels: BTreeMap::new() };
            let name: Arc<str> = format!("{}/shop/api", Kind::EntraApplication.as_str()).into();
            let (held, refused) = ([(Arc::clone(&name), "old".into())].into(), [(name, "URGENT".into())].into());
            let plane = Plane { name: format!("{namespace}/default").into(), audience, held, refused };
            Counter::new(&catalogue, vec![Arc::new(plane)]).count(&application.id).refused
        };
        assert_eq!(refused("shop").as_deref(), Some("shop/default: URGENT"));
        assert_eq!(refused("evil").as_deref(), Some("evil/default, which is of another namespace; its log says why"));
    }
}
