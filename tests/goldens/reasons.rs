//! `docs/reasons.md`: every reason with its status, its challenge, and what to do about it. A reason that is added to the
//! code has to be explained here, too.

use std::fmt::Write;

use entrance::policy::decide::Cause;
use entrance::reason::{BearerError, DenyStatus, ReasonCode};

const HEAD: &str = "\
<!-- Generated from src/reason.rs and tests/goldens/reasons.rs: `make gen`. -->
# Reasons

Every decision has one reason, a code that never changes its name. It stands in the answer's body (`reason`), in the
audit log (`authorization.reason`), in Envoy's dynamic metadata, in `entrance_decisions_total{reason=…}`, and in what
`entrance check` prints. The answer says no more than the code; what was expected is in the audit log and in
`entrance check`.

The tables follow the order of checks as far as they can: a request has the first reason that applies. What was wrong in
detail stands in `authentication.detail` or `authorization.detail` of the audit line.

";

const GROUPS: [(DenyStatus, &str, &str); 4] = [
    (
        DenyStatus::Unauthorized,
        "401: no token that counts",
        "The answer carries `WWW-Authenticate: Bearer …` with the error in the second column (RFC 6750).",
    ),
    (
        DenyStatus::Forbidden,
        "403: not allowed",
        "If several allow entries fall short, the reason is that of the entry that came nearest to success.",
    ),
    (
        DenyStatus::BadRequest,
        "400: a request that two servers could read differently",
        "Refused before any entry is looked at.",
    ),
    (
        DenyStatus::Unavailable,
        "503: cannot be decided now",
        "The answer carries `Retry-After: 5`. Nothing passes meanwhile.",
    ),
];

const CAUSES: [(Cause, &str); 4] = [
    (Cause::AllowEntry { index: 0 }, "an entry of `allow` holds, and no entry of `deny` does"),
    (Cause::AnonymousRoute, "the route says `anonymous: true`; no token was looked at"),
    (Cause::Preflight, "a CORS preflight, and the policy says `preflight: Allow`"),
    (Cause::ShadowOnly, "only policies with `mode: Shadow` name the host; they record and everything passes"),
];

/// The page.
pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    for (status, title, note) in GROUPS {
        page.push_str(&group(status, title, note));
    }
    page.push_str("## 200: why a request goes on\n\nThe same places show these for requests that pass.\n\n");
    page.push_str("| code | meaning |\n| --- | --- |\n");
    for (cause, meaning) in CAUSES {
        writeln!(page, "| `{}` | {meaning} |", cause.code()).unwrap();
    }
    page
}

fn group(status: DenyStatus, title: &str, note: &str) -> String {
    let challenged = status == DenyStatus::Unauthorized || status == DenyStatus::Forbidden;
    let mut text = format!("## {title}\n\n{note}\n\n");
    text.push_str(if challenged {
        "| code | error | meaning | what to do |\n| --- | --- | --- | --- |\n"
    } else {
        "| code | meaning | what to do |\n| --- | --- | --- |\n"
    });
    for reason in ReasonCode::ALL.iter().filter(|reason| reason.status() == status) {
        let error = if challenged { format!(" {} |", error(reason.bearer_error())) } else { String::new() };
        writeln!(text, "| `{}` |{error} {} | {} |", reason.code(), reason.text(), remedy(*reason)).unwrap();
    }
    text.push('\n');
    text
}

const fn error(error: BearerError) -> &'static str {
    match error {
        BearerError::None => "–",
        BearerError::Invalid => "`invalid_token`",
        BearerError::Scope => "`insufficient_scope`",
        BearerError::StepUp => "`insufficient_claims`",
    }
}

/// What to do, for whoever operates the client, the policy or the proxy.
fn remedy(reason: ReasonCode) -> &'static str {
    let known = REMEDIES.iter().find(|(code, _)| *code == reason.code());
    known
        .map(|(_, remedy)| *remedy)
        .unwrap_or_else(|| panic!("say in tests/goldens/reasons.rs what to do about `{reason}`"))
}

