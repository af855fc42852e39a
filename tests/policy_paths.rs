//! Hosts, paths and templates: one reading, or none.
//!
//! The tables hold what was measured on Envoy and what other authorizers got wrong; each advisory is named at its row.
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

use std::cmp::Ordering;

use entrance::policy::entry::Shortfall;
use entrance::policy::host::{Host, HostFault, HostPattern};
use entrance::policy::path::{Canonical, MAX_PATH, PathFault};
use entrance::policy::rules::{PolicyId, Seniority};
use entrance::policy::template::{PathTemplate, Segment, TemplateFault};
use proptest::prelude::*;
use proptest::sample::select;

fn canonical(raw: &[u8]) -> Result<String, PathFault> {
    Canonical::parse(raw).map(|path| path.as_str().to_owned())
}

#[test]
fn paths_with_one_reading() {
    for (raw, read) in [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("/A", "/A"),
        ("/a?", "/a"),
        ("/a?b=../../c%2f%00#", "/a"),
        ("/a?b?c", "/a"),
        // Unreserved bytes are decoded once (RFC 3986 §6.2.2.2), other escapes only change their case.
        ("/%61dmin", "/admin"),
        ("/a%41", "/aA"),
        ("/%7e%2d%5f%2e", "/~-_."),
        ("/%7Euser", "/~user"),
        ("/%c3%a9", "/%C3%A9"),
        ("/a%3fb", "/a%3Fb"),
        ("/a%23b", "/a%23b"),
        ("/a%20b", "/a%20b"),
        ("/a%40b", "/a%40b"),
        ("/a@b", "/a@b"),
        ("/a:b!$&'()*+,=", "/a:b!$&'()*+,="),
        ("/a;x=1/b", "/a;x=1/b"),
        ("/a%3bx/b", "/a%3Bx/b"),
        ("/a;/b;", "/a;/b;"),
        ("/.../..a/a../.a", "/.../..a/a../.a"),
        ("/%2e%2e%2e", "/..."),
        ("/a%7b%7d{}", "/a%7B%7D{}"),
        // CVE-2026-32811: what follows the `?` is no part of the path, escaped or not.
        ("/a?x=%3F", "/a"),
    ] {
        assert_eq!(canonical(raw.as_bytes()), Ok(read.to_owned()), "{raw}");
    }
}

use PathFault::{BrokenEscape, Byte, DotSegment, EmptySegment, HiddenByte, NotAbsolute};

