//! The API server takes our definitions, and accepts and rejects what the compiler does: for the corpus in
//! `cases/manifests`, and for every change of its objects that the schemas suggest.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::string_slice, reason = "identifiers are ASCII")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

#[path = "support/api_server.rs"]
#[expect(dead_code, reason = "other tests stop the server and act as others")]
mod api_server;
#[path = "support/free_port.rs"]
mod free_port;
#[path = "kube_schema/walk.rs"]
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use entrance::api::compile::Compiler;
use entrance::api::fault::About;
use entrance::api::object::{Object, Resources};
use entrance::api::schema::definitions;
use entrance::api::settings::Settings;
use entrance::files::yaml;
use kube::Client;
use serde_json::Value;

use api_server::{ADMIN, ApiServer};
use walk::{Change, Walk};

/// The documents of a file, each with the comment above it.
fn documents(file: &Path) -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(file).unwrap();
    let split = text.split("\n---\n").map(|text| {
        let comment = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default();
        let read = yaml::parse(text.as_bytes()).unwrap_or_else(|problem| panic!("{}: {problem}", file.display()));
        (comment.to_owned(), read.into_iter().next().unwrap().body)
    });
    split.collect()
}

fn corpus(folder: &str) -> Vec<(String, Vec<(String, Value)>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/manifests").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = files.map(|file| (file.display().to_string(), documents(&file))).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(!all.is_empty());
    all
}

/// The schema of a kind.
fn schema(kind: &str) -> Value {
    let definition = definitions().into_iter().find(|definition| definition.spec.names.kind == kind).unwrap();
    serde_json::to_value(&definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema).unwrap()
}

/// Where objects are tried.
struct Trial {
    client: Client,
    namespace: String,
}

impl Trial {
    async fn new(prefix: &str) -> Self {
        let server = ApiServer::shared().await;
        Self { client: server.client(ADMIN).await, namespace: server.namespace(prefix).await }
    }

    /// Whether the API server would take it, and what it says if not.
    async fn take(&self, object: &Value) -> Result<(), String> {
        let kind = object["kind"].as_str().unwrap();
        let plural = PLURALS.iter().find(|(known, _)| *known == kind).unwrap().1;
        let at = format!("/apis/entrance.dev/v1alpha1/namespaces/{}/{plural}", self.namespace);
        let request = http::Request::post(format!("{at}?dryRun=All&fieldValidation=Strict"))
            .header("content-type", "application/json")
            .body(serde_json::to_vec(object).unwrap())
            .unwrap();
        match self.client.request::<Value>(request).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if [400, 422].contains(&status.code) => Err(status.message),
            Err(other) => panic!("{other}"),
        }
    }
}

const PLURALS: [(&str, &str); 4] = [
    ("EntraApplication", "entraapplications"),
    ("AccessPolicy", "accesspolicies"),
    ("AccessGrant", "accessgrants"),
    ("TokenRevocation", "tokenrevocations"),
];

/// What the compiler finds invalid about the first of these objects, in the company of the others.
fn invalid<'v>(object: &Value, company: impl IntoIterator<Item = &'v Value>) -> Vec<String> {
    let read = |object: &Value| {
        let Value::Object(members) = object.clone() else { panic!("not an object: {object}") };
        Arc::new(Object::new(members).unwrap().unwrap())
    };
    let mut resources: Resources = Resources::new();
    for other in company {
        resources.put(read(other));
    }
    let object = read(object);
    resources.put(Arc::clone(&object));
    let faults = Compiler::default().compile(&resources, &Settings::default()).faults;
    let own = faults.into_iter().filter(|fault| fault.object == object.id && fault.about == About::Invalid);
    own.map(|fault| fault.to_string()).collect()
}

/// Checks a change with both; what is wrong with their answers.
async fn judge(trial: &Trial, change: &Change, company: &[&Value]) -> Option<String> {
    let taken = trial.take(&change.object).await;
    let found = invalid(&change.object, company.iter().copied());
    let short = |text: &str| text.chars().take(400).collect::<String>();
    if let (Err(said), true) = (&taken, found.is_empty()) {
        return Some(format!(
            "{}: the compiler has nothing against what the API server rejects: {}",
            change.what,
            short(said)
        ));
    }
    if taken.is_ok() && !found.is_empty() {
        return Some(format!("{}: the API server takes what the compiler rejects: {found:?}", change.what));
    }
    match (&change.must, &taken) {
        (Some(Ok(())), Err(said)) => Some(format!("{}: must be accepted: {}", change.what, short(said))),
        (Some(Err(path)), Ok(())) => Some(format!("{}: must be rejected for {path}", change.what)),
        (Some(Err(path)), Err(said)) if !said.contains(path.as_str()) => {
            Some(format!("{}: must name {path}: {}", change.what, short(said)))
        }
        (_, _) => None,
    }
}

