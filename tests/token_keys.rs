//! Key sets, metadata, and the addresses and issuers of authorities: what is taken over from them and what is not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]

#[path = "support/signer.rs"]
mod signer;

use std::sync::Arc;

use entrance::clock::UnixTime;
use entrance::identity::{Guid, TenantId};
use entrance::token::cloud::{AuthorityFault, Cloud, CustomAuthority, Issuer, loopback};
use entrance::token::jwks::{self, JwksRejection};
use entrance::token::metadata::{self, MetadataRejection, same_origin};
use entrance::token::{Discovery, KeySet, Version, install_crypto};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use signer::TestKey;

const TENANT: &str = "11111111-1111-4111-8111-111111111111";

fn tenant() -> TenantId {
    Guid::parse(TENANT).unwrap()
}

fn parse(document: &Value) -> Result<jwks::ParsedKeys, JwksRejection> {
    jwks::parse(document.to_string().as_bytes())
}

#[test]
fn good_keys_are_kept_and_each_bad_one_is_named_with_its_fault() {
    let (one, two) = (TestKey::new("one"), TestKey::new("two"));
    let changed = |name: &str, value: Value| {
        let mut key = two.jwk();
        key[name] = value;
        key
    };
    let parsed = parse(&json!({"keys": [
        one.jwk(), "text", changed("kty", json!("EC")), changed("use", json!("enc")), changed("alg", json!("RS512")),
        changed("key_ops", json!(["sign"])), changed("d", json!("x")), changed("kid", json!(7)), changed("n", json!("AA==")),
        changed("n", json!("AQAB")), changed("e", json!("Aw")), changed("e", json!(3)), changed("cloud_instance_name", json!(1)),
        changed("kid", json!("")), changed("kid", json!("x".repeat(257))), changed("kid", json!("x".repeat(256))),
    ]}))
    .unwrap();
    let mut kids: Vec<&str> = parsed.keys.iter().map(|(kid, _)| kid).collect();
    kids.sort_unstable();
    assert_eq!(kids, ["one", &"x".repeat(256)]);
    let skipped: Vec<(usize, &str)> = parsed.skipped;
    let expected = [
        (1, "not an object"),
        (2, "`kty` is not RSA"),
        (3, "`use` is not sig"),
        (4, "`alg` is not RS256"),
        (5, "`key_ops` without verify"),
        (6, "a private key"),
        (7, "no `kid` of 1 to 256 bytes"),
        (8, "`n` is not base64url"),
        (9, "modulus of less than 2048 or more than 4096 bits"),
        (10, "exponent other than 65537"),
        (11, "`e` is not base64url"),
        (12, "`issuer` or `cloud_instance_name` is not a string"),
        (13, "no `kid` of 1 to 256 bytes"),
        (14, "no `kid` of 1 to 256 bytes"),
    ];
    assert_eq!(skipped, expected);
}

#[test]
fn of_two_keys_with_one_id_neither_counts_even_if_one_is_unusable() {
    let (one, two) = (TestKey::new("same"), TestKey::new("other"));
    let mut decoy = TestKey::new("same").jwk();
    decoy["use"] = json!("enc");
    let parsed = parse(&json!({"keys": [one.jwk(), decoy, two.jwk()]})).unwrap();
    assert_eq!(parsed.keys.iter().map(|(kid, _)| kid).collect::<Vec<_>>(), ["other"]);
    assert_eq!(parsed.skipped, [(0, "`kid` occurs twice"), (1, "`use` is not sig")]);
}

