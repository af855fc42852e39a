//! A request that may pass, and another one behind it on the same connection: a permit is for one request.

use crate::bypass::family::Family;
use crate::bypass::script::Script;
use crate::bypass::trick::{Album, Ground, Request, Sent, Step};

/// Pairs and rows of requests.
pub(super) fn album(ground: &Ground) -> Album {
    let mut album = Album::of(Family::Pipelining);
    let bare = ground.get(&ground.guarded);
    for (first, opener) in openers(ground) {
        for (second, follower) in followers(ground) {
            album.add(format!("{first}, then {second}, at once"), at_once(&[opener.clone(), follower.clone()]));
            let after = Sent::Http1(vec![step(&opener, 1), step(&follower, 1)]);
            album.add(format!("{first}, then {second}, after the answer"), after);
        }
        album.add(format!("none, then {first}"), at_once(&[bare.clone(), opener.clone()]));
        let both = Sent::Http2(vec![opener.stream(), bare.stream()]);
        album.add(format!("{first}, and none beside it, HTTP/2"), both);
        let both = Sent::Http2(vec![bare.stream(), opener.stream()]);
        album.add(format!("none, and {first} beside it, HTTP/2"), both);
    }
    let mut row = vec![ground.get(&ground.open); 12];
    row.push(bare.clone());
    album.add("twelve open requests, then none, at once", at_once(&row));
    let refused = Sent::Http1(vec![step(&ground.get(&ground.guarded).bearer(ground.wrong()), 1), step(&bare, 1)]);
    album.add("a wrong token, then none, after the answer", refused);
    album
}

fn step(request: &Request, answers: usize) -> Step {
    Step { script: request.script(), answers }
}

fn at_once(requests: &[Request]) -> Sent {
    let script = requests.iter().fold(Script::default(), |script, request| script.and(request.script()));
    Sent::Http1(vec![Step { script, answers: requests.len() }])
}

fn openers(ground: &Ground) -> Vec<(&'static str, Request)> {
    let permitted = || ground.permitted(&ground.guarded);
    vec![
        ("a permitted request", permitted()),
        ("a permitted HEAD", permitted().method("HEAD")),
        ("a permitted POST with a body", permitted().method("POST").sized("{}")),
        ("a permitted request that closes", permitted().header("connection", "close")),
        ("a permitted HTTP/1.0 request", permitted().version(" HTTP/1.0").header("connection", "keep-alive")),
        ("an open request", ground.get(&ground.open)),
        ("an open request with the right token", ground.permitted(&ground.open)),
    ]
}

fn followers(ground: &Ground) -> Vec<(&'static str, Request)> {
    let (first, rest) = ground.guarded_parts();
    let bare = || ground.get(&ground.guarded);
    let escaped: String = first.bytes().map(|letter| format!("%{letter:02x}")).collect();
    vec![
        ("none", bare()),
        ("a wrong token", bare().bearer(ground.wrong())),
        ("none with POST", bare().method("POST").sized("{}")),
        ("none with an escaped path", ground.get(format!("/{escaped}{rest}"))),
        ("none in absolute form", ground.get(format!("http://{}{}", ground.host, ground.guarded))),
        ("none for another host", bare().hosts(["evil.example"])),
    ]
}
