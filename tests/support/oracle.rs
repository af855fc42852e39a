//! A second opinion on every decision: the rules read as they were written, with loops, by no code that decides.
//!
//! It takes the rules before they are merged (`policy::rules`), looks at every route of every policy for each request,
//! and shares neither path, host, template nor precedence with `src/policy`. Slow, and short enough to be read against
//! the documentation.

use std::sync::Arc;

use entrance::clock::UnixTime;
use entrance::identity::{Caller, CallerKind, Groups, Text};
use entrance::policy::grant::Subject;
use entrance::policy::rules::{Access, Entry, GroupOverage, Methods, Mode, Policy, Preflight, Route};

use crate::conditions::{CONDITIONS, Facts};
use crate::oracle_text::{self as text, Part, Path};
use crate::world::{Ask, Host, Rules, Token};

/// What was decided, by names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// `allow`, `deny` or `unavailable`.
    pub(crate) outcome: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) policy: Option<String>,
    pub(crate) route: Option<String>,
    pub(crate) clause: Option<String>,
    /// What the client is asked to come back with.
    pub(crate) challenge: Vec<String>,
    /// The grants without which it would not be allowed.
    pub(crate) grants: Option<String>,
}

fn deny(reason: &'static str) -> Said {
    let outcome = if reason.ends_with("_unavailable") || reason == "internal_error" { "unavailable" } else { "deny" };
    Said { outcome, reason, ..Said::default() }
}

fn allow(reason: &'static str) -> Said {
    Said { outcome: "allow", reason, ..Said::default() }
}

/// A route of a policy.
#[derive(Clone, Copy)]
struct Spot<'a> {
    policy: &'a Policy,
    route: &'a Route,
}

impl Spot<'_> {
    fn named(self, said: Said) -> Said {
        let id = &self.policy.seniority.id;
        let policy = Some(format!("{}/{}", id.namespace, id.name));
        Said { policy, route: Some(self.route.name.to_string()), ..said }
    }

    fn parts(self) -> Vec<Part> {
        text::template(self.route.template.as_str())
    }

    fn is_poisoned(self) -> bool {
        matches!(self.route.access, Access::Poisoned(_))
    }
}

/// What the request is, once read.
struct Read<'a> {
    ask: &'a Ask,
    method: &'a str,
    host: String,
    path: Option<Path>,
    now: UnixTime,
}

/// Decides; the second is what shadow policies would have said.
pub(crate) fn decide(rules: &Rules, ask: &Ask, now: UnixTime) -> (Said, Option<Said>) {
    let Some(host) = text::host(&ask.host) else { return (deny("host_invalid"), None) };
    if rules.poison.is_some() {
        return (deny("policy_invalid"), None);
    }
    let is_enforced =
        |table: &Host| table.poison.is_some() || table.policies.iter().any(|policy| policy.mode == Mode::Enforce);
    let Some(table) = fittest(rules, &host, &|_| true) else { return (deny("no_policy_for_host"), None) };
    // Policies that record only do not hide those that decide.
    let deciding = fittest(rules, &host, &is_enforced);
    let method = std::str::from_utf8(&ask.method).unwrap_or("?");
    let read = Read { ask, method, host, path: text::path(&ask.target), now };
    let shadow = of_mode(table, Mode::Shadow);
    let recorded = (!shadow.is_empty()).then(|| by(&shadow, &read));
    let said = match deciding {
        None => allow("shadow_only"),
        Some(table) if table.poison.is_some() => deny("policy_invalid"),
        Some(table) => by(&of_mode(table, Mode::Enforce), &read),
    };
    (said, recorded)
}

fn of_mode(host: &Host, mode: Mode) -> Vec<&Policy> {
    host.policies.iter().map(Arc::as_ref).filter(|policy| policy.mode == mode).collect()
}

/// Of the hosts that are wanted and cover the request's, the one that says most about it.
fn fittest<'a>(rules: &'a Rules, host: &str, wanted: &dyn Fn(&Host) -> bool) -> Option<&'a Host> {
    let mut best = None;
    for table in rules.hosts.iter().filter(|table| wanted(table)) {
        let fitness = text::fitness(&table.pattern.to_string(), host);
        if fitness > best.map_or(0, |(_, fitness)| fitness) {
            best = Some((table, fitness));
        }
    }
    best.map(|(table, _)| table)
}

