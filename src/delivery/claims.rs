//! What a subscriber says of itself, cut to a measure: it may say anything, and others read some of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;

/// Names and their versions.
pub type Versions = BTreeMap<Arc<str>, Arc<str>>;

/// Most names that a subscriber may tell of although they are not for it: what was there when it was last connected.
pub(super) const MAX_STRANGE: usize = 10_000;
/// Longest reason of a refusal that is kept, in characters.
const MAX_REASON: usize = 256;
/// Most versions that a subscriber may say it holds.
const MAX_VERSIONS: usize = 200_000;
/// Longest name of a resource: kind, namespace and name. Versions are shorter.
const MAX_NAME: usize = 384;

/// What it says it holds from an earlier stream.
pub(super) fn versions(request: &DeltaDiscoveryRequest) -> Versions {
    let told = request.initial_resource_versions.iter();
    let told = told.filter(|(name, version)| name.len().max(version.len()) <= MAX_NAME).take(MAX_VERSIONS);
    told.map(|(name, version)| (name.as_str().into(), version.as_str().into())).collect()
}

/// A text of its, short and without what could make it look like somebody else's.
pub(super) fn legible(text: &str) -> String {
    let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.chars().take(MAX_REASON).map(plain).collect()
}
