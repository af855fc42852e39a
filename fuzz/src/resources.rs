//! `resources`: lines of JSON, each perhaps a resource, compiled. Whatever is wrong with them, nothing broken lets
//! anybody through, and what was compiled before makes no difference.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use entrance::api::compile::{Compiled, Compiler};
use entrance::api::fault::{About, Fault};
use entrance::api::field_path::Step;
use entrance::api::object::{Kind, Object, Resources};
use entrance::api::settings::Settings;
use entrance::api::target;
use entrance::authorize::Authorizer;
use entrance::authorize::ports::Decide;
use entrance::authorize::world::World;
use entrance::policy::decide::{Cause, Permit, Verdict};
use entrance::policy::host::HostPattern;
use entrance::request::{Named, Request};
use serde_json::Value;

use super::check::NoKeys;
use super::world::{APP, CLOCK, KEYS, USER};

/// For mutations.
pub const WORDS: &[&str] = &[
    "\"spec\":{",
    "\"hosts\":[",
    "\"*\"",
    "\"*.example.com\"",
    "\"orders.example.com\"",
    "\"routes\":[",
    "\"path\":",
    "\"/orders/{id}\"",
    "\"/{*rest}\"",
    "\"/../\"",
    "\"methods\":[\"GET\"]",
    "\"allow\":[",
    "\"deny\":[",
    "{\"callers\":\"Any\"}",
    "\"anonymous\":true",
    "\"roles\":[",
    "\"allRoles\":[",
    "\"groups\":[",
    "\"when\":\"",
    "\"mode\":\"Shadow\"",
    "\"preflight\":\"Allow\"",
    "\"selector\":{\"matchLabels\":{}}",
    "\"applicationRef\":{\"name\":\"orders-api\"}",
    "\"namespace\":\"shop\"",
    "\"namespace\":\"evil\"",
    "\"name\":\"",
    "\"creationTimestamp\":",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "0",
    "-1",
    "1e9",
    ",",
    "}",
    "]",
    "\n",
    "\"maxSessionAge\":\"8h\"",
    "\"authContexts\":[\"c1\"]",
    "\"targetRefs\":[",
    "{\"group\":\"gateway.networking.k8s.io\",\"kind\":\"HTTPRoute\",\"name\":\"orders\"}",
    "{\"group\":\"\",\"kind\":\"Service\",\"name\":\"orders\"}",
    "\"hostnames\":[",
    "\"parentRefs\":[",
    "\"sectionName\":\"",
];

/// The target.
///
/// # Panics
/// Something broken admits, or the result depends on what was compiled before.
pub fn resources(data: &[u8]) {
    let objects: Vec<Arc<Object>> = data.split(|byte| *byte == b'\n').take(16).filter_map(object).collect();
    let (mut all, mut without_last) = (Resources::new(), Resources::new());
    for (at, object) in objects.iter().enumerate() {
        all.put(Arc::clone(object));
        if at + 1 < objects.len() {
            without_last.put(Arc::clone(object));
        }
    }
    let settings = Settings { keys: Some(KEYS.clone()), ..Settings::default() };
    let compiled = Compiler::default().compile(&all, &settings);
    let again = {
        let mut compiler = Compiler::default();
        compiler.compile(&all, &settings);
        compiler.compile(&without_last, &settings);
        compiler.compile(&all, &settings)
    };
    assert_eq!(compiled.faults, again.faults, "faults depend on what was compiled before");
    let (first, second) = (decider(&compiled), decider(&again));
    for probe in probes(&all) {
        let permit = probe.ask(&first);
        assert_eq!(permit.as_ref().map(described), probe.ask(&second).as_ref().map(described), "{probe:?}");
        if let Some(permit) = permit {
            sound(&permit, (&all, &compiled.faults), &probe);
        }
    }
}

