//! Makes a key, signs the genuine tokens and writes every seed that is not plain text, then forgets the key.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds`, when a claim or a field is added.

use std::fs;
use std::path::Path;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use envoy_types::pb::envoy::config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress, address};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use prost::Message;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const TENANT: &str = "11111111-1111-4111-8111-111111111111";

struct Key(RsaKeyPair);

impl Key {
    fn new() -> Self {
        Self(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"))
    }

    fn modulus(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0.public_key().as_ref()[9..265])
    }

    fn bearer(&self, header: &str, payload: &str) -> String {
        let signed = segments(header, payload);
        let mut signature = vec![0; 256];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("a signature");
        format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn segments(header: &str, payload: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

/// A text with one member more or another value for it.
fn with(base: &Value, name: &str, value: Value) -> String {
    let mut changed = base.clone();
    changed[name] = value;
    changed.to_string()
}

fn write(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(directory.join(name), bytes).expect("a file");
}

fn main() {
    let (key, stranger) = (Key::new(), Key::new());
    let jwk =
        json!({"kty": "RSA", "use": "sig", "kid": "k1", "x5t": "k1", "n": key.modulus(), "e": "AQAB", "x5c": ["MIIC"]});
    let document = serde_json::to_string_pretty(&json!({"keys": [jwk]})).expect("JSON");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/jwks.json");
    fs::write(fixtures, document + "\n").expect("a file");
    let user = tokens(&key, &stranger);
    claims();
    key_sets(&jwk, &stranger);
    checks(&user);
}

fn drafts() -> (Value, [Value; 3]) {
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "k1"});
    let user = json!({
        "ver": "2.0", "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        "aud": "aaaaaaaa-0000-4000-8000-000000000001", "tid": TENANT, "oid": "cccccccc-0000-4000-8000-000000000001",
        "sub": "pairwise-subject", "azp": "bbbbbbbb-0000-4000-8000-000000000001", "azpacr": "1", "scp": "Read", "idtyp": "user",
        "iat": NOW - 60, "nbf": NOW - 60, "exp": NOW + 3600,
    });
    let mut app = user.clone();
    app.as_object_mut().expect("an object").remove("scp");
    app["sub"] = app["oid"].clone();
    app["idtyp"] = "app".into();
    app["roles"] = json!(["Jobs.Run"]);
    let mut old = user.clone();
    let members = old.as_object_mut().expect("an object");
    members.retain(|name, _| !["azp", "azpacr", "idtyp"].contains(&name.as_str()));
    old["ver"] = "1.0".into();
    old["iss"] = format!("https://sts.windows.net/{TENANT}/").into();
    old["aud"] = "api://orders".into();
    old["appid"] = "bbbbbbbb-0000-4000-8000-000000000001".into();
    old["appidacr"] = "1".into();
    (header, [user, app, old])
}

fn tokens(key: &Key, stranger: &Key) -> [String; 2] {
    let (head, [user, app, old]) = drafts();
    let header = head.to_string();
    let genuine = key.bearer(&header, &user.to_string());
    let genuine_app = key.bearer(&header, &app.to_string());
    let (signed, signature) = genuine.rsplit_once('.').expect("a signature");
    let put = |name: &str, value: String| write("token", name, value);
    put("genuine-user", genuine.clone());
    put("genuine-app", genuine_app.clone());
    put("genuine-user-v1", key.bearer(&header, &old.to_string()));
    put("lower-case-scheme", genuine.replacen("Bearer", "bearer", 1));
    put("signed-by-a-stranger", stranger.bearer(&header, &user.to_string()));
    put(
        "another-key-in-the-header",
        stranger.bearer(
            &with(&head, "jwk", json!({"kty": "RSA", "n": stranger.modulus(), "e": "AQAB"})),
            &user.to_string(),
        ),
    );
    put(
        "alg-none-without-signature",
        format!("Bearer {}.", segments(&with(&head, "alg", "none".into()), &user.to_string())),
    );
    put(
        "alg-none-with-a-signature",
        format!("Bearer {}.{signature}", segments(&with(&head, "alg", "none".into()), &user.to_string())),
    );
    let confused = segments(&with(&head, "alg", "HS256".into()), &user.to_string());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.modulus().as_bytes()), confused.as_bytes());
    put("hs256-with-the-public-key", format!("Bearer {confused}.{}", URL_SAFE_NO_PAD.encode(tag)));
    put(
        "payload-changed-after-signing",
        format!(
            "Bearer {}.{signature}",
            segments(&header, &with(&user, "oid", "dddddddd-0000-4000-8000-000000000001".into()))
        ),
    );
    put("signature-of-another-token", format!("{signed}.{}", genuine_app.rsplit('.').next().expect("a signature")));
    put("padded", format!("{genuine}=="));
    put("four-segments", format!("{genuine}.AAAA"));
    put("encrypted", format!("{genuine}..AAAA"));
    put("two-tokens-in-one-line", format!("{genuine},{genuine_app}"));
    put(
        "tenant-twice",
        key.bearer(&header, &format!("{{\"tid\":\"22222222-2222-4222-8222-222222222222\",{}", &user.to_string()[1..])),
    );
    put("key-id-of-a-path", key.bearer(&with(&head, "kid", "../../etc/passwd".into()), &user.to_string()));
    for (name, claim, value) in [
        ("expired", "exp", json!(NOW - 60)),
        ("another-audience", "aud", json!("00000003-0000-0000-c000-000000000000")),
        ("another-tenant", "tid", json!("22222222-2222-4222-8222-222222222222")),
        ("issuer-with-a-slash-more", "iss", json!(format!("https://login.microsoftonline.com/{TENANT}/v2.0/"))),
        ("an-id-token", "nonce", json!("n")),
        ("bound-to-a-key", "cnf", json!({"jkt": "x"})),
        ("times-as-floats", "exp", json!(1_800_003_600.5)),
    ] {
        put(name, key.bearer(&header, &with(&user, claim, value)));
    }
    [genuine, genuine_app]
}

