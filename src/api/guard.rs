//! Which routes Envoy Gateway puts to an authorizer, and whose policies are not asked about the others.
//!
//! A SecurityPolicy with `extAuth` that targets a Gateway is about all its routes. One of a listener takes its place there,
//! one of a route that of both, with or without an `extAuth` of its own, unless it says `mergeType`. Of two for one target the
//! older one counts.
//!
//! A check that fails open is none while nobody answers, and while its policy is invalid.
//!
//! Only what is certain is said. A Gateway on which nobody uses `extAuth` may be guarded by something else: nothing is said of
//! it. Nor where a policy chooses its targets by labels, which are not looked at, or where rules of a route have policies with
//! a check, since there may be one for each.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::policy::host::HostPattern;

use super::fault::{About, Fault};
use super::memo::stand;
use super::object::{GATEWAY_GROUP, Kind, Object, ObjectId, Resources};
use super::policy::ReadPolicy;
use super::topology::{Hanging, Topology};

/// SecurityPolicies, and the routes that they leave open, from one compilation to the next.
#[derive(Default)]
pub(super) struct Guards {
    known: Vec<Arc<Object>>,
    open: BTreeSet<Open>,
}

/// Hosts for which requests pass unchecked.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Open {
    host: HostPattern,
    /// Host names of other routes in the same place that are narrower: requests for those go there.
    narrower: BTreeSet<HostPattern>,
    /// By which route, and why.
    problem: String,
}

/// One SecurityPolicy.
struct Guard {
    id: ObjectId,
    created: Option<i128>,
    aims: Vec<Aim>,
    /// It chooses targets by labels, or cannot be read.
    is_vague: bool,
    checks: bool,
    fails_open: bool,
    merges: bool,
}

/// A target of it.
#[derive(PartialEq, Eq)]
struct Aim {
    kind: Box<str>,
    name: Box<str>,
    section: Option<Box<str>>,
}

/// Whether requests are put to an authorizer.
#[derive(Clone, Copy)]
enum Check<'g> {
    Made,
    Untold,
    /// By this policy they are not.
    Replaced(&'g Guard),
    /// By this policy they are, unless nobody answers.
    FailsOpen(&'g Guard),
    Nobodys,
}

/// Of what passes one policy by: more is not told.
const MOST: usize = 8;

impl Guards {
    /// Takes the policies in; `stands`: routes and Gateways are what they were.
    pub(super) fn renew(&mut self, resources: &Resources, (topology, stands): (&Topology, bool)) {
        if !stand(&mut self.known, resources.of(Kind::SecurityPolicy)) || !stands {
            self.open = open(&self.known, topology);
        }
    }

    /// For each policy what passes it by, as far as anybody would read on.
    pub(super) fn faults<'r>(&self, policies: impl Iterator<Item = &'r Arc<ReadPolicy>>) -> Vec<Fault> {
        if self.open.is_empty() {
            return Vec::new();
        }
        // Those of sidecars are not about what a Gateway does.
        policies.filter(|read| read.selector.is_none()).flat_map(|read| self.of_policy(read).take(MOST)).collect()
    }

    fn of_policy(&self, read: &ReadPolicy) -> impl Iterator<Item = Fault> {
        let mut told = BTreeSet::new();
        self.open.iter().filter_map(move |open| {
            let host = read.claims.hosts.iter().find(|host| open.concerns(host))?;
            // The same may be so in two places.
            if !told.insert((host, &open.problem)) {
                return None;
            }
            let id = read.policy.id();
            let object =
                ObjectId { kind: Kind::AccessPolicy, namespace: Arc::clone(&id.namespace), name: Arc::clone(&id.name) };
            let path = read.claims.places(host).into_iter().next()?;
            let problem = format!("requests for `{host}` pass unchecked by {}", open.problem).into();
            Some(Fault { object, path, problem, about: About::Bypass })
        })
    }
}

impl Open {
    /// Whether requests for a host that a policy names are among those.
    fn concerns(&self, host: &HostPattern) -> bool {
        match host.meet(&self.host) {
            Some(both) if *both == self.host => true,
            Some(_) => !self.narrower.iter().any(|name| name.meet(host) == Some(host)),
            None => false,
        }
    }
}

/// What is open in front of the Gateways on which somebody uses `extAuth`.
fn open(objects: &[Arc<Object>], topology: &Topology) -> BTreeSet<Open> {
    let mut guards: Vec<Guard> = objects.iter().map(|object| Guard::read(object)).collect();
    if !guards.iter().any(|guard| guard.checks) {
        return BTreeSet::new();
    }
    guards.sort_by(|one, other| one.age().cmp(&other.age()));
    let hangings: Vec<Hanging<'_>> = topology.hangings().collect();
    let checked = |at: &Hanging<'_>| guards.iter().any(|guard| guard.checks && guard.is_about(at));
    let guarded: BTreeSet<&ObjectId> = hangings.iter().filter(|at| checked(at)).map(|at| &at.gateway).collect();
    let mut open = BTreeSet::new();
    for at in hangings.iter().filter(|at| at.leads && guarded.contains(&at.gateway)) {
        let beside = |other: &&Hanging<'_>| other.gateway == at.gateway && other.entry == at.entry;
        let names = || hangings.iter().filter(beside).filter(|other| other.route != at.route);
        for problem in problems(&guards, at) {
            open.extend(at.hosts.iter().map(|host| {
                let narrower = names().flat_map(|other| &other.hosts);
                let narrower = narrower.filter(|name| *name != host && host.meet(name) == Some(*name));
                Open { host: host.clone(), narrower: narrower.cloned().collect(), problem: problem.clone() }
            }));
        }
    }
    open
}

