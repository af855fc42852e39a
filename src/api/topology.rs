//! Which hosts lead to the target of a policy.
//!
//! - A **route** has the host names that both it and a listener of a parent cover; one that names none has those of its
//!   listeners. A Gateway that is not there, or a listener that does not take the route, gives nothing.
//! - A **Gateway** has the host names of its HTTP listeners, or of the one that is named.
//! - A **Service** has its names inside the cluster, and the hosts of the routes of its namespace that lead to it.
//!
//! A host that comes out gets the rules of a policy; one that does not has those of other policies, or none, which denies.
//! So what is there and cannot be told is never left out: too many hosts spoil the namespace, as a broken host does. A
//! list that cannot be read is never taken for one that is absent, since that would mean every host.
//! Labels of namespaces are not looked at: a listener that selects namespaces by them counts as taking a route.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::policy::host::HostPattern;

use super::gateway::{self, Listener, Parent, Read, Route, Whose};
use super::memo::{Memo, stand};
use super::object::{Kind, Object, ObjectId, Resources};
use super::target::{self, Target};

/// The domain of a cluster.
const CLUSTER_DOMAIN: &str = "cluster.local";
/// Hosts that one target comes to; beyond that nobody knows which were meant.
const MOST_HOSTS: usize = 1024;

/// What a target comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// The hosts.
    pub(super) hosts: BTreeSet<HostPattern>,
    /// Short names of a Service, which mean it in its own namespace only.
    pub(super) inside: BTreeSet<HostPattern>,
    /// Why there is none.
    pub(super) problem: Option<Box<str>>,
    /// The Gateways by which the hosts come.
    pub(super) gates: Vec<Gate>,
    /// There are more than can be told apart: any of them may have been meant.
    pub(super) is_boundless: bool,
}

/// A host, and a Gateway by which it comes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Gate {
    pub(super) host: HostPattern,
    pub(super) gateway: ObjectId,
    /// The Gateway itself is the target; else a route on it leads there.
    pub(super) is_whole: bool,
    /// The listener takes routes of that namespace, whatever its labels.
    pub(super) is_sure: bool,
}

/// A route on a listener.
pub(super) struct Hanging<'t> {
    pub(super) route: &'t ObjectId,
    pub(super) gateway: ObjectId,
    /// The name of the listener.
    pub(super) listener: &'t str,
    pub(super) entry: Entry<'t>,
    /// The host names that both cover, and that are not the very name of another listener of the port.
    pub(super) hosts: BTreeSet<HostPattern>,
    /// Requests reach somebody by it.
    pub(super) leads: bool,
}

/// Where requests of a Gateway choose among routes: those for listeners without TLS by their port, those for the others
/// once it is said for which of them the connection was opened, whatever host is asked for in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Entry<'t> {
    port: Option<i64>,
    tls: Option<&'t str>,
}

/// A host that both cover, or why there is none.
type Found = Result<BTreeSet<HostPattern>, String>;

/// Routes, Gateways and Services, from one compilation to the next.
#[derive(Default)]
pub(super) struct Topology {
    known: Vec<Arc<Object>>,
    routes: Memo<Read<Route>>,
    gateways: Memo<Read<Vec<Listener>>>,
    services: BTreeSet<ObjectId>,
    /// The routes that lead to a Service of their own namespace.
    leading: HashMap<ObjectId, Vec<ObjectId>, RandomState>,
}

impl Topology {
    /// Takes the objects in; whether they are what they were.
    pub(super) fn renew(&mut self, resources: &Resources) -> bool {
        if stand(&mut self.known, target::kinds().flat_map(|kind| resources.of(kind))) {
            return true;
        }
        self.routes.renew(resources.of(Kind::HttpRoute).chain(resources.of(Kind::GrpcRoute)), gateway::route);
        self.gateways.renew(resources.of(Kind::Gateway), gateway::listeners);
        self.services = resources.of(Kind::Service).map(|service| service.id.clone()).collect();
        self.leading.clear();
        for id in self.known.iter().map(|object| &object.id) {
            let Some(Ok(route)) = self.routes.get(id) else { continue };
            for backend in &route.backends {
                let service = ObjectId { kind: Kind::Service, name: Arc::clone(backend), ..id.clone() };
                self.leading.entry(service).or_default().push(id.clone());
            }
        }
        false
    }

