//! The reader of tokens agrees with a second one that builds whole trees: about every text of header and payload, to the
//! detail of a refusal, and about everything that a caller is then told to be.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

#[path = "support/signer.rs"]
mod signer;
#[path = "support/token_plain.rs"]
mod token_plain;
#[path = "support/token_tree.rs"]
mod token_tree;
#[path = "support/token_world.rs"]
mod token_world;

use std::sync::LazyLock;

use entrance::clock::UnixTime;
use entrance::identity::{Caller, TenantId, Text};
use entrance::reason::ReasonCode;
use entrance::token::{KnownHeader, MAX_TOKEN, Profile, TokenRejection, Unverified, Version, inspect, inspect_knowing};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use token_plain::{profile, raw, signed};
use token_tree::{Refusal, Tree, names};
use token_world::{Draft, KEY, NOW, judge};

static PROFILE: LazyLock<Profile> = LazyLock::new(profile);

/// Texts of values that readers may take for different things.
const VALUES: [&str; 44] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1799999999",
    "1800000100",
    "1800000000.0",
    "18e8",
    "1e400",
    "9007199254740991",
    "9007199254740992",
    "9223372036854775808",
    "18446744073709551616",
    "01",
    "\"\"",
    "\" \"",
    "\"1.0\"",
    "\"2.0\"",
    "\"\\u0032.0\"",
    "\"app\"",
    "\"user\"",
    "\"us\\u0065r\"",
    "\"device\"",
    "\"a b  a\"",
    "\"tab\\there\"",
    "\"del\u{7f}\"",
    "\"c1\u{85}\"",
    "\"z\u{fc}rich \\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"jwt\"",
    "\"application/AT+JWT\"",
    "\"cccccccc-0000-4000-8000-000000000001\"",
    "\"bbbbbbbb-0000-4000-8000-000000000001\"",
    "\"11111111-1111-4111-8111-111111111111\"",
    "[]",
    "[\"CP1\",\"b\",\"a\",\"b\"]",
    "[\"11111111-1111-4111-8111-11111111111A\",\"11111111-1111-4111-8111-111111111110\"]",
    "[\"a\",1]",
    "{}",
    "{\"groups\":\"src1\"}",
    "{\"a\":{\"b\":1,\"\\u0062\":2}}",
    "[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]",
];

/// One member as text.
type Member = (String, String);

/// A name as it is, in another spelling, or with an escape in it.
fn spelled(name: &'static str) -> impl Strategy<Value = String> {
    let (first, rest) = name.split_at(1);
    let escaped = format!("\\u{:04x}{rest}", first.as_bytes()[0]);
    let capital = format!("{}{rest}", first.to_uppercase());
    prop_oneof![6 => Just(name.to_owned()), 1 => Just(name.to_uppercase()), 1 => Just(capital), 1 => Just(escaped)]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => select(&VALUES[..]).prop_map(str::to_owned),
        1 => (250_usize..260).prop_map(|length| format!("\"{}\"", "x".repeat(length))),
        1 => (4090_usize..4100).prop_map(|length| format!("\"{}\"", "x".repeat(length))),
        1 => (1020_usize..1028).prop_map(|length| format!("[{}]", vec!["\"x\""; length].join(","))),
        1 => "\\PC{0,8}".prop_map(|text| Value::from(text).to_string()),
    ]
}

fn changes(names: Vec<&'static str>) -> impl Strategy<Value = Vec<(Index, Option<Member>)>> {
    let known = select(names).prop_flat_map(spelled);
    let name = prop_oneof![8 => known, 1 => "[a-zA-Z_]{1,4}", 1 => (0..60).prop_map(|at| format!("more{at}"))];
    let member = prop::option::weighted(0.8, (name, value()));
    prop::collection::vec((any::<Index>(), member), 0..5)
}

