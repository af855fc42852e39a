//! `jwks` and `metadata`: what an authority, or whoever speaks in its place, may send.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use entrance::token::cloud::{Cloud, CustomAuthority, Issuer};
use entrance::token::jwks::parse as parse_keys;
use entrance::token::metadata::parse as parse_metadata;
use entrance::token::{Discovery, RawToken, Version};
use reqwest::Url;
use serde_json::Value;

use super::token::{after_scheme, judge};
use super::world::{JWKS, USER, profile, tenant};

/// For mutations of key sets.
pub const KEY_WORDS: &[&str] = &[
    "\"keys\":[",
    "{\"kty\":\"RSA\"",
    "\"kty\":\"oct\"",
    "\"use\":\"enc\"",
    "\"alg\":\"RS512\"",
    "\"alg\":\"HS256\"",
    "\"kid\":\"k1\"",
    "\"kid\":\"\"",
    "\"n\":",
    "\"e\":\"AQAB\"",
    "\"e\":\"Aw\"",
    "\"d\":\"AQ\"",
    "\"key_ops\":[\"sign\"]",
    "\"issuer\":",
    "{tenantid}",
    "\"cloud_instance_name\":",
    "null",
    "]",
    "}",
    "AAAA",
];

/// For mutations of metadata.
pub const METADATA_WORDS: &[&str] = &[
    "\"issuer\":",
    "\"jwks_uri\":",
    "\"cloud_instance_name\":",
    "https://",
    "http://",
    "//",
    "\\\\",
    "@",
    "#",
    "?",
    ":443",
    "{tenantid}",
    "login.microsoftonline.com",
    "contoso.ciamlogin.com",
    ".ciamlogin.com",
    "evil.example",
    "11111111-1111-4111-8111-111111111111",
    "/v2.0",
    "\\u0000",
    "\\t",
    " ",
    "..",
    "%2f",
];

/// The modulus of the good key.
static MODULUS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(JWKS).expect("JSON");
    decoded(&document["keys"][0]["n"]).expect("base64url")
});

fn decoded(member: &Value) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(member.as_str()?).ok()?;
    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

/// The target `jwks`.
///
/// # Panics
/// A key counts that must not, or a genuine token verifies by another key.
pub fn jwks(data: &[u8]) {
    let Ok(parsed) = parse_keys(data) else { return };
    let document: Value = serde_json::from_slice(data).expect("accepted what is not JSON");
    let elements = document["keys"].as_array().expect("accepted without a list");
    assert!(!parsed.keys.is_empty());
    assert_eq!(parsed.keys.len() + parsed.skipped.len(), elements.len(), "an element got lost");
    for (kid, _) in parsed.keys.iter() {
        let mut same = elements.iter().filter(|element| element["kid"] == kid);
        let element = same.next().expect("a key out of nowhere");
        assert!(same.next().is_none(), "one key id, two keys");
        usable(element);
    }
    let own = parsed.keys.iter().any(|(kid, _)| {
        kid == "k1"
            && elements.iter().any(|element| element["kid"] == kid && decoded(&element["n"]).as_ref() == Some(&MODULUS))
    });
    let token = RawToken::new(Bytes::from_static(after_scheme(USER).as_bytes()));
    if judge(&token, &profile(&parsed.keys)).is_ok() {
        assert!(own, "verified by a key that did not sign");
    }
}

fn usable(element: &Value) {
    assert_eq!(element["kty"], "RSA");
    assert!(element.get("use").is_none_or(|usage| usage == "sig"));
    assert!(element.get("alg").is_none_or(|alg| alg == "RS256"));
    assert!(["d", "p", "q", "k"].iter().all(|private| element.get(private).is_none()));
    let modulus = decoded(&element["n"]).expect("no modulus");
    assert!((256..=512).contains(&modulus.len()) && modulus[0] >> (if modulus.len() == 256 { 7 } else { 0 }) > 0);
    assert_eq!(decoded(&element["e"]), Some(vec![1, 0, 1]));
}

/// One authority whose issuer is published, and one that is known by its host.
static SOURCES: LazyLock<[Arc<Discovery>; 2]> = LazyLock::new(|| {
    let custom =
        CustomAuthority::parse("https://contoso.ciamlogin.com/11111111-1111-4111-8111-111111111111").expect("a URL");
    [Issuer::Cloud(Cloud::Public), Issuer::Custom(custom)].map(|issuer| issuer.discovery(tenant(), Version::V2))
});

/// The target `metadata`.
///
/// # Panics
/// Keys would be fetched from another host, as the HTTP client reads addresses, or the issuer is another.
pub fn metadata(data: &[u8]) {
    for source in SOURCES.iter() {
        let Ok(metadata) = parse_metadata(data, source) else { continue };
        let origin = |url: &str| Url::parse(url).expect("accepted what is no address").origin();
        assert_eq!(origin(&metadata.jwks_uri), origin(&source.metadata_url), "keys from elsewhere");
        let issuer = metadata.issuer.of(tenant());
        let own = origin(&source.metadata_url);
        if issuer == "https://login.microsoftonline.com/11111111-1111-4111-8111-111111111111/v2.0" {
            continue;
        }
        assert!(source.metadata_url.contains("ciamlogin.com"), "another issuer: {issuer}");
        let host = issuer.split('/').nth(2).unwrap_or_default();
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
        assert!(host.bytes().all(letters), "{issuer} means different things to different readers");
        // the issuer is compared and never followed, so it may be one that the HTTP client refuses (`xn--` and rubbish)
        if let Ok(url) = Url::parse(&issuer) {
            let within = |host: &str| host == "ciamlogin.com" || host.ends_with(".ciamlogin.com");
            assert!(url.host_str().is_some_and(within), "{issuer} for {own:?}");
        }
        assert!(issuer.contains(&tenant().to_string()));
    }
}
