//! Every path that some server, somewhere, reads in a request target.
//!
//! Written for breadth, without a line of the product: servers decode once or twice, fold backslashes and empty
//! segments, drop `;` parameters, resolve dot segments, stop at NUL, drop control bytes, take `//host` for an authority,
//! decode overlong UTF-8 and `%u` escapes, look for `?` and `#` after decoding, and do all of that in any order. Not
//! among the readings: a server that trims spaces, and one that folds case.

use std::collections::BTreeSet;

/// More readings than a path of a test has.
const MOST: usize = 20_000;

/// Whether some server reads the target as a path that only those with a role may reach.
pub(crate) fn protected(target: &str) -> bool {
    let only_with_a_role = |path: &Vec<u8>| path == b"/admin" || path == b"/@admin" || path.starts_with(b"/admin/");
    readings(target).iter().any(only_with_a_role)
}

fn readings(target: &str) -> BTreeSet<Vec<u8>> {
    let end = target.find(['?', '#']).unwrap_or(target.len());
    let mut found = BTreeSet::from([target.as_bytes()[..end].to_vec()]);
    let mut fresh: Vec<Vec<u8>> = found.iter().cloned().collect();
    while let Some(path) = fresh.pop() {
        for step in [decoded, slashes, merged, plain, resolved, cut, printable, without_authority] {
            let next = step(&path);
            if found.insert(next.clone()) {
                fresh.push(next);
            }
        }
        assert!(found.len() < MOST, "too many readings of {target}");
    }
    found
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        let (value, after) = (*byte == b'%').then(|| escape(after)).flatten().unwrap_or((*byte, after));
        out.push(value);
        rest = after;
    }
    overlong(&out)
}

/// `%41` and `%u0041`, without their percent sign.
fn escape(after: &[u8]) -> Option<(u8, &[u8])> {
    let hex = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    if let Some(long) = after.strip_prefix(b"u") {
        let value = hex(long.get(..4)?)?;
        return Some((u8::try_from(value).ok()?, long.get(4..)?));
    }
    let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    Some((u8::try_from(hex(digits)?).ok()?, after.get(2..)?))
}

/// Two bytes for what is one in UTF-8.
fn overlong(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.first()) {
            (0xc0 | 0xc1, Some(next @ 0x80..=0xbf)) => {
                out.push((byte & 1) << 6 | next & 0x3f);
                rest = &after[1..];
            }
            _ => out.push(*byte),
        }
    }
    out
}

fn slashes(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

fn merged(path: &[u8]) -> Vec<u8> {
    let last = path.last() == Some(&b'/');
    let kept: Vec<&[u8]> = segments(path).filter(|segment| !segment.is_empty()).collect();
    let mut out = [b"/", &kept.join(&b'/')[..]].concat();
    if last && out.len() > 1 {
        out.push(b'/');
    }
    out
}

/// Without `;` parameters.
fn plain(path: &[u8]) -> Vec<u8> {
    let name = |segment: &'_ [u8]| segment.split(|byte| *byte == b';').next().unwrap().to_vec();
    segments(path).map(name).collect::<Vec<_>>().join(&b'/')
}

/// RFC 3986 §5.2.4.
fn resolved(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in segments(path) {
        match segment {
            b"." => {}
            b".." => {
                if kept.len() > 1 {
                    kept.pop();
                }
            }
            _ => kept.push(segment),
        }
    }
    kept.join(&b'/')
}

fn cut(path: &[u8]) -> Vec<u8> {
    path.split(|byte| matches!(byte, 0 | b'?' | b'#')).next().unwrap().to_vec()
}

fn printable(path: &[u8]) -> Vec<u8> {
    path.iter().copied().filter(|byte| !byte.is_ascii_control()).collect()
}

fn without_authority(path: &[u8]) -> Vec<u8> {
    let scheme = [&b"http://"[..], b"https://", b"//"];
    let Some(rest) = scheme.iter().find_map(|scheme| path.strip_prefix(*scheme)) else { return path.to_vec() };
    let at = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    rest[at..].to_vec()
}

#[test]
fn servers_that_are_led_astray_are_recognised() {
    for target in [
        "/admin",
        "/admin/users?x",
        "/%40admin",
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/%252e%252e/admin",
        "/public/..%2fadmin",
        "/public/..%5Cadmin/x",
        "/public\\..\\admin",
        "/public/..;a=b/admin",
        "/public/%2e%2e%3b/admin",
        "//admin/x",
        "//public.example/admin/x",
        "/;/admin",
        "/%61dmin",
        "/admin;x=1/y",
        "/admin%00.html",
        "/admin%3Fx",
        "/admin%23",
        "/ad%09min",
        "/x/%c0%ae%c0%ae/admin",
        "/x/..%c0%afadmin",
        "/x/%u002e%u002e/admin",
        "http://paths.example.com/admin",
    ] {
        assert!(protected(target), "{target}");
    }
    for target in ["/", "/public/admin", "/administrator", "/x?/admin", "/ADMIN", "/a/b/../admin"] {
        assert!(!protected(target), "{target}");
    }
}
