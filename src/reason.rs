//! Every reason why a request is refused: one closed enum, one stable code each, one HTTP status each.
//!
//! Codes are `lower_snake_case`, part of the interface, and never renamed. The status type cannot hold a success,
//! so no reason can turn into a permit.

use std::fmt;

/// The statuses a refusal may have (RFC 9110 §15.5, §15.6). None of them is a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenyStatus {
    /// 400.
    BadRequest,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 503.
    Unavailable,
}

impl DenyStatus {
    /// The HTTP status code.
    #[must_use]
    pub const fn http(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::Unavailable => 503,
        }
    }

    /// The RFC 9457 `title`: the status's reason phrase.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad Request",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::Unavailable => "Service Unavailable",
        }
    }
}

/// The `error` of a `WWW-Authenticate: Bearer` challenge that belongs to a reason (RFC 6750 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BearerError {
    /// No `error` parameter (no token was sent), or no challenge at all on a status other than 401.
    None,
    /// `invalid_token`.
    Invalid,
    /// `insufficient_scope`.
    Scope,
    /// `insufficient_claims`, with a claims challenge.
    StepUp,
}

macro_rules! reasons {
    ($($name:ident, $code:literal, $status:ident, $bearer:ident, $text:literal;)+) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ReasonCode {
            $(#[doc = concat!("`", $code, "`: ", $text, ".")] $name,)+
        }

        impl ReasonCode {
            /// Every reason, in order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// A constant sentence for `error_description`; says nothing about the token or the policy.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The HTTP status of the answer.
            #[must_use]
            pub const fn status(self) -> DenyStatus {
                match self { $(Self::$name => DenyStatus::$status,)+ }
            }

            /// The Bearer error of the challenge.
            #[must_use]
            pub const fn bearer_error(self) -> BearerError {
                match self { $(Self::$name => BearerError::$bearer,)+ }
            }
        }
    };
}

