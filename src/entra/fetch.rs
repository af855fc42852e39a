//! Asks an authority for its metadata and its keys over HTTPS, and lets nothing through that was not judged.
//!
//! Plain HTTP is for loopback only, redirects stay on the host that was asked, no more than 1 MiB of a body is read,
//! and nothing waits without end. Bodies are never logged.

use std::borrow::Cow;
use std::time::Duration;

use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Certificate, Client, ClientBuilder, Url};

use crate::token::metadata::{self, Metadata, same_origin};
use crate::token::{Discovery, cloud, jwks};

/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Most redirects followed.
const REDIRECTS: usize = 3;

/// What went wrong with a source, as logs, metrics and status name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultCode {
    /// The metadata came, and is not acceptable.
    MetadataRejected,
    /// The key document came, and is not acceptable.
    JwksRejected,
    /// No document came.
    FetchFailed,
}

impl FaultCode {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::MetadataRejected => "metadata_rejected",
            Self::JwksRejected => "jwks_rejected",
            Self::FetchFailed => "fetch_failed",
        }
    }
}

/// The client for HTTPS could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTPS client: {0}; check the system's certificates and the extra ones")]
pub struct ClientFault(#[from] reqwest::Error);

/// Why a source has no new keys.
#[derive(Debug)]
pub(super) struct FetchFault {
    pub(super) code: FaultCode,
    pub(super) detail: Cow<'static, str>,
}

/// What a source told, judged.
pub(super) struct Fetched {
    pub(super) metadata: Metadata,
    pub(super) jwks: jwks::ParsedKeys,
}

/// Asks.
pub(super) struct Fetcher {
    /// Through the proxies of the environment, if any.
    outside: Client,
    /// For loopback: no proxy can reach what is ours.
    inside: Client,
}

/// Which of the two documents is asked for.
#[derive(Clone, Copy)]
enum Document {
    Metadata,
    Jwks,
}

impl Document {
    /// The document, or where its server leads, is not acceptable.
    fn rejected(self, detail: impl Into<Cow<'static, str>>) -> FetchFault {
        let code = match self {
            Self::Metadata => FaultCode::MetadataRejected,
            Self::Jwks => FaultCode::JwksRejected,
        };
        let detail = detail.into();
        FetchFault { code, detail }
    }

    const fn most(self) -> usize {
        match self {
            Self::Metadata => metadata::MAX_DOCUMENT,
            Self::Jwks => jwks::MAX_DOCUMENT,
        }
    }
}

/// A redirect that is not followed.
#[derive(Debug, thiserror::Error)]
#[error("the redirect is not followed")]
struct Astray;

impl Fetcher {
    /// Trusts the system's certificates and these (PEM); each request takes no longer than `limit`.
    pub(super) fn new(extra_ca: Option<&[u8]>, limit: Duration) -> Result<Self, ClientFault> {
        let extra = extra_ca.map(Certificate::from_pem_bundle).transpose()?;
        let extra = extra.unwrap_or_default();
        let builder = || -> ClientBuilder {
            Client::builder()
                .user_agent(concat!("entrance/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                .timeout(limit)
                .redirect(Policy::custom(on_this_host))
                .referer(false)
                .tls_certs_merge(extra.clone())
        };
        Ok(Self { outside: builder().build()?, inside: builder().no_proxy().build()? })
    }

    /// Asks for the metadata, then for the keys that it leads to.
    pub(super) async fn fetch(&self, source: &Discovery) -> Result<Fetched, FetchFault> {
        let document = Document::Metadata;
        let body = self.body(document, &source.metadata_url).await?;
        let metadata = metadata::parse(&body, source).map_err(|rejection| document.rejected(rejection.to_string()))?;
        let document = Document::Jwks;
        let body = self.body(document, &metadata.jwks_uri).await?;
        let jwks = jwks::parse(&body).map_err(|rejection| document.rejected(rejection.to_string()))?;
        Ok(Fetched { metadata, jwks })
    }

    async fn body(&self, document: Document, url: &str) -> Result<Vec<u8>, FetchFault> {
        let (url, client) =
            self.route(url).ok_or_else(|| document.rejected("the address is neither https nor http for loopback"))?;
        let failed = |error: reqwest::Error| {
            if error.is_redirect() {
                return document.rejected("the server redirects to another host, or too often");
            }
            FetchFault { code: FaultCode::FetchFailed, detail: causes(&error.without_url()).into() }
        };
        let mut response = client.get(url).send().await.map_err(failed)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchFault {
                code: FaultCode::FetchFailed,
                detail: format!("status `{}`, expected 200", response.status().as_u16()).into(),
            });
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len().saturating_add(chunk.len()) > document.most() {
                return Err(document.rejected("the document is larger than 1 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The address, if it may be asked, and the client to ask with.
    fn route(&self, url: &str) -> Option<(Url, &Client)> {
        let url = Url::parse(url).ok()?;
        let loopback = url.host_str().is_some_and(cloud::loopback);
        match url.scheme() {
            "http" | "https" if loopback => Some((url, &self.inside)),
            "https" => Some((url, &self.outside)),
            _ => None,
        }
    }
}

fn on_this_host(attempt: Attempt<'_>) -> Action {
    let next = attempt.url().as_str();
    let stays = (attempt.previous().first()).is_some_and(|asked| same_origin(asked.as_str(), next));
    if stays && attempt.previous().len() <= REDIRECTS {
        return attempt.follow();
    }
    attempt.error(Astray)
}

/// An error and what caused it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Fetcher;
    use std::time::Duration;

    #[test]
    fn only_https_and_loopback_are_asked() {
        let fetcher = Fetcher::new(None, Duration::from_secs(1)).unwrap();
        for url in [
            "https://login.microsoftonline.com/x",
            "http://127.0.0.1:80/x",
            "http://localhost:8080/x",
            "http://[::1]:1/x",
        ] {
            assert!(fetcher.route(url).is_some(), "{url}");
        }
        for url in [
            "http://login.microsoftonline.com/x",
            "http://127.0.0.1.example/x",
            "http://localhost.example/x",
            "file:///etc/passwd",
            "ftp://127.0.0.1/x",
            "nothing",
        ] {
            assert!(fetcher.route(url).is_none(), "{url}");
        }
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(Fetcher::new(Some(broken), Duration::from_secs(1)).is_err());
    }
}
