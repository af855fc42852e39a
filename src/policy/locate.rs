//! From a request to the place in the rules that speaks for it: host, path, route. No token is needed for this, and
//! nothing here permits.

use crate::identity::ApplicationId;
use crate::reason::ReasonCode;
use crate::request::Request;

use super::decide::{Detail, Matched};
use super::host::Host;
use super::method::{is_method, preflight_for};
use super::overrides::Overrides;
use super::path::Canonical;
use super::rules::{Access, Entry, Poison, Preflight};
use super::slot::{Place, Slot};
use super::snapshot::{Snapshot, Speaking};
use super::table::{HostTable, Side};
use super::tree::{Reading, Tree};

/// A request, and where the rules speak of it.
pub struct Located<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// Its host, folded; empty if it has no valid one.
    pub host: Host<'a>,
    /// Its path, if it has one reading.
    pub path: Option<Canonical<'a>>,
    /// What the policies say that decide.
    pub enforcing: Finding<'a>,
    /// What the policies say that record; `None` if there are none for this host.
    pub shadow: Option<Finding<'a>>,
}

/// What the rules of one mode say before any token is looked at.
#[derive(Debug)]
pub enum Finding<'a> {
    /// Refused whoever calls.
    Refused {
        /// Why.
        reason: ReasonCode,
        /// More, for the audit log.
        detail: Detail,
        /// The route, if one was found.
        place: Option<&'a Place>,
    },
    /// No policy decides here; shadow policies record.
    ShadowOnly,
    /// A CORS preflight that the route's policy lets through.
    Preflight(&'a Place),
    /// An anonymous route.
    Anonymous(&'a Place),
    /// A token decides.
    Protected(Protected<'a>),
}

/// A route whose entries decide.
#[derive(Clone, Copy, Debug)]
pub struct Protected<'a> {
    /// The route.
    pub place: &'a Place,
    /// The application whose tokens count.
    pub application: &'a ApplicationId,
    /// The policy's guardrails.
    pub guardrails: &'a [Entry],
    /// Who may.
    pub allow: &'a [Entry],
    /// Who may not.
    pub deny: &'a [Entry],
}

impl Finding<'_> {
    /// The application whose token is asked for.
    #[must_use]
    pub const fn application(&self) -> Option<&ApplicationId> {
        match self {
            Self::Protected(protected) => Some(protected.application),
            Self::Refused { .. } | Self::ShadowOnly | Self::Preflight(_) | Self::Anonymous(_) => None,
        }
    }
}

fn refused<'a>(reason: ReasonCode, detail: Detail) -> Finding<'a> {
    Finding::Refused { reason, detail, place: None }
}

fn poisoned<'a>(poison: &Poison) -> Finding<'a> {
    refused(ReasonCode::PolicyInvalid, Detail::Poison(poison.clone()))
}

/// Finds the place.
#[must_use]
pub fn locate<'a>(snapshot: &'a Snapshot, request: &'a Request<'a>) -> Located<'a> {
    let nowhere = |finding| Located { request, host: Host::none(), path: None, enforcing: finding, shadow: None };
    let host = match Host::parse(request.host) {
        Ok(host) => host,
        Err(fault) => return nowhere(refused(ReasonCode::HostInvalid, Detail::Host(fault))),
    };
    if let Some(poison) = snapshot.poison() {
        return Located { host, ..nowhere(poisoned(poison)) };
    }
    let reading = Canonical::parse(request.target);
    let on = |side| find(side, request, &reading);
    let Speaking { nearest, deciding } = match snapshot.speaking(&host, &request.named) {
        Ok(speaking) => speaking,
        Err(fault) => return Located { host, ..nowhere(refused(fault.reason(), Detail::Scope(fault))) },
    };
    let shadow = nearest.and_then(HostTable::shadow).map(on);
    let enforcing = match deciding {
        Some(table) => match (table.poison(), table.enforcing()) {
            (Some(poison), _) => poisoned(poison),
            (None, Some(side)) => on(side),
            (None, None) => refused(ReasonCode::NoPolicyForHost, Detail::None),
        },
        // Of the host, not of what the proxy names: a policy that only records opens nothing.
        None if snapshot.table(&host).is_some_and(|table| table.shadow().is_some()) => Finding::ShadowOnly,
        None => refused(ReasonCode::NoPolicyForHost, Detail::None),
    };
    Located { request, host, path: reading.ok(), enforcing, shadow }
}

