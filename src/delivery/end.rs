//! The end of a view: what a subscriber holds when it holds all of it.
//!
//! A view may come in several messages, because it is large or because a part of it was refused. A part of it would be
//! other rules: hosts would belong to others, and whoever does not know yet that it is a workload would be a gateway.

use std::fmt::Write as _;

use envoy_types::pb::envoy::service::discovery::v3::Resource as Envelope;
use envoy_types::pb::google::protobuf::Any;
use prost::Message as _;

use super::proto::{Complete, complete::Audience};
use super::{COMPLETE, COMPLETE_TYPE};

/// The end of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    count: u32,
    digest: u128,
    /// Whether the subscriber is a gateway.
    pub gateway: bool,
    /// What it refused, and holds in an older version or not at all.
    pub lacking: Vec<String>,
}

impl End {
    /// The end of a view of which these versions are held then.
    #[must_use]
    pub fn new<'v>(versions: impl Iterator<Item = &'v str>, (gateway, lacking): (bool, Vec<String>)) -> Self {
        let (count, digest) = sum(versions);
        Self { count, digest, gateway, lacking }
    }

    /// Whether these versions are what it says.
    #[must_use]
    pub fn is_of<'v>(&self, versions: impl Iterator<Item = &'v str>) -> bool {
        sum(versions) == (self.count, self.digest)
    }

    /// As a resource of the discovery protocol.
    #[must_use]
    pub fn envelope(&self) -> Envelope {
        let mut digest = String::with_capacity(32);
        // Writing to a string does not fail.
        let (Ok(()) | Err(_)) = write!(digest, "{:032x}", self.digest);
        let audience = if self.gateway { Audience::Gateway } else { Audience::Workload };
        let message = Complete {
            resources: self.count,
            digest: digest.clone(),
            audience: audience.into(),
            lacking: self.lacking.clone(),
        };
        Envelope {
            name: COMPLETE.to_owned(),
            version: digest,
            resource: Some(Any { type_url: COMPLETE_TYPE.to_owned(), value: message.encode_to_vec() }),
            ..Envelope::default()
        }
    }

    /// Reads what came in an envelope.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let message = Complete::decode(bytes).map_err(|_| "cannot be decoded")?;
        let gateway = match message.audience() {
            Audience::Gateway => true,
            Audience::Workload => false,
            Audience::Unknown => return Err("does not say who the subscriber is"),
        };
        let digest = u128::from_str_radix(&message.digest, 16).map_err(|_| "has no digest")?;
        Ok(Self { count: message.resources, digest, gateway, lacking: message.lacking })
    }
}

/// A version as a number.
pub(super) fn version_number(version: &str) -> u128 {
    u128::from_str_radix(version, 16).unwrap_or_default()
}

fn sum<'v>(versions: impl Iterator<Item = &'v str>) -> (u32, u128) {
    versions.fold((0, 0), |(count, digest), version| (count.saturating_add(1), digest ^ version_number(version)))
}
