//! Methods: those that somebody forgot, those that somebody misreads, and headers that ask for another one.

use crate::bypass::family::Family;
use crate::bypass::trick::{Album, Ground};

const METHODS: [&str; 34] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "PROPPATCH",
    "SEARCH",
    "MOVE",
    "COPY",
    "LOCK",
    "UNLOCK",
    "MKCOL",
    "REPORT",
    "PURGE",
    "DEBUG",
    "TRACK",
    "LINK",
    "QUERY",
    "get",
    "Get",
    "gET",
    "FOO",
    "G-E-T",
    "GET_",
    "GETT",
    "GE\tT",
    "GET\0",
    "\u{47}\u{395}T",
    "GET,POST",
    "M-SEARCH",
];

/// Headers by which frameworks take another method than that of the request line, and some that only look like it.
const OVERRIDES: [&str; 10] = [
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Original-Method",
    "X-Forwarded-Method",
    "X-Method",
    "X_HTTP_METHOD_OVERRIDE",
    "X-HTTP_Method-Override",
    "X-HTTP-METHOD-OVERRIDE",
    "X-Rewrite-Method",
];

/// Methods, and headers about methods.
pub(super) fn album(ground: &Ground) -> Album {
    let mut album = Album::of(Family::Method);
    let guarded = ground.guarded.as_str();
    for method in METHODS {
        album.both(&format!("{} {guarded}", method.escape_debug()), &ground.get(guarded).method(method));
    }
    for wished in ["GET", "POST", "DELETE", "get", "*", "GET, POST"] {
        let request = ground.get(guarded).method("OPTIONS").header("origin", "https://app.example");
        let request = request.header("access-control-request-method", wished);
        album.both(&format!("preflight for {wished} {guarded}"), &request);
        let real = ground.get(guarded).header("origin", "https://app.example");
        let real = real.header("access-control-request-method", wished);
        album.both(&format!("GET {guarded} that looks like a preflight for {wished}"), &real);
    }
    for name in OVERRIDES {
        for (method, wished) in
            [("OPTIONS", "GET"), ("HEAD", "GET"), ("POST", "DELETE"), ("GET", "OPTIONS"), ("GET", "HEAD")]
        {
            let request = ground.get(guarded).method(method).header(name, wished);
            album.both(&format!("{method} {guarded} with {name}: {wished}"), &request);
        }
    }
    let form = "_method=GET";
    for method in ["POST", "OPTIONS", "HEAD"] {
        let request = ground.get(guarded).method(method).header("content-type", "application/x-www-form-urlencoded");
        album.both(&format!("{method} {guarded} with {form} in a form"), &request.sized(form));
        let target = format!("{guarded}?{form}");
        album.both(&format!("{method} {target}"), &ground.get(&target).method(method));
    }
    album
}
