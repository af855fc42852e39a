//! `WWW-Authenticate: Bearer …` (RFC 6750 §3, RFC 9728 §5.1), and Entra's claims challenge for step-up.
//!
//! One header, each parameter once, all texts constant or from configuration: nothing of the token or the request ever
//! gets in. A challenge goes with every 401, and with a 403 that more scopes would turn into a permit.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::authorize::decision::ChallengeContext;
use crate::policy::decide::Challenge;
use crate::reason::{BearerError, DenyStatus, ReasonCode};

/// Says no more than that a bearer token is asked for. RFC 9110 §11.6.1 wants a challenge with every 401.
const BARE: &str = "Bearer realm=\"\"";

/// The challenge that belongs to a refusal, if one does.
pub(super) fn challenge(
    reason: ReasonCode,
    context: Option<&ChallengeContext>,
    asks: Option<&Challenge>,
) -> Option<String> {
    if reason.status() != DenyStatus::Unauthorized && reason.bearer_error() != BearerError::Scope {
        return None;
    }
    let mut line = Line::new();
    let realm = context.and_then(|context| context.tenant);
    line.add("realm", &realm.map(|tenant| tenant.to_string()).unwrap_or_default());
    if let Some(context) = context {
        line.add("authorization_uri", &context.authorization_uri);
        if let Some(metadata) = &context.resource_metadata {
            line.add("resource_metadata", metadata);
        }
    }
    match reason.bearer_error() {
        BearerError::None => {}
        BearerError::Invalid => line.error("invalid_token", reason),
        BearerError::Scope => {
            line.error("insufficient_scope", reason);
            if let Some(Challenge::Scopes(scopes)) = asks {
                line.add("scope", &full_scopes(scopes, context));
            }
        }
        BearerError::StepUp => {
            if let Some(context) = context {
                line.add("client_id", &context.client_id);
            }
            line.error("insufficient_claims", reason);
            if let Some(Challenge::AuthContext(wanted)) = asks {
                line.add("claims", &claims(wanted));
                line.add("cc_type", "authcontext");
            }
        }
    }
    // a value that cannot stand in a header leaves the bare scheme, which is a valid challenge
    let plain = line.0.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    Some(if plain { line.0 } else { BARE.to_owned() })
}

struct Line(String);

impl Line {
    fn new() -> Self {
        Self("Bearer".to_owned())
    }

    /// Appends `name="value"` as a quoted-string (RFC 9110 §5.6.4).
    fn add(&mut self, name: &str, value: &str) {
        self.0.push_str(if self.0.contains('=') { ", " } else { " " });
        self.0.push_str(name);
        self.0.push_str("=\"");
        for letter in value.chars() {
            if matches!(letter, '"' | '\\') {
                self.0.push('\\');
            }
            self.0.push(letter);
        }
        self.0.push('"');
    }

    fn error(&mut self, error: &str, reason: ReasonCode) {
        self.add("error", error);
        self.add("error_description", reason.text());
    }
}

/// Clients ask Entra for scopes by their full URI.
fn full_scopes(scopes: &[Box<str>], context: Option<&ChallengeContext>) -> String {
    let full: Vec<String> = scopes
        .iter()
        .map(|scope| match context {
            Some(context) => format!("{}/{scope}", context.scope_prefix),
            None => scope.to_string(),
        })
        .collect();
    full.join(" ")
}

/// The claims request that Entra's clients pass on, as base64 with padding of minified JSON.
fn claims(auth_context: &str) -> String {
    let request = serde_json::json!({
        "access_token": {"acrs": {"essential": true, "value": auth_context}}
    });
    STANDARD.encode(request.to_string())
}

#[cfg(test)]
mod tests {
    use super::challenge;
    use crate::authorize::decision::ChallengeContext;
    use crate::identity::Guid;
    use crate::policy::decide::Challenge;
    use crate::reason::{DenyStatus, ReasonCode};

    fn context() -> ChallengeContext {
        ChallengeContext {
            tenant: Guid::parse("11111111-2222-3333-4444-555555555555"),
            authorization_uri: "https://login.example/t/oauth2/v2.0/authorize".into(),
            client_id: "api-1".into(),
            scope_prefix: "api://orders".into(),
            resource_metadata: None,
        }
    }

    fn line(reason: ReasonCode, asks: Option<&Challenge>) -> String {
        challenge(reason, Some(&context()), asks).unwrap()
    }