/// What these policies say, oldest first or not.
fn by(policies: &[&Policy], read: &Read<'_>) -> Said {
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if !(1..=32).contains(&read.ask.method.len()) || !read.ask.method.iter().all(|byte| fits(*byte)) {
        return deny("method_invalid");
    }
    let Some(path) = &read.path else { return deny("path_ambiguous") };
    if policies.iter().any(|policy| policy.poison.is_some()) {
        return deny("policy_invalid");
    }
    let strict = |literal: &str, segment: &str| literal == segment && text::without_parameters(segment) == segment;
    let lenient = |literal: &str, segment: &str| literal == text::lenient(segment);
    let spots = most_specific(policies, path, &strict);
    let cut = path.before_escaped_mark().map(|path| most_specific(policies, &path, &lenient)).unwrap_or_default();
    let lenient = most_specific(policies, path, &lenient);
    if let Some(other) = cut.first()
        && spots.first().is_none_or(|one| !text::same(&one.parts(), &other.parts()))
    {
        return deny("path_ambiguous");
    }
    match (spots.first(), lenient.first()) {
        (None, None) => return deny("no_route"),
        (Some(one), Some(other)) if text::same(&one.parts(), &other.parts()) => {}
        _ => return deny("path_ambiguous"),
    }
    if let Some(spot) = preflight(&spots, read) {
        return spot.named(allow("preflight_allowed"));
    }
    match for_method(&spots, read.method) {
        Some(spot) => spot.named(at(spot, &spots, read)),
        None => deny("no_route"),
    }
}

/// All routes of the template that says most about the path; the older policy first, then as they are listed.
fn most_specific<'a>(policies: &[&'a Policy], path: &Path, literal: &dyn Fn(&str, &str) -> bool) -> Vec<Spot<'a>> {
    let mut policies = policies.to_vec();
    policies.sort_by_key(|policy| {
        let id = &policy.seniority.id;
        (policy.seniority.created, id.namespace.to_string(), id.name.to_string())
    });
    let mut best: Vec<Spot<'a>> = Vec::new();
    for policy in policies {
        for route in &policy.routes {
            let spot = Spot { policy, route };
            let parts = spot.parts();
            if !text::covers(&parts, &path.segments, literal) {
                continue;
            }
            match best.first().map(|first| first.parts()) {
                Some(first) if text::same(&first, &parts) => best.push(spot),
                Some(first) if !text::beats(&parts, &first) => {}
                Some(_) | None => best = vec![spot],
            }
        }
    }
    best
}

/// Which of the routes of one template speaks for a method.
fn for_method<'a>(spots: &[Spot<'a>], method: &str) -> Option<Spot<'a>> {
    let names = |spot: &Spot<'_>, method: &str| match &spot.route.methods {
        Methods::Only(methods) => methods.iter().any(|named| **named == *method),
        Methods::All | Methods::Unknown => false,
    };
    let oldest = |wanted: &dyn Fn(&Spot<'_>) -> bool| spots.iter().copied().find(|spot| wanted(spot));
    let unknown = oldest(&|spot| spot.route.methods == Methods::Unknown);
    // A route whose methods nobody can read may have named any: it comes before all but what older policies name.
    let older = |spot: &Spot<'_>| unknown.is_none_or(|unknown| spot.policy.seniority < unknown.policy.seniority);
    if let Some(spot) = oldest(&|spot| names(spot, method) && older(spot)) {
        return Some(spot);
    }
    if unknown.is_some() {
        return unknown;
    }
    let get = if method == "HEAD" { oldest(&|spot| names(spot, "GET")) } else { None };
    get.or_else(|| oldest(&|spot| spot.route.methods == Methods::All))
}

fn header(ask: &Ask, wanted: &str) -> Vec<String> {
    let same = |name: &[u8]| String::from_utf8_lossy(name).to_lowercase() == wanted;
    let lines = ask.headers.iter().filter(|(name, _)| same(name));
    lines.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
}

