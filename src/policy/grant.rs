//! Grants: roles lent to somebody inside one policy, for a time.
//!
//! A grant only ever adds roles, and only between two moments; both are compared with the time of the request, so that it
//! ends to the second although nothing happens then. What it admits is admitted by an entry of the policy like
//! everything else.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clock::UnixTime;
use crate::identity::{Caller, CallerKind, GroupId, Groups, TenantId, Text};

/// Roles lent for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its name, as `namespace/name`.
    pub name: Arc<str>,
    /// To whom.
    pub subject: Subject,
    /// Which roles; at least one.
    pub roles: Vec<Box<str>>,
    /// From this second on.
    pub not_before: UnixTime,
    /// Until before this second.
    pub expires_at: UnixTime,
}

/// To whom roles are lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A user or service principal of a tenant.
    Principal {
        /// The tenant.
        tenant: TenantId,
        /// `oid`.
        oid: Box<str>,
    },
    /// A program that calls as itself.
    Client(Box<str>),
    /// Whoever is known to be in this group.
    Group(GroupId),
}

impl Grant {
    /// Whether it lends anything to this caller now. A group that the token cannot tell of lends nothing.
    #[must_use]
    pub fn holds(&self, caller: &Caller, now: UnixTime) -> bool {
        self.not_before <= now && now < self.expires_at && self.subject.is(caller)
    }
}

impl Subject {
    fn is(&self, caller: &Caller) -> bool {
        match self {
            Self::Principal { tenant, oid } => caller.tenant == *tenant && *caller.subject == **oid,
            Self::Client(client) => caller.kind == CallerKind::Workload && *caller.client == **client,
            Self::Group(group) => match &caller.groups {
                Groups::Known(groups) => groups.binary_search(group).is_ok(),
                Groups::Overage => false,
            },
        }
    }
}

/// A caller with lent roles.
#[derive(Debug)]
pub struct Lent {
    /// The caller, holding them.
    pub caller: Caller,
    /// The names of the grants that lent a role which the caller does not hold anyway, with commas between them.
    pub by: Arc<str>,
}

/// The caller with everything that grants lend now. `None` if they lend nothing new.
#[must_use]
pub fn lend(grants: &[Grant], caller: &Caller, now: UnixTime) -> Option<Lent> {
    let held = |role: &str| caller.roles.iter().any(|held| **held == *role);
    let adds = |grant: &&Grant| grant.holds(caller, now) && grant.roles.iter().any(|role| !held(role));
    let adding: Vec<&Grant> = grants.iter().filter(adds).collect();
    if adding.is_empty() {
        return None;
    }
    let lent = adding.iter().flat_map(|grant| &grant.roles).map(|role| Text::from(&**role));
    let roles: BTreeSet<Text> = caller.roles.iter().cloned().chain(lent).collect();
    let names: Vec<&str> = adding.iter().map(|grant| &*grant.name).collect();
    let caller = Caller { roles: roles.into_iter().collect(), ..caller.clone() };
    Some(Lent { caller, by: names.join(",").into() })
}
