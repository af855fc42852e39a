//! `AccessPolicy`: its routes, and who may use them where.
//!
//! Nothing broken is dropped. A broken entry poisons its route, a broken guardrail every route that asks for a token, a
//! broken path or an unknown field the policy on all its hosts, and a broken host every host of the namespace, since
//! nobody knows which one was meant.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde_json::Value;

use crate::policy::clause::MAX_ENTRIES;
use crate::policy::grant::Grant;
use crate::policy::method::is_method;
use crate::policy::rules::{
    Access, Entry, GroupOverage, Methods, Mode, Poison, Policy, PolicyId, Preflight, Route, Seniority,
};
use crate::policy::template::{MAX_TEMPLATE, PathTemplate, Segment};

use super::application::Application;
use super::claim::{self, Claims};
use super::entry;
use super::fault::{Fault, Faults};
use super::object::{Object, ObjectId};
use super::read::Node;
use super::topology::Reached;

/// Routes of one policy.
pub const ROUTES: RangeInclusive<usize> = 0..=256;
/// Methods of one route.
pub const METHODS: RangeInclusive<usize> = 0..=16;
/// Labels of one selector.
pub const LABELS: RangeInclusive<usize> = 1..=16;
/// Longest name of a route, in bytes.
pub const ROUTE_NAME: usize = 63;

const FIELDS: [&str; 8] = ["applicationRef", "hosts", "targetRefs", "selector", "mode", "preflight", "deny", "routes"];
const ROUTE_FIELDS: [&str; 6] = ["name", "path", "methods", "allow", "deny", "anonymous"];

/// A policy as it was read: what can be enforced of it, and where.
#[derive(Debug)]
pub struct ReadPolicy {
    /// The rules, poisoned where they are broken.
    pub policy: Arc<Policy>,
    /// The application that it refers to, if the reference itself is sound and permitted.
    pub target: Option<ObjectId>,
    /// Its reference leads into another namespace, permitted or not.
    pub is_abroad: bool,
    /// The hosts that it speaks for, without the broken ones.
    pub claims: Claims,
    /// Which sidecars enforce it; `None`: every gateway does.
    pub selector: Option<Selector>,
    /// Everything that is wrong with it.
    pub faults: Vec<Fault>,
}

/// Labels that a pod must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// All of these.
    Labels(BTreeMap<String, String>),
    /// Broken: whichever pod was meant, the policy denies there.
    EveryPod,
}

impl Selector {
    /// Whether a pod with these labels is meant.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Labels(wanted) => wanted.iter().all(|(key, value)| labels.get(key) == Some(value)),
            Self::EveryPod => true,
        }
    }
}

/// What the references of a policy came to.
pub(super) struct Reference<'a> {
    /// The application, if the reference is sound and permitted.
    pub(super) target: Option<&'a ObjectId>,
    /// What is there, if that is sound.
    pub(super) application: Option<&'a Application>,
    /// Whether anything is there.
    pub(super) exists: bool,
    /// Whether a broken revocation closes it.
    pub(super) spoiled: bool,
    /// Roles lent inside the policy.
    pub(super) grants: &'a [Grant],
    /// What its targets come to, if it has sound ones.
    pub(super) reached: Option<&'a [Reached]>,
}

/// Reads a policy. Faults of the reference itself are in `faults` already.
pub(super) fn read(object: &Object, reference: &Reference<'_>, faults: Faults<'_>) -> ReadPolicy {
    let (outside, body) = (faults.count(), object.body());
    super::reference::envelope(&body, &faults);
    let spec = Node::top(&body, "spec", &faults);
    let _is_object = spec.object(&FIELDS);
    let whole = Whole::read(&spec);
    // What is wrong up to here concerns the policy as a whole, except a reference that does not resolve.
    let poison = faults.poison_after(outside);
    unresolved(&spec, reference);
    let claims = claim::read(&spec, reference.reached, whole.selector.is_some());
    let before = faults.count();
    let deny = entry::list(&spec.field("deny"), reference.application);
    let deny = deny.ok_or_else(|| poison_after(&faults, before));
    let (routes, of_routes) = routes(&spec, reference.application);
    let id = PolicyId { namespace: Arc::clone(&object.id.namespace), name: Arc::clone(&object.id.name) };
    let policy = Policy {
        seniority: Seniority { created: object.created.unwrap_or(i128::MAX), id },
        mode: whole.mode,
        preflight: whole.preflight,
        application: reference.application.map(|application| application.profile.id.clone()),
        group_overage: reference.application.map_or(GroupOverage::Deny, |application| application.group_overage),
        deny,
        routes,
        grants: reference.grants.to_vec(),
        poison: poison.or(of_routes),
    };
    let target = reference.target.cloned();
    let is_abroad = super::reference::is_abroad(&spec, &object.id);
    let (policy, selector) = (Arc::new(policy), whole.selector);
    ReadPolicy { policy, target, is_abroad, claims, selector, faults: faults.into_vec() }
}

