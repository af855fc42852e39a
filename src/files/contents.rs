//! What one file holds: its resources, each with the places of its fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::api::field_path::FieldPath;
use crate::api::object::{Object, Unidentified};

use super::excerpt::shown;
use super::yaml::{self, Document, Lines, Packed, Problem};

/// What one file holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Its resources, in the order of the file; of one identity there is at most one.
    pub(super) held: Vec<Held>,
    /// How many resources of other people's kinds it holds.
    pub(super) foreign: usize,
}

/// One resource.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) object: Arc<Object>,
    pub(super) lines: Arc<Packed>,
}

/// Where a resource's name stands.
pub(super) fn named(lines: &Packed) -> (u32, u32) {
    lines.line(&FieldPath::root().field("metadata").field("name")).unwrap_or((1, 1))
}

/// Reads a file.
///
/// # Errors
/// All that is wrong with it: of a file that is half understood, nothing counts.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, Vec<Problem>> {
    let documents = yaml::parse(bytes).map_err(|problem| vec![problem])?;
    let mut reader = Reader::default();
    for document in documents {
        reader.take(document);
    }
    reader.tell_apart();
    if reader.problems.is_empty() { Ok(reader.contents) } else { Err(reader.problems) }
}

#[derive(Default)]
struct Reader {
    contents: Contents,
    problems: Vec<Problem>,
}

impl Reader {
    /// Takes a resource, or all of a list. A list in a list is as deep as YAML may nest.
    fn take(&mut self, document: Document) {
        let Document { body, lines } = document;
        match body {
            Value::Object(mut members) if is_list(&members) => match members.remove("items") {
                Some(Value::Array(items)) => {
                    let path = FieldPath::root().field("items");
                    for (at, body) in items.into_iter().enumerate() {
                        self.take(Document { body, lines: lines.below(&path.index(at)) });
                    }
                }
                Some(Value::Null) => {}
                Some(_) | None => {
                    self.complain(&lines, &FieldPath::root().field("items"), "must be a list of resources")
                }
            },
            Value::Object(members) => self.identify(members, lines),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                self.complain(&lines, &FieldPath::root(), "must be a resource, with apiVersion, kind and metadata");
            }
        }
    }

    fn identify(&mut self, body: Map<String, Value>, lines: Lines) {
        let secrets = unprintable(&body);
        match Object::new(body) {
            Ok(None) => self.contents.foreign = self.contents.foreign.saturating_add(1),
            Ok(Some(object)) => {
                self.contents.held.push(Held { object: Arc::new(object), lines: Arc::new(Packed::new(&lines)) })
            }
            Err(Unidentified { path, problem }) => {
                let clean =
                    |problem: String, (raw, shown): &(String, String)| problem.replace(&format!("`{raw}`"), shown);
                self.complain(&lines, &path, &secrets.iter().fold(problem.into(), clean));
            }
        }
    }

    /// Finds resources of one identity.
    fn tell_apart(&mut self) {
        let mut seen = BTreeMap::new();
        for held in &self.contents.held {
            if let Some(first) = seen.insert(&held.object.id, &held.lines) {
                let ((first, _), (line, column)) = (named(first), named(&held.lines));
                let message = format!("{} stands in line {first} already; remove one of the two", held.object.id);
                self.problems.push(Problem { line, column, message: message.into() });
            }
        }
    }

    fn complain(&mut self, lines: &Lines, path: &FieldPath, problem: &str) {
        let (line, column) = lines.line(path).unwrap_or((1, 1));
        let message = if path.steps().is_empty() { problem.into() } else { format!("{path}: {problem}").into() };
        self.problems.push(Problem { line, column, message });
    }
}

fn is_list(members: &Map<String, Value>) -> bool {
    let is = |name: &str, text: &str| members.get(name).is_some_and(|value| value == text);
    is("apiVersion", "v1") && is("kind", "List")
}

/// The scalars that a problem of identity would repeat, and what to print instead.
fn unprintable(body: &Map<String, Value>) -> Vec<(String, String)> {
    let scalars = ["apiVersion", "kind"].into_iter().filter_map(|name| body.get(name)?.as_str());
    let pairs = scalars.map(|raw| (raw.to_owned(), shown(raw)));
    pairs.filter(|(raw, shown)| *shown != format!("`{raw}`")).collect()
}
