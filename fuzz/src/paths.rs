//! `path`: one reading or none, the same as that of a second reader, and nothing left to read in another way.

use entrance::policy::path::{Canonical, MAX_PATH};

/// For mutations.
pub const WORDS: &[&str] = &[
    "/",
    "//",
    ".",
    "..",
    "/./",
    "/../",
    "%2e",
    "%2E%2e",
    "%2f",
    "%2F",
    "%5c",
    "%5C",
    "\\",
    "%00",
    "%25",
    "%252e",
    "%3b",
    "%3B",
    ";",
    ";x=1",
    "..;",
    "..%3b",
    "%",
    "%4",
    "%zz",
    "%c3%a4",
    "%C3",
    "%41",
    "%7e",
    "~",
    "?",
    "#",
    "*",
    " ",
    "\0",
    "http://h/",
    "%0d%0a",
    "ä",
];

/// The target.
///
/// # Panics
/// The two readers differ, or the result can be read once more.
pub fn path(data: &[u8]) {
    let ours = Canonical::parse(data);
    assert_eq!(ours.as_ref().ok().map(|path| path.as_str().to_owned()), reference(data), "two readings");
    let Ok(path) = ours else { return };
    let again = Canonical::parse(path.as_str().as_bytes()).expect("canonical paths are paths");
    assert_eq!(again.as_str(), path.as_str(), "no fixed point");
    assert_eq!(again.query(), None);
    let query = data.iter().position(|byte| *byte == b'?').map(|at| &data[at + 1..]);
    assert_eq!(path.query(), query);
    assert_eq!(path.segments().fold(String::new(), |whole, segment| format!("{whole}/{segment}")), path.as_str());
}

/// The second reader: segment by segment, through what the escapes stand for.
#[must_use]
pub fn reference(target: &[u8]) -> Option<String> {
    let path = target.split(|byte| *byte == b'?').next()?;
    let below = path.strip_prefix(b"/")?;
    let plain = |byte: &u8| (0x21..=0x7e).contains(byte) && *byte != b'#' && *byte != b'\\';
    if path.len() > MAX_PATH || !path.iter().all(plain) {
        return None;
    }
    let segments: Vec<&[u8]> = below.split(|byte| *byte == b'/').collect();
    let mut whole = String::new();
    for (at, segment) in segments.iter().enumerate() {
        whole.push('/');
        if segment.is_empty() && at + 1 == segments.len() {
            continue;
        }
        whole.push_str(&reference_segment(segment)?);
    }
    Some(whole)
}

/// A non-empty segment: what it means must be a name, perhaps with parameters.
fn reference_segment(segment: &[u8]) -> Option<String> {
    let (mut meaning, mut written) = (Vec::new(), String::new());
    let mut at = 0;
    while at < segment.len() {
        if segment[at] != b'%' {
            meaning.push(segment[at]);
            written.push(char::from(segment[at]));
            at += 1;
            continue;
        }
        let digits = segment.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        let value = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if value < 0x20 || value == 0x7f || b"/\\%".contains(&value) {
            return None;
        }
        meaning.push(value);
        if value.is_ascii_alphanumeric() || b"-._~".contains(&value) {
            written.push(char::from(value));
        } else {
            written.push_str(&format!("%{value:02X}"));
        }
        at += 3;
    }
    let meaning = String::from_utf8(meaning).ok()?;
    let name = meaning.split(';').next()?;
    (!["", ".", ".."].contains(&name)).then_some(written)
}
