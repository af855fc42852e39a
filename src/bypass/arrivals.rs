//! What an upstream reports: one JSON object a line for each request that one of its handlers was given, in their order.
//!
//! ```json
//! {"resource": "admin", "method": "GET", "path": "/admin/users", "target": "/%61dmin/users", "query": "", "host": "a",
//!  "headers": [["x-bypass-nonce", "…"]]}
//! ```
//!
//! `resource` names the handler, and `headers` are a list of pairs or an object of texts or lists of texts; the rest may
//! be missing and is shown to people. What the server itself refuses is no arrival. docs/bypass.md tells more.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Unfit;
use super::answers;
use super::script::NONCE;

/// The longest report that is read.
const MOST_BYTES: usize = 256 << 20;
/// The longest wait for a report.
const LIMIT: Duration = Duration::from_secs(30);

/// Where the report is.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// An `http` URL: authority and target.
    Http {
        /// Host and port.
        authority: String,
        /// Path and query.
        target: String,
    },
}

/// One request that a handler was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arrival {
    /// The handler's name.
    pub resource: String,
    /// Method and target as the upstream tells of them, the path as it was read.
    pub shown: String,
    /// Header lines.
    pub headers: Vec<(String, String)>,
}

impl Arrival {
    /// The values of the header that tells arrivals apart: more than one if somebody joined requests.
    pub(super) fn nonces(&self) -> impl Iterator<Item = &str> {
        let values = self.headers.iter().filter(|(name, _)| folded(name) == NONCE).map(|(_, value)| value);
        values.flat_map(|value| value.split([',', ' '])).map(str::trim).filter(|nonce| !nonce.is_empty())
    }
}

/// A header's name as careless servers read it, which make variables of names: lighttpd takes whatever is no letter and no
/// digit for one and the same.
pub(super) fn folded(name: &str) -> String {
    let fold = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    name.trim().chars().map(fold).collect()
}

impl Source {
    /// Everything that has arrived so far.
    ///
    /// # Errors
    /// If there is no report, or a line of it is no arrival.
    pub async fn read(&self) -> Result<Vec<Arrival>, Unfit> {
        let unreadable = |why: String| Unfit::Report { from: self.to_string(), why };
        let read = timeout(LIMIT, self.bytes()).await.map_err(|_| unreadable(format!("not within {LIMIT:?}")))?;
        parse(&read.map_err(unreadable)?)
    }

    async fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::File(path) => tokio::fs::read(path).await.map_err(|error| error.to_string()),
            Self::Http { authority, target } => ask(authority, target).await,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Http { authority, target } => write!(f, "http://{authority}{target}"),
        }
    }
}

/// The body of the answer to a `GET`.
async fn ask(authority: &str, target: &str) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(authority).await.map_err(failed)?;
    let request = format!("GET {target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
    stream.take(limit).read_to_end(&mut bytes).await.map_err(failed)?;
    let (status, body) = answers::whole(&bytes).ok_or("the answer is not complete")?;
    if status == 200 { Ok(body) } else { Err(format!("the answer is {status}")) }
}

/// The arrivals in a report.
pub(super) fn parse(report: &[u8]) -> Result<Vec<Arrival>, Unfit> {
    let lines = (1..).zip(report.split(|byte| *byte == b'\n'));
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    lines.map(|(line, bytes)| arrival(bytes).map_err(|why| Unfit::Line { line, why })).collect()
}

fn arrival(line: &[u8]) -> Result<Arrival, String> {
    // servers write down bytes that are no UTF-8
    let object: Map<String, Value> =
        serde_json::from_str(&String::from_utf8_lossy(line)).map_err(|error| error.to_string())?;
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("resource").is_empty() {
        return Err("`resource` is missing or not a text".to_owned());
    }
    let headers =
        object.get("headers").and_then(headers).ok_or("`headers` is neither a list of pairs nor an object")?;
    let (method, target, path, host) = (text("method"), text("target"), text("path"), text("host"));
    Ok(Arrival {
        resource: text("resource").to_owned(),
        shown: format!("{method} {target} (read as {path}) of `{host}`"),
        headers,
    })
}

/// Header lines, without empty values: what has none is as good as not there.
fn headers(value: &Value) -> Option<Vec<(String, String)>> {
    let mut all = Vec::new();
    match value {
        Value::Array(pairs) => {
            for pair in pairs {
                let [name, value] = pair.as_array()?.as_slice() else { return None };
                all.push((name.as_str()?.to_owned(), value.as_str()?.to_owned()));
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                for value in values {
                    all.push((name.clone(), value.as_str()?.to_owned()));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    }
    all.retain(|(_, value)| !value.is_empty());
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::{Arrival, parse};

    fn one(line: &str) -> Arrival {
        parse(line.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn headers_are_pairs_or_an_object() {
        let pairs = one(r#"{"resource":"a","headers":[["X-Bypass-Nonce","1"],["b","2"]]}"#);
        let object = one(r#"{"resource":"a","headers":{"X_BYPASS_NONCE":["1"],"b":"2","c":""}}"#);
        assert_eq!(pairs.nonces().collect::<Vec<_>>(), ["1"]);
        assert_eq!(object.nonces().collect::<Vec<_>>(), ["1"]);
        assert_eq!(object.headers.len(), 2);
    }

    #[test]
    fn joined_nonces_are_several() {
        let joined = one(r#"{"resource":"a","headers":[["x-bypass-nonce","1, 2"]]}"#);
        assert_eq!(joined.nonces().collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn what_is_no_arrival_is_named_by_its_line() {
        let good = r#"{"resource":"a","headers":[]}"#;
        for bad in [
            "x",
            "[]",
            "{}",
            r#"{"resource":"a"}"#,
            r#"{"resource":"a","headers":[["x"]]}"#,
            r#"{"resource":"","headers":[]}"#,
        ] {
            let fault = parse(format!("{good}\n\n{bad}").as_bytes()).unwrap_err().to_string();
            assert!(fault.starts_with("line 3 of the upstream's report is no arrival: "), "{fault}");
        }
    }
}
