//! Where a configuration comes from: a file, standard input, or the admin port of a running Envoy.

use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;

use crate::api::field_path::FieldPath;
use crate::cli::{UsageError, runtime};
use crate::files::yaml::{self, Lines};

/// Longest dump. Those of large meshes have some ten MiB.
const MOST_BYTES: usize = 256 << 20;
/// What is easily mixed up.
const PORTS: &str =
    "That of the examples is 9902, Istio's 15000, Envoy Gateway's 19000; 9901 is that of Entrance itself";
/// Longest wait for a dump.
const LIMIT: Duration = Duration::from_secs(30);

/// A configuration, and where it comes from.
pub(super) struct Document {
    pub(super) name: String,
    pub(super) body: Value,
    /// Of YAML.
    lines: Option<Lines>,
}

impl Document {
    /// Reads a file, standard input (`-`), or what a URL answers.
    pub(super) fn read(source: &str) -> Result<Self, UsageError> {
        if source == "-" {
            return Self::parse("standard input", &stdin()?);
        }
        if source.starts_with("http://") || source.starts_with("https://") {
            let url = address(source);
            let bytes = runtime::run_alone(fetch(&url))??;
            return Self::parse(&url, &bytes);
        }
        let bytes = std::fs::read(source);
        let bytes = bytes.map_err(|error| UsageError::new(format!("`{source}` cannot be read: {error}")))?;
        Self::parse(source, &bytes)
    }

    fn parse(name: &str, bytes: &[u8]) -> Result<Self, UsageError> {
        let name = name.to_owned();
        // JSON is YAML, but dumps may be longer than anything that people write.
        if bytes.trim_ascii_start().starts_with(b"{")
            && let Ok(body) = serde_json::from_slice(bytes)
        {
            return Ok(Self { name, body, lines: None });
        }
        let documents =
            yaml::parse_with_aliases(bytes).map_err(|problem| UsageError::new(format!("{name}:{problem}")))?;
        let mut documents = documents.into_iter();
        match (documents.next(), documents.next()) {
            (Some(document), None) => Ok(Self { name, body: document.body, lines: Some(document.lines) }),
            (None, _) => Err(UsageError::new(format!("`{name}` is empty; give an Envoy bootstrap"))),
            (Some(_), Some(_)) => Err(UsageError::new(format!("`{name}` holds several documents; give one"))),
        }
    }

    /// Line and column of a field, or of what it is missing from.
    pub(super) fn locate(&self, path: &FieldPath) -> Option<(u32, u32)> {
        self.lines.as_ref()?.line(path)
    }
}

fn stdin() -> Result<Vec<u8>, UsageError> {
    let failed = |error| UsageError::new(format!("standard input cannot be read: {error}"));
    let mut bytes = Vec::new();
    let limit = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
    std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The admin port's address may be given alone. Endpoints are in a dump only if somebody asks for them.
fn address(url: &str) -> String {
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    if path.is_empty() { format!("{}/config_dump?include_eds", url.trim_end_matches('/')) } else { url.to_owned() }
}

async fn fetch(url: &str) -> Result<Vec<u8>, UsageError> {
    let failed = |error: reqwest::Error| {
        let error = error.without_url();
        UsageError::new(format!("`{url}` cannot be read: {error}; is this the admin port of an Envoy? {PORTS}"))
    };
    let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().map_err(failed)?;
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST_BYTES {
            return Err(UsageError::new(format!("`{url}` answers more than {MOST_BYTES} bytes")));
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_admin_port_is_asked_for_its_dump() {
        assert_eq!(address("http://127.0.0.1:9902"), "http://127.0.0.1:9902/config_dump?include_eds");
        assert_eq!(address("http://127.0.0.1:9902/"), "http://127.0.0.1:9902/config_dump?include_eds");
        assert_eq!(address("http://a/config_dump?resource=x"), "http://a/config_dump?resource=x");
    }
}
