//! The stand-in's token endpoint grants and refuses as Entra's does.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/jws.rs"]
mod jws;

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entrance::clock::{Clock as _, SystemClock};
use entrance::emulator::defaults::{self, CLIENT_SECRET, CONTOSO, JOB_CLIENT, ORDERS_API, WEB_CLIENT};
use entrance::emulator::{Emulator, Options, Registered};
use jws::{header, payload};
use serde_json::{Value, json};

const SCOPE: &str = "api://orders/.default";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

async fn start() -> Emulator {
    Emulator::start(Options::default()).await.unwrap()
}

async fn ask(running: &Emulator, tenant: &str, form: &[(&str, &str)]) -> (u16, Value) {
    send(running, (tenant, None), form).await
}

async fn send(
    running: &Emulator,
    (tenant, basic): (&str, Option<(&str, &str)>),
    form: &[(&str, &str)],
) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body: Vec<String> = form
        .iter()
        .map(|(name, value)| format!("{name}={}", value.replace('+', "%2B").replace('/', "%2F").replace(':', "%3A")))
        .collect();
    let mut request = client
        .post(format!("{}/{tenant}/oauth2/v2.0/token", running.base_url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.join("&"));
    if let Some((user, password)) = basic {
        request = request.basic_auth(user, Some(password));
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

#[tokio::test]
async fn a_secret_opens_in_the_form_and_in_basic() {
    let running = start().await;
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", SCOPE),
        ("client_id", JOB_CLIENT),
        ("client_secret", CLIENT_SECRET),
    ];
    let (status, answer) = ask(&running, CONTOSO, &form).await;
    assert_eq!((status, &answer["token_type"], &answer["expires_in"]), (200, &"Bearer".into(), &3599.into()));
    let claims = payload(answer["access_token"].as_str().unwrap());
    assert_eq!((&claims["aud"], &claims["azp"]), (&ORDERS_API.into(), &JOB_CLIENT.into()));
    assert_eq!((&claims["roles"], &claims["azpacr"]), (&json!(["Orders.Run"]), &"1".into()));
    assert_eq!((&claims["tid"], &claims["oid"]), (&CONTOSO.into(), &claims["sub"]));
    let basic = Some((WEB_CLIENT, "emulator%2Dsecret"));
    let (status, answer) = send(&running, ("contoso", basic), &form[..2]).await;
    assert_eq!(status, 200);
    let claims = payload(answer["access_token"].as_str().unwrap());
    assert!(claims.get("roles").is_none(), "no role is assigned");
    assert_eq!(running.stats().token, 2);
}

#[tokio::test]
async fn refusals_carry_entras_numbers() {
    let running = start().await;
    let good = [
        ("grant_type", "client_credentials"),
        ("scope", SCOPE),
        ("client_id", JOB_CLIENT),
        ("client_secret", CLIENT_SECRET),
    ];
    for (tenant, (name, value), expected) in [
        ("nobody", ("x", ""), (400, "invalid_request", 90_002)),
        ("common", ("x", ""), (400, "invalid_request", 53_003)),
        (CONTOSO, ("grant_type", "password"), (400, "unsupported_grant_type", 70_003)),
        (CONTOSO, ("client_id", CONTOSO), (400, "unauthorized_client", 700_016)),
        (CONTOSO, ("client_secret", "wrong"), (401, "invalid_client", 7_000_215)),
        (CONTOSO, ("scope", "api://orders/orders.read"), (400, "invalid_scope", 1_002_012)),
        (CONTOSO, ("scope", "api://nobody/.default"), (400, "invalid_resource", 500_011)),
    ] {
        let mut form = good;
        for pair in form.iter_mut().filter(|pair| pair.0 == name) {
            *pair = (name, value);
        }
        let (status, answer) = ask(&running, tenant, &form).await;
        let (error, number) = (answer["error"].as_str().unwrap(), answer["error_codes"][0].as_i64().unwrap());
        assert_eq!((status, error, number), expected);
        assert!(answer["trace_id"].is_string() && answer["correlation_id"].is_string());
        let description = answer["error_description"].as_str().unwrap();
        assert!(description.starts_with(&format!("AADSTS{number}: ")) && description.contains("Trace ID: "));
    }
    for missing in 0..good.len() {
        let form: Vec<_> =
            (good.into_iter().enumerate()).filter(|(at, _)| *at != missing).map(|(_, pair)| pair).collect();
        assert_eq!(ask(&running, CONTOSO, &form).await.1["error_codes"][0], 900_144);
    }
    let mixed = send(&running, (CONTOSO, Some((JOB_CLIENT, CLIENT_SECRET))), &good).await;
    assert_eq!(mixed.1["error_codes"][0], 7_000_218);
}

fn certificate() -> String {
    let der: Pkcs8V1Der<'_> = KEY.as_der().unwrap();
    let der = rustls::pki_types::PrivatePkcs8KeyDer::from(der.as_ref());
    let signer = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
    rcgen::CertificateParams::default().self_signed(&signer).unwrap().pem()
}

fn claims(running: &Emulator, id: &str) -> Value {
    let now = SystemClock.unix().0;
    json!({
        "aud": format!("{}/{CONTOSO}/oauth2/v2.0/token", running.base_url()),
        "iss": JOB_CLIENT, "sub": JOB_CLIENT, "jti": id, "nbf": now, "exp": now.saturating_add(600),
    })
}

async fn present(running: &Emulator, assertion: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", SCOPE),
        ("client_id", JOB_CLIENT),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ];
    ask(running, CONTOSO, &form).await
}

