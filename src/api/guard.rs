//! Which routes Envoy Gateway puts to an authorizer, and whose policies are not asked about the others.
//!
//! A SecurityPolicy with `extAuth` that targets a Gateway is about all its routes. One of a listener takes its place there,
//! one of a route that of both, with or without an `extAuth` of its own, unless it says `mergeType`. Of two for one target the
//! older one counts.
//!
//! A check that fails open is none while nobody answers, and while its policy is invalid.
//!
//! Only what is certain is said. A Gateway on which nobody uses `extAuth` may be guarded by something else: nothing is said of
//! it. Nor where a policy that may bring a check chooses its targets by labels, which are not looked at: any route of its
//! namespace may have it. Nor where rules of a route have policies with a check, since there may be one for each.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde_json::{Map, Value};

use crate::policy::host::HostPattern;

use super::fault::{About, Fault};
use super::memo::stand;
use super::object::{GATEWAY_GROUP, Kind, Object, ObjectId, Resources};
use super::opening::{Names, Open, Openings};
use super::policy::ReadPolicy;
use super::topology::{Hanging, Topology};

/// SecurityPolicies, and the routes that they leave open, from one compilation to the next.
#[derive(Default)]
pub(super) struct Guards {
    known: Vec<Arc<Object>>,
    open: Openings,
}

