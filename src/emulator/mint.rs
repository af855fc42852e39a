//! Mints tokens of every kind, right and wrong: five bases as Entra issues them, and changes to any part.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::config::{Api, Client, User};
use super::guid;
use super::keys::{KeyFault, SigningKey};
use super::world::World;
use crate::clock::UnixTime;
use crate::identity::Guid;

/// What kind of token a request starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// A v2 token of a client acting for a user.
    #[default]
    User,
    /// A v2 token of a client acting as itself.
    Workload,
    /// A v1 token of a client acting for a user.
    UserV1,
    /// A v1 token of a client acting as itself.
    WorkloadV1,
    /// An ID token of a browser client that shares its registration with the API.
    IdToken,
}

/// Which key signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignWith {
    /// The key that signs now.
    #[default]
    Current,
    /// The key that signed before the last rotation.
    Retired,
    /// A key that no document lists.
    Unlisted,
    /// A key that no document lists, under the `kid` of the current one.
    Forged,
    /// No key; the signature is empty.
    None,
    /// HMAC with the public key as the secret.
    Hmac,
}

/// The order for one token. Everything has a default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MintRequest {
    /// What to start from.
    pub base: Base,
    /// Tenant by name or id; an unknown GUID is taken as it is. Default: the first.
    pub tenant: Option<String>,
    /// User by name or object id. Default: the first.
    pub user: Option<String>,
    /// Client by name or client id. Default: the first for users, the first with roles for workloads.
    pub client: Option<String>,
    /// API by name, client id or App ID URI. Default: the first.
    pub api: Option<String>,
    /// Roles in place of the directory's.
    pub roles: Option<Vec<String>>,
    /// Scopes in place of the API's.
    pub scopes: Option<Vec<String>>,
    /// Groups in place of the directory's.
    pub groups: Option<Vec<String>>,
    /// Payload members to set, of any type.
    pub set_claims: Map<String, Value>,
    /// Payload members to remove.
    pub remove_claims: Vec<String>,
    /// Header members to set, of any type.
    pub set_header: Map<String, Value>,
    /// Header members to remove.
    pub remove_header: Vec<String>,
    /// The payload, word for word, in place of all of the above.
    pub raw_payload: Option<String>,
    /// The header, word for word.
    pub raw_header: Option<String>,
    /// `alg`, and the algorithm that signs if it is one of RSA.
    pub alg: Option<String>,
    /// Which key signs.
    pub sign_with: SignWith,
    /// Seconds from now to `exp`; may be negative. Default: an hour.
    pub expires_in: Option<i64>,
}

/// Why no token was minted.
#[derive(Debug, thiserror::Error)]
pub enum MintFault {
    /// The request names something that the directory does not hold.
    #[error("no {kind} `{name}` in the directory")]
    Unknown {
        /// What was looked for.
        kind: &'static str,
        /// The name that was asked for.
        name: String,
    },
    /// There is no retired key before the first rotation.
    #[error("no key has retired; rotate first")]
    NotRotated,
    /// Signing failed.
    #[error(transparent)]
    Key(#[from] KeyFault),
}

/// Whom and what a token is about.
struct Parts<'a> {
    tenant: String,
    api: &'a Api,
    client: &'a Client,
    user: Option<&'a User>,
    now: UnixTime,
}

/// Mints a token.
pub(super) fn mint(world: &World, request: &MintRequest) -> Result<String, MintFault> {
    let key = signer(world, request.sign_with)?;
    let header = match &request.raw_header {
        Some(raw) => raw.clone(),
        None => Value::Object(header(world, request, &key)).to_string(),
    };
    let payload = match &request.raw_payload {
        Some(raw) => raw.clone(),
        None => Value::Object(payload(world, request)?).to_string(),
    };
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
    let signature = match request.sign_with {
        SignWith::None => Vec::new(),
        SignWith::Hmac => key.confuse(message.as_bytes()),
        SignWith::Current | SignWith::Retired | SignWith::Unlisted | SignWith::Forged => {
            let algorithm = request.alg.as_deref().unwrap_or("RS256");
            key.sign(algorithm, message.as_bytes())?
        }
    };
    Ok(format!("{message}.{}", encode(&signature)))
}

