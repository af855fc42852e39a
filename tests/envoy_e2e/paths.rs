//! Paths that lead astray, sent as bytes: nobody reaches what is protected, however a server reads what it gets.
//!
//! Each path of the table goes through two Envoys: one as we ship it, and one that changes nothing. The rules: `/admin`
//! and all below need a role; everything else is open to everybody, which is what an attacker hopes for. The advisories
//! that rows name are those of authorizers and proxies that fell for it.

use entrance::policy::path::Canonical;
use futures_util::future::join_all;

use crate::h2_frames;
use crate::raw_http::{Ask, Wire};
use crate::readings::protected;
use crate::shared::{self, PATHS, run};
use crate::stack::Stack;
use crate::table::TABLE;
use crate::upstream::Received;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    Reader,
    Admin,
}

async fn send(stack: &Stack, target: &str, who: Who) -> (Ask, String) {
    let mut ask = Ask::get(PATHS, target);
    match who {
        Who::Nobody => {}
        Who::Reader => ask = ask.bearer(&stack.reader()),
        Who::Admin => ask = ask.bearer(&stack.admin()),
    }
    let answer = Wire::connect(stack.envoy.address).await.send(&ask.bytes()).await;
    let outcome = answer.map_or_else(|| "closed".to_owned(), |answer| answer.outcome());
    (ask, outcome)
}

/// What the API got with this probe is what Entrance decided on, and nobody saw what is not theirs.
async fn sound(stack: &Stack, probe: &str, who: Who) -> Option<Received> {
    let received = stack.upstream.received(probe);
    let received = match &received[..] {
        [] => return None,
        [received] => received.clone(),
        more => panic!("one request became {}: {more:?}", more.len()),
    };
    let target = received.target();
    assert!(who == Who::Admin || !protected(target), "{who:?} reached {target}");
    let canonical = Canonical::parse(target.as_bytes()).unwrap_or_else(|fault| panic!("{target}: {fault}"));
    let record = stack.entrance.audited(received.values("x-entrance-decision")[0]).await;
    let path = target.split('?').next().unwrap();
    assert_eq!(record["http_request"]["path"], path, "Entrance decided on another path than the API got");
    let route = match canonical.as_str() {
        "/admin" => "admin",
        "/@admin" => "reserved",
        below if below.starts_with("/admin/") => "admin-below",
        _ => "everything-else",
    };
    assert_eq!(record["authorization"]["route"], route, "{target} was decided by another reading of it");
    Some(received)
}

