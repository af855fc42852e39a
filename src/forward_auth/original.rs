//! The request that a proxy asks about, as the proxy describes it. Its bytes are a stranger's.
//!
//! What a client sends goes through these proxies to us, headers that only the proxy should set among it. A proxy replaces
//! a header that it sets; it knows nothing of one that means the same to somebody else. So a description counts only if
//! it is there once, in one spelling, and nothing contradicts it.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, header};

use crate::answer::identity_headers;
use crate::authorize::decision::RequestFacts;
use crate::recorder::Incoming;
use crate::request::{Named, Request, is_read_as};

use super::dialect::{Dialect, Meaning, WORDS, Words};

/// Where a proxy says who its client is. Only the log believes it.
const CLIENTS: &str = "x-forwarded-for";
/// The client's scheme: nothing depends on it, but two of them mean that somebody tries something.
const SCHEME: &str = "x-forwarded-proto";

/// Why a description does not count; for the log.
pub(super) type Fault = &'static str;

/// A described request.
#[derive(Debug)]
pub(super) struct Original {
    method: Bytes,
    host: Bytes,
    target: Bytes,
    headers: Vec<(Bytes, Bytes)>,
    policy: Option<Bytes>,
    application: Option<Bytes>,
    marks: RequestFacts,
}

impl Original {
    /// Reads what the proxy asks.
    ///
    /// # Errors
    /// Something is missing, repeated, spelled in a second way or contradictory.
    pub(super) fn read(dialect: Dialect, asked: &Parts) -> Result<Self, Fault> {
        let headers = &asked.headers;
        if headers.keys().any(|name| identity_headers::is_impostor(name.as_str().as_bytes())) {
            return Err("a header begins like ours and the proxy cannot remove it");
        }
        let (policy, application) = match dialect.words() {
            Some(_) => scope(asked)?,
            None => (None, None),
        };
        let (method, host, target) = match dialect.words() {
            Some(words) => described(words, asked)?,
            None => itself(asked)?,
        };
        if method.eq_ignore_ascii_case(b"CONNECT") {
            return Err("the method is `CONNECT`: what goes through a tunnel is not asked about");
        }
        Ok(Self {
            method,
            host,
            target,
            headers: lines(headers, dialect.words()),
            policy,
            application,
            marks: marks(headers),
        })
    }
}

impl Incoming for Original {
    fn request(&self) -> Request<'_> {
        let Self { method, host, target, headers, policy, application, .. } = self;
        let named = Named { policy: policy.as_ref(), application: application.as_ref(), is_garbled: false };
        Request { method, host, target, headers, named }
    }

    fn facts(&self) -> RequestFacts {
        self.marks.clone().about(&self.method, &self.host, &self.target)
    }
}

/// Method, host and target.
type Described = (Bytes, Bytes, Bytes);

/// A request in headers.
fn described(words: &Words, asked: &Parts) -> Result<Described, Fault> {
    let headers = &asked.headers;
    aliases(headers)?;
    let method = once(headers, words.method, "the method is not there exactly once")?;
    let host = once(headers, words.host, "the host is not there exactly once")?;
    let target = once(headers, words.target, "the uri is not there exactly once")?;
    for (word, meaning) in WORDS {
        let told = match meaning {
            Meaning::Method => &method,
            Meaning::Target => &target,
            Meaning::Host => &host,
        };
        if headers.get_all(word).iter().any(|value| value.as_bytes() != told) {
            return Err("two headers contradict each other about the request");
        }
    }
    if headers.get_all(SCHEME).iter().count() > 1 {
        return Err("the scheme is there more than once");
    }
    if asked.method != Method::GET && asked.method.as_str().as_bytes() != method {
        return Err("the proxy asks with another method than it describes");
    }
    Ok((method, host, target))
}

/// A request that describes itself: the one that Envoy was sent, with another body.
fn itself(asked: &Parts) -> Result<Described, Fault> {
    let host = once(&asked.headers, header::HOST.as_str(), "`host` is not there exactly once")?;
    if asked.uri.authority().is_some() || asked.uri.scheme().is_some() {
        return Err("the request line has an authority");
    }
    let target = asked.uri.path_and_query().map(|path| path.as_str()).ok_or("the request line has no path")?;
    Ok((Bytes::copy_from_slice(asked.method.as_str().as_bytes()), host, Bytes::copy_from_slice(target.as_bytes())))
}

/// What the proxy's configuration names: the address that it asks at.
fn scope(asked: &Parts) -> Result<(Option<Bytes>, Option<Bytes>), Fault> {
    const UNKNOWN: Fault =
        "the proxy asks at another path than `/`, `/policy/NAMESPACE/NAME` and `/application/NAMESPACE/NAME`";
    if asked.uri.query().is_some() {
        return Err(UNKNOWN);
    }
    let path = asked.uri.path();
    let name = |kind: &str| path.strip_prefix(kind).map(|name| Bytes::copy_from_slice(name.as_bytes()));
    match (path, name("/policy/"), name("/application/")) {
        ("/", _, _) => Ok((None, None)),
        (_, None, None) => Err(UNKNOWN),
        (_, policy, application) => Ok((policy, application)),
    }
}

fn once(headers: &HeaderMap, name: &str, fault: Fault) -> Result<Bytes, Fault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(Bytes::copy_from_slice(value.as_bytes())),
        (Some(_) | None, _) => Err(fault),
    }
}

/// Servers that make variables of names would take another spelling for the header itself, and so might whoever set it.
fn aliases(headers: &HeaderMap) -> Result<(), Fault> {
    let known = || WORDS.iter().map(|(word, _)| *word).chain([CLIENTS, SCHEME]);
    let is_alias = |name: &HeaderName| {
        let name = name.as_str();
        known().any(|known| name != known && is_read_as(name.as_bytes(), known.as_bytes()))
    };
    if headers.keys().any(is_alias) {
        Err("a header that describes the request is spelled without `-`")
    } else {
        Ok(())
    }
}

/// The client's own headers: those that describe are the proxy's.
fn lines(headers: &HeaderMap, words: Option<&Words>) -> Vec<(Bytes, Bytes)> {
    let is_own = |name: &&HeaderName| {
        words.is_some_and(|words| [words.method, words.target, words.host].contains(&name.as_str()))
    };
    let bytes = |text: &[u8]| Bytes::copy_from_slice(text);
    let clients = headers.iter().filter(|(name, _)| !is_own(name));
    clients.map(|(name, value)| (bytes(name.as_str().as_bytes()), bytes(value.as_bytes()))).collect()
}

/// What logs are joined by. It says nothing of the request itself, so it counts for one that is refused unread, too.
pub(super) fn marks(headers: &HeaderMap) -> RequestFacts {
    let of = |name: &str| headers.get(name).map(|value| Bytes::copy_from_slice(value.as_bytes())).unwrap_or_default();
    let (request_id, traceparent) = (of("x-request-id"), of("traceparent"));
    let protocol = Bytes::from_static(b"HTTP/1.1");
    RequestFacts { request_id, traceparent, source: source(headers), protocol, ..RequestFacts::default() }
}

/// The last address, which is the one that the proxy saw.
fn source(headers: &HeaderMap) -> Bytes {
    let last = headers.get_all(CLIENTS).iter().next_back();
    let last = last.and_then(|line| line.as_bytes().rsplit(|byte| *byte == b',').next()).unwrap_or_default();
    Bytes::copy_from_slice(last.trim_ascii())
}