fn signer(world: &World, with: SignWith) -> Result<Arc<SigningKey>, MintFault> {
    let ring = world.ring.lock();
    Ok(Arc::clone(match with {
        SignWith::Current | SignWith::None | SignWith::Hmac => &ring.current,
        SignWith::Retired => ring.retired.as_ref().ok_or(MintFault::NotRotated)?,
        SignWith::Unlisted | SignWith::Forged => &ring.unlisted,
    }))
}

fn header(world: &World, request: &MintRequest, key: &SigningKey) -> Map<String, Value> {
    let kid = match request.sign_with {
        SignWith::Forged => world.ring.lock().current.kid.clone(),
        SignWith::Current | SignWith::Retired | SignWith::Unlisted | SignWith::None | SignWith::Hmac => key.kid.clone(),
    };
    let usual = match request.sign_with {
        SignWith::None => "none",
        SignWith::Hmac => "HS256",
        SignWith::Current | SignWith::Retired | SignWith::Unlisted | SignWith::Forged => "RS256",
    };
    let mut header = Map::new();
    header.insert("typ".into(), "JWT".into());
    header.insert("alg".into(), request.alg.as_deref().unwrap_or(usual).into());
    if matches!(request.base, Base::UserV1 | Base::WorkloadV1) {
        header.insert("x5t".into(), kid.as_str().into());
    }
    header.insert("kid".into(), kid.into());
    change(&mut header, &request.set_header, &request.remove_header);
    header
}

fn payload(world: &World, request: &MintRequest) -> Result<Map<String, Value>, MintFault> {
    let parts = parts(world, request)?;
    let mut claims = common(&parts, request);
    let more = match request.base {
        Base::User => user_v2(world, &parts),
        Base::Workload => workload_v2(world, &parts),
        Base::UserV1 => user_v1(world, &parts),
        Base::WorkloadV1 => workload_v1(world, &parts),
        Base::IdToken => id_token(world, &parts),
    };
    claims.extend(members(more));
    if matches!(request.base, Base::User | Base::UserV1) {
        let scopes = request.scopes.as_ref().unwrap_or(&parts.api.scopes);
        claims.insert("scp".into(), scopes.join(" ").into());
    }
    change(&mut claims, &request.set_claims, &request.remove_claims);
    Ok(claims)
}

fn parts<'a>(world: &'a World, request: &MintRequest) -> Result<Parts<'a>, MintFault> {
    let unknown = |kind, name: &str| MintFault::Unknown { kind, name: name.into() };
    let workload = matches!(request.base, Base::Workload | Base::WorkloadV1);
    let config = &world.config;
    let tenant = match request.tenant.as_deref() {
        None => config.tenants.first().map(|tenant| tenant.id.clone()),
        Some(named) if Guid::parse(named).is_some() => Some(named.to_owned()),
        Some(named) => world.tenant(named).map(|tenant| tenant.id.clone()),
    };
    let api = match request.api.as_deref() {
        None => config.apis.first(),
        Some(named) => world.api(named),
    };
    let works = |client: &&Client| client.assignments.iter().any(|held| !held.roles.is_empty());
    let client = match request.client.as_deref() {
        None if workload => config.clients.iter().find(works),
        None => config.clients.first(),
        Some(named) => world.client(named),
    };
    let user = match request.user.as_deref() {
        None => config.users.first(),
        Some(named) => (config.users.iter()).find(|user| user.name == named || user.oid == named),
    };
    let name = |named: &Option<String>| named.clone().unwrap_or_else(|| "(first)".into());
    if user.is_none() && !workload {
        return Err(unknown("user", &name(&request.user)));
    }
    Ok(Parts {
        tenant: tenant.ok_or_else(|| unknown("tenant", &name(&request.tenant)))?,
        api: api.ok_or_else(|| unknown("API", &name(&request.api)))?,
        client: client.ok_or_else(|| unknown("client", &name(&request.client)))?,
        user: user.filter(|_| !workload),
        now: world.clock.unix(),
    })
}

