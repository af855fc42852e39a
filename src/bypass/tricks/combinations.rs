//! Several tricks in one request: what each check refuses alone may pass where two of them hand over to each other.

use crate::bypass::family::Family;
use crate::bypass::script::Script;
use crate::bypass::trick::{Album, Ground, Request};

/// Of all combinations, one in so many is sent: a fixed sample that has every pair in it.
const SAMPLE: usize = 5;

const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "OPTIONS"];

/// A path, a header, a method and a token at once.
pub(super) fn album(ground: &Ground) -> Album {
    let mut album = Album::of(Family::Combinations);
    let (paths, headers, tokens) = (paths(ground), headers(ground), tokens(ground));
    let mut turn = 0_usize;
    for path in &paths {
        for (name, value) in &headers {
            for method in METHODS {
                for (token, script) in &tokens {
                    turn = turn.wrapping_add(1);
                    if turn.is_multiple_of(SAMPLE) {
                        let request = ground.get(path).method(method).header(name, value);
                        let request = with(request, script.as_ref());
                        let trick = format!("{method} {path} with {name}: {value} and {token}");
                        if turn.is_multiple_of(2) {
                            album.add(trick, request.http1());
                        } else {
                            album.add(format!("{trick}, HTTP/2"), request.http2());
                        }
                    }
                }
            }
        }
    }
    album
}

fn with(request: Request, token: Option<&Script>) -> Request {
    match token {
        Some(token) => request.bearer(token.clone()),
        None => request,
    }
}

fn tokens(ground: &Ground) -> Vec<(String, Option<Script>)> {
    let names = ground.denied.iter().take(2).chain(ground.forged.iter().take(1));
    let named = names.map(|name| (format!("token {name}"), Some(Script::token(name))));
    std::iter::once(("no token".to_owned(), None)).chain(named).collect()
}

fn paths(ground: &Ground) -> Vec<String> {
    let (folder, guarded) = (ground.open_folder(), &ground.guarded);
    let (first, rest) = ground.guarded_parts();
    let escaped: String = first.bytes().map(|letter| format!("%{letter:02x}")).collect();
    vec![
        guarded.clone(),
        format!("{folder}/..{guarded}"),
        format!("{folder}/%2e%2e{guarded}"),
        format!("{folder}/..;{guarded}"),
        format!("{folder}/..%2f{first}{rest}"),
        format!("/{guarded}"),
        format!("//evil.example{guarded}"),
        format!("/{first};x{rest}"),
        format!("/{escaped}{rest}"),
        format!("/{first}%2f{}", rest.trim_start_matches('/')),
        format!("\\{first}{rest}"),
        format!("{guarded}?{}", ground.open),
    ]
}

fn headers(ground: &Ground) -> Vec<(String, String)> {
    let Ground { host, guarded, open, identity, .. } = ground;
    let mut all = vec![
        ("x-original-url".to_owned(), open.clone()),
        ("x-forwarded-uri".into(), open.clone()),
        ("x_rewrite_url".into(), guarded.clone()),
        ("x-http-method-override".into(), "GET".into()),
        ("x-forwarded-host".into(), host.clone()),
        ("x-envoy-original-path".into(), open.clone()),
        ("origin".into(), "https://app.example".into()),
    ];
    all.extend(identity.iter().take(2).map(|name| (name.replace('-', "_"), super::identity::SPOOF.to_owned())));
    all
}
