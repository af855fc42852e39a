//! `host`: `PATTERN\nHOST`. A host has one spelling, and a table is found exactly where its pattern says.

use std::sync::Arc;

use entrance::policy::host::{Host, HostPattern};
use entrance::policy::snapshot::Snapshot;
use entrance::policy::table::HostTable;

/// For mutations.
pub const WORDS: &[&str] = &[
    "\n",
    ".",
    "*.",
    "*",
    ":",
    ":443",
    ":99999",
    ":0x1",
    "@",
    ",",
    "[::1]",
    "[",
    "]",
    "xn--",
    "EXAMPLE",
    "example.com",
    "a.",
    "..",
    "-",
    "_",
    "%2e",
    "/",
    "\\",
    " ",
    "\0",
    "ß",
    "ſ",
    "。",
];

/// The target.
///
/// # Panics
/// A host has two spellings, or a table is found for a host that its pattern does not cover.
pub fn host(data: &[u8]) {
    let (pattern, raw) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&[][..], data),
    };
    let host = Host::parse(raw);
    if let Ok(host) = &host {
        one_spelling(host, raw);
    }
    let parsed = std::str::from_utf8(pattern).ok().and_then(|text| HostPattern::parse(text).ok());
    let Some(parsed) = parsed else { return };
    assert_eq!(HostPattern::parse(&parsed.to_string()).as_ref(), Ok(&parsed), "a pattern with two spellings");
    let Ok(host) = host else { return };
    let table = Arc::new(HostTable::build(Vec::new(), None));
    let found = Snapshot::new([(parsed.clone(), table)], None).table(&host).is_some();
    let text = parsed.to_string();
    let covered = match text.strip_prefix('*') {
        Some("") => true,
        Some(suffix) => host.as_str().strip_suffix(suffix).is_some_and(|before| !before.is_empty()),
        None => host.as_str() == text,
    };
    assert_eq!(found, covered, "{text} and {}", host.as_str());
}

fn one_spelling(host: &Host<'_>, raw: &[u8]) {
    let text = host.as_str();
    assert!((1..=253).contains(&text.len()));
    assert!(
        !text
            .bytes()
            .any(|byte| byte.is_ascii_uppercase() || b",@/\\ *?#%".contains(&byte) || !byte.is_ascii_graphic())
    );
    assert!(text.starts_with('[') || !text.contains(':'), "a port is left");
    assert!(!text.ends_with('.') && !text.starts_with('.') && !text.contains(".."));
    let again = Host::parse(text.as_bytes()).expect("a host is a host");
    assert_eq!(again.as_str(), text);
    let upper = raw.to_ascii_uppercase();
    assert_eq!(Host::parse(&upper).expect("case means nothing").as_str(), text);
    let lower = raw.to_ascii_lowercase();
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => assert_eq!(address_in(&lower), address.parse().ok(), "not the address that was sent"),
        None => assert!(lower.starts_with(text.as_bytes()), "not the host that was sent"),
    }
}

/// The address in brackets at the beginning of an authority.
fn address_in(raw: &[u8]) -> Option<std::net::Ipv6Addr> {
    let text = std::str::from_utf8(raw).ok()?.strip_prefix('[')?;
    text.split(']').next()?.parse().ok()
}
