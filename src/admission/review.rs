//! `AdmissionReview` of `admission.k8s.io/v1`: what the API server asks, and the shape of an answer.
//!
//! The bytes are a stranger's until they are read: the body is bounded by the port, depth by the reader, and an answer is
//! made for nothing but a whole request. What cannot be read is no review: the API server does then what its
//! configuration says of a webhook that fails.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Largest review, in bytes: an object and its former self, each of which the API server bounds at about 3 MiB.
pub const MAX_REVIEW: usize = 8 << 20;
/// The API server cuts a warning at 256 bytes.
const MAX_WARNING: usize = 256;
/// It drops warnings beyond 4 KiB altogether.
const MAX_WARNINGS: usize = 15;
const API_VERSION: &str = "admission.k8s.io/v1";

/// Why bytes are not a review.
#[derive(Debug, thiserror::Error)]
pub enum ReviewFault {
    /// Not JSON, or not of this shape.
    #[error("the body is no AdmissionReview: {0}")]
    Shape(#[from] serde_json::Error),
    /// Another version.
    #[error("`{0}` is unknown; send `AdmissionReview` of `admission.k8s.io/v1`")]
    Version(String),
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// A new object.
    Create,
    /// Another state of an object.
    Update,
    /// The end of an object.
    Delete,
    /// A connection to an object, as for `kubectl exec`.
    Connect,
}

/// Who wants it, as the API server authenticated them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct User {
    /// The name.
    #[serde(default)]
    pub username: String,
    /// The id; empty if the authenticator gives none.
    #[serde(default)]
    pub uid: String,
    /// The groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What else the authenticator said.
    #[serde(default)]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Which question; the answer repeats it.
    pub uid: String,
    /// The kind of the object.
    pub kind: GroupKind,
    /// A part of it: `status`, `exec`.
    #[serde(default)]
    pub sub_resource: Option<String>,
    /// Its name; empty if the API server is to make one.
    #[serde(default)]
    pub name: String,
    /// Its namespace.
    #[serde(default)]
    pub namespace: String,
    /// What is to be done with it.
    pub operation: Operation,
    /// By whom.
    #[serde(default)]
    pub user_info: User,
    /// What it is to be; absent for a deletion.
    #[serde(default)]
    pub object: Option<Map<String, Value>>,
    /// What it was; absent for a creation.
    #[serde(default)]
    pub old_object: Option<Map<String, Value>>,
    /// Nothing will be kept, whatever the answer.
    #[serde(default)]
    pub dry_run: Option<bool>,
}

/// The kind of an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GroupKind {
    /// The API group; empty for the core.
    #[serde(default)]
    pub group: String,
    /// The kind.
    pub kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    request: Request,
}

/// Reads a review.
///
/// # Errors
/// [`ReviewFault`].
pub fn read(body: &[u8]) -> Result<Request, ReviewFault> {
    let review: Review = serde_json::from_slice(body)?;
    if review.api_version != API_VERSION || review.kind != "AdmissionReview" {
        return Err(ReviewFault::Version(format!("{} {}", review.api_version, review.kind)));
    }
    Ok(review.request)
}

impl Request {
    /// The `metadata` of an object.
    #[must_use]
    pub fn metadata(object: Option<&Map<String, Value>>) -> Option<&Map<String, Value>> {
        object?.get("metadata")?.as_object()
    }

    /// Whether it changes nothing that anybody judges, but labels, owners or finalizers. An object that is on its way out
    /// is no exception: a finalizer may keep it for as long as somebody likes, and until then it counts.
    #[must_use]
    pub fn leaves_spec(&self) -> bool {
        let (Some(new), Some(old)) = (&self.object, &self.old_object) else { return false };
        self.operation == Operation::Update && new.get("spec") == old.get("spec")
    }
}

/// A change of an object on its way in (RFC 6902).
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    op: &'static str,
    path: String,
    value: Option<Value>,
}

