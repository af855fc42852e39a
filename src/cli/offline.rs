//! What `check` and `token inspect` share: reading tokens, keys and times without a server.

use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use crate::clock::{Clock, SystemClock, UnixTime};

use super::UsageError;

/// A token file may be this long: the token limit, and room for white space and a diagnosis of longer ones.
const TOKEN_FILE_BYTES: u64 = 1 << 20;

/// A key file may be this long (1 MiB, as for a fetched one).
const JWKS_FILE_BYTES: u64 = 1 << 20;

/// The time of `--now`, or the present.
pub(crate) fn time(now: Option<&str>) -> Result<UnixTime, UsageError> {
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

/// The token in `source`: a file, or `-` for standard input. White space around it is dropped.
pub(crate) fn token(source: &str) -> Result<String, UsageError> {
    let complain = |error: &std::io::Error| UsageError::new(format!("--token: cannot read `{source}`: {error}"));
    let mut text = String::new();
    let read = if source == "-" {
        std::io::stdin().lock().take(TOKEN_FILE_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(source).and_then(|file| file.take(TOKEN_FILE_BYTES).read_to_string(&mut text))
    };
    read.map_err(|error| complain(&error))?;
    Ok(text.trim().to_owned())
}

/// The bytes of a key file.
pub(crate) fn jwks(file: &Path) -> Result<Vec<u8>, UsageError> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(JWKS_FILE_BYTES.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| UsageError::new(format!("--jwks: cannot read `{}`: {error}", file.display())))?;
    Ok(bytes)
}

/// A header as `Name: value`.
pub(crate) fn header(text: &str) -> Result<(bytes::Bytes, bytes::Bytes), UsageError> {
    let Some((name, value)) = text.split_once(':') else {
        return Err(UsageError::new(format!("--header: `{text}` has no colon; write `Name: value`")));
    };
    if name.is_empty() || name.starts_with(' ') {
        return Err(UsageError::new("--header: the name before the colon is empty; write `Name: value`"));
    }
    Ok((name.trim().to_ascii_lowercase().into_bytes().into(), value.trim().to_owned().into_bytes().into()))
}

/// The authority and the path with query of `https://host/path?query`, both exactly as written.
pub(crate) fn split_url(url: &str) -> Result<(&str, &str), UsageError> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or_else(|| UsageError::new(format!("--url: `{url}` must begin with https:// or http://")))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if host.is_empty() {
        return Err(UsageError::new(format!("--url: `{url}` names no host")));
    }
    Ok((host, path))
}

#[cfg(test)]
mod tests {
    use super::{split_url, time};
    use crate::clock::UnixTime;

    #[test]
    fn time_reads_both_spellings() {
        assert_eq!(time(Some("1700000000")).unwrap(), UnixTime(1_700_000_000));
        assert_eq!(time(Some("2023-11-14T22:13:20Z")).unwrap(), UnixTime(1_700_000_000));
        assert!(time(Some("yesterday")).is_err());
    }

    #[test]
    fn url_is_split_without_normalising_anything() {
        assert_eq!(split_url("https://Orders.example.com:8443/a/../b//c?x=1").unwrap(), ("Orders.example.com:8443", "/a/../b//c?x=1"));
        assert_eq!(split_url("https://h").unwrap(), ("h", ""));
        assert!(split_url("ftp://h/").is_err());
        assert!(split_url("https:///p").is_err());
    }
}
