//! The README of the chart: what the schema says of each value, and the default that `values.yaml` gives it.

use std::fmt::Write as _;
use std::path::Path;

use entrance::files::yaml;
use serde_json::Value;

const HEAD: &str = "\
# entrance

The chart of [Entrance](../../README.md): the controller, the admission webhook that injects sidecars, and an optional shared
gateway. [Installing](../../docs/install.md) is told step by step; this page lists the values.

```sh
helm upgrade --install entrance-crds charts/entrance-crds
helm upgrade --install entrance charts/entrance --namespace entrance --create-namespace --set image.repository=REGISTRY/entrance
helm test entrance --namespace entrance
```

Every value can be set with `--set`. The schema refuses names that it does not know and values of another form, with a
message. The same values always give the same objects: nothing is random, nothing is read from the cluster.

This file is generated from `values.schema.json` and `values.yaml`: `make gen`.

## Values
";

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/entrance").join(name)).unwrap()
}

/// What the file must hold. Fails if a default has no description, or a description no default.
pub(crate) fn readme() -> String {
    let schema: Value = serde_json::from_slice(&file("values.schema.json")).unwrap();
    let values = yaml::parse(&file("values.yaml")).unwrap().remove(0).body;
    let mut page = HEAD.to_owned();
    let mut general = String::new();
    let mut sections = String::new();
    for (name, of) in schema["properties"].as_object().unwrap() {
        let default = values.get(name).unwrap_or_else(|| panic!("`{name}` has no default"));
        if of["properties"].is_object() {
            write!(sections, "\n### {name}\n\n{}\n{TABLE}", described(name, of)).unwrap();
            rows(&mut sections, name, (of, default));
        } else {
            row(&mut general, name, (of, default));
        }
    }
    let known = |name: &String| assert!(schema["properties"].get(name).is_some(), "`{name}` has no description");
    values.as_object().unwrap().keys().for_each(known);
    write!(page, "{TABLE}{general}{sections}").unwrap();
    page
}

const TABLE: &str = "\n| value | default | meaning |\n| --- | --- | --- |\n";

fn described<'s>(path: &str, schema: &'s Value) -> &'s str {
    let text = schema["description"].as_str().unwrap_or_default();
    assert!(text.ends_with('.'), "`{path}` wants a description: {text}");
    text
}

/// The rows of an object's members.
fn rows(page: &mut String, path: &str, (schema, default): (&Value, &Value)) {
    let (properties, defaults) = (schema["properties"].as_object().unwrap(), default.as_object().unwrap());
    for (name, of) in properties {
        let path = format!("{path}.{name}");
        match defaults.get(name) {
            Some(default) if of["properties"].is_object() && default != &serde_json::json!({}) => {
                rows(page, &path, (of, default));
            }
            Some(default) => row(page, &path, (of, default)),
            // A member of something that is empty by default.
            None => panic!("`{path}` has no default"),
        }
    }
    for name in defaults.keys() {
        assert!(properties.contains_key(name), "`{path}.{name}` has no description");
    }
}

fn row(page: &mut String, path: &str, (schema, default): (&Value, &Value)) {
    let mut meaning = described(path, schema).replace('|', "\\|");
    let words = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let words: Vec<String> = words.map(|word| format!("`{}`", if word.is_empty() { "\"\"" } else { word })).collect();
    if !words.is_empty() {
        write!(meaning, " One of {}.", words.join(", ")).unwrap();
    }
    if let Some(members) = schema["properties"].as_object().or_else(|| schema["items"]["properties"].as_object()) {
        let members: Vec<String> = members.keys().map(|name| format!("`{name}`")).collect();
        write!(meaning, " Members: {}.", members.join(", ")).unwrap();
    }
    writeln!(page, "| `{path}` | `{default}` | {meaning} |").unwrap();
}
