//! How a decision came about, step by step, for `check`. Looks at the same tables with the same functions as the
//! decision, and decides nothing.

use std::ops::ControlFlow;

use crate::clock::UnixTime;
use crate::identity::{ApplicationId, Caller};
use crate::reason::ReasonCode;
use crate::request::{Named, Request};

use super::clause::{Clause, Section};
use super::condition::Facts;
use super::decide::{Evidence, Ruling};
use super::entry::{Outcome, each, evaluate};
use super::grant::lend;
use super::host::{Host, HostPattern};
use super::locate::{Finding, Located, Protected};
use super::rules::{Entry, Methods, Mode, Policy};
use super::slot::{Place, Slot};
use super::snapshot::{Snapshot, Speaking};
use super::table::{HostTable, Side};
use super::tree::Reading;
use super::weigh::weigh;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What kind of step: `host` or `scope`, `policy`, `path`, `route`, `token`, `grant`, `clause`.
    pub stage: &'static str,
    /// What was looked at.
    pub subject: String,
    /// What came of it.
    pub outcome: String,
}

impl Step {
    fn new(stage: &'static str, subject: impl Into<String>, outcome: impl Into<String>) -> Self {
        Self { stage, subject: subject.into(), outcome: outcome.into() }
    }
}

/// Explains how `located` was found in `snapshot` and what its entries say.
#[must_use]
pub fn explain<'e>(
    snapshot: &Snapshot,
    located: &Located<'_>,
    evidence: &dyn Fn(&ApplicationId) -> Evidence<'e>,
    now: UnixTime,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let Some((table, deciding)) = host(snapshot, located.request, &mut steps) else { return steps };
    steps.extend(table.policies().iter().map(|policy| policy_step(policy)));
    if !std::ptr::eq(table, deciding) {
        steps.push(Step::new("host", located.host.as_str(), table_step(snapshot, deciding)));
        steps.extend(deciding.policies().iter().map(|policy| policy_step(policy)));
    }
    let sides = [(deciding.enforcing(), Some(&located.enforcing)), (table.shadow(), located.shadow.as_ref())];
    path(located, &mut steps);
    for (side, finding) in sides {
        if let Some(side) = side {
            routes(side, located, &mut steps);
        }
        if let Some(finding) = finding {
            found(finding, located, (evidence, now), &mut steps);
        }
    }
    steps
}

/// The tables for the request: the nearest, and the one that decides.
fn host<'s>(
    snapshot: &'s Snapshot,
    request: &Request<'_>,
    steps: &mut Vec<Step>,
) -> Option<(&'s HostTable, &'s HostTable)> {
    let sent = String::from_utf8_lossy(request.host);
    let host = match Host::parse(request.host) {
        Ok(host) => host,
        Err(fault) => {
            steps.push(Step::new("host", sent, format!("invalid: {fault}")));
            return None;
        }
    };
    if let Some(poison) = snapshot.poison() {
        steps.push(Step::new("host", host.as_str(), format!("everything is denied: {}", poison.0)));
        return None;
    }
    let Speaking { nearest, deciding } = match snapshot.speaking(&host, &request.named) {
        Ok(speaking) => speaking,
        Err(fault) => {
            steps.push(Step::new("scope", scope(&request.named), fault.to_string()));
            return None;
        }
    };
    let Some(table) = nearest else {
        steps.push(Step::new("host", host.as_str(), "no policy names it"));
        return None;
    };
    match scope(&request.named) {
        none if none.is_empty() => steps.push(Step::new("host", host.as_str(), table_step(snapshot, table))),
        named => steps.push(Step::new("scope", named, "named by the proxy's configuration, in place of the host")),
    }
    Some((table, deciding.unwrap_or(table)))
}

/// What the proxy names, as its configuration writes it.
fn scope(named: &Named<'_>) -> String {
    let pairs = [(Named::POLICY, named.policy), (Named::APPLICATION, named.application)].into_iter();
    let pairs = pairs.filter_map(|(key, value)| Some(format!("{key}: {}", String::from_utf8_lossy(value?))));
    pairs.collect::<Vec<_>>().join(", ")
}

fn table_step(snapshot: &Snapshot, table: &HostTable) -> String {
    let all = snapshot.tables();
    let pattern = all.iter().find(|(_, other)| std::ptr::eq(*other, table)).map(|(pattern, _)| pattern);
    match (pattern, table.poison()) {
        (_, Some(poison)) => format!("everything on it is denied: {}", poison.0),
        (Some(pattern @ (HostPattern::Wildcard(_) | HostPattern::Any)), None) => format!("covered by `{pattern}`"),
        (Some(HostPattern::Exact(_)) | None, None) => "named by policies".to_owned(),
    }
}

fn policy_step(policy: &Policy) -> Step {
    let mode = match policy.mode {
        Mode::Enforce => "enforces",
        Mode::Shadow => "records only",
    };
    let outcome = match &policy.poison {
        Some(poison) => format!("{mode}; broken: {}", poison.0),
        None => mode.to_owned(),
    };
    Step::new("policy", policy.id().to_string(), outcome)
}

fn path(located: &Located<'_>, steps: &mut Vec<Step>) {
    let sent = String::from_utf8_lossy(located.request.target);
    let outcome = match (&located.path, super::path::Canonical::parse(located.request.target)) {
        (Some(path), _) => format!("read as `{}`", path.as_str()),
        (None, Err(fault)) => format!("ambiguous: {fault}"),
        (None, Ok(_)) => "not looked at".to_owned(),
    };
    steps.push(Step::new("path", sent, outcome));
}