fn claims() {
    let (head, [user, app, old]) = drafts();
    let header = head.to_string();
    let put = |name: &str, header: &str, payload: &str| write("claims", name, format!("{header}\n{payload}"));
    put("user", &header, &user.to_string());
    put("app", &header, &app.to_string());
    put("user-v1", &header, &old.to_string());
    put("payload-is-a-list", &header, &format!("[{},\"{TENANT}\"]", NOW + 3600));
    put("deeply-nested", &header, &format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200)));
    put("tenant-in-two-spellings", &header, &with(&user, "Tid", "22222222-2222-4222-8222-222222222222".into()));
    put(
        "tenant-twice-by-escape",
        &header,
        &format!("{{\"\\u0074id\":\"22222222-2222-4222-8222-222222222222\",{}", &user.to_string()[1..]),
    );
    for (name, member, value) in [
        ("critical-extension", "crit", json!(["exp"])),
        ("unencoded-payload", "b64", json!(false)),
        ("graph-nonce", "nonce", json!("n")),
        ("nested-token", "cty", json!("JWT")),
        ("access-token-type", "typ", json!("application/at+jwt")),
        ("logout-token", "typ", json!("logout+jwt")),
    ] {
        put(name, &with(&head, member, value), &user.to_string());
    }
    for (name, claim, value) in [
        ("audience-as-a-list", "aud", json!(["aaaaaaaa-0000-4000-8000-000000000001"])),
        ("subject-is-object", "sub", json!("cccccccc-0000-4000-8000-000000000001")),
        ("user-as-app", "idtyp", json!("app")),
        ("scopes-with-spaces", "scp", json!("openid  Read profile ")),
        ("roles-of-all-kinds", "roles", json!(["b", "a", "a"])),
        ("groups-too-many", "_claim_names", json!({"groups": "src1"})),
        ("groups-by-name", "groups", json!(["admins"])),
        ("far-future", "exp", json!(9_007_199_254_740_991_i64)),
        ("version-3", "ver", json!("3.0")),
        ("v1-with-v2-issuer", "ver", json!("1.0")),
        ("both-clients", "appid", json!("eeeeeeee-0000-4000-8000-000000000001")),
        ("control-character", "oid", json!("a\u{0}b")),
    ] {
        put(name, &header, &with(&user, claim, value));
    }
}

fn key_sets(jwk: &Value, stranger: &Key) {
    let put = |name: &str, keys: Value| write("jwks", name, json!({ "keys": keys }).to_string());
    let changed = |name: &str, value: Value| serde_json::from_str::<Value>(&with(jwk, name, value)).expect("JSON");
    put("one-good-key", json!([jwk]));
    put("no-key", json!([]));
    put("one-key-id-twice", json!([jwk, changed("n", stranger.modulus().into())]));
    put("a-text-among-them", json!(["x", jwk, null, 7]));
    put("a-stranger-under-the-same-id", json!([changed("n", stranger.modulus().into())]));
    put(
        "for-another-tenant",
        json!([changed(
            "issuer",
            "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0".into()
        )]),
    );
    put("for-every-tenant", json!([changed("issuer", "https://login.microsoftonline.com/{tenantid}/v2.0".into())]));
    for (name, member, value) in [
        ("for-encryption", "use", json!("enc")),
        ("of-another-algorithm", "alg", json!("RS512")),
        ("symmetric", "kty", json!("oct")),
        ("private", "d", json!("AQ")),
        ("small-exponent", "e", json!("Aw")),
        ("long-exponent", "e", json!("AAEAAQ")),
        ("short-modulus", "n", json!("w".repeat(171))),
        ("padded-modulus", "n", json!(format!("{}==", jwk["n"].as_str().expect("text")))),
        ("id-without-letters", "kid", json!("")),
        ("of-another-cloud", "cloud_instance_name", json!("microsoftonline.us")),
        ("signs-only", "key_ops", json!(["sign"])),
    ] {
        put(name, json!([changed(member, value)]));
    }
    write("jwks", "a-list-without-an-object", json!([jwk]).to_string());
    write("jwks", "members-twice", format!("{{\"keys\":[],\"keys\":[{jwk}]}}"));
}

