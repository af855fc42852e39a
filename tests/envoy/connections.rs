//! Peers that hold connections and do nothing with them: on the port for gRPC and on the one for HTTP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use entrance::envoy::server::{Server, Settings, Signals};
use entrance::envoy::service::Limits;
use entrance::forward_auth::dialect::Dialect;
use entrance::forward_auth::server::{Server as HttpServer, Settings as HttpSettings};
use entrance::listen::Listen;
use entrance::listen::gate::Bounds;
use entrance::listen::peers::Peers;
use entrance::listen::places::Places;
use entrance::metrics::Metrics;
use entrance::recorder::Recorder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::service::{ByPath, Kept, fixture, surroundings};

const LIMIT: Duration = Duration::from_secs(60);
/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(300);
const BRIEF: Duration = Duration::from_millis(30);
/// Longer than `SHORT`.
const IDLE: Duration = Duration::from_millis(900);

/// A port, and what is said on it.
struct Port {
    address: SocketAddr,
    places: Arc<Places>,
    /// The beginning of what a connection must begin with.
    begun: &'static [u8],
    /// What is answered, and how the answer begins.
    asks: (&'static [u8], &'static [u8]),
    _ready: watch::Sender<bool>,
}

/// With an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const QUESTION: &[u8] = b"GET /allow HTTP/1.1\r\nhost: orders.example.com\r\n\r\n";
/// A frame that is answered with one of the same size.
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0pingping";

fn bound(address: io::Result<Listen>) -> SocketAddr {
    let Listen::Tcp(address) = address.unwrap() else { panic!("not a port") };
    address
}

/// The port for gRPC; nothing but `bounds` ends a connection.
async fn grpc(bounds: Bounds) -> Port {
    let settings = Settings { bounds, greeting: LONG, keepalive: LONG, ..Settings::default() };
    let server = Server::bind(&"127.0.0.1:0".parse().unwrap(), settings).await.unwrap();
    let (address, places) = (bound(server.address()), Arc::clone(server.places()));
    let (ready, receiver) = watch::channel(true);
    let signals = Signals { ready: receiver, shutdown: CancellationToken::new() };
    tokio::spawn(server.serve(fixture(Limits::default()).service, signals));
    // the answer begins with a SETTINGS frame
    Port { address, places, begun: b"PRI * HTTP/2.0\r\n", asks: (PREFACE, b"\0\0"), _ready: ready }
}

/// The port for HTTP; nothing but `bounds` and `head` ends a connection.
async fn http(bounds: Bounds, head: Duration) -> Port {
    let settings = HttpSettings {
        dialect: Dialect::Envoy,
        peers: Peers::new(vec!["127.0.0.0/8".parse().unwrap()]),
        bounds,
        head,
        patience: Duration::from_secs(2),
        drain_delay: Duration::ZERO,
        drain_deadline: Duration::ZERO,
    };
    let server = HttpServer::bind(&"127.0.0.1:0".parse().unwrap(), settings).await.unwrap();
    let (address, places) = (bound(server.address()), Arc::clone(server.places()));
    let surroundings = surroundings(&Arc::new(Kept::default()), &Arc::new(Metrics::default()));
    let recorder = Recorder::new(Arc::new(ByPath::default()), surroundings, 8);
    tokio::spawn(server.serve(recorder, CancellationToken::new()));
    let (ready, _) = watch::channel(true);
    Port { address, places, begun: b"GET / HTTP/1.1\r\nhost: ", asks: (QUESTION, b"HTTP/1.1 200 "), _ready: ready }
}

async fn both(bounds: Bounds) -> [Port; 2] {
    [grpc(bounds).await, http(bounds, LONG).await]
}

impl Port {
    /// Connects from an address of this machine, `127.0.0.last`.
    async fn connect(&self, last: u8) -> TcpStream {
        self.try_connect(last).await.unwrap()
    }

    /// An error if the connection was closed before that was noticed.
    async fn try_connect(&self, last: u8) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
        timeout(LIMIT, socket.connect(self.address)).await.unwrap()
    }

    /// Connects and begins to speak.
    async fn hold(&self, last: u8) -> TcpStream {
        let mut stream = self.connect(last).await;
        stream.write_all(self.begun).await.unwrap();
        stream
    }

    /// Whether a peer with this address is answered.
    async fn answers(&self, last: u8) -> bool {
        let (question, begins) = self.asks;
        let mut said = vec![0; begins.len()];
        let exchange = async {
            let mut stream = self.try_connect(last).await?;
            stream.write_all(question).await?;
            stream.read_exact(&mut said).await
        };
        timeout(LIMIT, exchange).await.unwrap().is_ok() && said == begins
    }

    /// Waits until so many places are taken.
    async fn taken(&self, count: usize) {
        let wanted = async {
            while self.places.taken() != count {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, wanted).await.unwrap_or_else(|_| panic!("{} places are taken", self.places.taken()));
    }
}