/// Paths that two servers could read differently.
const AMBIGUOUS: &[(&str, PathFault)] = &[
    // CVE-2026-33186: no slash in front.
    ("", NotAbsolute),
    ("*", NotAbsolute),
    ("a", NotAbsolute),
    ("?", NotAbsolute),
    ("http://a/b", NotAbsolute),
    (" /a", NotAbsolute),
    ("\\a", NotAbsolute),
    ("%2fa", NotAbsolute),
    (".", NotAbsolute),
    (";/a", NotAbsolute),
    // CVE-2026-26205: taken for an authority.
    ("//admin/x", EmptySegment),
    ("//", EmptySegment),
    ("/a//b", EmptySegment),
    ("/a//", EmptySegment),
    ("///", EmptySegment),
    ("/;x/a", EmptySegment),
    ("/a/;/b", EmptySegment),
    ("/a/%3b/b", EmptySegment),
    ("/;", EmptySegment),
    // CVE-2026-42274: dot segments.
    ("/a/../b", DotSegment),
    ("/a/./b", DotSegment),
    ("/..", DotSegment),
    ("/.", DotSegment),
    ("/a/..", DotSegment),
    ("/a/.", DotSegment),
    ("/a/%2e%2e/b", DotSegment),
    ("/a/%2E%2E/b", DotSegment),
    ("/a/.%2e/b", DotSegment),
    ("/a/%2e/b", DotSegment),
    ("/a/%2e", DotSegment),
    ("/a/../", DotSegment),
    ("/a/..;/b", DotSegment),
    ("/a/..;x=1/b", DotSegment),
    ("/a;/../b", DotSegment),
    ("/a/%2E%2E;/b", DotSegment),
    ("/a/..%3b/b", DotSegment),
    ("/a/%2e%2e%3b/b", DotSegment),
    ("/a/..%3B", DotSegment),
    ("/a/.;", DotSegment),
    ("/a/.%3b/b", DotSegment),
    ("/a/..;x%2e", DotSegment),
    ("/a/..;%3b", DotSegment),
    // CVE-2026-42272: an escaped slash in either case. CVE-2021-29492: in Envoy itself.
    ("/a%2fb", HiddenByte),
    ("/a%2Fb", HiddenByte),
    ("/a/..%2fb", HiddenByte),
    ("/a/..%2Fb", HiddenByte),
    ("/a%2f", HiddenByte),
    ("/a%5cb", HiddenByte),
    ("/a%5Cb", HiddenByte),
    ("/%2f", HiddenByte),
    ("/%5c..", HiddenByte),
    ("/a%252e%252e/b", HiddenByte),
    ("/a%25", HiddenByte),
    ("/a%252f", HiddenByte),
    ("/a%25zz", HiddenByte),
    ("/a%00b", HiddenByte),
    ("/a%0d%0ab", HiddenByte),
    ("/a%1f", HiddenByte),
    ("/a%7f", HiddenByte),
    ("/a%09b", HiddenByte),
    // CVE-2021-32779: a fragment.
    ("/a#frag", Byte),
    ("/a#", Byte),
    ("/#/../a", Byte),
    ("/a\\b", Byte),
    ("/a\\..\\b", Byte),
    ("/a b", Byte),
    ("/a\tb", Byte),
    ("/a\0b", Byte),
    ("/a\x7f", Byte),
    ("/ä", Byte),
    ("/a\r\n", Byte),
    ("/a%", BrokenEscape),
    ("/a%z", BrokenEscape),
    ("/a%zz", BrokenEscape),
    ("/a%4", BrokenEscape),
    ("/a%4/", BrokenEscape),
    ("/a%u002e/b", BrokenEscape),
    ("/a%+1", BrokenEscape),
    ("/a% 1", Byte),
    ("/a%-1", BrokenEscape),
    // Escapes that are no UTF-8: overlong forms of `.` and `/`, halves of characters.
    ("/a/%c0%ae%c0%ae/b", BrokenEscape),
    ("/a%c0%af", BrokenEscape),
    ("/%e0%80%af", BrokenEscape),
    ("/a%ff", BrokenEscape),
    ("/a%c3/%a9", BrokenEscape),
    ("/a%c3", BrokenEscape),
    ("/%ed%a0%80", BrokenEscape),
];

#[test]
fn paths_that_two_servers_could_read_differently() {
    for (raw, fault) in AMBIGUOUS.iter().copied() {
        assert_eq!(canonical(raw.as_bytes()), Err(fault), "{raw:?}");
        assert_eq!(canonical(format!("{raw}?q").as_bytes()), Err(fault), "{raw:?} with a query");
    }
    assert_eq!(canonical(b"/\xff"), Err(Byte));
    assert_eq!(canonical(b"/\xc3\xa9"), Err(Byte));
}

#[test]
fn a_path_is_as_long_as_sixteen_kilobytes() {
    let long = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert!(canonical(long(MAX_PATH).as_bytes()).is_ok());
    assert_eq!(canonical(long(MAX_PATH + 1).as_bytes()), Err(PathFault::TooLong));
    assert!(canonical(format!("/?{}", "q".repeat(2 * MAX_PATH)).as_bytes()).is_ok(), "the query does not count");
}

#[test]
fn the_query_stays_as_it_was_sent() {
    for (raw, query) in
        [("/a", None), ("/a?", Some("")), ("/a?b=%zz&c=%2F#d", Some("b=%zz&c=%2F#d")), ("/a?b?c", Some("b?c"))]
    {
        assert_eq!(Canonical::parse(raw.as_bytes()).unwrap().query(), query.map(str::as_bytes), "{raw}");
    }
    let segments =
        |raw: &'static str| Canonical::parse(raw.as_bytes()).unwrap().segments().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(segments("/"), [""]);
    assert_eq!(segments("/a/b/"), ["a", "b", ""]);
}

use HostFault::{Label, Length, Port, TrailingDot};

