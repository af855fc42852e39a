//! The documents that clients and validators start from: OpenID metadata and JWKS, v1 and v2, per tenant and as templates.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use serde::Deserialize;
use serde_json::{Value, json};

use super::grant::GrantFault;
use super::world::{Fault, Target, TenantForm, World};

/// The literal that stands for the tenant in documents for many tenants.
const TEMPLATE: &str = "{tenantid}";

/// The document's version, from its URL.
#[derive(Clone, Copy)]
enum Edition {
    V1,
    V2,
}

/// `?appid=`: an application with signing keys of its own.
#[derive(Deserialize)]
struct AppParameter {
    appid: Option<String>,
}

/// The routes of the documents.
pub(super) fn routes() -> Router<Arc<World>> {
    let well_known = ".well-known/openid-configuration";
    Router::new()
        .route(&format!("/{{tenant}}/v2.0/{well_known}"), get(metadata_v2))
        .route(&format!("/{{tenant}}/{well_known}"), get(metadata_v1))
        .route("/{tenant}/discovery/v2.0/keys", get(keys_v2))
        .route("/{tenant}/discovery/keys", get(keys_v1))
}

async fn metadata_v2(
    State(world): State<Arc<World>>,
    Path(tenant): Path<String>,
    Query(app): Query<AppParameter>,
) -> Response {
    metadata(&world, &tenant, (Edition::V2, app)).await
}

async fn metadata_v1(
    State(world): State<Arc<World>>,
    Path(tenant): Path<String>,
    Query(app): Query<AppParameter>,
) -> Response {
    metadata(&world, &tenant, (Edition::V1, app)).await
}

async fn keys_v2(State(world): State<Arc<World>>, Path(tenant): Path<String>) -> Response {
    keys(&world, &tenant, Edition::V2).await
}

async fn keys_v1(State(world): State<Arc<World>>, Path(tenant): Path<String>) -> Response {
    keys(&world, &tenant, Edition::V1).await
}

async fn metadata(world: &World, named: &str, (edition, app): (Edition, AppParameter)) -> Response {
    let fault = world.visit(Target::Metadata).await;
    let Some(form) = world.tenant_form(named) else {
        return GrantFault::TenantUnknown.answer(world);
    };
    let mut document = describe(world, named, (edition, id(form)));
    let mut uri = format!("{}/{named}/discovery/{}", world.base, keys_path(edition));
    if fault == Fault::ForeignJwksUri {
        uri = "https://keys.attacker.example/keys".into();
    }
    if let Some(appid) = app.appid {
        uri.push_str("?appid=");
        uri.push_str(&appid);
    }
    if let Some(members) = document.as_object_mut() {
        members.insert("jwks_uri".into(), uri.into());
    }
    answer(&fault, document)
}

async fn keys(world: &World, named: &str, edition: Edition) -> Response {
    let fault = world.visit(Target::Jwks).await;
    let Some(form) = world.tenant_form(named) else {
        return GrantFault::TenantUnknown.answer(world);
    };
    let issuer = match edition {
        Edition::V1 => None,
        Edition::V2 => Some(world.issuer_v2(id(form))),
    };
    let listed: Vec<Value> = match fault {
        Fault::NoKeys => Vec::new(),
        Fault::None | Fault::Error | Fault::Slow { .. } | Fault::Rubbish | Fault::ForeignJwksUri => {
            let ring = world.ring.lock();
            let jwk = |key: &Arc<super::keys::SigningKey>| key.jwk(issuer.as_deref());
            ring.listed.iter().map(jwk).collect()
        }
    };
    answer(&fault, json!({ "keys": listed }))
}

const fn keys_path(edition: Edition) -> &'static str {
    match edition {
        Edition::V1 => "keys",
        Edition::V2 => "v2.0/keys",
    }
}

fn id(form: TenantForm<'_>) -> &str {
    match form {
        TenantForm::Many => TEMPLATE,
        TenantForm::One(tenant) => &tenant.id,
    }
}

/// All of the metadata but `jwks_uri`; `named` is the tenant as the URL spells it.
fn describe(world: &World, named: &str, (edition, id): (Edition, &str)) -> Value {
    let base = &world.base;
    let (issuer, oauth) = match edition {
        Edition::V1 => (world.issuer_v1(id), "oauth2"),
        Edition::V2 => (world.issuer_v2(id), "oauth2/v2.0"),
    };
    json!({
        "issuer": issuer,
        "token_endpoint": format!("{base}/{named}/{oauth}/token"),
        "authorization_endpoint": format!("{base}/{named}/{oauth}/authorize"),
        "device_authorization_endpoint": format!("{base}/{named}/{oauth}/devicecode"),
        "end_session_endpoint": format!("{base}/{named}/{oauth}/logout"),
        "userinfo_endpoint": format!("{base}/oidc/userinfo"),
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": [
            "sub", "iss", "cloud_instance_name", "aud", "exp", "iat", "auth_time", "acr", "nonce", "ver", "tid",
            "preferred_username", "name", "email",
        ],
        "request_uri_parameter_supported": false,
        "http_logout_supported": true,
        "frontchannel_logout_supported": true,
        "tenant_region_scope": "EU",
        "cloud_instance_name": "entrance-emulator",
        "cloud_graph_host_name": "graph.invalid",
        "msgraph_host": "graph.invalid",
    })
}

fn answer(fault: &Fault, document: Value) -> Response {
    match fault {
        Fault::Error => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Fault::Rubbish => {
            ([(header::CONTENT_TYPE, "application/json")], "<html>not what you asked for").into_response()
        }
        Fault::None | Fault::Slow { .. } | Fault::ForeignJwksUri | Fault::NoKeys => Json(document).into_response(),
    }
}
