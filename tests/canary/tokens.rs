//! Marked tokens: a good one, and one for every reason that a token alone can have.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::house::MARK;
use crate::signer::TestKey;
use crate::token_world::{Draft, KEY, NOW};

/// A good token with marks in all that is not a caller's name, right or client.
pub(crate) fn good(base: &str) -> Draft {
    let mut draft = Draft::of(base);
    for name in ["name", "preferred_username", "email", "aio", "rh", "unknown"] {
        draft.claims.insert(name.into(), json!(MARK));
    }
    draft.claims.insert("groups".into(), json!([]));
    draft.header.insert("x5t".into(), json!(MARK));
    draft.header.insert("jku".into(), json!(format!("https://{MARK}.example")));
    draft
}

pub(crate) fn sign(draft: &Draft) -> String {
    sign_by(&KEY, draft)
}

fn sign_by(key: &TestKey, draft: &Draft) -> String {
    let (header, payload) = draft.texts();
    key.token(header.as_bytes(), payload.as_bytes())
}

/// The good token with one claim changed.
pub(crate) fn with(name: &str, value: Value) -> String {
    let mut draft = good("U2");
    draft.claims.insert(name.into(), value);
    sign(&draft)
}

fn header(name: &str, value: Value) -> String {
    let mut draft = good("U2");
    draft.header.insert(name.into(), value);
    sign(&draft)
}

fn without(base: &str, name: &str) -> String {
    let mut draft = good(base);
    draft.claims.remove(name);
    sign(&draft)
}

fn expired() -> String {
    let mut draft = good("U2");
    for (name, offset) in [("nbf", -600), ("exp", -60)] {
        draft.claims.insert(name.into(), json!(NOW.plus(offset).0));
    }
    sign(&draft)
}

/// Text put into header and payload before their last brace.
fn raw(header_more: &str, payload_more: &str) -> String {
    let (header, payload) = good("U2").texts();
    let more = |text: String, more: &str| format!("{}{more}}}", text.strip_suffix('}').unwrap());
    KEY.token(more(header, header_more).as_bytes(), more(payload, payload_more).as_bytes())
}

fn other_payload(payload: &str) -> String {
    KEY.token(good("U2").texts().0.as_bytes(), payload.as_bytes())
}

/// The value of `Authorization`, and the reason that it ends with.
pub(crate) fn decayed() -> Vec<(&'static str, String)> {
    let token = sign(&good("U2"));
    let marked = |text: &str| format!("{text}{MARK}");
    let bearer: Vec<(&str, String)> = vec![
        ("token_too_large", format!("{token}{}", MARK.repeat(2000))),
        ("token_malformed", marked("")),
        ("token_malformed", format!("{token}.{MARK}")),
        ("token_malformed", format!("{token}\u{fc}")),
        ("token_encrypted", format!("{token}.{MARK}.{MARK}")),
        ("header_invalid", format!("{}.{}", URL_SAFE_NO_PAD.encode(MARK), token.split_once('.').unwrap().1)),
        ("header_duplicate", raw(&format!(r#","{MARK}":1,"{MARK}":2"#), "")),
        ("header_crit_unsupported", header("crit", json!([MARK]))),
        ("alg_not_allowed", header("alg", json!(MARK))),
        ("typ_not_allowed", header("typ", json!(MARK))),
        ("kid_missing", header("kid", json!(""))),
        ("kid_unknown", header("kid", json!(MARK))),
        ("signature_invalid", sign_by(&TestKey::new(KEY.kid), &good("U2"))),
        ("token_graph_nonce", header("nonce", json!(MARK))),
        ("payload_not_object", other_payload(&format!("[\"{MARK}\"]"))),
        ("claim_duplicate", raw("", &format!(r#","{MARK}":1,"{MARK}":2"#))),
        ("claim_type_invalid", with("roles", json!({ MARK: MARK }))),
        ("claim_missing", without("U2", "sub")),
        ("version_unsupported", with("ver", json!(MARK))),
        ("version_mismatch", with("ver", json!("1.0"))),
        ("tenant_invalid", with("tid", json!(MARK))),
        ("tenant_not_allowed", with("tid", json!("33333333-3333-4333-8333-333333333333"))),
        ("issuer_mismatch", with("iss", json!(format!("https://{MARK}.example/")))),
        ("audience_mismatch", with("aud", json!(MARK))),
        ("token_expired", expired()),
        ("token_not_yet_valid", with("nbf", json!(NOW.plus(100).0))),
        ("token_issued_in_future", with("iat", json!(NOW.plus(100).0))),
        ("token_lifetime_excessive", with("exp", json!(NOW.plus(200_000).0))),
        ("token_not_access_token", with("nonce", json!(MARK))),
        ("token_type_conflict", with("appid", json!(MARK))),
        ("token_pop_unsupported", with("cnf", json!({ "jkt": MARK }))),
        ("principal_type_denied", with("idtyp", json!(MARK))),
        ("role_missing", without("A2", "roles")),
    ];
    let mut all: Vec<_> = bearer.into_iter().map(|(reason, token)| (reason, format!("Bearer {token}"))).collect();
    all.push(("token_scheme_unsupported", format!("Basic {MARK}")));
    all.push(("token_scheme_unsupported", token.clone()));
    all.push(("token_multiple", format!("Bearer {token}, Bearer {MARK}")));
    all.push(("token_missing", String::new()));
    all
}

/// Pieces of a token by which it is found again, wherever it stands.
pub(crate) const PIECE: usize = 24;

pub(crate) fn pieces(authorization: &str) -> impl Iterator<Item = &[u8]> {
    let secret = authorization.split_once(' ').map_or(authorization, |(_, secret)| secret);
    secret.split('.').flat_map(|segment| segment.as_bytes().chunks_exact(PIECE))
}

/// A hash of a token is not the token, but whoever has both logs can tell that they belong together.
pub(crate) fn hash(authorization: &str) -> String {
    let hash = digest::digest(&digest::SHA256, authorization.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
