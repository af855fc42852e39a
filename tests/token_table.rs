//! Every row of `cases/tokens.yaml`: a good token, changed as the row says, ends as the row says.
//!
//! Beside the outcome each row asserts that nobody asks for keys, unless the row says so, and that an accepted caller
//! carries exactly the signed claims. Every reason that a token can have occurs in some row.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

#[path = "support/signer.rs"]
mod signer;
#[path = "support/token_case.rs"]
mod token_case;
#[path = "support/token_world.rs"]
mod token_world;

use std::collections::BTreeSet;

use entrance::identity::{Caller, Groups};
use entrance::reason::{DenyStatus, ReasonCode};
use serde_json::{Value, json};

use token_case::{Case, Outcome};

fn table() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/tokens.yaml");
    token_case::load(&std::fs::read_to_string(path).unwrap())
}

/// The facts that rows may assert of a caller.
fn facts(caller: &Caller) -> Value {
    let groups = match &caller.groups {
        Groups::Known(ids) => json!(ids.iter().map(ToString::to_string).collect::<Vec<_>>()),
        Groups::Overage => json!("overage"),
    };
    json!({
        "kind": caller.kind.as_str(), "tenant": caller.tenant.to_string(), "subject": caller.subject,
        "client": caller.client, "roles": caller.roles, "scopes": caller.scopes, "groups": groups,
        "auth_contexts": caller.auth_contexts, "can_step_up": caller.can_step_up,
        "authenticated_at": caller.authenticated_at.map(|time| time.0), "token_id": caller.token_id,
        "session_id": caller.session_id, "issued_at": caller.issued_at.0, "expires_at": caller.expires_at.0,
    })
}

fn check(case: &Case) -> Result<(), String> {
    let Outcome { judged, signed_claims } = case.run();
    if judged.needs_key != case.asks_for_keys {
        return Err(format!("asks for keys: {}", judged.needs_key));
    }
    match (judged.outcome, case.expect.as_str()) {
        (Ok(caller), "accept") => {
            if caller.claims.members() != signed_claims.as_object() {
                return Err("the caller's claims are not the signed ones".into());
            }
            let facts = facts(&caller);
            let wrong = case.caller.iter().find(|(name, value)| facts[*name] != **value);
            wrong.map_or(Ok(()), |(name, value)| Err(format!("{name}: expected {value}, found {}", facts[name])))
        }
        (Ok(_), expected) => Err(format!("accepted, expected {expected}")),
        (Err(rejection), expected) if rejection.reason().code() == expected => {
            let status = rejection.reason().status().http();
            (status == case.status).then_some(()).ok_or_else(|| format!("status {status}, expected {}", case.status))
        }
        (Err(rejection), expected) => {
            Err(format!("{} ({}), expected {expected}", rejection.reason(), rejection.detail()))
        }
    }
}

#[test]
fn every_row_ends_as_it_says() {
    let table = table();
    let failures: Vec<String> =
        table.iter().filter_map(|case| check(case).err().map(|why| format!("{case}: {why}"))).collect();
    assert!(failures.is_empty(), "{} of {} rows:\n{}", failures.len(), table.len(), failures.join("\n"));
}

/// Reasons that `token` gives although their status is not 401.
const BEYOND_401: [ReasonCode; 4] = [
    ReasonCode::PrincipalTypeDenied,
    ReasonCode::ClientNotAllowed,
    ReasonCode::RoleMissing,
    ReasonCode::KeysUnavailable,
];

#[test]
fn every_reason_a_token_can_have_occurs_and_no_other() {
    let of_tokens: BTreeSet<&str> = ReasonCode::ALL
        .iter()
        .filter(|reason| reason.status() == DenyStatus::Unauthorized)
        .filter(|reason| ![ReasonCode::StepUpRequired, ReasonCode::TokenRevoked].contains(reason))
        .chain(&BEYOND_401)
        .map(|reason| reason.code())
        .collect();
    let table = table();
    let seen: BTreeSet<&str> =
        table.iter().map(|case| case.expect.as_str()).filter(|expect| *expect != "accept").collect();
    assert_eq!(of_tokens, seen);
}

#[test]
fn every_case_of_the_specification_that_is_about_the_token_has_a_row() {
    let own = (1..=5).chain(7..=21).chain(27..=60).chain([6, 22, 25, 26, 62, 63, 64, 65, 66, 76, 79, 80]);
    let table = table();
    let missing: Vec<String> =
        own.map(|number| format!("T{number:02}")).filter(|id| !table.iter().any(|case| case.id == *id)).collect();
    assert_eq!(missing, Vec::<String>::new());
}