// Reason, code, HTTP status, Bearer error, sentence.
reasons! {
    TokenMissing, "token_missing", Unauthorized, None, "no bearer token in the request";
    TokenSchemeUnsupported, "token_scheme_unsupported", Unauthorized, Invalid, "the authorization scheme is not Bearer";
    TokenMultiple, "token_multiple", Unauthorized, Invalid, "more than one credential in the request";
    TokenTooLarge, "token_too_large", Unauthorized, Invalid, "the token is too large";
    TokenMalformed, "token_malformed", Unauthorized, Invalid, "the token is not a compact JWS";
    TokenEncrypted, "token_encrypted", Unauthorized, Invalid, "encrypted tokens are not supported";
    HeaderInvalid, "header_invalid", Unauthorized, Invalid, "the token header is invalid";
    HeaderDuplicate, "header_duplicate", Unauthorized, Invalid, "the token header names a member twice";
    HeaderCritUnsupported, "header_crit_unsupported", Unauthorized, Invalid, "the token header demands an extension";
    AlgNotAllowed, "alg_not_allowed", Unauthorized, Invalid, "the signature algorithm is not allowed";
    TypNotAllowed, "typ_not_allowed", Unauthorized, Invalid, "the token type is not allowed";
    KidMissing, "kid_missing", Unauthorized, Invalid, "the token names no signing key";
    KidUnknown, "kid_unknown", Unauthorized, Invalid, "the signing key is unknown";
    KeyIssuerMismatch, "key_issuer_mismatch", Unauthorized, Invalid, "the signing key does not serve this issuer";
    SignatureInvalid, "signature_invalid", Unauthorized, Invalid, "the signature is invalid";
    TokenGraphNonce, "token_graph_nonce", Unauthorized, Invalid, "the token is for Microsoft Graph";
    PayloadNotObject, "payload_not_object", Unauthorized, Invalid, "the token payload is not an object";
    ClaimDuplicate, "claim_duplicate", Unauthorized, Invalid, "the token names a claim twice";
    ClaimTypeInvalid, "claim_type_invalid", Unauthorized, Invalid, "a claim has the wrong type";
    ClaimMissing, "claim_missing", Unauthorized, Invalid, "a required claim is missing";
    VersionUnsupported, "version_unsupported", Unauthorized, Invalid, "the token version is not accepted";
    VersionMismatch, "version_mismatch", Unauthorized, Invalid, "token version and issuer disagree";
    TenantInvalid, "tenant_invalid", Unauthorized, Invalid, "the tenant id is invalid";
    TenantNotAllowed, "tenant_not_allowed", Unauthorized, Invalid, "the tenant is not allowed";
    IssuerMismatch, "issuer_mismatch", Unauthorized, Invalid, "the issuer is not the expected one";
    AudienceMismatch, "audience_mismatch", Unauthorized, Invalid, "the token is for another audience";
    TokenExpired, "token_expired", Unauthorized, Invalid, "the token has expired";
    TokenNotYetValid, "token_not_yet_valid", Unauthorized, Invalid, "the token is not valid yet";
    TokenIssuedInFuture, "token_issued_in_future", Unauthorized, Invalid, "the token was issued in the future";
    TokenLifetimeExcessive, "token_lifetime_excessive", Unauthorized, Invalid, "the token lives too long";
    TokenNotAccessToken, "token_not_access_token", Unauthorized, Invalid, "the token is not an access token";
    TokenTypeConflict, "token_type_conflict", Unauthorized, Invalid, "the token contradicts itself about its caller";
    TokenPopUnsupported, "token_pop_unsupported", Unauthorized, Invalid, "proof-of-possession tokens are not supported";
    TokenRevoked, "token_revoked", Unauthorized, Invalid, "the token was revoked";
    StepUpRequired, "step_up_required", Unauthorized, StepUp, "a stronger sign-in is required";
    ScopeMissing, "scope_missing", Forbidden, Scope, "a required scope is missing";
    PrincipalTypeDenied, "principal_type_denied", Forbidden, None, "this kind of caller is not allowed";
    ClientNotAllowed, "client_not_allowed", Forbidden, None, "the client application is not allowed";
    TenantDenied, "tenant_denied", Forbidden, None, "the tenant is not allowed on this route";
    RoleMissing, "role_missing", Forbidden, None, "a required role is missing";
    GroupMissing, "group_missing", Forbidden, None, "a required group is missing";
    GroupsOverage, "groups_overage", Forbidden, None, "the token cannot list all groups";
    GuestDenied, "guest_denied", Forbidden, None, "guests are not allowed";
    ConditionNotMet, "condition_not_met", Forbidden, None, "a condition of the route does not hold";
    SessionTooOld, "session_too_old", Forbidden, None, "the sign-in is too long ago";
    StepUpNotPossible, "step_up_not_possible", Forbidden, None, "a stronger sign-in is required that this client cannot make";
    DenyEntryMatched, "deny_entry_matched", Forbidden, None, "a deny rule matches";
    NobodyAllowed, "nobody_allowed", Forbidden, None, "the route allows nobody";
    NoPolicyForHost, "no_policy_for_host", Forbidden, None, "no policy covers this host";
    NoRoute, "no_route", Forbidden, None, "no route covers this path and method";
    PolicyInvalid, "policy_invalid", Forbidden, None, "the policy is invalid";
    ScopeUnknown, "scope_unknown", Forbidden, None, "the proxy names a policy or an application that is not here";
    PathAmbiguous, "path_ambiguous", BadRequest, None, "the path can be read in two ways";
    HostInvalid, "host_invalid", BadRequest, None, "the host is invalid";
    MethodInvalid, "method_invalid", BadRequest, None, "the method is invalid";
    MethodOverrideRefused, "method_override_refused", BadRequest, None, "method override headers are refused";
    PathOverrideRefused, "path_override_refused", BadRequest, None, "headers that ask for another path are refused";
    ScopeInvalid, "scope_invalid", BadRequest, None, "what the proxy names as the policy is contradictory";
    RequestMalformed, "request_malformed", BadRequest, None, "the request is malformed";
    KeysUnavailable, "keys_unavailable", Unavailable, None, "signing keys are unavailable";
    GroupsUnavailable, "groups_unavailable", Unavailable, None, "group membership is unavailable";
    PolicyUnavailable, "policy_unavailable", Unavailable, None, "policies are not loaded";
    InternalError, "internal_error", Unavailable, None, "internal error";
}

impl ReasonCode {
    /// Position in [`ReasonCode::ALL`], for tables of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::ReasonCode;

    #[test]
    fn all_lists_every_reason_at_its_place() {
        for (at, reason) in ReasonCode::ALL.iter().enumerate() {
            assert_eq!(reason.index(), at, "{reason} is out of place");
        }
    }

    #[test]
    fn codes_are_the_snake_case_of_their_names() {
        for reason in ReasonCode::ALL {
            let plain: String = reason.code().split('_').collect();
            assert_eq!(plain, format!("{reason:?}").to_ascii_lowercase());
            assert_eq!(reason.code(), reason.code().to_ascii_lowercase());
        }
    }
}
