//! An HTTP/1.1 server that knows nothing of HTTP but where a message ends, and keeps every byte that it received.
//!
//! Requests are told apart by the header `x-probe`, which clients of the tests send.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    head: String,
    /// The body with its framing, trailers included.
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// The request line.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    /// The request target.
    pub(crate) fn target(&self) -> &str {
        let (_, rest) = self.line().split_once(' ').unwrap();
        rest.rsplit_once(' ').unwrap().0
    }

    /// Name, as it came, and value of each header line.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.head.lines().skip(1).filter(|line| !line.is_empty());
        lines.map(|line| line.split_once(':').unwrap_or((line, ""))).map(|(name, value)| (name, value.trim()))
    }

    /// The values of the header `name`, in any case.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.headers().filter(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// Headers that a careless server takes for those that Entrance sets, in lower case and with `-` for all but letters and
    /// digits, as lighttpd makes variables of them.
    pub(crate) fn identity(&self) -> Vec<(String, &str)> {
        let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
        let fold = |name: &str| name.chars().map(letter).collect::<String>();
        let headers = self.headers().map(|(name, value)| (fold(name), value));
        headers.filter(|(name, _)| name.starts_with("x-entrance")).collect()
    }
}

#[derive(Default)]
struct Seen {
    by_probe: Mutex<HashMap<String, Vec<Received>>>,
}

/// The server. Runs as long as its runtime.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        Self::start_on("127.0.0.1").await
    }

    /// The same on another address of this machine.
    pub(crate) async fn start_on(ip: &str) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, seen }
    }

    /// What came with this probe.
    pub(crate) fn received(&self, probe: &str) -> Vec<Received> {
        self.seen.by_probe.lock().unwrap().get(probe).cloned().unwrap_or_default()
    }
}

async fn serve(stream: TcpStream, seen: Arc<Seen>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        let probe = request.values("x-probe").first().copied().unwrap_or_default().to_owned();
        let body: &[u8] = if request.line().starts_with("HEAD ") { b"" } else { b"upstream" };
        seen.by_probe.lock().unwrap().entry(probe).or_default().push(request);
        let answer = [b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nx-from: upstream\r\n\r\n", body].concat();
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let head = through(stream, b"\r\n\r\n").await?;
    let mut request = Received { head: String::from_utf8_lossy(&head).into_owned(), body: Vec::new() };
    let length = request.values("content-length").first().map(|text| text.parse::<usize>().unwrap());
    if let Some(length) = length {
        request.body = vec![0; length];
        stream.read_exact(&mut request.body).await.ok()?;
    } else if !request.values("transfer-encoding").is_empty() {
        request.body = chunks(stream).await?;
    }
    Some(request)
}

/// A chunked body with its framing, to the empty line behind the trailers.
pub(crate) async fn chunks(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = through(stream, b"\r\n").await?;
        let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
        body.extend_from_slice(&line);
        if size == 0 {
            break;
        }
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).await.ok()?;
        body.extend_from_slice(&chunk);
    }
    loop {
        let line = through(stream, b"\r\n").await?;
        body.extend_from_slice(&line);
        if line == b"\r\n" {
            return Some(body);
        }
    }
}

/// Everything up to and with `end`; `None` at the end of the stream.
pub(crate) async fn through<R: tokio::io::AsyncRead + Unpin>(stream: &mut R, end: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        bytes.push(stream.read_u8().await.ok()?);
    }
    Some(bytes)
}
