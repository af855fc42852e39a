//! One bad token has one reason: the order of the checks, the moments at which time changes the answer, and what of
//! them is asked again of a caller who is remembered.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

#[path = "support/signer.rs"]
mod signer;
#[path = "support/token_plain.rs"]
mod token_plain;
#[path = "support/token_world.rs"]
mod token_world;

use entrance::reason::ReasonCode;
use entrance::token::{Profile, RawToken, recheck};
use serde_json::{Value, json};

use signer::TestKey;
use token_world::{Draft, KEY, NOW, judge};

/// A token in the making, with everything that can be wrong about it.
struct Faulty {
    draft: Draft,
    header_more: &'static str,
    claims_more: &'static str,
    payload: Option<&'static str>,
    more: String,
    profile: Profile,
    stranger: bool,
}

impl Faulty {
    fn header(&mut self, name: &str, value: Value) {
        self.draft.header.insert(name.into(), value);
    }

    fn claim(&mut self, name: &str, value: Value) {
        self.draft.claims.insert(name.into(), value);
    }

    fn times(&mut self, not_before: i64, expires: i64) {
        self.claim("nbf", json!(NOW.plus(not_before).0));
        self.claim("exp", json!(NOW.plus(expires).0));
    }

    fn token(&self, stranger: &TestKey) -> RawToken {
        let (header, payload) = self.draft.texts();
        let more = |text: &str, more| format!("{}{more}}}", text.strip_suffix('}').unwrap());
        let header = more(&header, self.header_more);
        let payload = match self.payload {
            Some(payload) => payload.to_owned(),
            None => more(&payload, self.claims_more),
        };
        let key = if self.stranger { stranger } else { &KEY };
        let token = key.token(header.as_bytes(), payload.as_bytes());
        token_plain::raw(format!("{token}{}", self.more))
    }
}

type Fault = (ReasonCode, fn(&mut Faulty));

