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

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReasonCode {
    /// No bearer token in the request.
    TokenMissing,
    /// The authorization scheme is not Bearer.
    TokenSchemeUnsupported,
    /// More than one credential in the request.
    TokenMultiple,
    /// The token is too large.
    TokenTooLarge,
    /// The token is not a compact JWS.
    TokenMalformed,
    /// Encrypted tokens are not supported.
    TokenEncrypted,
    /// The token header is invalid.
    HeaderInvalid,
    /// The token header names a member twice.
    HeaderDuplicate,
    /// The token header demands an extension.
    HeaderCritUnsupported,
    /// The signature algorithm is not allowed.
    AlgNotAllowed,
    /// The token type is not allowed.
    TypNotAllowed,
    /// The token names no signing key.
    KidMissing,
    /// The signing key is unknown.
    KidUnknown,
    /// The signing key does not serve this issuer.
    KeyIssuerMismatch,
    /// The signature is invalid.
    SignatureInvalid,
    /// The token is for Microsoft Graph.
    TokenGraphNonce,
    /// The token payload is not an object.
    PayloadNotObject,
    /// The token names a claim twice.
    ClaimDuplicate,
    /// A claim has the wrong type.
    ClaimTypeInvalid,
    /// A required claim is missing.
    ClaimMissing,
    /// The token version is not accepted.
    VersionUnsupported,
    /// Token version and issuer disagree.
    VersionMismatch,
    /// The tenant id is invalid.
    TenantInvalid,
    /// The tenant is not allowed.
    TenantNotAllowed,
    /// The issuer is not the expected one.
    IssuerMismatch,
    /// The token is for another audience.
    AudienceMismatch,
    /// The token has expired.
    TokenExpired,
    /// The token is not valid yet.
    TokenNotYetValid,
    /// The token was issued in the future.
    TokenIssuedInFuture,
    /// The token lives too long.
    TokenLifetimeExcessive,
    /// The token is not an access token.
    TokenNotAccessToken,
    /// The token contradicts itself about its caller.
    TokenTypeConflict,
    /// Proof-of-possession tokens are not supported.
    TokenPopUnsupported,
    /// A stronger sign-in is required.
    StepUpRequired,
    /// A required scope is missing.
    ScopeMissing,
    /// This kind of caller is not allowed.
    PrincipalTypeDenied,
    /// The client application is not allowed.
    ClientNotAllowed,
    /// The tenant is not allowed on this route.
    TenantDenied,
    /// A required role is missing.
    RoleMissing,
    /// A required group is missing.
    GroupMissing,
    /// The token cannot list all groups.
    GroupsOverage,
    /// Guests are not allowed.
    GuestDenied,
    /// A condition of the route does not hold.
    ConditionNotMet,
    /// The sign-in is too long ago.
    SessionTooOld,
    /// A stronger sign-in is required that this client cannot make.
    StepUpNotPossible,
    /// A deny rule matches.
    DenyEntryMatched,
    /// The route allows nobody.
    NobodyAllowed,
    /// No policy covers this host.
    NoPolicyForHost,
    /// No route covers this path and method.
    NoRoute,
    /// The policy is invalid.
    PolicyInvalid,
    /// The path can be read in two ways.
    PathAmbiguous,
    /// The host is invalid.
    HostInvalid,
    /// The method is invalid.
    MethodInvalid,
    /// Method override headers are refused.
    MethodOverrideRefused,
    /// The request is malformed.
    RequestMalformed,
    /// Signing keys are unavailable.
    KeysUnavailable,
    /// Group membership is unavailable.
    GroupsUnavailable,
    /// Policies are not loaded.
    PolicyUnavailable,
    /// Internal error.
    InternalError,
}

