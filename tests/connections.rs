//! A server with few file descriptors, and a peer that takes all that it can get.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "support/server.rs"]
#[expect(dead_code, reason = "other tests ask for more")]
mod server;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use entrance::listen::Listen;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

use server::Server;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/orders");
const LIMIT: Duration = Duration::from_secs(60);

/// Two listeners on 192 descriptors: 128 are for the rest, so that each has 32 places, and one peer 8 of them.
const FILES: &str = "192";
const SHARE: usize = 8;
/// More than there are descriptors.
const MANY: usize = 200;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const QUESTION: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: orders.example.com\r\n\r\n";

/// Connects; an error if that was closed before it was noticed.
async fn connect(to: SocketAddr, last: u8) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
    timeout(LIMIT, socket.connect(to)).await.unwrap()
}

/// Connections from one address on which the beginning of something was said.
async fn hold(to: SocketAddr, begun: &[u8]) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..MANY {
        let Ok(mut stream) = connect(to, 1).await else { continue };
        // one without a place may be closed already
        let (Ok(()) | Err(_)) = stream.write_all(begun).await;
        held.push(stream);
    }
    held
}

async fn answered(to: SocketAddr, (question, begins): (&[u8], &[u8])) {
    let mut stream = connect(to, 2).await.unwrap();
    stream.write_all(question).await.unwrap();
    let mut said = vec![0; begins.len()];
    timeout(LIMIT, stream.read_exact(&mut said)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&said), String::from_utf8_lossy(begins));
}

#[tokio::test]
async fn one_peer_leaves_descriptors_for_others_and_for_the_admin_port() {
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n "$1" && shift && exec "$@""#, "sh", FILES, env!("CARGO_BIN_EXE_entrance")]);
    command.args(["serve", "--policies", EXAMPLE, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--listen-http", "envoy=127.0.0.1:0", "--http-peer", "127.0.0.0/8", "--audit", "off"]);
    command.stdout(Stdio::null());
    let mut server = Server::of(command, "ext_authz").await;
    let lower = server.seen.iter().find(|line| line["open_files"].is_number()).unwrap();
    assert_eq!((&lower["connections"], &lower["wanted"]), (&32.into(), &4096.into()), "{lower}");
    let http = server.seen.iter().find(|line| line["port"] == "forward_auth").unwrap();
    let http: SocketAddr = http["address"].as_str().unwrap().parse().unwrap();
    let Listen::Tcp(grpc) = server.listen else { panic!("not a port") };

    let held_grpc = hold(grpc, &PREFACE[..20]).await;
    let held_http = hold(http, &QUESTION[..20]).await;
    answered(grpc, (PREFACE, b"\0\0")).await;
    answered(http, (QUESTION, b"HTTP/1.1 ")).await;
    assert_eq!(server.admin("/livez").await.0, 200);

    let (_, page) = server.admin("/metrics").await;
    for listener in [grpc, http] {
        let value = |name: &str| {
            let series = format!("{name}{{listener=\"{listener}\"}} ");
            let value = page.lines().find_map(|line| line.strip_prefix(&series));
            value.unwrap_or_else(|| panic!("no `{series}` in:\n{page}")).parse::<usize>().unwrap()
        };
        assert!((SHARE..=SHARE.saturating_add(1)).contains(&value("entrance_connections")), "{page}");
        assert_eq!(value("entrance_connections_refused_total"), MANY.saturating_sub(SHARE));
    }

    // what a peer can cause as often as it likes is told once
    drop((held_grpc, held_http));
    server.signal("TERM").await;
    server.end().await;
    let told = |what: &str| {
        let says = |line: &&serde_json::Value| line["message"].as_str().is_some_and(|said| said.contains(what));
        server.seen.iter().filter(says).count()
    };
    assert_eq!(told("closed a new connection"), 2, "{:#?}", server.seen);
    assert_eq!(told("cannot accept"), 0);
}