#[tokio::test]
async fn both_accept_and_reject_every_change_that_the_schemas_suggest() {
    let trial = Trial::new("changes").await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/manifests/accepted/whole.yaml");
    let samples: Vec<Value> = documents(&file).into_iter().map(|(_, object)| object).collect();
    let (mut wrong, mut count, mut visited) = (Vec::new(), 0, BTreeMap::<&str, BTreeSet<String>>::new());
    for sample in &samples {
        let kind = sample["kind"].as_str().unwrap();
        let walk = Walk::of(sample, &schema(kind));
        visited.entry(kind).or_default().extend(walk.visited);
        let company: Vec<&Value> = samples.iter().filter(|other| *other != sample).collect();
        for change in &walk.changes {
            count += 1;
            wrong.extend(judge(&trial, change, &company).await.map(|what| format!("{kind} {what}")));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    for (kind, visited) in visited {
        let all = walk::fields(&schema(kind)["properties"]["spec"], "spec");
        let missing: Vec<_> = all.difference(&visited).collect();
        assert!(missing.is_empty(), "no {kind} in {} has {missing:?}", file.display());
    }
}

#[tokio::test]
async fn what_the_corpus_says_is_accepted_is_accepted_by_both() {
    let trial = Trial::new("accepted").await;
    for (file, documents) in corpus("accepted") {
        for (_, object) in &documents {
            let name = format!("{file}: {}", object["metadata"]["name"]);
            assert_eq!(trial.take(object).await, Ok(()), "{name}");
            let others = documents.iter().map(|(_, other)| other).filter(|other| *other != object);
            assert_eq!(invalid(object, others), [""; 0], "{name}");
        }
    }
}

#[tokio::test]
async fn what_the_corpus_says_is_rejected_is_rejected_by_both_and_named() {
    let trial = Trial::new("rejected").await;
    let company: Vec<Value> = corpus("accepted").into_iter().flat_map(|(_, all)| all).map(|(_, one)| one).collect();
    for (file, documents) in corpus("rejected") {
        for (comment, object) in &documents {
            let name = format!("{file}: {}", object["metadata"]["name"]);
            let wanted = comment.strip_prefix("rejected: ").unwrap_or_else(|| panic!("{name}: says not why"));
            let said = trial.take(object).await.expect_err(&name);
            assert!(said.contains(wanted), "{name}: {said}");
            assert_ne!(invalid(object, &company), [""; 0], "{name}: the compiler has nothing against it");
        }
    }
}

#[tokio::test]
async fn kubectl_shows_the_columns_of_the_whole_category() {
    let server = ApiServer::shared().await;
    let namespace = server.namespace("columns").await;
    let config = server.kubeconfig(ADMIN);
    let kubectl = |arguments: &[&str]| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin/kubectl");
        let program = if own.is_file() { own } else { "kubectl".into() };
        let mut command = Command::new(program);
        command.arg("--kubeconfig").arg(&config).args(["--namespace", &namespace]).args(arguments);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    kubectl(&["apply", "-f", "tests/cases/manifests/accepted/whole.yaml"]);
    let shown = kubectl(&["get", "entrance"]);
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    for columns in [
        &["NAME", "CLIENT", "ACCEPTED", "KEYS", "AGE"][..],
        &["NAME", "APPLICATION", "HOSTS", "TARGET", "MODE", "ACCEPTED", "PROGRAMMED", "AGE"],
        &["NAME", "POLICY", "ROLES", "PHASE", "LEFT", "EXPIRES", "AGE"],
        &["NAME", "APPLICATION", "ISSUED", "BEFORE", "PHASE", "LEFT", "AGE"],
    ] {
        assert!(rows.iter().any(|row| row == columns), "{columns:?}:\n{shown}");
    }
    for short in ["eapp", "apol", "agrant", "trev"] {
        assert!(kubectl(&["get", short, "-o", "name"]).contains("entrance.dev/"), "{short}");
    }
}
