//! Which hosts lead to the target of a policy.
//!
//! - A **route** has the host names that both it and a listener of a parent cover; one that names none has those of its
//!   listeners. A Gateway that is not there, or a listener that does not take the route, gives nothing.
//! - A **Gateway** has the host names of its HTTP listeners, or of the one that is named.
//! - A **Service** has its names inside the cluster, and the hosts of the routes of its namespace that lead to it.
//! - A route whose parent is a Service has the names of that.
//!
//! A host that comes out gets the rules of a policy; one that does not has those of other policies, or none, which denies.
//! So what is there and cannot be told is never left out: too many hosts spoil the namespace, as a broken host does. A
//! list that cannot be read is never taken for one that is absent, since that would mean every host. And whatever gives no
//! host is told beside the hosts that others give: nobody knows which ones are missing then.
//! Labels of namespaces are not looked at: a listener that selects namespaces by them counts as taking a route.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::policy::host::HostPattern;

use super::elder::Elders;
use super::gateway::{self, Listener, Parent, Read, Route, Whose};
use super::memo::{Memo, stand};
use super::object::{Kind, Object, ObjectId, Resources};
use super::target::{self, Target};

/// The domain of a cluster.
const CLUSTER_DOMAIN: &str = "cluster.local";
/// Hosts that one target comes to; beyond that nobody knows which were meant.
const MOST_HOSTS: usize = 1024;
/// Those that are kept of such a target all the same, closed, so that they fall to no other: as many as all targets of a
/// policy may have.
const MOST_KEPT: usize = 16 * MOST_HOSTS;
/// Listeners by which one host comes to a target. A host has no owner by those beyond.
const MOST_GATES: usize = 64;

/// What a target comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// The hosts.
    pub(super) hosts: BTreeSet<HostPattern>,
    /// Short names of Services, which mean them in their own namespace only.
    pub(super) inside: BTreeSet<HostPattern>,
    /// The listeners by which the hosts come.
    pub(super) gates: BTreeMap<HostPattern, Vec<Gate>>,
    /// Why there is none, or not all of them.
    pub(super) problem: Option<String>,
    /// There are more than can be told apart: any of them may have been meant.
    pub(super) is_boundless: bool,
    /// A Service that has nothing but its names, since no route leads to it. In a mesh none has to.
    pub(super) is_unled: bool,
}

impl Reached {
    /// Nothing, and why.
    fn nothing(problem: impl Into<String>) -> Self {
        Self { problem: Some(problem.into()), ..Self::default() }
    }

    /// A host comes by this gate.
    fn come(&mut self, host: &HostPattern, gate: impl FnOnce() -> Gate) {
        let gates = self.gates.entry(host.clone()).or_default();
        if gates.len() < MOST_GATES {
            gates.push(gate());
        }
        self.hosts.insert(host.clone());
    }

    /// Whether a host of it is one of these.
    pub(super) fn meets(&self, hosts: &HostPattern) -> bool {
        self.hosts.iter().chain(&self.inside).any(|host| hosts.meet(host).is_some())
    }

    /// Takes in what something has that leads there. `of`: how to say what that lacks.
    fn take(&mut self, other: Self, of: impl FnOnce(String) -> String) {
        self.hosts.extend(other.hosts);
        self.inside.extend(other.inside);
        for (host, gates) in other.gates {
            let known = self.gates.entry(host).or_default();
            for gate in gates {
                if known.len() < MOST_GATES && !known.contains(&gate) {
                    known.push(gate);
                }
            }
        }
        if self.problem.is_none() {
            self.problem = other.problem.map(of);
        }
    }
}

/// A listener by which a host comes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Gate {
    pub(super) gateway: ObjectId,
    pub(super) listener: Arc<str>,
    pub(super) by: Way,
}

/// By what a host comes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// The Gateway itself is the target.
    Whole,
    /// A route leads to it that the listener takes. Nobody of another namespace came first.
    Route,
    /// The same, but this route of another namespace came first.
    After(ObjectId),
    /// A route leads to it that the listener may not take, by labels of its namespace.
    Labels,
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

