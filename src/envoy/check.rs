//! A `CheckRequest` as Envoy sends it, seen as a request to decide on.
//!
//! Reads the scalar fields and never the pseudo headers, which Envoy leaves out when `allowed_headers` is set. Header
//! lines come as a map (`headers`) or, with `encode_raw_headers`, as a list (`header_map`); both are read, and a name
//! that occurs twice stays two lines. Nothing is copied: all bytes are slices of the message.

use bytes::Bytes;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::authorize::decision::RequestFacts;
use crate::recorder::Incoming;
use crate::request::{Headers, Named, Request};

use super::proto;

/// Up to this size a message cannot take much memory, whatever is in it. Envoy's limit for all headers is 60 KiB.
const SMALL: usize = 64 * 1024;
/// Most header lines of a larger message. Envoy's default limit is 100.
const LINES: usize = 4096;
/// `attributes.request.http.headers`, `attributes.request.http.header_map.headers` and `attributes.context_extensions`.
const WAYS_TO_LINES: [&[u32]; 3] = [&[1, 4, 2, 3], &[1, 4, 2, 13, 1], &[1, 10]];

/// One check. Its bytes are a stranger's.
pub struct Check {
    http: proto::HttpRequest,
    source: Bytes,
    extensions: Vec<proto::Entry>,
}

impl Check {
    /// Reads a message. `None`: it is not a `CheckRequest`, has no HTTP request in it, or too many header lines.
    #[must_use]
    pub fn parse(message: Bytes) -> Option<Self> {
        if message.len() > SMALL && !has_few_lines(&message) {
            return None;
        }
        let check = proto::CheckRequest::decode(message).ok()?;
        let attributes = check.attributes?;
        let http = attributes.request?.http?;
        let source = attributes
            .source
            .and_then(|peer| peer.address)
            .and_then(|address| address.socket_address)
            .map(|socket| socket.address)
            .unwrap_or_default();
        Some(Self { http, source, extensions: attributes.context_extensions })
    }
}

impl Incoming for Check {
    fn request(&self) -> Request<'_> {
        let named = Named::read(self.extensions.iter().map(|pair| (&pair.key, &pair.value)));
        Request { method: &self.http.method, host: &self.http.host, target: &self.http.path, headers: self, named }
    }

    fn facts(&self) -> RequestFacts {
        let (protocol, source) = (self.http.protocol.clone(), self.source.clone());
        let facts = RequestFacts { protocol, source, ..RequestFacts::default() };
        let mut facts = facts.about(&self.http.method, &self.http.host, &self.http.path);
        self.each(&mut |name, value| {
            if name.eq_ignore_ascii_case(b"x-request-id") {
                facts.request_id = value.clone();
            } else if name.eq_ignore_ascii_case(b"traceparent") {
                facts.traceparent = value.clone();
            }
        });
        facts
    }
}

impl Headers for Check {
    fn each(&self, visit: &mut dyn FnMut(&Bytes, &Bytes)) {
        for line in &self.http.headers {
            visit(&line.key, &line.value);
        }
        for line in self.http.header_map.iter().flat_map(|map| &map.headers) {
            let value = if line.raw_value.is_empty() { &line.value } else { &line.raw_value };
            visit(&line.key, value);
        }
    }
}

/// Whether decoding the message gives no more than [`LINES`] header lines: two bytes on the wire become a hundred in
/// memory.
fn has_few_lines(message: &[u8]) -> bool {
    let mut lines = 0_usize;
    WAYS_TO_LINES.iter().all(|way| count(message, way, &mut lines).is_some())
}