fn poison_after(faults: &Faults<'_>, count: usize) -> Poison {
    faults.poison_after(count).unwrap_or_else(|| Poison("is broken".into()))
}

/// What says how a policy works.
struct Whole {
    mode: Mode,
    preflight: Preflight,
    selector: Option<Selector>,
}

impl Whole {
    /// What cannot be read is taken for the strictest.
    fn read(spec: &Node<'_, '_>) -> Self {
        let modes = [("Enforce", Mode::Enforce), ("Shadow", Mode::Shadow)];
        let preflights = [("Deny", Preflight::Deny), ("Allow", Preflight::Allow)];
        Self {
            mode: spec.field("mode").choice(&modes).unwrap_or(Mode::Enforce),
            preflight: spec.field("preflight").choice(&preflights).unwrap_or(Preflight::Deny),
            selector: selector(&spec.field("selector")),
        }
    }
}

fn selector(node: &Node<'_, '_>) -> Option<Selector> {
    if !node.is_present() {
        return None;
    }
    if !node.object(&["matchLabels"]) {
        return Some(Selector::EveryPod);
    }
    let labels = node.field("matchLabels");
    if !labels.need("write the labels of the pods, as in {app: orders}") {
        return Some(Selector::EveryPod);
    }
    let read = labels.labels(&LABELS).map(|labels| {
        Selector::Labels(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    });
    Some(read.unwrap_or(Selector::EveryPod))
}

fn unresolved(spec: &Node<'_, '_>, reference: &Reference<'_>) {
    let Some(target) = reference.target else { return };
    let node = spec.field("applicationRef");
    match (reference.application, reference.exists) {
        (Some(_), _) => {}
        (None, true) if reference.spoiled => node.reference_fault(format!(
            "refers to {target}, for which a TokenRevocation is invalid, so that none of its tokens counts; mend that one first"
        )),
        (None, true) => node.reference_fault(format!("refers to {target}, which is invalid; mend that one first")),
        (None, false) => node.reference_fault(format!("refers to {target}, which is not there")),
    }
}

/// The routes, and what is wrong with them that concerns the whole policy.
fn routes(spec: &Node<'_, '_>, application: Option<&Application>) -> (Vec<Arc<Route>>, Option<Poison>) {
    let (node, before) = (spec.field("routes"), spec.faults().count());
    if !node.need("list the routes, or write `routes: []` to deny everything") {
        return (Vec::new(), spec.faults().poison_after(before));
    }
    let Some(items) = node.list(&ROUTES) else { return (Vec::new(), spec.faults().poison_after(before)) };
    let lists = Lists { application, methods: RefCell::default(), entries: RefCell::default() };
    let (mut routes, mut spoiled) = (Routes::default(), None);
    for (at, item) in items.iter().enumerate() {
        let item = node.item(at, item);
        let before = spec.faults().count();
        match route(&item, &lists) {
            Some(route) => routes.add(route, &item),
            None => spoiled = spoiled.or_else(|| spec.faults().poison_after(before)),
        }
    }
    (routes.all.into_iter().map(Arc::new).collect(), spoiled)
}

/// The routes of a policy while they are read.
#[derive(Default)]
struct Routes {
    all: Vec<Route>,
    by_name: HashMap<Arc<str>, Vec<usize>>,
    by_shape: HashMap<String, Vec<usize>>,
}

impl Routes {
    /// Two routes of one policy for the same template and method: nobody can tell which one was meant, so both deny.
    fn add(&mut self, mut route: Route, node: &Node<'_, '_>) {
        let named = self.by_name.entry(Arc::clone(&route.name)).or_default();
        let shaped = self.by_shape.entry(shape(&route.template)).or_default();
        let close: BTreeSet<usize> = named.iter().chain(shaped.iter()).copied().collect();
        for list in [named, shaped] {
            list.push(self.all.len());
        }
        for at in close {
            let Some(other) = self.all.get_mut(at) else { continue };
            let problem = if other.name == route.name {
                format!("another route is called `{}`, too", route.name)
            } else if overlap(&other.methods, &route.methods) {
                format!("covers the same path and method as the route `{}`", other.name)
            } else {
                continue;
            };
            node.fault(problem.clone());
            let poison = Poison(problem.into());
            other.access = Access::Poisoned(poison.clone());
            route.access = Access::Poisoned(poison);
        }
        self.all.push(route);
    }
}

/// A template without the names of its parameters.
fn shape(template: &PathTemplate) -> String {
    let mut text = String::with_capacity(template.as_str().len());
    for segment in template.shape() {
        text.push('/');
        text.push_str(match segment {
            Segment::Literal(literal) => literal,
            Segment::Param => "{}",
            Segment::Rest => "{*}",
        });
    }
    text
}

/// Lists that several routes of a policy have word for word: each is read, and kept, once.
struct Lists<'a, 'v> {
    application: Option<&'a Application>,
    methods: RefCell<HashMap<&'v Value, Methods>>,
    entries: RefCell<HashMap<&'v Value, Arc<[Entry]>>>,
}

impl<'v> Lists<'_, 'v> {
    fn methods(&self, node: &Node<'v, '_>) -> Option<Methods> {
        once(&self.methods, node, || methods(node))
    }

    fn entries(&self, node: &Node<'v, '_>) -> Option<Arc<[Entry]>> {
        once(&self.entries, node, || entry::list(node, self.application))
    }
}

