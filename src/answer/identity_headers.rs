//! The headers that tell an upstream who calls, and the rule that no client ever sends them.
//!
//! Entrance owns every header whose name, in lower case and with all but letters and digits read as `-`, begins with
//! `x-entrance-`: CGI, WSGI and PHP fold `_` and `-` into one, lighttpd and its kin whatever cannot stand in the name of a
//! variable. On a permit each of the seven names is either set or removed, and every other spelling is removed: those with
//! `_` of the seven always, because Envoy may be told not to show all headers, and whatever else the request carries.
//!
//! Values are visible ASCII. Other bytes, `%` and `,` are percent-encoded (RFC 3986 §2.1), so that a comma separates
//! roles and a space separates scopes, and nothing else does.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::LazyLock;

use crate::identity::{Caller, Text};
use crate::request::is_read_as;

/// What every name begins with.
const PREFIX: &[u8] = b"x-entrance-";

/// The decision's id: set on every permit.
pub const DECISION: &str = "x-entrance-decision";

/// The facts about a caller, in the order of [`values`].
pub const CALLER: [&str; 6] = [
    "x-entrance-tenant",
    "x-entrance-subject",
    "x-entrance-client",
    "x-entrance-caller",
    "x-entrance-roles",
    "x-entrance-scopes",
];

/// The longest value. Envoy's own limit for all headers together is 60 KiB; a longer list is left out whole, never cut,
/// which can only take rights away.
const LONGEST: usize = 16 * 1024;

/// Room for a usual value: an id has 36 letters.
const USUAL: usize = 64;

/// The values of [`CALLER`], of which the tenant is written by the caller of this. `None`: there is nothing to say, and the header is removed.
#[must_use]
pub fn values<'a>(caller: &'a Caller, tenant: &'a str) -> [Option<Cow<'a, str>>; 6] {
    [
        Some(tenant.into()),
        list(std::slice::from_ref(&caller.subject), ","),
        list(std::slice::from_ref(&caller.client), ","),
        Some(caller.kind.as_str().into()),
        list(&caller.roles, ","),
        list(&caller.scopes, " "),
    ]
}

/// One value that needs no escape is the usual case, and stays where it is.
fn list<'a>(items: &'a [Text], separator: &str) -> Option<Cow<'a, str>> {
    match items {
        [one] if !one.is_empty() && one.len() <= LONGEST && one.bytes().all(stays) => Some(Cow::Borrowed(one)),
        _ => joined(items, separator).map(Cow::Owned),
    }
}

fn stays(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'%' | b',')
}

fn joined(items: &[Text], separator: &str) -> Option<String> {
    let mut line = String::with_capacity(USUAL);
    for item in items.iter().filter(|item| !item.is_empty()) {
        if !line.is_empty() {
            line.push_str(separator);
        }
        for byte in item.bytes() {
            if stays(byte) {
                line.push(char::from(byte));
            } else {
                // writing to a string cannot fail
                write!(line, "%{byte:02X}").ok()?;
            }
        }
    }
    (!line.is_empty() && line.len() <= LONGEST).then_some(line)
}

/// All spellings of the seven names but their own.
pub static ALIASES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = CALLER.iter().chain([&DECISION]);
    names.flat_map(|name| aliases(name)).collect()
});

/// The spellings of `name` with at least one `_` in it.
fn aliases(name: &str) -> Vec<String> {
    let mut spellings = vec![String::new()];
    for letter in name.chars() {
        let folded = (letter == '-').then_some('_');
        let more: Vec<String> = folded
            .iter()
            .flat_map(|other| spellings.iter().map(move |spelling| format!("{spelling}{other}")))
            .collect();
        for spelling in &mut spellings {
            spelling.push(letter);
        }
        spellings.extend(more);
    }
    spellings.retain(|spelling| spelling != name);
    spellings
}

/// Whether a name begins like ours, in whatever spelling.
#[must_use]
pub fn is_ours(name: &[u8]) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| is_read_as(start, PREFIX))
}

/// Whether a header of the request poses as one of ours under a name that is not dealt with by setting or removing one
/// of the seven names: Envoy compares names without case, so those spellings must not be removed once more.
#[must_use]
pub fn is_impostor(name: &[u8]) -> bool {
    is_ours(name) && !CALLER.iter().chain([&DECISION]).any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{CALLER, DECISION, LONGEST, Text, aliases, is_impostor, list};

    #[test]
    fn values_are_visible_ascii_and_their_separator_means_one_thing() {
        let items: [Text; 4] = ["Orders.Read".into(), "a,b c".into(), "".into(), "100%ü\r\n".into()];
        assert_eq!(list(&items, ",").unwrap(), "Orders.Read,a%2Cb%20c,100%25%C3%BC%0D%0A");
        assert_eq!(list(&[], ","), None);
        let plain: [Text; 1] = ["Orders.Read".into()];
        assert_eq!(list(&plain, ",").unwrap(), "Orders.Read");
        let escaped: [Text; 1] = ["a,b".into()];
        assert_eq!(list(&escaped, ",").unwrap(), "a%2Cb");
        assert_eq!(list(&["".into()], ","), None);
    }

    #[test]
    fn a_list_that_is_too_long_is_left_out_whole() {
        let items: Vec<Text> = vec!["r".repeat(1000).into(); 17];
        assert_eq!(list(&items, ","), None);
        assert!(list(&items[..16], ",").is_some());
        let exact: [Text; 1] = ["r".repeat(LONGEST).into()];
        assert_eq!(list(&exact, ",").map(|line| line.len()), Some(LONGEST));
    }

    #[test]
    fn every_other_spelling_of_a_name_is_an_alias() {
        let mut spellings = aliases("x-a-b");
        spellings.sort();
        assert_eq!(spellings, ["x-a_b", "x_a-b", "x_a_b"]);
    }

    #[test]
    fn all_spellings_but_our_own_are_impostors() {
        for ours in CALLER.iter().chain([&DECISION]) {
            assert!(!is_impostor(ours.as_bytes()));
            assert!(!is_impostor(ours.to_uppercase().as_bytes()));
            for alias in aliases(ours) {
                assert!(is_impostor(alias.as_bytes()), "{alias}");
                assert!(is_impostor(alias.to_uppercase().as_bytes()), "{alias}");
            }
        }
        assert!(is_impostor(b"x-entrance-admin"));
        assert!(is_impostor(b"X_Entrance_"));
        assert!(!is_impostor(b"x-entrance"));
        assert!(!is_impostor(b"x-request-id"));
        for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphanumeric()) {
            let name = [b"X", &[byte][..], b"Entrance", &[byte], b"Roles"].concat();
            assert_eq!(is_impostor(&name), byte != b'-', "{byte}");
        }
        assert!(is_impostor(b"x'entrance!caller"));
        assert!(!is_impostor(b"x-ent_ance-roles"));
        assert!(!is_impostor(b"x0entrance-roles"));
        assert!(!is_impostor(b""));
    }
}