    /// Where routes hang with Envoy Gateway: on which listeners of which Gateways.
    pub(super) fn hangings(&self) -> impl Iterator<Item = Hanging<'_>> {
        let routes =
            self.known.iter().filter_map(|object| Some((&object.id, self.routes.get(&object.id)?.as_ref().ok()?)));
        let parents = routes.flat_map(|(id, route)| route.parents.iter().map(move |parent| (id, route, parent)));
        parents.flat_map(|(id, route, parent)| {
            let gateway = parent.gateway();
            let listeners = gateway.as_ref().and_then(|gateway| self.gateways.get(gateway)?.as_ref().ok());
            let listeners = listeners.map(Vec::as_slice).unwrap_or_default();
            let taking = listeners.iter().filter(move |listener| listener.takes(id, parent));
            taking.filter_map(move |listener| {
                let mut hosts = met((id, route), parent, std::slice::from_ref(listener)).ok()?;
                hosts.retain(|host| !is_of_another(host, listener, listeners));
                let entry = Entry { port: listener.port, tls: listener.tls.then_some(&*listener.name) };
                let (gateway, leads) = (gateway.clone()?, route.leads);
                Some(Hanging { route: id, gateway, listener: &listener.name, entry, hosts, leads })
            })
        })
    }

    /// What each of these targets comes to.
    pub(super) fn reach(&self, targets: &[Target]) -> Vec<Reached> {
        targets.iter().map(|target| Reached { gates: self.gates(target), ..self.reached(target) }).collect()
    }

    /// The Gateways by which hosts of the target come, each once.
    fn gates(&self, target: &Target) -> Vec<Gate> {
        let id = &target.object;
        let mut gates = match id.kind {
            Kind::Gateway => {
                let hosts = self.of_gateway(target).unwrap_or_default().into_iter();
                hosts.map(|host| Gate { host, gateway: id.clone(), is_whole: true, is_sure: true }).collect()
            }
            Kind::Service => {
                self.leading.get(id).into_iter().flatten().flat_map(|route| self.gates_of(route)).collect()
            }
            Kind::HttpRoute | Kind::GrpcRoute => self.gates_of(id),
            Kind::EntraApplication
            | Kind::AccessPolicy
            | Kind::AccessGrant
            | Kind::TokenRevocation
            | Kind::ConfigMap
            | Kind::ReferenceGrant
            | Kind::SecurityPolicy => Vec::new(),
        };
        gates.sort();
        gates.dedup();
        gates
    }

    fn gates_of(&self, id: &ObjectId) -> Vec<Gate> {
        let Some(Ok(route)) = self.routes.get(id) else { return Vec::new() };
        let mut gates = Vec::new();
        for parent in &route.parents {
            let Some(gateway) = parent.gateway() else { continue };
            let Some(Ok(listeners)) = self.gateways.get(&gateway) else { continue };
            for listener in listeners.iter().filter(|listener| listener.takes(id, parent)) {
                let is_sure = listener.namespace != Some(Whose::Labelled) || gateway.namespace == id.namespace;
                let hosts = met((id, route), parent, std::slice::from_ref(listener)).unwrap_or_default();
                gates.extend(hosts.into_iter().map(|host| Gate {
                    host,
                    gateway: gateway.clone(),
                    is_whole: false,
                    is_sure,
                }));
            }
        }
        gates
    }

    fn reached(&self, target: &Target) -> Reached {
        let id = &target.object;
        let found = match id.kind {
            Kind::HttpRoute | Kind::GrpcRoute => match self.routes.get(id) {
                Some(Ok(route)) => self.of_route(id, route),
                Some(Err(why)) => Err(format!("refers to {id}, which cannot be read: {why}")),
                None => Err(self.absent(id)),
            },
            Kind::Gateway => self.of_gateway(target),
            Kind::Service => self.of_service(id),
            Kind::EntraApplication
            | Kind::AccessPolicy
            | Kind::AccessGrant
            | Kind::TokenRevocation
            | Kind::ConfigMap
            | Kind::ReferenceGrant
            | Kind::SecurityPolicy => Err(format!("refers to {id}, which is no target")),
        };
        let inside = if found.is_ok() && id.kind == Kind::Service { short_names(id) } else { BTreeSet::new() };
        match found {
            Ok(hosts) if hosts.len() > MOST_HOSTS => {
                let problem =
                    format!("refers to {id}, which has more than {MOST_HOSTS} hosts; list those that you mean");
                Reached { problem: Some(problem.into()), is_boundless: true, ..Reached::default() }
            }
            Ok(hosts) => Reached { hosts, inside, ..Reached::default() },
            Err(problem) => Reached { problem: Some(problem.into()), ..Reached::default() },
        }
    }

    fn absent(&self, id: &ObjectId) -> String {
        let any = self.known.iter().any(|object| object.id.kind == id.kind);
        let hint = match (any, id.kind) {
            (false, Kind::Service) => "; nor is any other: may Services be read?",
            (false, _) => "; nor is any other: is the Gateway API installed, and may it be read?",
            (true, _) => "",
        };
        format!("refers to {id}, which is not there{hint}")
    }

    /// The hosts of a route: those of any parent, or why the first one gives none.
    fn of_route(&self, id: &ObjectId, route: &Route) -> Found {
        let (mut hosts, mut problem) = (BTreeSet::new(), None);
        for parent in &route.parents {
            match self.of_parent(id, (route, parent)) {
                Ok(found) => hosts.extend(found),
                Err(why) => problem = problem.or(Some(why)),
            }
        }
        if !hosts.is_empty() {
            return Ok(hosts);
        }
        let why = problem.unwrap_or_else(|| "it has no parent".to_owned());
        Err(format!("refers to {id}, which has no host: {why}"))
    }

    fn of_parent(&self, id: &ObjectId, (route, parent): (&Route, &Parent)) -> Found {
        if let Some(gateway) = parent.gateway() {
            return match self.gateways.get(&gateway) {
                Some(Ok(listeners)) => met((id, route), parent, listeners),
                Some(Err(why)) => Err(format!("its parent {gateway} cannot be read: {why}")),
                None => Err(format!("its parent {gateway} is not there")),
            };
        }
        // In a mesh the host of a request to a Service is one of its names, and host names of routes do not count.
        match parent.service() {
            Some(service) if service.namespace != id.namespace => {
                Err(format!("its parent {service} is in another namespace"))
            }
            Some(service) if self.services.contains(&service) => Ok(full_names(&service)),
            Some(service) => Err(format!("its parent {service} is not there")),
            None => Err(format!("its parent is a `{}` of `{}`, which is not looked at", parent.kind, parent.group)),
        }
    }

    fn of_gateway(&self, target: &Target) -> Found {
        let id = &target.object;
        let listeners = match self.gateways.get(id) {
            Some(Ok(listeners)) => listeners,
            Some(Err(why)) => return Err(format!("refers to {id}, which cannot be read: {why}")),
            None => return Err(self.absent(id)),
        };
        let named =
            listeners.iter().filter(|listener| target.section.as_ref().is_none_or(|name| *name == listener.name));
        let hosts: BTreeSet<HostPattern> = named.map(|listener| listener.hostname.clone()).collect();
        match (&target.section, hosts.is_empty()) {
            (_, false) => Ok(hosts),
            (Some(name), true) => Err(format!("refers to {id}, which has no HTTP listener `{name}`")),
            (None, true) => Err(format!("refers to {id}, which has no HTTP listener")),
        }
    }

    fn of_service(&self, id: &ObjectId) -> Found {
        if !self.services.contains(id) {
            return Err(self.absent(id));
        }
        let mut hosts = full_names(id);
        for leading in self.leading.get(id).into_iter().flatten() {
            if hosts.len() > MOST_HOSTS {
                break;
            }
            if let Some(Ok(route)) = self.routes.get(leading) {
                // A route without a host is reported where it is the target.
                hosts.extend(self.of_route(leading, route).unwrap_or_default());
            }
        }
        Ok(hosts)
    }
}

