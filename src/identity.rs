//! The words that `policy` and `token` share: who calls, from which tenant, with which client, holding what.
//!
//! Plain values, checked when they are made. Nothing here verifies a token or decides anything.

mod text;

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::clock::UnixTime;

pub use text::Text;

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

impl Guid {
    /// The canonical form, without the detour of formatting.
    #[must_use]
    pub fn text(self) -> GuidText {
        let mut text = [b'-'; 36];
        let mut rest = self.0;
        let digits = text.iter_mut().enumerate().rev().filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23));
        for (_, digit) in digits {
            let nibble = u8::try_from(rest & 0xf).unwrap_or_default();
            *digit = nibble.wrapping_add(if nibble < 10 { b'0' } else { b'a'.wrapping_sub(10) });
            rest >>= 4;
        }
        GuidText(text)
    }
}

/// The canonical form of a [`Guid`].
#[derive(Clone, Copy)]
pub struct GuidText([u8; 36]);

impl GuidText {
    /// The 36 letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // INVARIANT: digits and dashes are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
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
pub struct ApplicationId(pub Arc<str>);

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

/// The verified payload, for conditions: kept as it was signed, and read when one asks for it, which few do. `Debug` shows
/// its length only: it is personal data.
#[derive(Clone)]
pub struct Claims {
    json: Arc<str>,
    members: OnceLock<Option<Map<String, Value>>>,
}

impl Claims {
    /// Those of a payload that was read and judged before.
    #[must_use]
    pub const fn of(json: Arc<str>) -> Self {
        Self { json, members: OnceLock::new() }
    }

    /// By name. `None`: this is no payload that was judged before, so that nothing may be concluded from it.
    #[must_use]
    pub fn members(&self) -> Option<&Map<String, Value>> {
        self.members.get_or_init(|| serde_json::from_str(&self.json).ok()).as_ref()
    }
}

impl From<Map<String, Value>> for Claims {
    fn from(members: Map<String, Value>) -> Self {
        let json = Value::from(members.clone()).to_string();
        Self { json: json.into(), members: OnceLock::from(Some(members)) }
    }
}

/// No claims.
impl Default for Claims {
    fn default() -> Self {
        Self::from(Map::new())
    }
}

/// Whether they were signed in the same words.
impl PartialEq for Claims {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claims({} bytes)", self.json.len())
    }
}

/// Who calls, as a verified token says it. Only `token` makes one on the request path.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// `tid`.
    pub tenant: TenantId,
    /// `oid`, at most 256 bytes.
    pub subject: Text,
    /// `azp` (v2) or `appid` (v1).
    pub client: Text,
    /// User or workload.
    pub kind: CallerKind,
    /// `roles`, sorted, without repetition.
    pub roles: Box<[Text]>,
    /// `scp` split on spaces, sorted; empty for workloads.
    pub scopes: Box<[Text]>,
    /// `groups`, or that there are too many.
    pub groups: Groups,
    /// `acrs`: the authentication contexts that the session satisfied.
    pub auth_contexts: Box<[Text]>,
    /// `xms_cc` holds `cp1`: the client understands a claims challenge.
    pub can_step_up: bool,
    /// `auth_time`, if the token has it.
    pub authenticated_at: Option<UnixTime>,
    /// `uti`: the token's own id, for the audit log and revocation.
    pub token_id: Option<Text>,
    /// `sid`: the session's id.
    pub session_id: Option<Text>,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `nbf`, without skew.
    pub not_before: UnixTime,
    /// `exp`, without skew.
    pub expires_at: UnixTime,
    /// The whole payload.
    pub claims: Claims,
}
