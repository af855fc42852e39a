//! `--listen-http DIALECT=ADDRESS`.

use std::fmt;
use std::str::FromStr;

use crate::forward_auth::dialect::{Dialect, DialectError};
use crate::listen::{Listen, ListenError};

/// A port for proxies that ask over HTTP.
#[derive(Clone, Debug)]
pub(in crate::cli) struct ListenHttp {
    /// How they ask.
    pub(in crate::cli) dialect: Dialect,
    /// Where.
    pub(in crate::cli) listen: Listen,
}

/// Not such a port.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::cli) enum ListenHttpError {
    #[error(
        "`{0}` does not say how proxies ask there: write `traefik=`, `nginx=`, `caddy=` or `envoy=` before the address"
    )]
    Bare(Box<str>),
    #[error(transparent)]
    Dialect(#[from] DialectError),
    #[error(transparent)]
    Listen(#[from] ListenError),
}

impl FromStr for ListenHttp {
    type Err = ListenHttpError;

    fn from_str(text: &str) -> Result<Self, ListenHttpError> {
        let (dialect, listen) = text.split_once('=').ok_or_else(|| ListenHttpError::Bare(text.into()))?;
        Ok(Self { dialect: dialect.parse()?, listen: listen.parse()? })
    }
}

impl fmt::Display for ListenHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.dialect, self.listen)
    }
}
