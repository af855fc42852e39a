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
    let settings = |request: Request| request.header("http2-settings", "AAMAAABkAAQAoAAAAAIAAAAA");
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
    let preface = Script::of("PRI * HTTP/2.0\r\n\r\n").and(ground.get(&ground.guarded).script());
    album.add("the preface of HTTP/2, then HTTP/1.1", two(preface));
}

fn two(script: Script) -> Sent {
    Sent::Http1(vec![Step { script, answers: 2 }])
}