/// Compares outcomes and collects all differences.
async fn judge(stack: &Stack, expected: impl Fn(&(&'static str, &'static str, &'static str)) -> &'static str) {
    let mut different = Vec::new();
    for row in TABLE {
        let (ask, mut outcome) = send(stack, row.0, Who::Nobody).await;
        if let Some(received) = sound(stack, &ask.probe, Who::Nobody).await {
            outcome = format!("{outcome} {}", received.target());
        }
        if outcome != expected(row) {
            different.push(format!("{}: {outcome} instead of {}", row.0, expected(row)));
        }
        for who in [Who::Reader, Who::Admin] {
            let (ask, outcome) = send(stack, row.0, who).await;
            let reached = sound(stack, &ask.probe, who).await.is_some();
            assert_eq!(reached, outcome == "200", "{} {outcome}", row.0);
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn envoy_as_shipped_and_entrance_agree_on_every_path() {
    run(async { judge(shared::tcp().await, |row| row.1).await });
}

#[test]
fn entrance_alone_refuses_what_has_two_readings() {
    run(async { judge(shared::careless().await, |row| row.2).await });
}

#[test]
fn the_table_is_as_long_as_it_should_be() {
    let mut sent: Vec<_> = TABLE.iter().map(|row| row.0).collect();
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(sent.len(), TABLE.len(), "a row stands twice");
    assert!(sent.len() >= 60);
}

/// The pseudo-headers of a request without a token.
fn fields<'a>(path: &'a str, probe: &'a str) -> Vec<(&'a str, &'a str)> {
    let pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", PATHS), (":path", path)];
    pseudo.into_iter().chain([("x-probe", probe)]).collect()
}

#[test]
fn the_same_paths_over_http2() {
    run(async {
        for stack in [shared::tcp().await, shared::careless().await] {
            // at once, because Envoy takes its time to close a connection
            join_all(TABLE.iter().map(async |(target, ..)| {
                let ask = Ask::get(PATHS, target);
                h2_frames::request(stack.envoy.address, &fields(target, &ask.probe)).await;
                sound(stack, &ask.probe, Who::Nobody).await;
            }))
            .await;
            let ask = Ask::get(PATHS, "/public/x");
            let reply = h2_frames::request(stack.envoy.address, &fields(&ask.target, &ask.probe)).await;
            assert_eq!(reply, h2_frames::Reply::Answered);
            assert!(sound(stack, &ask.probe, Who::Nobody).await.is_some(), "a plain path comes through");
        }
    });
}

/// CVE-2026-33186: a `:path` without its slash went past deny rules. CVE-2021-32779: so did a fragment.
#[test]
fn pseudo_headers_that_no_client_library_sends() {
    run(async {
        let cases: &[&[(&str, &str)]] = &[
            &[(":path", "admin")],
            &[(":path", "admin/users")],
            &[(":path", "")],
            &[(":path", "*")],
            &[(":path", "http://paths.example.com/admin")],
            &[(":path", "/public/#/../admin")],
            &[(":path", "/public /admin")],
            &[(":path", "/public\r\n/admin")],
            &[(":path", "/public"), (":path", "/admin")],
            &[(":path", "/public"), (":path", "/admin"), (":path", "/public")],
            &[(":path", "/public"), (":authority", "orders.example.com")],
            &[(":path", "/admin"), (":scheme", "ftp")],
            &[(":path", "/admin"), (":authority", "user@paths.example.com")],
            &[(":path", "/admin"), (":method", "GET /public HTTP/1.1")],
            &[(":path", "/admin"), (":method", "get")],
            &[(":path", "/admin"), ("host", "shadow.example.com")],
            &[(":path", "/admin"), ("host", "shadow.example.com"), ("host", "paths.example.com")],
        ];
        for stack in [shared::tcp().await, shared::careless().await] {
            join_all(cases.iter().map(async |case| {
                let ask = Ask::get(PATHS, "/");
                let usual = [(":method", "GET"), (":scheme", "http"), (":authority", PATHS)];
                let usual = usual.into_iter().filter(|(name, _)| case.iter().all(|(given, _)| given != name));
                let fields: Vec<_> = usual.chain(case.iter().copied()).chain([("x-probe", &*ask.probe)]).collect();
                // pseudo-headers come first
                let (pseudo, regular): (Vec<_>, Vec<_>) =
                    fields.into_iter().partition(|(name, _)| name.starts_with(':'));
                h2_frames::request(stack.envoy.address, &[pseudo, regular].concat()).await;
                assert_eq!(stack.upstream.received(&ask.probe).len(), 0, "{case:?}");
            }))
            .await;
        }
    });
}

/// A request line, or hosts, that Envoy reads in its own way: nothing protected is reached.
#[test]
fn request_lines_that_lead_astray() {
    run(async {
        let heads = [
            "GET http://paths.example.com/admin HTTP/1.1\r\nhost: shadow.example.com\r\n",
            "GET http://shadow.example.com/admin HTTP/1.1\r\nhost: paths.example.com\r\nhost: paths.example.com\r\n",
            "GET //paths.example.com/admin HTTP/1.1\r\nhost: paths.example.com\r\n",
            "GET admin HTTP/1.1\r\nhost: paths.example.com\r\n",
            "GET /admin HTTP/1.1\r\nhost: paths.example.com\r\nhost: shadow.example.com\r\n",
            "GET /admin HTTP/1.1\r\nhost: shadow.example.com, paths.example.com\r\n",
            "GET /admin HTTP/1.1\r\nhost: shadow.example.com@paths.example.com\r\n",
            "GET /admin HTTP/1.1\r\nhost: paths.example.com/\r\n",
            "GET /admin HTTP/1.1\r\nhost: PATHS.example.com.:80\r\n",
            "GET /admin HTTP/1.1\r\nhost: paths.example.com:80:80\r\n",
            "GET /admin HTTP/1.1\r\n",
            "GET /admin HTTP/1.0\r\nhost: paths.example.com\r\n",
            "get /admin HTTP/1.1\r\nhost: paths.example.com\r\n",
            "G\u{0}ET /admin HTTP/1.1\r\nhost: paths.example.com\r\n",
            "GET  /admin HTTP/1.1\r\nhost: paths.example.com\r\n",
            "GET\t/admin HTTP/1.1\r\nhost: paths.example.com\r\n",
            "GET /public /admin HTTP/1.1\r\nhost: paths.example.com\r\n",
            "CONNECT paths.example.com:80 HTTP/1.1\r\nhost: paths.example.com\r\n",
            "OPTIONS * HTTP/1.1\r\nhost: paths.example.com\r\n",
            "GET /public HTTP/1.1\r\nhost: paths.example.com\r\nx-original-url: /admin\r\nx-rewrite-url: /admin\r\n\
             x-forwarded-uri: /admin\r\nx-forwarded-prefix: /admin\r\nx-envoy-original-path: /admin\r\n",
        ];
        for stack in [shared::tcp().await, shared::careless().await] {
            for head in heads {
                let ask = Ask::get(PATHS, "/");
                let bytes = format!("{head}x-probe: {}\r\n\r\n", ask.probe);
                Wire::connect(stack.envoy.address).await.send(bytes.as_bytes()).await;
                for received in stack.upstream.received(&ask.probe) {
                    let host = received.values("host").join(",");
                    let elsewhere = host == "shadow.example.com";
                    assert!(elsewhere || !protected(received.target()), "{head:?} became {received:?}");
                }
            }
        }
    });
}
