//! Microsoft's clouds and other authorities: addresses of metadata, and the issuers they publish.
//!
//! Sources: "Authentication in national clouds" and "Access tokens" of the Microsoft identity platform. The issuers
//! here serve keys that come without metadata; where there is metadata, it must agree with them.

use std::sync::Arc;

use crate::identity::TenantId;

use super::Version;
use super::authority::{Authority, IssuerTemplate};
use super::jwks::KeySet;
use super::profile::{Discovery, ExpectedIssuer};

/// A cloud of Microsoft's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// The worldwide one, with GCC.
    Public,
    /// US Government, GCC High and DoD.
    UsGovernment,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    const fn host(self) -> &'static str {
        match self {
            Self::Public => "login.microsoftonline.com",
            Self::UsGovernment => "login.microsoftonline.us",
            Self::China => "login.partner.microsoftonline.cn",
        }
    }

    const fn issuer(self, version: Version) -> &'static str {
        match (self, version) {
            (Self::Public, Version::V2) => "https://login.microsoftonline.com/{tenantid}/v2.0",
            (Self::UsGovernment, Version::V2) => "https://login.microsoftonline.us/{tenantid}/v2.0",
            (Self::China, Version::V2) => "https://login.partner.microsoftonline.cn/{tenantid}/v2.0",
            (Self::Public | Self::UsGovernment, Version::V1) => "https://sts.windows.net/{tenantid}/",
            (Self::China, Version::V1) => "https://sts.chinacloudapi.cn/{tenantid}/",
        }
    }

    const fn instance(self) -> &'static str {
        match self {
            Self::Public => "microsoftonline.com",
            Self::UsGovernment => "microsoftonline.us",
            Self::China => "partner.microsoftonline.cn",
        }
    }
}

/// Who issues an application's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// One of Microsoft's clouds.
    Cloud(Cloud),
    /// An authority of its own: External ID, B2C, a stand-in.
    Custom(CustomAuthority),
}

/// An `authority` URL, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomAuthority {
    /// Without a trailing slash.
    base: Box<str>,
    host: Box<str>,
    names_tenant: bool,
    user_flow: Option<Box<str>>,
}

/// What the names of all user flows and custom policies of B2C begin with.
const FLOW: &str = "B2C_1";

/// Why an `authority` is not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityFault {
    /// Neither https nor http for loopback.
    #[error("must begin with https:// (http:// only for 127.0.0.1, [::1] or localhost)")]
    Scheme,
    /// No host, or something besides host, port and path.
    #[error("must be a host with an optional port and path, without user, query or fragment")]
    Form,
}

impl CustomAuthority {
    /// Reads an `authority`.
    ///
    /// # Errors
    /// [`AuthorityFault`].
    pub fn parse(url: &str) -> Result<Self, AuthorityFault> {
        let (rest, secure) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (rest, true),
            (None, Some(rest)) => (rest, false),
            (None, None) => return Err(AuthorityFault::Scheme),
        };
        let clean = |byte: u8| byte.is_ascii_graphic() && !b"?#@\\\"<>%".contains(&byte);
        if !rest.bytes().all(clean) || rest.contains("//") || rest.contains("..") {
            return Err(AuthorityFault::Form);
        }
        let base = rest.trim_end_matches('/');
        let (host, path) = base.split_once('/').unwrap_or((base, ""));
        if !names_a_host(host) {
            return Err(AuthorityFault::Form);
        }
        if !secure && !loopback(host) {
            return Err(AuthorityFault::Scheme);
        }
        let scheme = if secure { "https" } else { "http" };
        let host = host.to_ascii_lowercase();
        let slash = if path.is_empty() { "" } else { "/" };
        Ok(Self {
            base: format!("{scheme}://{host}{slash}{path}").into(),
            host: host.into(),
            names_tenant: !path.is_empty(),
            user_flow: user_flow(path),
        })
    }

    /// Whether the path already names the tenant or the policy, so that it serves one tenant only.
    #[must_use]
    pub const fn names_tenant(&self) -> bool {
        self.names_tenant
    }

    fn tenant_base(&self, tenant: TenantId) -> String {
        if self.names_tenant { self.base.to_string() } else { format!("{}/{tenant}", self.base) }
    }

    fn issuer(&self, version: Version) -> IssuerTemplate {
        let bare = self.host.split(':').next().unwrap_or_default();
        let text = if bare.ends_with(".ciamlogin.com") {
            "https://{tenantid}.ciamlogin.com/{tenantid}/v2.0".to_owned()
        } else if bare.ends_with(".b2clogin.com") {
            format!("https://{}/{{tenantid}}/v2.0/", self.host)
        } else {
            let origin = self.base.split('/').take(3).collect::<Vec<_>>().join("/");
            match version {
                Version::V1 => format!("{origin}/{{tenantid}}/"),
                Version::V2 => format!("{origin}/{{tenantid}}/v2.0"),
            }
        };
        IssuerTemplate::new(&text)
    }
}

