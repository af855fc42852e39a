//! The words that `policy` and `token` share: who calls, from which tenant, with which client, holding what.
//!
//! Plain values, checked when they are made. Nothing here verifies a token or decides anything.

use std::fmt;

use crate::clock::UnixTime;

/// A GUID in canonical form: lower-case hexadecimal, 8-4-4-4-12.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(u128);

impl Guid {
    /// The GUID of nobody: all zeros.
    pub const NIL: Self = Self(0);

    /// Parses the canonical lower-case form only; upper case, braces and missing dashes are `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 36 {
            return None;
        }
        let mut value = 0_u128;
        for (at, byte) in text.bytes().enumerate() {
            let digit = match (at, byte) {
                (8 | 13 | 18 | 23, b'-') => continue,
                (8 | 13 | 18 | 23, _) => return None,
                (_, b'0'..=b'9') => byte.wrapping_sub(b'0'),
                (_, b'a'..=b'f') => byte.wrapping_sub(b'a').wrapping_add(10),
                _ => return None,
            };
            value = (value << 4) | u128::from(digit);
        }
        Some(Self(value))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(v) = *self;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            v >> 96,
            (v >> 80) & 0xffff,
            (v >> 64) & 0xffff,
            (v >> 48) & 0xffff,
            v & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An Entra tenant (`tid`).
pub type TenantId = Guid;
/// A group's object id, as `groups` carries it.
pub type GroupId = Guid;

/// The name of an `EntraApplication`, as `namespace/name`. A token verified for one says nothing about another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApplicationId(pub std::sync::Arc<str>);

impl fmt::Display for ApplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A person (delegated token) or a program of its own right (app-only token).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallerKind {
    /// A delegated token: a client acting for a signed-in user.
    User,
    /// An app-only token: a client acting as itself.
    Workload,
}

impl CallerKind {
    /// The spelling in headers, audit and `check`: `user` or `workload`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Workload => "workload",
        }
    }
}

/// The groups a token tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    /// All groups of the caller, sorted. May be empty.
    Known(Box<[GroupId]>),
    /// Too many to list in the token: membership is not known from it.
    Overage,
}

/// The verified payload, for conditions. `Debug` shows the number of claims only: it is personal data.
#[derive(Clone, PartialEq, Default)]
pub struct Claims(pub serde_json::Map<String, serde_json::Value>);

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claims({})", self.0.len())
    }
}

/// Who calls, as a verified token says it. Only `token` makes one on the request path.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// `tid`.
    pub tenant: TenantId,
    /// `oid`, at most 256 bytes.
    pub subject: Box<str>,
    /// `azp` (v2) or `appid` (v1).
    pub client: Box<str>,
    /// User or workload.
    pub kind: CallerKind,
    /// `roles`, sorted, without repetition.
    pub roles: Box<[Box<str>]>,
    /// `scp` split on spaces, sorted; empty for workloads.
    pub scopes: Box<[Box<str>]>,
    /// `groups`, or that there are too many.
    pub groups: Groups,
    /// `acrs`: the authentication contexts that the session satisfied.
    pub auth_contexts: Box<[Box<str>]>,
    /// `xms_cc` holds `cp1`: the client understands a claims challenge.
    pub can_step_up: bool,
    /// `auth_time`, if the token has it.
    pub authenticated_at: Option<UnixTime>,
    /// `uti`: the token's own id, for the audit log and revocation.
    pub token_id: Option<Box<str>>,
    /// `sid`: the session's id.
    pub session_id: Option<Box<str>>,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`, without skew.
    pub expires_at: UnixTime,
    /// The whole payload.
    pub claims: Claims,
}
