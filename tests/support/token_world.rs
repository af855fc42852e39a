//! The world of the token tests: one tenant, one application, one signing key, one moment, and the three good tokens
//! that every case is a change of.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use entrance::clock::UnixTime;
use entrance::identity::{ApplicationId, Caller, Guid};
use entrance::token::{
    Authority, ChallengeUris, KeySource, Profile, RawToken, TenantKeys, TokenRejection, Version, inspect,
};
use serde_json::{Map, Value, json};

use crate::signer::TestKey;

/// The moment of every test.
pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);
/// The one accepted tenant.
pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
/// The application's client id.
pub(crate) const API: &str = "aaaaaaaa-0000-4000-8000-000000000001";
/// The application's App ID URI.
pub(crate) const API_URI: &str = "api://orders";
/// The client that asked for the tokens.
pub(crate) const CLIENT: &str = "bbbbbbbb-0000-4000-8000-000000000001";

/// The key that signs, listed as `k1`.
pub(crate) static KEY: LazyLock<TestKey> = LazyLock::new(|| TestKey::new("k1"));

/// Header and payload of a token.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
}

fn members(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

impl Draft {
    fn new(header: Value, claims: Value) -> Self {
        let mut claims = members(claims);
        for (name, offset) in [("iat", -60), ("nbf", -60), ("exp", 3600)] {
            claims.insert(name.into(), json!(NOW.plus(offset).0));
        }
        let header = members(header);
        Self { header, claims }
    }

    /// One of the good tokens by its name: `U2`, `A2` or `U1`.
    pub(crate) fn of(base: &str) -> Self {
        match base {
            "U2" => Self::user(),
            "A2" => Self::app(),
            "U1" => Self::user_v1(),
            other => panic!("no base {other}"),
        }
    }

    /// A v2 token of a user.
    fn user() -> Self {
        Self::new(
            json!({"alg": "RS256", "typ": "JWT", "kid": KEY.kid}),
            json!({
                "ver": "2.0", "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
                "aud": API, "tid": TENANT, "oid": "cccccccc-0000-4000-8000-000000000001",
                "sub": "pairwise-subject", "azp": CLIENT, "azpacr": "1", "scp": "Read", "idtyp": "user",
            }),
        )
    }

    /// A v2 token of a workload.
    fn app() -> Self {
        let mut draft = Self::user();
        draft.claims.remove("scp");
        for (name, value) in [
            ("sub", json!("cccccccc-0000-4000-8000-000000000001")),
            ("idtyp", json!("app")),
            ("roles", json!(["Jobs.Run"])),
        ] {
            draft.claims.insert(name.into(), value);
        }
        draft
    }

    /// A v1 token of a user.
    fn user_v1() -> Self {
        Self::new(
            json!({"alg": "RS256", "typ": "JWT", "kid": KEY.kid, "x5t": KEY.kid}),
            json!({
                "ver": "1.0", "iss": format!("https://sts.windows.net/{TENANT}/"),
                "aud": API_URI, "tid": TENANT, "oid": "cccccccc-0000-4000-8000-000000000001",
                "sub": "pairwise-subject", "appid": CLIENT, "appidacr": "1", "scp": "Read",
            }),
        )
    }

    /// The texts of header and payload.
    pub(crate) fn texts(&self) -> (String, String) {
        let text = |members| serde_json::to_string(members).unwrap();
        (text(&self.header), text(&self.claims))
    }
}

/// The application, accepting both versions, with the keys of these authorities.
pub(crate) fn profile(authority: impl Fn(Version) -> Authority) -> Profile {
    let source = |version| Some(KeySource::Static(Arc::new(authority(version))));
    let keys = TenantKeys { name: Some("contoso".into()), v1: source(Version::V1), v2: source(Version::V2) };
    let tenant = Guid::parse(TENANT).unwrap();
    Profile {
        id: ApplicationId("shop/orders-api".into()),
        client_id: API.into(),
        audiences: vec![API_URI.into()],
        versions: vec![Version::V1, Version::V2],
        tenants: BTreeMap::from([(tenant, keys)]),
        allowed_clients: None,
        max_lifetime: 30 * 3600,
        clock_skew: 60,
        allow_missing_typ: false,
        challenge: ChallengeUris {
            realm: Some(tenant),
            authorization_uri: "https://login.example/authorize".into(),
            scope_prefix: API_URI.into(),
        },
    }
}

/// What became of a token.
pub(crate) struct Judged {
    pub(crate) outcome: Result<Caller, TokenRejection>,
    /// Whether the issuer would have been asked for its keys.
    pub(crate) needs_key: bool,
}

/// Takes a token the whole way.
pub(crate) fn judge(raw: &RawToken, profile: &Profile, now: UnixTime) -> Judged {
    let unverified = match inspect(raw, profile) {
        Ok(unverified) => unverified,
        Err(rejection) => {
            return Judged { outcome: Err(rejection), needs_key: false };
        }
    };
    match profile.source(unverified.tenant(), unverified.version()) {
        Some(KeySource::Static(authority)) => {
            Judged { needs_key: unverified.needs_key(authority, now), outcome: unverified.verify(authority, now) }
        }
        Some(KeySource::Discovered(_)) | None => panic!("the test world has static keys only"),
    }
}