#[test]
fn a_document_without_use_is_refused_as_a_whole() {
    let key = TestKey::new("one").jwk();
    let refused = |document: Value| parse(&document).unwrap_err();
    assert_eq!(refused(json!({"keys": []})), JwksRejection::NoUsableKey);
    assert_eq!(refused(json!({"keys": [{"kty": "EC"}]})), JwksRejection::NoUsableKey);
    assert_eq!(refused(json!({"keys": [key, key]})), JwksRejection::NoUsableKey);
    assert_eq!(refused(json!([key])), JwksRejection::Shape);
    assert_eq!(refused(json!({"keys": {"one": key}})), JwksRejection::Shape);
    assert_eq!(refused(json!({})), JwksRejection::Shape);
    assert_eq!(jwks::parse(b"no json").unwrap_err(), JwksRejection::Shape);
    let many = |count| json!({"keys": std::iter::once(key.clone()).chain(vec![json!(1); count]).collect::<Vec<_>>()});
    assert_eq!(refused(many(1000)), JwksRejection::TooMany);
    assert!(parse(&many(999)).is_ok());
    let text = json!({ "keys": [key] }).to_string();
    let padded = |size: usize| format!("{text}{}", " ".repeat(size - text.len()));
    assert!(jwks::parse(padded(1 << 20).as_bytes()).is_ok());
    let larger = jwks::parse(padded((1 << 20) + 1).as_bytes());
    assert_eq!(larger.unwrap_err(), JwksRejection::TooLarge);
}

#[test]
fn a_key_is_known_by_its_fingerprint_and_counts_before_its_end_only() {
    let (one, two) = (TestKey::new("one"), TestKey::new("two"));
    let parsed = parse(&json!({"keys": [one.jwk(), two.jwk()]})).unwrap();
    let again = parse(&json!({"keys": [two.jwk(), one.jwk()]})).unwrap();
    let now = UnixTime(1_800_000_000);
    let print = |keys: &KeySet, kid| *keys.find(kid, now).unwrap().fingerprint();
    assert_eq!(print(&parsed.keys, "one"), print(&again.keys, "one"));
    assert_ne!(print(&parsed.keys, "one"), print(&parsed.keys, "two"));
    let bound = |binding: Value| {
        let mut key = one.jwk();
        key.as_object_mut().unwrap().extend(binding.as_object().unwrap().clone());
        print(&parse(&json!({"keys": [key]})).unwrap().keys, "one")
    };
    let bindings = [
        json!({}),
        json!({"issuer": ""}),
        json!({"issuer": "ab"}),
        json!({"issuer": "a", "cloud_instance_name": "b"}),
        json!({"cloud_instance_name": "ab"}),
    ];
    let prints: std::collections::BTreeSet<[u8; 32]> = bindings.iter().cloned().map(bound).collect();
    assert_eq!(prints.len(), bindings.len());
    let ending = KeySet::new(parsed.keys.iter().map(|(kid, key)| {
        let mut key = key.clone();
        key.valid_until = now;
        (kid.into(), key)
    }));
    assert!(ending.lives(now.plus(-1)) && !ending.lives(now));
    assert!(ending.find("one", now.plus(-1)).is_some() && ending.find("one", now).is_none());
    assert_eq!((ending.len(), ending.is_empty()), (2, false));
    assert!(KeySet::default().is_empty());
    let printed = format!("{:?}", parsed.keys);
    assert!(!printed.contains(&one.modulus()), "{printed}");
}

