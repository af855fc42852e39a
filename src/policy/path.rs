//! Paths: one reading, or none.
//!
//! A path that two servers could read differently is refused, never normalised: encoded slashes and percent signs,
//! backslashes, dot segments (also encoded, also with parameters), empty segments, control bytes, broken escapes.
//! What is left differs in one harmless way only: unreserved bytes may be escaped (RFC 3986 §2.3). They are decoded
//! once, and the hexadecimal digits of other escapes become upper-case. The result is a fixed point of this function.

use std::borrow::Cow;

/// Longest path, in bytes, without the query. Envoy's default limit for all headers is 60 KiB.
pub const MAX_PATH: usize = 16 * 1024;

/// Why a path has no one reading; for the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Does not begin with a slash: `*`, an absolute URL, nothing.
    #[error("does not begin with a slash")]
    NotAbsolute,
    /// More than 16 KiB.
    #[error("longer than 16 KiB")]
    TooLong,
    /// A control byte, a space, a byte outside ASCII, `#` or a backslash.
    #[error("a byte that no path may hold")]
    Byte,
    /// `%` without two hexadecimal digits, or escapes that are not UTF-8.
    #[error("a broken percent escape")]
    BrokenEscape,
    /// An escaped slash, backslash, percent sign or control byte.
    #[error("an escape that hides a separator, a percent sign or a control byte")]
    HiddenByte,
    /// `.` or `..`, in any spelling.
    #[error("a dot segment")]
    DotSegment,
    /// Two slashes in a row.
    #[error("an empty segment")]
    EmptySegment,
}

/// A path with one reading, and the query behind it as sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical<'a> {
    path: Cow<'a, str>,
    query: Option<&'a [u8]>,
}

impl<'a> Canonical<'a> {
    /// Reads a request target as Envoy hands it over: path, and query from the first `?` on.
    ///
    /// # Errors
    /// [`PathFault`]; the request is malformed.
    pub fn parse(target: &'a [u8]) -> Result<Self, PathFault> {
        let (path, query) = match target.iter().position(|byte| *byte == b'?') {
            Some(at) => (target.get(..at).unwrap_or_default(), target.get(at.saturating_add(1)..)),
            None => (target, None),
        };
        if path.len() > MAX_PATH {
            return Err(PathFault::TooLong);
        }
        if path.first() != Some(&b'/') {
            return Err(PathFault::NotAbsolute);
        }
        let path = decode(path)?;
        segments_are_plain(&path)?;
        Ok(Self { path, query })
    }

    /// The path, from its slash on.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The query without its `?`, as sent.
    #[must_use]
    pub const fn query(&self) -> Option<&'a [u8]> {
        self.query
    }

    /// The part before an escaped `?` or `#`, if there is one. It is the whole path to servers that look for a query or
    /// a fragment after they resolved escapes, which RFC 3986 §2.4 forbids (CVE-2024-38474 is one of them).
    pub(super) fn before_escaped_mark(&self) -> Option<&str> {
        let at = [self.path.find("%3F"), self.path.find("%23")].into_iter().flatten().min()?;
        self.path.get(..at)
    }

    /// The segments after the first slash. `/` has one, empty; a trailing slash leaves an empty last one.
    pub fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        segments(&self.path)
    }
}

/// The segments after the first slash.
pub(super) fn segments(path: &str) -> std::str::Split<'_, char> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// Whether the segment has `;` parameters, plain or escaped.
pub(super) fn parameters_at(segment: &str) -> Option<usize> {
    let plain = segment.find(';');
    let escaped = segment.find("%3B");
    match (plain, escaped) {
        (Some(plain), Some(escaped)) => Some(plain.min(escaped)),
        (plain, escaped) => plain.or(escaped),
    }
}

/// What the most lenient server reads in a canonical segment: nothing of its `;` parameters, and no escape where the
/// character itself may stand in a literal. Literals of templates are written like this.
pub(super) fn lenient(segment: &str) -> Cow<'_, str> {
    let name = parameters_at(segment).and_then(|at| segment.get(..at)).unwrap_or(segment);
    if !name.contains(['%', '{', '}']) {
        return Cow::Borrowed(name);
    }
    let mut read = String::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let (value, after) = if *byte == b'%' { escape(after).unwrap_or((*byte, after)) } else { (*byte, after) };
        let plain =
            value.is_ascii_graphic() && !matches!(value, b'#' | b'?' | b'{' | b'}' | b'/' | b'\\' | b'%' | b';');
        if plain {
            read.push(char::from(value))
        } else {
            push_escaped(&mut read, value)
        }
        rest = after;
    }
    Cow::Owned(read)
}

/// A canonical path, or a part of it, with every escape resolved: what a server hands to the code behind it.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let (value, after) = if *byte == b'%' { escape(after).unwrap_or((*byte, after)) } else { (*byte, after) };
        bytes.push(value);
        rest = after;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn decode(path: &[u8]) -> Result<Cow<'_, str>, PathFault> {
    let allowed = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\');
    if !path.iter().all(allowed) {
        return Err(PathFault::Byte);
    }
    let text = std::str::from_utf8(path).map_err(|_| PathFault::Byte)?;
    if !path.contains(&b'%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = String::with_capacity(path.len());
    let mut unescaped = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        if *byte == b'%' {
            let (value, after) = escape(after)?;
            unescaped.push(value);
            push(&mut decoded, value)?;
            rest = after;
        } else {
            unescaped.push(*byte);
            decoded.push(char::from(*byte));
            rest = after;
        }
    }
    std::str::from_utf8(&unescaped).map_err(|_| PathFault::BrokenEscape)?;
    Ok(if decoded == text { Cow::Borrowed(text) } else { Cow::Owned(decoded) })
}

fn escape(after: &[u8]) -> Result<(u8, &[u8]), PathFault> {
    let [high, low, rest @ ..] = after else { return Err(PathFault::BrokenEscape) };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (Some(high), Some(low)) = (digit(*high), digit(*low)) else { return Err(PathFault::BrokenEscape) };
    Ok(((high << 4) | low, rest))
}

fn push(decoded: &mut String, value: u8) -> Result<(), PathFault> {
    match value {
        b'/' | b'\\' | b'%' => Err(PathFault::HiddenByte),
        _ if value.is_ascii_control() => Err(PathFault::HiddenByte),
        b'-' | b'.' | b'_' | b'~' => {
            decoded.push(char::from(value));
            Ok(())
        }
        _ if value.is_ascii_alphanumeric() => {
            decoded.push(char::from(value));
            Ok(())
        }
        _ => {
            push_escaped(decoded, value);
            Ok(())
        }
    }
}

fn push_escaped(text: &mut String, value: u8) {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase();
    text.extend(['%', digit(value >> 4), digit(value & 0xf)]);
}

fn segments_are_plain(path: &str) -> Result<(), PathFault> {
    let mut segments = segments(path).peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err(PathFault::EmptySegment);
        }
        let name = parameters_at(segment).and_then(|at| segment.get(..at)).unwrap_or(segment);
        // An empty name before parameters (`/;x/`) is an empty segment to servers that drop parameters.
        if name.is_empty() && !segment.is_empty() {
            return Err(PathFault::EmptySegment);
        }
        if matches!(name, "." | "..") {
            return Err(PathFault::DotSegment);
        }
    }
    Ok(())
}
