//! What is a review, and what an answer looks like.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entrance::admission::review::{Change, Refusal, Verdict, read};
use serde_json::{Value, json};

#[test]
fn an_answer_repeats_the_question_and_carries_its_patch_in_base64() {
    let pass = Verdict::pass().render("u-1");
    assert_eq!(
        pass,
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "u-1", "allowed": true}})
    );
    let change = Verdict::change(vec![Change::add("/a", json!(1)), Change::remove("/b")]).render("u-1");
    assert_eq!(change["response"]["patchType"], "JSONPatch");
    let patch = STANDARD.decode(change["response"]["patch"].as_str().unwrap()).unwrap();
    let wanted = json!([{"op": "add", "path": "/a", "value": 1}, {"op": "remove", "path": "/b"}]);
    assert_eq!(serde_json::from_slice::<Value>(&patch).unwrap(), wanted);
    let refused = Verdict::refuse(Refusal::unavailable("later")).render("u-1");
    let status = json!({"status": "Failure", "code": 503, "reason": "ServiceUnavailable", "message": "later"});
    assert_eq!((&refused["response"]["allowed"], &refused["response"]["status"]), (&json!(false), &status));
}

#[test]
fn warnings_are_one_line_each_and_not_too_many() {
    let many: Vec<String> = (0..40).map(|at| format!("{at} {}\nb", "ä".repeat(200))).collect();
    let told = Verdict::pass().warning(many).render("u")["response"]["warnings"].clone();
    let told: Vec<&str> = told.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert_eq!((told.len(), told[15]), (16, "and 25 more warnings"));
    assert!(told.iter().all(|text| text.len() <= 256 && !text.contains('\n')), "{told:?}");
    assert!(told.iter().map(|text| text.len()).sum::<usize>() <= 4096);
}

#[test]
fn what_is_no_review_is_not_read() {
    let whole = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u", "kind": {"kind": "Pod"}, "operation": "CREATE"}});
    assert!(read(whole.to_string().as_bytes()).is_ok());
    for (pointer, value) in [
        ("/apiVersion", json!("admission.k8s.io/v1beta1")),
        ("/kind", json!("Other")),
        ("/request", Value::Null),
        ("/request/uid", Value::Null),
        ("/request/operation", json!("PATCH")),
    ] {
        let mut broken = whole.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(read(broken.to_string().as_bytes()).is_err(), "{pointer}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for rubbish in ["", "null", "{", &deep] {
        assert!(read(rubbish.as_bytes()).is_err());
    }
}
