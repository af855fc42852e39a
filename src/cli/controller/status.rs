//! What a running controller tells of itself.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::admin::{Condition, Inspect};
use crate::cluster::mirror::Mirrored;
use crate::delivery::roster::Roster;
use crate::delivery::view::{Audience, Catalogue};
use crate::metrics::Gauges;

use super::super::serve::kubernetes;

/// The state of one controller.
pub(super) struct Status {
    pub(super) mirrored: watch::Receiver<Mirrored>,
    pub(super) catalogue: watch::Receiver<Option<Arc<Catalogue>>>,
    pub(super) leader: watch::Receiver<bool>,
    pub(super) roster: Arc<Roster>,
    /// There is a certificate to show, or none is needed.
    pub(super) shown: watch::Receiver<bool>,
}

impl Status {
    fn generation(&self) -> Option<u64> {
        self.catalogue.borrow().as_ref().map(|catalogue| catalogue.generation)
    }
}

impl Inspect for Status {
    fn conditions(&self) -> Vec<Condition> {
        let leads = *self.leader.borrow();
        let message = if leads { "this replica writes statuses" } else { "another replica writes statuses" };
        let delivery = match self.generation() {
            Some(generation) => format!("generation {generation} for {} subscribers", self.roster.all().len()),
            None => "nothing to deliver yet".to_owned(),
        };
        let shown = *self.shown.borrow();
        let certificate = if shown { "shown, or not needed" } else { "the Secret holds none yet" };
        vec![
            kubernetes(&self.mirrored.borrow()),
            Condition { name: "delivery".to_owned(), ready: self.generation().is_some(), message: delivery },
            Condition { name: "certificate".to_owned(), ready: shown, message: certificate.to_owned() },
            Condition { name: "lease".to_owned(), ready: true, message: message.to_owned() },
        ]
    }

    fn gauges(&self) -> Gauges {
        Gauges { generation: self.generation(), ..Gauges::default() }
    }

    fn snapshot(&self) -> Value {
        let plane = |audience: &Audience| match audience {
            Audience::Gateway => json!("everything"),
            Audience::Workload { namespace, labels } => json!({"namespace": &**namespace, "labels": labels}),
        };
        let subscribers = self.roster.all();
        let subscribers = subscribers.iter().map(|known| {
            let refused = known.refused.iter().map(|(name, why)| json!({"name": &**name, "reason": &**why}));
            json!({
                "name": &*known.name, "sees": plane(&known.audience), "holds": known.held.len(),
                "refused": refused.collect::<Value>(),
            })
        });
        let catalogue = self.catalogue.borrow().clone();
        let undelivered =
            catalogue.iter().flat_map(|catalogue| catalogue.undelivered()).map(|id| json!(id.to_string()));
        json!({
            "generation": self.generation(), "subscribers": subscribers.collect::<Value>(),
            "undelivered": undelivered.collect::<Value>(),
        })
    }
}