/// One SecurityPolicy.
struct Guard {
    id: ObjectId,
    created: Option<i128>,
    aims: Vec<Aim>,
    /// It brings a check of its own or that of the Gateway, nobody knows to whom: it chooses targets by labels, or they cannot
    /// be read. One that brings none makes nothing safer.
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
        let all = read.claims.hosts.iter().flat_map(|host| self.open.of(host).map(move |open| (host, open)));
        all.filter_map(move |(host, open)| {
            // The same may be so in two places.
            if !told.insert((host, &*open.problem)) {
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

/// What is open in front of the Gateways on which somebody uses `extAuth`.
fn open(objects: &[Arc<Object>], topology: &Topology) -> Openings {
    let mut guards: Vec<Guard> = objects.iter().map(|object| Guard::read(object)).collect();
    if !guards.iter().any(|guard| guard.checks) {
        return Openings::default();
    }
    guards.sort_by(|one, other| one.age().cmp(&other.age()));
    let guards = Index::new(&guards);
    let hangings: Vec<Hanging<'_>> = topology.hangings().collect();
    let guarded: BTreeSet<&ObjectId> =
        hangings.iter().filter(|at| guards.any_checks(at)).map(|at| &at.gateway).collect();
    let hangings = || hangings.iter().filter(|at| guarded.contains(&at.gateway));
    let mut places: HashMap<_, (usize, Names), RandomState> = HashMap::default();
    for at in hangings() {
        let number = places.len();
        let (_, names) = places.entry((&at.gateway, at.entry)).or_insert_with(|| (number, Names::default()));
        names.extend(at.hosts.iter().cloned());
    }
    let mut open = BTreeSet::new();
    for at in hangings().filter(|at| at.leads) {
        let Some((place, _)) = places.get(&(&at.gateway, at.entry)) else { continue };
        for problem in problems(&guards, at).into_iter().map(Arc::<str>::from) {
            let opens = |host: &HostPattern| Open { host: host.clone(), problem: Arc::clone(&problem), place: *place };
            open.extend(at.hosts.iter().map(opens));
        }
    }
    let mut places: Vec<(usize, Names)> = places.into_values().collect();
    places.sort_by_key(|(number, _)| *number);
    Openings::new(open, places.into_iter().map(|(_, names)| names).collect())
}

/// Why requests of a route pass unchecked at a listener: all of them, and those of single rules.
fn problems(guards: &Index<'_>, at: &Hanging<'_>) -> Vec<String> {
    let whole = problem(of_route(guards, at), at, "");
    let rules = guards.about(at.route).filter_map(|(guard, section)| {
        let section = section.filter(|_| !guard.checks)?;
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

fn of_route<'g>(guards: &Index<'g>, at: &Hanging<'_>) -> Check<'g> {
    let of_rule = || guards.about(at.route).any(|(guard, section)| guard.checks && section.is_some());
    if guards.vague.contains(&*at.route.namespace) || of_rule() {
        return Check::Untold;
    }
    match guards.first(at.route, None) {
        Some(guard) if guard.checks || !guard.merges => guard.check(),
        Some(_) | None => of_gateway(guards, at),
    }
}

fn of_gateway<'g>(guards: &Index<'g>, at: &Hanging<'_>) -> Check<'g> {
    if guards.vague.contains(&*at.gateway.namespace) {
        return Check::Untold;
    }
    match guards.first(&at.gateway, Some(at.listener)).or_else(|| guards.first(&at.gateway, None)) {
        Some(guard) => guard.check(),
        None => Check::Nobodys,
    }
}

/// SecurityPolicies by what they are about. The first of several is the oldest.
struct Index<'g> {
    /// Each with the part that it names.
    about: HashMap<ObjectId, Vec<Part<'g>>, RandomState>,
    /// Namespaces in which one is vague.
    vague: BTreeSet<&'g str>,
}

/// A policy, and the part of an object that it is about, if not the whole.
type Part<'g> = (&'g Guard, Option<&'g str>);

impl<'g> Index<'g> {
    fn new(guards: &'g [Guard]) -> Self {
        let mut about: HashMap<_, Vec<Part<'g>>, RandomState> = HashMap::default();
        for guard in guards {
            for aim in &guard.aims {
                let Some(target) = aim.target(&guard.id.namespace) else { continue };
                about.entry(target).or_default().push((guard, aim.section.as_deref()));
            }
        }
        let vague = guards.iter().filter(|guard| guard.is_vague).map(|guard| &*guard.id.namespace).collect();
        Self { about, vague }
    }

    fn about(&self, target: &ObjectId) -> impl Iterator<Item = Part<'g>> {
        self.about.get(target).into_iter().flatten().copied()
    }

    fn first(&self, target: &ObjectId, section: Option<&str>) -> Option<&'g Guard> {
        self.about(target).find(|(_, part)| *part == section).map(|(guard, _)| guard)
    }

    /// Whether one with a check is about the Gateway there, or the route, in whole or in part.
    fn any_checks(&self, at: &Hanging<'_>) -> bool {
        self.about(&at.gateway).chain(self.about(at.route)).any(|(guard, _)| guard.checks)
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
        let (checks, merges) = (member("extAuth").is_some(), member("mergeType").is_some());
        let is_open_ended = aims.is_none() || several == Some(None) || member("targetSelectors").is_some();
        Self {
            id: object.id.clone(),
            created: object.created,
            aims: aims.unwrap_or_default(),
            is_vague: is_open_ended && (checks || merges),
            checks,
            fails_open: member("extAuth").and_then(|check| check.get("failOpen")?.as_bool()).unwrap_or_default(),
            merges,
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
}

impl Aim {
    /// `None`: it cannot be read.
    fn read(target: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| target.get(name).and_then(Value::as_str);
        let group = target.get("group").map_or(Some(GATEWAY_GROUP), Value::as_str)?;
        let kind = if group == GATEWAY_GROUP { text("kind")? } else { "" };
        Some(Self { kind: kind.into(), name: text("name")?.into(), section: text("sectionName").map(Into::into) })
    }

    /// What it is, if that is of interest here.
    fn target(&self, namespace: &Arc<str>) -> Option<ObjectId> {
        let kinds = [Kind::HttpRoute, Kind::GrpcRoute, Kind::Gateway];
        let kind = kinds.into_iter().find(|kind| *self.kind == *kind.as_str())?;
        Some(ObjectId { kind, namespace: Arc::clone(namespace), name: Arc::from(&*self.name) })
    }

    fn is_of(&self, target: &ObjectId) -> bool {
        *self.kind == *target.kind.as_str() && *self.name == *target.name
    }
}
