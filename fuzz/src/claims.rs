//! `claims`: `HEADER\nPAYLOAD`, signed here whatever they say. Accepted is only what a second, plain reading of the two
//! texts finds to be an Entra access token for the application, now.

use std::fmt;
use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use entrance::identity::{Caller, CallerKind};
use entrance::token::{Profile, RawToken, inspect, jwks};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use super::token::judge;
use super::world::{API, API_URI, NOW, TENANT, profile};

/// For mutations.
pub const WORDS: &[&str] = &[
    "\"alg\":\"none\"",
    "\"alg\":\"HS256\"",
    "RS256",
    "\"kid\":\"k1\"",
    "\"typ\":\"JWT\"",
    "\"crit\":[\"exp\"],",
    "\"b64\":false,",
    "\"nonce\":\"n\",",
    "\"jwk\":{},",
    "\"tid\":",
    "\"Tid\":",
    "\"iss\":",
    "\"aud\":",
    "\"oid\":",
    "\"sub\":",
    "\"idtyp\":\"app\",",
    "\"idtyp\":\"user\",",
    "\"scp\":\"Read\",",
    "\"roles\":[\"Jobs.Run\"],",
    "\"cnf\":{},",
    "\"c_hash\":\"x\",",
    "\"appid\":",
    "\"azp\":",
    "\"ver\":\"1.0\"",
    "\"ver\":\"2.0\"",
    "9007199254740992",
    "1800000061",
    "1799999940",
    "1e19",
    "1.5",
    "null",
    "[]",
    "{}",
    "\"",
    ",",
    "\\u0074id",
    "\n",
    "https://login.microsoftonline.com/11111111-1111-4111-8111-111111111111/v2.0",
    "https://sts.windows.net/11111111-1111-4111-8111-111111111111/",
];

struct Signer {
    pair: RsaKeyPair,
    profile: Profile,
}

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der = pair.public_key().as_ref();
    // RSAPublicKey (RFC 8017 A.1.1): a sequence of two integers, the first of 257 bytes with its leading zero.
    let modulus = URL_SAFE_NO_PAD.encode(&der[9..265]);
    let document = json!({"keys": [{"kty": "RSA", "use": "sig", "kid": "k1", "n": modulus, "e": "AQAB"}]}).to_string();
    let keys = jwks::parse(document.as_bytes()).expect("a good key").keys;
    Signer { pair, profile: profile(&keys) }
});

impl Signer {
    fn sign(&self, signed: &str) -> String {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The target.
///
/// # Panics
/// Something is accepted that must not be, or the caller is not the one whom the payload names.
pub fn signed(data: &[u8]) {
    let (header, payload) = parts(data);
    if let Some(caller) = judged(header, payload) {
        let read = |bytes| {
            let First(first) = serde_json::from_slice(bytes).expect("accepted something that is no object");
            let last: Map<String, Value> = serde_json::from_slice(bytes).expect("accepted something that is no object");
            assert_eq!(first, last, "accepted what two readers read differently");
            last
        };
        plain_header(&read(header));
        plain_payload(&read(payload), &caller);
    }
}

/// Whether the two texts, signed, make an access token.
#[must_use]
pub fn accepted(data: &[u8]) -> bool {
    let (header, payload) = parts(data);
    judged(header, payload).is_some()
}

fn parts(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    }
}

fn judged(header: &[u8], payload: &[u8]) -> Option<Caller> {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let raw = |token: String| RawToken::new(Bytes::from(token));
    let unsigned = raw(format!("{text}.{}", URL_SAFE_NO_PAD.encode([1; 256])));
    // signing is dear: what is refused without a look at the signature stays refused
    inspect(&unsigned, &SIGNER.profile).ok()?;
    assert!(judge(&unsigned, &SIGNER.profile).is_err(), "accepted without a signature");
    judge(&raw(SIGNER.sign(&text)), &SIGNER.profile).ok()
}

/// An object as a reader sees it who takes the first of two members of one name; serde_json takes the last.
struct First(Map<String, Value>);

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FirstWins)
    }
}

struct FirstWins;

impl<'de> Visitor<'de> for FirstWins {
    type Value = First;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<First, A::Error> {
        let mut map = Map::new();
        while let Some((name, value)) = members.next_entry::<String, Value>()? {
            map.entry(name).or_insert(value);
        }
        Ok(First(map))
    }
}

fn plain_header(header: &Map<String, Value>) {
    assert_eq!(header["alg"], "RS256");
    assert_eq!(header["kid"], "k1");
    for member in ["crit", "b64", "enc", "zip", "nonce"] {
        assert!(!header.contains_key(member), "{member}");
    }
}

fn plain_payload(claims: &Map<String, Value>, caller: &Caller) {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let time = |name: &str| claims[name].as_i64().expect("a whole number");
    assert_eq!(text("tid"), TENANT);
    assert_eq!(caller.tenant.to_string(), TENANT);
    assert_eq!(&*caller.subject, text("oid"));
    assert!(!text("oid").is_empty() && !text("sub").is_empty());
    match text("ver") {
        "2.0" => {
            assert_eq!(text("iss"), format!("https://login.microsoftonline.com/{TENANT}/v2.0"));
            assert_eq!(text("aud"), API);
            assert_eq!(&*caller.client, text("azp"));
        }
        "1.0" => {
            assert_eq!(text("iss"), format!("https://sts.windows.net/{TENANT}/"));
            assert!([API, API_URI].contains(&text("aud")));
            assert_eq!(&*caller.client, text("appid"));
        }
        other => panic!("accepted version {other}"),
    }
    assert!(!caller.client.is_empty());
    assert!(time("exp") > NOW.0 - 60 && time("nbf") <= NOW.0 + 60 && time("iat") <= NOW.0 + 60);
    assert!(time("nbf") < time("exp") && time("exp") - time("nbf") <= 30 * 3600);
    for name in ["cnf", "nonce", "c_hash", "at_hash"] {
        assert!(!claims.contains_key(name), "accepted with {name}");
    }
    match caller.kind {
        CallerKind::User => assert!(!caller.scopes.is_empty() && text("oid") != text("sub")),
        CallerKind::Workload => assert!(caller.scopes.is_empty() && !caller.roles.is_empty()),
    }
    let roles: Vec<&str> =
        claims.get("roles").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    assert!(caller.roles.iter().all(|role| roles.contains(&&**role)), "a role out of nowhere");
    assert!(
        caller.scopes.iter().all(|scope| text("scp").split(' ').any(|word| word == &**scope)),
        "a scope out of nowhere"
    );
    assert_eq!(caller.claims.members(), Some(claims));
}
