//! The control plane under `/_emulator/`: mint, rotate, list, fault, register, count. For tests and demonstrations.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::assertion::{NotAKey, Registered};
use super::keys::{KeyFault, SigningKey};
use super::mint::{self, MintRequest};
use super::world::{Fault, Stats, Target, World};

/// The order to change the signing key.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rotation {
    /// Whether the former key leaves the key documents at once.
    pub drop_old: bool,
    /// When the key documents show the key that signs from here on.
    pub listing: Listing,
}

/// When a key is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// Before it signs.
    #[default]
    Now,
    /// After so many milliseconds.
    AfterMs(u64),
    /// Not until [`Listed`] says so.
    Never,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rotated {
    /// The key that signs from here on.
    pub kid: String,
    /// The key that signed before.
    pub retired: String,
}

/// The order to show a key, or to show it no longer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// The key; without it, the one that signs.
    pub kid: Option<String>,
    /// Whether the key documents show it.
    pub listed: bool,
}

/// The order to misbehave.
#[derive(Clone, Debug, Deserialize)]
pub struct FaultOrder {
    /// Which endpoint.
    pub target: Target,
    /// How; `{"kind": "none"}` ends it.
    #[serde(flatten)]
    pub fault: Fault,
}

/// A certificate or public key of a client.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    pem: String,
}

/// The routes of the control plane.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/_emulator/mint", post(mint_token))
        .route("/_emulator/rotate", post(rotate_key))
        .route("/_emulator/keys", post(list_key))
        .route("/_emulator/fault", post(order_fault))
        .route("/_emulator/clients/{client}/keys", post(register_key))
        .route("/_emulator/stats", get(count))
}

/// Makes a key and signs with it from here on.
pub(super) async fn rotate(world: &Arc<World>, order: Rotation) -> Result<Rotated, KeyFault> {
    let key = tokio::task::spawn_blocking(SigningKey::generate).await.map_err(|_| KeyFault)??;
    let key = Arc::new(key);
    let retired = {
        let mut ring = world.ring.lock();
        if order.listing == Listing::Now {
            ring.list(&key);
        }
        let old = ring.promote(Arc::clone(&key));
        if order.drop_old {
            ring.unlist(&old.kid);
        }
        old.kid.clone()
    };
    let kid = key.kid.clone();
    if let Listing::AfterMs(delay) = order.listing {
        list_later(world, key, Duration::from_millis(delay));
    }
    Ok(Rotated { kid, retired })
}

/// Shows a key or hides it; `false` if there is no such key.
pub(super) fn list(world: &World, order: &Listed) -> bool {
    let mut ring = world.ring.lock();
    let current = Arc::clone(&ring.current);
    let kid = order.kid.as_deref().unwrap_or(&current.kid);
    if !order.listed {
        ring.unlist(kid);
        return true;
    }
    let found = [Some(&ring.current), ring.retired.as_ref()].into_iter().flatten().find(|key| key.kid == kid).cloned();
    if let Some(key) = &found {
        ring.list(key);
    }
    found.is_some()
}

/// Lets a client sign assertions with one more key.
pub(super) fn register(world: &World, client: &str, pem: &str) -> Result<Registered, NotAKey> {
    let key = Registered::from_pem(pem)?;
    let mut registered = world.registered.lock();
    registered.entry(client.to_owned()).or_default().push(key.clone());
    Ok(key)
}

fn list_later(world: &Arc<World>, key: Arc<SigningKey>, delay: Duration) {
    let later = Arc::clone(world);
    world.tasks.spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(delay) => later.ring.lock().list(&key),
            () = later.stop.cancelled() => {}
        }
    });
}

async fn mint_token(State(world): State<Arc<World>>, Json(request): Json<MintRequest>) -> Response {
    match mint::mint(&world, &request) {
        Ok(token) => Json(json!({ "token": token })).into_response(),
        Err(fault) => refuse(&fault),
    }
}

async fn rotate_key(State(world): State<Arc<World>>, Json(order): Json<Rotation>) -> Response {
    match rotate(&world, order).await {
        Ok(rotated) => Json(rotated).into_response(),
        Err(fault) => refuse(&fault),
    }
}

async fn list_key(State(world): State<Arc<World>>, Json(order): Json<Listed>) -> StatusCode {
    match list(&world, &order) {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::NOT_FOUND,
    }
}

async fn order_fault(State(world): State<Arc<World>>, Json(order): Json<FaultOrder>) -> StatusCode {
    *world.faults.lock().of(order.target) = order.fault;
    StatusCode::NO_CONTENT
}

async fn register_key(
    State(world): State<Arc<World>>,
    Path(client): Path<String>,
    Json(registration): Json<Registration>,
) -> Response {
    let Some(client) = world.client(&client) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match register(&world, &client.client_id, &registration.pem) {
        Ok(key) => Json(key).into_response(),
        Err(fault) => refuse(&fault),
    }
}

async fn count(State(world): State<Arc<World>>) -> Json<Stats> {
    Json(world.stats())
}

fn refuse(fault: &dyn std::error::Error) -> Response {
    let body = Json(json!({ "error": fault.to_string() }));
    (StatusCode::UNPROCESSABLE_ENTITY, body).into_response()
}
