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
                planes.refused.get_or_insert_with(|| format!("{}: {why}", plane.name));
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

fn of<'m>(map: &'m HashMap<Arc<str>, Vec<Arc<Plane>>>, id: &ObjectId) -> impl Iterator<Item = &'m Arc<Plane>> {
    map.get(&id.namespace).into_iter().flatten()
}
