//! `check_request`: the message of a check. Refused, or decided as a full decoding of the same bytes would be; and a
//! permit only where the rules of the small world, read plainly, say so.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use entrance::authorize::Authorizer;
use entrance::authorize::decision::Decision;
use entrance::authorize::ports::{AuditSink, Decide, Keys, Record};
use entrance::authorize::world::World;
use entrance::envoy::check::Check;
use entrance::envoy::service::{Limits, Service};
use entrance::metrics::Metrics;
use entrance::policy::decide::Verdict;
use entrance::recorder::{Incoming as _, Surroundings};
use entrance::request::{Headers, Named, Request};
use entrance::token::{Authority, Discovery};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use prost::Message;

use super::paths::reference;
use super::token::{GENUINE, after_scheme};
use super::world::{APP, CLOCK, PROFILE, USER, USER_V1, snapshot};

/// For mutations.
pub const WORDS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "OPTIONS",
    "get",
    "orders.example.com",
    "ORDERS.example.com:443",
    "a.example.com",
    "/healthz",
    "/orders/7",
    "/jobs/a/b",
    "/broken",
    "/admin",
    "/public",
    "//admin",
    "/orders/..%2fadmin",
    "/orders/7;x",
    "?",
    "authorization",
    "Authorization",
    "x-http-method-override",
    "origin",
    "access-control-request-method",
    ":path",
    "x-entrance-subject",
    "x_entrance_subject",
    "\n",
    "\u{12}",
    "\u{1a}",
    "j",
    USER,
    APP,
];

struct Bench {
    service: Service<Authorizer>,
    authorizer: Arc<Authorizer>,
    metrics: Arc<Metrics>,
}

/// Knows no key; those of the world are static.
pub struct NoKeys;

impl Keys for NoKeys {
    fn authority(&self, _: &Discovery) -> Option<Arc<Authority>> {
        None
    }

    fn refresh<'a>(&'a self, _: &'a Arc<Discovery>, _: &'a str) -> BoxFuture<'a, ()> {
        std::future::ready(()).boxed()
    }

    fn is_current(&self, _: &Discovery) -> bool {
        true
    }
}

struct Forgets;

impl AuditSink for Forgets {
    fn record(&self, record: Record) {
        let mut line = Vec::new();
        entrance::audit::render::line(&record, &mut line);
        let Some(text) = line.strip_suffix(b"\n") else { panic!("a line without an end") };
        assert!(serde_json::from_slice::<serde_json::Value>(text).is_ok(), "a record that is not JSON");
        for value in GENUINE {
            let token = after_scheme(value).as_bytes();
            assert!(!line.windows(32).any(|window| window == &token[..32]), "a token in the record");
        }
    }
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let authorizer = Arc::new(Authorizer::with_keys(Arc::new(NoKeys), 16, Arc::new(CLOCK)));
    authorizer.publish(Arc::new(World::new(1, snapshot(), [&*PROFILE])));
    let metrics = Arc::new(Metrics::default());
    let surroundings = Surroundings { audit: Arc::new(Forgets), metrics: Arc::clone(&metrics), clock: Arc::new(CLOCK) };
    let service = Service::new(Arc::clone(&authorizer), surroundings, Limits::default());
    Bench { service, authorizer, metrics }
});

/// The target.
///
/// # Panics
/// The two decodings are decided differently, somebody is let through whom no rule admits, or an answer says yes by
/// leaving something out.
pub fn request(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    let narrow = Check::parse(message.clone());
    let answer = BENCH.service.answer(Some(message), Duration::from_secs(1)).now_or_never();
    let answer = answer.expect("static keys need no wait");
    assert_eq!(BENCH.metrics.panics(), 0, "a check panicked");
    let answered = Answered::read(&answer);
    let Some(check) = narrow else {
        assert_eq!(answered, Answered { permits: false, reason: Some("request_malformed".into()) });
        return;
    };
    let lines = lines(&check);
    let own = decided(&check.request());
    assert_eq!(answered.permits, own.starts_with("allow"));
    if answered.permits {
        assert!(admits(&check.request(), &lines), "let through without a rule: {own}");
    }
    if let Some(full) = Full::read(data, lines.len()) {
        assert_eq!(own, decided(&full.request()), "two decodings, two decisions");
    }
}

/// What an answer tells Envoy.
#[derive(Debug, PartialEq, Eq)]
struct Answered {
    permits: bool,
    reason: Option<String>,
}

