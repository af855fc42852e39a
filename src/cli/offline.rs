//! What `check` and `token inspect` read: tokens, keys, times, headers, URLs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use bytes::Bytes;

use crate::clock::{Clock, SystemClock, UnixTime};
use crate::token::{KeySet, RawToken, jwks};

use super::UsageError;
use super::out::Out;

/// A token file may be this long: far beyond the limit for tokens, so that a long one gets its own reason.
const TOKEN_FILE: u64 = 1 << 20;
/// One byte more than a key file may have, so that a longer one is noticed.
const KEY_FILE: u64 = jwks::MAX_DOCUMENT as u64 + 1;

/// The time of `--now`, or the present.
pub(super) fn time(now: Option<&str>) -> Result<UnixTime, UsageError> {
    let Some(text) = now else { return Ok(SystemClock.unix()) };
    if let Ok(seconds) = i64::from_str(text) {
        return Ok(UnixTime(seconds));
    }
    jiff::Timestamp::from_str(text).map(|at| UnixTime(at.as_second())).map_err(|error| {
        UsageError::new(format!(
            "--now: `{text}` is neither RFC 3339 (2026-11-24T03:00:00Z) nor seconds since 1970: {error}"
        ))
    })
}

/// The token in `source`, the value of a flag: a file, or `-` for standard input. White space around it is dropped.
pub(super) fn token(flag: &str, source: &str) -> Result<RawToken, UsageError> {
    let read = if source == "-" {
        bounded(io::stdin().lock(), TOKEN_FILE)
    } else {
        File::open(source).and_then(|file| bounded(file, TOKEN_FILE))
    };
    let bytes = read.map_err(|error| UsageError::new(format!("{flag}: cannot read `{source}`: {error}")))?;
    Ok(trimmed(&bytes))
}

/// A token without the white space around it.
pub(super) fn trimmed(bytes: &Bytes) -> RawToken {
    RawToken::new(bytes.slice_ref(bytes.trim_ascii()))
}

/// The header line that carries a token.
pub(super) fn bearer(token: &RawToken) -> (Bytes, Bytes) {
    let value = [b"Bearer ", token.expose()].concat();
    (Bytes::from_static(b"authorization"), value.into())
}

/// The keys of a file; those that cannot be used are named on standard error.
pub(super) fn keys(file: &Path) -> Result<KeySet, UsageError> {
    let shown = file.display();
    let read = File::open(file).and_then(|file| bounded(file, KEY_FILE));
    let bytes = read.map_err(|error| UsageError::new(format!("--jwks: cannot read `{shown}`: {error}")))?;
    let parsed = jwks::parse(&bytes).map_err(|why| UsageError::new(format!("--jwks: `{shown}`: {why}")))?;
    for (at, why) in parsed.skipped {
        Out.complain(&format!("warning: {shown}: keys[{at}] is not used: {why}"));
    }
    Ok(parsed.keys)
}

fn bounded(from: impl Read, limit: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    from.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// A header as `Name: value`.
pub(super) fn header(text: &str) -> Result<(Bytes, Bytes), UsageError> {
    let Some((name, value)) = text.split_once(':') else {
        return Err(UsageError::new(format!("--header: `{text}` has no colon; write `Name: value`")));
    };
    let name = name.trim();
    if name.is_empty() {
        return Err(UsageError::new(format!("--header: `{text}` has no name before the colon; write `Name: value`")));
    }
    Ok((name.to_ascii_lowercase().into(), value.trim().to_owned().into()))
}

/// What a proxy's configuration says, as `KEY=VALUE`.
pub(super) fn pair(text: &str) -> Result<(Bytes, Bytes), UsageError> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned().into(), value.to_owned().into())),
        None => {
            Err(UsageError::new(format!("--context: `{text}` has no `=`; write `entrance.dev/policy=NAMESPACE/NAME`")))
        }
    }
}

/// The authority of `https://host/path?query`, and path with query as a client sends them: without a fragment, with a
/// slash if there is nothing, and otherwise exactly as written.
pub(super) fn split_url(url: &str) -> Result<(&str, String), UsageError> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or_else(|| UsageError::new(format!("--url: `{url}` must begin with https:// or http://")))?;
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if host.is_empty() {
        return Err(UsageError::new(format!("--url: `{url}` names no host; write https://host/path")));
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok((host, format!("{slash}{target}")))
}

#[cfg(test)]
mod tests {
    use super::{header, split_url, time};
    use crate::clock::UnixTime;

    #[test]
    fn time_reads_both_spellings() {
        assert_eq!(time(Some("1700000000")).unwrap(), UnixTime(1_700_000_000));
        assert_eq!(time(Some("2023-11-14T22:13:20Z")).unwrap(), UnixTime(1_700_000_000));
        assert!(time(Some("yesterday")).unwrap_err().to_string().contains("RFC 3339"));
    }

    #[test]
    fn a_url_is_split_and_its_path_stays_as_written() {
        for (url, host, target) in [
            ("https://Orders.example.com:8443/a/../b//c?x=1", "Orders.example.com:8443", "/a/../b//c?x=1"),
            ("https://h", "h", "/"),
            ("http://h?x=/y", "h", "/?x=/y"),
            ("https://h/p#part", "h", "/p"),
        ] {
            assert_eq!(split_url(url).unwrap(), (host, target.to_owned()));
        }
        assert!(split_url("ftp://h/").is_err());
        assert!(split_url("https:///p").is_err());
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let (name, value) = header("X-Tenant : a:b ").unwrap();
        assert_eq!((&name[..], &value[..]), (&b"x-tenant"[..], &b"a:b"[..]));
        assert!(header("no colon").is_err());
        assert!(header(": value").is_err());
    }
}
