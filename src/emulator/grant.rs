//! The token endpoint: the client credentials grant, with a secret or an assertion, and Entra's way to say no.
//!
//! Error numbers and statuses follow Entra's; the texts are our own.

use std::sync::Arc;

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::assertion;
use super::config::{Api, Client};
use super::guid;
use super::mint::{self, Base, MintRequest};
use super::world::{Fault, Target, TenantForm, World};

/// `client_assertion_type` of RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Lifetime of a token, in seconds.
const LIFETIME: i64 = 3599;

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GrantFault {
    #[error("the tenant does not exist")]
    TenantUnknown,
    #[error("the request needs a tenant, not `common` or `organizations`")]
    TenantNotNamed,
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("the grant type is not supported; use `client_credentials`")]
    GrantType,
    #[error("the application is not in this tenant")]
    ClientUnknown,
    #[error("the client secret is wrong")]
    SecretWrong,
    #[error("more than one kind of client credential was sent")]
    CredentialsMixed,
    #[error("no certificate of this thumbprint is registered for the application")]
    CertificateUnknown,
    #[error("the client assertion is refused: {0}")]
    AssertionInvalid(&'static str),
    #[error("the client assertion is not within its valid time range, or lives longer than ten minutes")]
    AssertionTime,
    #[error("the scope is not `{{resource}}/.default`")]
    ScopeInvalid,
    #[error("the resource is not in this tenant")]
    ResourceUnknown,
    #[error("the stand-in was told to fail, or failed")]
    Broken,
}

