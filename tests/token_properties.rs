//! What no stranger can do with any bytes: be accepted, make the verifier panic, or make two readers disagree.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/signer.rs"]
mod signer;
#[path = "support/token_plain.rs"]
mod token_plain;
#[path = "support/token_world.rs"]
mod token_world;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use entrance::reason::ReasonCode;
use entrance::token::cloud::{Cloud, CustomAuthority, Issuer};
use entrance::token::{Profile, Version, credential, jwks, metadata};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

use token_plain::{profile, raw, signed};
use token_world::{Draft, KEY, NOW, judge};

static PROFILE: LazyLock<Profile> = LazyLock::new(profile);
static TOKEN: LazyLock<String> = LazyLock::new(|| {
    let (header, payload) = Draft::of("U2").texts();
    KEY.token(header.as_bytes(), payload.as_bytes())
});

/// Any JSON, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// The names that verification reads, of which one is chosen.
const CLAIMS: [&str; 25] = [
    "iss",
    "aud",
    "exp",
    "nbf",
    "iat",
    "ver",
    "tid",
    "sub",
    "oid",
    "azp",
    "appid",
    "idtyp",
    "scp",
    "roles",
    "groups",
    "wids",
    "acrs",
    "xms_cc",
    "amr",
    "auth_time",
    "uti",
    "sid",
    "cnf",
    "_claim_names",
    "hasgroups",
];
const MEMBERS: [&str; 9] = ["alg", "typ", "kid", "crit", "b64", "enc", "zip", "cty", "nonce"];