/// What all tokens have: times, tenant, subject, roles, groups, and the opaque members.
fn common(parts: &Parts<'_>, request: &MintRequest) -> Map<String, Value> {
    let expires = parts.now.plus(request.expires_in.unwrap_or(3600));
    // A token that has expired was issued before that.
    let issued = parts.now.plus(-60).min(expires.plus(-3600)).0;
    let expires = expires.0;
    let (oid, sub, roles, groups) = match parts.user {
        Some(user) => (
            user.oid.clone(),
            guid::derived(&["sub", &user.oid, &parts.api.client_id]),
            user.roles.clone(),
            user.groups.clone(),
        ),
        None => {
            let oid = guid::derived(&["principal", &parts.tenant, &parts.client.client_id]);
            (oid.clone(), oid, assigned(parts), Vec::new())
        }
    };
    let mut claims = members(json!({
        "iat": issued, "nbf": issued, "exp": expires, "tid": parts.tenant, "oid": oid, "sub": sub,
        "aio": "emulated", "rh": "emulated", "uti": guid::random(),
    }));
    // Entra leaves an empty list out.
    for (name, ordered, held) in [("roles", &request.roles, roles), ("groups", &request.groups, groups)] {
        let list = ordered.clone().unwrap_or(held);
        if !list.is_empty() {
            claims.insert(name.into(), list.into());
        }
    }
    claims
}

fn assigned(parts: &Parts<'_>) -> Vec<String> {
    let held = parts.client.assignments.iter();
    held.filter(|held| held.api == parts.api.client_id).flat_map(|held| held.roles.iter().cloned()).collect()
}

fn user_v2(world: &World, parts: &Parts<'_>) -> Value {
    let name = parts.user.map_or("", |user| user.name.as_str());
    json!({
        "ver": "2.0", "iss": world.issuer_v2(&parts.tenant), "aud": parts.api.client_id,
        "azp": parts.client.client_id, "azpacr": "1", "idtyp": "user",
        "name": name, "preferred_username": format!("{name}@example.com"),
        "sid": guid::derived(&["session", name]),
    })
}

fn workload_v2(world: &World, parts: &Parts<'_>) -> Value {
    json!({
        "ver": "2.0", "iss": world.issuer_v2(&parts.tenant), "aud": parts.api.client_id,
        "azp": parts.client.client_id, "azpacr": "1", "idtyp": "app",
    })
}

fn user_v1(world: &World, parts: &Parts<'_>) -> Value {
    let name = parts.user.map_or("", |user| user.name.as_str());
    json!({
        "ver": "1.0", "iss": world.issuer_v1(&parts.tenant), "aud": audience_v1(parts.api),
        "appid": parts.client.client_id, "appidacr": "1", "acr": "1", "amr": ["pwd"], "idtyp": "user",
        "name": name, "upn": format!("{name}@example.com"), "unique_name": format!("{name}@example.com"),
    })
}

fn workload_v1(world: &World, parts: &Parts<'_>) -> Value {
    let issuer = world.issuer_v1(&parts.tenant);
    json!({
        "ver": "1.0", "iss": issuer, "idp": issuer, "aud": audience_v1(parts.api),
        "appid": parts.client.client_id, "appidacr": "1", "idtyp": "app",
    })
}

fn id_token(world: &World, parts: &Parts<'_>) -> Value {
    let name = parts.user.map_or("", |user| user.name.as_str());
    json!({
        "ver": "2.0", "iss": world.issuer_v2(&parts.tenant), "aud": parts.api.client_id,
        "nonce": guid::random(), "name": name, "preferred_username": format!("{name}@example.com"),
    })
}

fn audience_v1(api: &Api) -> &str {
    (api.identifier_uris.first()).unwrap_or(&api.client_id)
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn change(object: &mut Map<String, Value>, set: &Map<String, Value>, remove: &[String]) {
    for (name, value) in set {
        object.insert(name.clone(), value.clone());
    }
    for name in remove {
        object.remove(name);
    }
}
