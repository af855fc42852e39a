//! Tokens of one key that is made when a bench starts, and the key document to verify them with.

use serde_json::{Value, json};

use crate::signer::TestKey;

/// The one tenant.
pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
/// The API's client id.
pub(crate) const API: &str = "aaaaaaaa-0000-4000-8000-000000000001";

/// Signs tokens of one user.
pub(crate) struct Minter {
    pub(crate) key: TestKey,
    /// Issued at; valid for a day.
    pub(crate) now: i64,
}

impl Minter {
    /// Makes a key.
    pub(crate) fn new(now: i64) -> Self {
        Self { key: TestKey::new("k1"), now }
    }

    /// The key document.
    pub(crate) fn jwks(&self) -> String {
        json!({ "keys": [self.key.jwk()] }).to_string()
    }

    /// One of many tokens of the user: they differ in `uti`, as Entra's do.
    pub(crate) fn token(&self, number: u64) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": self.key.kid});
        self.key.token(header.to_string().as_bytes(), self.claims(number).to_string().as_bytes())
    }

    fn claims(&self, number: u64) -> Value {
        json!({
            "aud": API, "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
            "iat": self.now, "nbf": self.now, "exp": self.now + 86_400, "azp": "bbbbbbbb-0000-4000-8000-000000000001",
            "azpacr": "1", "idtyp": "user", "oid": "cccccccc-0000-4000-8000-000000000001", "roles": ["Orders.Read"],
            "scp": "orders.read", "sub": "pairwise-subject-0123456789", "tid": TENANT, "uti": format!("uti-{number:018}"), "ver": "2.0",
        })
    }
}
