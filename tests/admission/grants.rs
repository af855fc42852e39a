//! Stamps and approvals, case by case.

use entrance::admission::grant::{Approval, Examined, Rules, examine, stamps};
use entrance::admission::review::{Request, User, Verdict};
use entrance::clock::UnixTime;
use serde_json::{Value, json};

use super::{changed, request};

const NOW: UnixTime = UnixTime(1_800_000_000); // 2027-01-15T08:00:00Z
const REQUIRED: Rules = Rules { longest: 7200, approval: Approval::Required };
const NONE: Rules = Rules { longest: 7200, approval: Approval::None };

fn grant(spec: Value) -> Value {
    let mut whole = json!({
        "policyRef": {"name": "orders"}, "subject": {"group": "g"}, "roles": ["A"], "expiresAt": "2027-01-15T09:00:00Z",
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "one"}, "spec": whole})
}

fn stamp(user: &str, uid: &str) -> Value {
    json!({"username": user, "uid": uid, "at": "2027-01-15T08:00:00Z"})
}

/// Asks as somebody, on the way in and after it: what came of the object, and what is said of it.
fn ask(user: (&str, &str), (old, new): (Value, Value), rules: &Rules) -> (Value, Examined) {
    let operation = if old.is_null() { "CREATE" } else { "UPDATE" };
    let of = |new: &Value| {
        let mut request: Request = request("AccessGrant", operation, (old.clone(), new.clone()));
        request.user_info = User { username: user.0.into(), uid: user.1.into(), ..User::default() };
        request
    };
    let stamped = changed(&new, &Verdict::change(stamps(&of(&new), rules, NOW)));
    let again = of(&stamped);
    assert_eq!(stamps(&again, rules, NOW), [], "stamping twice changes nothing");
    (stamped, examine(&again, rules, NOW))
}

fn fine(examined: &Examined) -> bool {
    examined.faults.is_empty() && examined.forbidden.is_none()
}

#[test]
fn the_requester_is_who_wrote_the_request_last() {
    let forged = grant(json!({"requestedBy": stamp("eve", "9"), "approvedBy": stamp("bob", "3")}));
    let (made, said) = ask(("ada", "2"), (Value::Null, forged), &REQUIRED);
    assert_eq!(made, grant(json!({"requestedBy": stamp("ada", "2")})));
    assert!(fine(&said) && !said.needs_verb, "{said:?}");
    // another user's edit makes it that user's request, an edit of the stamps alone nobody's
    let (edited, said) = ask(("eve", "9"), (made.clone(), grant(json!({"roles": ["B"]}))), &REQUIRED);
    assert_eq!(edited["spec"]["requestedBy"], stamp("eve", "9"));
    assert!(fine(&said));
    let (same, said) = ask(("eve", "9"), (made.clone(), grant(json!({"requestedBy": stamp("eve", "9")}))), &REQUIRED);
    assert_eq!(same, made);
    assert!(fine(&said));
    // whoever has no id is told by the name
    let (nameless, _) = ask(("eve", ""), (Value::Null, grant(json!({}))), &REQUIRED);
    assert_eq!(nameless["spec"]["requestedBy"], json!({"username": "eve", "at": "2027-01-15T08:00:00Z"}));
}

#[test]
fn an_approval_needs_the_verb_and_another_user() {
    let asked = grant(json!({"requestedBy": stamp("ada", "2")}));
    let approved = |extra: Value| {
        let mut spec = json!({"approved": true, "requestedBy": stamp("ada", "2")});
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        grant(spec)
    };
    let (made, said) = ask(("bob", "3"), (asked.clone(), approved(json!({}))), &REQUIRED);
    assert_eq!(made["spec"]["approvedBy"], stamp("bob", "3"));
    assert!(fine(&said) && said.needs_verb, "{said:?}");
    for (user, change, part) in [
        (("ada", "2"), json!({}), "`ada` asked for this grant"),
        (("ada", "77"), json!({}), "`ada` asked for this grant"),
        (("ada-again", "2"), json!({}), "asked for this grant"),
        (("bob", "3"), json!({"roles": ["B"]}), "changes nothing else"),
    ] {
        let (_, said) = ask(user, (asked.clone(), approved(change)), &REQUIRED);
        assert!(format!("{said:?}").contains(part), "{user:?}: {said:?}");
        assert!(!fine(&said));
    }
    let (_, said) = ask(("bob", "3"), (grant(json!({})), grant(json!({"approved": true}))), &REQUIRED);
    assert!(said.faults[0].contains("nobody knows who asked"), "{said:?}");
    let (_, said) = ask(("bob", "3"), (Value::Null, grant(json!({"approved": true}))), &REQUIRED);
    assert!(said.forbidden.unwrap().contains("cannot be approved by whoever asks for it"));
}