type Lines<'a> = &'a [(&'a str, &'a str)];

fn http(line: (&str, &str, &str), headers: Lines<'_>) -> HttpRequest {
    let (method, host, path) = line;
    HttpRequest {
        id: "1".into(),
        method: method.into(),
        host: host.into(),
        path: path.into(),
        protocol: "HTTP/2".into(),
        scheme: "https".into(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..HttpRequest::default()
    }
}

fn message(http: HttpRequest) -> Vec<u8> {
    let socket = SocketAddress { address: "10.0.0.9".into(), ..SocketAddress::default() };
    let address = Address { address: Some(address::Address::SocketAddress(socket)) };
    let source = Peer { address: Some(address), ..Peer::default() };
    let request = Request { http: Some(http), ..Request::default() };
    let attributes = AttributeContext { source: Some(source), request: Some(request), ..AttributeContext::default() };
    CheckRequest { attributes: Some(attributes) }.encode_to_vec()
}

fn checks([user, app]: &[String; 2]) {
    let put = |name: &str, line, headers: Lines<'_>| write("check_request", name, message(http(line, headers)));
    let host = "orders.example.com";
    let bearer: Lines<'_> = &[("authorization", user), ("x-request-id", "r1"), ("traceparent", "00-t-s-01")];
    put("a-user-reads", ("GET", host, "/orders/7?full=1"), bearer);
    put("a-workload-writes", ("POST", host, "/jobs/a/b"), &[("authorization", app)]);
    put("anonymous", ("GET", host, "/healthz"), &[]);
    put("anonymous-on-a-wildcard", ("PUT", "a.b.example.com", "/public"), &[]);
    put("no-token", ("GET", host, "/orders/7"), &[]);
    put("wrong-token", ("POST", host, "/jobs/a"), bearer);
    put("poisoned", ("GET", host, "/broken"), bearer);
    put("nobody", ("GET", host, "/admin"), bearer);
    put("head", ("HEAD", host, "/orders/7"), bearer);
    put("host-with-port-and-dot", ("GET", "Orders.Example.COM.:8443", "/orders/7"), bearer);
    put("two-hosts", ("GET", "orders.example.com,a.example.com", "/orders/7"), bearer);
    put("authority-in-the-path", ("GET", host, "//admin/x"), bearer);
    put("encoded-slash", ("GET", host, "/orders/..%2fadmin"), bearer);
    put("dot-segments", ("GET", host, "/orders/../admin"), bearer);
    put("path-parameters", ("GET", host, "/orders/7;admin"), bearer);
    put("pseudo-header-differs", ("GET", host, "/admin"), &[("authorization", user), (":path", "/orders/7")]);
    put(
        "method-override",
        ("GET", host, "/orders/7"),
        &[("authorization", user), ("x-http-method-override", "DELETE")],
    );
    put(
        "identity-headers",
        ("GET", host, "/orders/7"),
        &[("authorization", user), ("x-entrance-subject", "a"), ("X_Entrance_Roles", "b")],
    );
    put(
        "preflight",
        ("OPTIONS", host, "/orders/7"),
        &[("origin", "https://a"), ("access-control-request-method", "GET")],
    );
    put(
        "preflight-of-a-broken-route",
        ("OPTIONS", host, "/broken"),
        &[("origin", "https://a"), ("access-control-request-method", "GET")],
    );
    put("two-tokens-in-two-spellings", ("GET", host, "/orders/7"), &[("authorization", user), ("Authorization", app)]);
    put("lower-case-method", ("get", host, "/orders/7"), bearer);
    let mut raw = http(("GET", host, "/orders/7"), &[]);
    let line = |value: &str| HeaderValue { key: "authorization".into(), value: String::new(), raw_value: value.into() };
    raw.header_map = Some(HeaderMap { headers: vec![line(user)] });
    write("check_request", "raw-headers", message(raw.clone()));
    raw.header_map = Some(HeaderMap { headers: vec![line(user), line(app)] });
    write("check_request", "two-tokens-in-raw-headers", message(raw.clone()));
    let both = HeaderValue { value: app.clone(), ..line(user) };
    raw.header_map = Some(HeaderMap { headers: vec![both] });
    write("check_request", "raw-and-plain-value-differ", message(raw.clone()));
    raw.headers = [("authorization".to_owned(), app.clone())].into();
    raw.header_map = Some(HeaderMap { headers: vec![line(user)] });
    write("check_request", "two-tokens-in-two-places", message(raw));
    // protobuf merges what comes twice: the second path wins
    let twice = [message(http(("GET", host, "/healthz"), &[])), message(http(("", "", "/orders/7"), &[]))].concat();
    write("check_request", "two-messages-in-one", twice);
    write(
        "check_request",
        "no-request",
        CheckRequest { attributes: Some(AttributeContext::default()) }.encode_to_vec(),
    );
    write("check_request", "cut-short", &message(http(("GET", host, "/healthz"), &[]))[..40]);
}
