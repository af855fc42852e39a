//! Clients that send what they are told: HTTP/1.1 as bytes over a socket, HTTP/2 through the `h2` crate.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use h2::client::ResponseFuture;
use http::{HeaderMap, Request};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::children::LIMIT;
use crate::upstream::{chunks, through};

/// A name that no other request has.
pub(crate) fn probe() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("probe-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An answer.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

impl Answer {
    /// The values of a header, by its name in lower case.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(given, _)| given == name).map(|(_, value)| &**value).collect()
    }

    /// The one value of a header.
    pub(crate) fn value(&self, name: &str) -> &str {
        let values = self.values(name);
        assert_eq!(values.len(), 1, "`{name}` in {self:?}");
        values[0]
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Status and reason code: `200`, `401 token_missing`. An answer that Entrance did not write has no reason.
    pub(crate) fn outcome(&self) -> String {
        let problem: Option<Value> = serde_json::from_slice(&self.body).ok();
        let reason = problem.as_ref().and_then(|problem| problem["reason"].as_str());
        match reason {
            Some(reason) => format!("{} {reason}", self.status),
            None => self.status.to_string(),
        }
    }
}

/// A request to be sent one way or the other.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) host: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) probe: String,
}

/// Without the values of headers, which are long.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        write!(f, "{} {} of {} with {names:?} ({})", self.method, self.target, self.host, self.probe)
    }
}

impl Ask {
    pub(crate) fn new(method: &'static str, host: &str, target: &str) -> Self {
        Self { method, host: host.into(), target: target.into(), headers: Vec::new(), probe: probe() }
    }

    pub(crate) fn get(host: &str, target: &str) -> Self {
        Self::new("GET", host, target)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// The bytes of an HTTP/1.1 request without a body.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self { method, host, target, headers, probe } = self;
        let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nx-probe: {probe}\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// One HTTP/1.1 connection.
pub(crate) struct Wire(BufReader<TcpStream>);

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.unwrap_or_else(|| panic!("nobody listens on {address}"))
    }

    /// `None` if nobody listens.
    pub(crate) async fn try_connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).unwrap();
        Some(Self(BufReader::new(stream)))
    }

    /// Sends the request and reads the answer.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Answer {
        self.send(&ask.bytes()).await.unwrap_or_else(|| panic!("no answer to {ask:?}"))
    }

    /// Sends bytes and reads one answer; `None` if the connection is closed without one.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Option<Answer> {
        let exchange = async {
            self.0.write_all(bytes).await.ok()?;
            self.read(bytes.starts_with(b"HEAD ")).await
        };
        tokio::time::timeout(LIMIT, exchange).await.unwrap_or_else(|_| panic!("no answer within {LIMIT:?}"))
    }

    async fn read(&mut self, head_only: bool) -> Option<Answer> {
        let head = String::from_utf8(through(&mut self.0, b"\r\n\r\n").await?).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let headers = lines.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        if head_only {
            return Some(answer);
        }
        if !answer.values("transfer-encoding").is_empty() {
            answer.body = unframed(&chunks(&mut self.0).await?);
            return Some(answer);
        }
        let length = answer.values("content-length").first().map_or(0, |length| length.parse().unwrap());
        answer.body = vec![0; length];
        self.0.read_exact(&mut answer.body).await.ok()?;
        Some(answer)
    }
}

/// What is in the chunks of a body.
fn unframed(chunked: &[u8]) -> Vec<u8> {
    let (mut body, mut rest) = (Vec::new(), chunked);
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + size + 4..];
    }
    body
}

/// Sends one request over a connection of its own.
pub(crate) async fn http1(address: SocketAddr, ask: &Ask) -> Answer {
    Wire::connect(address).await.ask(ask).await
}

/// One HTTP/2 connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Streams(h2::client::SendRequest<Bytes>);

impl Streams {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (streams, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(streams)
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn ask(&self, ask: &Ask) -> Answer {
        self.send(request(ask)).await.unwrap_or_else(|error| panic!("{error} for {ask:?}"))
    }

    /// Sends a request with a body and trailers, and reads the answer, if there is one.
    pub(crate) async fn post(&self, ask: &Ask, body: Bytes, trailers: HeaderMap) -> Result<Answer, h2::Error> {
        let (response, mut sending) = self.0.clone().ready().await?.send_request(request(ask), false)?;
        sending.send_data(body, false)?;
        sending.send_trailers(trailers)?;
        Self::read(response).await
    }

    /// Sends a request and reads the answer, if there is one.
    async fn send(&self, request: Request<()>) -> Result<Answer, h2::Error> {
        let (response, _) = self.0.clone().ready().await?.send_request(request, true)?;
        Self::read(response).await
    }

    async fn read(response: ResponseFuture) -> Result<Answer, h2::Error> {
        let exchange = async {
            let (head, mut stream) = response.await?.into_parts();
            let mut body = Vec::new();
            while let Some(chunk) = stream.data().await {
                let chunk = chunk?;
                stream.flow_control().release_capacity(chunk.len())?;
                body.extend_from_slice(&chunk);
            }
            let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
            Ok(Answer { status: head.status.as_u16(), headers, body })
        };
        tokio::time::timeout(LIMIT, exchange).await.unwrap_or_else(|_| panic!("no answer within {LIMIT:?}"))
    }
}

fn request(ask: &Ask) -> Request<()> {
    let uri = format!("http://{}{}", ask.host, ask.target);
    let mut request = Request::builder().method(ask.method).uri(uri).header("x-probe", &ask.probe);
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    request.version(http::Version::HTTP_2).body(()).unwrap()
}

/// Sends one request over an HTTP/2 connection of its own.
pub(crate) async fn http2(address: SocketAddr, ask: &Ask) -> Answer {
    Streams::connect(address).await.ask(ask).await
}
