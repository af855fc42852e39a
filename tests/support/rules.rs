//! Resources from text, and what the rules say to a request without a token.

use std::sync::Arc;

use bytes::Bytes;
use entrance::api::object::{Object, Resources};
use entrance::clock::UnixTime;
use entrance::files::yaml;
use entrance::identity::ApplicationId;
use entrance::policy::decide::{Evidence, Verdict, decide};
use entrance::policy::locate::locate;
use entrance::policy::snapshot::Snapshot;
use entrance::reason::ReasonCode;
use entrance::request::{Named, Request};
use serde_json::Value;

/// The first document of a YAML text.
pub(crate) fn yaml(text: &str) -> Value {
    yaml::parse(text.as_bytes()).unwrap().swap_remove(0).body
}

/// A resource.
pub(crate) fn document(body: Value) -> Object {
    let Value::Object(body) = body else { panic!("not an object: {body}") };
    Object::new(body).unwrap().unwrap()
}

/// A set of resources, no two of which are the same one.
pub(crate) fn resources(objects: impl IntoIterator<Item = Object>) -> Resources {
    let mut resources = Resources::new();
    for object in objects {
        assert!(resources.put(Arc::new(object)).is_none(), "a resource occurs twice");
    }
    resources
}

/// The reason code or the permit's cause for method, host and path without a token.
pub(crate) fn reason(snapshot: &Snapshot, (method, host, path): (&str, &str, &str)) -> &'static str {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let (method, host, target) = (text(method), text(host), text(path));
    let request =
        Request { method: &method, host: &host, target: &target, headers: &Vec::new(), named: Named::default() };
    let located = locate(snapshot, &request);
    let evidence = |_: &ApplicationId| Evidence::Rejected(ReasonCode::TokenMissing);
    match decide(&located, &evidence, UnixTime(1_800_000_000)).verdict {
        Verdict::Permit(permit) => permit.code(),
        Verdict::Deny(denial) => denial.reason().code(),
        Verdict::Unavailable(outage) => outage.reason().code(),
    }
}
