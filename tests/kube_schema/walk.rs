//! Changes of a sound object, derived from its schema: each bound reached and overstepped, each field taken away, made
//! `null`, given another type or an unknown neighbour.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// A changed object.
pub(crate) struct Change {
    /// What was changed.
    pub(crate) what: String,
    /// The whole object.
    pub(crate) object: Value,
    /// It must be accepted, or rejected with a message that has this text; otherwise both sides need only agree.
    pub(crate) must: Option<Result<(), String>>,
}

/// All changes of an object.
pub(crate) struct Walk<'o> {
    object: &'o Value,
    /// What was found.
    pub(crate) changes: Vec<Change>,
    /// The fields that the object has, with `[]` for elements.
    pub(crate) visited: BTreeSet<String>,
}

/// A place in the object: its pointer, and its path as the API server writes it.
#[derive(Clone)]
struct Place {
    pointer: String,
    path: String,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        Self { pointer: format!("{}/{name}", self.pointer), path: format!("{}.{name}", self.path) }
    }

    fn item(&self, at: usize) -> Self {
        Self { pointer: format!("{}/{at}", self.pointer), path: format!("{}[{at}]", self.path) }
    }
}

impl<'o> Walk<'o> {
    /// Walks `spec` of an object.
    pub(crate) fn of(object: &'o Value, schema: &Value) -> Self {
        let mut walk = Self { object, changes: Vec::new(), visited: BTreeSet::new() };
        let spec = Place { pointer: "/spec".to_owned(), path: "spec".to_owned() };
        walk.node(&schema["properties"]["spec"], &spec);
        walk
    }

    fn node(&mut self, schema: &Value, place: &Place) {
        let Some(value) = self.object.pointer(&place.pointer) else { return };
        self.visited.insert(place.path.split(['[', ']']).step_by(2).collect::<Vec<_>>().join("[]"));
        let another = if schema["type"] == "string" { json!(7) } else { json!("another type") };
        self.reject(place, "another type", another);
        match (value, schema["type"].as_str()) {
            (Value::Object(members), Some("object")) => self.members(schema, place, members),
            (Value::Array(items), Some("array")) => self.items(schema, place, items),
            (Value::String(text), Some("string")) => self.text(schema, place, text),
            (Value::Bool(_), Some("boolean")) => {}
            (other, kind) => panic!("{}: {other} is no {kind:?}", place.path),
        }
    }

    fn members(&mut self, schema: &Value, place: &Place, members: &Map<String, Value>) {
        if let Some(labels) = schema.get("additionalProperties") {
            assert_eq!(labels["type"], "string");
            self.labels(schema, place);
            return;
        }
        let mut more = members.clone();
        more.insert("surplus".to_owned(), json!(1));
        self.reject(&place.clone(), "an unknown field", Value::Object(more));
        if schema.get("minProperties").is_some() {
            self.reject(place, "no member", json!({}));
        }
        for (name, below) in schema["properties"].as_object().unwrap() {
            if members.contains_key(name) {
                let field = place.field(name);
                let mut fewer = members.clone();
                fewer.remove(name);
                let required = schema["required"].as_array().is_some_and(|names| names.contains(&json!(name)));
                let must = required.then(|| Err(field.path.clone()));
                self.change(place, (&format!("without {name}"), must.clone()), Value::Object(fewer));
                self.change(&field, ("null", must), Value::Null);
                self.node(below, &field);
            }
        }
    }

    fn labels(&mut self, schema: &Value, place: &Place) {
        let most = schema["maxProperties"].as_u64().unwrap();
        let so_many = |count: u64| -> Value {
            (0..count).map(|at| (format!("key{at}"), json!("v"))).collect::<Map<_, _>>().into()
        };
        self.change(place, ("as many as may be", Some(Ok(()))), so_many(most));
        self.reject(place, "too many", so_many(most + 1));
        self.reject(place, "too few", so_many(0));
        let labels = [
            (json!({"k".repeat(317): "v".repeat(63)}), true),
            (json!({"k".repeat(318): "v"}), false),
            (json!({"k": "v".repeat(64)}), false),
            (json!({"k": ""}), false),
            (json!({"k": 1}), false),
        ];
        for (label, fits) in labels {
            let must = if fits { Ok(()) } else { Err(place.path.clone()) };
            self.change(place, ("a label", Some(must)), label);
        }
    }