/// Why requests of a route pass unchecked at a listener: all of them, and those of single rules.
fn problems(guards: &[Guard], at: &Hanging<'_>) -> Vec<String> {
    let whole = problem(of_route(guards, at), at, "");
    let rules = guards.iter().filter(|guard| !guard.checks).flat_map(|guard| {
        let sections = guard.aims.iter().filter(|aim| aim.is_of(at.route)).filter_map(|aim| aim.section.as_deref());
        sections.filter(|_| guard.id.namespace == at.route.namespace).map(move |section| (guard, section))
    });
    let rules = rules.filter_map(|(guard, section)| {
        let check = if guard.merges { of_gateway(guards, at) } else { Check::Replaced(guard) };
        problem(check, at, &format!("rule `{section}` of "))
    });
    whole.into_iter().chain(rules).collect()
}

fn problem(check: Check<'_>, at: &Hanging<'_>, part: &str) -> Option<String> {
    let (route, gateway) = (at.route, &at.gateway);
    match check {
        Check::Made | Check::Untold => None,
        Check::Replaced(guard) if guard.aims.iter().any(|aim| aim.is_of(route)) => Some(format!(
            "{part}{route}, since {} has no `extAuth` and takes the place of that of the Gateway; give it `mergeType: \
             StrategicMerge`",
            guard.id
        )),
        Check::Replaced(guard) => {
            Some(format!("{part}{route}, since {} of {gateway} has no `extAuth`; give it one", guard.id))
        }
        Check::FailsOpen(guard) => Some(format!(
            "{part}{route} while nobody answers, or if {} is invalid, since that says `failOpen: true`; leave it out",
            guard.id
        )),
        Check::Nobodys => Some(format!(
            "{part}{route} on listener `{}` of {gateway}, which no SecurityPolicy with `extAuth` covers, unlike others; let \
             one target the Gateway",
            at.listener
        )),
    }
}

fn of_route<'g>(guards: &'g [Guard], at: &Hanging<'_>) -> Check<'g> {
    let own = || guards.iter().filter(|guard| guard.id.namespace == at.route.namespace);
    let of_rule = |guard: &Guard| guard.aims.iter().any(|aim| aim.is_of(at.route) && aim.section.is_some());
    if own().any(|guard| guard.is_vague || (guard.checks && of_rule(guard))) {
        return Check::Untold;
    }
    match own().find(|guard| guard.aims_at(at.route, None)) {
        Some(guard) if guard.checks || !guard.merges => guard.check(),
        Some(_) | None => of_gateway(guards, at),
    }
}

fn of_gateway<'g>(guards: &'g [Guard], at: &Hanging<'_>) -> Check<'g> {
    let own = || guards.iter().filter(|guard| guard.id.namespace == at.gateway.namespace);
    if own().any(|guard| guard.is_vague) {
        return Check::Untold;
    }
    let of = |section: Option<&str>| own().find(|guard| guard.aims_at(&at.gateway, section));
    match of(Some(at.listener)).or_else(|| of(None)) {
        Some(guard) => guard.check(),
        None => Check::Nobodys,
    }
}

impl Guard {
    fn read(object: &Object) -> Self {
        let body = object.body();
        let spec = body.get("spec").and_then(Value::as_object);
        let member = |name: &str| spec.and_then(|spec| spec.get(name)).filter(|value| !value.is_null());
        let several = member("targetRefs").map(|list| list.as_array().map(Vec::as_slice));
        let listed = several.flatten().unwrap_or_default().iter().chain(member("targetRef"));
        let aims: Option<Vec<Aim>> = listed.map(|target| Aim::read(target.as_object()?)).collect();
        let is_vague = aims.is_none() || several == Some(None) || member("targetSelectors").is_some();
        Self {
            id: object.id.clone(),
            created: object.created,
            aims: aims.unwrap_or_default(),
            is_vague,
            checks: member("extAuth").is_some(),
            fails_open: member("extAuth").and_then(|check| check.get("failOpen")?.as_bool()).unwrap_or_default(),
            merges: member("mergeType").is_some(),
        }
    }

    /// What it comes to where it counts.
    const fn check(&self) -> Check<'_> {
        match (self.checks, self.fails_open) {
            (false, _) => Check::Replaced(self),
            (true, true) => Check::FailsOpen(self),
            (true, false) => Check::Made,
        }
    }

    /// The oldest is the least.
    fn age(&self) -> (i128, &ObjectId) {
        (self.created.unwrap_or(i128::MAX), &self.id)
    }

    fn aims_at(&self, target: &ObjectId, section: Option<&str>) -> bool {
        let is = |aim: &Aim| aim.is_of(target) && aim.section.as_deref() == section;
        self.id.namespace == target.namespace && self.aims.iter().any(is)
    }

    /// Whether it is about the Gateway there, or the route, in whole or in part.
    fn is_about(&self, at: &Hanging<'_>) -> bool {
        let of =
            |target: &ObjectId| self.id.namespace == target.namespace && self.aims.iter().any(|aim| aim.is_of(target));
        of(&at.gateway) || of(at.route)
    }
}

impl Aim {
    /// `None`: it cannot be read.
    fn read(target: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| target.get(name).and_then(Value::as_str);
        let group = target.get("group").map_or(Some(GATEWAY_GROUP), Value::as_str)?;
        let kind = if group == GATEWAY_GROUP { text("kind")? } else { "" };
        Some(Self { kind: kind.into(), name: text("name")?.into(), section: text("sectionName").map(Into::into) })
    }

    fn is_of(&self, target: &ObjectId) -> bool {
        *self.kind == *target.kind.as_str() && *self.name == *target.name
    }
}