const REMEDIES: &[(&str, &str)] = &[
    ("token_missing", "send `Authorization: Bearer <access token>`; tokens in query, cookie or body do not count"),
    ("token_scheme_unsupported", "send a Bearer token; Basic, DPoP and others are not understood"),
    ("token_multiple", "send one `Authorization` line with one token; a comma counts as a second one"),
    ("token_too_large", "at most 16 KiB; use roles instead of hundreds of groups"),
    (
        "token_malformed",
        "three base64url parts with dots between them and no padding; look for a truncated or quoted token",
    ),
    ("token_encrypted", "switch token encryption off for the API's registration"),
    ("header_invalid", "Entra issues no such token: find out who does"),
    ("header_duplicate", "Entra issues no such token: find out who does"),
    ("header_crit_unsupported", "Entra issues no such token: find out who does"),
    ("alg_not_allowed", "only RS256 is accepted, which is what Entra signs with"),
    ("typ_not_allowed", "`typ` must be `JWT` or `at+jwt`"),
    ("kid_missing", "Entra names a key in every token: find out who made this one"),
    (
        "kid_unknown",
        "no key of this id even after asking again: wrong cloud or tenant, a token older than the key, or a forgery",
    ),
    (
        "key_issuer_mismatch",
        "the key is published for another issuer or cloud: compare the token's `iss` with `cloud` or `authority`",
    ),
    ("signature_invalid", "the token was changed, or signed by somebody else"),
    ("token_graph_nonce", "the client asked for Microsoft Graph: let it ask for a scope of this API"),
    ("payload_not_object", "Entra issues no such token: find out who does"),
    ("claim_duplicate", "Entra issues no such token: find out who does"),
    ("claim_type_invalid", "a claim is not of its documented type, or too long; the audit log names it"),
    (
        "claim_missing",
        "`iss`, `aud`, `exp`, `nbf`, `iat`, `ver`, `tid`, `sub` and `oid` must be there; the audit log names the missing one",
    ),
    (
        "version_unsupported",
        "set `requestedAccessTokenVersion` of the registration to 2, or list the version in `tokenVersions`",
    ),
    ("version_mismatch", "the issuer is that of the other token version: such a token was not issued by Entra"),
    ("tenant_invalid", "`tid` is not a GUID in lower case: such a token was not issued by Entra"),
    ("tenant_not_allowed", "list the tenant in `tenants` of the EntraApplication, if it may call"),
    ("issuer_mismatch", "compare `iss` with `cloud` or `authority` of the EntraApplication"),
    (
        "audience_mismatch",
        "let the client ask for a scope of this API; App ID URIs of v1 tokens belong into `audiences`",
    ),
    ("token_expired", "get a new token; if it is new, compare clocks"),
    (
        "token_revoked",
        "sign in again for a token issued later; a TokenRevocation says why, or is broken and says so in its status",
    ),
    ("token_not_yet_valid", "compare clocks; `clockSkew` allows 60 seconds unless set"),
    ("token_issued_in_future", "compare clocks; `clockSkew` allows 60 seconds unless set"),
    ("token_lifetime_excessive", "raise `maxTokenLifetime`, if a token lifetime policy of yours is the cause"),
    ("token_not_access_token", "send the access token, not the ID token"),
    ("token_type_conflict", "the claims say both user and app: such a token was not issued by Entra"),
    ("token_pop_unsupported", "ask for a Bearer token instead of one that is bound to a key"),
    ("step_up_required", "the client passes `claims` of the challenge to Entra and comes back with the new token"),
    ("scope_missing", "let the client ask for the scope that the challenge names, and have it consented to"),
    ("principal_type_denied", "`callers` of the entry asks for users or for workloads, and this is the other"),
    (
        "client_not_allowed",
        "list the client in `clients` of an entry, and in `allowedClients` of the application if that is set",
    ),
    ("tenant_denied", "list the tenant in `tenants` of an entry, if it may call this route"),
    (
        "role_missing",
        "assign the app role to the user, group or client in Entra; an app-only token needs one on every route",
    ),
    ("group_missing", "make the caller a member, and let the registration emit group claims"),
    ("groups_overage", "assign roles, or let the registration emit only groups that are assigned to the application"),
    ("guest_denied", "reserved: no field of a policy gives it"),
    ("condition_not_met", "`when` of the entry is false or failed; `entrance check` tells which"),
    (
        "session_too_old",
        "sign in again; a token without `auth_time` fails `maxSessionAge`, so add it as an optional claim",
    ),
    ("step_up_not_possible", "an app-only caller, or a client without the capability `cp1`: declare it in the client"),
    ("deny_entry_matched", "`clause` names the deny entry; one whose `when` fails counts as matched"),
    ("nobody_allowed", "the route has `allow: []`"),
    ("no_policy_for_host", "name the host in `hosts` of a policy; a port does not matter"),
    ("no_route", "no template covers the path, or the most specific one does not have the method"),
    (
        "policy_invalid",
        "something is broken and denies until it is mended: see the log, `/debug/snapshot` or `entrance check`",
    ),
    (
        "path_ambiguous",
        "no encoded slash, backslash, percent, dot segment, `//` or broken escape; see docs/security.md",
    ),
    (
        "scope_unknown",
        "`entrance.dev/policy` or `entrance.dev/application` in the proxy's `context_extensions` names what is not enforced here",
    ),
    ("host_invalid", "one host name, perhaps with a port; other scripts as `xn--…`"),
    ("method_invalid", "a method in upper case"),
    (
        "method_override_refused",
        "no `x-http-method-override`, `x-http-method` or `x-method-override` where a token is asked for",
    ),
    (
        "path_override_refused",
        "no `x-original-url` or `x-rewrite-url` that differs from the path of the request; a proxy in front that sets them must not rewrite paths; and no `script_name`, `x-script-name` or `path_info` at all",
    ),
    ("request_malformed", "the proxy sent something that is no HTTP check: look at its ext_authz settings"),
    (
        "scope_invalid",
        "the proxy's `context_extensions` have a key of `entrance.dev/` twice, or one that is unknown or in another case",
    ),
    (
        "keys_unavailable",
        "no signing keys of the tenant yet, or none that still count: see `/readyz` and egress to the authority",
    ),
    ("groups_unavailable", "`groupOverage: Graph`, and membership is not known"),
    ("policy_unavailable", "no policies were loaded yet: see `/readyz`"),
    ("internal_error", "a fault in Entrance, caught and counted in `entrance_panics_total`: please report it"),
];
