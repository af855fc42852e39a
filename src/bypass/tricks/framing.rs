//! Requests hidden in the body of another one: two servers disagree on where a message ends (RFC 9112 §6 and §11.2).
//!
//! The outer request is for what is open. The inner one is for what is protected, and has the bare nonce: it arrives only
//! if somebody took a body for a request.

use crate::bypass::family::Family;
use crate::bypass::script::{NONCE, Permitted, Script};
use crate::bypass::trick::{Album, Ground, Request, Sent, Step};

/// Hidden requests.
pub(super) fn album(ground: &Ground) -> Album {
    let mut album = Album::of(Family::Framing);
    for (name, lines) in CODINGS {
        both_ways(&mut album, ground, (name, lines));
    }
    lengths(&mut album, ground);
    chunks(&mut album, ground);
    breaks(&mut album, ground);
    album
}

/// Two answers may come: one for each request.
fn conversation(script: Script) -> Sent {
    Sent::Http1(vec![Step { script, answers: 2 }])
}

fn outer(ground: &Ground) -> Request {
    ground.get(&ground.open).method("POST")
}

/// Ways to say that a body comes in chunks which not everybody understands.
const CODINGS: [(&str, &[&str]); 22] = [
    ("Transfer-Encoding", &["Transfer-Encoding: chunked"]),
    ("a space before the colon", &["Transfer-Encoding : chunked"]),
    ("a tab for a space", &["Transfer-Encoding:\tchunked"]),
    ("a vertical tab for a space", &["Transfer-Encoding:\x0bchunked"]),
    ("no space", &["Transfer-Encoding:chunked"]),
    ("another word", &["Transfer-Encoding: xchunked"]),
    ("upper case", &["Transfer-Encoding: CHUNKED"]),
    ("a list that ends in identity", &["Transfer-Encoding: chunked, identity"]),
    ("a list that begins with identity", &["Transfer-Encoding: identity, chunked"]),
    ("identity", &["Transfer-Encoding: identity"]),
    ("chunked twice in a list", &["Transfer-Encoding: chunked, chunked"]),
    ("chunked twice", &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]),
    ("another word in a second line", &["Transfer-Encoding: chunked", "Transfer-Encoding: x"]),
    ("another word in a first line", &["Transfer-Encoding: x", "Transfer-Encoding: chunked"]),
    ("quotes", &["Transfer-Encoding: \"chunked\""]),
    ("a parameter", &["Transfer-Encoding: chunked;x=1"]),
    ("a NUL", &["Transfer-Encoding: chunked\0"]),
    ("a folded value", &["Transfer-Encoding:\r\n chunked"]),
    ("a folded name", &["x: y", " Transfer-Encoding: chunked"]),
    ("a line feed before", &["x: y\nTransfer-Encoding: chunked"]),
    ("a carriage return before", &["x: y\rTransfer-Encoding: chunked"]),
    ("an underscore", &["Transfer_Encoding: chunked"]),
];

/// A request with lines as they are, the length last.
fn with_lines(request: &Request, lines: &[&str], length: Option<usize>, body: Script) -> Script {
    let mut script = request.head();
    for line in lines {
        script = script.then(line).then("\r\n");
    }
    let length = length.map(|length| format!("Content-Length: {length}\r\n"));
    script.then(length.unwrap_or_default()).then("\r\n").and(body)
}

fn both_ways(album: &mut Album, ground: &Ground, (name, lines): (&str, &[&str])) {
    let inner = || ground.get(&ground.guarded).script();
    // The length counts for the first server, chunks for the second: the rest is a request.
    let hidden = Script::of("0\r\n\r\n").and(inner());
    let length = hidden.length();
    album.add(format!("CL.TE: {name}"), conversation(with_lines(&outer(ground), lines, Some(length), hidden)));
    // Chunks count for the first server, the length for the second: the chunk is a request.
    let chunk = inner();
    let size = format!("{:x}\r\n", chunk.length());
    let body = Script::of(&size).and(chunk).then("\r\n0\r\n\r\n");
    album.add(format!("TE.CL: {name}"), conversation(with_lines(&outer(ground), lines, Some(size.len()), body)));
    // Neither has a length.
    let hidden = Script::of("0\r\n\r\n").and(inner());
    album.add(format!("TE.0: {name}"), conversation(with_lines(&outer(ground), lines, None, hidden)));
}