/// A header's name as the name of a variable, in which nothing stands but letters, digits and one more.
fn fold(name: &[u8]) -> String {
    let letter = |byte: &u8| if byte.is_ascii_alphanumeric() { char::from(byte.to_ascii_lowercase()) } else { '-' };
    name.iter().map(letter).collect()
}

fn is_overridden(ask: &Ask) -> bool {
    let kin = ["x-http-method-override", "x-http-method", "x-method-override"];
    ask.headers.iter().any(|(name, _)| kin.contains(&fold(name).as_str()))
}

/// Servers take the path from there, if they believe it.
fn leads_elsewhere(ask: &Ask) -> bool {
    let target = String::from_utf8_lossy(&ask.target).into_owned();
    let without_query = target.split_once('?').map_or(target.clone(), |(path, _)| path.to_owned());
    ask.headers.iter().any(|(name, value)| match fold(name).as_str() {
        "x-original-url" | "x-rewrite-url" => {
            let value = String::from_utf8_lossy(value);
            value != target && value != without_query
        }
        name => ["script-name", "x-script-name", "path-info"].contains(&name),
    })
}

fn preflight<'a>(spots: &[Spot<'a>], read: &Read<'_>) -> Option<Spot<'a>> {
    let wished = header(read.ask, "access-control-request-method");
    let [wished] = wished.as_slice() else { return None };
    let has_origin = header(read.ask, "origin").iter().any(|origin| !origin.is_empty());
    let is_method = wished.len() <= 32
        && !wished.is_empty()
        && wished
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_');
    if read.method != "OPTIONS" || !has_origin || !is_method || is_overridden(read.ask) || leads_elsewhere(read.ask) {
        return None;
    }
    let spot = for_method(spots, wished).or_else(|| for_method(spots, "OPTIONS"))?;
    let sound = match spot.route.access {
        Access::Poisoned(_) => false,
        Access::Anonymous => true,
        Access::Entries { .. } => spot.policy.deny.is_ok() && spot.policy.application.is_some(),
    };
    (spot.policy.preflight == Preflight::Allow && sound).then_some(spot)
}

fn at(spot: Spot<'_>, spots: &[Spot<'_>], read: &Read<'_>) -> Said {
    if spot.is_poisoned() {
        return deny("policy_invalid");
    }
    let Access::Entries { allow: admit, deny: refuse } = &spot.route.access else {
        if leads_elsewhere(read.ask) {
            return deny("path_override_refused");
        }
        // An override may end at any method of the template: it passes only where each of them is open.
        let named = spots.iter().filter_map(|spot| match &spot.route.methods {
            Methods::Only(methods) => Some(methods.iter().map(|method| &**method)),
            Methods::All | Methods::Unknown => None,
        });
        let mut methods = named.flatten().chain(["HEAD", "ANY-OTHER"]);
        let open =
            |method| for_method(spots, method).is_some_and(|spot| matches!(spot.route.access, Access::Anonymous));
        if is_overridden(read.ask) && !methods.all(open) {
            return deny("method_override_refused");
        }
        return allow("anonymous_route");
    };
    let (Ok(guardrails), Some(application)) = (&spot.policy.deny, &spot.policy.application) else {
        return deny("policy_invalid");
    };
    if leads_elsewhere(read.ask) {
        return deny("path_override_refused");
    }
    if is_overridden(read.ask) {
        return deny("method_override_refused");
    }
    let caller = match &read.ask.token {
        Token::Rejected(reason) => return deny(reason.code()),
        Token::Caller(caller, None) => caller,
        Token::Caller(caller, Some(verified_for)) if **verified_for == *application.0 => caller,
        Token::Caller(..) | Token::None => return deny("internal_error"),
    };
    let lists = [guardrails, refuse, admit];
    let own = entries(spot, lists, caller, read);
    match borrowing(spot.policy, caller, read.now) {
        Some((caller, grants)) if own.outcome != "allow" => {
            let said = entries(spot, lists, &caller, read);
            let grants = (said.outcome == "allow").then_some(grants);
            Said { grants, ..said }
        }
        Some(_) | None => own,
    }
}

