//! What a running webhook tells of itself.

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::admin::{Condition, Inspect};
use crate::cluster::mirror::Mirrored;
use crate::metrics::Gauges;

use super::super::serve::kubernetes;
use super::certificates::Shown;

/// The state of one webhook.
pub(super) struct Status {
    pub(super) mirrored: watch::Receiver<Mirrored>,
    pub(super) shown: Shown,
}

impl Inspect for Status {
    fn conditions(&self) -> Vec<Condition> {
        let (shown, told) = (self.shown.certificate.borrow().is_some(), *self.shown.told.borrow());
        let message = match (shown, told) {
            (true, true) => "shown",
            (true, false) => "shown, but the webhook configurations do not name its authority yet",
            (false, _) => "none to show yet",
        };
        vec![
            kubernetes(&self.mirrored.borrow()),
            Condition { name: "certificate".to_owned(), ready: shown && told, message: message.to_owned() },
        ]
    }

    fn gauges(&self) -> Gauges {
        Gauges { generation: None, keys: Vec::new(), remembered_tokens: 0 }
    }

    fn snapshot(&self) -> Value {
        let resources = self.mirrored.borrow().resources.as_ref().map(|all| all.len());
        json!({"resources": resources, "authority": *self.shown.bundle.borrow()})
    }
}
