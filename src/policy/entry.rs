//! One entry against one caller: it holds, it falls short of one condition, or it cannot be told.

use crate::identity::{Caller, CallerKind, Groups, Text};
use crate::reason::ReasonCode;

use super::condition::{ConditionError, Facts};
use super::rules::Entry;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every condition holds.
    Held,
    /// This one does not; those before it do.
    Failed(Shortfall),
    /// All others hold, but whether the caller is in a group is not known.
    Unknown,
}

/// The condition that an entry fell short of. Conditions are looked at in this order, so a later one is nearer to
/// success: of several entries the one with the greatest shortfall gives the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shortfall {
    /// A user where workloads may, or the reverse.
    Callers,
    /// Another tenant.
    Tenant,
    /// Another client.
    Client,
    /// No role of `roles`, or not all of `allRoles`.
    Role,
    /// No group of `groups`.
    Group,
    /// No scope of `scopes`.
    Scope,
    /// `when` is false.
    Condition,
    /// `when` could not be evaluated.
    ConditionError,
    /// The sign-in is too old, or of unknown age.
    SessionAge,
    /// An authentication context is missing that this caller cannot get.
    StepUpNotPossible,
    /// An authentication context is missing that this caller can get.
    StepUp,
}

impl Shortfall {
    /// The reason of a denial.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Callers => ReasonCode::PrincipalTypeDenied,
            Self::Tenant => ReasonCode::TenantDenied,
            Self::Client => ReasonCode::ClientNotAllowed,
            Self::Role => ReasonCode::RoleMissing,
            Self::Group => ReasonCode::GroupMissing,
            Self::Scope => ReasonCode::ScopeMissing,
            Self::Condition | Self::ConditionError => ReasonCode::ConditionNotMet,
            Self::SessionAge => ReasonCode::SessionTooOld,
            Self::StepUpNotPossible => ReasonCode::StepUpNotPossible,
            Self::StepUp => ReasonCode::StepUpRequired,
        }
    }
}

/// Evaluates an entry. A list that is not there asks nothing.
#[must_use]
pub fn evaluate(entry: &Entry, facts: &Facts<'_>) -> Outcome {
    let caller = facts.caller;
    if let Some(shortfall) = before_groups(entry, caller) {
        return Outcome::Failed(shortfall);
    }
    let groups = groups(entry, caller);
    if groups == Some(false) {
        return Outcome::Failed(Shortfall::Group);
    }
    if let Some(shortfall) = after_groups(entry, facts) {
        return Outcome::Failed(shortfall);
    }
    if groups.is_none() {
        return Outcome::Unknown;
    }
    Outcome::Held
}

/// Each condition of an entry on its own, for explanations: its name, and whether it holds.
pub fn each(entry: &Entry, facts: &Facts<'_>, visit: &mut dyn FnMut(&'static str, Option<bool>)) {
    let caller = facts.caller;
    let mut present = |name, there: bool, holds: Option<bool>| {
        if there {
            visit(name, holds);
        }
    };
    present("callers", entry.callers.is_some(), Some(callers(entry, caller)));
    present("tenants", entry.tenants.is_some(), Some(tenants(entry, caller)));
    present("clients", entry.clients.is_some(), Some(clients(entry, caller)));
    present("roles", entry.roles.is_some(), Some(any_role(entry, caller)));
    present("allRoles", entry.all_roles.is_some(), Some(all_roles(entry, caller)));
    present("groups", entry.groups.is_some(), groups(entry, caller));
    present("scopes", entry.scopes.is_some(), Some(scopes(entry, caller)));
    present("when", entry.when.is_some(), when(entry, facts).ok());
    present("maxSessionAge", entry.max_session_age.is_some(), Some(session(entry, facts)));
    present("authContexts", entry.auth_contexts.is_some(), Some(missing_context(entry, caller).is_none()));
}

fn before_groups(entry: &Entry, caller: &Caller) -> Option<Shortfall> {
    if !callers(entry, caller) {
        return Some(Shortfall::Callers);
    }
    if !tenants(entry, caller) {
        return Some(Shortfall::Tenant);
    }
    if !clients(entry, caller) {
        return Some(Shortfall::Client);
    }
    (!any_role(entry, caller) || !all_roles(entry, caller)).then_some(Shortfall::Role)
}

fn after_groups(entry: &Entry, facts: &Facts<'_>) -> Option<Shortfall> {
    if !scopes(entry, facts.caller) {
        return Some(Shortfall::Scope);
    }
    match when(entry, facts) {
        Ok(true) => {}
        Ok(false) => return Some(Shortfall::Condition),
        Err(ConditionError) => return Some(Shortfall::ConditionError),
    }
    if !session(entry, facts) {
        return Some(Shortfall::SessionAge);
    }
    missing_context(entry, facts.caller)?;
    let can = facts.caller.kind == CallerKind::User && facts.caller.can_step_up;
    Some(if can { Shortfall::StepUp } else { Shortfall::StepUpNotPossible })
}

fn callers(entry: &Entry, caller: &Caller) -> bool {
    entry.callers.is_none_or(|kind| kind == caller.kind)
}

fn tenants(entry: &Entry, caller: &Caller) -> bool {
    entry.tenants.as_ref().is_none_or(|tenants| tenants.contains(&caller.tenant))
}

fn clients(entry: &Entry, caller: &Caller) -> bool {
    entry.clients.as_ref().is_none_or(|clients| clients.iter().any(|client| **client == *caller.client))
}

fn any_role(entry: &Entry, caller: &Caller) -> bool {
    entry.roles.as_ref().is_none_or(|roles| roles.iter().any(|role| holds(&caller.roles, role)))
}

fn all_roles(entry: &Entry, caller: &Caller) -> bool {
    entry.all_roles.as_ref().is_none_or(|roles| roles.iter().all(|role| holds(&caller.roles, role)))
}

fn scopes(entry: &Entry, caller: &Caller) -> bool {
    entry
        .scopes
        .as_ref()
        .is_none_or(|scopes| caller.kind == CallerKind::User && scopes.iter().any(|scope| holds(&caller.scopes, scope)))
}

/// `None`: not known.
fn groups(entry: &Entry, caller: &Caller) -> Option<bool> {
    let Some(asked) = &entry.groups else { return Some(true) };
    match &caller.groups {
        Groups::Known(groups) => Some(asked.iter().any(|group| groups.binary_search(group).is_ok())),
        Groups::Overage => None,
    }
}

fn when(entry: &Entry, facts: &Facts<'_>) -> Result<bool, ConditionError> {
    entry.when.as_ref().map_or(Ok(true), |condition| condition.holds(facts))
}

fn session(entry: &Entry, facts: &Facts<'_>) -> bool {
    entry
        .max_session_age
        .is_none_or(|limit| facts.caller.authenticated_at.is_some_and(|signed_in| facts.now.since(signed_in) <= limit))
}

/// The first authentication context, in the order of the rule, that the session did not satisfy.
#[must_use]
pub fn missing_context<'e>(entry: &'e Entry, caller: &Caller) -> Option<&'e str> {
    let contexts = entry.auth_contexts.as_ref()?;
    contexts
        .iter()
        .map(|context| &**context)
        .find(|context| !caller.auth_contexts.iter().any(|held| **held == **context))
}

/// Caller lists are sorted.
fn holds(list: &[Text], wanted: &str) -> bool {
    list.binary_search_by(|item| (**item).cmp(wanted)).is_ok()
}
