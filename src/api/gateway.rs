//! Objects of the Gateway API, read as far as they say which hosts lead where.
//!
//! They are others' objects, which the API server has checked; in a file anything may stand. A list that cannot be read
//! makes the whole object unreadable, and is never taken for one that is absent, since that would mean every host.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::policy::host::HostPattern;

use super::fault::Faults;
use super::object::{GATEWAY_GROUP, Kind, Object, ObjectId};
use super::read::Node;

/// More elements than any list of these objects may have.
const MOST: usize = 1024;

/// What was read, or the first thing that is wrong.
pub(super) type Read<T> = Result<T, String>;

pub(super) struct Route {
    /// None: those of the listeners.
    pub(super) hostnames: Vec<HostPattern>,
    pub(super) parents: Vec<Parent>,
    /// Names of Services of its own namespace.
    pub(super) backends: BTreeSet<Arc<str>>,
    /// It has a backend of any kind. One without answers by itself: it redirects, or says that there is nothing.
    pub(super) leads: bool,
}

pub(super) struct Parent {
    pub(super) group: Box<str>,
    pub(super) kind: Box<str>,
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) section: Option<Box<str>>,
    pub(super) port: Option<i64>,
}

pub(super) struct Listener {
    pub(super) name: Arc<str>,
    pub(super) hostname: HostPattern,
    pub(super) port: Option<i64>,
    /// It ends TLS.
    pub(super) tls: bool,
    /// Routes of its own namespace; `None`: of any.
    pub(super) namespace: Option<Whose>,
    /// The kinds of routes that it takes, each with its group; empty: any.
    pub(super) kinds: Vec<[Box<str>; 2]>,
}

/// Whose routes a listener takes, if not everybody's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Own,
    /// Those with some labels, which are not looked at.
    Labelled,
    Nobodys,
}

impl Parent {
    /// The Gateway that it is.
    pub(super) fn gateway(&self) -> Option<ObjectId> {
        let is = &*self.group == GATEWAY_GROUP && &*self.kind == Kind::Gateway.as_str();
        is.then(|| self.object(Kind::Gateway))
    }

    /// The Service that it is.
    pub(super) fn service(&self) -> Option<ObjectId> {
        let is = self.group.is_empty() && &*self.kind == Kind::Service.as_str();
        is.then(|| self.object(Kind::Service))
    }

    fn object(&self, kind: Kind) -> ObjectId {
        ObjectId { kind, namespace: Arc::clone(&self.namespace), name: Arc::clone(&self.name) }
    }
}

impl Listener {
    /// Whether a route that names this parent is one of the listener.
    pub(super) fn takes(&self, route: &ObjectId, parent: &Parent) -> bool {
        let here = match self.namespace {
            None | Some(Whose::Labelled) => true,
            Some(Whose::Own) => parent.namespace == route.namespace,
            Some(Whose::Nobodys) => false,
        };
        let is_its = |[group, kind]: &[Box<str>; 2]| **group == *GATEWAY_GROUP && **kind == *route.kind.as_str();
        here && parent.section.as_ref().is_none_or(|name| **name == *self.name)
            && parent.port.is_none_or(|port| self.port == Some(port))
            && (self.kinds.is_empty() || self.kinds.iter().any(is_its))
    }
}

/// Reads an object whose `spec` this function understands, or says what is wrong.
fn reading<T>(object: &Object, read: impl FnOnce(&Node<'_, '_>) -> Option<T>) -> Read<T> {
    let (body, faults) = (object.body(), Faults::of(&object.id));
    let value = read(&Node::top(&body, "spec", &faults));
    match (value, faults.into_vec().into_iter().next()) {
        (Some(value), None) => Ok(value),
        (_, Some(fault)) => Err(format!("{}: {}", fault.path, fault.problem)),
        (None, None) => Err("it is not whole".to_owned()),
    }
}

/// The elements of a list, none if it is absent; `None`: one of them cannot be read.
fn each<'v, T>(node: &Node<'v, '_>, read: impl Fn(&Node<'v, '_>) -> Option<T>) -> Option<Vec<T>> {
    if node.is_present() { node.each(&(0..=MOST), read) } else { Some(Vec::new()) }
}

