//! Questions as Traefik, nginx, Caddy and Envoy ask them over HTTP, as bytes on a socket: the decision is the one that a
//! check over gRPC gets, and a description that could be somebody else's is none.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

#[path = "support/children.rs"]
#[expect(dead_code, reason = "CPU time is for benches")]
mod children;
#[path = "support/entrance_process.rs"]
#[expect(dead_code, reason = "other tests ask for more")]
mod entrance_process;
#[path = "support/envoy_process.rs"]
#[expect(dead_code, reason = "no Envoy here")]
mod envoy_process;
#[path = "support/free_port.rs"]
mod free_port;
#[path = "support/raw_http.rs"]
#[expect(dead_code, reason = "no HTTP/2 here")]
mod raw_http;
#[path = "support/stack.rs"]
#[expect(dead_code, reason = "no Envoy here")]
mod stack;
#[path = "support/upstream.rs"]
#[expect(dead_code, reason = "nothing reaches an API here")]
mod upstream;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use entrance::emulator::MintRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OnceCell;

use children::{port, runtime, scratch, until};
use entrance_process::Entrance;
use raw_http::{Answer, Wire};
use stack::{Ground, Link};

const DIALECTS: [&str; 4] = ["traefik", "nginx", "caddy", "envoy"];

/// One Entrance with a port for each dialect, one on a socket, and one for peers that never come.
struct House {
    ground: Ground,
    entrance: Entrance,
    ports: BTreeMap<&'static str, SocketAddr>,
    socket: String,
}

impl House {
    async fn start() -> Self {
        let ground = Ground::prepare(&[]).await;
        let ports: BTreeMap<_, _> = DIALECTS.into_iter().map(|dialect| (dialect, port())).collect();
        let socket = scratch("forward").join("s").display().to_string();
        let mut arguments = vec!["--http-peer".to_owned(), "127.0.0.1".to_owned()];
        for (dialect, port) in &ports {
            arguments.extend(["--listen-http".to_owned(), format!("{dialect}={port}")]);
        }
        arguments.extend(["--listen-http".to_owned(), format!("caddy=unix:{socket}")]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let entrance = ground.entrance(Link::Tcp, &arguments).await;
        entrance.ready().await;
        Self { ground, entrance, ports, socket }
    }

    async fn ask(&self, dialect: &str, question: &str) -> Answer {
        let answer = Wire::connect(self.ports[dialect]).await.send(question.as_bytes()).await;
        answer.unwrap_or_else(|| panic!("no answer to {question}"))
    }

    fn token(&self, user: &str) -> String {
        self.ground.emulator.mint(&MintRequest { user: Some(user.into()), ..MintRequest::default() }).unwrap()
    }
}

async fn house() -> &'static House {
    static HOUSE: OnceCell<House> = OnceCell::const_new();
    HOUSE.get_or_init(House::start).await
}

/// A request of a client, as the proxy of a dialect asks about it.
#[derive(Clone)]
struct Told {
    dialect: &'static str,
    at: String,
    lines: Vec<String>,
}

impl Told {
    fn new(dialect: &'static str, (method, host, target): (&str, &str, &str)) -> Self {
        let lines = match dialect {
            "envoy" => vec![format!("host: {host}"), "content-length: 0".into()],
            "nginx" => vec![
                "host: entrance".into(),
                format!("x-original-method: {method}"),
                format!("X-Original-URI: {target}"),
                format!("x-forwarded-host: {host}"),
            ],
            _ => vec![
                "host: entrance".into(),
                format!("X-Forwarded-Method: {method}"),
                format!("X-Forwarded-Uri: {target}"),
                format!("X-Forwarded-Host: {host}"),
                "X-Forwarded-Proto: https".into(),
                "X-Forwarded-For: 203.0.113.9, 10.0.0.7".into(),
            ],
        };
        let at = if dialect == "envoy" { format!("{method} {target}") } else { "GET /".into() };
        Self { dialect, at, lines }
    }

    fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.line(&format!("authorization: Bearer {token}"))
    }

    fn at(self, at: &str) -> Self {
        Self { at: at.to_owned(), ..self }
    }

    fn without(mut self, name: &str) -> Self {
        self.lines.retain(|line| !line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        self
    }

    fn text(&self) -> String {
        format!("{} HTTP/1.1\r\n{}\r\n\r\n", self.at, self.lines.join("\r\n"))
    }

    async fn outcome(&self, house: &House) -> String {
        house.ask(self.dialect, &self.text()).await.outcome()
    }
}

