//! OpenID configuration documents: judged before anything in them is followed. Code `metadata_rejected`.

use serde_json::Value;

use super::authority::IssuerTemplate;
use super::cloud::names_a_host;
use super::profile::{Discovery, ExpectedIssuer};

/// Largest document, in bytes.
pub const MAX_DOCUMENT: usize = 1 << 20;

/// What of a document counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// `issuer`.
    pub issuer: IssuerTemplate,
    /// `jwks_uri`, on the host that the document came from.
    pub jwks_uri: Box<str>,
    /// `cloud_instance_name`.
    pub cloud_instance: Option<Box<str>>,
}

/// Why a document is not acceptable. What was known before goes on to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataRejection {
    /// More than 1 MiB.
    #[error("the metadata is larger than 1 MiB")]
    TooLarge,
    /// Not a JSON object.
    #[error("the metadata is not a JSON object")]
    Shape,
    /// `issuer` is absent or not the expected one.
    #[error("`issuer` of the metadata is not the expected one")]
    Issuer,
    /// `jwks_uri` is absent or leads elsewhere.
    #[error("`jwks_uri` of the metadata is not on the authority's host")]
    KeysElsewhere,
}

/// Reads and judges the document that came from `discovery.metadata_url`.
///
/// # Errors
/// [`MetadataRejection`].
pub fn parse(bytes: &[u8], discovery: &Discovery) -> Result<Metadata, MetadataRejection> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(MetadataRejection::TooLarge);
    }
    let document: Value = serde_json::from_slice(bytes).map_err(|_| MetadataRejection::Shape)?;
    let members = document.as_object().ok_or(MetadataRejection::Shape)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let expected = |issuer: &IssuerTemplate| may_issue(discovery, &issuer.of(discovery.tenant));
    let issuer = text("issuer").map(IssuerTemplate::new).filter(expected);
    let issuer = issuer.ok_or(MetadataRejection::Issuer)?;
    let jwks_uri = text("jwks_uri").filter(|uri| same_origin(uri, &discovery.metadata_url));
    Ok(Metadata {
        issuer,
        jwks_uri: jwks_uri.ok_or(MetadataRejection::KeysElsewhere)?.into(),
        cloud_instance: text("cloud_instance_name").map(Box::from),
    })
}

/// Whether the metadata of `discovery` may name this issuer, once the tenant stands in it.
pub(super) fn may_issue(discovery: &Discovery, issuer: &str) -> bool {
    match &discovery.issuer {
        ExpectedIssuer::Published(published) => published.of(discovery.tenant) == issuer,
        ExpectedIssuer::WithinHost(host) => {
            let parts = |url| origin(url).and_then(|origin| origin.split_once("://"));
            let within = match (parts(issuer), parts(&discovery.metadata_url)) {
                (Some((scheme, found)), Some((own, _))) => {
                    let above = found.strip_suffix(&**host);
                    scheme == own && above.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                }
                (Some(_) | None, None) | (None, Some(_)) => false,
            };
            within && issuer.contains(&discovery.tenant.to_string())
        }
    }
}

/// Scheme, host and port of a URL. `None` if anything else stands before the path: what it then means depends on the
/// reader, and browsers' and HTTP clients' (WHATWG URL) take `\` for a slash and drop white space.
fn origin(url: &str) -> Option<&str> {
    let start = url.find("://")?.saturating_add(3);
    let length = url.get(start..)?.find(['/', '?', '#']).unwrap_or(url.len().saturating_sub(start));
    let host = url.get(start..start.saturating_add(length))?;
    names_a_host(host).then(|| url.get(..start.saturating_add(length)))?
}

/// Whether two URLs have one scheme, host and port. User information makes a host another one.
#[must_use]
pub fn same_origin(one: &str, other: &str) -> bool {
    match (origin(one), origin(other)) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (Some(_) | None, None) | (None, Some(_)) => false,
    }
}
