//! One token from its bytes to a caller, in one fixed order, so that one bad token has one reason.
//!
//! Size, shape, header, payload shape, duplicates, required claims, types, `ver`, `tid` ([`inspect`]); then `iss`, key,
//! key issuer, signature, `aud`, time, kind of token, and what the application asks of every caller
//! ([`Unverified::verify`]). A refusal may come before the signature was checked, a [`Caller`] never.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::identity::{Caller, CallerKind, Claims, TenantId, Text};
use crate::reason::ReasonCode;

use super::authority::{self, Authority};
use super::claims::{Payload, Times};
use super::header::{self, Header, KnownHeader};
use super::kind;
use super::metadata;
use super::profile::{Discovery, Profile};
use super::rejection::{Detail, TokenRejection};
use super::segments::{self, Segments};
use super::{RawToken, Version};

/// Audiences that are Microsoft's own in any cloud, never ours; also with a trailing slash.
const GRAPH: [&str; 5] = [
    "00000003-0000-0000-c000-000000000000",
    "https://graph.microsoft.com",
    "https://graph.microsoft.us",
    "https://dod-graph.microsoft.us",
    "https://microsoftgraph.chinacloudapi.cn",
];
/// Most tolerance for clocks, in seconds, whatever a profile says.
const MAX_SKEW: i64 = 300;

fn no(reason: ReasonCode, detail: Detail) -> TokenRejection {
    TokenRejection::new(reason, detail)
}

/// A well-formed token of an accepted tenant and version, not verified yet.
pub struct Unverified<'a> {
    segments: Segments<'a>,
    header: Header,
    payload: Payload,
    profile: &'a Profile,
}

impl std::fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unverified")
    }
}

/// Everything that can be said of a token without a key.
///
/// # Errors
/// The reason, up to `tenant_not_allowed`.
pub fn inspect<'a>(token: &'a RawToken, profile: &'a Profile) -> Result<Unverified<'a>, TokenRejection> {
    inspect_knowing(token, profile, None)
}

/// The same, and quicker if the token has a header that is known.
///
/// # Errors
/// Those of [`inspect`].
pub fn inspect_knowing<'a>(
    token: &'a RawToken,
    profile: &'a Profile,
    known: Option<&KnownHeader>,
) -> Result<Unverified<'a>, TokenRejection> {
    let segments = segments::split(token.expose())?;
    let header = match known.and_then(|known| known.read(segments.header, profile.allow_missing_typ)) {
        Some(header) => header,
        None => header::parse(&segments::decode(segments.header)?, profile.allow_missing_typ)?,
    };
    let payload = Payload::parse(segments.payload(), &profile.versions)?;
    if !profile.tenants.contains_key(&payload.tenant) {
        return Err(no(ReasonCode::TenantNotAllowed, "the tenant is not listed"));
    }
    Ok(Unverified { segments, header, payload, profile })
}

