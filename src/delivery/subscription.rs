//! One subscriber's state: what it was sent and holds.
//!
//! A response is read whole before any of it is taken. What cannot be read is refused, and what stood before stands. What is
//! taken does not count before the controller said that the view is whole, and this is what it says ([`End`]): then all of
//! it counts at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::rpc::Status;
use tonic::Code;

use crate::api::object::{Kind, Object, Resources};
use crate::api::settings::Scope;

use super::end::End;
use super::wire::{self, Pins, Received, Unreadable};
use super::{COMPLETE, RESOURCE_TYPE};

/// What a subscriber holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscription {
    /// The last view that was whole.
    standing: Option<Standing>,
    /// What it becomes.
    coming: Entries,
    /// What is held is not what the controller believes.
    strayed: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Standing {
    held: Entries,
    scope: Scope,
}

type Entries = BTreeMap<Arc<str>, Held>;

#[derive(Clone, Debug, PartialEq)]
struct Held {
    version: Arc<str>,
    content: Received,
}

/// What became of a response.
#[derive(Clone, Debug)]
pub struct Taken {
    /// What to answer.
    pub answer: DeltaDiscoveryRequest,
    /// What that means for what stands.
    pub became: Became,
}

/// What a response means for what stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Became {
    /// More is to come before it counts.
    Underway,
    /// A whole view stands.
    Whole,
    /// There never was a whole view, and this one lacks what was refused.
    Lacking(Vec<String>),
    /// It cannot be read, and nothing was taken.
    Refused(Unreadable),
    /// What is held is not what the controller believes: everything must be asked for anew.
    Strayed,
}

impl Subscription {
    /// What was kept of a whole view; `None`: it does not say who the subscriber is.
    pub(super) fn restored(entries: Vec<(Arc<str>, Arc<str>, Received)>, gateway: bool) -> Option<Self> {
        let entries = entries.into_iter().map(|(name, version, content)| (name, Held { version, content }));
        let held: Entries = entries.collect();
        let scope = scope(&held, gateway)?;
        Some(Self { standing: Some(Standing { held, scope }), ..Self::default() })
    }

    /// The first request of a stream: everything, except what is held already.
    #[must_use]
    pub fn subscribe(&mut self) -> DeltaDiscoveryRequest {
        let standing = self.standing.as_ref().filter(|_| !self.strayed);
        self.coming = standing.map(|standing| standing.held.clone()).unwrap_or_default();
        let held = self.coming.iter().map(|(name, held)| (name.to_string(), held.version.to_string()));
        DeltaDiscoveryRequest {
            type_url: RESOURCE_TYPE.to_owned(),
            resource_names_subscribe: vec!["*".to_owned(), COMPLETE.to_owned()],
            initial_resource_versions: held.collect(),
            ..DeltaDiscoveryRequest::default()
        }
    }

    /// Takes a response in and says what to answer. One that cannot be read changes nothing.
    pub fn take(&mut self, response: &DeltaDiscoveryResponse) -> Taken {
        let mut answer = DeltaDiscoveryRequest {
            type_url: RESOURCE_TYPE.to_owned(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        let read: Result<Vec<(Arc<str>, Held)>, Unreadable> = response
            .resources
            .iter()
            .map(|envelope| {
                let held = Held { version: envelope.version.as_str().into(), content: wire::open(envelope)? };
                Ok((envelope.name.as_str().into(), held))
            })
            .collect();
        let became = match read {
            Ok(read) => {
                for name in &response.removed_resources {
                    self.coming.remove(name.as_str());
                }
                self.grow(read)
            }
            Err(fault) => {
                let code = i32::from(Code::InvalidArgument);
                answer.error_detail = Some(Status { code, message: fault.to_string(), details: Vec::new() });
                Became::Refused(fault)
            }
        };
        Taken { answer, became }
    }

    fn grow(&mut self, read: Vec<(Arc<str>, Held)>) -> Became {
        let mut became = None;
        for (name, held) in read {
            match held.content {
                Received::End(end) => became = Some(end),
                Received::Resource(_) | Received::Workload { .. } | Received::Pins(_) => {
                    drop(self.coming.insert(name, held));
                }
            }
        }
        became.map_or(Became::Underway, |end| self.close(end))
    }

    fn close(&mut self, end: End) -> Became {
        if !end.is_of(self.coming.values().map(|held| &*held.version)) {
            self.strayed = true;
            return Became::Strayed;
        }
        // A part of the first view is other rules than the view. Later it is the rules of a moment ago.
        let lacking = end.lacking.iter().any(|name| concerns(name)) && self.standing.is_none();
        let scope = scope(&self.coming, end.gateway).filter(|_| !lacking);
        let Some(scope) = scope else { return Became::Lacking(end.lacking) };
        self.standing = Some(Standing { held: self.coming.clone(), scope });
        self.strayed = false;
        Became::Whole
    }

    fn held(&self) -> impl Iterator<Item = (&Arc<str>, &Held)> {
        self.standing.iter().flat_map(|standing| &standing.held)
    }

    /// The resources.
    #[must_use]
    pub fn resources(&self) -> Resources {
        let mut resources = Resources::new();
        for (_, held) in self.held() {
            if let Received::Resource(object) = &held.content {
                resources.put(Arc::clone(object));
            }
        }
        resources
    }

    /// Who the subscriber is; `None`: no view was ever whole.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        self.standing.as_ref().map(|standing| standing.scope.clone())
    }

    /// Hosts that the installation gave to a namespace.
    #[must_use]
    pub fn pins(&self) -> Pins {
        let pins = self.held().find_map(|(_, held)| match &held.content {
            Received::Pins(pins) => Some(pins.clone()),
            Received::Resource(_) | Received::Workload { .. } | Received::End(_) => None,
        });
        pins.unwrap_or_default()
    }

    /// Everything that stands, to be kept: name, version, content.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &str, &Received)> {
        self.held().map(|(name, held)| (&**name, &*held.version, &held.content))
    }

    /// What it becomes: names and versions.
    #[cfg(test)]
    pub(super) fn coming(&self) -> BTreeMap<String, String> {
        self.coming.iter().map(|(name, held)| (name.to_string(), held.version.to_string())).collect()
    }
}

/// Who the subscriber is: a gateway, or the workload that the controller said; `None`: that does not fit.
fn scope(held: &Entries, gateway: bool) -> Option<Scope> {
    let workload = held.values().find_map(|held| match &held.content {
        Received::Workload { namespace, labels } => {
            Some(Scope::Workload { namespace: Arc::clone(namespace), labels: labels.clone() })
        }
        Received::Resource(_) | Received::Pins(_) | Received::End(_) => None,
    });
    match (workload, gateway) {
        (None, true) => Some(Scope::Gateway),
        (Some(workload), false) => Some(workload),
        (None, false) | (Some(_), true) => None,
    }
}

/// Whether what travels under this name could change a decision here: others are of kinds that nobody here would look at.
fn concerns(name: &str) -> bool {
    name.split_once('/').is_none_or(|(of, _)| Kind::DECIDING.iter().any(|kind| kind.as_str() == of))
}

/// The name under which an object is held.
#[must_use]
pub fn name(object: &Object) -> String {
    wire::name(&object.id)
}
