//! Hosts of requests and of policies: lower-case names without port.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// Longest host name (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;

/// Why a host cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    /// Nothing there, or longer than 253 bytes.
    #[error("must have 1 to 253 bytes")]
    Length,
    /// Not a list of labels of letters, digits, hyphens and underscores.
    #[error("must be labels of letters, digits and hyphens with dots between them; write other scripts as xn--…")]
    Label,
    /// A dot behind the last label. Proxies look for the name with its dot, and so may choose another route than the rules
    /// that stand on the name.
    #[error("must not end with a dot; let the proxy take it away (Envoy: `strip_trailing_host_dot`)")]
    TrailingDot,
    /// The port is not a number.
    #[error("has something after the colon that is not a port")]
    Port,
    /// A wildcard elsewhere than in the first label.
    #[error("may have a wildcard as its whole first label only, as in *.example.com")]
    Wildcard,
}

/// The host of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host<'a>(Cow<'a, str>);

impl<'a> Host<'a> {
    /// Reads an authority as the client sent it: drops a port, folds case.
    ///
    /// # Errors
    /// [`HostFault`] for lists, user information and everything else that is not one host.
    pub fn parse(raw: &'a [u8]) -> Result<Self, HostFault> {
        let text = std::str::from_utf8(raw).map_err(|_| HostFault::Label)?;
        let name = without_port(text)?;
        fold(name).map(Self)
    }

    /// No host at all; equals none that a request can have.
    #[must_use]
    pub const fn none() -> Self {
        Self(Cow::Borrowed(""))
    }

    /// Lower-case, without port.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What wildcards of this host end with, longest first: `a.b.c` gives `b.c`, `c`.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        parents(&self.0)
    }
}

pub(super) fn parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, parent)| parent)).skip(1)
}

fn without_port(text: &str) -> Result<&str, HostFault> {
    let bracket = text.rfind(']').unwrap_or(0);
    let colon = text.get(bracket..).and_then(|tail| tail.find(':')).map(|at| at.saturating_add(bracket));
    let Some((name, port)) = colon.and_then(|at| text.split_at_checked(at)) else { return Ok(text) };
    let digits = port.strip_prefix(':').unwrap_or_default();
    let number = digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if number && digits.parse::<u16>().is_ok() { Ok(name) } else { Err(HostFault::Port) }
}

/// The one spelling of a name or of an address in brackets (RFC 5952).
fn fold(name: &str) -> Result<Cow<'_, str>, HostFault> {
    if name.is_empty() || name.len() > MAX_HOST {
        return Err(HostFault::Length);
    }
    if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().map_err(|_| HostFault::Label)?;
        return Ok(Cow::Owned(format!("[{address}]")));
    }
    if name.ends_with('.') {
        return Err(HostFault::TrailingDot);
    }
    let letters = |label: &str| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let fits = |label: &str| !label.is_empty() && label.len() <= 63 && letters(label);
    if !name.split('.').all(fits) {
        return Err(HostFault::Label);
    }
    let upper = name.bytes().any(|byte| byte.is_ascii_uppercase());
    Ok(if upper { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) })
}

/// A host of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// One host.
    Exact(Arc<str>),
    /// Hosts with one or more labels before this suffix, which has no leading dot.
    Wildcard(Arc<str>),
    /// Every host.
    Any,
}

impl HostPattern {
    /// Reads `orders.example.com`, `*.example.com` or `*`.
    ///
    /// # Errors
    /// [`HostFault`]; ports and trailing dots are refused here, since they would suggest that they mean something.
    pub fn parse(text: &str) -> Result<Self, HostFault> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (text, false),
        };
        if name.contains('*') || (wildcard && name.starts_with('[')) {
            return Err(HostFault::Wildcard);
        }
        if name.contains(':') && !name.starts_with('[') {
            return Err(HostFault::Port);
        }
        let name = fold(name)?.into();
        Ok(if wildcard { Self::Wildcard(name) } else { Self::Exact(name) })
    }

    /// The hosts that both cover: of two patterns one covers the other, or they share nothing.
    #[must_use]
    pub fn meet<'p>(&'p self, other: &'p Self) -> Option<&'p Self> {
        if self.covers(other) {
            return Some(other);
        }
        other.covers(self).then_some(self)
    }

    /// Wildcards above this one, the nearest first; `*` is not among them.
    pub fn above(&self) -> impl Iterator<Item = Self> {
        let name = match self {
            Self::Exact(name) | Self::Wildcard(name) => &**name,
            Self::Any => "",
        };
        parents(name).map(|parent| Self::Wildcard(parent.into()))
    }

    /// Whether every host of `other` is one of this.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Exact(one), Self::Exact(other)) => one == other,
            (Self::Wildcard(suffix), Self::Exact(name)) => is_below(name, suffix),
            (Self::Wildcard(suffix), Self::Wildcard(name)) => name == suffix || is_below(name, suffix),
            (Self::Exact(_), Self::Wildcard(_) | Self::Any) | (Self::Wildcard(_), Self::Any) => false,
        }
    }
}

fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|labels| labels.ends_with('.'))
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}