impl Answered {
    fn read(framed: &[u8]) -> Self {
        let response = CheckResponse::decode(&framed[5..]).expect("an answer is a message");
        let code = response.status.expect("an answer has a status").code;
        match response.http_response {
            Some(HttpResponse::OkResponse(_)) => {
                assert_eq!(code, 0, "a refusal that looks like a permit");
                Self { permits: true, reason: None }
            }
            Some(HttpResponse::DeniedResponse(denied)) => {
                assert_ne!(code, 0, "a refusal that Envoy takes for a permit");
                let status = denied.status.expect("a refusal has a status").code;
                assert!([400, 401, 403, 503].contains(&status));
                let body: serde_json::Value = serde_json::from_str(&denied.body).expect("problem details");
                Self { permits: false, reason: body["reason"].as_str().map(str::to_owned) }
            }
            Some(HttpResponse::ErrorResponse(_)) | None => panic!("an answer that is left to the failure mode"),
        }
    }
}

/// Outcome, reason and what matched.
fn decided(request: &Request<'_>) -> String {
    let Ok(Decision { verdict, .. }) = BENCH.authorizer.try_decide(request) else { panic!("static keys need no wait") };
    let matched = verdict.matched().cloned();
    match verdict {
        Verdict::Permit(permit) => format!("allow {} {matched:?}", permit.code()),
        Verdict::Deny(denial) => format!("deny {} {matched:?} {:?}", denial.reason(), denial.detail()),
        Verdict::Unavailable(outage) => format!("unavailable {} {matched:?}", outage.reason()),
    }
}

fn lines(headers: &dyn Headers) -> Vec<(Bytes, Bytes)> {
    let mut lines = Vec::new();
    headers.each(&mut |name, value| lines.push((name.clone(), value.clone())));
    lines
}

/// The same bytes, decoded by Envoy's own message types.
struct Full {
    method: Bytes,
    host: Bytes,
    path: Bytes,
    headers: Vec<(Bytes, Bytes)>,
}

impl Full {
    /// `None` if they are no message of those types (text that is not UTF-8, or rubbish in a field that nobody reads),
    /// or if a header name occurs twice, which their map cannot hold.
    fn read(data: &[u8], lines: usize) -> Option<Self> {
        let http = CheckRequest::decode(data).ok()?.attributes?.request?.http?;
        let mut headers: Vec<(Bytes, Bytes)> =
            http.headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        for line in http.header_map.into_iter().flat_map(|map| map.headers) {
            let value = if line.raw_value.is_empty() { line.value.into_bytes() } else { line.raw_value };
            headers.push((line.key.into(), value.into()));
        }
        let same = headers.len() == lines;
        same.then(|| Self { method: http.method.into(), host: http.host.into(), path: http.path.into(), headers })
    }

    fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            host: &self.host,
            target: &self.path,
            headers: &self.headers,
            named: Named::default(),
        }
    }
}

/// The table of [`snapshot`], read plainly.
fn admits(request: &Request<'_>, lines: &[(Bytes, Bytes)]) -> bool {
    let Some(path) = reference(request.target) else { return false };
    let host = String::from_utf8_lossy(request.host).to_ascii_lowercase();
    let host = host.split(':').next().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    if host != "orders.example.com" {
        return host.ends_with(".example.com") && path == "/public";
    }
    let method = |wanted: &str| *request.method == wanted.as_bytes();
    let values = |name: &str| {
        lines
            .iter()
            .filter(|(line, _)| line.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
    };
    let segments: Vec<&str> = path[1..].split('/').collect();
    let order = segments.len() == 2 && segments[0] == "orders" && !segments[1].is_empty();
    let job = segments.len() >= 2 && segments[0] == "jobs";
    if method("OPTIONS") {
        let wished: Vec<&[u8]> = values("access-control-request-method").iter().map(|value| &value[..]).collect();
        let known = match wished.as_slice() {
            [b"GET" | b"HEAD"] => path == "/healthz" || order,
            [b"POST"] => job,
            _ => false,
        };
        // nobody is named as admitted to /admin, but a preflight asks nothing of the caller
        let admin = path == "/admin" && wished.len() == 1;
        return (known || admin) && values("origin").iter().any(|value| !value.is_empty());
    }
    if path == "/healthz" {
        return method("GET") || method("HEAD");
    }
    let [authorization] = values("authorization")[..] else { return false };
    let bears = |value: &str| {
        authorization.len() > 7
            && authorization[..7].eq_ignore_ascii_case(b"bearer ")
            && &authorization[7..] == after_scheme(value).as_bytes()
    };
    let user = bears(USER) || bears(USER_V1);
    (order && user && (method("GET") || method("HEAD"))) || (job && bears(APP) && method("POST"))
}

/// Whether the message is answered with a permit.
#[must_use]
pub fn permits(message: &[u8]) -> bool {
    let message = Bytes::copy_from_slice(message);
    let answer = BENCH.service.answer(Some(message), Duration::from_secs(1)).now_or_never();
    answer.is_some_and(|answer| Answered::read(&answer).permits)
}