fn sign(key: &KeyPair, how: &'static dyn RsaEncoding, (header, payload): (&Value, &Value)) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(payload));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(how, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn signed(registered: &Registered, (alg, how): (&str, &'static dyn RsaEncoding), claims: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": alg, "x5t#S256": registered.x5t_s256});
    sign(&KEY, how, (&header, claims))
}

#[tokio::test]
async fn an_assertion_signed_with_a_registered_certificate_opens_once() {
    let running = start().await;
    let registered = running.register(JOB_CLIENT, &certificate()).unwrap();
    let ways: [(&str, &'static dyn RsaEncoding); 2] = [("PS256", &RSA_PSS_SHA256), ("RS256", &RSA_PKCS1_SHA256)];
    for (id, way) in [("one", ways[0]), ("two", ways[1])] {
        let assertion = signed(&registered, way, &claims(&running, id));
        let (status, answer) = present(&running, &assertion).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(payload(answer["access_token"].as_str().unwrap())["azpacr"], "2");
        let (status, answer) = present(&running, &assertion).await;
        assert_eq!((status, &answer["error"]), (401, &"invalid_client".into()), "used before");
    }
}

#[tokio::test]
async fn an_assertion_may_be_as_loose_as_those_of_msal() {
    let running = start().await;
    let registered = running.register(JOB_CLIENT, &certificate()).unwrap();
    let mut claims = claims(&running, "id");
    claims["exp"] = json!(claims["exp"].as_f64().unwrap() - 0.25);
    let thumbprint = format!("{}=", registered.x5t_s256);
    let header = json!({"alg": "PS256", "x5t#S256": thumbprint});
    let assertion = sign(&KEY, &RSA_PSS_SHA256, (&header, &claims));
    assert_eq!(present(&running, &assertion).await.0, 200);
}

#[tokio::test]
async fn assertions_that_lie_are_refused() {
    let running = start().await;
    let registered = running.register(JOB_CLIENT, &certificate()).unwrap();
    let now = SystemClock.unix().0;
    for (member, value, number) in [
        ("aud", json!("https://elsewhere.example/token"), 50_027),
        ("iss", json!(WEB_CLIENT), 50_027),
        ("sub", json!(WEB_CLIENT), 50_027),
        ("jti", Value::Null, 50_027),
        ("exp", json!(now - 1), 700_024),
        ("exp", json!(now + 3600), 700_024),
        ("exp", Value::Null, 700_024),
        ("nbf", json!(now + 300), 700_024),
    ] {
        let mut claims = claims(&running, "id");
        claims[member] = value;
        let assertion = signed(&registered, ("PS256", &RSA_PSS_SHA256), &claims);
        let (status, answer) = present(&running, &assertion).await;
        assert_eq!((status, &answer["error_codes"][0]), (401, &number.into()), "{member}");
    }
    let claims = claims(&running, "id");
    let mislabelled = signed(&registered, ("RS256", &RSA_PSS_SHA256), &claims);
    let unsigned = signed(&registered, ("none", &RSA_PSS_SHA256), &claims);
    for assertion in [mislabelled.as_str(), &unsigned, "a.b.c", "", "ä"] {
        assert_eq!(present(&running, assertion).await.0, 401);
    }
    let stranger = json!({"alg": "PS256", "x5t#S256": "nobody"});
    let stranger = sign(&KEY, &RSA_PSS_SHA256, (&stranger, &claims));
    assert_eq!(present(&running, &stranger).await.1["error_codes"][0], 700_027);
}

#[tokio::test]
async fn an_api_of_version_one_gets_tokens_of_version_one() {
    let mut directory = defaults::config();
    for api in &mut directory.apis {
        api.token_version = 1;
    }
    let options = Options { directory, ..Options::default() };
    let running = Emulator::start(options).await.unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", SCOPE),
        ("client_id", JOB_CLIENT),
        ("client_secret", CLIENT_SECRET),
    ];
    let (_, answer) = ask(&running, CONTOSO, &form).await;
    let token = answer["access_token"].as_str().unwrap();
    let (header, claims) = (header(token), payload(token));
    assert_eq!((&header["alg"], &header["x5t"]), (&"RS256".into(), &header["kid"]));
    assert_eq!((&claims["ver"], &claims["aud"]), (&"1.0".into(), &"api://orders".into()));
    assert_eq!((&claims["appid"], &claims["appidacr"]), (&JOB_CLIENT.into(), &"1".into()));
}
