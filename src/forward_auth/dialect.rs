//! How a proxy describes a request.

use std::fmt;
use std::str::FromStr;

/// The proxy that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Traefik, `forwardAuth` with `trustForwardHeader: false`.
    Traefik,
    /// nginx, `auth_request` to a location that sets the headers.
    Nginx,
    /// Caddy, `forward_auth`.
    Caddy,
    /// Envoy, `ext_authz` with `http_service`: asks with the request's own method, path and host.
    Envoy,
}

/// The headers that describe a request, each exactly once. Names are in lower case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    /// The method.
    pub(super) method: &'static str,
    /// Path and query, as the client sent them.
    pub(super) target: &'static str,
    /// The host.
    pub(super) host: &'static str,
}

/// What a word describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Method,
    Target,
    Host,
}

/// All words that somebody believes. Those of one dialect that are there in another one must say the same.
pub(super) const WORDS: [(&str, Meaning); 8] = [
    ("x-forwarded-method", Meaning::Method),
    ("x-original-method", Meaning::Method),
    ("x-forwarded-uri", Meaning::Target),
    ("x-original-uri", Meaning::Target),
    ("x-original-url", Meaning::Target),
    ("x-rewrite-url", Meaning::Target),
    ("x-forwarded-host", Meaning::Host),
    ("x-original-host", Meaning::Host),
];

const FORWARDED: Words = Words { method: "x-forwarded-method", target: "x-forwarded-uri", host: "x-forwarded-host" };

const ORIGINAL: Words = Words { method: "x-original-method", target: "x-original-uri", host: "x-forwarded-host" };

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Traefik, Self::Nginx, Self::Caddy, Self::Envoy];

    /// The name in flags and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traefik => "traefik",
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
        }
    }

    /// The headers that describe a request. `None`: it describes itself.
    pub(super) const fn words(self) -> Option<&'static Words> {
        match self {
            Self::Traefik | Self::Caddy => Some(&FORWARDED),
            Self::Nginx => Some(&ORIGINAL),
            Self::Envoy => None,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not a dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no dialect: expected `traefik`, `nginx`, `caddy` or `envoy`")]
pub struct DialectError(Box<str>);

impl FromStr for Dialect {
    type Err = DialectError;

    fn from_str(text: &str) -> Result<Self, DialectError> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == text).ok_or_else(|| DialectError(text.into()))
    }
}
