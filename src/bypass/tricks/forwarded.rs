//! Headers that tell of another request than the one that is sent: they must lead neither the authorizer nor the upstream.
//!
//! CVE-2026-40575, CVE-2026-39858: an authorizer believed a client's `X-Forwarded-Uri` and `X-Forwarded-Prefix`.

use crate::bypass::family::Family;
use crate::bypass::trick::{Album, Ground};

/// Headers whose value is a path.
const PATHS: [&str; 17] = [
    "X-Original-URL",
    "X-Original-URI",
    "X-Rewrite-URL",
    "X-Forwarded-Uri",
    "X-Forwarded-Url",
    "X-Forwarded-Path",
    "X-Forwarded-Prefix",
    "X-Envoy-Original-Path",
    "X-Envoy-Original-Url",
    "X-Request-Uri",
    "X-Path",
    "X-Proxy-Url",
    "X-Custom-Url",
    "X-Script-Name",
    "X-Accel-Redirect",
    "X-Sendfile",
    "Referer",
];

/// Those that IIS and its kin take for the path of the request, and frameworks that run behind it.
const BELIEVED: [&str; 2] = ["X-Original-URL", "X-Rewrite-URL"];

/// Those whose value servers take off the path before they look for a handler, and the one that is the path.
const ROOTS: [&str; 6] = ["SCRIPT_NAME", "Script-Name", "X-Script-Name", "X_Script_Name", "PATH_INFO", "Path-Info"];

/// Headers that tell where a request comes from, how it was sent, or that it was checked.
const CLAIMS: [(&str, &str); 40] = [
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Forwarded-For", "10.0.0.1, 127.0.0.1"),
    ("X-Real-IP", "127.0.0.1"),
    ("X-Client-IP", "127.0.0.1"),
    ("X-Originating-IP", "127.0.0.1"),
    ("X-Remote-Addr", "127.0.0.1"),
    ("X-Cluster-Client-IP", "127.0.0.1"),
    ("True-Client-IP", "127.0.0.1"),
    ("CF-Connecting-IP", "127.0.0.1"),
    ("Forwarded", "for=127.0.0.1;proto=https;by=127.0.0.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Scheme", "https"),
    ("X-Forwarded-Port", "443"),
    ("X-Forwarded-Method", "OPTIONS"),
    ("X-Forwarded-Client-Cert", "By=spiffe://a/b;URI=spiffe://a/admin"),
    ("X-Forwarded-User", "admin"),
    ("X-Forwarded-Email", "admin@example.com"),
    ("X-Forwarded-Groups", "admin"),
    ("X-Forwarded-Access-Token", "admin"),
    ("X-Auth-Request-User", "admin"),
    ("X-Remote-User", "admin"),
    ("Remote-User", "admin"),
    ("X-User", "admin"),
    ("X-Authenticated", "true"),
    ("X-Internal", "true"),
    ("X-Envoy-Internal", "true"),
    ("X-Envoy-External-Address", "127.0.0.1"),
    ("X-Envoy-Auth-Failure-Mode-Allowed", "true"),
    ("X-Envoy-Auth-Partial-Body", "true"),
    ("X-Envoy-Decorator-Operation", "open"),
    ("X-Envoy-Force-Trace", "true"),
    ("X-Envoy-Original-Dst-Host", "127.0.0.1:1"),
    ("X-Envoy-Upstream-Rq-Timeout-Ms", "1"),
    ("X-Envoy-Expected-Rq-Timeout-Ms", "0"),
    ("X-Envoy-Retry-On", "5xx"),
    ("X-Ext-Authz", "allow"),
    ("X-Ext-Authz-Check-Result", "allowed"),
    ("X-Ext-Authz-Check-Received", "skip"),
    ("Connection", "authorization"),
    ("Connection", "close, x-bypass-nonce, authorization, host"),
];

/// Paths, and claims.
pub(super) fn album(ground: &Ground) -> Album {
    let mut album = Album::of(Family::Forwarded);
    let Ground { guarded, open, host, .. } = ground;
    for name in PATHS {
        for spelling in [name.to_owned(), name.replace('-', "_")] {
            album.both(&format!("GET {guarded} with {spelling}: {open}"), &ground.get(guarded).header(&spelling, open));
            album.both(&format!("GET {open} with {spelling}: {guarded}"), &ground.get(open).header(&spelling, guarded));
        }
        let url = format!("http://{host}{open}");
        album.both(&format!("GET {guarded} with {name}: {url}"), &ground.get(guarded).header(name, &url));
    }
    for (name, value) in CLAIMS {
        // HTTP/2 has no `Connection`
        let request = ground.get(guarded).header(name, value);
        album.both(&format!("GET {guarded} with {name}: {value}"), &request);
    }
    for name in BELIEVED {
        believed(&mut album, ground, name);
    }
    roots(&mut album, ground);
    album
}

/// A protected path below an open one, whose first part is said to be where the application begins.
fn roots(album: &mut Album, ground: &Ground) {
    let Ground { guarded, open, .. } = ground;
    let folder = ground.open_folder();
    let below = format!("{folder}{guarded}");
    for name in ROOTS {
        for value in [folder, guarded, ""] {
            album.both(&format!("GET {below} with {name}: {value}"), &ground.get(&below).header(name, value));
            album.both(&format!("GET {open} with {name}: {value}"), &ground.get(open).header(name, value));
        }
    }
    let twice = ground.get(&below).header("SCRIPT_NAME", "").header("SCRIPT_NAME", folder);
    album.both(&format!("GET {below} with SCRIPT_NAME that is empty, and again: {folder}"), &twice);
}

/// Other spellings of a path than one that somebody compares with, more than one, and one that agrees with the request, but
/// is read differently.
fn believed(album: &mut Album, ground: &Ground, name: &str) {
    let Ground { guarded, open, host, .. } = ground;
    let (folder, (first, rest)) = (ground.open_folder(), ground.guarded_parts());
    let escaped: String = first.bytes().map(|letter| format!("%{letter:02x}")).collect();
    for value in [
        format!("{guarded}?x"),
        format!("{guarded}#"),
        format!("http://{host}{guarded}"),
        format!("//{host}{guarded}"),
        format!("/{escaped}{rest}"),
        format!("{folder}/..{guarded}"),
        format!("{guarded},{open}"),
        format!("\t{guarded}"),
        guarded.trim_start_matches('/').to_owned(),
    ] {
        let shown = value.escape_debug();
        album.both(&format!("GET {open} with {name}: {shown}"), &ground.get(open).header(name, &value));
    }
    for (one, other) in [(open, guarded), (guarded, open)] {
        let twice = ground.get(open).header(name, one).header(name, other);
        album.both(&format!("GET {open} with {name}: {one} and again: {other}"), &twice);
        let under = ground.get(open).header(name, one).header(name.replacen('-', "_", 1), other);
        album.both(&format!("GET {open} with {name}: {one} and with an underscore: {other}"), &under);
    }
    for target in [format!("//x{guarded}"), format!("{folder}/..{guarded}"), format!("{open}?x#{guarded}")] {
        let same = ground.get(&target).header(name, &target);
        album.both(&format!("GET {target} with the same in {name}"), &same);
    }
}
