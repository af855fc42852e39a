//! What is known of an issuer: its name, which keys speak for it, and how keys are bound to tenants.

use std::sync::Arc;

use super::jwks::{Key, KeySet};
use crate::clock::UnixTime;
use crate::identity::TenantId;
use crate::reason::ReasonCode;

use super::rejection::TokenRejection;

const PLACEHOLDER: &str = "{tenantid}";

/// An issuer as metadata gives it, perhaps with the literal `{tenantid}` in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IssuerTemplate(Arc<str>);

impl IssuerTemplate {
    /// Takes an issuer as it stands.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// As it stands.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `issuer` is that of one tenant.
    #[must_use]
    pub fn is_of(&self, tenant: TenantId, issuer: &str) -> bool {
        let tenant = tenant.text();
        let mut parts = self.0.split(PLACEHOLDER);
        let start = parts.next().and_then(|start| issuer.strip_prefix(start));
        let rest = parts.fold(start, |rest, part| rest?.strip_prefix(tenant.as_str())?.strip_prefix(part));
        rest.is_some_and(str::is_empty)
    }

    /// The issuer of one tenant.
    #[must_use]
    pub fn of(&self, tenant: TenantId) -> String {
        self.0.replace(PLACEHOLDER, &tenant.to_string())
    }
}

/// One issuer with its keys, for one token version.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Must equal `iss` byte for byte, once the tenant stands in it.
    pub issuer: IssuerTemplate,
    /// The issuer of the other token version, to tell a mixed-up token from a foreign one.
    pub other_version: Option<IssuerTemplate>,
    /// What a key's own `issuer` is compared with: the v2 form, also for v1 tokens, as Microsoft's validator does.
    pub key_issuer: IssuerTemplate,
    /// `cloud_instance_name` of the metadata.
    pub cloud_instance: Option<Box<str>>,
    /// The user flow of Azure AD B2C that it stands for: all flows of a tenant share issuer and keys.
    pub user_flow: Option<Box<str>>,
    /// The keys.
    pub keys: KeySet,
}

impl Authority {
    /// Compares `iss`.
    pub(super) fn issued(&self, issuer: &str, tenant: TenantId) -> Result<(), TokenRejection> {
        if self.issuer.is_of(tenant, issuer) {
            return Ok(());
        }
        Err(foreign(issuer, tenant, self.other_version.as_ref()))
    }

    /// The key of this id, if there is one and it may sign for the tenant.
    pub(super) fn key(&self, kid: &str, tenant: TenantId, now: UnixTime) -> Result<&Key, TokenRejection> {
        let Some(key) = self.keys.find(kid, now) else {
            return Err(if self.keys.lives(now) {
                TokenRejection::new(ReasonCode::KidUnknown, "no key of this `kid`")
            } else {
                TokenRejection::new(ReasonCode::KeysUnavailable, "no key at all")
            });
        };
        let foreign = |detail| Err(TokenRejection::new(ReasonCode::KeyIssuerMismatch, detail));
        if key.issuer.as_deref().is_some_and(|issuer| !self.is_key_issuer(issuer, tenant)) {
            return foreign("the key's `issuer` is another");
        }
        match (&key.cloud_instance, &self.cloud_instance) {
            (Some(of_key), Some(of_cloud)) if of_key != of_cloud => foreign("the key is of another cloud"),
            (Some(_), Some(_)) | (Some(_) | None, None) | (None, Some(_)) => Ok(key),
        }
    }

    fn is_key_issuer(&self, issuer: &str, tenant: TenantId) -> bool {
        issuer == self.key_issuer.as_str() || self.key_issuer.is_of(tenant, &IssuerTemplate::new(issuer).of(tenant))
    }
}

/// Whether a token of user flow `found` counts where `wanted` is the one that the authority names. B2C folds the case of
/// flow names. One flow may ask for less than another, so it is as if the issuer were another.
pub(super) fn same_flow(wanted: Option<&str>, found: Option<&str>) -> Result<(), TokenRejection> {
    match (wanted, found) {
        (None, _) => Ok(()),
        (Some(wanted), Some(found)) if wanted.eq_ignore_ascii_case(found) => Ok(()),
        (Some(_), Some(_) | None) => {
            Err(TokenRejection::new(ReasonCode::IssuerMismatch, "not of the user flow that `authority` names"))
        }
    }
}

/// Why an issuer that is not the expected one is refused: it may be that of the other token version.
pub(super) fn foreign(issuer: &str, tenant: TenantId, other_version: Option<&IssuerTemplate>) -> TokenRejection {
    if other_version.is_some_and(|other| other.is_of(tenant, issuer)) {
        TokenRejection::new(ReasonCode::VersionMismatch, "the issuer of the other token version")
    } else {
        TokenRejection::new(ReasonCode::IssuerMismatch, "`iss` is not the tenant's issuer")
    }
}
