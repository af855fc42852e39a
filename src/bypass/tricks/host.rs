//! Hosts: whose rules apply, if nobody agrees on whose request this is?

use crate::bypass::family::Family;
use crate::bypass::script::Script;
use crate::bypass::trick::{Album, Ground, Sent};

/// Hosts in the host line, in several of them, in the target, in none.
pub(super) fn album(ground: &Ground) -> Album {
    let mut album = Album::of(Family::Host);
    let (guarded, host) = (ground.guarded.as_str(), ground.host.as_str());
    for spelling in spellings(host) {
        let shown = spelling.escape_debug().to_string();
        album.both(&format!("host `{shown}`"), &ground.get(guarded).hosts([&spelling]));
    }
    let no_host: [&str; 0] = [];
    album.both("no host", &ground.get(guarded).hosts(no_host));
    for (name, hosts) in [
        ("the host twice", [host, host]),
        ("another host first", ["evil.example", host]),
        ("another host second", [host, "evil.example"]),
        ("an empty host first", ["", host]),
        ("an empty host second", [host, ""]),
    ] {
        album.add(name, ground.get(guarded).hosts(hosts).http1());
    }
    for (name, target, given) in [
        ("the host in the target, another in its line", format!("http://{host}{guarded}"), "evil.example"),
        ("another host in the target", format!("http://evil.example{guarded}"), host),
        ("a host with user in the target", format!("http://{host}@evil.example{guarded}"), host),
    ] {
        album.add(name, ground.get(target).hosts([given]).http1());
    }
    for name in
        ["x-forwarded-host", "x-host", "x-original-host", "x-envoy-original-host", "x-http-host-override", "forwarded"]
    {
        let value = if name == "forwarded" { "host=evil.example;proto=https" } else { "evil.example" };
        album.both(&format!("{name}: {value}"), &ground.get(guarded).header(name, value));
        let other = ground.get(guarded).hosts(["evil.example"]).header(name, host);
        album.both(&format!("host `evil.example` and {name}: {host}"), &other);
    }
    for (name, authority, given) in [
        ("another host beside the authority", host, "evil.example"),
        ("another authority beside the host", "evil.example", host),
        ("the host beside the authority", host, host),
    ] {
        let request = ground.get(guarded).hosts([authority]).header("host", given);
        album.add(format!("{name}, HTTP/2"), request.http2());
    }
    album.add("two authorities, HTTP/2", twice(ground));
    album
}

fn twice(ground: &Ground) -> Sent {
    let mut stream = ground.get(&ground.guarded).stream();
    stream.fields.insert(0, (Script::of(":authority"), Script::of("evil.example")));
    Sent::Http2(vec![stream])
}

fn spellings(host: &str) -> Vec<String> {
    let escaped: String = host.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let (head, tail) = host.split_at_checked(1).unwrap_or((host, ""));
    vec![
        host.to_uppercase(),
        format!("{}{tail}", head.to_uppercase()),
        format!("{host}."),
        format!("{host}.."),
        format!(".{host}"),
        format!("{host}:80"),
        format!("{host}:8080"),
        format!("{host}:443"),
        format!("{host}:"),
        format!("{host}:99999"),
        format!("{host}:80:80"),
        format!("{host}:x"),
        format!("{host}.:80"),
        format!("{host}/"),
        format!("{host}{}", "/public"),
        format!("{host}?"),
        format!("{host}#"),
        format!("{host}\\"),
        format!("{host} "),
        format!("{host}\t"),
        format!("{host}\0"),
        format!("{host},evil.example"),
        format!("evil.example,{host}"),
        format!("{host}, {host}"),
        format!("{host} evil.example"),
        format!("evil.example@{host}"),
        format!("{host}@evil.example"),
        format!("sub.{host}"),
        format!("{host}.evil.example"),
        escaped,
        format!("%{:02x}{tail}", head.bytes().next().unwrap_or(b'x')),
        format!("http://{host}"),
        format!("[{host}]"),
        format!("\"{host}\""),
        format!("xn--{host}"),
        host.replace('.', "\u{3002}"),
        "evil.example".into(),
        "localhost".into(),
        "127.0.0.1".into(),
        "[::1]".into(),
        "*".into(),
        String::new(),
    ]
}
