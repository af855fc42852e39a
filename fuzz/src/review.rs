//! `review`: what the API server sends to `/validate` and `/mutate`. Answers can be applied, and asking again changes nothing.

use std::sync::{Arc, LazyLock};

use entrance::admission::grant::{self, Approval, Rules};
use entrance::admission::inject::sidecar::Sidecar;
use entrance::admission::inject::{self, Ground, NAME, Version};
use entrance::admission::review::{Change, Operation, Request, Verdict, read};
use entrance::admission::validate::Judge;
use entrance::api::object::{Kind, Resources};
use entrance::api::settings::Settings;
use entrance::clock::UnixTime;
use serde_json::{Map, Value, json};

/// For mutations.
pub const WORDS: &[&str] = &[
    "\"kind\":\"AccessGrant\"",
    "\"kind\":\"AccessPolicy\"",
    "\"kind\":\"Pod\"",
    "\"operation\":\"UPDATE\"",
    "\"approved\":true",
    "\"requestedBy\":{\"username\":\"eve\",\"at\":\"2026-01-01T00:00:00Z\"}",
    "\"approvedBy\":null",
    "\"expiresAt\":\"2099-01-01T00:00:00Z\"",
    "\"spec\":{}",
    "\"spec\":[]",
    "\"metadata\":null",
    "\"annotations\":{\"entrance.dev/listen\":\"unix\"}",
    "\"annotations\":{\"entrance.dev/injected\":\"0\"}",
    "\"initContainers\":[{\"name\":\"istio-init\"},{\"name\":\"entrance\"}]",
    "\"volumes\":[{\"name\":\"entrance-state\"}]",
    "\"containers\":[1]",
    "\"hostNetwork\":true",
    "\"name\":\"entrance\"",
    "null",
    "{}",
    "[]",
    ",",
];

const NOW: UnixTime = UnixTime(1_800_000_000);
const RULES: Rules = Rules { longest: 43_200, approval: Approval::Required };
static SIDECAR: LazyLock<Sidecar> = LazyLock::new(|| {
    Sidecar::read(json!({"image": "entrance", "controller": "https://controller:9193"})).expect("a sound sidecar")
});

/// The target.
///
/// # Panics
/// An answer cannot be applied, asking again changes something, or a stamp is not that of the user.
pub fn review(data: &[u8]) {
    let Ok(request) = read(data) else { return };
    if inject::concerns(&request) {
        pod(&request);
    }
    let kind = Kind::of("entrance.dev/v1alpha1", &request.kind.kind);
    let Ok(Some(kind)) = kind else { return };
    let judge = Judge::new(Settings::default());
    let resources = Arc::new(Resources::new());
    let verdict = judge.judge(&request, kind, &resources);
    well_formed(&request, &verdict);
    assert_eq!(verdict, judge.judge(&request, kind, &resources), "what was judged before changes nothing");
    if kind == Kind::AccessGrant {
        stamped(&request);
    }
}

/// An answer repeats the question's id, and says one thing.
fn well_formed(request: &Request, verdict: &Verdict) {
    let response = &verdict.render(&request.uid)["response"];
    assert_eq!(response["uid"], request.uid.as_str());
    assert_eq!(response["allowed"], response["status"].is_null());
    assert!(response["patch"].is_null() == response["patchType"].is_null());
    for warning in response["warnings"].as_array().into_iter().flatten() {
        assert!(warning.as_str().expect("a text").len() <= 256);
    }
}

/// The object after the changes, as the API server applies them: a parent must be there, and what is replaced or removed.
fn applied(object: &Map<String, Value>, changes: &[Change]) -> Map<String, Value> {
    let mut whole = Value::Object(object.clone());
    for change in changes.iter().map(Change::render) {
        let (parent, name) = change["path"].as_str().and_then(|path| path.rsplit_once('/')).expect("a path");
        let parent = whole.pointer_mut(parent).and_then(Value::as_object_mut).expect("a parent that is an object");
        match change["op"].as_str() {
            Some("remove") => assert!(parent.remove(name).is_some(), "{change}"),
            Some("replace") => assert!(parent.insert(name.to_owned(), change["value"].clone()).is_some(), "{change}"),
            Some("add") => drop(parent.insert(name.to_owned(), change["value"].clone())),
            other => panic!("{other:?}"),
        }
    }
    whole.as_object().expect("an object").clone()
}

fn pod(request: &Request) {
    let version = Some(Version { major: 1, minor: 33 });
    let ground = Ground { sidecar: Some(&SIDECAR), authority: Some("PEM"), version, namespace: "entrance" };
    let verdict = inject::inject(request, &ground);
    well_formed(request, &verdict);
    let (Ok(changes), Some(object)) = (&verdict.outcome, &request.object) else { return };
    let after = applied(object, changes);
    let mut again = request.clone();
    again.object = Some(after.clone());
    assert_eq!(inject::inject(&again, &ground).outcome, Ok(Vec::new()), "injected twice");
    let kept =
        object.get("metadata").is_some_and(|metadata| metadata["annotations"]["entrance.dev/injected"].is_string());
    if changes.is_empty() || kept {
        return;
    }
    let sidecar = &after["spec"]["initContainers"][0];
    assert_eq!(sidecar["name"], NAME, "not the first");
    let context = &sidecar["securityContext"];
    assert_eq!(context["runAsNonRoot"], true);
    assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(
        (&context["allowPrivilegeEscalation"], &context["readOnlyRootFilesystem"]),
        (&json!(false), &json!(true))
    );
}

fn stamped(request: &Request) {
    let Some(object) = &request.object else { return };
    let after = applied(object, &grant::stamps(request, &RULES, NOW));
    let mut again = request.clone();
    again.object = Some(after.clone());
    assert_eq!(grant::stamps(&again, &RULES, NOW), [], "stamped twice");
    let examined = grant::examine(&again, &RULES, NOW);
    let user = &request.user_info;
    let old = request.old_object.as_ref().and_then(|old| old.get("spec"));
    let was = |name: &str| old.and_then(|old| old.get(name)).filter(|value| !value.is_null());
    let judged =
        request.operation == Operation::Create || (request.operation == Operation::Update && !again.leaves_spec());
    if !judged || !after.get("spec").is_some_and(Value::is_object) {
        return;
    }
    for name in ["requestedBy", "approvedBy"] {
        let now = after["spec"].get(name).filter(|value| !value.is_null());
        let users = now.is_some_and(|stamp| stamp["username"] == user.username.as_str());
        assert!(now == was(name) || users, "{name} is neither the user's nor the former one");
    }
    let approved = |spec: Option<&Value>| spec.and_then(|spec| spec.get("approved")) == Some(&Value::Bool(true));
    if approved(after.get("spec")) && !approved(old) && examined.refusal(&again).is_none() {
        assert!(examined.needs_verb, "approved without a question");
        let requester = was("requestedBy").expect("somebody asked");
        assert_ne!(requester["username"], user.username.as_str(), "approved by whoever asked");
    }
}
