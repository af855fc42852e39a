//! The header that carries the token, and what is in it.

use crate::bypass::family::Family;
use crate::bypass::script::Script;
use crate::bypass::tokens::PERMITTED;
use crate::bypass::trick::{Album, Ground};

/// Values without any token.
const EMPTY: [&str; 22] = [
    "",
    " ",
    "Bearer",
    "Bearer ",
    "bearer",
    "Bearer null",
    "Bearer undefined",
    "Bearer x",
    "Bearer ..",
    "Bearer a.b.c",
    "Bearer e30.e30.",
    "Bearer e30.e30.e30",
    "Bearer eyJhbGciOiJub25lIn0.e30.",
    "Bearer \"\"",
    "Bearer ,",
    "Basic YWRtaW46YWRtaW4=",
    "Basic Og==",
    "Digest username=\"admin\"",
    "Negotiate x",
    "Anonymous",
    "true",
    "Bearer Bearer",
];

/// Other places where somebody might look for a token.
const ELSEWHERE: [&str; 12] = [
    "proxy-authorization",
    "x-authorization",
    "x-forwarded-authorization",
    "x-original-authorization",
    "x-access-token",
    "x-auth-token",
    "x-forwarded-access-token",
    "authentication",
    "cookie",
    "www-authenticate",
    "x-ms-token-aad-access-token",
    "x-jwt-assertion",
];

/// Headers that are empty, repeated or contradictory. A request with two different credentials has no one caller: which of
/// them the upstream believes, nobody knows. It has no permit.
pub(super) fn shapes(ground: &Ground) -> Album {
    let mut album = Album::of(Family::Credentials);
    let guarded = ground.guarded.as_str();
    album.both("none", &ground.get(guarded));
    for value in EMPTY {
        album.both(&format!("`{}`", value.escape_debug()), &ground.get(guarded).header("authorization", value));
    }
    let right = || Script::of("Bearer ").and(Script::token(PERMITTED));
    let others = [
        ("a wrong token", Script::of("Bearer ").and(ground.wrong())),
        ("rubbish", Script::of("Bearer x")),
        ("another scheme", Script::of("Basic YWRtaW46YWRtaW4=")),
        ("nothing", Script::of("Bearer")),
    ];
    for (name, other) in others {
        for (order, first, second) in [("before", other.clone(), right()), ("behind", right(), other.clone())] {
            let lines = ground.get(guarded).scripted("authorization", first.clone());
            let lines = lines.scripted("Authorization", second.clone());
            album.both(&format!("{name} {order} the right one, two lines"), &lines);
            let list = first.clone().then(", ").and(second.clone());
            album.both(
                &format!("{name} {order} the right one, a list"),
                &ground.get(guarded).scripted("authorization", list),
            );
            let tight = first.then(",").and(second);
            album.both(
                &format!("{name} {order} the right one, a list without spaces"),
                &ground.get(guarded).scripted("authorization", tight),
            );
        }
    }
    album
}

/// Tokens that must not do, in the right place and in others.
pub(super) fn tokens(ground: &Ground) -> Album {
    let mut album = Album::of(Family::Tokens);
    let guarded = ground.guarded.as_str();
    for name in ground.denied.iter().chain(&ground.forged) {
        album.both(name, &ground.get(guarded).bearer(Script::token(name)));
        for scheme in ["bearer ", "BEARER ", "Bearer  ", "Bearer\t", "JWT ", "Token ", ""] {
            let value = Script::of(scheme).and(Script::token(name));
            let request = ground.get(guarded).scripted("authorization", value);
            album.add(format!("{name} behind `{}`", scheme.escape_debug()), request.http1());
        }
    }
    for name in ground.denied.iter().chain(ground.forged.first()) {
        for place in ELSEWHERE {
            let begin = if place == "cookie" { "access_token=" } else { "Bearer " };
            let request = ground.get(guarded).scripted(place, Script::of(begin).and(Script::token(name)));
            album.add(format!("{name} in {place}"), request.http1());
        }
    }
    album
}
