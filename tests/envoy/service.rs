//! One check in, one answer out, whatever happens in between.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use entrance::authorize::decision::Decision;
use entrance::authorize::ports::{AuditSink, Decide, Outcome, Record};
use entrance::clock::{FixedClock, UnixTime};
use entrance::envoy::service::{Limits, Service};
use entrance::metrics::Metrics;
use entrance::reason::ReasonCode;
use entrance::recorder::Surroundings;
use entrance::request::Request;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as AttributeRequest};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use hyper::body::{Body, Frame};
use prost::Message;

use crate::answer::{denied, ok, read};
use crate::decisions::{allowed, caller, decision, refusal};

/// Decides by path: `/allow`, `/deny`, `/panic`, `/panic-later`, `/never`, `/slow`; counts its calls.
#[derive(Default)]
pub(crate) struct ByPath {
    pub(crate) calls: AtomicUsize,
}

impl Decide for ByPath {
    type Pending = ();

    fn try_decide(&self, request: &Request<'_>) -> Result<Decision, ()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match &request.target[..] {
            b"/allow" => Ok(allowed(caller())),
            b"/deny" => Ok(decision(refusal(ReasonCode::RoleMissing, None))),
            b"/panic" => panic!("deciding went wrong"),
            _ => Err(()),
        }
    }

    async fn resume<'a>(&'a self, request: Request<'a>, (): (), _: Option<Duration>) -> Decision {
        tokio::task::yield_now().await;
        match &request.target[..] {
            b"/panic-later" => panic!("deciding went wrong"),
            b"/slow" => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                allowed(caller())
            }
            _ => std::future::pending().await,
        }
    }

    fn refuse(&self, reason: ReasonCode) -> Decision {
        decision(refusal(reason, None))
    }
}

/// Keeps what was recorded.
#[derive(Default)]
pub(crate) struct Kept(pub(crate) Mutex<Vec<Record>>);

impl AuditSink for Kept {
    fn record(&self, record: Record) {
        self.0.lock().unwrap().push(record);
    }
}

pub(crate) struct Fixture {
    pub(crate) kept: Arc<Kept>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) service: Service<ByPath>,
}

pub(crate) fn surroundings(kept: &Arc<Kept>, metrics: &Arc<Metrics>) -> Surroundings {
    Surroundings {
        audit: Arc::clone(kept) as Arc<dyn AuditSink>,
        metrics: Arc::clone(metrics),
        clock: Arc::new(FixedClock(UnixTime(1_764_000_000))),
    }
}

pub(crate) fn fixture(limits: Limits) -> Fixture {
    let kept = Arc::new(Kept::default());
    let metrics = Arc::new(Metrics::default());
    let surroundings = surroundings(&kept, &metrics);
    let service = Service::new(Arc::new(ByPath::default()), surroundings, limits);
    Fixture { kept, metrics, service }
}

pub(crate) fn check(path: &str) -> CheckRequest {
    let http = HttpRequest {
        method: "GET".into(),
        host: "orders.example.com".into(),
        path: path.into(),
        headers: [
            ("x-request-id".to_owned(), "r1".to_owned()),
            ("authorization".to_owned(), "Bearer canary-token".to_owned()),
            ("x_entrance_subject".to_owned(), "admin".to_owned()),
        ]
        .into(),
        ..HttpRequest::default()
    };
    let request = AttributeRequest { http: Some(http), ..AttributeRequest::default() };
    CheckRequest { attributes: Some(AttributeContext { request: Some(request), ..AttributeContext::default() }) }
}

const PATIENCE: Duration = Duration::from_millis(300);

async fn answered(fixture: &Fixture, path: &str) -> Bytes {
    let message = check(path).encode_to_vec().into();
    fixture.service.answer(Some(message), PATIENCE).await
}

fn last_record(fixture: &Fixture) -> Record {
    fixture.kept.0.lock().unwrap().pop().unwrap()
}

fn refused(answer: &Bytes) -> (i32, String) {
    let response = read(answer);
    let denied = denied(&response);
    let body: serde_json::Value = serde_json::from_str(&denied.body).unwrap();
    let reason = body["reason"].as_str().unwrap().to_owned();
    (denied.status.as_ref().unwrap().code, reason)
}