type Read<'a> = Result<Canonical<'a>, super::path::PathFault>;

fn find<'a>(side: &'a Side, request: &Request<'_>, reading: &Read<'_>) -> Finding<'a> {
    if !is_method(request.method) {
        return refused(ReasonCode::MethodInvalid, Detail::None);
    }
    let path = match reading {
        Ok(path) => path,
        Err(fault) => return refused(ReasonCode::PathAmbiguous, Detail::Path(*fault)),
    };
    if let Some(poison) = &side.poison {
        return poisoned(poison);
    }
    let slot = match slot(&side.tree, path) {
        Ok(Some(slot)) => slot,
        Ok(None) => return refused(ReasonCode::NoRoute, Detail::None),
        Err(finding) => return finding,
    };
    if let Some(place) = preflight(slot, request) {
        return Finding::Preflight(place);
    }
    match slot.route(request.method) {
        Some(place) => at(place, slot, request),
        None => refused(ReasonCode::NoRoute, Detail::Method),
    }
}

/// The template for the path. Servers that drop `;` parameters, or compare after resolving escapes, must come to the
/// same one; those that end the path at an escaped `?` or `#`, to the same one or to none.
fn slot<'a>(tree: &'a Tree, path: &Canonical<'_>) -> Result<Option<&'a Slot>, Finding<'a>> {
    let slot = tree.find(path.as_str(), Reading::AsSent);
    if !path.as_str().contains(['%', ';', '{', '}']) {
        return Ok(slot);
    }
    let same = |other: Option<&Slot>| slot.map(std::ptr::from_ref) == other.map(std::ptr::from_ref);
    let lenient = tree.find(path.as_str(), Reading::Lenient);
    let cut = path.before_escaped_mark().and_then(|path| tree.find(path, Reading::Lenient));
    if same(lenient) && (cut.is_none() || same(cut)) {
        Ok(slot)
    } else {
        Err(refused(ReasonCode::PathAmbiguous, Detail::Lenient))
    }
}

fn preflight<'a>(slot: &'a Slot, request: &Request<'_>) -> Option<&'a Place> {
    let wished = preflight_for(request.method, request.headers)?;
    if Overrides::of(request) != Overrides::default() {
        return None;
    }
    let place = slot.route(&wished).or_else(|| slot.route(request.method))?;
    (place.policy.preflight == Preflight::Allow && terms(place).is_ok()).then_some(place)
}

/// What stands on a route that is not broken.
enum Terms<'a> {
    Anonymous,
    Entries(Protected<'a>),
}

fn terms(place: &Place) -> Result<Terms<'_>, Detail> {
    let (allow, deny) = match &place.route.access {
        Access::Poisoned(poison) => return Err(Detail::Poison(poison.clone())),
        Access::Anonymous => return Ok(Terms::Anonymous),
        Access::Entries { allow, deny } => (allow, deny),
    };
    let guardrails = place.policy.deny.as_ref().map_err(|poison| Detail::Poison(poison.clone()))?;
    let application = place.policy.application.as_ref().ok_or(Detail::Unresolved)?;
    Ok(Terms::Entries(Protected { place, application, guardrails, allow, deny }))
}

/// A header that asks for another method may lead to any route of the template: it passes only where all are open. One that
/// asks for another path may lead anywhere.
fn at<'a>(place: &'a Place, slot: &Slot, request: &Request<'_>) -> Finding<'a> {
    let refused = |reason, detail| Finding::Refused { reason, detail, place: Some(place) };
    let overrides = Overrides::of(request);
    match terms(place) {
        Err(detail) => refused(ReasonCode::PolicyInvalid, detail),
        Ok(_) if overrides.path => refused(ReasonCode::PathOverrideRefused, Detail::None),
        Ok(_) if overrides.method && !slot.is_open() => refused(ReasonCode::MethodOverrideRefused, Detail::None),
        Ok(Terms::Anonymous) => Finding::Anonymous(place),
        Ok(Terms::Entries(protected)) => Finding::Protected(protected),
    }
}

impl Place {
    /// Policy and route, for records.
    #[must_use]
    pub fn matched(&self) -> Matched {
        Matched { policy: self.policy.id().clone(), route: self.route.name.clone(), clause: None, grants: None }
    }
}