/// What is not one host.
const NO_HOSTS: &[(&str, HostFault)] = &[
    ("", Length),
    (":80", Length),
    (".", TrailingDot),
    (".:80", TrailingDot),
    ("a..", TrailingDot),
    (".a", Label),
    ("a..b", Label),
    ("a b", Label),
    ("a,b", Label),
    ("a@b", Label),
    ("u:p@a", Port),
    ("a/b", Label),
    ("a\\b", Label),
    ("ä.example", Label),
    ("%61", Label),
    ("*.example.com", Label),
    ("*", Label),
    ("a\0", Label),
    ("a;b", Label),
    ("a:", Port),
    ("a:b", Port),
    ("a:-1", Port),
    ("a:80:80", Port),
    ("a:65536", Port),
    ("a:99999", Port),
    ("a:+80", Port),
    ("a:100000", Port),
    ("a: 80", Port),
    ("a:80,b:80", Port),
    ("[::1", Port),
    ("::1", Port),
    ("[]", Label),
    ("[::1]x", Label),
    ("[::1].", TrailingDot),
    ("[::1]:", Port),
    ("[::1]:x", Port),
    // Envoy and others choose routes by the name with its dot.
    ("a.example.com.", TrailingDot),
    ("a.example.com.:443", TrailingDot),
    ("[127.0.0.1]", Label),
    ("[::1%25eth0]", Label),
    ("x[::1]", Label),
    ("[[::1]]", Label),
    ("[::1]]:80", Label),
    ("[:::1]", Label),
];

