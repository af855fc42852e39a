//! What Envoy reads in our answers: decoded with Envoy's own messages and compared with plain ones.

use std::collections::BTreeMap;

use crate::decisions::{TENANT, allowed, caller, decision, id, lines, permit, refusal};
use bytes::Bytes;
use entrance::authorize::decision::{Decision, ShadowResult};
use entrance::envoy::answer::{answer, last_resort};
use entrance::policy::decide::{Cause, Challenge};
use entrance::reason::{DenyStatus, ReasonCode};
use envoy_types::pb::envoy::config::core::v3::HeaderValueOption;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use envoy_types::pb::google::protobuf::{Struct, value::Kind};
use prost::Message;

const NAMES: [&str; 7] = [
    "x-entrance-tenant",
    "x-entrance-subject",
    "x-entrance-client",
    "x-entrance-caller",
    "x-entrance-roles",
    "x-entrance-scopes",
    "x-entrance-decision",
];

pub(crate) fn read(framed: &Bytes) -> CheckResponse {
    let length = u32::from_be_bytes(framed[1..5].try_into().unwrap());
    assert_eq!(framed[0], 0, "not compressed");
    assert_eq!(usize::try_from(length).unwrap(), framed[5..].len());
    CheckResponse::decode(&framed[5..]).unwrap()
}

fn answered(decision: Decision) -> CheckResponse {
    read(&answer(decision, &lines(&[])))
}

pub(crate) fn ok(response: &CheckResponse) -> &OkHttpResponse {
    assert_eq!(response.status.as_ref().unwrap().code, 0);
    let Some(HttpResponse::OkResponse(ok)) = &response.http_response else {
        panic!("no ok_response: {response:?}");
    };
    ok
}

pub(crate) fn denied(response: &CheckResponse) -> &DeniedHttpResponse {
    assert_ne!(response.status.as_ref().unwrap().code, 0);
    let Some(HttpResponse::DeniedResponse(denied)) = &response.http_response else {
        panic!("no denied_response: {response:?}");
    };
    denied
}

fn headers(options: &[HeaderValueOption]) -> BTreeMap<String, String> {
    let pairs = options.iter().map(|option| {
        let header = option.header.clone().unwrap();
        assert!(header.raw_value.is_empty(), "Envoy ignores raw values");
        (header.key, header.value)
    });
    let map: BTreeMap<_, _> = pairs.collect();
    assert_eq!(map.len(), options.len(), "a name occurs once");
    map
}

fn facts(response: &CheckResponse) -> BTreeMap<String, String> {
    let whole = response.dynamic_metadata.as_ref().unwrap();
    assert_eq!(whole.fields.len(), 1);
    let Some(Kind::StructValue(inner)) = &whole.fields["entrance"].kind else {
        panic!("no struct: {whole:?}");
    };
    flat("", inner)
}

fn flat(prefix: &str, fields: &Struct) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (key, value) in &fields.fields {
        match value.kind.clone().unwrap() {
            Kind::StringValue(text) => {
                out.insert(format!("{prefix}{key}"), text);
            }
            Kind::NumberValue(number) => {
                out.insert(format!("{prefix}{key}"), number.to_string());
            }
            Kind::StructValue(inner) => out.extend(flat(&format!("{prefix}{key}."), &inner)),
            other @ (Kind::NullValue(_) | Kind::BoolValue(_) | Kind::ListValue(_)) => {
                panic!("{key}: {other:?}")
            }
        }
    }
    out
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_permit_names_the_caller_to_the_upstream() {
    let response = answered(allowed(caller()));
    let id = id();
    assert_eq!(
        headers(&ok(&response).headers),
        map(&[
            ("x-entrance-tenant", TENANT),
            ("x-entrance-subject", "alice"),
            ("x-entrance-client", "web"),
            ("x-entrance-caller", "user"),
            ("x-entrance-roles", "Orders.Read,a%2Cb%20c"),
            ("x-entrance-scopes", "orders.read orders.write"),
            ("x-entrance-decision", id.as_str()),
        ])
    );
    for option in &ok(&response).headers {
        assert_eq!(option.append_action, 2, "overwrite");
    }
}

#[test]
fn a_permit_tells_envoy_what_was_decided_and_for_whom() {
    let shadow = ShadowResult { outcome: "deny", reason: "role_missing", policy: None, route: None };
    let response = answered(Decision { shadow: Some(shadow), ..allowed(caller()) });
    let id = id();
    assert_eq!(
        facts(&response),
        map(&[
            ("decision_id", id.as_str()),
            ("outcome", "allow"),
            ("reason", "allow_entry_matched"),
            ("generation", "7"),
            ("policy", "shop/orders"),
            ("route", "read-order"),
            ("shadow.outcome", "deny"),
            ("shadow.reason", "role_missing"),
            ("tenant", TENANT),
            ("subject", "alice"),
            ("client", "web"),
            ("caller", "user"),
        ])
    );
}

#[test]
fn the_second_answer_for_a_caller_says_the_same_as_the_first() {
    let first = allowed(caller());
    let authenticated = first.authenticated.clone();
    let one = answered(first);
    assert!(authenticated.as_ref().unwrap().answer.get().is_some());
    let two = answered(Decision { authenticated, ..allowed(caller()) });
    assert_eq!(one, two);
}