/// Every check, in the order of the specification, with a way to fail it. Applied from the last to the first, so that
/// where two of them concern one value, the earlier check finds its own.
const ORDER: &[Fault] = &[
    (ReasonCode::TokenTooLarge, |t| t.more.push_str(&"x".repeat(20_000))),
    (ReasonCode::TokenMalformed, |t| t.more.push_str(".x")),
    (ReasonCode::HeaderDuplicate, |t| t.header_more = r#","kid":"k1""#),
    (ReasonCode::AlgNotAllowed, |t| t.header("alg", json!("none"))),
    (ReasonCode::HeaderCritUnsupported, |t| t.header("crit", json!([]))),
    (ReasonCode::HeaderInvalid, |t| t.header("zip", json!("DEF"))),
    (ReasonCode::TypNotAllowed, |t| t.header("typ", json!("x"))),
    (ReasonCode::KidMissing, |t| t.header("kid", json!(""))),
    (ReasonCode::TokenGraphNonce, |t| t.header("nonce", json!("x"))),
    (ReasonCode::PayloadNotObject, |t| t.payload = Some("[]")),
    (ReasonCode::ClaimDuplicate, |t| t.claims_more = r#","x":1,"x":1"#),
    (ReasonCode::ClaimMissing, |t| drop(t.draft.claims.remove("sub"))),
    (ReasonCode::ClaimTypeInvalid, |t| t.claim("scp", json!(1))),
    (ReasonCode::VersionUnsupported, |t| t.claim("ver", json!("3.0"))),
    (ReasonCode::TenantInvalid, |t| t.claim("tid", json!("x"))),
    (ReasonCode::TenantNotAllowed, |t| t.profile.tenants.clear()),
    (ReasonCode::IssuerMismatch, |t| t.claim("iss", json!("x"))),
    (ReasonCode::KidUnknown, |t| t.header("kid", json!("x"))),
    (ReasonCode::SignatureInvalid, |t| t.stranger = true),
    (ReasonCode::AudienceMismatch, |t| t.claim("aud", json!("x"))),
    (ReasonCode::TokenExpired, |t| t.times(-200, -100)),
    (ReasonCode::TokenNotYetValid, |t| t.times(100, 200)),
    (ReasonCode::TokenIssuedInFuture, |t| t.claim("iat", json!(NOW.plus(100).0))),
    (ReasonCode::TokenLifetimeExcessive, |t| t.times(0, 200_000)),
    (ReasonCode::TokenPopUnsupported, |t| t.claim("cnf", json!({}))),
    (ReasonCode::TokenNotAccessToken, |t| t.claim("nonce", json!("x"))),
    (ReasonCode::TokenTypeConflict, |t| t.claim("appid", json!("x"))),
    (ReasonCode::PrincipalTypeDenied, |t| t.claim("idtyp", json!("device"))),
    (ReasonCode::ClientNotAllowed, |t| t.profile.allowed_clients = Some(vec![])),
    (ReasonCode::RoleMissing, |t| drop(t.draft.claims.remove("roles"))),
];

#[test]
fn the_first_failing_check_gives_the_reason() {
    let stranger = TestKey::new("k1");
    for first in 0..ORDER.len() {
        let mut token = Faulty {
            draft: Draft::of("A2"),
            header_more: "",
            claims_more: "",
            payload: None,
            more: String::new(),
            profile: token_plain::profile(),
            stranger: false,
        };
        for (_, fault) in ORDER[first..].iter().rev() {
            fault(&mut token);
        }
        let judged = judge(&token.token(&stranger), &token.profile, NOW);
        let reason = judged.outcome.unwrap_err().reason();
        assert_eq!(reason, ORDER[first].0);
        assert_eq!(judged.needs_key, reason == ReasonCode::KidUnknown, "{reason}");
    }
}

#[test]
fn a_token_counts_from_skew_before_its_beginning_until_skew_after_its_end() {
    let mut draft = Draft::of("U2");
    for (name, offset) in [("iat", 0), ("nbf", 0), ("exp", 200)] {
        draft.claims.insert(name.into(), json!(NOW.plus(offset).0));
    }
    let (token, profile) = (token_plain::signed(&draft), token_plain::profile());
    for offset in -130..330 {
        let reason = judge(&token, &profile, NOW.plus(offset)).outcome.map_err(|r| r.reason());
        let expected = match offset {
            ..-60 => Err(ReasonCode::TokenNotYetValid),
            -60..260 => Ok(()),
            260.. => Err(ReasonCode::TokenExpired),
        };
        assert_eq!(reason.map(drop), expected, "at {offset}");
    }
}

#[test]
fn a_remembered_caller_has_the_times_of_its_token() {
    let mut profile = token_plain::profile();
    for skew in [0, 60, 300, 100_000] {
        profile.clock_skew = skew;
        let token = token_plain::signed(&Draft::of("U2"));
        let caller = judge(&token, &profile, NOW).outcome.unwrap();
        for at in (-500..500).chain(3_000..4_500).map(|offset| NOW.plus(offset)) {
            let fresh = judge(&token, &profile, at).outcome.map(drop);
            assert_eq!(recheck(&caller, &profile, at), fresh);
        }
    }
}

/// A good token of so many bytes.
fn token_of(length: usize) -> String {
    let longer = |header: usize, payload: usize| {
        let mut draft = Draft::of("U2");
        draft.header.insert("x".into(), json!("x".repeat(header)));
        draft.claims.insert("x".into(), json!("x".repeat(payload)));
        let (header, payload) = draft.texts();
        KEY.token(header.as_bytes(), payload.as_bytes())
    };
    // Three bytes become four letters, so that not every length can be had by a longer payload alone.
    let shortest = longer(0, 0).len();
    let most = (length - shortest) * 3 / 4;
    let pairs = (0..8).flat_map(|header| (most - 16..=most).map(move |payload| (header, payload)));
    pairs.map(|(header, payload)| longer(header, payload)).find(|token| token.len() == length).unwrap()
}

#[test]
fn a_token_may_have_16_kib_and_not_one_byte_more() {
    let profile = token_plain::profile();
    let judged = |length: usize| judge(&token_plain::raw(token_of(length)), &profile, NOW).outcome.map(drop);
    assert_eq!(judged(16 * 1024), Ok(()));
    let reason = judged(16 * 1024 + 1).map_err(|rejection| rejection.reason());
    assert_eq!(reason, Err(ReasonCode::TokenTooLarge));
}

#[test]
fn a_header_may_have_4_kib_encoded_and_not_more() {
    let profile = token_plain::profile();
    let judged = |bytes: usize| {
        let mut draft = Draft::of("U2");
        draft.header.insert("x".into(), json!(""));
        let more = bytes - draft.texts().0.len();
        draft.header.insert("x".into(), json!("x".repeat(more)));
        judge(&token_plain::signed(&draft), &profile, NOW).outcome.map(drop)
    };
    assert_eq!(judged(3072), Ok(()));
    assert_eq!(judged(3073).map_err(|rejection| rejection.reason()), Err(ReasonCode::TokenTooLarge));
}

#[test]
fn nothing_prints_a_token() {
    let (header, payload) = Draft::of("U2").texts();
    let text = KEY.token(header.as_bytes(), payload.as_bytes());
    let token = token_plain::raw(text.clone());
    assert_eq!(format!("{token:?}"), format!("RawToken({} bytes)", text.len()));
    assert_eq!(token.expose(), text.as_bytes());
    let profile = token_plain::profile();
    let unverified = entrance::token::inspect(&token, &profile).unwrap();
    assert_eq!(format!("{unverified:?}"), "Unverified");
    assert_eq!(unverified.kid(), KEY.kid);
}