#[test]
fn the_signer_of_these_tests_signs_as_the_standard_says() {
    assert_eq!(install_crypto(), Ok(()));
    let key = TestKey::new("one");
    let token = key.token(br#"{"alg":"RS256"}"#, br#"{"exp":99999999999}"#);
    let public = DecodingKey::from_rsa_components(&key.modulus(), "AQAB").unwrap();
    let decoded = jsonwebtoken::decode::<Value>(&token, &public, &Validation::new(Algorithm::RS256));
    assert_eq!(decoded.unwrap().claims["exp"], 99_999_999_999_u64);
}

fn custom(url: &str) -> Issuer {
    Issuer::Custom(CustomAuthority::parse(url).unwrap())
}

fn document(issuer: &str, jwks_uri: &str) -> Value {
    json!({"issuer": issuer, "jwks_uri": jwks_uri, "cloud_instance_name": "microsoftonline.com"})
}

fn judge(document: &Value, discovery: &Arc<Discovery>) -> Result<metadata::Metadata, MetadataRejection> {
    metadata::parse(document.to_string().as_bytes(), discovery)
}

#[test]
fn metadata_of_the_tenant_is_taken_over() {
    let keys = "https://login.microsoftonline.com/common/discovery/v2.0/keys";
    let discovery = Issuer::Cloud(Cloud::Public).discovery(tenant(), Version::V2);
    for issuer in [
        format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        "https://login.microsoftonline.com/{tenantid}/v2.0".to_owned(),
    ] {
        let metadata = judge(&document(&issuer, keys), &discovery).unwrap();
        assert_eq!(metadata.issuer.of(tenant()), format!("https://login.microsoftonline.com/{TENANT}/v2.0"));
        assert_eq!(&*metadata.jwks_uri, keys);
        assert_eq!(metadata.cloud_instance.as_deref(), Some("microsoftonline.com"));
    }
}

#[test]
fn metadata_that_leads_elsewhere_is_refused() {
    let discovery = Issuer::Cloud(Cloud::Public).discovery(tenant(), Version::V2);
    let issuer = "https://login.microsoftonline.com/{tenantid}/v2.0";
    for keys in [
        "https://evil.example/keys",
        "http://login.microsoftonline.com/keys",
        "https://login.microsoftonline.com.evil.example/keys",
        "https://login.microsoftonline.com@evil.example/keys",
        "https://login.microsoftonline.com:8443/keys",
        "https://login.microsoftonline.com\\@evil.example/keys",
        "//login.microsoftonline.com/keys",
        "/keys",
        "",
    ] {
        assert_eq!(judge(&document(issuer, keys), &discovery), Err(MetadataRejection::KeysElsewhere), "{keys}");
    }
    let keys = "https://login.microsoftonline.com/keys";
    for issuer in [
        "https://login.microsoftonline.com/22222222-2222-4222-8222-222222222222/v2.0",
        "https://login.microsoftonline.com/{tenantid}/v2.0/",
        "https://sts.windows.net/{tenantid}/",
        "https://login.microsoftonline.us/{tenantid}/v2.0",
        "http://login.microsoftonline.com/{tenantid}/v2.0",
        "{tenantid}",
        "",
    ] {
        assert_eq!(judge(&document(issuer, keys), &discovery), Err(MetadataRejection::Issuer), "{issuer}");
    }
}

#[test]
fn metadata_without_shape_is_refused() {
    let discovery = Issuer::Cloud(Cloud::Public).discovery(tenant(), Version::V2);
    assert_eq!(judge(&json!([]), &discovery), Err(MetadataRejection::Shape));
    assert_eq!(metadata::parse(b"", &discovery), Err(MetadataRejection::Shape));
    assert_eq!(judge(&json!({}), &discovery), Err(MetadataRejection::Issuer));
    assert_eq!(judge(&json!({"issuer": ["x"]}), &discovery), Err(MetadataRejection::Issuer));
    let issuer = "https://login.microsoftonline.com/{tenantid}/v2.0";
    assert_eq!(judge(&json!({ "issuer": issuer }), &discovery), Err(MetadataRejection::KeysElsewhere));
    let spaces = |count| metadata::parse(&vec![b' '; count], &discovery);
    assert_eq!(spaces((1 << 20) + 1), Err(MetadataRejection::TooLarge));
    assert_eq!(spaces(1 << 20), Err(MetadataRejection::Shape));
}

#[test]
fn metadata_of_an_authority_with_a_path_may_name_the_tenant_in_its_own_way() {
    let b2c = custom("https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_in").discovery(tenant(), Version::V2);
    let keys = "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_in/discovery/v2.0/keys";
    let accepted = |issuer: &str| judge(&document(issuer, keys), &b2c).is_ok();
    assert!(accepted(&format!("https://contoso.b2clogin.com/{TENANT}/v2.0/")));
    assert!(accepted(&format!("https://contoso.b2clogin.com/tfp/{TENANT}/b2c_1_in/v2.0/")));
    assert!(!accepted("https://contoso.b2clogin.com/22222222-2222-4222-8222-222222222222/v2.0/"));
    assert!(!accepted(&format!("http://contoso.b2clogin.com/{TENANT}/v2.0/")));
    assert!(!accepted(&format!("https://evil.example/contoso.b2clogin.com/{TENANT}/v2.0/")));
    assert!(!accepted(&format!("https://evilb2clogin.com/{TENANT}/v2.0/")));
    assert!(!accepted(TENANT));
    let ciam = custom(&format!("https://contoso.ciamlogin.com/{TENANT}")).discovery(tenant(), Version::V2);
    let keys = "https://contoso.ciamlogin.com/keys";
    let issuer = format!("https://{TENANT}.ciamlogin.com/{TENANT}/v2.0");
    assert!(judge(&document(&issuer, keys), &ciam).is_ok());
}

#[test]
fn the_hosts_that_an_issuer_may_have_end_where_others_can_register() {
    for (authority, own, foreign) in [
        ("https://contoso.com/x", "https://contoso.com", "https://evil.com"),
        ("https://login.contoso.com/x", "https://sts.contoso.com", "https://evil.com"),
        ("https://10.1.2.3/x", "https://10.1.2.3", "https://99.1.2.3"),
        ("http://127.0.0.1:8400/x", "http://127.0.0.1:8400", "http://126.0.0.1:8400"),
        ("https://login.contoso.com:8443/x", "https://login.contoso.com:8443", "https://sts.contoso.com:8443"),
    ] {
        let discovery = custom(authority).discovery(tenant(), Version::V2);
        let keys = format!("{authority}/keys");
        let judged = |origin: &str| judge(&document(&format!("{origin}/{TENANT}/v2.0"), &keys), &discovery).map(drop);
        assert_eq!(judged(own), Ok(()), "{own}");
        assert_eq!(judged(foreign), Err(MetadataRejection::Issuer), "{foreign}");
    }
}

#[test]
fn addresses_of_metadata_follow_the_authority() {
    let url = |issuer: &Issuer, version| issuer.discovery(tenant(), version).metadata_url.to_string();
    let known = ".well-known/openid-configuration";
    for (issuer, v1, v2) in [
        (
            Issuer::Cloud(Cloud::Public),
            "https://login.microsoftonline.com/{t}/",
            "https://login.microsoftonline.com/{t}/v2.0/",
        ),
        (
            Issuer::Cloud(Cloud::UsGovernment),
            "https://login.microsoftonline.us/{t}/",
            "https://login.microsoftonline.us/{t}/v2.0/",
        ),
        (
            Issuer::Cloud(Cloud::China),
            "https://login.partner.microsoftonline.cn/{t}/",
            "https://login.partner.microsoftonline.cn/{t}/v2.0/",
        ),
        (
            custom("https://Contoso.ciamlogin.com/"),
            "https://contoso.ciamlogin.com/{t}/",
            "https://contoso.ciamlogin.com/{t}/v2.0/",
        ),
        (
            custom("https://c.b2clogin.com/c.onmicrosoft.com/P"),
            "https://c.b2clogin.com/c.onmicrosoft.com/P/",
            "https://c.b2clogin.com/c.onmicrosoft.com/P/v2.0/",
        ),
        (custom("http://127.0.0.1:8400"), "http://127.0.0.1:8400/{t}/", "http://127.0.0.1:8400/{t}/v2.0/"),
    ] {
        assert_eq!(url(&issuer, Version::V1), format!("{}{known}", v1.replace("{t}", TENANT)));
        assert_eq!(url(&issuer, Version::V2), format!("{}{known}", v2.replace("{t}", TENANT)));
    }
}

#[test]
fn one_source_serves_all_who_need_the_same_document() {
    let one = custom("https://contoso.ciamlogin.com").discovery(tenant(), Version::V2);
    let same = custom("https://CONTOSO.ciamlogin.com/").discovery(tenant(), Version::V2);
    let other = custom("https://contoso.ciamlogin.com").discovery(tenant(), Version::V1);
    assert_eq!(one, same);
    assert_ne!(one, other);
}

#[test]
fn users_sign_in_at_the_tenant_or_at_the_common_endpoint() {
    let public = Issuer::Cloud(Cloud::Public);
    let (own, any) = (public.authorization_uri(Some(tenant())), public.authorization_uri(None));
    assert_eq!(own, format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/authorize"));
    assert_eq!(any, "https://login.microsoftonline.com/common/oauth2/v2.0/authorize");
    let policy = custom("https://c.b2clogin.com/c.onmicrosoft.com/P").authorization_uri(Some(tenant()));
    assert_eq!(policy, "https://c.b2clogin.com/c.onmicrosoft.com/P/oauth2/v2.0/authorize");
}

#[test]
fn an_authority_is_a_plain_https_url() {
    for (url, fault) in [
        ("login.example", AuthorityFault::Scheme),
        ("ftp://login.example", AuthorityFault::Scheme),
        ("HTTPS://login.example", AuthorityFault::Scheme),
        ("http://login.example", AuthorityFault::Scheme),
        ("http://127.0.0.1.example", AuthorityFault::Scheme),
        ("http://localhost.example", AuthorityFault::Scheme),
        ("http://10.0.0.1:8400", AuthorityFault::Scheme),
        ("https://", AuthorityFault::Form),
        ("https:///path", AuthorityFault::Form),
        ("https://user@login.example", AuthorityFault::Form),
        ("http://localhost@evil.example", AuthorityFault::Form),
        ("https://login.example?x", AuthorityFault::Form),
        ("https://login.example/#x", AuthorityFault::Form),
        ("https://login.example/a/../b", AuthorityFault::Form),
        ("https://login.example/%2e", AuthorityFault::Form),
        ("https://login example", AuthorityFault::Form),
        ("https://login..example", AuthorityFault::Form),
        ("https://login.example:0", AuthorityFault::Form),
        ("https://login.example:x", AuthorityFault::Form),
        ("https://login.example:", AuthorityFault::Form),
        ("https://login.example:99999", AuthorityFault::Form),
        ("https://[::g]", AuthorityFault::Form),
        ("https://lögin.example", AuthorityFault::Form),
        ("https://login_.example", AuthorityFault::Form),
        ("https://login.*.example", AuthorityFault::Form),
        ("https://!.example", AuthorityFault::Form),
    ] {
        assert_eq!(CustomAuthority::parse(url), Err(fault), "{url}");
    }
    for (url, names_tenant) in [
        ("https://login.example", false),
        ("https://login.example:8443/", false),
        ("https://login.example/contoso", true),
        ("http://localhost:8400", false),
        ("http://[::1]:8400", false),
        ("http://127.0.0.2", false),
    ] {
        assert_eq!(CustomAuthority::parse(url).map(|authority| authority.names_tenant()), Ok(names_tenant), "{url}");
    }
}

#[test]
fn this_machine_and_origins_are_told_by_the_whole_host() {
    let local = ["localhost", "localhost:1", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:80"];
    assert!(local.into_iter().all(loopback));
    let foreign = [
        "localhost.example",
        "127.0.0.1.example",
        "128.0.0.1",
        "example",
        "",
        "[::2]",
        "localhost:x",
        "localhost:x1",
        "127.0.0.1:1x1",
    ];
    assert!(!foreign.into_iter().any(loopback));
    assert!(same_origin("https://a.example/x", "https://A.EXAMPLE/y?z"));
    assert!(same_origin("https://a.example", "https://a.example#"));
    for other in [
        "https://b.example/",
        "http://a.example/",
        "https://a.example:444/",
        "https://a.example.b/",
        "https://x@a.example/",
        "",
    ] {
        assert!(!same_origin("https://a.example/", other), "{other}");
    }
    assert!(!same_origin("", ""));
}
