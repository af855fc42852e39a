//! What the compiler hands over: one policy with everything parsed, or marked as poisoned. Plain data.
//!
//! The types say what a list means. An absent condition is `None`; a condition is never an empty list, because the
//! compiler poisons what it cannot read instead of dropping it.
//!
//! There may be a hundred thousand routes: lists that routes may share are shared, and what few have takes little room in
//! the others.

use std::sync::Arc;

use crate::identity::{ApplicationId, CallerKind, GroupId, TenantId};

use super::condition::Condition;
use super::grant::Grant;
use super::template::PathTemplate;

/// A policy's name, as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl std::fmt::Display for PolicyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Who was first: creation time, then namespace and name. The smallest is the oldest; without a creation time an
/// object counts as younger than all that have one. Field order is precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seniority {
    /// Nanoseconds since 1970 of `metadata.creationTimestamp`; `i128::MAX` if absent.
    pub created: i128,
    /// The policy.
    pub id: PolicyId,
}

/// Whether a policy decides or only records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its verdict counts.
    Enforce,
    /// Its verdict is recorded.
    Shadow,
}

/// Whether CORS preflights pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preflight {
    /// They are decided like any request.
    Deny,
    /// They pass without a token.
    Allow,
}

/// What to do when a token cannot list the caller's groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupOverage {
    /// Deny what depends on groups, 403 `groups_overage`.
    Deny,
    /// Ask Microsoft Graph; until that is known the answer is 503 `groups_unavailable`.
    Graph,
}

/// A valid policy, or what is left of a broken one.
#[derive(Debug)]
pub struct Policy {
    /// Name and age.
    pub seniority: Seniority,
    /// Enforce or shadow.
    pub mode: Mode,
    /// CORS preflights.
    pub preflight: Preflight,
    /// The application whose tokens count. `None`: the reference does not resolve, which poisons every route that
    /// needs a token.
    pub application: Option<ApplicationId>,
    /// From the application.
    pub group_overage: GroupOverage,
    /// Guardrails for every route that needs a token. `Err`: one of them is broken, which poisons all those routes.
    pub deny: Result<Arc<[Entry]>, Poison>,
    /// The routes.
    pub routes: Vec<Arc<Route>>,
    /// Roles lent inside this policy.
    pub grants: Vec<Grant>,
    /// The policy as a whole is broken: every host it names denies.
    pub poison: Option<Poison>,
}

impl Policy {
    /// The policy's name.
    #[must_use]
    pub fn id(&self) -> &PolicyId {
        &self.seniority.id
    }
}

/// Why something broken denies; for the audit log and `check`, never for the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison(pub Arc<str>);

/// One route of a policy.
#[derive(Debug)]
pub struct Route {
    /// `routes[].name`, or the template if it has none.
    pub name: Arc<str>,
    /// The path.
    pub template: PathTemplate,
    /// The methods.
    pub methods: Methods,
    /// Who may.
    pub access: Access,
}

/// The methods of a route. "All" is said aloud; it is never what remains of a list that lost its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Methods {
    /// Every method.
    All,
    /// The list cannot be read: any method may have been meant. The route denies.
    Unknown,
    /// These, upper-case, at least one. `GET` covers `HEAD`.
    Only(Arc<[Arc<str>]>),
}

/// Who may use a route.
#[derive(Debug)]
pub enum Access {
    /// Everybody, without a look at any token.
    Anonymous,
    /// Those whom an entry admits and none denies. An empty `allow` admits nobody.
    Entries {
        /// Any of these admits.
        allow: Arc<[Entry]>,
        /// Any of these refuses, whatever admits.
        deny: Arc<[Entry]>,
    },
    /// The route is broken and denies.
    Poisoned(Poison),
}

/// One entry: all conditions that are present must hold. Lists are never empty.
#[derive(Debug, Default)]
pub struct Entry {
    /// Only users, or only workloads.
    pub callers: Option<CallerKind>,
    /// One of these tenants.
    pub tenants: Option<Box<[TenantId]>>,
    /// One of these clients.
    pub clients: Option<Box<[Box<str>]>>,
    /// One of these roles.
    pub roles: Option<Box<[Box<str>]>>,
    /// All of these roles.
    pub all_roles: Option<Box<[Box<str>]>>,
    /// One of these scopes.
    pub scopes: Option<Box<[Box<str>]>>,
    /// One of these groups.
    pub groups: Option<Box<[GroupId]>>,
    /// A CEL expression.
    pub when: Option<Box<Condition>>,
    /// Seconds since `auth_time`, at most.
    pub max_session_age: Option<i64>,
    /// All of these authentication contexts.
    pub auth_contexts: Option<Box<[Box<str>]>>,
}
