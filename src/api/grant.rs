//! `AccessGrant`: roles lent to somebody inside one policy, until a moment.
//!
//! A broken grant lends nothing. So does one that is not approved.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::clock::UnixTime;
use crate::identity::Guid;
use crate::policy::grant::{Grant, Subject};

use super::application::{Application, NAME, guid, name};
use super::fault::{Fault, Faults};
use super::object::{Kind, Object, ObjectId};
use super::read::Node;

/// Roles of one grant.
pub const ROLES: RangeInclusive<usize> = 1..=16;
/// Longest reason, in bytes.
pub const REASON: usize = 1024;
/// Longest name or id of a user of the cluster, in bytes.
pub const USER: usize = 1024;

const FIELDS: [&str; 9] =
    ["policyRef", "subject", "roles", "notBefore", "expiresAt", "reason", "approved", "requestedBy", "approvedBy"];

/// A grant as it was read.
#[derive(Debug)]
pub struct ReadGrant {
    /// What it lends, if it is sound and approved.
    pub grant: Option<Grant>,
    /// Everything that is wrong with it.
    pub faults: Vec<Fault>,
}

/// The policy that a grant is for, if it says so.
#[must_use]
pub fn policy(object: &Object) -> Option<ObjectId> {
    let body = object.body();
    let name = body.get("spec")?.get("policyRef")?.get("name")?.as_str()?;
    Some(ObjectId { kind: Kind::AccessPolicy, namespace: Arc::clone(&object.id.namespace), name: name.into() })
}

/// Reads a grant for a policy with this application. Without one, names of tenants and groups mean nothing yet.
#[must_use]
pub fn read(object: &Object, application: Option<&Application>) -> ReadGrant {
    let faults = Faults::of(&object.id);
    let body = object.body();
    super::reference::envelope(&body, &faults);
    let spec = Node::top(&body, "spec", &faults);
    let grant = if spec.object(&FIELDS) { grant(&spec, &object.id, application) } else { None };
    let faults = faults.into_vec();
    ReadGrant { grant: grant.filter(|_| faults.is_empty()), faults }
}

fn grant(spec: &Node<'_, '_>, id: &ObjectId, application: Option<&Application>) -> Option<Grant> {
    let policy = spec.field("policyRef");
    if policy.object(&["name"]) {
        let named = policy.field("name");
        let _is_name = named.need("write the name of an AccessPolicy") && named.text(253).is_some();
    }
    let subject = subject(&spec.field("subject"), application);
    let roles = spec.field("roles");
    let roles = roles.need("list the roles to lend").then(|| roles.each(&ROLES, name)).flatten();
    let start = spec.field("notBefore");
    let start = if start.is_present() { second(start.time()?) } else { UnixTime(i64::MIN) };
    let end = spec.field("expiresAt");
    let end = end.need("write when it ends, as in 2026-11-24T03:00:00Z").then(|| end.time()).flatten().map(second);
    if end.is_some_and(|end| end <= start) {
        spec.field("expiresAt").fault("must be after `notBefore`");
    }
    let _is_bounded = spec.field("reason").text(REASON);
    for field in ["requestedBy", "approvedBy"] {
        stamp(&spec.field(field));
    }
    let approved = spec.field("approved").truth().unwrap_or(false);
    let name = format!("{}/{}", id.namespace, id.name).into();
    let grant = Grant { name, subject: subject?, roles: roles?, not_before: start, expires_at: end? };
    approved.then_some(grant)
}

/// Who asked or approved; nothing is decided by it.
fn stamp(node: &Node<'_, '_>) {
    if node.is_present() && node.object(&["username", "uid", "at"]) {
        let name = node.field("username");
        let _is_name = name.need("write the user's name") && name.text(USER).is_some();
        let _is_bounded = node.field("uid").text(USER);
        let at = node.field("at");
        let _is_time = at.need("write when, as in 2026-11-24T03:00:00Z") && at.time().is_some();
    }
}

fn second(at: jiff::Timestamp) -> UnixTime {
    UnixTime(at.as_second())
}

fn subject(node: &Node<'_, '_>, application: Option<&Application>) -> Option<Subject> {
    if !node.object(&["tenant", "oid", "client", "group"]) {
        return None;
    }
    let (tenant, oid) = (node.field("tenant"), node.field("oid"));
    let (client, group) = (node.field("client"), node.field("group"));
    if tenant.is_present() && !oid.is_present() {
        tenant.fault("belongs to an `oid`; add that, or remove it");
    }
    match (oid.is_present(), client.is_present(), group.is_present()) {
        (true, false, false) => {
            let known =
                tenant.need("write the tenant that the `oid` belongs to").then(|| tenant.text(NAME)).flatten()?;
            let found = application.and_then(|application| application.tenant(known));
            if found.is_none() && application.is_some() {
                tenant.fault(format!("`{known}` is no tenant of the policy's application"));
            }
            Some(Subject::Principal { tenant: found?, oid: guid(&oid)? })
        }
        (false, true, false) => guid(&client).map(Subject::Client),
        (false, false, true) => {
            let known = group.text(NAME)?;
            let named = || application.and_then(|application| application.groups.get(known).copied());
            let found = Guid::parse(known).or_else(named);
            if found.is_none() && application.is_some() {
                group.fault(format!(
                    "`{known}` is neither a group's object id nor a name in `groups` of the application"
                ));
            }
            found.map(Subject::Group)
        }
        (_, _, _) => {
            node.fault("must name exactly one of `oid` (with `tenant`), `client` and `group`");
            None
        }
    }
}
