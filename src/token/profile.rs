//! An `EntraApplication`, compiled: which tokens count for it and where their keys come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::identity::{ApplicationId, TenantId};

use super::Version;
use super::authority::{Authority, IssuerTemplate};

/// Which tokens count for one application.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The application.
    pub id: ApplicationId,
    /// The audience of v2 tokens.
    pub client_id: Box<str>,
    /// Further audiences of v1 tokens, each exact.
    pub audiences: Vec<Box<str>>,
    /// The accepted token versions.
    pub versions: Vec<Version>,
    /// The accepted tenants.
    pub tenants: BTreeMap<TenantId, TenantKeys>,
    /// If given, `azp` or `appid` must be one of these.
    pub allowed_clients: Option<Vec<Box<str>>>,
    /// Longest `exp` - `nbf`, in seconds.
    pub max_lifetime: i64,
    /// Tolerance for clocks, in seconds, at most 300.
    pub clock_skew: i64,
    /// Accept tokens without `typ`.
    pub allow_missing_typ: bool,
    /// What a challenge says.
    pub challenge: ChallengeUris,
}

impl Profile {
    /// Where the keys for tokens of this tenant and version come from.
    #[must_use]
    pub fn source(&self, tenant: TenantId, version: Version) -> Option<&KeySource> {
        let keys = self.tenants.get(&tenant)?;
        match version {
            Version::V1 => keys.v1.as_ref(),
            Version::V2 => keys.v2.as_ref(),
        }
    }

    /// All sources that have to be fetched.
    pub fn discoveries(&self) -> impl Iterator<Item = &Arc<Discovery>> {
        self.tenants.values().flat_map(|keys| [&keys.v1, &keys.v2]).flatten().filter_map(|source| match source {
            KeySource::Discovered(discovery) => Some(discovery),
            KeySource::Static(_) => None,
        })
    }
}

/// One accepted tenant. A source stands for each accepted version and for no other.
#[derive(Clone, Debug)]
pub struct TenantKeys {
    /// The name that policies may use.
    pub name: Option<Box<str>>,
    /// For v1 tokens.
    pub v1: Option<KeySource>,
    /// For v2 tokens.
    pub v2: Option<KeySource>,
}

/// Where keys come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// From the issuer's metadata, fetched and kept fresh by an adapter.
    Discovered(Arc<Discovery>),
    /// From the resource itself, or from a file.
    Static(Arc<Authority>),
}

/// One metadata document to fetch. Two applications that need the same one share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Discovery {
    /// The OpenID configuration's address.
    pub metadata_url: Box<str>,
    /// The token version that it is for.
    pub version: Version,
    /// The tenant that it is for.
    pub tenant: TenantId,
    /// What its `issuer` must be.
    pub issuer: ExpectedIssuer,
    /// The published issuer of the other version.
    pub other_version: Option<IssuerTemplate>,
    /// The v2 form of the issuer, for keys that name theirs.
    pub key_issuer: IssuerTemplate,
    /// The user flow of Azure AD B2C that its tokens must be of.
    pub user_flow: Option<Box<str>>,
}

/// What the `issuer` of a metadata document must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExpectedIssuer {
    /// Exactly this one, once the tenant stands in it.
    Published(IssuerTemplate),
    /// An issuer of this host or a subdomain of it, with the tenant's id in it: B2C and External ID have several forms.
    WithinHost(Box<str>),
}

/// What a `WWW-Authenticate` challenge tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeUris {
    /// The tenant, if there is exactly one.
    pub realm: Option<TenantId>,
    /// Where a client sends its user.
    pub authorization_uri: Box<str>,
    /// The application id URI that makes a full scope URI of a scope's name, without a trailing slash.
    pub scope_prefix: Box<str>,
}
