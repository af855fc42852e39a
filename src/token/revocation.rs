//! Revocations: tokens that are good by themselves and refused all the same, because somebody said so.
//!
//! Entra sends custom APIs no revocation events; this is the switch. It is asked for every request, also if the token was
//! verified earlier.

use std::collections::HashMap;

use crate::clock::UnixTime;
use crate::identity::{Caller, TenantId};

/// Whose tokens are refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// Those of a user or service principal (`oid`).
    Subject(Box<str>),
    /// Those that a client got (`azp`, `appid`).
    Client(Box<str>),
    /// Those of a tenant (`tid`).
    Tenant(TenantId),
    /// Those of a session (`sid`).
    Session(Box<str>),
    /// One token (`uti`).
    Token(Box<str>),
}

/// Everything that is revoked for one application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations(HashMap<Revoked, UnixTime>);

impl Revocations {
    /// Takes what is revoked, and before which moment tokens must have been issued to be refused; of two moments for the
    /// same thing the later one counts.
    #[must_use]
    pub fn new(revoked: impl IntoIterator<Item = (Revoked, UnixTime)>) -> Self {
        let mut all = HashMap::new();
        for (what, before) in revoked {
            all.entry(what).and_modify(|known: &mut UnixTime| *known = before.max(*known)).or_insert(before);
        }
        Self(all)
    }

    /// Whether the token of this caller is refused.
    #[must_use]
    pub fn covers(&self, caller: &Caller) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let hit = |revoked: Revoked| self.0.get(&revoked).is_some_and(|before| caller.issued_at < *before);
        hit(Revoked::Subject(caller.subject.as_str().into()))
            || hit(Revoked::Client(caller.client.as_str().into()))
            || hit(Revoked::Tenant(caller.tenant))
            || caller.session_id.as_deref().is_some_and(|id| hit(Revoked::Session(id.into())))
            || caller.token_id.as_deref().is_some_and(|id| hit(Revoked::Token(id.into())))
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
