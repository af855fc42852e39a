//! Whether one of our resources may come in, change, or go.
//!
//! What is wrong with an object **by itself** is refused, everything at once, with the path of each field. What is wrong
//! with it **in the company** of the others is a warning: a reference may be resolved by the object that is applied next,
//! and the order in which things are applied must not matter. The one exception is a set of routes that would make the
//! host of others deny everything.
//!
//! The compiler says what is wrong, the same one that every data plane uses. A change that leaves the spec as it was is
//! not judged: labels, owners and finalizers of an object that came in before must not depend on it.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use crate::api::compile::{Compiled, Compiler};
use crate::api::fault::{About, Fault};
use crate::api::field_path::FieldPath;
use crate::api::lint;
use crate::api::object::{GROUP, Kind, Object, ObjectId, Resources, VERSION};
use crate::api::settings::{Scope, Settings};

use super::review::{Operation, Refusal, Request, Verdict};

/// Lets an application go that policies still refer to.
pub const ALLOW_DELETE: &str = "entrance.dev/allow-delete";
/// It empties a namespace that is on its way out.
const NAMESPACE_CONTROLLER: &str = "system:serviceaccount:kube-system:namespace-controller";
/// As many faults as are told at once.
const MAX_FAULTS: usize = 20;
/// As many policies as are named.
const MAX_USERS: usize = 5;

/// Judges objects among all others.
pub struct Judge {
    settings: Settings,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    compiler: Compiler,
    /// What is wrong without the object in question.
    before: Option<(Arc<Resources>, Vec<Fault>)>,
}

/// What is wrong with an object among all others.
struct Company {
    /// Of the object, beside what is wrong with it alone.
    own: Vec<Fault>,
    /// Of others, because of it.
    others: Vec<Fault>,
    remarks: Vec<lint::Remark>,
}

impl Judge {
    /// A judge by these settings; their scope does not matter.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Settings { scope: Scope::Gateway, ..settings }, known: Mutex::default() }
    }

    /// Judges a request about an object of ours. `resources` is everything that stands.
    #[must_use]
    pub fn judge(&self, request: &Request, kind: Kind, resources: &Arc<Resources>) -> Verdict {
        match request.operation {
            Operation::Create => self.coming(request, kind, resources),
            Operation::Update if request.leaves_spec() => Verdict::pass(),
            Operation::Update => self.coming(request, kind, resources),
            Operation::Delete => going(request, kind, resources),
            Operation::Connect => Verdict::pass(),
        }
    }

    fn coming(&self, request: &Request, kind: Kind, resources: &Arc<Resources>) -> Verdict {
        let object = match object(request, kind) {
            Ok(object) => Arc::new(object),
            Err(refusal) => return Verdict::refuse(refusal),
        };
        let alone = self.alone(&object);
        if !alone.is_empty() {
            return Verdict::refuse(refusal(&object.id, &alone));
        }
        let company = self.company(&object, resources);
        let all = company.own.iter().chain(&company.others);
        let tangled: Vec<&Fault> = all.filter(|fault| is_tangled(fault)).collect();
        if !tangled.is_empty() {
            return Verdict::refuse(refusal(&object.id, &tangled));
        }
        Verdict::pass().warning(company.warnings())
    }

    /// What is wrong with an object whatever else there is.
    fn alone(&self, object: &Arc<Object>) -> Vec<Fault> {
        let mut resources = Resources::new();
        resources.put(Arc::clone(object));
        let settings = Settings { scope: scope(object), ..self.settings.clone() };
        let faults = Compiler::default().compile(&resources, &settings).faults;
        faults.into_iter().filter(|fault| fault.about == About::Invalid).collect()
    }

    fn company(&self, object: &Arc<Object>, resources: &Arc<Resources>) -> Company {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.before(resources, &self.settings);
        let mut among = Resources::clone(resources);
        among.put(Arc::clone(object));
        let compiled: Compiled = known.compiler.compile(&among, &self.settings);
        drop(known);
        let remarks = lint::remarks(object, &among, &compiled);
        let (own, others) = compiled.faults.into_iter().partition(|fault| fault.object == object.id);
        let others: Vec<Fault> = others;
        // INVARIANT: `before` is ordered, as faults of the compiler are.
        let others = others.into_iter().filter(|fault| before.binary_search(fault).is_err()).collect();
        Company { own, others, remarks }
    }
}

impl Known {
    fn before(&mut self, resources: &Arc<Resources>, settings: &Settings) -> Vec<Fault> {
        match &self.before {
            Some((of, faults)) if Arc::ptr_eq(of, resources) => faults.clone(),
            Some(_) | None => {
                let faults = self.compiler.compile(resources, settings).faults;
                self.before = Some((Arc::clone(resources), faults.clone()));
                faults
            }
        }
    }
}

impl Company {
    fn warnings(&self) -> Vec<String> {
        let own = self.own.iter().map(|fault| format!("{}: {}", fault.path, fault.problem));
        let remarks = self.remarks.iter().map(|remark| format!("{}: {}", remark.path, remark.problem));
        let others = self.others.iter().map(|fault| format!("because of this: {fault}"));
        own.chain(remarks).chain(others).collect()
    }
}

