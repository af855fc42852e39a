//! Every YAML block of the documentation is sound: it is read by the reader of policy files, resources in it compile
//! without a fault, and parts of an Envoy configuration fit into the one of the examples, which Envoy itself accepts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use entrance::api::compile::Compiler;
use entrance::api::object::{Object, Resources};
use entrance::api::settings::Settings;
use entrance::files::yaml;
use serde_json::{Map, Value};

/// One fenced block.
struct Block {
    page: PathBuf,
    line: usize,
    text: String,
}

impl Block {
    fn place(&self) -> String {
        format!("{}:{}", self.page.display(), self.line)
    }

    fn documents(&self) -> Vec<Map<String, Value>> {
        let read = yaml::parse(self.text.as_bytes()).unwrap_or_else(|problem| panic!("{}: {problem}", self.place()));
        let object = |document: yaml::Document| {
            let Value::Object(members) = document.body else { panic!("{}: not an object", self.place()) };
            members
        };
        read.into_iter().map(object).collect()
    }

    fn objects(&self) -> Vec<Arc<Object>> {
        let known = self.documents().into_iter().filter(|document| document.contains_key("kind"));
        let object = |document| Object::new(document).unwrap_or_else(|why| panic!("{}: {why:?}", self.place()));
        known.filter_map(object).map(Arc::new).collect()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages of the documentation, each with its blocks.
fn pages() -> Vec<Vec<Block>> {
    let mut pages = Vec::new();
    for folder in ["", "docs", "docs/reference", "docs/decisions"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let page = entry.unwrap().path();
            if page.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&page).unwrap();
                pages.push(blocks(page.strip_prefix(root()).unwrap(), &text));
            }
        }
    }
    pages
}

/// The YAML blocks of a page.
fn blocks(page: &Path, text: &str) -> Vec<Block> {
    let (mut blocks, mut open) = (Vec::new(), None::<Block>);
    for (at, line) in text.lines().enumerate() {
        match (&mut open, line.trim_end()) {
            (None, "```yaml" | "```yml") => {
                open = Some(Block { page: page.to_owned(), line: at.saturating_add(2), text: String::new() });
            }
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "{}: a block does not end", page.display());
    blocks
}

/// What is wrong with the resources of a block, given those of the other blocks of its page.
fn faults(block: &Block, others: &[Block]) -> Vec<String> {
    let mut resources = Resources::new();
    for object in others.iter().chain([block]).flat_map(Block::objects) {
        resources.put(object);
    }
    let compiled = Compiler::default().compile(&resources, &Settings::default());
    compiled.faults.iter().map(|fault| format!("{}: {fault}", block.place())).collect()
}

#[test]
fn every_resource_of_the_docs_compiles() {
    let pages = pages();
    let faults: Vec<String> = pages.iter().flat_map(|page| page.iter().flat_map(|block| faults(block, page))).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    let resources: usize = pages.iter().flatten().map(|block| block.objects().len()).sum();
    assert!(resources >= 6, "only {resources} resources were found in the docs");
}

#[test]
fn a_broken_resource_of_the_docs_is_found() {
    let page = "text\n```yaml\napiVersion: entrance.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: p}\n\
                spec: {applicationRef: {name: a}, hosts: [h.example], routes: []}\n```\n";
    let found = blocks(Path::new("x.md"), page);
    assert_eq!(found.len(), 1);
    let faults = faults(&found[0], &[]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("x.md:3: AccessPolicy default/p: spec.applicationRef: "), "{}", faults[0]);
}

/// Envoy's own opinion of a configuration.
fn envoy_says(configuration: &Value) -> Result<(), String> {
    let envoy = root().join(".tools/bin/envoy");
    assert!(envoy.exists(), "no Envoy for tests: run `make tools`");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("envoy.json");
    fs::write(&file, configuration.to_string()).unwrap();
    let said = Command::new(envoy).args(["--mode", "validate", "--log-level", "warning", "-c"]).arg(&file).output();
    let said = said.unwrap();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    if said.status.success() && !text.contains("Deprecated") { Ok(()) } else { Err(text) }
}

fn configuration(file: &Path) -> Value {
    yaml::parse(&fs::read(file).unwrap()).unwrap().remove(0).body
}

/// The configuration of the examples, with a part of the docs put at its place.
fn with(part: &Map<String, Value>) -> Value {
    let mut whole = configuration(&root().join("examples/envoy/envoy.yaml"));
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    for (name, value) in part {
        let place = match name.as_str() {
            "access_log" => manager.to_owned(),
            "routes" => format!("{manager}/route_config/virtual_hosts/0"),
            _ => "/static_resources/clusters/0".to_owned(),
        };
        let place = whole.pointer_mut(&place).and_then(Value::as_object_mut).unwrap();
        place.insert(name.clone(), value.clone());
    }
    whole
}

#[test]
fn envoy_accepts_the_examples_and_every_part_of_the_docs() {
    for entry in fs::read_dir(root().join("examples/envoy")).unwrap() {
        let file = entry.unwrap().path();
        assert_eq!(envoy_says(&configuration(&file)), Ok(()), "{}", file.display());
    }
    let parts = pages().into_iter().flatten().flat_map(|block| block.documents());
    // Istio's own words are tested with Istio.
    let parts: Vec<_> = parts.filter(|part| !part.contains_key("kind") && !part.contains_key("meshConfig")).collect();
    assert!(parts.len() >= 3, "only {} parts were found in the docs", parts.len());
    for part in parts {
        assert_eq!(envoy_says(&with(&part)), Ok(()), "{part:?}");
    }
    let wrong = Map::from_iter([("health_cheques".to_owned(), Value::Null)]);
    assert!(envoy_says(&with(&wrong)).is_err());
}