/// Counts the submessages to which `way`, a list of field numbers, leads. `None`: they are too many, or this is no
/// message.
fn count(mut message: &[u8], way: &[u32], lines: &mut usize) -> Option<()> {
    let Some((step, below)) = way.split_first() else {
        *lines = lines.saturating_add(1);
        return (*lines <= LINES).then_some(());
    };
    while !message.is_empty() {
        let (field, wire) = decode_key(&mut message).ok()?;
        if field != *step || wire != WireType::LengthDelimited {
            skip_field(wire, field, &mut message, DecodeContext::default()).ok()?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
        let (inner, rest) = message.split_at_checked(length)?;
        count(inner, below, lines)?;
        message = rest;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::Check;
    use crate::recorder::Incoming as _;
    use crate::request::{Headers, Named};
    use bytes::Bytes;
    use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
    use envoy_types::pb::envoy::service::auth::v3::{
        AttributeContext, CheckRequest, attribute_context::HttpRequest, attribute_context::Request,
    };
    use prost::Message;

    fn encoded(http: HttpRequest) -> Bytes {
        let request = Request { http: Some(http), ..Request::default() };
        let attributes = AttributeContext { request: Some(request), ..AttributeContext::default() };
        CheckRequest { attributes: Some(attributes) }.encode_to_vec().into()
    }

    fn lines(check: &Check) -> Vec<(String, String)> {
        let mut seen = Vec::new();
        check.each(&mut |name, value| {
            let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            seen.push((text(name), text(value)));
        });
        seen.sort();
        seen
    }

    #[test]
    fn the_fields_envoy_fills_are_read_from_its_own_message() {
        let http = HttpRequest {
            id: "7".into(),
            method: "GET".into(),
            path: "/orders/7?code=secret".into(),
            host: "Orders.example.com:443".into(),
            protocol: "HTTP/2".into(),
            headers: [
                ("x-request-id".to_owned(), "r1".to_owned()),
                ("traceparent".to_owned(), "00-t".to_owned()),
                (":path".to_owned(), "/other".to_owned()),
            ]
            .into(),
            ..HttpRequest::default()
        };
        let check = Check::parse(encoded(http)).unwrap();
        let request = check.request();
        assert_eq!(&request.method[..], b"GET");
        assert_eq!(&request.host[..], b"Orders.example.com:443");
        assert_eq!(&request.target[..], b"/orders/7?code=secret");
        let facts = check.facts();
        assert_eq!(&facts.path[..], b"/orders/7");
        assert_eq!(&facts.request_id[..], b"r1");
        assert_eq!(&facts.traceparent[..], b"00-t");
        assert_eq!(lines(&check).len(), 3);
    }

    #[test]
    fn what_the_proxy_names_is_read_and_never_said_twice() {
        let message = |pairs: &[(&str, &str)]| {
            let mut message = encoded(HttpRequest::default()).to_vec();
            for (key, value) in pairs {
                // a map has each key once; the wire may not
                let context_extensions = [((*key).to_owned(), (*value).to_owned())].into();
                let attributes = AttributeContext { context_extensions, ..AttributeContext::default() };
                message.extend(CheckRequest { attributes: Some(attributes) }.encode_to_vec());
            }
            Check::parse(message.into()).unwrap()
        };
        let text = |bytes: Option<&Bytes>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        let both = message(&[("entrance.dev/policy", "a/b"), ("entrance.dev/application", "a/c"), ("other", "x")]);
        let named = both.request().named;
        assert_eq!((text(named.policy), text(named.application)), (Some("a/b".into()), Some("a/c".into())));
        assert!(!named.is_garbled);
        assert_eq!(message(&[("policy", "a/b")]).request().named, Named::default());
        for garbled in [
            &[("entrance.dev/policy", "a/b"), ("entrance.dev/policy", "a/b")],
            &[("entrance.dev/policy", "a/b"), ("entrance.dev/", "a/b")],
            &[("entrance.dev/Policy", "a/b"), ("x", "y")],
            &[("Entrance.dev/policy", "a/b"), ("entrance.dev/policy", "a/b")],
            &[("entrance.dev", "a/b"), ("x", "y")],
        ] {
            assert!(message(garbled).request().named.is_garbled, "{garbled:?}");
        }
    }

    #[test]
    fn the_log_keeps_no_password_before_the_host() {
        let of = |host: &str| {
            let check = Check::parse(encoded(HttpRequest { host: host.into(), ..HttpRequest::default() })).unwrap();
            assert_eq!(&check.request().host[..], host.as_bytes(), "the decision sees what was sent");
            check.facts().host
        };
        assert_eq!(of("user:secret@orders.example.com:443"), "orders.example.com:443");
        assert_eq!(of("a@b@c"), "c");
        assert_eq!(of("a@"), "");
        assert_eq!(of("orders.example.com"), "orders.example.com");
    }

    #[test]
    fn raw_headers_are_read_and_repeated_lines_stay_apart() {
        let line =
            |key: &str, raw: &[u8]| HeaderValue { key: key.to_owned(), value: String::new(), raw_value: raw.to_vec() };
        let http = HttpRequest {
            header_map: Some(HeaderMap {
                headers: vec![line("authorization", b"Bearer a"), line("authorization", b"Bearer b")],
            }),
            ..HttpRequest::default()
        };
        let check = Check::parse(encoded(http)).unwrap();
        assert_eq!(
            lines(&check),
            [("authorization", "Bearer a"), ("authorization", "Bearer b")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_large_message_has_a_bounded_number_of_lines() {
        let map = |count: usize| HttpRequest {
            headers: (0..count).map(|at| (format!("h{at}"), "x".repeat(20))).collect(),
            ..HttpRequest::default()
        };
        let line = HeaderValue { key: "h".into(), value: "x".repeat(20), raw_value: Vec::new() };
        let list = |count: usize| HttpRequest {
            header_map: Some(HeaderMap { headers: vec![line.clone(); count] }),
            ..HttpRequest::default()
        };
        assert!(Check::parse(encoded(map(4096))).is_some());
        assert!(Check::parse(encoded(map(4097))).is_none());
        assert!(Check::parse(encoded(list(4096))).is_some());
        assert!(Check::parse(encoded(list(4097))).is_none());
        let both = HttpRequest { headers: map(2049).headers, ..list(2048) };
        assert!(Check::parse(encoded(both)).is_none());
        let body = HttpRequest { body: "\u{1a}\0".repeat(100_000), ..map(10) };
        assert!(Check::parse(encoded(body)).is_some(), "a body has no lines");
    }

    #[test]
    fn a_message_without_an_http_request_is_no_check() {
        assert!(Check::parse(Bytes::new()).is_none());
        assert!(Check::parse(CheckRequest::default().encode_to_vec().into()).is_none());
        assert!(Check::parse(Bytes::from_static(b"\x0a\xff not protobuf")).is_none());
    }
}
