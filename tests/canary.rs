//! Nothing of a token, and no other secret of a request, gets out: not into logs at `TRACE`, the audit log, metrics, the
//! operators' port, an answer, or the message of a panic.
//!
//! A marked token in every stage of decay, and marked secrets beside it, go through a real server by every way that a
//! check can end: each reason code, each permit, malformed messages, a panic. Then everything that came out is searched.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::panic, reason = "a panic is one of the ways")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

#[expect(dead_code, reason = "other tests ask for single reasons")]
#[path = "support/rules.rs"]
mod rules;
#[path = "support/signer.rs"]
mod signer;
#[expect(dead_code, reason = "the tests of tokens alone use the rest")]
#[path = "support/token_world.rs"]
mod token_world;

#[path = "canary/house.rs"]
mod house;
#[path = "canary/tokens.rs"]
mod tokens;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use entrance::reason::ReasonCode;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use prost::Message;
use serde_json::json;
use tracing_subscriber::fmt::format::FmtSpan;

use house::{House, MARK};
use tokens::{PIECE, decayed, good, hash, pieces, sign, with};

/// Reasons that no check can end with today.
const UNREACHABLE: [&str; 1] = ["guest_denied"];

/// Everything that was written, by whomever.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn add(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Logs at the lowest level, and messages of panics.
fn listen() -> Heard {
    let heard = Heard::default();
    let writer = heard.clone();
    let logs = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_span_events(FmtSpan::NEW);
    logs.with_writer(move || writer.clone()).init();
    let (panics, usual) = (heard.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        panics.add(panic.to_string().as_bytes());
        usual(panic);
    }));
    heard
}

/// One request with secrets in everything that holds any.
struct Ask {
    method: &'static str,
    host: String,
    path: String,
    authorization: String,
    headers: Vec<(&'static str, String)>,
    /// A key of the proxy's configuration, with a secret as its value.
    named: Option<&'static str>,
}

impl Ask {
    fn new(path: &str, authorization: &str) -> Self {
        Self {
            method: "GET",
            host: "orders.example.com".into(),
            path: format!("{path}?access_token={MARK}&code={MARK}"),
            authorization: authorization.into(),
            headers: Vec::new(),
            named: None,
        }
    }

    fn to(mut self, host: &str) -> Self {
        self.host = host.into();
        self
    }

    fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    fn named(mut self, key: &'static str) -> Self {
        self.named = Some(key);
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// As a framed message; header lines as a map, or as a list.
    fn framed(&self, as_list: bool) -> Bytes {
        let secrets = ["cookie", "x-api-key", "proxy-authorization", "x-forwarded-access-token", "x-entrance-subject"];
        let mut lines: Vec<(String, String)> = secrets.map(|name| (name.to_owned(), MARK.to_owned())).into();
        lines.push(("x-request-id".into(), "r1".into()));
        lines.push(("authorization".into(), self.authorization.clone()));
        lines.extend(self.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let mut http = HttpRequest {
            method: self.method.into(),
            host: self.host.clone(),
            path: self.path.clone(),
            query: MARK.into(),
            body: MARK.into(),
            ..HttpRequest::default()
        };
        if as_list {
            let line =
                |(key, value): (String, String)| HeaderValue { key, value: String::new(), raw_value: value.into() };
            http.header_map = Some(HeaderMap { headers: lines.into_iter().map(line).collect() });
        } else {
            http.headers = lines.into_iter().collect();
        }
        let request = Request { http: Some(http), ..Request::default() };
        let context_extensions = self.named.iter().map(|key| ((*key).to_owned(), MARK.to_owned())).collect();
        let attributes = AttributeContext { request: Some(request), context_extensions, ..AttributeContext::default() };
        framed(&CheckRequest { attributes: Some(attributes) }.encode_to_vec())
    }
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// What rules say to good tokens, by request.
fn by_rules() -> Vec<Ask> {
    let user = bearer(&sign(&good("U2")));
    let overage = bearer(&with("hasgroups", json!(true)));
    let capable = bearer(&with("xms_cc", json!(["cp1"])));
    let routes =
        ["/open", "/open", "/healthz", "/workload", "/tenant", "/client", "/role", "/scope", "/group", "/step"];
    let more = ["/session", "/when", "/looks", "/deny", "/nobody", "/broken", "/nothing", "/a//b", "/panic"];
    let mut asks: Vec<Ask> = routes.iter().chain(&more).map(|path| Ask::new(path, &user)).collect();
    let token = user.split_once(' ').unwrap().1;
    asks.extend([
        Ask::new(&format!("/reset/{token}"), &user),
        Ask::new("/group", &overage),
        Ask::new("/group", &overage).to("graph.example.com"),
        Ask::new("/step", &capable),
        Ask::new("/open", &bearer(&with("uti", json!("revoked")))),
        Ask::new("/open", &user).to("other.example.com"),
        Ask::new("/open", &user).to("shadow.example.com"),
        Ask::new("/open", "").to("shadow.example.com"),
        Ask::new("/open", &user).to(&format!("user:{MARK}@orders.example.com")),
        Ask::new("/open", &user).to(&format!("orders.example.com, {MARK}@x")),
        Ask::new("/open", &user).method("get"),
        Ask::new("/open", &user).header("x-http-method-override", MARK),
        Ask::new("/open", &user).header("x-original-url", MARK),
        Ask::new("/open", "").method("OPTIONS").header("origin", MARK).header("access-control-request-method", "GET"),
        Ask::new("/open", &bearer(&sign(&good("A2")))),
        Ask::new("/open", &user).named("entrance.dev/policy"),
        Ask::new("/open", &user).named("entrance.dev/application"),
        Ask::new("/open", &user).named("entrance.dev/"),
    ]);
    asks
}

/// Bodies of calls that are no checks.
fn malformed() -> Vec<(Bytes, bool)> {
    let whole = Ask::new("/open", &bearer(&sign(&good("U2")))).framed(false);
    let mut compressed = whole.to_vec();
    compressed[0] = 1;
    vec![
        (Bytes::new(), true),
        (MARK.into(), true),
        (framed(MARK.as_bytes()), true),
        (compressed.into(), true),
        (whole.slice(..whole.len() - 1), true),
        (whole.slice(..whole.len() / 2), false),
        ([&whole[..], &whole[..]].concat().into(), true),
        (framed(&MARK.as_bytes().repeat(20_000)), true),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_gets_out_by_any_way() {
    let heard = listen();
    let house = House::open().await;
    let mut secrets: BTreeSet<String> = BTreeSet::new();
    let user = bearer(&sign(&good("U2")));

    heard.add(&house.call(Ask::new("/open", &user).framed(false), true).await);
    house.furnish();
    for ask in by_rules() {
        for as_list in [false, true] {
            heard.add(&house.call(ask.framed(as_list), true).await);
        }
        secrets.insert(ask.authorization);
    }
    for (reason, authorization) in decayed() {
        let answer = house.call(Ask::new("/open", &authorization).framed(false), true).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains(&format!("\"reason\":\"{reason}\"")), "{reason}: {text}");
        assert!(!text.contains("x-entrance-"), "a refusal names nobody: {text}");
        heard.add(&answer);
        secrets.insert(authorization);
    }
    for (body, end) in malformed() {
        heard.add(&house.call(body, end).await);
    }
    house.shelf.put(&json!({"cloud_instance_name": "another.example"}));
    heard.add(&house.call(Ask::new("/open", &user).framed(false), true).await);
    house.shelf.clear();
    heard.add(&house.call(Ask::new("/open", &user).framed(false), true).await);

    for page in ["/livez", "/readyz", "/metrics", "/debug/snapshot"] {
        heard.add(house.page(page).await.as_bytes());
    }
    let metrics = house.page("/metrics").await;
    let calls = house.calls();
    let audit = house.close();
    heard.add(audit.as_bytes());
    every_way_was_gone(&metrics);
    assert_eq!(decisions(&metrics), calls, "each call is counted once");
    assert_eq!(audit.lines().count(), calls, "and recorded once");
    let heard = heard.0.lock().unwrap().clone();
    let heard = String::from_utf8_lossy(&heard);
    assert!(calls > 80 && heard.contains("h2::"), "somebody listened");
    nothing_is_found(&heard, &secrets);
}

/// Each reason, and each cause of a permit, was counted.
fn every_way_was_gone(metrics: &str) {
    let counted = |reason: &str| {
        let label = format!("reason=\"{reason}\"");
        metrics
            .lines()
            .any(|line| line.starts_with("entrance_decisions_total") && line.contains(&label) && !line.ends_with(" 0"))
    };
    let permits = ["allow_entry_matched", "anonymous_route", "preflight_allowed", "shadow_only"];
    let reasons = ReasonCode::ALL.iter().map(|reason| reason.code());
    let missing: Vec<&str> = reasons.chain(permits).filter(|reason| !counted(reason)).collect();
    assert_eq!(missing, UNREACHABLE);
    assert!(!metrics.contains("entrance_panics_total 0"));
}

fn decisions(metrics: &str) -> usize {
    let counters = metrics.lines().filter(|line| line.starts_with("entrance_decisions_total"));
    counters.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok()).sum()
}

fn nothing_is_found(heard: &str, secrets: &BTreeSet<String>) {
    let around = |at: usize| {
        let around = &heard.as_bytes()[at.saturating_sub(200)..heard.len().min(at + 200)];
        String::from_utf8_lossy(around).into_owned()
    };
    if let Some(at) = heard.find(MARK) {
        panic!("a secret got out: {}", around(at));
    }
    let pieces: foldhash::HashSet<&[u8]> = secrets.iter().flat_map(|secret| pieces(secret)).collect();
    assert!(pieces.len() > 500);
    if let Some(at) = heard.as_bytes().windows(PIECE).position(|window| pieces.contains(window)) {
        panic!("a piece of a token got out: {}", around(at));
    }
    for secret in secrets {
        let secret = secret.strip_prefix("Bearer ").unwrap_or(secret);
        assert!(!heard.contains(&hash(secret)), "the hash of a token got out");
    }
}
