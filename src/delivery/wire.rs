//! One resource as it travels: name, version, bytes.
//!
//! The version is a hash of the content, so that two controllers, or one before and after a restart, give the same content
//! the same version and a reconnect sends nothing twice.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest;
use envoy_types::pb::envoy::service::discovery::v3::Resource as Envelope;
use envoy_types::pb::google::protobuf::Any;
use prost::Message as _;
use serde_json::{Map, Value};

use crate::api::object::{Object, ObjectId};
use crate::policy::host::HostPattern;

use super::end::{End, version_number};
use super::proto::{self, Resource, Workload};
use super::{COMPLETE_TYPE, PINS, PINS_TYPE, RESOURCE_TYPE, WORKLOAD, WORKLOAD_TYPE};

/// Largest body of one resource, in bytes; the API server's own limit is about 1.5 MiB.
pub const MAX_BODY: usize = 2 << 20;

/// Hosts that the installation gave to a namespace.
pub type Pins = BTreeMap<HostPattern, Arc<str>>;

/// Something to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// `AccessPolicy/shop/orders`.
    pub name: Arc<str>,
    /// A hash of the content.
    pub version: Arc<str>,
    type_url: &'static str,
    content: Content,
}

/// What a parcel holds. A resource is kept anyway, and encoded for whoever is sent it: ten thousand are not kept twice.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Resource(Arc<Object>),
    Encoded(Arc<[u8]>),
}

impl Content {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Resource(object) => encoded(object),
            Self::Encoded(bytes) => bytes.to_vec(),
        }
    }
}

fn encoded(object: &Object) -> Vec<u8> {
    let message = Resource {
        kind: object.id.kind.as_str().to_owned(),
        namespace: object.id.namespace.to_string(),
        name: object.id.name.to_string(),
        body: object.text().to_owned().into(),
    };
    message.encode_to_vec()
}

impl Parcel {
    /// A resource.
    #[must_use]
    pub fn resource(object: &Arc<Object>) -> Self {
        let content = Content::Resource(Arc::clone(object));
        Self::new(name(&object.id), RESOURCE_TYPE, &encoded(object), content)
    }

    /// Who a subscriber is.
    #[must_use]
    pub fn workload(namespace: &str, labels: &BTreeMap<String, String>) -> Self {
        let message = Workload { namespace: namespace.to_owned(), labels: labels.clone() };
        Self::encoded(WORKLOAD, WORKLOAD_TYPE, message.encode_to_vec())
    }

    /// Which hosts are given to a namespace.
    #[must_use]
    pub fn pins(pins: &Pins) -> Self {
        let hosts = pins.iter().map(|(host, namespace)| (host.to_string(), namespace.to_string())).collect();
        Self::encoded(PINS, PINS_TYPE, proto::Pins { hosts }.encode_to_vec())
    }

    fn encoded(name: &str, type_url: &'static str, bytes: Vec<u8>) -> Self {
        Self::new(name.to_owned(), type_url, &bytes, Content::Encoded(bytes.as_slice().into()))
    }

    fn new(name: String, type_url: &'static str, bytes: &[u8], content: Content) -> Self {
        let hash = digest::digest(&digest::SHA256, bytes);
        let mut version = String::with_capacity(32);
        for byte in hash.as_ref().iter().take(16) {
            // Writing to a string does not fail.
            let (Ok(()) | Err(_)) = write!(version, "{byte:02x}");
        }
        Self { name: name.into(), version: version.into(), type_url, content }
    }

    /// The version as a number.
    pub(super) fn hash(&self) -> u128 {
        version_number(&self.version)
    }

    /// About how many bytes it has on its way.
    pub(super) fn size(&self) -> usize {
        let content = match &self.content {
            Content::Resource(object) => object.text().len(),
            Content::Encoded(bytes) => bytes.len(),
        };
        // Names, versions and types are a few hundred bytes.
        content.saturating_add(1024)
    }

    /// As a message of the discovery protocol.
    #[must_use]
    pub fn envelope(&self) -> Envelope {
        Envelope {
            name: self.name.to_string(),
            version: self.version.to_string(),
            resource: Some(Any { type_url: self.type_url.to_owned(), value: self.content.bytes() }),
            ..Envelope::default()
        }
    }
}

/// The name under which a resource travels.
#[must_use]
pub fn name(id: &ObjectId) -> String {
    format!("{}/{}/{}", id.kind.as_str(), id.namespace, id.name)
}

/// What a subscriber received.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// A resource.
    Resource(Arc<Object>),
    /// Who the subscriber is.
    Workload {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its pod's labels.
        labels: BTreeMap<String, String>,
    },
    /// Which hosts are given to a namespace.
    Pins(Pins),
    /// Everything came that belongs to the view.
    End(End),
}

/// Why something received cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}`: {problem}")]
pub struct Unreadable {
    /// The name under which it came.
    pub name: String,
    /// What is wrong.
    pub problem: &'static str,
}

/// Reads what came in an envelope.
///
/// # Errors
/// [`Unreadable`]: the message that it came in is refused as a whole.
pub fn open(envelope: &Envelope) -> Result<Received, Unreadable> {
    let fault = |problem| Unreadable { name: envelope.name.chars().take(128).collect(), problem };
    let Some(any) = &envelope.resource else { return Err(fault("has no content")) };
    match any.type_url.as_str() {
        RESOURCE_TYPE => resource(envelope, &any.value).map_err(fault),
        WORKLOAD_TYPE => {
            let workload = Workload::decode(&*any.value).map_err(|_| fault("cannot be decoded"))?;
            Ok(Received::Workload { namespace: workload.namespace.into(), labels: workload.labels })
        }
        PINS_TYPE => {
            let pins = proto::Pins::decode(&*any.value).map_err(|_| fault("cannot be decoded"))?;
            let hosts = pins.hosts.iter().map(|(host, namespace)| (host.as_str(), namespace.as_str()));
            self::pins(hosts).map(Received::Pins).ok_or_else(|| fault("names a host that is none"))
        }
        COMPLETE_TYPE => End::read(&any.value).map(Received::End).map_err(fault),
        _ => Err(fault("has an unknown type")),
    }
}

/// Pins as texts. One that cannot be read would give its host to whoever came first: none of them counts then.
pub(super) fn pins<'t>(texts: impl Iterator<Item = (&'t str, &'t str)>) -> Option<Pins> {
    texts.map(|(host, namespace)| Some((HostPattern::parse(host).ok()?, namespace.into()))).collect()
}

fn resource(envelope: &Envelope, bytes: &[u8]) -> Result<Received, &'static str> {
    let message = Resource::decode(bytes).map_err(|_| "cannot be decoded")?;
    if message.body.len() > MAX_BODY {
        return Err("is larger than 2 MiB");
    }
    let body: Map<String, Value> = serde_json::from_slice(&message.body).map_err(|_| "is not a JSON object")?;
    let object =
        Object::new(body).map_err(|_| "does not say who it is")?.ok_or("is of a kind that does not concern us")?;
    if name(&object.id) != envelope.name {
        return Err("is not what its name says");
    }
    Ok(Received::Resource(Arc::new(object)))
}
