//! One stream at the controller's end: what the subscriber holds, what is on its way, and what it refused.
//!
//! One response is on its way at a time; what changes meanwhile is sent together, once it was acknowledged. A version that
//! was refused is not sent again; the next one is.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

use super::RESOURCE_TYPE;
use super::wire::Parcel;

type Versions = BTreeMap<Arc<str>, Arc<str>>;

/// The state of one stream.
#[derive(Debug, Default)]
pub struct Session {
    held: Versions,
    refused: Versions,
    on_its_way: Option<Response>,
    responses: u64,
}

#[derive(Debug)]
struct Response {
    nonce: String,
    generation: u64,
    sent: Versions,
    removed: Vec<Arc<str>>,
}

/// What a request of the subscriber meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It holds what was sent, and so the state of this generation.
    Acknowledged(u64),
    /// It refused what was sent, and why.
    Refused(String),
    /// Something else, or nothing new.
    Nothing,
}

/// Longest reason of a refusal that is kept, in characters.
const MAX_REASON: usize = 512;
/// Most versions that a reconnecting subscriber may tell of.
const MAX_VERSIONS: usize = 200_000;

impl Session {
    /// Begins with the first request of a stream, which tells what the subscriber holds from an earlier one.
    #[must_use]
    pub fn begin(request: &DeltaDiscoveryRequest) -> Self {
        let held = request.initial_resource_versions.iter().take(MAX_VERSIONS);
        Self {
            held: held.map(|(name, version)| (name.as_str().into(), version.as_str().into())).collect(),
            ..Self::default()
        }
    }

    /// Takes a request in.
    pub fn hear(&mut self, request: &DeltaDiscoveryRequest) -> Heard {
        let Some(response) = self.on_its_way.take_if(|response| response.nonce == request.response_nonce) else {
            return Heard::Nothing;
        };
        if let Some(error) = &request.error_detail {
            self.refused.extend(response.sent);
            return Heard::Refused(error.message.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect());
        }
        for name in response.removed {
            self.held.remove(&name);
        }
        for name in response.sent.keys() {
            self.refused.remove(name);
        }
        self.held.extend(response.sent);
        Heard::Acknowledged(response.generation)
    }

    /// What to send so that the subscriber holds this view. `None`: nothing is missing, or something is on its way.
    pub fn send(&mut self, view: &BTreeMap<Arc<str>, Parcel>, generation: u64) -> Option<DeltaDiscoveryResponse> {
        if self.on_its_way.is_some() {
            return None;
        }
        let fresh = |versions: &Versions, parcel: &Parcel| versions.get(&parcel.name) != Some(&parcel.version);
        let news: Vec<&Parcel> =
            view.values().filter(|parcel| fresh(&self.held, parcel) && fresh(&self.refused, parcel)).collect();
        let removed: Vec<Arc<str>> = self.held.keys().filter(|name| !view.contains_key(*name)).cloned().collect();
        let first = self.responses == 0;
        if news.is_empty() && removed.is_empty() && !first {
            return None;
        }
        self.responses = self.responses.saturating_add(1);
        let nonce = self.responses.to_string();
        let response = DeltaDiscoveryResponse {
            system_version_info: generation.to_string(),
            resources: news.iter().map(|parcel| parcel.envelope()).collect(),
            type_url: RESOURCE_TYPE.to_owned(),
            removed_resources: removed.iter().map(ToString::to_string).collect(),
            nonce: nonce.clone(),
            ..DeltaDiscoveryResponse::default()
        };
        let sent = news.into_iter().map(|parcel| (Arc::clone(&parcel.name), Arc::clone(&parcel.version))).collect();
        self.on_its_way = Some(Response { nonce, generation, sent, removed });
        Some(response)
    }

    /// Whether the subscriber acknowledged exactly this view.
    #[must_use]
    pub fn holds(&self, view: &BTreeMap<Arc<str>, Parcel>) -> bool {
        self.on_its_way.is_none()
            && self.held.len() == view.len()
            && view.values().all(|parcel| self.held.get(&parcel.name) == Some(&parcel.version))
    }

    /// The version of a resource that the subscriber acknowledged.
    #[must_use]
    pub const fn held(&self) -> &BTreeMap<Arc<str>, Arc<str>> {
        &self.held
    }
}
