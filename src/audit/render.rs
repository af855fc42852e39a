//! One audit record as a line of JSON.
//!
//! Names follow OCSF 1.x where they fit (class 6003, API Activity): `time` in milliseconds, `metadata.uid`, `actor`,
//! `http_request`, `src_endpoint.ip`. The rest is named after what it is:
//!
//! ```json
//! {"time":1764000000123,"class_uid":6003,"metadata":{"uid":"6f…"},
//!  "actor":{"tenant":"…","subject":"…","client":"…","caller":"user","application":"shop/orders-api"},
//!  "authentication":{"outcome":"verified","remembered":true},
//!  "authorization":{"outcome":"allow","reason":"allow_entry_matched","policy":"shop/orders","route":"read-order",
//!                   "clause":"allow[0]"},
//!  "http_request":{"method":"GET","host":"orders.example.com","path":"/orders/7","version":"HTTP/2"},
//!  "src_endpoint":{"ip":"10.0.0.9"},"generation":7,"duration_us":12,"request_id":"…","traceparent":"…"}
//! ```
//!
//! Members without a value are left out. What strangers wrote is shortened to a bound, repaired where it is not UTF-8,
//! and escaped; whatever in it looks like the beginning of a JWT is replaced by `[redacted]`.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;

use crate::authorize::decision::{Authenticated, LONG, RequestFacts, SHORT};
use crate::authorize::ports::Record;

/// What base64url makes of `{"`, with which every token begins.
const JWT: &[u8] = b"eyJ";

/// The letter of [`JWT`] that is rarest elsewhere.
const JWT_MARK: u8 = b'J';

/// Letters of base64url that must follow before something counts as a token.
const JWT_TAIL: usize = 12;

/// Appends the line of one record.
pub fn line(record: &Record, out: &mut Vec<u8>) {
    start(record.time, out);
    out.extend_from_slice(b",\"metadata\":{\"uid\":");
    text(record.id.as_str(), out);
    out.push(b'}');
    if let Some(authenticated) = &record.authenticated {
        if record.cached {
            out.extend_from_slice(authenticated.record.get_or_init(|| kept(authenticated)));
        } else {
            actor(authenticated, out);
        }
    }
    authentication(record, out);
    authorization(record, out);
    request(&record.request, out);
    out.extend_from_slice(b",\"generation\":");
    number(u128::from(record.generation), out);
    out.extend_from_slice(b",\"duration_us\":");
    number(record.took.as_micros(), out);
    member(",\"request_id\":", &record.request.request_id, out);
    member(",\"traceparent\":", &record.request.traceparent, out);
    shadow(record, out);
    out.extend_from_slice(b"}\n");
}

/// Appends the line that tells of lost records: how many since the last such line, and in all.
pub fn losses(time: Duration, (more, all): (u64, u64), out: &mut Vec<u8>) {
    start(time, out);
    out.extend_from_slice(b",\"event\":\"records_lost\",\"lost\":");
    number(u128::from(more), out);
    out.extend_from_slice(b",\"lost_in_all\":");
    number(u128::from(all), out);
    out.extend_from_slice(b"}\n");
}

fn start(time: Duration, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":");
    number(time.as_millis(), out);
    out.extend_from_slice(b",\"class_uid\":6003");
}

/// Kept from the second request of a caller on: many tokens are used once.
fn kept(authenticated: &Authenticated) -> Bytes {
    let mut out = Vec::with_capacity(512);
    actor(authenticated, &mut out);
    out.into()
}

/// The same for all requests of a caller.
fn actor(authenticated: &Authenticated, out: &mut Vec<u8>) {
    let caller = &authenticated.caller;
    out.extend_from_slice(b",\"actor\":{\"tenant\":");
    text(caller.tenant.text().as_str(), out);
    member(",\"subject\":", caller.subject.as_bytes(), out);
    member(",\"client\":", caller.client.as_bytes(), out);
    member(",\"caller\":", caller.kind.as_str().as_bytes(), out);
    member(",\"application\":", authenticated.application.0.as_bytes(), out);
    let token_id = caller.token_id.as_deref().unwrap_or_default();
    member(",\"token_id\":", token_id.as_bytes(), out);
    let session_id = caller.session_id.as_deref().unwrap_or_default();
    member(",\"session_id\":", session_id.as_bytes(), out);
    out.push(b'}');
}

fn authentication(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"authentication\":{\"outcome\":");
    match (&record.authenticated, record.rejection) {
        (_, Some(reason)) => {
            out.extend_from_slice(b"\"rejected\"");
            member(",\"reason\":", reason.code().as_bytes(), out);
        }
        (Some(_), None) => {
            out.extend_from_slice(b"\"verified\",\"remembered\":");
            out.extend_from_slice(if record.cached { b"true" } else { b"false" });
        }
        (None, None) => out.extend_from_slice(b"\"none\""),
    }
    let detail = record.token_detail.as_deref().unwrap_or_default();
    member(",\"detail\":", detail.as_bytes(), out);
    out.push(b'}');
}