/// The caller with everything that is lent at the moment, and the grants that bring a role which the caller lacks.
fn borrowing(policy: &Policy, caller: &Caller, now: UnixTime) -> Option<(Caller, String)> {
    let mut richer = caller.clone();
    let mut names = Vec::new();
    for grant in &policy.grants {
        let meant = match &grant.subject {
            Subject::Principal { tenant, oid } => *tenant == caller.tenant && **oid == *caller.subject,
            Subject::Client(client) => **client == *caller.client && caller.kind != CallerKind::User,
            Subject::Group(group) => matches!(&caller.groups, Groups::Known(groups) if groups.contains(group)),
        };
        let over = now.0 < grant.not_before.0 || grant.expires_at.0 <= now.0;
        if over || !meant || grant.roles.iter().all(|role| caller.roles.iter().any(|held| **held == **role)) {
            continue;
        }
        names.push(grant.name.to_string());
        let mut roles = richer.roles.to_vec();
        roles.extend(grant.roles.iter().map(|role| Text::from(&**role)));
        roles.sort();
        roles.dedup();
        richer.roles = roles.into_iter().collect();
    }
    (!names.is_empty()).then(|| (richer, names.join(",")))
}

/// How an entry came out.
#[derive(Clone, Debug, PartialEq)]
enum Holds {
    Yes,
    /// Whether the caller is in a group is not known; everything else holds.
    Unknown,
    /// `when` failed.
    Broken,
    /// The first condition that does not hold: how near to success it is, its reason, what to come back with.
    No(usize, &'static str, Vec<String>),
}

fn entries(spot: Spot<'_>, lists: [&Arc<[Entry]>; 3], caller: &Caller, read: &Read<'_>) -> Said {
    let facts = |entry: &Entry| entry_holds(entry, spot, caller, read);
    let [guardrails, refuse, admit] = lists;
    let refusals: Vec<(String, Holds)> = numbered("spec.deny", guardrails)
        .chain(numbered("deny", refuse))
        .map(|(name, entry)| (name, facts(entry)))
        .collect();
    let admissions: Vec<(String, Holds)> = numbered("allow", admit).map(|(name, entry)| (name, facts(entry))).collect();
    let first = |list: &[(String, Holds)], wanted: &[Holds]| {
        list.iter().find(|(_, holds)| wanted.contains(holds)).map(|(name, _)| name.clone())
    };
    let unknown = match spot.policy.group_overage {
        GroupOverage::Deny => "groups_overage",
        GroupOverage::Graph => "groups_unavailable",
    };
    if let Some(clause) = first(&refusals, &[Holds::Yes, Holds::Broken]) {
        return Said { clause: Some(clause), ..deny("deny_entry_matched") };
    }
    if let Some(clause) = first(&refusals, &[Holds::Unknown]) {
        return Said { clause: Some(clause), ..deny(unknown) };
    }
    if let Some(clause) = first(&admissions, &[Holds::Yes]) {
        return Said { clause: Some(clause), ..allow("allow_entry_matched") };
    }
    if let Some(clause) = first(&admissions, &[Holds::Unknown]) {
        return Said { clause: Some(clause), ..deny(unknown) };
    }
    let mut nearest: Option<(String, usize, Said)> = None;
    for (clause, holds) in admissions {
        let (near, reason, challenge) = match holds {
            Holds::No(near, reason, challenge) => (near, reason, challenge),
            Holds::Broken => (BROKEN, "condition_not_met", Vec::new()),
            Holds::Yes | Holds::Unknown => continue,
        };
        if nearest.as_ref().is_none_or(|(_, nearest, _)| near > *nearest) {
            let said = Said { clause: Some(clause.clone()), challenge, ..deny(reason) };
            nearest = Some((clause, near, said));
        }
    }
    nearest.map_or(deny("nobody_allowed"), |(_, _, said)| said)
}

fn numbered<'a>(list: &'static str, entries: &'a [Entry]) -> impl Iterator<Item = (String, &'a Entry)> {
    entries.iter().enumerate().map(move |(at, entry)| (format!("{list}[{at}]"), entry))
}

