//! What is sound and yet probably not meant: remarks about one resource in the company of the others.
//!
//! A remark never changes what is enforced. Faults are the compiler's; nothing here is one.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::policy::host::HostPattern;
use crate::policy::method::is_method;
use crate::policy::rules::{Access, Methods, Mode, Policy, Route};
use crate::policy::table::HostTable;

use super::application::{self, Application, KeySets};
use super::compile::Compiled;
use super::fault::Faults;
use super::field_path::FieldPath;
use super::grant;
use super::object::{Kind, Object, ObjectId, Resources};
use super::read::Node;
use super::reference;

/// Methods that should change nothing (RFC 9110 §9.2.1).
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// One remark.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// The field.
    pub path: FieldPath,
    /// What is remarkable, and what to do if it is not meant. One line, lower case, no full stop.
    pub problem: Box<str>,
}

/// What there is to say about a sound object. `compiled` is what came of `resources`.
#[must_use]
pub fn remarks(object: &Object, resources: &Resources, compiled: &Compiled) -> Vec<Remark> {
    match object.id.kind {
        Kind::AccessPolicy => {
            let mut all = of_names(object, resources);
            all.extend(of_routes(object, compiled));
            all.extend(everywhere(object, resources));
            all
        }
        Kind::AccessGrant => of_grant(object, resources),
        Kind::EntraApplication
        | Kind::TokenRevocation
        | Kind::ConfigMap
        | Kind::ReferenceGrant
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::Gateway
        | Kind::Service
        | Kind::SecurityPolicy => Vec::new(),
    }
}

fn remark(path: FieldPath, problem: String) -> Remark {
    Remark { path, problem: problem.into() }
}

/// The sound application that a policy refers to.
fn application_of(policy: &Object, resources: &Resources) -> Option<(ObjectId, Application)> {
    let faults = Faults::of(&policy.id);
    let body = policy.body();
    let target = reference::application(&Node::top(&body, "spec", &faults), &policy.id, resources)?;
    let (application, _) = application::read(resources.get(&target)?, KeySets { resources, instead: None });
    application.map(|application| (target, application))
}

/// Names that the application lists and its policies misspell.
fn of_names(object: &Object, resources: &Resources) -> Vec<Remark> {
    let Some((id, application)) = application_of(object, resources) else { return Vec::new() };
    let (faults, body) = (Faults::of(&object.id), object.body());
    let spec = Node::top(&body, "spec", &faults);
    let mut found = Vec::new();
    entries(&spec.field("deny"), (&id, &application), &mut found);
    let routes = spec.field("routes");
    for (at, route) in routes.list(&super::policy::ROUTES).into_iter().flatten().enumerate() {
        let route = routes.item(at, route);
        for list in ["allow", "deny"] {
            entries(&route.field(list), (&id, &application), &mut found);
        }
    }
    found
}

fn entries(list: &Node<'_, '_>, (id, application): (&ObjectId, &Application), found: &mut Vec<Remark>) {
    for (at, entry) in list.list(&super::entry::ENTRIES).into_iter().flatten().enumerate() {
        let entry = list.item(at, entry);
        for (field, of, catalogue) in [
            ("roles", "roles", &application.roles),
            ("allRoles", "roles", &application.roles),
            ("scopes", "scopes", &application.scopes),
        ] {
            if let Some(catalogue) = catalogue {
                unlisted(&entry.field(field), (id, of, catalogue), found);
            }
        }
    }
}

/// Values of a list that a catalogue does not have.
fn unlisted(list: &Node<'_, '_>, (id, of, catalogue): (&ObjectId, &str, &[Box<str>]), found: &mut Vec<Remark>) {
    for (at, value) in list.list(&super::entry::VALUES).into_iter().flatten().enumerate() {
        let Some(name) = value.as_str().filter(|name| !catalogue.iter().any(|known| **known == **name)) else {
            continue;
        };
        let problem = format!("`{name}` is not among the `{of}` of {id}");
        found.push(remark(list.item(at, value).path(), problem));
    }
}

fn of_grant(object: &Object, resources: &Resources) -> Vec<Remark> {
    let policy = grant::policy(object).and_then(|policy| resources.get(&policy));
    let Some((id, application)) = policy.and_then(|policy| application_of(policy, resources)) else {
        return Vec::new();
    };
    let Some(catalogue) = &application.roles else { return Vec::new() };
    let (faults, body) = (Faults::of(&object.id), object.body());
    let mut found = Vec::new();
    unlisted(&Node::top(&body, "spec", &faults).field("roles"), (&id, "roles", catalogue), &mut found);
    found
}

