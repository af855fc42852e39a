//! `entrance crds`: the custom resource definitions, generated from the types that describe the resources.

use std::borrow::Cow;

use saphyr::{Scalar, Yaml, YamlEmitter};
use serde_json::{Value, json};

use crate::api::schema::definitions;

use super::args::{CrdsArgs, Markup};
use super::out::Out;
use super::{Outcome, UsageError};

/// Prints them.
pub(super) fn run(args: &CrdsArgs) -> Result<Outcome, UsageError> {
    let definitions: Result<Vec<Value>, _> = definitions().iter().map(serde_json::to_value).collect();
    let definitions = definitions.map_err(|error| UsageError::new(format!("cannot print the definitions: {error}")))?;
    match args.output {
        Markup::Json => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": definitions});
            Out.line(&format!("{list:#}"));
        }
        Markup::Yaml => {
            for definition in &definitions {
                Out.line(&document(definition)?);
            }
        }
    }
    Ok(Outcome::Done)
}

/// A YAML document, beginning with `---`.
fn document(value: &Value) -> Result<String, UsageError> {
    let mut text = String::new();
    let dumped = YamlEmitter::new(&mut text).dump(&yaml(value));
    dumped.map_err(|error| UsageError::new(format!("cannot write YAML: {error}")))?;
    Ok(text)
}

fn yaml(value: &Value) -> Yaml<'_> {
    Yaml::Value(match value {
        Value::Null => Scalar::Null,
        Value::Bool(truth) => Scalar::Boolean(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Scalar::Integer(number),
            (None, Some(number)) => Scalar::FloatingPoint(number.into()),
            (None, None) => Scalar::Null,
        },
        Value::String(text) => string(text),
        Value::Array(items) => return Yaml::Sequence(items.iter().map(yaml).collect()),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (Yaml::Value(string(name)), yaml(value)));
            return Yaml::Mapping(members.collect());
        }
    })
}

const fn string(text: &str) -> Scalar<'_> {
    Scalar::String(Cow::Borrowed(text))
}