impl Unverified<'_> {
    /// `tid`, one of the profile's tenants.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.payload.tenant
    }

    /// `ver`, one of the profile's versions.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.payload.version
    }

    /// `kid`, at most 256 bytes.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.header.kid
    }

    /// The same, to be kept.
    #[must_use]
    pub fn shared_kid(&self) -> Arc<str> {
        Arc::clone(&self.header.kid)
    }

    /// The header, to be known once the token is verified; unless it is `known` already.
    #[must_use]
    pub fn header(&self, known: Option<&KnownHeader>) -> Option<KnownHeader> {
        let (encoded, missing_typ) = (self.segments.header, self.profile.allow_missing_typ);
        let fresh = known.and_then(|known| known.read(encoded, missing_typ)).is_none();
        fresh.then(|| KnownHeader::new(encoded, missing_typ, &self.header))
    }

    /// Whether the token is of this issuer but names a key that it does not list: worth asking for its keys again.
    #[must_use]
    pub fn needs_key(&self, authority: &Authority, now: UnixTime) -> bool {
        self.issued(authority).is_ok() && authority.keys.find(&self.header.kid, now).is_none()
    }

    /// Whether a source of which nothing is known yet may turn out to be the issuer. If not, keys would change nothing.
    ///
    /// # Errors
    /// `version_mismatch`, `issuer_mismatch`.
    pub fn expects(&self, source: &Discovery) -> Result<(), TokenRejection> {
        let issuer = &self.payload.issuer;
        if metadata::may_issue(source, issuer) {
            return authority::same_flow(source.user_flow.as_deref(), self.payload.user_flow.as_deref());
        }
        Err(authority::foreign(issuer, self.tenant(), source.other_version.as_ref()))
    }

    /// The rest of the checks.
    ///
    /// # Errors
    /// The first reason in the order above.
    pub fn verify(mut self, authority: &Authority, now: UnixTime) -> Result<Caller, TokenRejection> {
        self.issued(authority)?;
        let key = authority.key(&self.header.kid, self.tenant(), now)?;
        if !key.signed(self.segments.signature(), self.segments.signed) {
            return Err(no(ReasonCode::SignatureInvalid, "RS256"));
        }
        self.audience()?;
        in_time(&self.payload.times, self.profile, now)?;
        let (client, kind) = kind::tell(&mut self.payload)?;
        let caller = caller(self.payload, (client, kind));
        admissible(&caller, self.profile)?;
        Ok(caller)
    }

    fn issued(&self, authority: &Authority) -> Result<(), TokenRejection> {
        authority.issued(&self.payload.issuer, self.tenant())?;
        authority::same_flow(authority.user_flow.as_deref(), self.payload.user_flow.as_deref())
    }

    fn audience(&self) -> Result<(), TokenRejection> {
        let audience = &*self.payload.audience;
        let own = *audience == *self.profile.client_id;
        let listed = self.profile.audiences.iter().any(|listed| **listed == *audience);
        let accepted = match self.payload.version {
            Version::V1 => own || listed,
            Version::V2 => own,
        };
        let graph = GRAPH.contains(&audience.strip_suffix('/').unwrap_or(audience));
        if accepted && !graph { Ok(()) } else { Err(no(ReasonCode::AudienceMismatch, "`aud` is not this application")) }
    }
}

fn in_time(times: &Times, profile: &Profile, now: UnixTime) -> Result<(), TokenRejection> {
    let skew = profile.clock_skew.clamp(0, MAX_SKEW);
    if now >= times.expires.plus(skew) {
        return Err(no(ReasonCode::TokenExpired, "`exp`"));
    }
    if times.not_before > now.plus(skew) {
        return Err(no(ReasonCode::TokenNotYetValid, "`nbf`"));
    }
    if times.issued > now.plus(skew) {
        return Err(no(ReasonCode::TokenIssuedInFuture, "`iat`"));
    }
    if times.expires.since(times.not_before) > profile.max_lifetime {
        return Err(no(ReasonCode::TokenLifetimeExcessive, "`exp` - `nbf`"));
    }
    Ok(())
}

/// Whether a caller that was verified earlier is still within the times of its token.
///
/// # Errors
/// `token_expired`, or, if the clock went back, `token_not_yet_valid`.
pub fn recheck(caller: &Caller, profile: &Profile, now: UnixTime) -> Result<(), TokenRejection> {
    let Caller { issued_at: issued, not_before, expires_at: expires, .. } = *caller;
    let times = Times { issued, not_before, expires };
    in_time(&times, profile, now)
}

fn caller(payload: Payload, (client, kind): (Text, CallerKind)) -> Caller {
    Caller {
        tenant: payload.tenant,
        subject: payload.object,
        client,
        kind,
        roles: payload.roles,
        scopes: payload.scopes,
        groups: payload.groups,
        auth_contexts: payload.auth_contexts,
        can_step_up: payload.can_step_up,
        authenticated_at: payload.authenticated_at,
        token_id: payload.token_id,
        session_id: payload.session_id,
        issued_at: payload.times.issued,
        not_before: payload.times.not_before,
        expires_at: payload.times.expires,
        claims: Claims::of(payload.whole),
    }
}

/// What the application asks of every caller, whatever the route.
fn admissible(caller: &Caller, profile: &Profile) -> Result<(), TokenRejection> {
    if let Some(clients) = &profile.allowed_clients
        && !clients.iter().any(|client| **client == *caller.client)
    {
        return Err(no(ReasonCode::ClientNotAllowed, "not among the application's allowedClients"));
    }
    // Any client of the tenant can get an app-only token without roles, if assignment is not required.
    if caller.kind == CallerKind::Workload && caller.roles.is_empty() {
        return Err(no(ReasonCode::RoleMissing, "an app-only token without roles"));
    }
    Ok(())
}
