//! Any bytes at all are read without a panic, and any JSON means as YAML what it means as JSON, field by field.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;

use entrance::api::field_path::FieldPath;
use entrance::files::yaml::{self, Document};
use proptest::prelude::*;
use serde_json::{Map, Value};

fn documents(text: &str) -> Vec<Document> {
    yaml::parse(text.as_bytes()).unwrap_or_else(|problem| panic!("{problem}\n{text}"))
}

fn bodies(text: &str) -> Vec<Value> {
    documents(text).into_iter().map(|document| document.body).collect()
}

/// Any JSON, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// Block style, as far as it goes; scalars as in JSON.
fn write_block(value: &Value, margin: &str, text: &mut String) {
    let inner = format!("{margin}  ");
    match value {
        Value::Array(elements) if !elements.is_empty() => {
            for element in elements {
                write!(text, "\n{margin}-").unwrap();
                write_block(element, &inner, text);
            }
        }
        Value::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                write!(text, "\n{margin}? {}\n{margin}:", Value::from(key.as_str())).unwrap();
                write_block(member, &inner, text);
            }
        }
        scalar @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_)) => write!(text, " {scalar}").unwrap(),
    }
}

/// All paths to members, and their names; all paths to elements, and the elements.
fn walk(value: &Value, here: &FieldPath, found: &mut Vec<(FieldPath, String)>) {
    match value {
        Value::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                let there = here.index(at);
                let text = serde_json::to_string_pretty(element).unwrap();
                found.push((there.clone(), text.lines().next().unwrap().to_owned()));
                walk(element, &there, found);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                let there = here.field(key);
                found.push((there.clone(), Value::from(key.as_str()).to_string()));
                walk(member, &there, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn never_panics(bytes: &[u8]) {
    // A panic would be caught by `parse`, and told so.
    let refused = yaml::parse(bytes).map_or_else(|problem| problem.to_string(), |_| String::new());
    assert!(!refused.contains("parser failed"), "{:?}", String::from_utf8_lossy(bytes));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        never_panics(&bytes);
    }

    #[test]
    fn no_text_of_indicators_makes_the_reader_panic(text in "([-?:,&*!|>'\"%@`#\\[\\]{}~<]|[ab01]|[ \n\r\t]|\u{feff}|\u{85}|---|\\.\\.\\.|\n  |: |- |\\? |%TAG |!<|\\\\x?)*") {
        never_panics(text.as_bytes());
    }

    #[test]
    fn json_means_the_same_read_as_yaml(value in any_json()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap(), format!("---\n{value}\n...\n")] {
            prop_assert_eq!(bodies(&text), std::slice::from_ref(&value), "{}", text);
        }
    }

    #[test]
    fn a_value_means_the_same_in_block_style(value in any_json()) {
        let mut text = String::new();
        write_block(&value, "", &mut text);
        prop_assert_eq!(bodies(&text), [value], "{}", text);
    }

    #[test]
    fn at_the_place_of_a_field_stands_the_field(value in any_json()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let lines = documents(&text).remove(0).lines;
        let mut fields = Vec::new();
        walk(&value, &FieldPath::root(), &mut fields);
        for (path, expected) in fields {
            let (line, column) = lines.line(&path).unwrap();
            let line = text.split('\n').zip(1..).find(|(_, number)| *number == line).unwrap().0;
            let rest: String = line.chars().zip(1..).filter(|(_, number)| *number >= column).map(|(character, _)| character).collect();
            prop_assert!(rest.starts_with(&expected), "{path} at {rest:?}, not {expected:?}");
        }
    }
}