/// How near to success a failing `when` is.
const BROKEN: usize = 8;

/// Conditions in the order in which they are asked; how near to success each is follows from it.
fn entry_holds(entry: &Entry, spot: Spot<'_>, caller: &Caller, read: &Read<'_>) -> Holds {
    let no = |near, reason| Holds::No(near, reason, Vec::new());
    let has = |list: &[Text], wanted: &str| list.iter().any(|item| **item == *wanted);
    if entry.callers.is_some_and(|kind| kind != caller.kind) {
        return no(1, "principal_type_denied");
    }
    if entry.tenants.as_ref().is_some_and(|tenants| tenants.iter().all(|tenant| *tenant != caller.tenant)) {
        return no(2, "tenant_denied");
    }
    if entry.clients.as_ref().is_some_and(|clients| !clients.iter().any(|client| **client == *caller.client)) {
        return no(3, "client_not_allowed");
    }
    let any = |wanted: &[Box<str>], held: &[Text]| wanted.iter().any(|item| has(held, item));
    let all = |wanted: &[Box<str>], held: &[Text]| wanted.iter().all(|item| has(held, item));
    if entry.roles.as_ref().is_some_and(|roles| !any(roles, &caller.roles))
        || entry.all_roles.as_ref().is_some_and(|roles| !all(roles, &caller.roles))
    {
        return no(4, "role_missing");
    }
    let mut known = true;
    if let Some(groups) = &entry.groups {
        match &caller.groups {
            Groups::Known(held) if groups.iter().any(|group| held.contains(group)) => {}
            Groups::Known(_) => return no(5, "group_missing"),
            Groups::Overage => known = false,
        }
    }
    if let Some(scopes) = &entry.scopes
        && (caller.kind == CallerKind::Workload || !any(scopes, &caller.scopes))
    {
        return Holds::No(6, "scope_missing", scopes.iter().map(ToString::to_string).collect());
    }
    match entry.when.as_ref().map_or(Some(true), |when| when_holds(when.source(), spot, caller, read)) {
        Some(true) => {}
        Some(false) => return no(7, "condition_not_met"),
        None => return Holds::Broken,
    }
    if let Some(limit) = entry.max_session_age
        && caller.authenticated_at.is_none_or(|at| read.now.0 - at.0 > limit)
    {
        return no(9, "session_too_old");
    }
    let missing = entry.auth_contexts.iter().flatten().find(|context| !has(&caller.auth_contexts, context));
    match missing {
        Some(context) if caller.kind == CallerKind::User && caller.can_step_up => {
            Holds::No(11, "step_up_required", vec![format!("acrs {context}")])
        }
        Some(_) => no(10, "step_up_not_possible"),
        None if known => Holds::Yes,
        None => Holds::Unknown,
    }
}

fn when_holds(source: &str, spot: Spot<'_>, caller: &Caller, read: &Read<'_>) -> Option<bool> {
    let path = read.path.as_ref()?;
    let value = |at: usize, part: &Part| {
        let (name, value) = match part {
            Part::Literal(_) => return None,
            Part::Param(name) => (name, path.segments[at].clone()),
            Part::Rest(name) => (name, path.segments[at..].join("/")),
        };
        // Of two readings a condition sees none.
        let ambiguous = text::without_parameters(&value) != value;
        (!ambiguous).then(|| (name.clone(), text::unescaped(&value)))
    };
    let params: Vec<_> = spot.parts().iter().enumerate().filter_map(|(at, part)| value(at, part)).collect();
    let facts = Facts {
        caller,
        method: read.method,
        host: &read.host,
        path: &path.text(),
        query: &path.query,
        headers: &|name| Some(header(read.ask, name).join(",")).filter(|value| !value.is_empty()),
        params: &|name| params.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()),
        now: read.now.0,
    };
    let (_, meaning) = CONDITIONS.iter().find(|(known, _)| *known == source).unwrap();
    meaning(&facts)
}
