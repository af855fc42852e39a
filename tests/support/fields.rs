//! The fields of the resources, as the compiler itself names them, and resources without one of them.
//!
//! Nobody keeps a list: an unknown field is a fault that tells which fields there are.

use entrance::api::compile::Compiler;
use entrance::api::settings::Settings;
use serde_json::{Value, json};

use crate::rules::{document, resources};

/// A field: the kind of its resource, the way to the object that has it (`*` for each element of a list, `entry` for
/// entries wherever they stand), and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Field {
    kind: &'static str,
    way: &'static [&'static str],
    name: String,
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}.{}", self.kind, self.way.join("."), self.name)
    }
}

type Way = &'static [&'static str];

/// Every object of the resources that has fields.
const OBJECTS: [(&str, Way); 12] = [
    ("EntraApplication", &["spec"]),
    ("EntraApplication", &["spec", "tenants", "*"]),
    ("EntraApplication", &["spec", "groups", "*"]),
    ("EntraApplication", &["spec", "keys"]),
    ("EntraApplication", &["spec", "keys", "staticJwks"]),
    ("EntraApplication", &["spec", "keys", "staticJwks", "configMapRef"]),
    ("AccessPolicy", &["spec"]),
    ("AccessPolicy", &["spec", "applicationRef"]),
    ("AccessPolicy", &["spec", "targetRefs", "*"]),
    ("AccessPolicy", &["spec", "selector"]),
    ("AccessPolicy", &["spec", "routes", "*"]),
    ("AccessPolicy", &["spec", "entry"]),
];

/// The fields that no object names by itself.
const ENVELOPE: [(&str, &str); 2] = [("AccessPolicy", "creationTimestamp"), ("AccessPolicy", "namespace")];

fn sample(kind: &str) -> Value {
    let spec = match kind {
        "EntraApplication" => json!({"tenants": [{}], "groups": [{}], "keys": {"staticJwks": {"configMapRef": {}}}}),
        _ => {
            json!({"applicationRef": {}, "targetRefs": [{}], "selector": {}, "routes": [{"path": "/", "allow": [{}]}]})
        }
    };
    json!({"apiVersion": "entrance.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec})
}

/// All fields.
pub(crate) fn all() -> Vec<Field> {
    let envelope = ENVELOPE.map(|(kind, name)| Field { kind, way: &["metadata"], name: name.into() });
    let mut fields = envelope.to_vec();
    for (kind, way) in OBJECTS {
        let mut body = sample(kind);
        visit(&mut body, way, &mut |object| object["unheard-of"] = json!(1));
        let compiled = Compiler::default().compile(&resources([document(body)]), &Settings::default());
        let faults: Vec<String> = compiled.faults.iter().map(ToString::to_string).collect();
        let told = faults.iter().find_map(|fault| fault.split_once("unheard-of: is an unknown field; there are "));
        let (_, names) = told.unwrap_or_else(|| panic!("{way:?} does not tell its fields: {faults:?}"));
        fields.extend(names.split(", ").map(|name| Field { kind, way, name: name.to_owned() }));
    }
    fields
}

impl Field {
    /// The resources without this field; nothing if none has it.
    pub(crate) fn without(&self, documents: &[Value]) -> Option<Vec<Value>> {
        let mut changed = documents.to_vec();
        for body in changed.iter_mut().filter(|body| body["kind"] == self.kind) {
            visit(body, self.way, &mut |object| drop(object.as_object_mut().map(|members| members.remove(&self.name))));
        }
        (changed != documents).then_some(changed)
    }
}

/// Every object at the end of a way.
fn visit(value: &mut Value, way: &[&str], change: &mut dyn FnMut(&mut Value)) {
    let Some((step, rest)) = way.split_first() else {
        if value.is_object() {
            change(value);
        }
        return;
    };
    match (*step, value) {
        ("*", Value::Array(items)) => items.iter_mut().for_each(|item| visit(item, rest, change)),
        ("entry", spec) => {
            for way in [&["deny", "*"][..], &["routes", "*", "allow", "*"], &["routes", "*", "deny", "*"]] {
                visit(spec, way, change);
            }
        }
        (name, Value::Object(members)) => {
            if let Some(member) = members.get_mut(name) {
                visit(member, rest, change);
            }
        }
        _ => {}
    }
}