/// The members of an object, some of them replaced, added or taken out.
fn changed(members: &serde_json::Map<String, Value>, changes: Vec<(Index, Option<Member>)>, more: usize) -> String {
    let mut texts: Vec<Member> = members.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
    for (at, change) in changes {
        let at = at.index(texts.len() + 1);
        match change {
            // in the place of another of that name, as often as not: two of one name are for the reader to find
            Some((name, value)) => match texts.iter().position(|(known, _)| *known == name).filter(|_| at % 4 != 0) {
                Some(same) => texts[same].1 = value,
                None => texts.insert(at, (name, value)),
            },
            None if at < texts.len() => drop(texts.remove(at)),
            None => {}
        }
    }
    texts.extend((0..more).map(|at| (format!("more{at}"), "1".to_owned())));
    let texts: Vec<String> = texts.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", texts.join(","))
}

/// The names of the good tokens.
const BASES: [&str; 3] = ["U2", "A2", "U1"];

/// The header of a good token.
static KNOWN: LazyLock<KnownHeader> = LazyLock::new(|| {
    let (header, payload) = Draft::of("U2").texts();
    let good = raw(KEY.token(header.as_bytes(), payload.as_bytes()));
    inspect(&good, &PROFILE).unwrap().header(None).unwrap()
});

type Seen = Result<(TenantId, Version, String), Refusal>;

fn seen(inspected: Result<Unverified<'_>, TokenRejection>) -> Seen {
    let seen = inspected.map(|token| (token.tenant(), token.version(), token.kid().to_owned()));
    seen.map_err(|rejection| (rejection.reason(), rejection.detail()))
}