/// The user flow or custom policy of Azure AD B2C in a path, as in `contoso.onmicrosoft.com/B2C_1_signin`.
fn user_flow(path: &str) -> Option<Box<str>> {
    let last = path.rsplit('/').next()?;
    let named = last.get(..FLOW.len()).is_some_and(|start| start.eq_ignore_ascii_case(FLOW));
    named.then(|| last.into())
}

/// Whether this is a DNS name or an address, perhaps with a port.
pub(super) fn names_a_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", port),
        Some(_) | None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let digits = port.strip_prefix(':').map(str::parse::<u16>);
    name.split('.').all(label) && (port.is_empty() || matches!(digits, Some(Ok(1..))))
}

/// Whether `host`, perhaps with a port, is this machine.
#[must_use]
pub fn loopback(host: &str) -> bool {
    let bare = host.strip_suffix(|c: char| c.is_ascii_digit()).map_or(host, |_| {
        host.rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
            .map_or(host, |(bare, _)| bare)
    });
    matches!(bare, "localhost" | "[::1]")
        || bare.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

impl Issuer {
    /// The issuer as published, with `{tenantid}` in it.
    #[must_use]
    pub fn template(&self, version: Version) -> IssuerTemplate {
        match self {
            Self::Cloud(cloud) => IssuerTemplate::new(cloud.issuer(version)),
            Self::Custom(authority) => authority.issuer(version),
        }
    }

    /// The metadata of one tenant.
    #[must_use]
    pub fn discovery(&self, tenant: TenantId, version: Version) -> Arc<Discovery> {
        let base = self.tenant_base(tenant);
        let segment = match version {
            Version::V1 => "",
            Version::V2 => "/v2.0",
        };
        let template = self.template(version);
        let issuer = match self {
            Self::Custom(authority) if authority.names_tenant => {
                ExpectedIssuer::WithinHost(parent(&authority.host).into())
            }
            Self::Cloud(_) | Self::Custom(_) => ExpectedIssuer::Published(template),
        };
        Arc::new(Discovery {
            metadata_url: format!("{base}{segment}/.well-known/openid-configuration").into(),
            version,
            tenant,
            issuer,
            other_version: Some(self.template(version.other())),
            key_issuer: self.template(Version::V2),
            user_flow: self.user_flow(),
        })
    }

    /// An authority whose keys are given, with the issuers that the cloud publishes.
    #[must_use]
    pub fn published(&self, version: Version, keys: KeySet) -> Authority {
        Authority {
            issuer: self.template(version),
            other_version: Some(self.template(version.other())),
            key_issuer: self.template(Version::V2),
            cloud_instance: match self {
                Self::Cloud(cloud) => Some(cloud.instance().into()),
                Self::Custom(_) => None,
            },
            user_flow: self.user_flow(),
            keys,
        }
    }

    fn user_flow(&self) -> Option<Box<str>> {
        match self {
            Self::Cloud(_) => None,
            Self::Custom(authority) => authority.user_flow.clone(),
        }
    }

    /// Where users of the tenant, or of any, sign in.
    #[must_use]
    pub fn authorization_uri(&self, tenant: Option<TenantId>) -> String {
        let base = match tenant {
            Some(tenant) => self.tenant_base(tenant),
            None => match self {
                Self::Cloud(cloud) => format!("https://{}/common", cloud.host()),
                Self::Custom(authority) => format!("{}/common", authority.base),
            },
        };
        format!("{base}/oauth2/v2.0/authorize")
    }

    fn tenant_base(&self, tenant: TenantId) -> String {
        match self {
            Self::Cloud(cloud) => format!("https://{}/{tenant}", cloud.host()),
            Self::Custom(authority) => authority.tenant_base(tenant),
        }
    }
}

/// The part of a host that issuers of one service share: `contoso.ciamlogin.com` and `{guid}.ciamlogin.com` differ in
/// the first label. An address stays as it is.
fn parent(host: &str) -> &str {
    match host.split_once('.') {
        Some((_, parent))
            if parent.contains('.') && !loopback(host) && host.ends_with(|c: char| c.is_ascii_alphabetic()) =>
        {
            parent
        }
        Some(_) | None => host,
    }
}
