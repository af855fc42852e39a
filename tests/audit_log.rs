//! The audit log: what its lines say, that none is lost in silence, and that no token gets into it.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use entrance::audit::output::{FileOutput, Output};
use entrance::audit::{self, Audit, AuditThread, QUEUE, render};
use entrance::authorize::decision::{Authenticated, DecisionId, RequestFacts, ShadowResult};
use entrance::authorize::ports::{AuditSink, Outcome, Record};
use entrance::clock::{FixedClock, UnixTime};
use entrance::identity::{ApplicationId, Caller, CallerKind, Claims, Groups, Guid};
use entrance::metrics::Metrics;
use entrance::policy::decide::Matched;
use entrance::policy::rules::PolicyId;
use entrance::reason::ReasonCode;
use serde_json::{Value, json};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJjYW5hcnkiOiJjYW5hcnkifQ.Y2FuYXJ5";

fn caller() -> Caller {
    Caller {
        tenant: Guid::parse(TENANT).unwrap(),
        subject: "alice\"".into(),
        client: "web".into(),
        kind: CallerKind::User,
        roles: [].into(),
        scopes: [].into(),
        groups: Groups::Known([].into()),
        auth_contexts: [].into(),
        can_step_up: false,
        authenticated_at: None,
        token_id: Some("uti-1".into()),
        session_id: None,
        issued_at: UnixTime(0),
        not_before: UnixTime(0),
        expires_at: UnixTime(3600),
        claims: Claims::default(),
    }
}

fn facts() -> RequestFacts {
    RequestFacts {
        method: Bytes::from_static(b"GET"),
        host: Bytes::from_static(b"orders.example.com"),
        path: Bytes::from_static(b"/orders/7"),
        protocol: Bytes::from_static(b"HTTP/2"),
        request_id: Bytes::from_static(b"r1"),
        traceparent: Bytes::from_static(b"00-ab-cd-01"),
        source: Bytes::from_static(b"10.0.0.9"),
    }
}

fn record() -> Record {
    let application = ApplicationId("shop/orders-api".into());
    Record {
        time: Duration::from_millis(1_764_000_000_123),
        took: Duration::from_micros(12),
        id: DecisionId::new(0xabcd),
        outcome: Outcome::Allow,
        reason: "allow_entry_matched",
        detail: None,
        matched: Some(Matched {
            grants: None,
            policy: PolicyId { namespace: "shop".into(), name: "orders".into() },
            route: "read-order".into(),
            clause: Some("allow[0]".into()),
        }),
        authenticated: Some(Arc::new(Authenticated::new(caller(), application))),
        rejection: None,
        token_detail: None,
        shadow: None,
        generation: 7,
        cached: true,
        request: facts(),
    }
}

fn refused() -> Record {
    Record {
        outcome: Outcome::Deny,
        reason: "token_expired",
        detail: Some("expired 5 s ago".into()),
        matched: None,
        authenticated: None,
        rejection: Some(ReasonCode::TokenExpired),
        token_detail: Some("exp is 100, now is 105".into()),
        shadow: Some(ShadowResult { outcome: "deny", reason: "role_missing", policy: None, route: Some("r".into()) }),
        cached: false,
        request: RequestFacts::default(),
        ..record()
    }
}

fn parsed(record: &Record) -> Value {
    let mut line = Vec::new();
    render::line(record, &mut line);
    assert_eq!(line.last(), Some(&b'\n'));
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    serde_json::from_slice(&line).unwrap()
}

#[test]
fn grants_that_made_the_difference_are_recorded() {
    let mut record = record();
    assert_eq!(parsed(&record)["authorization"].get("grant"), None);
    record.matched.as_mut().unwrap().grants = Some("shop/ada,shop/more".into());
    assert_eq!(parsed(&record)["authorization"]["grant"], "shop/ada,shop/more");
}

#[test]
fn a_permit_is_recorded_with_who_and_why() {
    let expected = json!({
        "time": 1_764_000_000_123_u64,
        "class_uid": 6003,
        "metadata": {"uid": "0000000000000000000000000000abcd"},
        "actor": {
            "tenant": TENANT,
            "subject": "alice\"",
            "client": "web",
            "caller": "user",
            "application": "shop/orders-api",
            "token_id": "uti-1",
        },
        "authentication": {"outcome": "verified", "remembered": true},
        "authorization": {
            "outcome": "allow",
            "reason": "allow_entry_matched",
            "policy": "shop/orders",
            "route": "read-order",
            "clause": "allow[0]",
        },
        "http_request": {
            "method": "GET",
            "host": "orders.example.com",
            "path": "/orders/7",
            "version": "HTTP/2",
        },
        "src_endpoint": {"ip": "10.0.0.9"},
        "generation": 7,
        "duration_us": 12,
        "request_id": "r1",
        "traceparent": "00-ab-cd-01",
    });
    let once = record();
    assert_eq!(parsed(&once), expected);
    assert_eq!(parsed(&once), expected, "from what was kept of the caller");
}