#[test]
fn a_known_header_is_known_to_whom_asked_the_same_of_it() {
    let (_, payload) = Draft::of("U2").texts();
    let token = raw(KEY.token(br#"{"alg":"RS256","kid":"k1"}"#, payload.as_bytes()));
    let lenient = Profile { allow_missing_typ: true, ..PROFILE.clone() };
    let known = inspect(&token, &lenient).unwrap().header(None).unwrap();
    assert!(inspect_knowing(&token, &lenient, Some(&known)).unwrap().header(Some(&known)).is_none());
    let strict = seen(inspect_knowing(&token, &PROFILE, Some(&known)));
    assert_eq!(strict.map_err(|(reason, _)| reason).unwrap_err(), ReasonCode::TypNotAllowed);
}

/// What both readers make of two texts; the second one's tree.
fn agree(header: &[u8], payload: &[u8]) -> Result<Option<Tree>, TestCaseError> {
    let token = KEY.token(header, payload);
    if header.len() > 3072 || token.len() > MAX_TOKEN {
        // sizes are judged before anything is read
        return Ok(None);
    }
    let token = raw(token);
    let own_header = inspect(&token, &PROFILE).ok().and_then(|token| token.header(None));
    let [own, knowing, knowing_own] =
        [None, Some(&*KNOWN), own_header.as_ref()].map(|known| seen(inspect_knowing(&token, &PROFILE, known)));
    prop_assert_eq!(&own, &knowing);
    prop_assert_eq!(&own, &knowing_own);
    let second = token_tree::header(header, PROFILE.allow_missing_typ).and_then(|kid| {
        let tree = Tree::read(payload, &PROFILE.versions)?;
        let listed = PROFILE.tenants.contains_key(&tree.tenant);
        let unlisted: Refusal = (ReasonCode::TenantNotAllowed, "the tenant is not listed");
        if listed { Ok((kid, tree)) } else { Err(unlisted) }
    });
    let expected = second.as_ref().map(|(kid, tree)| (tree.tenant, tree.version, kid.clone())).map_err(|why| *why);
    prop_assert_eq!(own, expected);
    Ok(second.ok().map(|(_, tree)| tree))
}

const BY_KIND: [ReasonCode; 4] = [
    ReasonCode::TokenPopUnsupported,
    ReasonCode::TokenNotAccessToken,
    ReasonCode::TokenTypeConflict,
    ReasonCode::PrincipalTypeDenied,
];

/// What both readers make of the caller.
fn agree_on_caller(header: &[u8], payload: &[u8], tree: &Tree) -> Result<(), TestCaseError> {
    match (judge(&raw(KEY.token(header, payload)), &PROFILE, NOW).outcome, tree.tell()) {
        (Ok(caller), told) => {
            prop_assert_eq!(Ok((&*caller.client, caller.kind)), told);
            same_caller(&caller, tree)
        }
        (Err(rejection), told) if BY_KIND.contains(&rejection.reason()) => {
            prop_assert_eq!(told.map(drop), Err((rejection.reason(), rejection.detail())));
            Ok(())
        }
        // other reasons compare one value with the world's, and have rows of their own in the table
        (Err(_), _) => Ok(()),
    }
}

fn same_caller(caller: &Caller, tree: &Tree) -> Result<(), TestCaseError> {
    let texts = |list: &[Text]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    prop_assert_eq!(&*caller.subject, tree.text("oid"));
    prop_assert_eq!(texts(&caller.roles), tree.list("roles"));
    prop_assert_eq!(texts(&caller.scopes), tree.scopes());
    prop_assert_eq!(texts(&caller.auth_contexts), tree.list("acrs"));
    prop_assert_eq!(&caller.groups, &tree.groups());
    prop_assert_eq!(caller.can_step_up, tree.list("xms_cc").iter().any(|word| word.eq_ignore_ascii_case("cp1")));
    prop_assert_eq!(caller.token_id.as_deref(), tree.optional("uti"));
    prop_assert_eq!(caller.session_id.as_deref(), tree.optional("sid"));
    prop_assert_eq!(caller.authenticated_at, tree.whole("auth_time").map(UnixTime));
    let times = [caller.issued_at, caller.not_before, caller.expires_at].map(|time| Some(time.0));
    prop_assert_eq!(times, ["iat", "nbf", "exp"].map(|name| tree.whole(name)));
    prop_assert_eq!(caller.claims.members(), Some(&tree.claims));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn payloads_are_read_alike(base in select(&BASES[..]), changes in changes(names().collect()), more in select(vec![0, 0, 0, 15, 16, 17, 40])) {
        let draft = Draft::of(base);
        let header = draft.texts().0;
        let payload = changed(&draft.claims, changes, more);
        if let Some(tree) = agree(header.as_bytes(), payload.as_bytes())? {
            agree_on_caller(header.as_bytes(), payload.as_bytes(), &tree)?;
        }
    }

    #[test]
    fn headers_are_read_alike(base in select(&BASES[..]), changes in changes(vec!["alg", "typ", "kid", "crit", "b64", "enc", "zip", "cty", "nonce"])) {
        let draft = Draft::of(base);
        let payload = draft.texts().1;
        agree(changed(&draft.header, changes, 0).as_bytes(), payload.as_bytes())?;
    }

    #[test]
    fn what_is_no_json_is_read_alike(
        base in select(&BASES[..]), changes in changes(names().collect()), at in any::<Index>(), cut in 0_usize..4, bytes in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let draft = Draft::of(base);
        let mut payload = changed(&draft.claims, changes, 0).into_bytes();
        let at = at.index(payload.len());
        let end = (at + cut).min(payload.len());
        payload.splice(at..end, bytes);
        agree(draft.texts().0.as_bytes(), &payload)?;
    }
}

/// A comparison of refusals alone would prove nothing.
#[test]
fn both_readers_take_the_good_tokens() {
    for base in BASES {
        let (header, payload) = Draft::of(base).texts();
        let tree = agree(header.as_bytes(), payload.as_bytes()).unwrap().unwrap();
        agree_on_caller(header.as_bytes(), payload.as_bytes(), &tree).unwrap();
        let judged = judge(&signed(&Draft::of(base)), &PROFILE, NOW);
        assert!(judged.outcome.is_ok() && !judged.needs_key);
    }
}