/// A policy for every sidecar of its namespace, where others are for some: whoever asks a pod chooses the host.
fn everywhere(object: &Object, resources: &Resources) -> Option<Remark> {
    let selects =
        |body: &Map<String, Value>| body.get("spec").and_then(|spec| spec.get("selector")?.as_object()).is_some();
    let is_open = |route: &Value| route.get("anonymous").and_then(Value::as_bool) == Some(true);
    let body = object.body();
    let routes = body.get("spec").and_then(|spec| spec.get("routes")?.as_array());
    if selects(&body) || !routes.into_iter().flatten().any(is_open) {
        return None;
    }
    let beside = resources.of(Kind::AccessPolicy).filter(|other| other.id.namespace == object.id.namespace);
    let selecting =
        beside.filter(|other| other.text().contains("\"selector\"")).find(|other| selects(&other.body()))?;
    let why = "so that its anonymous routes open the sidecars of all applications for requests that name its hosts";
    let problem = format!("is missing, unlike in {}, {why}; write one if the namespace has several", selecting.id);
    Some(remark(FieldPath::root().field("spec").field("selector"), problem))
}

fn of_routes(object: &Object, compiled: &Compiled) -> Vec<Remark> {
    let is = |policy: &Policy| policy.id().namespace == object.id.namespace && policy.id().name == object.id.name;
    let mut found = Vec::new();
    let mut anonymous = None;
    for (host, table) in compiled.snapshot.tables() {
        let Some(at) = table.policies().iter().position(|policy| is(policy)) else { continue };
        let (earlier, rest) = table.policies().split_at(at);
        let Some(policy) = rest.first() else { continue };
        anonymous.get_or_insert_with(|| open(policy));
        found.extend(unreachable(policy, earlier, &host));
        found.extend(only_recorded(policy, (&host, table)));
    }
    found.extend(anonymous.into_iter().flatten());
    found.sort();
    found
}

fn route_path(at: usize) -> FieldPath {
    FieldPath::root().field("spec").field("routes").index(at)
}

/// Anonymous routes that may change something.
fn open(policy: &Policy) -> Vec<Remark> {
    let mut found = Vec::new();
    for (at, route) in policy.routes.iter().enumerate().filter(|(_, route)| matches!(route.access, Access::Anonymous)) {
        let problem = match &route.methods {
            Methods::All => "admits everybody by every method, also to write; name the methods, as in [GET]".to_owned(),
            Methods::Only(methods) => match methods.iter().find(|method| !SAFE.contains(&&***method)) {
                Some(method) => format!("admits everybody by `{method}`, which may change something"),
                None => continue,
            },
            Methods::Unknown => continue,
        };
        found.push(remark(route_path(at).field("anonymous"), problem));
    }
    found
}

/// Routes that an older policy leaves nothing to decide.
fn unreachable(policy: &Policy, earlier: &[Arc<Policy>], host: &HostPattern) -> Vec<Remark> {
    let mut found = Vec::new();
    for (at, route) in policy.routes.iter().enumerate() {
        let rivals = earlier.iter().filter(|other| other.mode == policy.mode);
        let rivals: Vec<(&Policy, &Route)> = rivals
            .flat_map(|other| other.routes.iter().map(move |rival| (&**other, &**rival)))
            .filter(|(_, rival)| rival.template.shape() == route.template.shape())
            .collect();
        if let Some((winner, rival)) = taken(route, &rivals) {
            let problem = format!(
                "is unreachable on `{host}`: the route `{}` of the older `{}` comes first",
                rival.name,
                winner.id()
            );
            found.push(remark(route_path(at), problem));
        }
    }
    found
}

/// Who takes every request of a route, if somebody does.
fn taken<'r>(route: &Route, rivals: &[(&'r Policy, &'r Route)]) -> Option<(&'r Policy, &'r Route)> {
    let for_all = |(_, rival): &&(&'r Policy, &'r Route)| matches!(rival.methods, Methods::All | Methods::Unknown);
    let names = |method: &str| {
        rivals.iter().find(|(_, rival)| match &rival.methods {
            Methods::Only(methods) => methods.iter().any(|taken| **taken == *method),
            Methods::Unknown => is_method(method.as_bytes()),
            Methods::All => false,
        })
    };
    match &route.methods {
        Methods::All => rivals.iter().find(for_all).copied(),
        Methods::Only(methods) => {
            let takers: Option<Vec<_>> = methods.iter().map(|method| names(method)).collect();
            takers.and_then(|takers| takers.first().map(|taker| **taker))
        }
        Methods::Unknown => None,
    }
}

/// A host on which nothing is denied yet.
fn only_recorded(policy: &Policy, (host, table): (&HostPattern, &HostTable)) -> Option<Remark> {
    (policy.mode == Mode::Shadow && !table.decides()).then(|| {
        let problem = format!("only records: no policy enforces `{host}` itself, so requests there may pass undecided");
        remark(FieldPath::root().field("spec").field("mode"), problem)
    })
}
