//! Admission without a cluster: reviews as texts, verdicts as tables.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod desk;
mod grants;
mod pods;
mod resources;
mod reviews;

use entrance::admission::review::{self, Request, Verdict};
use serde_json::{Value, json};

/// A question as the API server puts it: kind, operation, the object before and after, and who asks.
fn request(kind: &str, operation: &str, (old, new): (Value, Value)) -> Request {
    let group = if kind == "Pod" { "" } else { "entrance.dev" };
    let object = if new.is_null() { &old } else { &new };
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "kind": {"group": group, "version": "v1", "kind": kind},
            "name": object["metadata"]["name"].as_str().unwrap_or_default(), "namespace": "shop",
            "operation": operation, "object": new, "oldObject": old,
            "userInfo": {"username": "ada", "uid": "2", "groups": ["system:authenticated"]},
        },
    });
    review::read(body.to_string().as_bytes()).unwrap()
}

/// The message of a refusal; of anything else, nothing.
fn refused(verdict: &Verdict) -> &str {
    verdict.outcome.as_ref().err().map_or("", |refusal| &refusal.message)
}

/// An object after the changes of a verdict, which are all about members.
fn changed(object: &Value, verdict: &Verdict) -> Value {
    let mut object = object.clone();
    for change in verdict.outcome.as_ref().unwrap() {
        let change = change.render();
        let (parent, name) = change["path"].as_str().unwrap().rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match change["op"].as_str().unwrap() {
            "remove" => assert!(parent.remove(name).is_some(), "{change}"),
            "replace" => assert!(parent.insert(name.to_owned(), change["value"].clone()).is_some(), "{change}"),
            "add" => drop(parent.insert(name.to_owned(), change["value"].clone())),
            other => panic!("{other}"),
        }
    }
    object
}