/// The hosts that the route and these listeners of its parent both cover.
fn met((id, route): (&ObjectId, &Route), parent: &Parent, listeners: &[Listener]) -> Found {
    let gateway = format!("Gateway {}/{}", parent.namespace, parent.name);
    let taking: Vec<&Listener> = listeners.iter().filter(|listener| listener.takes(id, parent)).collect();
    if taking.is_empty() {
        return Err(format!("no HTTP listener of {gateway} takes it"));
    }
    let any = [HostPattern::Any];
    let names = if route.hostnames.is_empty() { &any[..] } else { &route.hostnames };
    let pairs = taking.iter().flat_map(|listener| names.iter().filter_map(|name| name.meet(&listener.hostname)));
    let hosts: BTreeSet<HostPattern> = pairs.cloned().collect();
    if hosts.is_empty() { Err(format!("no host name of it is one of a listener of {gateway}")) } else { Ok(hosts) }
}

/// Whether a route for this host is kept from the listener, because the host is the name of another one of the port.
fn is_of_another(host: &HostPattern, listener: &Listener, all: &[Listener]) -> bool {
    let named = |other: &Listener| other.port == listener.port && other.hostname == *host;
    *host != HostPattern::Any && listener.hostname != *host && all.iter().any(named)
}

/// Names of a Service that no other Service has.
fn full_names(id: &ObjectId) -> BTreeSet<HostPattern> {
    let (name, namespace) = (&id.name, &id.namespace);
    let names = [format!("{name}.{namespace}.svc.{CLUSTER_DOMAIN}"), format!("{name}.{namespace}.svc")];
    names.into_iter().map(|name| HostPattern::Exact(name.into())).collect()
}

/// Names that a client in the cluster may use, and that somewhere else may be those of others.
fn short_names(id: &ObjectId) -> BTreeSet<HostPattern> {
    let names = [format!("{}.{}", id.name, id.namespace), id.name.to_string()];
    names.into_iter().map(|name| HostPattern::Exact(name.into())).collect()
}