    const START: &str = "Bearer realm=\"11111111-2222-3333-4444-555555555555\", \
        authorization_uri=\"https://login.example/t/oauth2/v2.0/authorize\"";

    #[test]
    fn without_a_token_there_is_no_error() {
        assert_eq!(line(ReasonCode::TokenMissing, None), START);
    }

    #[test]
    fn a_bad_token_is_told_with_a_constant_text() {
        assert_eq!(
            line(ReasonCode::TokenExpired, None),
            format!("{START}, error=\"invalid_token\", error_description=\"the token has expired\"")
        );
    }

    #[test]
    fn missing_scopes_are_named_by_their_full_uri() {
        let asks = Challenge::Scopes(vec!["orders.read".into(), "orders.write".into()]);
        assert_eq!(
            line(ReasonCode::ScopeMissing, Some(&asks)),
            format!(
                "{START}, error=\"insufficient_scope\", error_description=\"a required scope is missing\", \
                 scope=\"api://orders/orders.read api://orders/orders.write\""
            )
        );
    }

    #[test]
    fn step_up_asks_for_the_authentication_context() {
        let asks = Challenge::AuthContext("c1".into());
        assert_eq!(
            line(ReasonCode::StepUpRequired, Some(&asks)),
            format!(
                "{START}, client_id=\"api-1\", error=\"insufficient_claims\", \
                 error_description=\"a stronger sign-in is required\", \
                 claims=\"eyJhY2Nlc3NfdG9rZW4iOnsiYWNycyI6eyJlc3NlbnRpYWwiOnRydWUsInZhbHVlIjoiYzEifX19\", \
                 cc_type=\"authcontext\""
            )
        );
    }

    #[test]
    fn without_one_tenant_the_realm_is_empty() {
        let common = "https://login.example/common/oauth2/v2.0/authorize";
        let any = ChallengeContext { tenant: None, authorization_uri: common.into(), ..context() };
        let line = challenge(ReasonCode::TokenMissing, Some(&any), None).unwrap();
        assert_eq!(line, format!("Bearer realm=\"\", authorization_uri=\"{common}\""));
        assert_eq!(challenge(ReasonCode::TokenMissing, None, None).unwrap(), "Bearer realm=\"\"");
    }

    #[test]
    fn protected_resource_metadata_is_named_where_there_is_some() {
        let uri = "https://orders.example/.well-known/oauth-protected-resource";
        let described = ChallengeContext { resource_metadata: Some(uri.into()), ..context() };
        let line = challenge(ReasonCode::TokenMissing, Some(&described), None).unwrap();
        assert_eq!(line, format!("{START}, resource_metadata=\"{uri}\""));
    }

    #[test]
    fn each_parameter_stands_once() {
        let described = ChallengeContext { resource_metadata: Some("https://a".into()), ..context() };
        let scopes = Challenge::Scopes(vec!["a".into()]);
        let step_up = Challenge::AuthContext("c1".into());
        for &reason in ReasonCode::ALL {
            for asks in [None, Some(&scopes), Some(&step_up)] {
                let Some(line) = challenge(reason, Some(&described), asks) else { continue };
                let parameters = line.strip_prefix("Bearer ").unwrap().split("\", ");
                let mut names: Vec<&str> = parameters.filter_map(|parameter| parameter.split('=').next()).collect();
                let all = names.len();
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), all, "{reason}: {line}");
            }
        }
    }

    #[test]
    fn every_401_and_no_other_refusal_but_scope_has_a_challenge() {
        for &reason in ReasonCode::ALL {
            let expected = reason.status() == DenyStatus::Unauthorized || reason == ReasonCode::ScopeMissing;
            assert_eq!(challenge(reason, None, None).is_some(), expected, "{reason}");
        }
    }

    #[test]
    fn values_that_cannot_stand_in_a_header_leave_a_bare_challenge() {
        for uri in ["https://a\r\nset-cookie: x", "https://ä", "https://a\t", "https://a\u{7f}"] {
            let broken = ChallengeContext { authorization_uri: uri.into(), ..context() };
            let value = challenge(ReasonCode::TokenMissing, Some(&broken), None).unwrap();
            assert_eq!(value, "Bearer realm=\"\"", "{uri}");
        }
        let quoted = ChallengeContext { authorization_uri: "a\"b".into(), ..context() };
        let value = challenge(ReasonCode::TokenMissing, Some(&quoted), None).unwrap();
        assert!(value.ends_with("=\"a\\\"b\""));
    }
}
