//! Entries of `allow` and `deny`: conditions that must all hold, with the names in them resolved.
//!
//! An entry compiles whole or not at all; whoever holds its list is poisoned then. An entry without any condition is a
//! slip, not a wish to admit everybody: `callers: Any` says that aloud.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::identity::{CallerKind, GroupId, Guid, TenantId};
use crate::policy::clause::MAX_ENTRIES;
use crate::policy::condition::{Condition, ConditionFault, MAX_CONDITION};
use crate::policy::rules::Entry;

use super::application::{Application, NAME, guid, name};
use super::read::Node;

/// Values of one list of an entry.
pub const VALUES: RangeInclusive<usize> = 1..=64;
/// Entries of one list.
pub const ENTRIES: RangeInclusive<usize> = 0..=MAX_ENTRIES;
/// `maxSessionAge`, in seconds.
pub const SESSION: RangeInclusive<i64> = 1..=31_536_000;

const FIELDS: [&str; 10] =
    ["callers", "tenants", "clients", "roles", "allRoles", "scopes", "groups", "when", "maxSessionAge", "authContexts"];

/// Reads a list of entries. `None` if one of them is broken; the faults say why.
pub(super) fn list(node: &Node<'_, '_>, application: Option<&Application>) -> Option<Arc<[Entry]>> {
    if !node.is_present() {
        return Some(Arc::default());
    }
    node.each(&ENTRIES, |entry| read(entry, application)).map(Into::into)
}

fn read(node: &Node<'_, '_>, application: Option<&Application>) -> Option<Entry> {
    let before = node.faults().count();
    if !node.object(&FIELDS) {
        return None;
    }
    let kinds = [("User", Some(CallerKind::User)), ("Workload", Some(CallerKind::Workload)), ("Any", None)];
    let entry = Entry {
        callers: node.field("callers").choice(&kinds).flatten(),
        tenants: node.field("tenants").each(&VALUES, |item| tenant(item, application)).map(Into::into),
        clients: node.field("clients").each(&VALUES, guid).map(Into::into),
        roles: node.field("roles").each(&VALUES, name).map(Into::into),
        all_roles: node.field("allRoles").each(&VALUES, name).map(Into::into),
        scopes: node.field("scopes").each(&VALUES, scope).map(Into::into),
        groups: node.field("groups").each(&VALUES, |item| group(item, application)).map(Into::into),
        when: node.field("when").parse(MAX_CONDITION, condition).map(Box::new),
        max_session_age: node.field("maxSessionAge").duration(&SESSION),
        auth_contexts: node.field("authContexts").each(&VALUES, auth_context).map(Into::into),
    };
    if FIELDS.iter().all(|field| !node.field(field).is_present()) {
        node.fault("has no condition; write `callers: Any` if it is meant for every caller");
    }
    if entry.callers == Some(CallerKind::Workload) && entry.scopes.is_some() {
        node.field("scopes").fault("never holds for workloads, whose tokens carry roles only; remove it");
    }
    (node.faults().count() == before).then_some(entry)
}

/// Without a sound application nothing is resolved; the policy denies for want of it.
fn tenant(node: &Node<'_, '_>, application: Option<&Application>) -> Option<TenantId> {
    let named = node.text(NAME)?;
    let Some(application) = application else { return Guid::parse(named).or(Some(NOBODY)) };
    let found = application.tenant(named);
    if found.is_none() {
        node.fault(format!("`{named}` is no tenant of the application; name one that its `tenants` lists"));
    }
    found
}

/// What stands for a name that cannot be resolved where nothing is decided by it.
const NOBODY: Guid = Guid::NIL;

fn group(node: &Node<'_, '_>, application: Option<&Application>) -> Option<GroupId> {
    let named = node.text(NAME)?;
    if let Some(id) = Guid::parse(named) {
        return Some(id);
    }
    let Some(application) = application else { return Some(NOBODY) };
    let found = application.groups.get(named).copied();
    if found.is_none() {
        node.fault(format!(
            "`{named}` is neither a group's object id nor a name in `groups` of the application \
             (config_group_not_guid)"
        ));
    }
    found
}

/// A scope is what `scp` holds: one word (RFC 6749 §3.3), without the App ID URI.
fn scope(node: &Node<'_, '_>) -> Option<Box<str>> {
    let text = node.text(NAME)?;
    if text.contains("://") {
        node.fault("must be the scope's name as tokens carry it, without the App ID URI in front");
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')) {
        return Some(text.into());
    }
    node.fault("must be one word of visible ASCII without quotes and backslashes (RFC 6749)");
    None
}

fn condition(text: &str) -> Result<Condition, String> {
    Condition::compile(text).map_err(|fault| match fault {
        ConditionFault::ClaimForbidden(_) => format!("{fault} (config_claim_forbidden)"),
        ConditionFault::Length
        | ConditionFault::Syntax(_)
        | ConditionFault::UnknownName(_)
        | ConditionFault::UnknownMember(..)
        | ConditionFault::UnknownFunction(_)
        | ConditionFault::AsWhole(..)
        | ConditionFault::TooDeep
        | ConditionFault::TooCostly
        | ConditionFault::Pattern(_) => fault.to_string(),
    })
}

/// `c1` to `c99` (Microsoft Graph, authenticationContextClassReference).
fn auth_context(node: &Node<'_, '_>) -> Option<Box<str>> {
    let text = node.text(NAME)?;
    let fits = match text.as_bytes() {
        [b'c', b'1'..=b'9'] | [b'c', b'1'..=b'9', b'0'..=b'9'] => true,
        [..] => false,
    };
    if !fits {
        node.fault("must be an authentication context's id, c1 to c99");
    }
    fits.then(|| text.into())
}
