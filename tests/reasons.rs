//! The codes, statuses and challenge errors of all reasons, written down once more: they are an interface, and whoever
//! changes one changes it for every client, dashboard and alert.

use entrance::reason::{BearerError, DenyStatus, ReasonCode};

/// 401 without an error, since no token came (RFC 6750 §3.1).
const NO_TOKEN: &str = "token_missing";

/// 401 `invalid_token`.
const INVALID_TOKEN: &str = "token_scheme_unsupported token_multiple token_too_large token_malformed token_encrypted \
    header_invalid header_duplicate header_crit_unsupported alg_not_allowed typ_not_allowed kid_missing kid_unknown \
    key_issuer_mismatch signature_invalid token_graph_nonce payload_not_object claim_duplicate claim_type_invalid \
    claim_missing version_unsupported version_mismatch tenant_invalid tenant_not_allowed issuer_mismatch \
    audience_mismatch token_expired token_not_yet_valid token_issued_in_future token_lifetime_excessive \
    token_not_access_token token_type_conflict token_pop_unsupported token_revoked";

/// 401 `insufficient_claims`.
const STEP_UP: &str = "step_up_required";

/// 403 `insufficient_scope`.
const SCOPE: &str = "scope_missing";

/// 403 without a challenge: no other token of the same caller would help.
const FORBIDDEN: &str = "principal_type_denied client_not_allowed tenant_denied role_missing group_missing \
    groups_overage guest_denied condition_not_met session_too_old step_up_not_possible deny_entry_matched \
    nobody_allowed no_policy_for_host no_route policy_invalid scope_unknown";

/// 400.
const MALFORMED: &str = "path_ambiguous host_invalid method_invalid method_override_refused path_override_refused request_malformed scope_invalid";

/// 503.
const UNAVAILABLE: &str = "keys_unavailable groups_unavailable policy_unavailable internal_error";

#[test]
fn every_reason_has_the_status_and_the_error_that_clients_know() {
    let table = [
        (NO_TOKEN, DenyStatus::Unauthorized, BearerError::None),
        (INVALID_TOKEN, DenyStatus::Unauthorized, BearerError::Invalid),
        (STEP_UP, DenyStatus::Unauthorized, BearerError::StepUp),
        (SCOPE, DenyStatus::Forbidden, BearerError::Scope),
        (FORBIDDEN, DenyStatus::Forbidden, BearerError::None),
        (MALFORMED, DenyStatus::BadRequest, BearerError::None),
        (UNAVAILABLE, DenyStatus::Unavailable, BearerError::None),
    ];
    let mut known = 0;
    for (codes, status, error) in table {
        for code in codes.split_ascii_whitespace() {
            let found = ReasonCode::ALL.iter().find(|reason| reason.code() == code);
            let facts = found.map(|reason| (reason.status(), reason.bearer_error()));
            assert_eq!(facts, Some((status, error)), "{code}");
            known += 1;
        }
    }
    assert_eq!(known, ReasonCode::ALL.len(), "a reason is not written down here");
}

#[test]
fn no_status_is_a_success_and_none_is_a_redirect() {
    for reason in ReasonCode::ALL {
        assert!((400..=599).contains(&reason.status().http()), "{reason}");
    }
}

#[test]
fn texts_can_stand_in_a_header_as_they_are() {
    for reason in ReasonCode::ALL {
        let plain = |byte: u8| byte == b' ' || byte.is_ascii_alphanumeric() || b"-_.,".contains(&byte);
        assert!(reason.text().bytes().all(plain), "{reason}: {}", reason.text());
    }
}