const READ: (&str, &str, &str) = ("GET", "orders.example.com", "/orders/7?x=%2F");

#[test]
fn every_dialect_gets_the_decision_and_the_answer_that_grpc_gets() {
    runtime().block_on(async {
        let house = house().await;
        let reader = house.token("bob");
        for dialect in DIALECTS {
            let allowed = house.ask(dialect, &Told::new(dialect, READ).bearer(&reader).text()).await;
            assert_eq!(allowed.status, 200, "{dialect}: {allowed:?}");
            assert_eq!(allowed.value("x-entrance-caller"), "user");
            assert_eq!(allowed.value("x-entrance-roles"), "Orders.Read");
            assert_eq!(allowed.value("x-entrance-decision").len(), 32);
            assert!(allowed.body.is_empty());

            let open = ("GET", "Orders.Example.com:443", "/healthz");
            let open = house.ask(dialect, &Told::new(dialect, open).line("x-entrance-roles: Admin").text()).await;
            assert_eq!(open.status, 200, "{dialect}: {open:?}");
            let roles = if dialect == "envoy" { vec![""] } else { vec![] };
            assert_eq!(open.values("x-entrance-roles"), roles, "{dialect}");

            let nobody = house.ask(dialect, &Told::new(dialect, READ).text()).await;
            assert_eq!(nobody.outcome(), "401 token_missing", "{dialect}");
            assert!(nobody.value("www-authenticate").starts_with("Bearer realm=\""));
            assert_eq!(nobody.value("content-type"), "application/problem+json");
            assert_eq!(nobody.value("cache-control"), "no-store");

            let create = ("POST", "orders.example.com", "/orders");
            let denied = Told::new(dialect, create).bearer(&reader).outcome(house).await;
            assert_eq!(denied, "403 role_missing", "{dialect}");
            let elsewhere = ("GET", "nobody.example.com", "/orders/7");
            let denied = Told::new(dialect, elsewhere).bearer(&reader).outcome(house).await;
            assert_eq!(denied, "403 no_policy_for_host", "{dialect}");
            // nginx takes a 400 for its own fault
            let bad = if dialect == "nginx" { 403 } else { 400 };
            for (request, reason) in [
                (("GET", "orders.example.com", "/orders/%2e%2e/x"), "path_ambiguous"),
                (("GET", "orders.example.com", "//orders/7"), "path_ambiguous"),
                (("GET", "a,b", "/orders/7"), "host_invalid"),
            ] {
                let denied = Told::new(dialect, request).bearer(&reader).outcome(house).await;
                assert_eq!(denied, format!("{bad} {reason}"), "{dialect} {request:?}");
            }
        }
    });
}

