//! Headers by which the authorizer tells the upstream who calls: nobody else may set them, in whatever spelling.
//!
//! CVE-2025-64484, CVE-2026-52845: a name with `_` for `-` survived, and the server behind folded both into one. Others
//! fold more: to lighttpd `x~user` and `x.user` are `x-user`, too.

use crate::bypass::family::Family;
use crate::bypass::script::Script;
use crate::bypass::trick::{Album, Ground, Request};

/// The value of every header that is made up.
pub(in crate::bypass) const SPOOF: &str = "bypass-spoof";

/// Each name in each spelling, on an open path and on the protected one with the right token.
pub(super) fn album(ground: &Ground) -> Album {
    let mut album = Album::of(Family::Identity);
    for name in &ground.identity {
        for spelling in spellings(name) {
            let shown = spelling.escape_debug().to_string();
            for (way, request) in ways(ground) {
                album.add(format!("{way} with {shown}"), request.header(&spelling, SPOOF).http1());
            }
            let lower = spelling.to_ascii_lowercase();
            album.add(format!("open with {shown}, HTTP/2"), ground.get(&ground.open).header(lower, SPOOF).http2());
        }
        for (way, request) in ways(ground) {
            several(&mut album, (way, name), &request);
        }
    }
    album
}

fn ways(ground: &Ground) -> [(&'static str, Request); 2] {
    [("open", ground.get(&ground.open)), ("permitted", ground.permitted(&ground.guarded))]
}

/// More than one line of it, or hidden in another.
fn several(album: &mut Album, (way, name): (&str, &str), request: &Request) {
    let spoof = |value: &str| request.clone().header(name, value);
    album.add(format!("{way} with {name} twice"), spoof(SPOOF).header(name, SPOOF).http1());
    album.add(format!("{way} with {name} in a list"), spoof(&format!("x, {SPOOF}")).http1());
    album.add(format!("{way} with {name} folded"), spoof(&format!("\r\n {SPOOF}")).http1());
    album.add(format!("{way} with {name} named in Connection"), spoof(SPOOF).header("connection", name).http1());
    let hidden = request.clone().header("x", format!("y\n{name}: {SPOOF}"));
    album.add(format!("{way} with {name} behind a line feed"), hidden.http1());
    let hidden = request.clone().header("x", format!("y\r{name}: {SPOOF}"));
    album.add(format!("{way} with {name} behind a carriage return"), hidden.http1());
    let injected = request.clone().header("x", format!("y\r\n{name}: {SPOOF}"));
    album.add(format!("{way} with {name} behind a line break, HTTP/2"), injected.http2());
    let trailers = format!("2\r\n{{}}\r\n0\r\n{name}: {SPOOF}\r\n\r\n");
    let chunked = request.clone().method("POST").header("transfer-encoding", "chunked").header("trailer", name);
    album.add(format!("{way} with {name} as a trailer"), chunked.body(trailers).http1());
    let mut stream = request.clone().method("POST").body("{}").stream();
    stream.trailers.push((Script::of(name.to_ascii_lowercase()), Script::of(SPOOF)));
    album.add(format!("{way} with {name} as a trailer, HTTP/2"), crate::bypass::trick::Sent::Http2(vec![stream]));
}

fn spellings(name: &str) -> Vec<String> {
    let capital: String = name
        .split('-')
        .map(|word| word.split_at_checked(1).map_or(String::new(), |(head, tail)| head.to_uppercase() + tail))
        .collect::<Vec<_>>()
        .join("-");
    let under = name.replace('-', "_");
    let mixed = name.replacen('-', "_", 1);
    let last = name.rsplit_once('-').map_or(name.to_owned(), |(head, tail)| format!("{head}_{tail}"));
    let mut all = vec![name.to_owned(), name.to_uppercase(), capital, under.to_uppercase(), under, mixed, last];
    all.extend(["~", ".", "!", "'"].map(|other| name.replace('-', other)));
    all.extend([
        name.replacen('-', "'", 1).replacen('-', "|", 1),
        format!("{name} "),
        format!("{name}\t"),
        format!(" {name}"),
        format!("{name}\0"),
        format!("\"{name}\""),
    ]);
    all
}
