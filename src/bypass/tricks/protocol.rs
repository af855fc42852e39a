//! Other versions, upgrades and expectations: does every request still get asked about, and does the tunnel stay shut?

use crate::bypass::family::Family;
use crate::bypass::script::Script;
use crate::bypass::trick::{Album, Ground, Request, Sent, Step};

/// Versions, upgrades, expectations.
pub(super) fn album(ground: &Ground) -> Album {
    let mut album = Album::of(Family::Protocol);
    let bare = || ground.get(&ground.guarded);
    let no_host: [&str; 0] = [];
    album.add("HTTP/1.0", bare().version(" HTTP/1.0").http1());
    album.add("HTTP/1.0 without a host", bare().version(" HTTP/1.0").hosts(no_host).http1());
    album.add("HTTP/1.0 kept alive", bare().version(" HTTP/1.0").header("connection", "keep-alive").http1());
    album.add("HTTP/0.9", bare().version("").hosts(no_host).http1());
    for value in ["100-continue", "100-Continue, x", "x", "", "200-ok"] {
        let request = bare().method("POST").header("expect", value);
        album.add(format!("Expect: {value} with a body"), request.clone().sized("{}").http1());
        album.add(format!("Expect: {value} without a body"), request.header("content-length", "2").http1());
    }
    for (name, value) in [
        ("te", "trailers"),
        ("max-forwards", "0"),
        ("range", "bytes=0-0"),
        ("cache-control", "only-if-cached"),
        ("if-none-match", "*"),
        ("prefer", "return=minimal"),
        ("keep-alive", "timeout=1"),
        ("priority", "u=0"),
    ] {
        album.both(&format!("{name}: {value}"), &bare().header(name, value));
    }
    upgrades(&mut album, ground);
    album
}

/// Requests for another protocol, with what would follow if somebody agreed.
fn upgrades(album: &mut Album, ground: &Ground) {
    for (name, path) in [("open", &ground.open), ("guarded", &ground.guarded)] {
        for protocol in ["h2c", "websocket", "HTTP/2.0", "TLS/1.0", "foo", "h2c, websocket", "connect-udp"] {
            let upgrade = |connection: &str| {
                let request = ground.get(path).header("connection", connection).header("upgrade", protocol);
                let request = request.header("sec-websocket-version", "13");
                settings(request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))
            };
            let begin = upgrade("Upgrade, HTTP2-Settings").script();
            let inner = ground.get(&ground.guarded);
            let plain = begin.clone().and(inner.script());
            album.add(format!("{name}: upgrade to {protocol}, then a request"), two(plain));
            let framed = begin.and(Script::frames(vec![inner.stream()]));
            album.add(format!("{name}: upgrade to {protocol}, then HTTP/2"), two(framed));
            album.add(format!("{name}: upgrade to {protocol} without Connection"), {
                let request = ground.get(path).header("upgrade", protocol).script();
                two(request.and(inner.script()))
            });
        }
        let tunnel = ground.get(path).method("CONNECT").script().and(ground.get(&ground.guarded).script());
        album.add(format!("{name}: CONNECT, then a request"), two(tunnel));
    }
    for (name, connections, protocols) in H2C {
        album.add(format!("an upgrade to h2c: {name}, then a stream"), upgraded(ground, (connections, protocols)));
    }
    let preface = Script::of("PRI * HTTP/2.0\r\n\r\n").and(ground.get(&ground.guarded).script());
    album.add("the preface of HTTP/2, then HTTP/1.1", two(preface));
}

/// Ways to ask for HTTP/2 on a connection (RFC 7540 §3.2) that some servers take for one: lines of `Connection`, and of
/// `Upgrade`.
const H2C: [(&str, &[&str], &[&str]); 13] = [
    ("as the RFC has it", &["Upgrade, HTTP2-Settings"], &["h2c"]),
    ("without its settings in Connection", &["Upgrade"], &["h2c"]),
    ("in lower case", &["upgrade, http2-settings"], &["h2c"]),
    ("in upper case", &["UPGRADE, HTTP2-SETTINGS"], &["H2C"]),
    ("in mixed case", &["uPgRaDe, HTTP2-Settings"], &["h2C"]),
    ("Connection in two lines", &["Upgrade", "HTTP2-Settings"], &["h2c"]),
    ("behind keep-alive", &["keep-alive, Upgrade, HTTP2-Settings"], &["h2c"]),
    ("without spaces", &["HTTP2-Settings,Upgrade"], &["h2c"]),
    ("in a line behind websocket", &["Upgrade, HTTP2-Settings"], &["websocket", "h2c"]),
    ("in a line before websocket", &["Upgrade, HTTP2-Settings"], &["h2c", "websocket"]),
    ("in a list behind websocket", &["Upgrade, HTTP2-Settings"], &["websocket, h2c"]),
    ("in a list before websocket", &["Upgrade, HTTP2-Settings"], &["h2c, websocket"]),
    ("in a list by itself", &["Upgrade, HTTP2-Settings"], &["h2c,"]),
];

/// What is open, with an upgrade; when it is answered, HTTP/2 with a stream for what is protected. The first number is
/// that of the request that was upgraded.
fn upgraded(ground: &Ground, (connections, protocols): (&[&str], &[&str])) -> Sent {
    let lines = |name: &'static str, values: &[&str], request: Request| {
        values.iter().fold(request, |request, value| request.header(name, value))
    };
    let open = lines("upgrade", protocols, lines("connection", connections, ground.get(&ground.open)));
    let open = settings(open.header("sec-websocket-version", "13")).script();
    let streams = Script::frames_behind_an_upgrade(vec![ground.get(&ground.guarded).stream()]);
    Sent::Http1(vec![Step { script: open, answers: 1 }, Step { script: streams, answers: 1 }])
}

fn settings(request: Request) -> Request {
    request.header("http2-settings", "AAMAAABkAAQAoAAAAAIAAAAA")
}

fn two(script: Script) -> Sent {
    Sent::Http1(vec![Step { script, answers: 2 }])
}