fn object(line: &[u8]) -> Option<Arc<Object>> {
    match serde_json::from_slice(line).ok()? {
        Value::Object(body) => Object::new(body).ok().flatten().map(Arc::new),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

fn decider(compiled: &Compiled) -> Authorizer {
    let authorizer = Authorizer::with_keys(Arc::new(NoKeys), 8, Arc::new(CLOCK));
    authorizer.publish(Arc::new(World::new(1, Arc::clone(&compiled.snapshot), &compiled.profiles)));
    authorizer
}

/// What let a request through.
struct Through {
    permit: Permit,
    policy: Option<(Arc<str>, Arc<str>)>,
    route: Option<Arc<str>>,
}

fn described(through: &Through) -> String {
    format!("{} {:?} {:?}", through.permit.code(), through.policy, through.route)
}

/// One request.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Probe {
    host: String,
    path: String,
    method: &'static str,
    headers: Lines,
}

type Lines = &'static [(&'static str, &'static str)];

static CALLERS: LazyLock<[Lines; 2]> = LazyLock::new(|| {
    let line = |value: &'static str| Box::leak(Box::new([("authorization", value)])) as Lines;
    [line(USER), line(APP)]
});

const PREFLIGHT: Lines = &[("origin", "https://a.example"), ("access-control-request-method", "GET")];

impl Probe {
    fn ask(&self, authorizer: &Authorizer) -> Option<Through> {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let headers: Vec<(Bytes, Bytes)> =
            self.headers.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
        let (method, host, target) = (bytes(self.method), bytes(&self.host), bytes(&self.path));
        let request =
            Request { method: &method, host: &host, target: &target, headers: &headers, named: Named::default() };
        let Ok(decision) = authorizer.try_decide(&request) else { panic!("static keys need no wait") };
        let matched = decision.verdict.matched().cloned();
        let policy =
            matched.as_ref().map(|matched| (Arc::clone(&matched.policy.namespace), Arc::clone(&matched.policy.name)));
        match decision.verdict {
            Verdict::Permit(permit) => Some(Through { permit, policy, route: matched.map(|matched| matched.route) }),
            Verdict::Deny(_) | Verdict::Unavailable(_) => None,
        }
    }
}

/// Requests to the first hosts and paths that the resources name.
fn probes(all: &Resources) -> BTreeSet<Probe> {
    let texts = |list: Option<&Value>| list.and_then(Value::as_array).cloned().unwrap_or_default();
    let (mut hosts, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for object in all.of(Kind::AccessPolicy) {
        let body = object.body();
        let spec = body.get("spec");
        let named = texts(spec.and_then(|spec| spec.get("hosts")));
        hosts.extend(named.iter().filter_map(Value::as_str).map(|host| host.replace('*', "a")));
        for route in texts(spec.and_then(|spec| spec.get("routes"))) {
            paths.extend(route.get("path").and_then(Value::as_str).map(concrete));
        }
    }
    for route in all.of(Kind::HttpRoute) {
        let named = texts(route.body().get("spec").and_then(|spec| spec.get("hostnames")));
        hosts.extend(named.iter().filter_map(Value::as_str).map(|host| host.replace('*', "a")));
    }
    let mut probes = BTreeSet::new();
    for host in hosts.iter().take(4) {
        for path in paths.iter().take(6) {
            let probe = |method, headers| Probe { host: host.clone(), path: path.clone(), method, headers };
            probes.extend(CALLERS.iter().flat_map(|caller| [probe("GET", *caller), probe("POST", *caller)]));
            probes.insert(probe("OPTIONS", PREFLIGHT));
        }
    }
    probes
}

/// A path that the template covers, if it is one.
fn concrete(template: &str) -> String {
    let segments = template.split('/').map(|segment| match segment {
        rest if rest.starts_with("{*") => "7/8",
        parameter if parameter.starts_with('{') => "7",
        literal => literal,
    });
    segments.collect::<Vec<_>>().join("/")
}

/// What a fault takes along.
#[derive(Debug, PartialEq, Eq)]
enum Damage {
    /// Nothing here: the host is somebody else's, a target gives none, or a proxy does not ask.
    Elsewhere,
    /// One route.
    Route(usize),
    /// Every route that needs a token.
    Protected,
    /// The whole policy.
    Whole,
    /// Every host of the namespace.
    Namespace,
}

fn damage(fault: &Fault) -> Damage {
    let steps: Vec<String> = fault.path.steps().iter().map(step).collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    match (&fault.about, steps.as_slice()) {
        (About::Target | About::Host { .. } | About::Bypass, _) => Damage::Elsewhere,
        (About::Invalid | About::Reference, steps) => invalid(steps),
    }
}

fn invalid(steps: &[&str]) -> Damage {
    match steps {
        ["spec", "hosts" | "targetRefs", ..] => Damage::Namespace,
        ["spec", "deny" | "applicationRef", ..] => Damage::Protected,
        ["spec", "routes", _, "path"] => Damage::Whole,
        ["spec", "routes", at, ..] => at.parse().map_or(Damage::Whole, Damage::Route),
        _ => Damage::Whole,
    }
}

fn step(step: &Step) -> String {
    match step {
        Step::Field(name) => name.to_string(),
        Step::Index(at) => at.to_string(),
    }
}

/// What let the request through must be free of damage.
fn sound(through: &Through, (all, faults): (&Resources, &[Fault]), probe: &Probe) {
    let protected = match through.permit.cause() {
        Cause::ShadowOnly => return,
        Cause::AllowEntry { .. } => true,
        Cause::AnonymousRoute | Cause::Preflight => false,
    };
    let (Some((namespace, name)), Some(route)) = (&through.policy, &through.route) else {
        panic!("a permit of nobody")
    };
    let policies = || all.of(Kind::AccessPolicy).filter(|object| object.id.namespace == *namespace);
    let object = policies().find(|object| object.id.name == *name).expect("a policy out of nowhere");
    let owner = owner(all, &probe.host);
    assert!(owner.is_none_or(|owner| *owner == **namespace), "{probe:?} belongs to {owner:?}, not to {namespace}");
    let enforces = |fault: &Fault| {
        let body = all.get(&fault.object).map(|object| object.body()).unwrap_or_default();
        body.get("spec").and_then(|spec| spec.get("mode")?.as_str()) != Some("Shadow")
    };
    let at = object.body()["spec"]["routes"]
        .as_array()
        .and_then(|routes| routes.iter().position(|other| other["name"] == **route));
    for fault in
        faults.iter().filter(|fault| fault.object.kind == Kind::AccessPolicy && fault.object.namespace == *namespace)
    {
        let own = fault.object.name == *name;
        let harmless = match damage(fault) {
            Damage::Elsewhere => true,
            Damage::Route(broken) => !own || at != Some(broken),
            Damage::Protected => !own || !protected,
            Damage::Whole => !own,
            Damage::Namespace => !enforces(fault),
        };
        assert!(harmless, "{fault} lets {probe:?} through");
    }
}

/// The namespace of the oldest policy that enforces and names the host, or a wildcard above it; else of the oldest that names
/// the host itself. Selectors are for sidecars; this world is a gateway.
fn owner<'a>(all: &'a Resources, host: &str) -> Option<&'a str> {
    // Which hosts lead to a target is not known here.
    let attached = |object: &Arc<Object>| !target::of(object).is_empty();
    if all.of(Kind::AccessPolicy).any(attached) {
        return None;
    }
    let names = |object: &Object, fits: &dyn Fn(&str) -> bool| {
        let body = object.body();
        let spec = body.get("spec").and_then(Value::as_object);
        let hosts = spec.and_then(|spec| spec.get("hosts")).and_then(Value::as_array);
        let any = |hosts: &Vec<Value>| {
            (1..=64).contains(&hosts.len()) && hosts.iter().any(|other| other.as_str().is_some_and(fits))
        };
        spec.is_some_and(|spec| !spec.contains_key("selector")) && hosts.is_some_and(any)
    };
    let enforces = |object: &Object| {
        let body = object.body();
        body.get("spec").and_then(|spec| spec.get("mode")?.as_str()) != Some("Shadow")
    };
    let itself = |text: &str| text == host;
    let covers = |text: &str| {
        let wildcard = matches!(HostPattern::parse(text), Ok(HostPattern::Wildcard(_)));
        itself(text)
            || (wildcard && text.strip_prefix('*').is_some_and(|end| host.len() > end.len() && host.ends_with(end)))
    };
    let age = |object: &&Arc<Object>| (object.created.unwrap_or(i128::MAX), object.id.clone());
    let oldest = |wanted: &dyn Fn(&Object) -> bool| {
        all.of(Kind::AccessPolicy).filter(|object| wanted(object)).min_by_key(age).map(|object| &*object.id.namespace)
    };
    oldest(&|object| enforces(object) && names(object, &covers)).or_else(|| oldest(&|object| names(object, &itself)))
}

/// How many of the requests that the resources suggest they let through.
#[must_use]
pub fn permits(data: &[u8]) -> usize {
    let mut all = Resources::new();
    for object in data.split(|byte| *byte == b'\n').filter_map(object) {
        all.put(object);
    }
    let settings = Settings { keys: Some(KEYS.clone()), ..Settings::default() };
    let decider = decider(&Compiler::default().compile(&all, &settings));
    probes(&all).iter().filter(|probe| probe.ask(&decider).is_some()).count()
}