#[tokio::test]
async fn a_decision_is_answered_recorded_and_counted() {
    let fixture = fixture(Limits::default());
    let response = read(&answered(&fixture, "/allow").await);
    let removed = &ok(&response).headers_to_remove;
    assert!(removed.iter().any(|name| name == "x_entrance_subject"));
    let record = last_record(&fixture);
    assert_eq!(record.outcome, Outcome::Allow);
    assert_eq!(record.reason, "allow_entry_matched");
    assert_eq!(&record.request.request_id[..], b"r1");
    assert_eq!(record.time, Duration::from_secs(1_764_000_000));
    assert_eq!(fixture.metrics.decisions(), 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_as_malformed() {
    let fixture = fixture(Limits::default());
    let broken = [
        None,
        Some(Bytes::new()),
        Some(Bytes::from_static(b"\xff\xff\xff")),
        Some(CheckRequest::default().encode_to_vec().into()),
    ];
    for message in broken {
        let answer = fixture.service.answer(message, PATIENCE).await;
        assert_eq!(refused(&answer), (400, "request_malformed".to_owned()));
        assert_eq!(last_record(&fixture).reason, "request_malformed");
    }
    assert_eq!(fixture.metrics.decisions(), 4);
}

#[tokio::test]
async fn a_panic_costs_one_check_and_is_counted() {
    let fixture = fixture(Limits::default());
    for path in ["/panic", "/panic-later"] {
        let answer = answered(&fixture, path).await;
        assert_eq!(refused(&answer), (503, "internal_error".to_owned()));
        let record = last_record(&fixture);
        assert_eq!(record.outcome, Outcome::Unavailable);
        assert_eq!(&record.request.path[..], path.as_bytes());
    }
    assert_eq!(fixture.metrics.panics(), 2);
    let response = read(&answered(&fixture, "/allow").await);
    ok(&response);
}

#[tokio::test]
async fn a_check_that_waits_too_long_is_answered_before_its_deadline() {
    let fixture = fixture(Limits::default());
    let answer = answered(&fixture, "/never").await;
    assert_eq!(refused(&answer), (503, "keys_unavailable".to_owned()));
    let response = read(&answered(&fixture, "/slow").await);
    ok(&response);
}

#[tokio::test]
async fn one_check_more_than_may_wait_is_refused_at_once() {
    let fixture = fixture(Limits { waiting: 1, ..Limits::default() });
    let first = answered(&fixture, "/slow");
    let second = answered(&fixture, "/slow");
    let (first, second) = tokio::join!(first, second);
    ok(&read(&first));
    assert_eq!(refused(&second), (503, "keys_unavailable".to_owned()));
    // the one that waited has made room again
    ok(&read(&answered(&fixture, "/slow").await));
}

/// A body that sends this and then nothing more, without an end.
struct Half(Option<Bytes>);

impl Body for Half {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.take().map_or(Poll::Pending, |sent| Poll::Ready(Some(Ok(Frame::data(sent)))))
    }
}

fn half(sent: &'static [u8]) -> Half {
    Half(Some(Bytes::from_static(sent)))
}

#[tokio::test]
async fn a_message_that_does_not_come_whole_is_not_waited_for_longer_than_a_key() {
    const LIMIT: Duration = Duration::from_secs(60);
    let fixture = fixture(Limits { patience: Duration::from_millis(50), ..Limits::default() });
    for sent in [&b""[..], b"\0\0\0\0\x10half"] {
        let patience = fixture.service.patience(&http::HeaderMap::new());
        let answer = tokio::time::timeout(LIMIT, fixture.service.check(half(sent), patience)).await;
        assert_eq!(refused(&answer.unwrap()), (400, "request_malformed".to_owned()));
        assert_eq!(last_record(&fixture).reason, "request_malformed");
    }
    let headers = [("grpc-timeout".parse().unwrap(), "30m".parse().unwrap())].into_iter().collect();
    let patient = self::fixture(Limits { patience: LIMIT * 10, ..Limits::default() });
    let patience = patient.service.patience(&headers);
    let answer = tokio::time::timeout(LIMIT, patient.service.check(half(b""), patience)).await;
    assert_eq!(refused(&answer.unwrap()).0, 400, "the caller's own deadline is nearer");
}

/// A body of these frames.
struct Frames(Vec<Bytes>);

impl Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.pop().map(|sent| Ok(Frame::data(sent))))
    }
}

/// A call with this check, in two frames.
fn call(path: &str) -> Frames {
    let message = check(path).encode_to_vec();
    let mut first = vec![0];
    first.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    Frames(vec![message.into(), first.into()])
}

#[tokio::test]
async fn messages_in_pieces_share_a_bounded_memory() {
    let size = check("/slow").encoded_len() + 5;
    let fixture = fixture(Limits { memory: size * 2, ..Limits::default() });
    let (one, two, three) = tokio::join!(
        fixture.service.check(call("/slow"), PATIENCE),
        fixture.service.check(call("/slow"), PATIENCE),
        fixture.service.check(call("/slow"), PATIENCE)
    );
    ok(&read(&one));
    ok(&read(&two));
    assert_eq!(refused(&three), (503, "internal_error".to_owned()));
    assert_eq!(last_record(&fixture).outcome, Outcome::Allow);
    ok(&read(&fixture.service.check(call("/slow"), PATIENCE).await));
}

/// Bytes that say when they are gone.
struct Held(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_record_does_not_hold_on_to_the_message() {
    let fixture = fixture(Limits::default());
    let gone = Arc::new(AtomicUsize::new(0));
    let long = "x".repeat(100_000);
    let mut message = check("/deny");
    let http = message.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap();
    http.path = format!("/{long}?{long}");
    http.host.clone_from(&long);
    http.headers.insert("traceparent".to_owned(), long);
    let message = Bytes::from_owner(Held(message.encode_to_vec(), Arc::clone(&gone)));
    fixture.service.answer(Some(message), Duration::ZERO).await;
    assert_eq!(gone.load(Ordering::SeqCst), 1, "the message holds the token and all that a stranger sent");
    let kept = last_record(&fixture).request;
    assert_eq!(&kept.method[..], b"GET");
    assert_eq!(&kept.request_id[..], b"r1");
    assert_eq!([kept.path.len(), kept.host.len(), kept.traceparent.len()], [2049, 257, 257], "one more than is shown");
}

#[tokio::test]
async fn no_part_of_a_token_is_in_an_answer() {
    let fixture = fixture(Limits::default());
    for path in ["/allow", "/deny", "/panic"] {
        let answer = answered(&fixture, path).await;
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(!text.contains("canary"), "{path}");
    }
}