impl ReasonCode {
    /// Every reason, in declaration order.
    pub const ALL: &[Self] = &[
        Self::TokenMissing,
        Self::TokenSchemeUnsupported,
        Self::TokenMultiple,
        Self::TokenTooLarge,
        Self::TokenMalformed,
        Self::TokenEncrypted,
        Self::HeaderInvalid,
        Self::HeaderDuplicate,
        Self::HeaderCritUnsupported,
        Self::AlgNotAllowed,
        Self::TypNotAllowed,
        Self::KidMissing,
        Self::KidUnknown,
        Self::KeyIssuerMismatch,
        Self::SignatureInvalid,
        Self::TokenGraphNonce,
        Self::PayloadNotObject,
        Self::ClaimDuplicate,
        Self::ClaimTypeInvalid,
        Self::ClaimMissing,
        Self::VersionUnsupported,
        Self::VersionMismatch,
        Self::TenantInvalid,
        Self::TenantNotAllowed,
        Self::IssuerMismatch,
        Self::AudienceMismatch,
        Self::TokenExpired,
        Self::TokenNotYetValid,
        Self::TokenIssuedInFuture,
        Self::TokenLifetimeExcessive,
        Self::TokenNotAccessToken,
        Self::TokenTypeConflict,
        Self::TokenPopUnsupported,
        Self::StepUpRequired,
        Self::ScopeMissing,
        Self::PrincipalTypeDenied,
        Self::ClientNotAllowed,
        Self::TenantDenied,
        Self::RoleMissing,
        Self::GroupMissing,
        Self::GroupsOverage,
        Self::GuestDenied,
        Self::ConditionNotMet,
        Self::SessionTooOld,
        Self::StepUpNotPossible,
        Self::DenyEntryMatched,
        Self::NobodyAllowed,
        Self::NoPolicyForHost,
        Self::NoRoute,
        Self::PolicyInvalid,
        Self::PathAmbiguous,
        Self::HostInvalid,
        Self::MethodInvalid,
        Self::MethodOverrideRefused,
        Self::RequestMalformed,
        Self::KeysUnavailable,
        Self::GroupsUnavailable,
        Self::PolicyUnavailable,
        Self::InternalError,
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TokenMissing => "token_missing",
            Self::TokenSchemeUnsupported => "token_scheme_unsupported",
            Self::TokenMultiple => "token_multiple",
            Self::TokenTooLarge => "token_too_large",
            Self::TokenMalformed => "token_malformed",
            Self::TokenEncrypted => "token_encrypted",
            Self::HeaderInvalid => "header_invalid",
            Self::HeaderDuplicate => "header_duplicate",
            Self::HeaderCritUnsupported => "header_crit_unsupported",
            Self::AlgNotAllowed => "alg_not_allowed",
            Self::TypNotAllowed => "typ_not_allowed",
            Self::KidMissing => "kid_missing",
            Self::KidUnknown => "kid_unknown",
            Self::KeyIssuerMismatch => "key_issuer_mismatch",
            Self::SignatureInvalid => "signature_invalid",
            Self::TokenGraphNonce => "token_graph_nonce",
            Self::PayloadNotObject => "payload_not_object",
            Self::ClaimDuplicate => "claim_duplicate",
            Self::ClaimTypeInvalid => "claim_type_invalid",
            Self::ClaimMissing => "claim_missing",
            Self::VersionUnsupported => "version_unsupported",
            Self::VersionMismatch => "version_mismatch",
            Self::TenantInvalid => "tenant_invalid",
            Self::TenantNotAllowed => "tenant_not_allowed",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::AudienceMismatch => "audience_mismatch",
            Self::TokenExpired => "token_expired",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::TokenIssuedInFuture => "token_issued_in_future",
            Self::TokenLifetimeExcessive => "token_lifetime_excessive",
            Self::TokenNotAccessToken => "token_not_access_token",
            Self::TokenTypeConflict => "token_type_conflict",
            Self::TokenPopUnsupported => "token_pop_unsupported",
            Self::StepUpRequired => "step_up_required",
            Self::ScopeMissing => "scope_missing",
            Self::PrincipalTypeDenied => "principal_type_denied",
            Self::ClientNotAllowed => "client_not_allowed",
            Self::TenantDenied => "tenant_denied",
            Self::RoleMissing => "role_missing",
            Self::GroupMissing => "group_missing",
            Self::GroupsOverage => "groups_overage",
            Self::GuestDenied => "guest_denied",
            Self::ConditionNotMet => "condition_not_met",
            Self::SessionTooOld => "session_too_old",
            Self::StepUpNotPossible => "step_up_not_possible",
            Self::DenyEntryMatched => "deny_entry_matched",
            Self::NobodyAllowed => "nobody_allowed",
            Self::NoPolicyForHost => "no_policy_for_host",
            Self::NoRoute => "no_route",
            Self::PolicyInvalid => "policy_invalid",
            Self::PathAmbiguous => "path_ambiguous",
            Self::HostInvalid => "host_invalid",
            Self::MethodInvalid => "method_invalid",
            Self::MethodOverrideRefused => "method_override_refused",
            Self::RequestMalformed => "request_malformed",
            Self::KeysUnavailable => "keys_unavailable",
            Self::GroupsUnavailable => "groups_unavailable",
            Self::PolicyUnavailable => "policy_unavailable",
            Self::InternalError => "internal_error",
        }
    }

    /// A constant sentence for `error_description`; says nothing about the token or the policy.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::TokenMissing => "no bearer token in the request",
            Self::TokenSchemeUnsupported => "the authorization scheme is not Bearer",
            Self::TokenMultiple => "more than one credential in the request",
            Self::TokenTooLarge => "the token is too large",
            Self::TokenMalformed => "the token is not a compact JWS",
            Self::TokenEncrypted => "encrypted tokens are not supported",
            Self::HeaderInvalid => "the token header is invalid",
            Self::HeaderDuplicate => "the token header names a member twice",
            Self::HeaderCritUnsupported => "the token header demands an extension",
            Self::AlgNotAllowed => "the signature algorithm is not allowed",
            Self::TypNotAllowed => "the token type is not allowed",
            Self::KidMissing => "the token names no signing key",
            Self::KidUnknown => "the signing key is unknown",
            Self::KeyIssuerMismatch => "the signing key does not serve this issuer",
            Self::SignatureInvalid => "the signature is invalid",
            Self::TokenGraphNonce => "the token is for Microsoft Graph",
            Self::PayloadNotObject => "the token payload is not an object",
            Self::ClaimDuplicate => "the token names a claim twice",
            Self::ClaimTypeInvalid => "a claim has the wrong type",
            Self::ClaimMissing => "a required claim is missing",
            Self::VersionUnsupported => "the token version is not accepted",
            Self::VersionMismatch => "token version and issuer disagree",
            Self::TenantInvalid => "the tenant id is invalid",
            Self::TenantNotAllowed => "the tenant is not allowed",
            Self::IssuerMismatch => "the issuer is not the expected one",
            Self::AudienceMismatch => "the token is for another audience",
            Self::TokenExpired => "the token has expired",
            Self::TokenNotYetValid => "the token is not valid yet",
            Self::TokenIssuedInFuture => "the token was issued in the future",
            Self::TokenLifetimeExcessive => "the token lives too long",
            Self::TokenNotAccessToken => "the token is not an access token",
            Self::TokenTypeConflict => "the token contradicts itself about its caller",
            Self::TokenPopUnsupported => "proof-of-possession tokens are not supported",
            Self::StepUpRequired => "a stronger sign-in is required",
            Self::ScopeMissing => "a required scope is missing",
            Self::PrincipalTypeDenied => "this kind of caller is not allowed",
            Self::ClientNotAllowed => "the client application is not allowed",
            Self::TenantDenied => "the tenant is not allowed on this route",
            Self::RoleMissing => "a required role is missing",
            Self::GroupMissing => "a required group is missing",
            Self::GroupsOverage => "the token cannot list all groups",
            Self::GuestDenied => "guests are not allowed",
            Self::ConditionNotMet => "a condition of the route does not hold",
            Self::SessionTooOld => "the sign-in is too long ago",
            Self::StepUpNotPossible => {
                "a stronger sign-in is required that this client cannot make"
            }
            Self::DenyEntryMatched => "a deny rule matches",
            Self::NobodyAllowed => "the route allows nobody",
            Self::NoPolicyForHost => "no policy covers this host",
            Self::NoRoute => "no route covers this path and method",
            Self::PolicyInvalid => "the policy is invalid",
            Self::PathAmbiguous => "the path can be read in two ways",
            Self::HostInvalid => "the host is invalid",
            Self::MethodInvalid => "the method is invalid",
            Self::MethodOverrideRefused => "method override headers are refused",
            Self::RequestMalformed => "the request is malformed",
            Self::KeysUnavailable => "signing keys are unavailable",
            Self::GroupsUnavailable => "group membership is unavailable",
            Self::PolicyUnavailable => "policies are not loaded",
            Self::InternalError => "internal error",
        }
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub const fn status(self) -> DenyStatus {
        match self {
            Self::TokenMissing
            | Self::TokenSchemeUnsupported
            | Self::TokenMultiple
            | Self::TokenTooLarge
            | Self::TokenMalformed
            | Self::TokenEncrypted
            | Self::HeaderInvalid
            | Self::HeaderDuplicate
            | Self::HeaderCritUnsupported
            | Self::AlgNotAllowed
            | Self::TypNotAllowed
            | Self::KidMissing
            | Self::KidUnknown
            | Self::KeyIssuerMismatch
            | Self::SignatureInvalid
            | Self::TokenGraphNonce
            | Self::PayloadNotObject
            | Self::ClaimDuplicate
            | Self::ClaimTypeInvalid
            | Self::ClaimMissing
            | Self::VersionUnsupported
            | Self::VersionMismatch
            | Self::TenantInvalid
            | Self::TenantNotAllowed
            | Self::IssuerMismatch
            | Self::AudienceMismatch
            | Self::TokenExpired
            | Self::TokenNotYetValid
            | Self::TokenIssuedInFuture
            | Self::TokenLifetimeExcessive
            | Self::TokenNotAccessToken
            | Self::TokenTypeConflict
            | Self::TokenPopUnsupported
            | Self::StepUpRequired => DenyStatus::Unauthorized,
            Self::ScopeMissing
            | Self::PrincipalTypeDenied
            | Self::ClientNotAllowed
            | Self::TenantDenied
            | Self::RoleMissing
            | Self::GroupMissing
            | Self::GroupsOverage
            | Self::GuestDenied
            | Self::ConditionNotMet
            | Self::SessionTooOld
            | Self::StepUpNotPossible
            | Self::DenyEntryMatched
            | Self::NobodyAllowed
            | Self::NoPolicyForHost
            | Self::NoRoute
            | Self::PolicyInvalid => DenyStatus::Forbidden,
            Self::PathAmbiguous
            | Self::HostInvalid
            | Self::MethodInvalid
            | Self::MethodOverrideRefused
            | Self::RequestMalformed => DenyStatus::BadRequest,
            Self::KeysUnavailable
            | Self::GroupsUnavailable
            | Self::PolicyUnavailable
            | Self::InternalError => DenyStatus::Unavailable,
        }
    }

    /// The Bearer error of the challenge.
    #[must_use]
    pub const fn bearer_error(self) -> BearerError {
        match self {
            Self::TokenMissing
            | Self::PrincipalTypeDenied
            | Self::ClientNotAllowed
            | Self::TenantDenied
            | Self::RoleMissing
            | Self::GroupMissing
            | Self::GroupsOverage
            | Self::GuestDenied
            | Self::ConditionNotMet
            | Self::SessionTooOld
            | Self::StepUpNotPossible
            | Self::DenyEntryMatched
            | Self::NobodyAllowed
            | Self::NoPolicyForHost
            | Self::NoRoute
            | Self::PolicyInvalid
            | Self::PathAmbiguous
            | Self::HostInvalid
            | Self::MethodInvalid
            | Self::MethodOverrideRefused
            | Self::RequestMalformed
            | Self::KeysUnavailable
            | Self::GroupsUnavailable
            | Self::PolicyUnavailable
            | Self::InternalError => BearerError::None,
            Self::TokenSchemeUnsupported
            | Self::TokenMultiple
            | Self::TokenTooLarge
            | Self::TokenMalformed
            | Self::TokenEncrypted
            | Self::HeaderInvalid
            | Self::HeaderDuplicate
            | Self::HeaderCritUnsupported
            | Self::AlgNotAllowed
            | Self::TypNotAllowed
            | Self::KidMissing
            | Self::KidUnknown
            | Self::KeyIssuerMismatch
            | Self::SignatureInvalid
            | Self::TokenGraphNonce
            | Self::PayloadNotObject
            | Self::ClaimDuplicate
            | Self::ClaimTypeInvalid
            | Self::ClaimMissing
            | Self::VersionUnsupported
            | Self::VersionMismatch
            | Self::TenantInvalid
            | Self::TenantNotAllowed
            | Self::IssuerMismatch
            | Self::AudienceMismatch
            | Self::TokenExpired
            | Self::TokenNotYetValid
            | Self::TokenIssuedInFuture
            | Self::TokenLifetimeExcessive
            | Self::TokenNotAccessToken
            | Self::TokenTypeConflict
            | Self::TokenPopUnsupported => BearerError::Invalid,
            Self::StepUpRequired => BearerError::StepUp,
            Self::ScopeMissing => BearerError::Scope,
        }
    }

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
    fn all_lists_every_reason_once_and_in_order() {
        for (at, reason) in ReasonCode::ALL.iter().enumerate() {
            assert_eq!(reason.index(), at, "{reason} is out of place in ALL");
        }
        assert_eq!(
            ReasonCode::ALL.last(),
            Some(&ReasonCode::InternalError),
            "a reason after the last is missing in ALL"
        );
    }

    #[test]
    fn codes_are_the_snake_case_of_their_names() {
        for reason in ReasonCode::ALL {
            let camel: String = reason
                .code()
                .split('_')
                .map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..]))
                .collect();
            assert_eq!(camel, format!("{reason:?}"));
        }
    }
}