proptest! {
    #[test]
    fn bytes_of_a_stranger_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(judge(&raw(bytes), &PROFILE, NOW).outcome.is_err());
    }

    #[test]
    fn header_lines_of_a_stranger_are_refused(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..3)) {
        let one = lines.len() == 1;
        let headers: Vec<(Bytes, Bytes)> =
            lines.iter().map(|line| (Bytes::from_static(b"Authorization"), line.clone().into())).collect();
        if let Ok(token) = credential(&headers) {
            prop_assert!(one && lines[0].strip_suffix(token.expose()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer ")));
            prop_assert!(judge(&token, &PROFILE, NOW).outcome.is_err());
        }
    }

    #[test]
    fn three_segments_of_a_stranger_are_refused(
        header in prop::collection::vec(any::<u8>(), 1..80),
        payload in prop::collection::vec(any::<u8>(), 1..200),
        signature in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let [header, payload, signature] = [header, payload, signature].map(|part| URL_SAFE_NO_PAD.encode(part));
        let judged = judge(&raw(format!("{header}.{payload}.{signature}")), &PROFILE, NOW);
        prop_assert!(judged.outcome.is_err() && !judged.needs_key);
    }

    #[test]
    fn a_good_token_with_one_byte_changed_is_refused(at in any::<Index>(), byte in any::<u8>()) {
        let mut token = TOKEN.clone().into_bytes();
        let at = at.index(token.len());
        prop_assume!(token[at] != byte);
        token[at] = byte;
        prop_assert!(judge(&raw(token), &PROFILE, NOW).outcome.is_err());
    }

    #[test]
    fn a_good_token_cut_or_grown_is_refused(at in any::<Index>(), more in "[A-Za-z0-9._-]{1,8}") {
        let at = at.index(TOKEN.len());
        let (before, after) = TOKEN.split_at(at);
        prop_assert!(judge(&raw(before), &PROFILE, NOW).outcome.is_err());
        let grown = format!("{before}{more}{after}");
        prop_assert!(judge(&raw(grown), &PROFILE, NOW).outcome.is_err());
    }

    #[test]
    fn any_signed_json_is_refused_unless_it_is_an_entra_token(header in any_json(), payload in any_json()) {
        let (own_header, own_payload) = Draft::of("U2").texts();
        for (header, payload) in [
            (header.to_string(), own_payload),
            (own_header, payload.to_string()),
        ] {
            let token = KEY.token(header.as_bytes(), payload.as_bytes());
            prop_assert!(judge(&raw(token), &PROFILE, NOW).outcome.is_err());
        }
    }

    #[test]
    fn a_claim_of_any_value_never_makes_a_caller_of_another(name in prop::sample::select(&CLAIMS[..]), value in any_json()) {
        let mut draft = Draft::of("U2");
        let own = draft.claims.insert(name.into(), value.clone());
        let Ok(caller) = judge(&signed(&draft), &PROFILE, NOW).outcome else { return Ok(()) };
        // Of the claims that bind the token, only the ones that name the caller may have any value.
        let bound = ["iss", "aud", "ver", "tid", "cnf", "idtyp"].contains(&name);
        prop_assert!(!bound || own == Some(value), "accepted with another {name}");
        let read: Map<String, Value> = serde_json::from_str(&draft.texts().1).unwrap();
        prop_assert_eq!(caller.claims.members(), Some(&read));
        prop_assert!(caller.expires_at > NOW.plus(-60));
        prop_assert!([&caller.subject, &caller.client].iter().all(|id| !id.is_empty() && id.len() <= 256));
        prop_assert!(caller.roles.is_sorted() && caller.scopes.is_sorted());
    }

    #[test]
    fn a_header_member_of_any_value_never_opens(name in prop::sample::select(&MEMBERS[..]), value in any_json()) {
        let mut draft = Draft::of("U2");
        let own = draft.header.insert(name.into(), value.clone());
        let accepted = judge(&signed(&draft), &PROFILE, NOW).outcome.is_ok();
        let harmless = own == Some(value.clone())
            || name == "cty" && value.is_string()
            || name == "typ" && value.as_str().is_some_and(|typ| typ.eq_ignore_ascii_case("at+jwt"));
        prop_assert!(!accepted || harmless);
    }

    #[test]
    fn a_repeated_name_is_refused_wherever_it_stands(name in ".{0,8}", deep in 0_usize..12, values in (any_json(), any_json())) {
        let name = Value::from(name);
        let twice = format!("{{{name}:{},{name}:{}}}", values.0, values.1);
        let nested = format!("{}{twice}{}", "[".repeat(deep), "]".repeat(deep));
        let (header, payload) = Draft::of("U2").texts();
        let payload = format!("{},\"x\":{nested}}}", payload.strip_suffix('}').unwrap());
        let outcome = judge(&raw(KEY.token(header.as_bytes(), payload.as_bytes())), &PROFILE, NOW).outcome;
        let reason = outcome.unwrap_err().reason();
        prop_assert!(matches!(reason, ReasonCode::ClaimDuplicate | ReasonCode::PayloadNotObject), "{reason}");
    }

    #[test]
    fn documents_of_a_stranger_give_no_keys(bytes in prop::collection::vec(any::<u8>(), 0..300), json in any_json()) {
        let discovery = Issuer::Cloud(Cloud::Public).discovery(entrance::identity::Guid::parse(token_world::TENANT).unwrap(), Version::V2);
        for document in [bytes, json.to_string().into_bytes(), json!({"keys": [json]}).to_string().into_bytes()] {
            prop_assert!(jwks::parse(&document).is_err());
            prop_assert!(metadata::parse(&document, &discovery).is_err());
        }
    }

    #[test]
    fn a_key_with_any_member_changed_is_the_same_key_or_none(
        name in prop::sample::select(vec!["kty", "use", "kid", "n", "e", "alg", "key_ops", "d", "issuer"]), value in any_json(),
    ) {
        let mut key = KEY.jwk();
        key[name] = value.clone();
        if let Ok(parsed) = jwks::parse(json!({"keys": [key]}).to_string().as_bytes()) {
            let harmless = ["kid", "issuer"].contains(&name) && value.is_string();
            prop_assert!(harmless || KEY.jwk()[name] == value, "accepted with {name} {value}");
            prop_assert_eq!(parsed.keys.len(), 1);
        }
    }

    #[test]
    fn an_authority_is_a_secure_url_or_this_machine(text in "(https?://)?[a-z0-9.:/@?#%\\[\\]-]{0,24}") {
        if let Ok(authority) = CustomAuthority::parse(&text) {
            let issuer = Issuer::Custom(authority).template(Version::V2);
            prop_assert!(text.starts_with("https://") || text.starts_with("http://127.") || text.starts_with("http://localhost") || text.starts_with("http://[::1]"));
            let named = issuer.as_str().contains("{tenantid}");
            prop_assert!(named && !issuer.as_str().contains(['@', '?', '#', '%']));
        }
    }
}