/// Routes of several policies that together close a host for all of them.
fn is_tangled(fault: &Fault) -> bool {
    fault.about == About::Invalid
        && fault.object.kind == Kind::AccessPolicy
        && fault.path == FieldPath::root().field("spec").field("routes")
}

/// Whoever enforces it.
fn scope(object: &Object) -> Scope {
    let body = object.body();
    let selector = body.get("spec").and_then(|spec| spec.pointer("/selector/matchLabels"));
    let Some(labels) = selector.and_then(Value::as_object) else { return Scope::Gateway };
    let text = |(key, value): (&String, &Value)| value.as_str().map(|value| (key.clone(), value.to_owned()));
    Scope::Workload { namespace: Arc::clone(&object.id.namespace), labels: labels.iter().filter_map(text).collect() }
}

fn refusal(id: &ObjectId, faults: &[impl std::borrow::Borrow<Fault>]) -> Refusal {
    let told = |fault: &Fault| {
        let of = if fault.object == *id { String::new() } else { format!("{}: ", fault.object) };
        format!("{of}{}: {}", fault.path, fault.problem)
    };
    let mut parts: Vec<String> = faults.iter().take(MAX_FAULTS).map(|fault| told(fault.borrow())).collect();
    if faults.len() > MAX_FAULTS {
        parts.push(format!("and {} more", faults.len().saturating_sub(MAX_FAULTS)));
    }
    let count = if faults.len() == 1 { String::new() } else { format!("{} faults: ", faults.len()) };
    Refusal::invalid(format!("{id} is invalid: {count}{}", parts.join("; ")))
}

/// The object as the compiler knows objects: without status, versions and annotations.
fn object(request: &Request, kind: Kind) -> Result<Object, Refusal> {
    let given = request.object.as_ref().ok_or_else(|| Refusal::invalid("there is no object to judge"))?;
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), Value::String(name(request)));
    metadata.insert("namespace".to_owned(), Value::String(request.namespace.clone()));
    let known = Request::metadata(Some(given));
    for member in ["creationTimestamp", "generation"] {
        if let Some(value) = known.and_then(|known| known.get(member)).filter(|value| !value.is_null()) {
            metadata.insert(member.to_owned(), value.clone());
        }
    }
    let mut body = Map::new();
    body.insert("apiVersion".to_owned(), Value::String(format!("{GROUP}/{VERSION}")));
    body.insert("kind".to_owned(), Value::String(kind.as_str().to_owned()));
    body.insert("metadata".to_owned(), Value::Object(metadata));
    let others =
        given.iter().filter(|(name, _)| !["apiVersion", "kind", "metadata", "status"].contains(&name.as_str()));
    body.extend(others.map(|(name, value)| (name.clone(), value.clone())));
    match Object::new(body) {
        Ok(Some(object)) => Ok(object),
        Ok(None) => Err(Refusal::invalid("the object is none of entrance.dev/v1alpha1")),
        Err(fault) => Err(Refusal::invalid(format!("{}: {}", fault.path, fault.problem))),
    }
}

/// The object's name, or one like that which it is going to have.
fn name(request: &Request) -> String {
    if !request.name.is_empty() {
        return request.name.clone();
    }
    let metadata = Request::metadata(request.object.as_ref());
    let text = |member: &str| metadata.and_then(|known| known.get(member)).and_then(Value::as_str);
    text("name").map_or_else(|| format!("{}x", text("generateName").unwrap_or_default()), str::to_owned)
}

/// An application that policies refer to stays, since they would deny everything from then on.
fn going(request: &Request, kind: Kind, resources: &Resources) -> Verdict {
    if kind != Kind::EntraApplication || request.user_info.username == NAMESPACE_CONTROLLER {
        return Verdict::pass();
    }
    let annotations = Request::metadata(request.old_object.as_ref()).and_then(|known| known.get("annotations"));
    if annotations.and_then(|known| known.get(ALLOW_DELETE)).and_then(Value::as_str) == Some("true") {
        return Verdict::pass();
    }
    let users: Vec<String> = resources
        .of(Kind::AccessPolicy)
        .filter(|policy| refers(policy, request))
        .map(|policy| format!("{}/{}", policy.id.namespace, policy.id.name))
        .collect();
    if users.is_empty() {
        return Verdict::pass();
    }
    let named = users.iter().take(MAX_USERS).cloned().collect::<Vec<_>>().join(", ");
    let more = users.len().saturating_sub(MAX_USERS);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Verdict::refuse(Refusal::forbidden(format!(
        "EntraApplication {}/{} is used by AccessPolicy {named}{more}, which would deny everything without it; \
         delete those first, or annotate it with `{ALLOW_DELETE}: \"true\"`",
        request.namespace, request.name
    )))
}

fn refers(policy: &Object, request: &Request) -> bool {
    // Most do not, and there may be ten thousand: what does not hold the name is not read.
    if !policy.text().contains(&*request.name) {
        return false;
    }
    let body = policy.body();
    let reference = body.get("spec").and_then(|spec| spec.get("applicationRef"));
    let text = |member: &str| reference.and_then(|reference| reference.get(member)).and_then(Value::as_str);
    text("name") == Some(&request.name) && text("namespace").unwrap_or(&policy.id.namespace) == request.namespace
}