/// A change of a good question, and whether it is still one.
type Change = (&'static str, fn(Told) -> Told);

const REFUSED: &[Change] = &[
    ("a header begins like ours", |told| told.line("x-entrance-admin: yes")),
    ("a header begins like ours", |told| told.line("X_Entrance_Roles: Orders.Admin")),
    ("a header begins like ours", |told| told.line("x-entrance_roles: Orders.Admin")),
    ("a header begins like ours", |told| told.line("X'Entrance!Roles: Orders.Admin")),
    ("a header begins like ours", |told| told.line("x-entrance~roles: Orders.Admin")),
];

const REFUSED_IN_HEADERS: &[Change] = &[
    ("the method is not there", |told| told.without("x-forwarded-method").without("x-original-method")),
    ("the uri is not there", |told| told.without("x-forwarded-uri").without("x-original-uri")),
    ("the host is not there", |told| told.without("x-forwarded-host")),
    ("not there exactly once", |told| told.line("x-forwarded-host: orders.example.com")),
    ("spelled without `-`", |told| told.line("X_Forwarded_Uri: /healthz")),
    ("spelled without `-`", |told| told.line("x-original_uri: /healthz")),
    ("spelled without `-`", |told| told.line("x_forwarded_for: 1.2.3.4")),
    ("spelled without `-`", |told| told.line("X.Forwarded~Host: other.example.com")),
    ("contradict", |told| told.line("x-original-url: /healthz")),
    ("contradict", |told| told.line("x-rewrite-url: /healthz")),
    ("contradict", |told| told.line("x-original-host: other.example.com")),
    ("with another method", |told| told.at("POST /")),
    ("the method is `CONNECT`", |told| described(told, "CONNECT")),
    ("the method is `CONNECT`", |told| described(told, "connect").at("connect /")),
    ("asks at another path", |told| told.at("GET /auth")),
    ("asks at another path", |told| told.at("GET /?policy=shop/orders")),
    ("asks at another path", |told| told.at("GET /Policy/shop/orders")),
];

const REFUSED_FORWARDED: &[Change] = &[
    ("not there exactly once", |told| told.line("x-forwarded-uri: /orders/7?x=%2F")),
    ("not there exactly once", |told| told.line("X-Forwarded-Method: GET")),
    ("the scheme is there", |told| told.line("x-forwarded-proto: https")),
    ("contradict", |told| told.line("x-original-uri: /healthz")),
    ("contradict", |told| told.line("x-original-method: POST")),
];

const REFUSED_ORIGINAL: &[Change] = &[
    ("not there exactly once", |told| told.line("x-original-uri: /orders/7?x=%2F")),
    ("not there exactly once", |told| told.line("x-original-method: GET")),
    ("contradict", |told| told.line("x-forwarded-uri: /healthz")),
    ("contradict", |told| told.line("x-forwarded-method: HEAD")),
];

const REFUSED_ITSELF: &[Change] = &[
    ("`host` is not there", |told| told.without("host")),
    ("`host` is not there", |told| told.line("host: orders.example.com")),
    ("has an authority", |told| told.at("CONNECT orders.example.com:443")),
    ("the method is `CONNECT`", |told| told.at("CONNECT /orders/7")),
    ("has an authority", |told| told.at("GET http://orders.example.com/orders/7")),
];

/// The same with another method in the headers.
fn described(mut told: Told, method: &str) -> Told {
    for line in &mut told.lines {
        if let Some((name, _)) = line.split_once(": ").filter(|(name, _)| name.to_lowercase().ends_with("-method")) {
            *line = format!("{name}: {method}");
        }
    }
    told
}

fn refused(dialect: &str) -> Vec<Change> {
    let own: &[&[Change]] = match dialect {
        "envoy" => &[REFUSED, REFUSED_ITSELF],
        "nginx" => &[REFUSED, REFUSED_IN_HEADERS, REFUSED_ORIGINAL],
        _ => &[REFUSED, REFUSED_IN_HEADERS, REFUSED_FORWARDED],
    };
    own.concat()
}

#[test]
fn what_is_missing_repeated_aliased_or_contradictory_is_refused_and_said() {
    runtime().block_on(async {
        let house = house().await;
        let reader = house.token("bob");
        for dialect in DIALECTS {
            let good = Told::new(dialect, READ).bearer(&reader).line("x-request-id: joined-by-this");
            assert_eq!(good.outcome(house).await, "200");
            let bad = if dialect == "nginx" { 403 } else { 400 };
            for (why, change) in refused(dialect) {
                let told = change(good.clone());
                let answer = house.ask(dialect, &told.text()).await;
                assert_eq!(answer.outcome(), format!("{bad} request_malformed"), "{dialect}: {why}");
                let decision = answer.json()["decision_id"].as_str().unwrap().to_owned();
                let record = house.entrance.audited(&decision).await;
                assert!(record.to_string().contains(why), "{dialect}: {why} in {record}");
                assert!(record.to_string().contains("joined-by-this"), "{record}");
            }
        }
    });
}

#[test]
fn a_second_word_that_says_the_same_contradicts_nothing() {
    runtime().block_on(async {
        let house = house().await;
        let reader = house.token("bob");
        for dialect in ["traefik", "nginx", "caddy"] {
            let told = Told::new(dialect, READ).bearer(&reader).line("x-original-url: /orders/7?x=%2F");
            assert_eq!(told.at("GET /").outcome(house).await, "200", "{dialect}");
        }
        let posted = Told::new("traefik", ("POST", "orders.example.com", "/orders")).at("POST /").bearer(&reader);
        assert_eq!(posted.outcome(house).await, "403 role_missing");
    });
}

#[test]
fn the_address_that_a_proxy_asks_at_names_the_policy() {
    runtime().block_on(async {
        let house = house().await;
        let reader = house.token("bob");
        let elsewhere = ("GET", "gateway.internal", "/orders/7");
        for dialect in ["traefik", "nginx", "caddy"] {
            let told = Told::new(dialect, elsewhere).bearer(&reader);
            for (at, outcome) in [
                ("GET /", "403 no_policy_for_host"),
                ("GET /policy/shop/orders", "200"),
                ("GET /application/shop/orders-api", "200"),
                ("GET /policy/shop/nobody", "403 scope_unknown"),
                ("GET /policy/", "403 scope_unknown"),
            ] {
                assert_eq!(told.clone().at(at).outcome(house).await, outcome, "{dialect} {at}");
            }
        }
    });
}

#[test]
fn a_socket_is_asked_like_a_port_and_the_log_knows_the_client() {
    runtime().block_on(async {
        let house = house().await;
        let mut stream = UnixStream::connect(&house.socket).await.unwrap();
        let told = Told::new("caddy", READ).bearer(&house.token("bob")).line("connection: close");
        stream.write_all(told.text().as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        let id = said.lines().find_map(|line| line.strip_prefix("x-entrance-decision: ")).unwrap();
        let record = house.entrance.audited(id).await.to_string();
        assert!(record.contains("10.0.0.7") && !record.contains("203.0.113.9"), "{record}");
        assert!(record.contains("/orders/7") && !record.contains("x=%2F"), "{record}");
    });
}

#[test]
fn peers_that_are_not_named_get_no_answer() {
    runtime().block_on(async {
        let ground = Ground::prepare(&[]).await;
        let at = port();
        let listen = format!("traefik={at}");
        let arguments = ["--listen-http", &listen, "--http-peer", "10.0.0.0/8", "--http-peer", "::1"];
        let entrance = ground.entrance(Link::Tcp, &arguments).await;
        entrance.ready().await;
        let mut stream = TcpStream::connect(at).await.unwrap();
        let told = Told::new("traefik", ("GET", "orders.example.com", "/healthz")).text();
        // the connection may be gone before the last byte is written
        let (Ok(()) | Err(_)) = stream.write_all(told.as_bytes()).await;
        let mut said = Vec::new();
        let (Ok(_) | Err(_)) = stream.read_to_end(&mut said).await;
        assert!(said.is_empty(), "{said:?}");
        // The log is written by a thread of its own.
        until("the log tells of the peer", async || entrance.process.said().contains("refused a peer").then_some(()))
            .await;
    });
}

#[test]
fn before_there_are_policies_nothing_passes() {
    runtime().block_on(async {
        let ground = Ground::prepare(&[]).await;
        ground.policies.remove("application.yaml");
        ground.policies.remove("policy.yaml");
        let at = port();
        let entrance =
            ground.entrance(Link::Tcp, &["--listen-http", &format!("envoy={at}"), "--http-peer", "127.0.0.0/8"]).await;
        let told = Told::new("envoy", ("GET", "orders.example.com", "/healthz")).text();
        let answer = Wire::connect(at).await.send(told.as_bytes()).await.unwrap();
        assert!(["503 policy_unavailable", "403 no_policy_for_host"].contains(&&*answer.outcome()), "{answer:?}");
        drop(entrance);
    });
}

/// However a head comes: at once, or in pieces.
#[test]
fn a_head_is_as_long_as_the_bound_and_no_longer() {
    const BOUND: usize = 64 * 1024;
    runtime().block_on(async {
        let house = house().await;
        let told = Told::new("caddy", READ).bearer(&house.token("bob"));
        let head = |length: usize| {
            let rest = length - told.clone().line("x-a: ").text().len();
            told.clone().line(&format!("x-a: {}", "a".repeat(rest))).text()
        };
        for (length, status) in [(BOUND - 256, 200), (BOUND + 1, 431), (BOUND + 20_000, 431)] {
            let text = head(length);
            for piece in [text.len(), 4096] {
                let mut stream = TcpStream::connect(house.ports["caddy"]).await.unwrap();
                stream.set_nodelay(true).unwrap();
                for bytes in text.as_bytes().chunks(piece) {
                    // it may have been answered before its end
                    let (Ok(()) | Err(_)) = stream.write_all(bytes).await;
                    tokio::task::yield_now().await;
                }
                let mut start = [0; 12];
                // what is not read any more may take the answer with it
                let is_lost = stream.read_exact(&mut start).await.is_err() && status == 431;
                let is_right = start == *format!("HTTP/1.1 {status}").as_bytes();
                assert!(is_lost || is_right, "{length} in pieces of {piece}: {start:?}");
            }
        }
    });
}