/// Routes, Gateways and Services, from one compilation to the next.
#[derive(Default)]
pub(super) struct Topology {
    known: Vec<Arc<Object>>,
    routes: Memo<Read<Route>>,
    gateways: Memo<Read<Vec<Listener>>>,
    services: BTreeSet<ObjectId>,
    /// The routes that lead to a Service of their own namespace.
    leading: HashMap<ObjectId, Vec<ObjectId>, RandomState>,
    elders: Elders,
    /// For each namespace a route that cannot be read, if there is one: it may lead anywhere there.
    unread: HashMap<Arc<str>, ObjectId, RandomState>,
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
        self.unread.clear();
        for id in self.known.iter().map(|object| &object.id) {
            let Some(route) = self.routes.get(id) else { continue };
            let Ok(route) = route else {
                self.unread.entry(Arc::clone(&id.namespace)).or_insert_with(|| id.clone());
                continue;
            };
            for backend in &route.backends {
                let service = ObjectId { kind: Kind::Service, name: Arc::clone(backend), ..id.clone() };
                self.leading.entry(service).or_default().push(id.clone());
            }
        }
        self.rank();
        false
    }

    /// Notes which routes came first.
    fn rank(&mut self) {
        self.elders.clear();
        for object in &self.known {
            let Some(Ok(route)) = self.routes.get(&object.id) else { continue };
            for parent in route.parents.iter().filter(|_| route.leads) {
                let listeners = parent.gateway().and_then(|gateway| self.gateways.get(&gateway)?.as_ref().ok());
                let taking = listeners.into_iter().flatten().filter(|listener| listener.takes(&object.id, parent));
                for host in taking.flat_map(|listener| common(route, listener)) {
                    // Whoever serves it on the Gateways of others may still count on a baseline of its own.
                    let own = (parent.namespace != object.id.namespace).then_some(&object.id.namespace);
                    own.into_iter().chain([&parent.namespace]).for_each(|at| self.elders.note(at, (object, &host)));
                }
            }
        }
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
                let hosts = common(route, listener);
                if hosts.is_empty() {
                    return None;
                }
                let hosts = hosts.into_iter().filter(|host| !is_of_another(host, listener, listeners)).collect();
                let entry = Entry { port: listener.port, tls: listener.tls.then_some(&*listener.name) };
                let (gateway, leads) = (gateway.clone()?, route.leads);
                Some(Hanging { route: id, gateway, listener: &listener.name, entry, hosts, leads })
            })
        })
    }

    /// What each of these targets comes to.
    pub(super) fn reach(&self, targets: &[Target]) -> Vec<Reached> {
        targets.iter().map(|target| self.reached(target)).collect()
    }

    fn reached(&self, target: &Target) -> Reached {
        let id = &target.object;
        let mut reached = match id.kind {
            Kind::HttpRoute | Kind::GrpcRoute => self.of_route(id),
            Kind::Gateway => self.of_gateway(target),
            Kind::Service => self.of_service(id),
            Kind::EntraApplication
            | Kind::AccessPolicy
            | Kind::AccessGrant
            | Kind::TokenRevocation
            | Kind::ConfigMap
            | Kind::ReferenceGrant
            | Kind::SecurityPolicy => Reached::nothing("which is no target"),
        };
        if reached.hosts.len() > MOST_HOSTS {
            let problem = format!("which has more than {MOST_HOSTS} hosts; list those that you mean");
            // What is left of it is closed, since others must not get it.
            if let Some(beyond) = reached.hosts.iter().nth(MOST_KEPT).cloned() {
                let (hosts, gates) = (&mut reached.hosts, &mut reached.gates);
                drop((hosts.split_off(&beyond), gates.split_off(&beyond)));
            }
            reached = Reached { is_boundless: true, problem: Some(problem), ..reached };
        }
        // Most have one, and there may be ten thousand.
        for gates in reached.gates.values_mut() {
            gates.sort();
            gates.dedup();
            gates.shrink_to_fit();
        }
        reached.problem = reached.problem.map(|why| format!("refers to {id}, {why}"));
        reached
    }

    fn absent(&self, id: &ObjectId) -> String {
        let any = self.known.iter().any(|object| object.id.kind == id.kind);
        let hint = match (any, id.kind) {
            (false, Kind::Service) => "; nor is any other: may Services be read?",
            (false, _) => "; nor is any other: is the Gateway API installed, and may it be read?",
            (true, _) => "",
        };
        format!("which is not there{hint}")
    }

    /// The hosts of a route: those of all its parents.
    fn of_route(&self, id: &ObjectId) -> Reached {
        let route = match self.routes.get(id) {
            Some(Ok(route)) => route,
            Some(Err(why)) => return Reached::nothing(format!("which cannot be read: {why}")),
            None => return Reached::nothing(self.absent(id)),
        };
        let mut all = Reached::default();
        for parent in &route.parents {
            all.take(self.of_parent(id, (route, parent)), |why| why);
        }
        if route.parents.is_empty() {
            all = Reached::nothing("it has no parent");
        }
        let what = if all.hosts.is_empty() { "has no host" } else { "lacks the hosts of a parent" };
        Reached { problem: all.problem.map(|why| format!("which {what}: {why}")), ..all }
    }

    fn of_parent(&self, id: &ObjectId, (route, parent): (&Route, &Parent)) -> Reached {
        if let Some(gateway) = parent.gateway() {
            return match self.gateways.get(&gateway) {
                Some(Ok(listeners)) => self.on((id, route), (parent, &gateway), listeners),
                Some(Err(why)) => Reached::nothing(format!("its parent {gateway} cannot be read: {why}")),
                None => Reached::nothing(format!("its parent {gateway} is not there")),
            };
        }
        // In a mesh the host of a request to a Service is one of its names, and host names of routes do not count.
        match parent.service() {
            Some(service) if service.namespace != id.namespace => {
                Reached::nothing(format!("its parent {service} is in another namespace"))
            }
            Some(service) if self.services.contains(&service) => names(&service),
            Some(service) => Reached::nothing(format!("its parent {service} is not there")),
            None => {
                let (kind, group) = (&parent.kind, &parent.group);
                Reached::nothing(format!("its parent is a `{kind}` of `{group}`, which is not looked at"))
            }
        }
    }

    fn of_gateway(&self, target: &Target) -> Reached {
        let id = &target.object;
        let listeners = match self.gateways.get(id) {
            Some(Ok(listeners)) => listeners,
            Some(Err(why)) => return Reached::nothing(format!("which cannot be read: {why}")),
            None => return Reached::nothing(self.absent(id)),
        };
        let named =
            listeners.iter().filter(|listener| target.section.as_ref().is_none_or(|name| **name == *listener.name));
        let mut all = Reached::default();
        for listener in named {
            let listener_name = Arc::clone(&listener.name);
            all.come(&listener.hostname, || Gate { gateway: id.clone(), listener: listener_name, by: Way::Whole });
        }
        match (&target.section, all.hosts.is_empty()) {
            (_, false) => all,
            (Some(name), true) => Reached::nothing(format!("which has no HTTP listener `{name}`")),
            (None, true) => Reached::nothing("which has no HTTP listener"),
        }
    }

    fn of_service(&self, id: &ObjectId) -> Reached {
        let leading = self.leading.get(id).map(Vec::as_slice).unwrap_or_default();
        let mut all = Reached { is_unled: leading.is_empty(), ..names(id) };
        for route in leading {
            if all.hosts.len() > MOST_KEPT {
                break;
            }
            all.take(self.of_route(route), |why| format!("to which {route} leads, {why}"));
        }
        if let Some(route) = self.unread.get(&id.namespace) {
            all.take(self.of_route(route), |why| format!("to which {route} may lead, {why}"));
        }
        if self.services.contains(id) {
            return all;
        }
        // What is listed beside it still comes by these Gateways.
        Reached { gates: all.gates, ..Reached::nothing(self.absent(id)) }
    }
    /// What a route comes to by the listeners of a parent.
    fn on(
        &self,
        (id, route): (&ObjectId, &Route),
        (parent, gateway): (&Parent, &ObjectId),
        listeners: &[Listener],
    ) -> Reached {
        let mut taking = listeners.iter().filter(|listener| listener.takes(id, parent)).peekable();
        if taking.peek().is_none() {
            return Reached::nothing(format!("no HTTP listener of {gateway} takes it"));
        }
        let mut all = Reached::default();
        for listener in taking {
            for host in common(route, listener) {
                let gate = |by| Gate { gateway: gateway.clone(), listener: Arc::clone(&listener.name), by };
                all.come(&host, || gate(self.way(id, (gateway, listener), &host)));
            }
        }
        if all.hosts.is_empty() {
            return Reached::nothing(format!("no host name of it is one of a listener of {gateway}"));
        }
        all
    }

    fn way(&self, id: &ObjectId, (gateway, listener): (&ObjectId, &Listener), host: &HostPattern) -> Way {
        if listener.namespace == Some(Whose::Labelled) && gateway.namespace != id.namespace {
            return Way::Labels;
        }
        match self.elders.of(&gateway.namespace, host).filter(|elder| elder.namespace != id.namespace) {
            Some(elder) => Way::After(elder.clone()),
            None => Way::Route,
        }
    }
}

/// The hosts that a route and a listener both cover.
fn common(route: &Route, listener: &Listener) -> BTreeSet<HostPattern> {
    let any = [HostPattern::Any];
    let names = if route.hostnames.is_empty() { &any[..] } else { &route.hostnames };
    names.iter().filter_map(|name| name.meet(&listener.hostname)).cloned().collect()
}

/// Whether a route for this host is kept from the listener, because the host is the name of another one of the port.
fn is_of_another(host: &HostPattern, listener: &Listener, all: &[Listener]) -> bool {
    let named = |other: &Listener| other.port == listener.port && other.hostname == *host;
    *host != HostPattern::Any && listener.hostname != *host && all.iter().any(named)
}

/// The names of a Service: those that no other has, and those that somewhere else may be those of others.
fn names(id: &ObjectId) -> Reached {
    let (name, namespace) = (&id.name, &id.namespace);
    let set = |names: [String; 2]| names.into_iter().map(|name| HostPattern::Exact(name.into())).collect();
    Reached {
        hosts: set([format!("{name}.{namespace}.svc.{CLUSTER_DOMAIN}"), format!("{name}.{namespace}.svc")]),
        inside: set([format!("{name}.{namespace}"), name.to_string()]),
        ..Reached::default()
    }
}