    fn items(&mut self, schema: &Value, place: &Place, items: &[Value]) {
        if items.is_empty() {
            return;
        }
        let most = usize::try_from(schema["maxItems"].as_u64().unwrap()).unwrap();
        let so_many = |count: usize| -> Value { (0..count).map(|at| another(&items[0], at, place)).collect() };
        if schema["items"].get("enum").is_none() {
            self.change(place, ("as many as may be", Some(Ok(()))), so_many(most));
        }
        self.reject(place, "too many", so_many(most + 1));
        if schema["minItems"].as_u64().unwrap_or(0) > 0 {
            self.reject(place, "none", json!([]));
        } else {
            self.change(place, ("none", Some(Ok(()))), json!([]));
        }
        self.change(place, ("a null among them", None), json!([items[0], null]));
        self.change(place, ("one of them twice", None), json!([items[0], items[0]]));
        for at in 0..items.len() {
            self.node(&schema["items"], &place.item(at));
        }
    }

    fn text(&mut self, schema: &Value, place: &Place, text: &str) {
        if schema.get("enum").is_some() {
            self.reject(place, "another word", json!("Nonsense"));
            return;
        }
        let most = usize::try_from(schema["maxLength"].as_u64().unwrap()).unwrap();
        self.reject(place, "too long", json!("a".repeat(most + 1)));
        self.change(place, ("empty", Some(Err(place.path.clone()))), json!(""));
        if schema.get("pattern").is_some() {
            self.reject(place, "against the pattern", json!(" \u{7}\"\\"));
        }
        if schema["format"] == "date-time" {
            self.reject(place, "no moment", json!("tomorrow"));
        }
        let fits = Some(Ok(()));
        match longest(schema, place, (text, most)) {
            Some(longest) => self.change(place, ("as long as may be", fits), json!(longest)),
            None => self.change(place, ("as it is", fits), json!(text)),
        }
    }

    fn reject(&mut self, place: &Place, what: &str, value: Value) {
        self.change(place, (what, Some(Err(place.path.clone()))), value);
    }

    fn change(&mut self, place: &Place, (what, must): (&str, Option<Result<(), String>>), value: Value) {
        let mut object = self.object.clone();
        *object.pointer_mut(&place.pointer).unwrap() = value;
        self.changes.push(Change { what: format!("{}: {what}", place.path), object, must });
    }
}

/// Texts that mean something: they cannot be made longer at will, or must name something that is there.
const MEANT: [&str; 9] =
    [".authority", ".id", ".clientId", ".oid", ".client", ".subject.tenant", ".subject.group", ".tenant", "At"];

/// A text of `most` characters that fits.
fn longest(schema: &Value, place: &Place, (text, most): (&str, usize)) -> Option<String> {
    let elements = ["hosts", "tenants", "groups", "clients", "allowedClients", "authContexts"];
    let element = |name: &str| place.path.ends_with(']') && place.path.contains(&format!(".{name}["));
    if MEANT.iter().any(|end| place.path.ends_with(end)) || elements.iter().any(|name| element(name)) {
        return None;
    }
    if ["Age", "Lifetime", "clockSkew"].iter().any(|end| place.path.ends_with(end)) || schema["format"] == "date-time" {
        return None;
    }
    Some(match place.path.rsplit('.').next().unwrap() {
        "when" | "inline" => text.to_owned() + &" ".repeat(most - text.len()),
        "path" => format!("/{}", "a".repeat(most - 1)),
        name if name.starts_with("methods") => "A".repeat(most),
        _ => "a".repeat(most),
    })
}

/// An element like this one that is another one, where that matters.
fn another(item: &Value, at: usize, place: &Place) -> Value {
    match item {
        Value::String(text) if place.path.ends_with(".tenants") => json!(text),
        Value::String(text) if text == "*" => json!(format!("x{at}.example.com")),
        Value::String(text) if text.len() == 36 => json!(format!("{}{at:012x}", &text[..24])),
        Value::String(text) if text.starts_with('/') => json!(format!("{text}/x{at}")),
        Value::String(text) if place.path.ends_with("authContexts") => json!(format!("{}{}", &text[..1], at + 1)),
        Value::String(_) if place.path.ends_with("methods") => json!(format!("M{at}")),
        Value::String(text) => json!(format!("x{at}{text}")),
        Value::Object(members) => {
            let vary = |(name, value): (&String, &Value)| {
                let value = if ["name", "id", "path"].contains(&name.as_str()) {
                    another(value, at, &place.field(name))
                } else {
                    value.clone()
                };
                (name.clone(), value)
            };
            members.iter().map(vary).collect::<Map<_, _>>().into()
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => other.clone(),
    }
}

/// All fields of a schema, with `[]` for elements.
pub(crate) fn fields(schema: &Value, path: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::from([path.to_owned()]);
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        found.extend(fields(below, &format!("{path}.{name}")));
    }
    if let Some(items) = schema.get("items") {
        found.extend(fields(items, &format!("{path}[]")));
    }
    found
}