#[test]
fn hosts_of_requests() {
    for (raw, host) in [
        ("a.example.com", "a.example.com"),
        // CVE-2026-42273, CVE-2021-39155: case.
        ("A.Example.COM", "a.example.com"),
        ("a.example.com:443", "a.example.com"),
        ("a:0", "a"),
        ("a:65535", "a"),
        ("a:00080", "a"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("under_score", "under_score"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[::1]:443", "[::1]"),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("[2001:DB8::00A]:1", "[2001:db8::a]"),
        ("[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]"),
    ] {
        assert_eq!(Host::parse(raw.as_bytes()).unwrap().as_str(), host, "{raw}");
    }
    for (raw, fault) in NO_HOSTS.iter().copied() {
        assert_eq!(Host::parse(raw.as_bytes()), Err(fault), "{raw:?}");
    }
    assert_eq!(Host::parse(b"a\xff"), Err(Label));
    let label = |length: usize| "a".repeat(length);
    assert!(Host::parse(label(63).as_bytes()).is_ok());
    assert_eq!(Host::parse(label(64).as_bytes()), Err(Label));
    let name = |length: usize| format!("{}{}", "a.".repeat((length - 1) / 2), "b".repeat(2 - length % 2));
    assert_eq!((name(253).len(), name(254).len()), (253, 254));
    assert!(Host::parse(name(253).as_bytes()).is_ok());
    assert!(Host::parse(format!("{}:80", name(253)).as_bytes()).is_ok());
    assert_eq!(Host::parse(name(254).as_bytes()), Err(Length));
}

#[test]
fn hosts_of_policies() {
    let exact = |name: &str| Ok(HostPattern::Exact(name.into()));
    let wildcard = |name: &str| Ok(HostPattern::Wildcard(name.into()));
    for (text, pattern) in [
        ("*", Ok(HostPattern::Any)),
        ("a.example.com", exact("a.example.com")),
        ("A.Example.com", exact("a.example.com")),
        ("*.Example.com", wildcard("example.com")),
        ("*.com", wildcard("com")),
        ("[0::1]", exact("[::1]")),
        ("", Err(HostFault::Length)),
        ("*.", Err(HostFault::Length)),
        ("a.*.com", Err(HostFault::Wildcard)),
        ("**.com", Err(HostFault::Wildcard)),
        ("*a.com", Err(HostFault::Wildcard)),
        ("*.*.com", Err(HostFault::Wildcard)),
        ("**", Err(HostFault::Wildcard)),
        ("*.[::1]", Err(HostFault::Wildcard)),
        ("a.com:80", Err(HostFault::Port)),
        ("*.com:80", Err(HostFault::Port)),
        ("a.com.", Err(HostFault::TrailingDot)),
        ("[::1]:80", Err(HostFault::Label)),
        ("a com", Err(HostFault::Label)),
        ("bücher.example", Err(HostFault::Label)),
    ] {
        assert_eq!(HostPattern::parse(text), pattern, "{text:?}");
        if let Ok(pattern) = pattern {
            assert_eq!(HostPattern::parse(&pattern.to_string()), Ok(pattern));
        }
    }
    let parents =
        |host: &'static str| Host::parse(host.as_bytes()).unwrap().parents().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(parents("a.b.c"), ["b.c", "c"]);
    assert_eq!(parents("a"), [""; 0]);
    assert_eq!(Host::none().as_str(), "");
}

#[test]
fn templates_that_are_none() {
    use TemplateFault::{Name, NotAbsolute, Partial, RestNotLast, TooLong, Twice};
    let fault = |text: &str| PathTemplate::parse(text).unwrap_err();
    assert_eq!(fault(""), NotAbsolute);
    assert_eq!(fault("a/b"), NotAbsolute);
    assert_eq!(fault("{id}"), NotAbsolute);
    for (text, part) in [
        ("/a{id}", "a{id}"),
        ("/{id}a", "{id}a"),
        ("/{id", "{id"),
        ("/id}", "id}"),
        ("/{{id}}", "{{id}}"),
        ("/{a}{b}", "{a}{b}"),
    ] {
        assert_eq!(fault(text), Partial(part.into()), "{text}");
    }
    for part in ["{}", "{*}", "{1a}", "{a-b}", "{a b}", "{ü}", "{**a}", "{a*}", "{a.b}", "{ a}"] {
        assert_eq!(fault(&format!("/{part}")), Name(part.into()), "{part}");
    }
    assert_eq!(fault("/{a}/{a}"), Twice("a".into()));
    assert_eq!(fault("/{a}/{*a}"), Twice("a".into()));
    assert_eq!(fault("/{*rest}/a"), RestNotLast("rest".into()));
    assert_eq!(fault("/{*rest}/"), RestNotLast("rest".into()));
    for literal in [
        "/a//b", "//", "/a/../b", "/.", "/a/..", "/%2e", "/a%2fb", "/a%zz", "/a b", "/ä", "/a\\b", "/a?b", "/a#b",
        "/a;b", "/a%3Bb", "/a%3bb", "/%61", "/%c3%a9", "/a%40b", "/a%7eb", "/%25", "/a%2e",
    ] {
        assert!(matches!(fault(literal), TemplateFault::NotCanonical(..)), "{literal}: {:?}", fault(literal));
    }
    for (text, hint) in
        [("/%61b", "write `ab`"), ("/a%40b", "write `a@b`"), ("/%c3%a9", "write `%C3%A9`"), ("/a//b", "remove a slash")]
    {
        assert!(fault(text).to_string().contains(hint), "{text}: {}", fault(text));
    }
    let deep = |segments: usize| "/a".repeat(segments);
    assert!(PathTemplate::parse(&deep(64)).is_ok());
    assert_eq!(fault(&deep(65)), TooLong);
    let long = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert!(PathTemplate::parse(&long(1024)).is_ok());
    assert_eq!(fault(&long(1025)), TooLong);
}

#[test]
fn templates_say_what_their_segments_are() {
    let literal = Segment::Literal;
    let shape = |text: &'static str| {
        let template = Box::leak(Box::new(PathTemplate::parse(text).unwrap()));
        template.shape()
    };
    assert_eq!(shape("/"), [literal("")]);
    assert_eq!(shape("/a/{_b1}/{*c}"), [literal("a"), Segment::Param, Segment::Rest]);
    assert_eq!(shape("/a/"), [literal("a"), literal("")]);
    assert_eq!(
        shape("/a@b:c/%C3%A9/%7Bx%7D/a%20b"),
        [literal("a@b:c"), literal("%C3%A9"), literal("%7Bx%7D"), literal("a%20b")]
    );
    assert_eq!(shape("/a%3Fb/%23"), [literal("a%3Fb"), literal("%23")]);
    assert!(Segment::Literal("") > Segment::Param && Segment::Param > Segment::Rest);
    let params = |text: &str, path: &'static str| {
        let template = PathTemplate::parse(text).unwrap();
        template.params(path).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(params("/a/{b}/c/{d}", "/a/1/c/2"), ["b=1", "d=2"]);
    assert_eq!(params("/{*rest}", "/"), ["rest="]);
    assert_eq!(params("/{*rest}", "/a/b/"), ["rest=a/b/"]);
    assert_eq!(params("/a/{b}/{*rest}", "/a/1/"), ["b=1", "rest="]);
    assert_eq!(params("/a/{b}/{*rest}", "/a/1/2//3".trim_end_matches("/3")), ["b=1", "rest=2/"]);
    assert_eq!(params("/a", "/a"), [""; 0]);
}

/// Bytes that paths are made of, good ones and others.
fn raw_path() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(
        &[
            "/", "a", "b", ".", "..", ";", "%", "%2e", "%2F", "%61", "%C3%A9", "%c3", "%40", "@", "{", "%7B", "?",
            "\\", "é", "%3b",
        ][..],
    );
    prop_oneof![
        4 => prop::collection::vec(piece, 0..10).prop_map(|pieces| format!("/{}", pieces.concat()).into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn canonical_paths_are_fixed_points(raw in raw_path()) {
        if let Ok(path) = Canonical::parse(&raw) {
            prop_assert_eq!(canonical(path.as_str().as_bytes()), Ok(path.as_str().to_owned()));
            prop_assert!(path.as_str().starts_with('/') && path.as_str().is_ascii());
            prop_assert_eq!(format!("/{}", path.segments().collect::<Vec<_>>().join("/")), path.as_str());
        }
    }

    #[test]
    fn hosts_are_fixed_points(raw in prop_oneof![".{0,20}", "[a-cA-C.:0-9\\[\\]_-]{0,12}", "\\[[0-9a-fA-F:]{2,12}\\](:[0-9]{1,6})?"]) {
        if let Ok(host) = Host::parse(raw.as_bytes()) {
            prop_assert_eq!(&Host::parse(host.as_str().as_bytes()).unwrap(), &host);
            prop_assert_eq!(HostPattern::parse(host.as_str()), Ok(HostPattern::Exact(host.as_str().into())));
        }
        if let Ok(pattern) = HostPattern::parse(&raw) {
            prop_assert_eq!(HostPattern::parse(&pattern.to_string()), Ok(pattern));
        }
    }

    #[test]
    fn templates_parse_or_tell_and_print_as_written(text in prop_oneof![".{0,30}", "(/[a-c{}*%;@.]{0,5}){0,4}", "(/(a|\\{[a-c]\\}|\\{\\*d\\})){0,6}/?"]) {
        if let Ok(template) = PathTemplate::parse(&text) {
            prop_assert_eq!(template.to_string(), &*text);
            prop_assert_eq!(PathTemplate::parse(template.as_str()), Ok(template.clone()));
            let literal = template.shape().iter().all(|segment| matches!(segment, Segment::Literal(_)));
            prop_assert!(!literal || canonical(text.as_bytes()) == Ok(text.clone()));
        }
    }

    #[test]
    fn equal_means_the_same_in_every_order(one in any_parts(), other in any_parts()) {
        let (left, right) = (one, other);
        prop_assert_eq!(left.0.cmp(&right.0) == Ordering::Equal, left.0 == right.0);
        prop_assert_eq!(left.1.cmp(&right.1) == Ordering::Equal, left.1 == right.1);
        prop_assert_eq!(left.2.cmp(&right.2) == Ordering::Equal, left.2 == right.2);
        prop_assert_eq!(left.3.cmp(&right.3) == Ordering::Equal, left.3 == right.3);
        prop_assert_eq!(left.0.cmp(&right.0), right.0.cmp(&left.0).reverse());
        prop_assert_eq!(left.1.cmp(&right.1), (left.1.created, &left.1.id.namespace, &left.1.id.name).cmp(&(right.1.created, &right.1.id.namespace, &right.1.id.name)));
    }
}

type Parts = (Segment<'static>, Seniority, HostPattern, Shortfall);

fn any_parts() -> impl Strategy<Value = Parts> {
    let word = || select(&["", "a", "b"][..]);
    let segment = prop_oneof![Just(Segment::Rest), Just(Segment::Param), word().prop_map(Segment::Literal)];
    let seniority = (0..2_i128, word(), word()).prop_map(|(created, namespace, name)| Seniority {
        created,
        id: PolicyId { namespace: namespace.into(), name: name.into() },
    });
    let host = prop_oneof![
        word().prop_map(|name| HostPattern::Exact(name.into())),
        word().prop_map(|name| HostPattern::Wildcard(name.into())),
        Just(HostPattern::Any),
    ];
    (
        segment,
        seniority,
        host,
        select(&[Shortfall::Callers, Shortfall::Role, Shortfall::Condition, Shortfall::StepUp][..]),
    )
}