#[test]
fn without_approval_the_maker_needs_the_verb() {
    let (made, said) = ask(("ada", "2"), (Value::Null, grant(json!({}))), &NONE);
    assert_eq!((&made["spec"]["approved"], &made["spec"]["approvedBy"]), (&json!(true), &stamp("ada", "2")));
    assert!(fine(&said) && said.needs_verb);
    let (pending, said) = ask(("ada", "2"), (Value::Null, grant(json!({"approved": false}))), &NONE);
    assert!(pending["spec"]["approvedBy"].is_null() && said.needs_verb);
    let mut approved = pending.clone();
    approved["spec"]["approved"] = json!(true);
    let (_, said) = ask(("ada", "2"), (pending, approved), &NONE);
    assert!(fine(&said) && said.needs_verb, "one's own, but with the verb: {said:?}");
}

#[test]
fn what_is_approved_stands_and_may_end_earlier() {
    let standing = |change: Value| {
        let mut spec = json!({"approved": true, "requestedBy": stamp("ada", "2"), "approvedBy": stamp("bob", "3")});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        grant(spec)
    };
    for (change, part) in [
        (json!({"expiresAt": "2027-01-15T08:30:00Z"}), ""),
        (json!({"expiresAt": "2027-01-15T09:00:00.000Z"}), ""),
        (json!({"approvedBy": stamp("eve", "9"), "requestedBy": null}), ""),
        (json!({"expiresAt": "2027-01-15T09:00:01Z"}), "spec.expiresAt: can only become earlier"),
        (json!({"roles": ["A", "B"]}), "spec.roles: cannot change"),
        (json!({"notBefore": "2027-01-15T08:30:00Z"}), "spec.notBefore: cannot change"),
        (json!({"approved": false}), "spec.approved: cannot change"),
        (json!({"approved": null}), "spec.approved: cannot change"),
    ] {
        let (_, said) = ask(("ada", "2"), (standing(json!({})), standing(change.clone())), &REQUIRED);
        assert_eq!(said.faults.join(";").get(..part.len()), Some(part), "{change}: {said:?}");
        assert_eq!(said.faults.is_empty(), part.is_empty(), "{change}: {said:?}");
        assert!(!said.needs_verb && said.forbidden.is_none());
    }
}

#[test]
fn nothing_is_lent_for_longer_than_the_installation_says() {
    for (spec, part) in [
        (json!({"expiresAt": "2027-01-15T10:00:00Z"}), ""),
        (json!({"expiresAt": "2027-01-15T10:00:01Z"}), "lends the roles for 2h1s, but 2h is the longest"),
        (json!({"notBefore": "2027-02-01T00:00:00Z", "expiresAt": "2027-02-01T02:00:00Z"}), ""),
        (json!({"notBefore": "2027-02-01T00:00:00Z", "expiresAt": "2027-02-01T02:00:01Z"}), "for 2h1s"),
        // what is past of it does not count
        (json!({"notBefore": "2020-01-01T00:00:00Z", "expiresAt": "2027-01-15T09:00:00Z"}), ""),
        (json!({"expiresAt": "2028-01-15T08:00:00Z"}), "for 365d"),
    ] {
        let (_, said) = ask(("ada", "2"), (Value::Null, grant(spec.clone())), &REQUIRED);
        assert_eq!(said.faults.is_empty(), part.is_empty(), "{spec}: {said:?}");
        assert!(said.faults.join(";").contains(part), "{spec}: {said:?}");
    }
    let (_, said) = ask(("ada", "2"), (Value::Null, grant(json!({"expiresAt": "2027-01-15T07:00:00Z"}))), &REQUIRED);
    assert!(said.faults.is_empty() && said.warnings[0].contains("is over already"));
}

#[test]
fn a_stamp_that_admission_did_not_make_is_refused_whoever_made_it() {
    let made = grant(json!({"requestedBy": stamp("eve", "9")}));
    let said = examine(&request("AccessGrant", "CREATE", (Value::Null, made.clone())), &REQUIRED, NOW);
    assert!(said.faults[0].contains("spec.requestedBy: is not what admission stamped"), "{said:?}");
    let bare = examine(&request("AccessGrant", "CREATE", (Value::Null, grant(json!({})))), &REQUIRED, NOW);
    assert!(bare.faults[0].contains("the mutating webhook for accessgrants must be installed"));
    let mut bent = made.clone();
    bent["spec"]["approvedBy"] = stamp("bob", "3");
    let said = examine(&request("AccessGrant", "UPDATE", (made, bent)), &REQUIRED, NOW);
    assert!(said.faults[0].contains("spec.approvedBy"), "{said:?}");
}

/// A finalizer keeps a deleted object for as long as its owner likes, and until it is gone its roles are lent.
#[test]
fn a_grant_on_its_way_out_is_judged_like_any_other() {
    let asked = grant(json!({"requestedBy": stamp("ada", "2")}));
    let mut taken = grant(json!({"approved": true, "roles": ["Admin"], "requestedBy": stamp("ada", "2")}));
    taken["metadata"]["deletionTimestamp"] = json!("2027-01-15T07:00:00Z");
    let (_, said) = ask(("ada", "2"), (asked, taken), &REQUIRED);
    assert!(said.forbidden.is_some() || !said.faults.is_empty(), "{said:?}");
}