impl GrantFault {
    /// Entra's error number, the OAuth error (RFC 6749 §5.2) and the status.
    const fn shape(self) -> (u32, &'static str, StatusCode) {
        let bad = StatusCode::BAD_REQUEST;
        let unauthorized = StatusCode::UNAUTHORIZED;
        match self {
            Self::TenantUnknown => (90_002, "invalid_request", bad),
            Self::TenantNotNamed => (53_003, "invalid_request", bad),
            Self::Missing(_) => (900_144, "invalid_request", bad),
            Self::GrantType => (70_003, "unsupported_grant_type", bad),
            Self::ClientUnknown => (700_016, "unauthorized_client", bad),
            Self::SecretWrong => (7_000_215, "invalid_client", unauthorized),
            Self::CredentialsMixed => (7_000_218, "invalid_request", bad),
            Self::CertificateUnknown => (700_027, "invalid_client", unauthorized),
            Self::AssertionInvalid(_) => (50_027, "invalid_client", unauthorized),
            Self::AssertionTime => (700_024, "invalid_client", unauthorized),
            Self::ScopeInvalid => (1_002_012, "invalid_scope", bad),
            Self::ResourceUnknown => (500_011, "invalid_resource", bad),
            Self::Broken => (90_033, "temporarily_unavailable", StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    /// The error as Entra writes it.
    pub(super) fn answer(self, world: &World) -> Response {
        let (number, error, status) = self.shape();
        let (trace, correlation) = (guid::random(), guid::random());
        let now = jiff::Timestamp::from_second(world.clock.unix().0).unwrap_or_default();
        let stamp = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let description =
            format!("AADSTS{number}: {self}. Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}");
        let body = Json(json!({
            "error": error,
            "error_description": description,
            "error_codes": [number],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("{}/error?code={number}", world.base),
        }));
        (status, [(header::CACHE_CONTROL, "no-store")], body).into_response()
    }
}

/// The form of a token request.
#[derive(Deserialize)]
struct TokenForm {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
    scope: Option<String>,
}

/// How the client proves who it is.
enum Proof {
    Secret(String),
    Assertion(String),
}

/// The route of the endpoint.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new().route("/{tenant}/oauth2/v2.0/token", post(token))
}

async fn token(
    State(world): State<Arc<World>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    Form(form): Form<TokenForm>,
) -> Response {
    let fault = world.visit(Target::Token).await;
    if !matches!(fault, Fault::None | Fault::Slow { .. }) {
        return GrantFault::Broken.answer(&world);
    }
    match grant(&world, &tenant, (&headers, form)) {
        Ok(token) => {
            let body = Json(json!({
                "token_type": "Bearer",
                "expires_in": LIFETIME,
                "ext_expires_in": LIFETIME,
                "access_token": token,
            }));
            ([(header::CACHE_CONTROL, "no-store")], body).into_response()
        }
        Err(fault) => fault.answer(&world),
    }
}

fn grant(world: &World, named: &str, (headers, form): (&HeaderMap, TokenForm)) -> Result<String, GrantFault> {
    let tenant = match world.tenant_form(named).ok_or(GrantFault::TenantUnknown)? {
        TenantForm::Many => return Err(GrantFault::TenantNotNamed),
        TenantForm::One(tenant) => tenant,
    };
    match form.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => return Err(GrantFault::GrantType),
        None => return Err(GrantFault::Missing("grant_type")),
    }
    let scope = form.scope.clone().ok_or(GrantFault::Missing("scope"))?;
    let (client, proof) = credentials(headers, form)?;
    let client = world.client(&client).ok_or(GrantFault::ClientUnknown)?;
    let method = prove(world, (named, client), &proof)?;
    let resource = scope.strip_suffix("/.default").ok_or(GrantFault::ScopeInvalid)?;
    let api = world.api(resource).ok_or(GrantFault::ResourceUnknown)?;
    issue(world, (&tenant.id, client), (api, resource, method))
}

fn credentials(headers: &HeaderMap, form: TokenForm) -> Result<(String, Proof), GrantFault> {
    let basic = basic(headers);
    let assertion = match form.client_assertion_type.as_deref() {
        Some(JWT_BEARER) => form.client_assertion,
        Some(_) | None if form.client_assertion.is_some() => {
            return Err(GrantFault::Missing("client_assertion_type"));
        }
        Some(_) | None => None,
    };
    let id = form.client_id.ok_or(GrantFault::Missing("client_id"));
    match (basic, form.client_secret, assertion) {
        (Some((client, secret)), None, None) => Ok((client, Proof::Secret(secret))),
        (None, Some(secret), None) => Ok((id?, Proof::Secret(secret))),
        (None, None, Some(assertion)) => {
            let client = id.or_else(|missing| assertion::claimed_client(&assertion).ok_or(missing))?;
            Ok((client, Proof::Assertion(assertion)))
        }
        (None, None, None) => Err(GrantFault::Missing("client_secret")),
        _ => Err(GrantFault::CredentialsMixed),
    }
}

/// Client id and secret of HTTP Basic (RFC 6749 §2.3.1: both form-encoded).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let (client, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((decode(client)?, decode(secret)?))
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// Checks the proof; the answer is the `azpacr` of the token: "1" for a secret, "2" for a certificate.
fn prove(world: &World, (tenant, client): (&str, &Client), proof: &Proof) -> Result<&'static str, GrantFault> {
    match proof {
        Proof::Secret(secret) if client.secrets.contains(secret) => Ok("1"),
        Proof::Secret(_) => Err(GrantFault::SecretWrong),
        Proof::Assertion(assertion) => {
            assertion::check(world, (tenant, &client.client_id), assertion)?;
            Ok("2")
        }
    }
}

fn issue(
    world: &World,
    (tenant, client): (&str, &Client),
    (api, resource, method): (&Api, &str, &str),
) -> Result<String, GrantFault> {
    let (base, method_claim) = match api.token_version {
        1 => (Base::WorkloadV1, "appidacr"),
        _ => (Base::Workload, "azpacr"),
    };
    let mut request = MintRequest {
        base,
        tenant: Some(tenant.to_owned()),
        client: Some(client.client_id.clone()),
        api: Some(api.client_id.clone()),
        expires_in: Some(LIFETIME),
        ..MintRequest::default()
    };
    request.set_claims.insert(method_claim.into(), method.into());
    if base == Base::WorkloadV1 {
        request.set_claims.insert("aud".into(), resource.into());
    }
    mint::mint(world, &request).map_err(|_| GrantFault::Broken)
}