/// A text, or what is meant without one.
fn text_or<'v>(node: &Node<'v, '_>, default: &'v str) -> Option<&'v str> {
    match node.value() {
        None => Some(default),
        Some(value) if value.as_str() == Some("") => Some(""),
        Some(_) => node.text(253),
    }
}

fn optional(node: &Node<'_, '_>) -> Option<Box<str>> {
    node.text(253).map(Into::into)
}

fn number(node: &Node<'_, '_>) -> Option<i64> {
    let number = node.value()?.as_i64();
    if number.is_none() {
        node.fault("must be a number");
    }
    number
}

/// Reads an HTTPRoute or a GRPCRoute.
pub(super) fn route(object: &Object) -> Read<Route> {
    reading(object, |spec| {
        let hostnames = each(&spec.field("hostnames"), |name| name.parse(253, HostPattern::parse))?;
        let parents = each(&spec.field("parentRefs"), |item| parent(item, object))?;
        let rules = each(&spec.field("rules"), |rule| each(&rule.field("backendRefs"), |item| backend(item, object)))?;
        let leads = rules.iter().any(|rule| !rule.is_empty());
        let backends = rules.into_iter().flatten().flatten().collect();
        Some(Route { hostnames, parents, backends, leads })
    })
}

fn parent(item: &Node<'_, '_>, route: &Object) -> Option<Parent> {
    let name = item.field("name");
    Some(Parent {
        group: text_or(&item.field("group"), GATEWAY_GROUP)?.into(),
        kind: text_or(&item.field("kind"), "Gateway")?.into(),
        namespace: text_or(&item.field("namespace"), &route.id.namespace.clone())?.into(),
        name: name.need("write the name of the parent").then(|| name.text(253)).flatten()?.into(),
        section: optional(&item.field("sectionName")),
        port: number(&item.field("port")),
    })
}

/// The Service that a backend is, if it is one of the route's namespace; `None`: it cannot be read.
fn backend(item: &Node<'_, '_>, route: &Object) -> Option<Option<Arc<str>>> {
    let (group, kind) = (text_or(&item.field("group"), "")?, text_or(&item.field("kind"), "Service")?);
    let here = item.field("namespace").text(253).is_none_or(|namespace| *namespace == *route.id.namespace);
    let name = item.field("name");
    let name = name.need("write the name of the backend").then(|| name.text(253)).flatten()?;
    Some((group.is_empty() && kind == "Service" && here).then(|| name.into()))
}

/// The listeners of a Gateway for HTTP.
pub(super) fn listeners(object: &Object) -> Read<Vec<Listener>> {
    reading(object, |spec| Some(each(&spec.field("listeners"), listener)?.into_iter().flatten().collect()))
}

/// A listener, if it is one for HTTP; `None`: it cannot be read.
fn listener(item: &Node<'_, '_>) -> Option<Option<Listener>> {
    let name = item.field("name");
    let name = name.need("write the name of the listener").then(|| name.text(253)).flatten()?;
    let protocol = text_or(&item.field("protocol"), "")?;
    let hostname = item.field("hostname");
    let any = hostname.value().is_none_or(|value| value.as_str() == Some(""));
    let hostname = if any { HostPattern::Any } else { hostname.parse(253, HostPattern::parse)? };
    let allowed = item.field("allowedRoutes");
    let namespaces = allowed.field("namespaces");
    let from = namespaces.field("from");
    let froms = [
        ("All", None),
        ("Selector", Some(Whose::Labelled)),
        ("Same", Some(Whose::Own)),
        ("None", Some(Whose::Nobodys)),
    ];
    let namespace = if from.is_present() { from.choice(&froms)? } else { Some(Whose::Own) };
    let kinds = each(&allowed.field("kinds"), |kind| {
        Some([text_or(&kind.field("group"), GATEWAY_GROUP)?.into(), kind.field("kind").text(63)?.into()])
    })?;
    let port = number(&item.field("port"));
    let (http, tls) = (matches!(protocol, "HTTP" | "HTTPS"), protocol == "HTTPS");
    Some(http.then(|| Listener { name: name.into(), hostname, port, tls, namespace, kinds }))
}
