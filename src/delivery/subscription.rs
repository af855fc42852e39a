//! One subscriber's state: what it was sent and holds.
//!
//! A response is read whole before any of it counts. What cannot be read is refused, and what stood before stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::rpc::Status;
use tonic::Code;

use crate::api::object::{Object, Resources};
use crate::api::settings::Scope;

use super::RESOURCE_TYPE;
use super::wire::{self, Pins, Received, Unreadable};

/// What a subscriber holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscription {
    held: BTreeMap<Arc<str>, Held>,
}

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
    /// Why the response was refused, if it was.
    pub refused: Option<Unreadable>,
}

impl Subscription {
    /// The first request of a stream: everything, except what is held already.
    #[must_use]
    pub fn subscribe(&self) -> DeltaDiscoveryRequest {
        let held = self.held.iter().map(|(name, held)| (name.to_string(), held.version.to_string()));
        DeltaDiscoveryRequest {
            type_url: RESOURCE_TYPE.to_owned(),
            resource_names_subscribe: vec!["*".to_owned()],
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
        match read {
            Ok(read) => {
                for name in &response.removed_resources {
                    self.held.remove(name.as_str());
                }
                self.held.extend(read);
                Taken { answer, refused: None }
            }
            Err(fault) => {
                let code = i32::from(Code::InvalidArgument);
                answer.error_detail = Some(Status { code, message: fault.to_string(), details: Vec::new() });
                Taken { answer, refused: Some(fault) }
            }
        }
    }

    /// The resources.
    #[must_use]
    pub fn resources(&self) -> Resources {
        let mut resources = Resources::new();
        for held in self.held.values() {
            if let Received::Resource(object) = &held.content {
                resources.put(Arc::clone(object));
            }
        }
        resources
    }

    /// Who the subscriber is: the workload that the controller said, else a gateway.
    #[must_use]
    pub fn scope(&self) -> Scope {
        let workload = self.held.values().find_map(|held| match &held.content {
            Received::Workload { namespace, labels } => {
                Some(Scope::Workload { namespace: Arc::clone(namespace), labels: labels.clone() })
            }
            Received::Resource(_) | Received::Pins(_) => None,
        });
        workload.unwrap_or_default()
    }

    /// Hosts that the installation gave to a namespace.
    #[must_use]
    pub fn pins(&self) -> Pins {
        let pins = self.held.values().find_map(|held| match &held.content {
            Received::Pins(pins) => Some(pins.clone()),
            Received::Resource(_) | Received::Workload { .. } => None,
        });
        pins.unwrap_or_default()
    }

    /// Everything that is held, to be kept: name, version, content.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &str, &Received)> {
        self.held.iter().map(|(name, held)| (&**name, &*held.version, &held.content))
    }

    /// Puts something kept back.
    pub(super) fn restore(&mut self, name: &str, version: &str, content: Received) {
        self.held.insert(name.into(), Held { version: version.into(), content });
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// The name under which an object is held.
#[must_use]
pub fn name(object: &Object) -> String {
    wire::name(&object.id)
}