fn authorization(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"authorization\":{\"outcome\":");
    text(record.outcome.code(), out);
    member(",\"reason\":", record.reason.as_bytes(), out);
    let detail = record.detail.as_deref().unwrap_or_default();
    member(",\"detail\":", detail.as_bytes(), out);
    if let Some(matched) = &record.matched {
        out.extend_from_slice(b",\"policy\":\"");
        escaped(matched.policy.namespace.as_bytes(), SHORT, out);
        out.push(b'/');
        escaped(matched.policy.name.as_bytes(), SHORT, out);
        out.push(b'"');
        member(",\"route\":", matched.route.as_bytes(), out);
        let clause = matched.clause.as_deref().unwrap_or_default();
        member(",\"clause\":", clause.as_bytes(), out);
        let grants = matched.grants.as_deref().unwrap_or_default();
        member(",\"grant\":", grants.as_bytes(), out);
    }
    out.push(b'}');
}

fn request(facts: &RequestFacts, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"http_request\":{\"method\":\"");
    escaped(&facts.method, SHORT, out);
    out.push(b'"');
    member(",\"host\":", &facts.host, out);
    if !facts.path.is_empty() {
        out.extend_from_slice(b",\"path\":\"");
        escaped(&facts.path, LONG, out);
        out.push(b'"');
    }
    member(",\"version\":", &facts.protocol, out);
    out.push(b'}');
    if !facts.source.is_empty() {
        member(",\"src_endpoint\":{\"ip\":", &facts.source, out);
        out.push(b'}');
    }
}

fn shadow(record: &Record, out: &mut Vec<u8>) {
    let Some(shadow) = &record.shadow else { return };
    out.extend_from_slice(b",\"shadow\":{\"outcome\":");
    text(shadow.outcome, out);
    member(",\"reason\":", shadow.reason.as_bytes(), out);
    if let Some(policy) = &shadow.policy {
        out.extend_from_slice(b",\"policy\":\"");
        escaped(policy.namespace.as_bytes(), SHORT, out);
        out.push(b'/');
        escaped(policy.name.as_bytes(), SHORT, out);
        out.push(b'"');
    }
    let route = shadow.route.as_deref().unwrap_or_default();
    member(",\"route\":", route.as_bytes(), out);
    out.push(b'}');
}

fn number(value: u128, out: &mut Vec<u8>) {
    // writing to a vector cannot fail
    if write!(out, "{value}").is_err() {
        out.push(b'0');
    }
}

fn text(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escaped(value.as_bytes(), SHORT, out);
    out.push(b'"');
}

/// Appends `lead` and the value in quotes, or nothing if there is no value.
fn member(lead: &str, value: &[u8], out: &mut Vec<u8>) {
    if value.is_empty() {
        return;
    }
    out.extend_from_slice(lead.as_bytes());
    out.push(b'"');
    escaped(value, SHORT, out);
    out.push(b'"');
}

/// Appends at most about `limit` bytes of a stranger's, as the inside of a JSON string; `…` marks what is cut.
fn escaped(value: &[u8], limit: usize, out: &mut Vec<u8>) {
    let shown = value.get(..limit).unwrap_or(value);
    // most of what is written: no byte to escape, and no capital J that a token would begin with
    if shown.len() == value.len() && is_plain(value) {
        out.extend_from_slice(value);
        return;
    }
    let (shown, redacted) = match token_start(shown) {
        Some(start) => (shown.get(..start).unwrap_or_default(), true),
        None => (shown, false),
    };
    for chunk in shown.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                0..0x20 | 0x7f => number_escape(byte, out),
                other => out.push(other),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    if redacted {
        out.extend_from_slice(b"[redacted]");
    } else if shown.len() < value.len() {
        out.extend_from_slice("…".as_bytes());
    }
}

/// Without a way out halfway, so that many bytes are looked at at once.
fn is_plain(value: &[u8]) -> bool {
    value.iter().fold(true, |plain, &byte| {
        plain & matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\') & (byte != JWT_MARK)
    })
}

fn number_escape(byte: u8, out: &mut Vec<u8>) {
    // writing to a vector cannot fail
    if write!(out, "\\u{byte:04x}").is_err() {
        out.push(b'?');
    }
}

/// Where something begins that may be a token.
fn token_start(value: &[u8]) -> Option<usize> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    value
        .windows(JWT.len().saturating_add(JWT_TAIL))
        .position(|window| window.starts_with(JWT) && window.iter().all(is_token))
}

#[cfg(test)]
mod tests {
    use super::{LONG, escaped};

    fn written(value: &[u8]) -> String {
        let mut out = vec![b'"'];
        escaped(value, LONG, &mut out);
        out.push(b'"');
        let json = String::from_utf8(out).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn what_is_written_reads_back_as_it_was() {
        for value in ["", "plain", "quo\"te \\ \u{1}\u{1f}\u{7f}\n\t", "ümläut 🚪"] {
            assert_eq!(written(value.as_bytes()), value);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(written(b"a\xff\xfeb\xc3"), "a\u{fffd}\u{fffd}b\u{fffd}");
    }

    #[test]
    fn long_values_are_cut_and_marked() {
        let long = written(&[b'x'; LONG + 1]);
        assert_eq!(long, format!("{}…", "x".repeat(LONG)));
        assert_eq!(written(&[b'x'; LONG]), "x".repeat(LONG));
    }

    #[test]
    fn what_looks_like_a_token_is_not_written() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln";
        assert_eq!(written(format!("/login/{token}/x").as_bytes()), "/login/[redacted]");
        assert_eq!(written(b"/eyJ/short"), "/eyJ/short");
    }
}
