//! What a running webhook tells of itself.

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::admin::{Condition, Inspect};
use crate::clock::{Clock as _, SystemClock, UnixTime};
use crate::cluster::mirror::Mirrored;
use crate::metrics::Gauges;

use super::super::instant;
use super::super::serve::kubernetes;
use super::certificates::Shown;

/// The state of one webhook.
pub(super) struct Status {
    pub(super) mirrored: watch::Receiver<Mirrored>,
    pub(super) shown: Shown,
}

impl Status {
    /// When the certificate ends that is shown.
    fn until(&self) -> Option<UnixTime> {
        self.shown.certificate.borrow().as_ref()?.until()
    }
}

impl Inspect for Status {
    fn conditions(&self) -> Vec<Condition> {
        let (shown, told) = (self.shown.certificate.borrow().is_some(), *self.shown.told.borrow());
        let message = match (shown, told) {
            (true, true) => {
                format!("shown until {}", self.until().map_or_else(|| "an unknown end".to_owned(), instant))
            }
            (true, false) => "shown, but the webhook configurations do not name its authority yet".to_owned(),
            (false, _) => "none to show yet".to_owned(),
        };
        vec![
            kubernetes(&self.mirrored.borrow()),
            Condition { name: "certificate".to_owned(), ready: shown && told, message },
        ]
    }

    fn gauges(&self) -> Gauges {
        Gauges { certificate: self.until().map(|until| until.since(SystemClock.unix())), ..Gauges::default() }
    }

    fn snapshot(&self) -> Value {
        let resources = self.mirrored.borrow().resources.as_ref().map(|all| all.len());
        json!({"resources": resources, "authority": *self.shown.bundle.borrow()})
    }
}
