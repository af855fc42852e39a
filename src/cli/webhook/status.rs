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
        let shown = self.shown.borrow().is_some();
        let message = if shown { "shown" } else { "none to show yet" };
        vec![
            kubernetes(&self.mirrored.borrow()),
            Condition { name: "certificate".to_owned(), ready: shown, message: message.to_owned() },
        ]
    }

    fn gauges(&self) -> Gauges {
        Gauges { generation: None, keys: Vec::new(), remembered_tokens: 0 }
    }

    fn snapshot(&self) -> Value {
        json!({"resources": self.mirrored.borrow().resources.as_ref().map(|all| all.len())})
    }
}