#[test]
fn a_refusal_is_recorded_with_its_details_and_without_empty_members() {
    assert_eq!(
        parsed(&refused()),
        json!({
            "time": 1_764_000_000_123_u64,
            "class_uid": 6003,
            "metadata": {"uid": "0000000000000000000000000000abcd"},
            "authentication": {
                "outcome": "rejected",
                "reason": "token_expired",
                "detail": "exp is 100, now is 105",
            },
            "authorization": {
                "outcome": "deny",
                "reason": "token_expired",
                "detail": "expired 5 s ago",
            },
            "http_request": {"method": ""},
            "generation": 7,
            "duration_us": 12,
            "shadow": {"outcome": "deny", "reason": "role_missing", "route": "r"},
        })
    );
}

#[test]
fn a_token_in_the_wrong_place_is_blotted_out() {
    let hidden = RequestFacts {
        method: Bytes::from_static(TOKEN.as_bytes()),
        host: Bytes::from_static(TOKEN.as_bytes()),
        path: format!("/reset/{TOKEN}").into(),
        protocol: Bytes::from_static(TOKEN.as_bytes()),
        request_id: Bytes::from_static(TOKEN.as_bytes()),
        traceparent: Bytes::from_static(TOKEN.as_bytes()),
        source: Bytes::from_static(TOKEN.as_bytes()),
    };
    let line = parsed(&Record { request: hidden, ..record() });
    assert_eq!(line["http_request"]["path"], "/reset/[redacted]");
    assert!(!line.to_string().contains("eyJ"));
    assert!(!line.to_string().contains("Y2FuYXJ5"));
}

#[test]
fn a_line_is_bounded_whatever_a_stranger_sends() {
    let huge = Bytes::from(vec![b'\x01'; 1 << 20]);
    let facts = RequestFacts {
        method: huge.clone(),
        host: huge.clone(),
        path: huge.clone(),
        protocol: huge.clone(),
        request_id: huge.clone(),
        traceparent: huge.clone(),
        source: huge,
    };
    let mut line = Vec::new();
    let long = Record { request: facts, ..record() };
    render::line(&long, &mut line);
    assert!(line.len() < 32 * 1024, "{} bytes", line.len());
}

struct Log {
    _directory: tempfile::TempDir,
    path: PathBuf,
    metrics: Arc<Metrics>,
    audit: Audit,
    thread: AuditThread,
}

fn log() -> Log {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let output = Output::File(FileOutput { path: path.clone(), max_bytes: u64::MAX, keep: 1 });
    let metrics = Arc::new(Metrics::default());
    let clock = Arc::new(FixedClock(UnixTime(1_764_000_000)));
    let (audit, thread) = audit::start(output, clock, Arc::clone(&metrics)).unwrap();
    Log { _directory: directory, path, metrics, audit, thread }
}

fn read(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn closing_writes_out_what_is_queued() {
    let log = log();
    for _ in 0..1000 {
        log.audit.record(record());
    }
    log.thread.close();
    assert_eq!(read(&log.path).len(), 1000);
    assert_eq!(log.metrics.audit_losses(), 0);
}

#[test]
fn a_record_after_the_end_is_counted_as_lost() {
    let log = log();
    log.thread.close();
    log.audit.record(record());
    assert_eq!(log.metrics.audit_losses(), 1);
    assert!(read(&log.path).is_empty());
}

#[test]
fn lost_records_are_told_of_in_the_log_itself() {
    let log = log();
    // more than fits, faster than they are written; how many are lost depends on the machine
    let sent = QUEUE * 8;
    for _ in 0..sent {
        log.audit.record(record());
    }
    log.metrics.audit_lost(3);
    log.thread.close();
    let lines = read(&log.path);
    let (told, written): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["event"] == "records_lost");
    let lost: u64 = told.iter().map(|line| line["lost"].as_u64().unwrap()).sum();
    assert_eq!(lost, log.metrics.audit_losses());
    assert_eq!(told.last().unwrap()["lost_in_all"], lost);
    assert_eq!(told.last().unwrap()["time"], 1_764_000_000_000_u64);
    assert_eq!(written.len() + usize::try_from(lost).unwrap(), sent + 3);
}

#[test]
fn what_cannot_be_written_at_the_end_is_counted_as_lost() {
    let output = Output::File(FileOutput { path: "/dev/full".into(), max_bytes: u64::MAX, keep: 0 });
    let metrics = Arc::new(Metrics::default());
    let clock = Arc::new(FixedClock(UnixTime(1_764_000_000)));
    let (audit, thread) = audit::start(output, clock, Arc::clone(&metrics)).unwrap();
    let sent = QUEUE;
    for _ in 0..sent {
        audit.record(record());
    }
    thread.close();
    assert_eq!(metrics.audit_losses(), u64::try_from(sent).unwrap());
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_once() {
    let output = Output::File(FileOutput { path: "/nonexistent/audit.log".into(), max_bytes: 1, keep: 1 });
    let clock = Arc::new(FixedClock(UnixTime(0)));
    assert!(audit::start(output, clock, Arc::new(Metrics::default())).is_err());
}
