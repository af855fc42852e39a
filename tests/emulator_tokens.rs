//! The stand-in, the key store and the token room together: what is minted right verifies, what is minted wrong does not.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use entrance::authorize::ports::Keys as _;
use entrance::clock::{Clock as _, SystemClock};
use entrance::emulator::defaults::{ADA, CONTOSO, JOB_CLIENT, ORDERS_API, ORDERS_URI};
use entrance::emulator::{Emulator, Listed, Listing, MintRequest, Options, Rotation, Tls};
use entrance::entra::{self, KeyStore};
use entrance::identity::{ApplicationId, Caller, CallerKind, Guid};
use entrance::reason::ReasonCode;
use entrance::token::cloud::{CustomAuthority, Issuer};
use entrance::token::{ChallengeUris, KeySource, Profile, RawToken, TenantKeys, Version, inspect, install_crypto};
use serde_json::{Value, json};

/// The provider can be installed once in a process.
static CRYPTO: LazyLock<()> = LazyLock::new(|| install_crypto().unwrap());

/// A stand-in, an application whose tokens it issues, and the keys.
struct Scene {
    emulator: Emulator,
    store: KeyStore,
    profile: Profile,
}

impl Scene {
    async fn start(tls: Option<Tls>) -> Self {
        LazyLock::force(&CRYPTO);
        let options = Options { tls, ..Options::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let store = KeyStore::new(entra::Options {
            extra_ca: emulator.ca_pem().map(|pem| pem.as_bytes().to_vec()),
            ..entra::Options::default()
        })
        .unwrap();
        let profile = profile(emulator.base_url());
        store.watch(profile.discoveries().map(Arc::clone));
        store.settled().await;
        Self { emulator, store, profile }
    }

    /// What the token that this order gives is worth; asks for unknown keys once, as the corridor does.
    async fn verify(&self, order: Value) -> Result<Caller, ReasonCode> {
        let order: MintRequest = serde_json::from_value(order).unwrap();
        let token = RawToken::new(Bytes::from(self.emulator.mint(&order).unwrap()));
        let now = SystemClock.unix();
        let reason = |rejection: entrance::token::TokenRejection| rejection.reason();
        let unverified = inspect(&token, &self.profile).map_err(reason)?;
        let source = self.profile.source(unverified.tenant(), unverified.version());
        let Some(KeySource::Discovered(source)) = source else {
            return Err(ReasonCode::InternalError);
        };
        let authority = self.store.authority(source).ok_or(ReasonCode::KeysUnavailable)?;
        if unverified.needs_key(&authority, now) {
            self.store.refresh(source, unverified.kid()).await;
        }
        let authority = self.store.authority(source).ok_or(ReasonCode::KeysUnavailable)?;
        unverified.verify(&authority, now).map_err(reason)
    }
}

fn profile(base: &str) -> Profile {
    let issuer = Issuer::Custom(CustomAuthority::parse(base).unwrap());
    let tenant = Guid::parse(CONTOSO).unwrap();
    let source = |version| Some(KeySource::Discovered(issuer.discovery(tenant, version)));
    let keys = TenantKeys { name: None, v1: source(Version::V1), v2: source(Version::V2) };
    Profile {
        id: ApplicationId("shop/orders".into()),
        client_id: ORDERS_API.into(),
        audiences: vec![ORDERS_URI.into()],
        versions: vec![Version::V1, Version::V2],
        tenants: [(tenant, keys)].into(),
        allowed_clients: None,
        max_lifetime: 108_000,
        clock_skew: 60,
        allow_missing_typ: false,
        challenge: ChallengeUris { realm: None, authorization_uri: "".into(), scope_prefix: "".into() },
    }
}

#[tokio::test]
async fn tokens_of_every_base_are_what_they_say() {
    let scene = Scene::start(None).await;
    for base in ["user", "user-v1"] {
        let caller = scene.verify(json!({"base": base})).await.unwrap();
        assert_eq!((caller.kind, &*caller.subject), (CallerKind::User, ADA));
        assert_eq!(caller.scopes.len(), 2);
    }
    for base in ["workload", "workload-v1"] {
        let caller = scene.verify(json!({"base": base})).await.unwrap();
        assert_eq!((caller.kind, &*caller.client), (CallerKind::Workload, JOB_CLIENT));
        assert_eq!(caller.roles, ["Orders.Run".into()].into());
    }
    let refused = scene.verify(json!({"base": "id-token"})).await;
    assert_eq!(refused.unwrap_err(), ReasonCode::TokenNotAccessToken);
}

#[tokio::test]
async fn what_is_minted_wrong_is_refused_for_that_reason() {
    let scene = Scene::start(None).await;
    for (order, reason) in [
        (json!({"sign_with": "forged"}), ReasonCode::SignatureInvalid),
        (json!({"sign_with": "unlisted"}), ReasonCode::KidUnknown),
        (json!({"sign_with": "hmac"}), ReasonCode::AlgNotAllowed),
        (json!({"sign_with": "none"}), ReasonCode::TokenMalformed),
        (json!({"alg": "PS256"}), ReasonCode::AlgNotAllowed),
        (json!({"tenant": "fabrikam"}), ReasonCode::TenantNotAllowed),
        (json!({"set_claims": {"aud": JOB_CLIENT}}), ReasonCode::AudienceMismatch),
        (json!({"expires_in": -61}), ReasonCode::TokenExpired),
        (json!({"remove_claims": ["oid"]}), ReasonCode::ClaimMissing),
        (json!({"remove_header": ["kid"]}), ReasonCode::KidMissing),
        (json!({"raw_payload": "[]"}), ReasonCode::PayloadNotObject),
        (json!({"base": "workload", "roles": []}), ReasonCode::RoleMissing),
    ] {
        let name = order.to_string();
        assert_eq!(scene.verify(order).await.unwrap_err(), reason, "{name}");
    }
    assert_eq!(scene.emulator.stats().jwks, 3, "two at the start, one for the unlisted key");
}

#[tokio::test]
async fn a_rotated_key_verifies_with_the_first_token_it_signs() {
    let scene = Scene::start(Some(Tls::default())).await;
    assert!(scene.verify(json!({})).await.is_ok());
    let order = Rotation { drop_old: true, listing: Listing::Now };
    scene.emulator.rotate(order).await.unwrap();
    assert!(scene.verify(json!({})).await.is_ok(), "found at once");
    assert!(scene.verify(json!({"sign_with": "retired"})).await.is_ok(), "within its grace");
    let order = Rotation { drop_old: false, listing: Listing::Never };
    scene.emulator.rotate(order).await.unwrap();
    let refused = scene.verify(json!({})).await;
    assert_eq!(refused.unwrap_err(), ReasonCode::KidUnknown);
    assert!(scene.emulator.list(&Listed { kid: None, listed: true }));
    let refused = scene.verify(json!({})).await;
    assert_eq!(refused.unwrap_err(), ReasonCode::KidUnknown, "not asked again so soon");
}

#[tokio::test]
async fn an_authority_with_an_unknown_certificate_gives_no_keys() {
    let options = Options { tls: Some(Tls::default()), ..Options::default() };
    let emulator = Emulator::start(options).await.unwrap();
    let store = KeyStore::new(entra::Options::default()).unwrap();
    store.watch(profile(emulator.base_url()).discoveries().map(Arc::clone));
    store.settled().await;
    for status in store.status() {
        assert_eq!((status.keys, status.last_error), (0, Some(entra::FaultCode::FetchFailed)));
    }
    assert_eq!(emulator.stats().metadata, 0);
}