/// Lengths that not everybody reads alike.
fn lengths(album: &mut Album, ground: &Ground) {
    let inner = || ground.get(&ground.guarded).script();
    let length = inner().length();
    let cases: [(&str, Vec<String>); 16] = [
        ("0 and the length", vec!["Content-Length: 0".into(), format!("Content-Length: {length}")]),
        ("the length and 0", vec![format!("Content-Length: {length}"), "Content-Length: 0".into()]),
        ("a list with 0 first", vec![format!("Content-Length: 0, {length}")]),
        ("a list with 0 second", vec![format!("Content-Length: {length}, 0")]),
        ("a plus sign", vec![format!("Content-Length: +{length}")]),
        ("a minus sign", vec!["Content-Length: -1".into()]),
        ("hexadecimal", vec![format!("Content-Length: 0x{length:x}")]),
        ("leading zeros", vec![format!("Content-Length: 000{length}")]),
        ("a space before the colon", vec![format!("Content-Length : {length}")]),
        ("an underscore", vec![format!("Content_Length: {length}")]),
        ("an exponent", vec!["Content-Length: 1e2".into()]),
        ("a fraction", vec!["Content-Length: 0.5".into()]),
        ("nothing", vec!["Content-Length:".into()]),
        ("more than 64 bits", vec!["Content-Length: 18446744073709551616".into()]),
        ("a folded value", vec![format!("Content-Length:\r\n {length}")]),
        ("none", Vec::new()),
    ];
    for (name, lines) in cases {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for (method, request) in [("POST", outer(ground)), ("GET", ground.get(&ground.open))] {
            let script = with_lines(&request, &lines, None, inner());
            album.add(format!("a length with {name}, {method}"), conversation(script));
        }
    }
}

/// Chunks that not everybody reads alike.
fn chunks(album: &mut Album, ground: &Ground) {
    let inner = || ground.get(&ground.guarded).script();
    let cases: [(&str, &str, &str); 16] = [
        ("an extension with a line feed", "0;x\n\r\n\r\n", ""),
        ("a quoted line break", "0;x=\"\r\n\r\n", "\""),
        ("a size with 0x", "0x0\r\n\r\n", ""),
        ("a size with a plus sign", "+0\r\n\r\n", ""),
        ("a size with a minus sign", "-1\r\n\r\n", ""),
        ("a size with an underscore", "0_0\r\n\r\n", ""),
        ("a size that overflows", "10000000000000000\r\n", ""),
        ("a size with a space", "0 \r\n\r\n", ""),
        ("line feeds alone", "0\n\n", ""),
        ("carriage returns alone", "0\r\r", ""),
        ("no end of a chunk", "1\r\nA0\r\n\r\n", ""),
        ("two bytes more", "1\r\nAXX\r\n0\r\n\r\n", ""),
        ("an empty size", "\r\n\r\n", ""),
        ("a trailer that is a request line", "0\r\nGET /x HTTP/1.1\r\n\r\n", ""),
        ("a trailer that tells a length", "0\r\nContent-Length: 5\r\n\r\n", ""),
        ("many zeros", "00000000000000000000\r\n\r\n", ""),
    ];
    for (name, begin, end) in cases {
        let body = Script::of(begin).and(inner()).then(end);
        let script = with_lines(&outer(ground), &["Transfer-Encoding: chunked"], None, body);
        album.add(format!("chunks: {name}"), conversation(script));
    }
}

/// A line break where somebody sees none.
fn breaks(album: &mut Album, ground: &Ground) {
    let inner = |end: &str| {
        let (guarded, host) = (&ground.guarded, &ground.host);
        let head = Script::of(format!("GET {guarded} HTTP/1.1{end}host: {host}{end}"));
        head.then(format!("{}: ", NONCE)).and(Script::nonce(Permitted::No)).then(format!("{end}{end}"))
    };
    for (name, end) in [
        ("a line feed", "\n"),
        ("a carriage return", "\r"),
        ("NUL", "\0"),
        ("escaped line breaks", "%0d%0a"),
        ("escaped line feeds", "%0a"),
        ("letters that end in line breaks", "\u{560d}\u{560a}"),
        ("a next line", "\u{85}"),
    ] {
        let request = ground.get(&ground.open).scripted("x", Script::of(format!("y{end}{end}")).and(inner(end)));
        album.add(format!("{name} in a header"), conversation(request.script()));
        let (open, host) = (&ground.open, &ground.host);
        let line = Script::of(format!("GET {open}?x{end}host: {host}{end}{end}")).and(inner(end));
        let line = line.then(format!(" HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        album.add(format!("{name} in the target"), conversation(line));
        let agent = ground.get(&ground.open).scripted(format!("x{end}{end}GET"), inner(end));
        album.add(format!("{name} in a name"), conversation(agent.script()));
    }
}
