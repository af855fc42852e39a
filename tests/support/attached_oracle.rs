//! Which host names a policy speaks for that is attached to something: asked for one name at a time, by what the
//! documentation says, where the compiler works with patterns that meet.

use std::collections::BTreeMap;

use serde_json::Value;

/// Objects by kind, namespace and name.
pub(crate) type World = BTreeMap<[String; 3], Value>;

/// Where a body belongs in a world.
pub(crate) fn place(body: &Value) -> [String; 3] {
    [&body["kind"], &body["metadata"]["namespace"], &body["metadata"]["name"]].map(text)
}

/// Names among which every pattern of a generated world has one, as far as two of them have one in common.
pub(crate) fn names() -> Vec<String> {
    let hosts = ["x.example.com", "y.example.com", "z.example.com", "a.x.example.com", "example.com", "x.internal"];
    let mut names: Vec<String> = hosts.into_iter().chain(["y.internal", "r", "s", "g"]).map(Into::into).collect();
    for service in ["r", "s", "g"] {
        for tail in ["a", "a.svc", "a.svc.cluster.local", "b", "b.svc.cluster.local"] {
            names.push(format!("{service}.{tail}"));
        }
    }
    names
}

/// Whether a name is one of a host as policies and listeners write it.
pub(crate) fn covers(host: &str, name: &str) -> bool {
    match host.strip_prefix('*') {
        Some(end) => name.len() > end.len() && name.ends_with(end),
        None => host == name,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(crate) struct Oracle<'w> {
    pub(crate) world: &'w World,
    pub(crate) policy: &'w Value,
    /// Asked in a sidecar of the namespace `a`.
    pub(crate) sidecar: bool,
}

impl Oracle<'_> {
    pub(crate) fn speaks_for(&self, name: &str) -> bool {
        let spec = &self.policy["spec"];
        let concerned = if self.sidecar { self.namespace() == "a" } else { spec["selector"].is_null() };
        let listed = |host: &str| covers(host, name) && (host == name || self.has(name) || self.is_whole(host));
        concerned
            && match spec["hosts"].as_array() {
                None => !self.is_broken() && self.has(name),
                Some(hosts) if self.is_broken() => hosts.iter().any(|host| covers(&text(host), name)),
                Some(hosts) => hosts.iter().any(|host| listed(&text(host))),
            }
    }

    /// Whether something that leads to a target gives it no host.
    pub(crate) fn lacks(&self, target: &Value) -> bool {
        let Some(object) = self.object(target) else { return true };
        match text(&target["kind"]).as_str() {
            "Gateway" => !items(&object["spec"]["listeners"]).any(|listener| is_meant(listener, target)),
            "Service" => self.leading(object).any(|route| self.lacks_hosts(route)) || self.any_unread(),
            _ => self.lacks_hosts(object),
        }
    }

    /// The targets contradict themselves or each other.
    pub(crate) fn is_broken(&self) -> bool {
        let targets: Vec<&Value> = items(&self.policy["spec"]["targetRefs"]).collect();
        let part = |target: &&Value| target["kind"] != "Gateway" && !target["sectionName"].is_null();
        let twice = |target: &&Value| targets.iter().filter(|other| *other == target).count() > 1;
        targets.iter().any(|target| part(target) || twice(target))
    }

    fn namespace(&self) -> String {
        text(&self.policy["metadata"]["namespace"])
    }

    fn object(&self, target: &Value) -> Option<&Value> {
        self.world.get(&[text(&target["kind"]), self.namespace(), text(&target["name"])])
    }

    /// Whether a name is one of any target.
    fn has(&self, name: &str) -> bool {
        items(&self.policy["spec"]["targetRefs"]).any(|target| self.is_of(target, name))
    }

    /// A listed host that is not narrowed.
    fn is_whole(&self, host: &str) -> bool {
        let met = |target: &Value| names().iter().any(|name| covers(host, name) && self.is_of(target, name));
        let waits = |target: &Value| {
            let service = self.object(target).filter(|_| target["kind"] == "Service");
            service.is_some_and(|service| self.leading(service).next().is_none() && !met(target))
        };
        let targets = || items(&self.policy["spec"]["targetRefs"]);
        targets().any(|target| self.lacks(target) || waits(target)) || !targets().any(met)
    }

    fn is_of(&self, target: &Value, name: &str) -> bool {
        let Some(object) = self.object(target) else { return false };
        let listeners = || items(&object["spec"]["listeners"]).filter(|listener| is_meant(listener, target));
        match text(&target["kind"]).as_str() {
            "Gateway" => listeners().any(|listener| match listener["hostname"].as_str() {
                None => self.may_be_any(),
                Some(host) => covers(host, name),
            }),
            "Service" => {
                self.is_called(&text(&target["name"]), name)
                    || self.leading(object).any(|route| self.leads(route, name))
            }
            _ => self.leads(object, name),
        }
    }

    /// Whether every host may be one of the policy.
    fn may_be_any(&self) -> bool {
        !self.policy["spec"]["hosts"].is_null() || !self.policy["spec"]["selector"].is_null()
    }

    fn leads(&self, route: &Value, name: &str) -> bool {
        let parents = || items(&route["spec"]["parentRefs"]);
        is_readable(route) && parents().any(|parent| self.comes((route, parent), name, self.may_be_any()))
    }

    fn lacks_hosts(&self, route: &Value) -> bool {
        let mut parents = items(&route["spec"]["parentRefs"]).peekable();
        let gives = |parent: &Value| names().iter().any(|name| self.comes((route, parent), name, true));
        !is_readable(route) || parents.peek().is_none() || !parents.all(gives)
    }

    /// Whether somebody serves a name on a Gateway of this namespace, or by routes of this namespace.
    pub(crate) fn is_served(&self, name: &str, namespace: &str) -> bool {
        let routes = self.world.values().filter(|body| text(&body["kind"]).ends_with("Route") && is_readable(body));
        let leading =
            routes.filter(|route| items(&route["spec"]["rules"]).any(|rule| items(&rule["backendRefs"]).count() > 0));
        leading.flat_map(|route| items(&route["spec"]["parentRefs"]).map(move |parent| (route, parent))).any(
            |(route, parent)| {
                let home = &route["metadata"]["namespace"];
                let is_near = parent["namespace"].as_str().or(home.as_str()) == Some(namespace) || home == namespace;
                parent["kind"].is_null() && is_near && self.comes((route, parent), name, true)
            },
        )
    }

    /// Whether a name comes to a route by one of its parents.
    fn comes(&self, (route, parent): (&Value, &Value), name: &str, any: bool) -> bool {
        let home = text(&route["metadata"]["namespace"]);
        let namespace = parent["namespace"].as_str().map_or(home.clone(), Into::into);
        match parent["kind"].as_str() {
            Some("Service") => {
                let there = self.world.contains_key(&["Service".to_owned(), home, text(&parent["name"])]);
                there && self.is_called(&text(&parent["name"]), name)
            }
            Some(_) => false,
            None => {
                let gateway = self.world.get(&["Gateway".to_owned(), namespace.clone(), text(&parent["name"])]);
                let listeners = gateway.into_iter().flat_map(|gateway| items(&gateway["spec"]["listeners"]));
                let taking = listeners.filter(|listener| {
                    match text(&listener["allowedRoutes"]["namespaces"]["from"]).as_str() {
                        "None" => false,
                        "Same" => home == namespace,
                        _ => true,
                    }
                });
                let hosts: Vec<String> = items(&route["spec"]["hostnames"]).map(text).collect();
                taking.filter(|listener| is_meant(listener, parent)).any(|listener| {
                    let bound = listener["hostname"].as_str();
                    let named = hosts.iter().any(|host| covers(host, name));
                    (bound.is_some() || !hosts.is_empty() || any)
                        && bound.is_none_or(|bound| covers(bound, name))
                        && (hosts.is_empty() || named)
                })
            }
        }
    }

    /// Whether a Service of the policy's namespace is called so.
    fn is_called(&self, service: &str, name: &str) -> bool {
        let namespace = self.namespace();
        match name.strip_prefix(&format!("{service}.{namespace}")) {
            Some(".svc" | ".svc.cluster.local") => true,
            Some("") => self.sidecar,
            Some(_) | None => self.sidecar && name == service,
        }
    }

    fn routes(&self) -> impl Iterator<Item = &Value> {
        let home = self.namespace();
        let here = self.world.iter().filter(move |([_, namespace, _], _)| *namespace == home);
        here.filter(|([kind, ..], _)| kind.ends_with("Route")).map(|(_, route)| route)
    }

    fn any_unread(&self) -> bool {
        self.routes().any(|route| !is_readable(route))
    }

    fn leading(&self, service: &Value) -> impl Iterator<Item = &Value> {
        let (name, home) = (&service["metadata"]["name"], &service["metadata"]["namespace"]);
        let backs = move |backend: &Value| {
            backend["name"] == *name && (backend["namespace"].is_null() || backend["namespace"] == *home)
        };
        let rules = |route: &'_ Value| route["spec"]["rules"].clone();
        self.routes()
            .filter(|route| is_readable(route))
            .filter(move |route| items(&rules(route)).any(|rule| items(&rule["backendRefs"]).any(backs)))
    }
}

/// One for HTTP, and the one that is named, if one is.
fn is_meant(listener: &Value, by: &Value) -> bool {
    listener["protocol"] != "TCP" && (by["sectionName"].is_null() || by["sectionName"] == listener["name"])
}

fn is_readable(route: &Value) -> bool {
    !items(&route["spec"]["hostnames"]).any(|host| host == "*.*.com")
}