impl Change {
    /// Puts a value where none is, into a list before the element of that index (`-`: at its end).
    pub fn add(path: impl Into<String>, value: Value) -> Self {
        Self { op: "add", path: path.into(), value: Some(value) }
    }

    /// Puts a value where another one is.
    pub fn replace(path: impl Into<String>, value: Value) -> Self {
        Self { op: "replace", path: path.into(), value: Some(value) }
    }

    /// Takes a value away.
    pub fn remove(path: impl Into<String>) -> Self {
        Self { op: "remove", path: path.into(), value: None }
    }

    /// As it is sent.
    #[must_use]
    pub fn render(&self) -> Value {
        let mut change = json!({"op": self.op, "path": self.path});
        if let (Some(members), Some(value)) = (change.as_object_mut(), &self.value) {
            members.insert("value".to_owned(), value.clone());
        }
        change
    }
}

/// Why something is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status that the user gets.
    pub code: u16,
    /// The reason of a Kubernetes status.
    pub reason: &'static str,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl Refusal {
    /// The object is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { code: 422, reason: "Invalid", message: message.into() }
    }

    /// The user may not.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { code: 403, reason: "Forbidden", message: message.into() }
    }

    /// It cannot be told now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { code: 503, reason: "ServiceUnavailable", message: message.into() }
    }
}

/// One answer: refused, or allowed with changes and warnings.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What to change, or why not.
    pub outcome: Result<Vec<Change>, Refusal>,
    /// For the person at the terminal.
    pub warnings: Vec<String>,
}

impl Verdict {
    /// It may pass as it is.
    #[must_use]
    pub const fn pass() -> Self {
        Self { outcome: Ok(Vec::new()), warnings: Vec::new() }
    }

    /// It may pass with changes.
    #[must_use]
    pub const fn change(changes: Vec<Change>) -> Self {
        Self { outcome: Ok(changes), warnings: Vec::new() }
    }

    /// It may not pass.
    #[must_use]
    pub const fn refuse(refusal: Refusal) -> Self {
        Self { outcome: Err(refusal), warnings: Vec::new() }
    }

    /// The same with warnings.
    #[must_use]
    pub fn warning(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    /// As it is sent, for the question of this uid.
    #[must_use]
    pub fn render(&self, uid: &str) -> Value {
        let mut response = Map::new();
        response.insert("uid".to_owned(), json!(uid));
        response.insert("allowed".to_owned(), json!(self.outcome.is_ok()));
        match &self.outcome {
            Ok(changes) if changes.is_empty() => {}
            Ok(changes) => {
                let patch = Value::Array(changes.iter().map(Change::render).collect());
                response.insert("patchType".to_owned(), json!("JSONPatch"));
                response.insert("patch".to_owned(), json!(STANDARD.encode(patch.to_string())));
            }
            Err(Refusal { code, reason, message }) => {
                let status = json!({"status": "Failure", "code": code, "reason": reason, "message": message});
                response.insert("status".to_owned(), status);
            }
        }
        if !self.warnings.is_empty() {
            response.insert("warnings".to_owned(), json!(told(&self.warnings)));
        }
        json!({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response})
    }
}

/// As many warnings as are shown, each as long as it is shown.
fn told(warnings: &[String]) -> Vec<String> {
    let mut told: Vec<String> = warnings.iter().take(MAX_WARNINGS).map(|text| clipped(text)).collect();
    if warnings.len() > MAX_WARNINGS {
        told.push(format!("and {} more warnings", warnings.len().saturating_sub(MAX_WARNINGS)));
    }
    told
}

/// Of one line and of bounded length.
fn clipped(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    if line.len() <= MAX_WARNING {
        return line;
    }
    let most = MAX_WARNING.saturating_sub("…".len());
    let end = line.char_indices().map(|(at, _)| at).take_while(|at| *at <= most).last().unwrap_or(0);
    format!("{}…", line.get(..end).unwrap_or_default())
}