fn routes(side: &Side, located: &Located<'_>, steps: &mut Vec<Step>) {
    let Some(path) = &located.path else { return };
    let mut rank = 0_usize;
    side.tree.candidates(path.as_str(), Reading::AsSent, &mut |slot: &Slot| {
        rank = rank.saturating_add(1);
        let winner = slot.route(located.request.method);
        for place in slot.routes() {
            let wins = winner.is_some_and(|winner| std::ptr::eq(winner, place));
            let outcome = match (rank, wins) {
                (1, true) => "decides: the most specific template, and its method",
                (1, false) => "the most specific template, but another method",
                (_, _) => "less specific",
            };
            steps.push(Step::new("route", describe(place), outcome));
        }
        ControlFlow::Continue(())
    });
    if rank == 0 {
        steps.push(Step::new("route", path.as_str(), "no template covers it"));
    }
}

fn describe(place: &Place) -> String {
    let methods = match &place.route.methods {
        Methods::All => "any method".to_owned(),
        Methods::Unknown => "unreadable methods".to_owned(),
        Methods::Only(methods) => methods.join(","),
    };
    format!("{}: {} ({methods} {})", place.policy.id(), place.route.name, place.route.template)
}

type Ask<'q, 'e> = (&'q dyn Fn(&ApplicationId) -> Evidence<'e>, UnixTime);

fn found(finding: &Finding<'_>, located: &Located<'_>, (evidence, now): Ask<'_, '_>, steps: &mut Vec<Step>) {
    match finding {
        Finding::Refused { reason, place, .. } => {
            let subject = place.map_or_else(|| "request".to_owned(), describe);
            steps.push(Step::new("rule", subject, refusal(*reason)));
        }
        Finding::ShadowOnly => {
            steps.push(Step::new("rule", "host", "only shadow policies name it: everything passes"));
        }
        Finding::Preflight(place) => steps.push(Step::new("rule", describe(place), "a CORS preflight passes")),
        Finding::Anonymous(place) => steps.push(Step::new("rule", describe(place), "anonymous: no token is looked at")),
        Finding::Protected(protected) => match evidence(protected.application) {
            Evidence::Caller { caller, .. } => clauses(protected, located, (caller, now), steps),
            Evidence::Rejected(reason) => {
                steps.push(Step::new("token", protected.application.to_string(), refusal(reason)));
            }
            Evidence::None => steps.push(Step::new("token", protected.application.to_string(), "not looked at")),
        },
    }
}

fn refusal(reason: ReasonCode) -> String {
    format!("{}: {}", reason.code(), reason.text())
}

fn clauses(protected: &Protected<'_>, located: &Located<'_>, at: (&Caller, UnixTime), steps: &mut Vec<Step>) {
    let (caller, now) = at;
    let Some(path) = &located.path else { return };
    let template = &protected.place.route.template;
    let own = Facts { request: located.request, path, host: located.host.as_str(), template, caller, now };
    steps.push(Step::new("token", protected.application.to_string(), "verified"));
    // Lent roles are looked at only where the caller's own do not suffice.
    let lent = match weigh(protected, &own) {
        Ruling::Refuse(_) => lend(&protected.place.policy.grants, caller, now),
        Ruling::Admit { .. } => None,
    };
    grants(protected, (caller, now), lent.is_some(), steps);
    let facts = match &lent {
        Some(lent) => Facts { caller: &lent.caller, ..own },
        None => own,
    };
    let lists = [
        (Section::Guardrail, protected.guardrails),
        (Section::Deny, protected.deny),
        (Section::Allow, protected.allow),
    ];
    for (section, entries) in lists {
        for (index, entry) in entries.iter().enumerate() {
            let outcome = conditions(entry, &facts);
            steps.push(Step::new("clause", Clause { section, index }.name().as_ref(), outcome));
        }
    }
}

fn grants(protected: &Protected<'_>, (caller, now): (&Caller, UnixTime), needed: bool, steps: &mut Vec<Step>) {
    for grant in &protected.place.policy.grants {
        let roles = grant.roles.join(", ");
        let outcome = match (grant.holds(caller, now), needed) {
            (true, true) => format!("lends {roles}"),
            (true, false) => format!("would lend {roles}, which makes no difference"),
            (false, _) if now < grant.not_before => "has not begun".to_owned(),
            (false, _) if now >= grant.expires_at => "is over".to_owned(),
            (false, _) => "is for somebody else".to_owned(),
        };
        steps.push(Step::new("grant", &*grant.name, outcome));
    }
}

fn conditions(entry: &Entry, facts: &Facts<'_>) -> String {
    let mut parts = Vec::new();
    each(entry, facts, &mut |name, holds| {
        let word = match holds {
            Some(true) => "yes",
            Some(false) => "no",
            None => "cannot tell",
        };
        parts.push(format!("{name}: {word}"));
    });
    let all = match evaluate(entry, facts) {
        Outcome::Held => "holds",
        Outcome::Failed(_) => "does not hold",
        Outcome::Unknown => "depends on groups that are not known",
    };
    if parts.is_empty() { format!("{all} (any caller)") } else { format!("{all} ({})", parts.join(", ")) }
}