#[test]
fn facts_that_are_absent_are_removed_and_no_set_header_is() {
    let mut nobody_special = caller();
    nobody_special.roles = [].into();
    nobody_special.scopes = [].into();
    let response = answered(allowed(nobody_special));
    let set = headers(&ok(&response).headers);
    let removed = &ok(&response).headers_to_remove;
    for name in NAMES {
        assert!(set.contains_key(name) != removed.iter().any(|other| other == name), "{name} is either set or removed");
    }
    assert!(removed.contains(&"x-entrance-roles".to_owned()));
}

#[test]
fn without_a_verified_caller_only_the_decision_is_named() {
    for cause in [Cause::AnonymousRoute, Cause::Preflight, Cause::ShadowOnly] {
        // a token may have been verified for a shadow policy: it names nobody to the upstream either
        let response = answered(Decision { authenticated: allowed(caller()).authenticated, ..decision(permit(cause)) });
        let set = headers(&ok(&response).headers);
        assert_eq!(set.keys().collect::<Vec<_>>(), ["x-entrance-decision"]);
        for name in &NAMES[..6] {
            assert!(ok(&response).headers_to_remove.contains(&(*name).to_owned()));
        }
    }
}

#[test]
fn no_spelling_of_our_headers_passes_through() {
    let sent = lines(&[
        ("x-entrance-subject", "admin"),
        ("X-Entrance-Roles", "Admin"),
        ("x_entrance_tenant", "t"),
        ("x-entrance-admin", "1"),
        ("X-ENTRANCE_extra", "1"),
        ("x-entrance-bad\r\nname", "1"),
        ("x-other", "1"),
    ]);
    let response = read(&answer(allowed(caller()), &sent));
    let set = headers(&ok(&response).headers);
    let removed: Vec<String> = ok(&response).headers_to_remove.iter().map(|name| name.to_lowercase()).collect();
    for name in NAMES {
        assert!(set.contains_key(name), "{name}");
        assert!(!removed.iter().any(|other| other == name), "{name} is set");
        for alias in [name.replace('-', "_"), name.replacen('-', "_", 1)] {
            assert!(removed.contains(&alias), "{alias}");
        }
    }
    assert!(removed.contains(&"x-entrance-admin".to_owned()));
    assert!(removed.contains(&"x-entrance_extra".to_owned()));
    assert!(!removed.contains(&"x-other".to_owned()));
    assert!(!removed.iter().any(|name| name.contains('\r')));
}

#[test]
fn every_reason_is_answered_with_its_status_and_never_with_yes() {
    for &reason in ReasonCode::ALL {
        let response = answered(decision(refusal(reason, None)));
        let refused = denied(&response);
        let (code, http) = match reason.status() {
            DenyStatus::BadRequest => (3, 400),
            DenyStatus::Unauthorized => (16, 401),
            DenyStatus::Forbidden => (7, 403),
            DenyStatus::Unavailable => (14, 503),
        };
        assert_eq!(response.status.as_ref().unwrap().code, code, "{reason}");
        assert_eq!(refused.status.as_ref().unwrap().code, http, "{reason}");
        let body: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "about:blank",
                "title": reason.status().title(),
                "status": http,
                "reason": reason.code(),
                "decision_id": id().as_str(),
            })
        );
        let headers = headers(&refused.headers);
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers.contains_key("retry-after"), http == 503, "{reason}");
        let challenged = http == 401 || reason == ReasonCode::ScopeMissing;
        assert_eq!(headers.contains_key("www-authenticate"), challenged, "{reason}");
        assert_eq!(facts(&response)["reason"], reason.code());
        for (name, value) in headers {
            http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            http::HeaderValue::from_str(&value).unwrap();
        }
    }
}

#[test]
fn a_step_up_carries_its_claims_challenge() {
    let challenge = Challenge::AuthContext("c1".into());
    let response = answered(decision(refusal(ReasonCode::StepUpRequired, Some(challenge))));
    let headers = headers(&denied(&response).headers);
    assert!(headers["www-authenticate"].contains("error=\"insufficient_claims\""));
    assert!(headers["www-authenticate"].contains("cc_type=\"authcontext\""));
}

#[test]
fn a_denial_of_a_verified_caller_is_told_to_envoy_and_not_to_the_client() {
    let response = answered(Decision {
        authenticated: allowed(caller()).authenticated,
        ..decision(refusal(ReasonCode::RoleMissing, None))
    });
    assert_eq!(facts(&response)["subject"], "alice");
    let refused = denied(&response);
    assert!(!refused.body.contains("alice"));
    assert!(refused.headers.iter().all(|option| { !option.header.as_ref().unwrap().key.starts_with("x-entrance-") }));
}

#[test]
fn the_last_resort_is_503() {
    let response = read(&last_resort());
    assert_eq!(response.status.as_ref().unwrap().code, 14);
    assert_eq!(denied(&response).status.as_ref().unwrap().code, 503);
}