/// Waits until the other end closes.
async fn closed(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    timeout(LIMIT, stopped(stream)).await.unwrap_or_else(|_| panic!("the connection is still open"));
    begun.elapsed()
}

#[tokio::test]
async fn a_peer_fills_its_own_share_and_no_more() {
    for port in both(Bounds { connections: 12, ..Bounds::default() }).await {
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(port.hold(1).await);
        }
        port.taken(3).await;
        for _ in 0..40 {
            if let Ok(mut stream) = port.try_connect(1).await {
                closed(&mut stream).await;
            }
        }
        assert!(port.answers(2).await, "somebody else has a place");
        assert!(!port.answers(1).await);
        assert_eq!(port.places.refused(), 41);
        drop(held.pop());
        port.taken(2).await;
        assert!(port.answers(1).await, "a place is free again");
    }
}

#[tokio::test]
async fn a_full_port_closes_new_connections_at_once_and_recovers() {
    for port in both(Bounds { connections: 8, ..Bounds::default() }).await {
        let mut held = Vec::new();
        for peer in 1..=4 {
            held.extend([port.hold(peer).await, port.hold(peer).await]);
        }
        port.taken(8).await;
        assert!(!port.answers(5).await);
        assert_eq!(port.places.refused(), 1);
        drop(held.pop());
        port.taken(7).await;
        assert!(port.answers(5).await);
    }
}

#[tokio::test]
async fn a_peer_that_never_reads_is_closed() {
    let bounds = Bounds { stall: SHORT, ..Bounds::default() };
    for (port, opening, question) in
        [(grpc(bounds).await, PREFACE, PING), (http(bounds, LONG).await, &b""[..], QUESTION)]
    {
        let mut stream = port.connect(1).await;
        stream.write_all(opening).await.unwrap();
        let (much, begun) = (question.repeat(1000), Instant::now());
        let asking = async { while stream.write_all(&much).await.is_ok() {} };
        timeout(LIMIT, asking).await.unwrap_or_else(|_| panic!("the connection is still open"));
        assert!(begun.elapsed() >= SHORT);
        port.taken(0).await;
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_is_closed_however_it_is_sent() {
    let port = http(Bounds::default(), SHORT).await;
    for begun in [&b"G"[..], b"GET / HTTP/1.1\r\nhost: a\r\n", &[QUESTION, b"GET /"].concat()] {
        let mut stream = port.connect(1).await;
        stream.write_all(begun).await.unwrap();
        let took = closed(&mut stream).await;
        assert!(took >= SHORT, "{took:?} for {}", String::from_utf8_lossy(begun));
    }
    let mut stream = port.connect(1).await;
    stream.write_all(port.begun).await.unwrap();
    // one byte after the other
    let dripping = async { while stream.write_all(b"a").await.is_ok() && !ended(&mut stream).await {} };
    timeout(LIMIT, dripping).await.unwrap_or_else(|_| panic!("the connection is still open"));
}

/// Each head begins before the one before is answered, and has its own time from there.
#[tokio::test]
async fn questions_that_overlap_are_each_in_time() {
    let head = Duration::from_secs(3);
    let port = http(Bounds::default(), head).await;
    let mut stream = port.connect(1).await;
    let (first, rest) = QUESTION.split_at(20);
    let overlapping = [rest, first].concat();
    stream.write_all(first).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < head {
        stream.write_all(&overlapping).await.unwrap();
        let pause = timeout(IDLE, stopped(&mut stream)).await;
        assert!(pause.is_err(), "closed after {:?}", begun.elapsed());
    }
}

/// Reads what is said until the other end closes.
async fn stopped(stream: &mut TcpStream) {
    while matches!(stream.read(&mut [0; 4096]).await, Ok(1..)) {}
}

async fn ended(stream: &mut TcpStream) -> bool {
    !matches!(timeout(BRIEF, stream.read(&mut [0; 64])).await, Err(_) | Ok(Ok(1..)))
}

#[tokio::test]
async fn an_idle_connection_is_kept_and_asked_again() {
    let port = http(Bounds::default(), SHORT).await;
    let mut stream = port.connect(1).await;
    for _ in 0..2 {
        let idle = timeout(IDLE, stream.read(&mut [0; 64])).await;
        assert!(idle.is_err(), "closed, or told something: {idle:?}");
        // in two parts, the second of which is the end of an empty line
        let (first, second) = QUESTION.split_at(QUESTION.len().saturating_sub(1));
        stream.write_all(first).await.unwrap();
        stream.write_all(second).await.unwrap();
        let mut said = Vec::new();
        let answer = async {
            while !said.ends_with(b"\r\n\r\n") {
                said.push(stream.read_u8().await.unwrap());
            }
        };
        timeout(LIMIT, answer).await.unwrap();
        assert!(said.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&said));
    }
}