/// What was read from the same words before, or else what is read now. With a fault it is read again: each place has its
/// own.
fn once<'v, T: Clone>(
    known: &RefCell<HashMap<&'v Value, T>>,
    node: &Node<'v, '_>,
    read: impl FnOnce() -> Option<T>,
) -> Option<T> {
    if let Some(known) = node.value().and_then(|value| known.borrow().get(value).cloned()) {
        return Some(known);
    }
    let before = node.faults().count();
    let read = read()?;
    if let Some(value) = node.value().filter(|_| node.faults().count() == before) {
        known.borrow_mut().insert(value, read.clone());
    }
    Some(read)
}

fn overlap(one: &Methods, other: &Methods) -> bool {
    match (one, other) {
        (Methods::All, Methods::All) => true,
        (Methods::Only(one), Methods::Only(other)) => one.iter().any(|method| other.contains(method)),
        // What cannot be read has a fault of its own.
        (Methods::All | Methods::Unknown, _) | (_, Methods::All | Methods::Unknown) => false,
    }
}

/// One route, poisoned if anything but its path is broken. `None`: without a path nobody knows what it is for.
fn route<'v>(node: &Node<'v, '_>, lists: &Lists<'_, 'v>) -> Option<Route> {
    let before = node.faults().count();
    let fields = node.object(&ROUTE_FIELDS);
    let path = node.field("path");
    let template = (fields && path.need("write the path, as in /orders/{id}"))
        .then(|| path.parse(MAX_TEMPLATE, PathTemplate::parse))
        .flatten()?;
    let named = node.field("name");
    let name = named.need("name the route; records and answers refer to it").then(|| named.text(ROUTE_NAME)).flatten();
    let name = name.unwrap_or_else(|| template.as_str());
    let methods = lists.methods(&node.field("methods"));
    let access = access(node, lists);
    let access = node.faults().poison_after(before).map_or(access, |poison| Some(Access::Poisoned(poison)));
    Some(Route {
        name: name.into(),
        methods: methods.unwrap_or(Methods::Unknown),
        access: access.unwrap_or_else(|| Access::Poisoned(Poison("is broken".into()))),
        template,
    })
}

fn methods(node: &Node<'_, '_>) -> Option<Methods> {
    if !node.is_present() {
        return Some(Methods::All);
    }
    let methods: Vec<Arc<str>> = node.each(&METHODS, |item| {
        let text = item.need("write a method").then(|| item.text(32)).flatten()?;
        if is_method(text.as_bytes()) {
            return Some(text.into());
        }
        item.fault(format!("`{text}` must be a method in upper case, as in GET"));
        None
    })?;
    for (at, method) in methods.iter().enumerate() {
        if methods.iter().take(at).any(|other| other == method) {
            node.fault(format!("names `{method}` twice"));
        }
    }
    Some(if methods.is_empty() { Methods::All } else { Methods::Only(methods.into()) })
}

fn access<'v>(node: &Node<'v, '_>, lists: &Lists<'_, 'v>) -> Option<Access> {
    let (allow, deny) = (node.field("allow"), node.field("deny"));
    if node.field("anonymous").truth() == Some(true) {
        for list in [allow, deny].iter().filter(|list| list.is_present()) {
            list.fault("means nothing on an anonymous route, which asks for no token; remove it");
        }
        return Some(Access::Anonymous);
    }
    if !allow.need(&format!(
        "list up to {MAX_ENTRIES} entries, or write `allow: []` for nobody or `anonymous: true` for everybody"
    )) {
        return None;
    }
    let (allow, deny) = (lists.entries(&allow), lists.entries(&deny));
    Some(Access::Entries { allow: allow?, deny: deny? })
}
