//! Keys for one decision: none if the rules or a file bring them, otherwise asked for once.
//!
//! Only the one source is asked that the token at hand names, as far as an application accepts it.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};
use tokio::time::timeout;

use crate::authorize::ports::Keys;
use crate::clock::Clock;
use crate::entra::{self, KeyStore};
use crate::request::Headers;
use crate::token::{self, Authority, Discovery, KeySource, Profile};

use super::UsageError;
use super::args::offline::KeyArgs;
use super::out::Out;

/// Longest wait for metadata and keys.
const LIMIT: Duration = Duration::from_secs(5);

/// The source that the token in `headers` asks an application for, if it is one that must be fetched.
pub(super) fn wanted(profile: &Profile, headers: &dyn Headers) -> Option<Arc<Discovery>> {
    let raw = token::credential(headers).ok()?;
    let unverified = token::inspect(&raw, profile).ok()?;
    match profile.source(unverified.tenant(), unverified.version())? {
        KeySource::Discovered(discovery) => Some(Arc::clone(discovery)),
        KeySource::Static(_) => None,
    }
}

/// Asks these sources, if there are any. Those that do not answer are named on standard error.
pub(super) async fn fetch(
    sources: Vec<Arc<Discovery>>,
    (args, clock): (&KeyArgs, Arc<dyn Clock>),
) -> Result<Arc<dyn Keys>, UsageError> {
    if sources.is_empty() {
        return Ok(Arc::new(NoSource));
    }
    let extra_ca = args.extra_ca.as_deref().map(extra_ca).transpose()?;
    let options = entra::Options { extra_ca, timeout: LIMIT, clock, ..entra::Options::default() };
    let store = KeyStore::new(options).map_err(|fault| UsageError::new(fault.to_string()))?;
    store.watch(sources);
    let (Ok(()) | Err(_)) = timeout(LIMIT, store.settled()).await;
    for source in store.status().iter().filter(|source| source.last_success.is_none()) {
        let why = source.last_error.map_or("no answer in 5 seconds", |code| code.code());
        Out.complain(&format!("warning: no signing keys from {}: {why}; --jwks FILE gives them offline", source.url));
    }
    Ok(Arc::new(store))
}

/// The certificates of a file that `--extra-ca` names.
pub(super) fn extra_ca(file: &Path) -> Result<Vec<u8>, UsageError> {
    std::fs::read(file)
        .map_err(|error| UsageError::new(format!("--extra-ca: cannot read `{}`: {error}", file.display())))
}

/// PEM that an injected sidecar is given in its environment, since a pod's volumes cannot hold what is in another
/// namespace.
pub(super) fn given(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(OsString::into_encoded_bytes).filter(|pem| !pem.is_empty())
}

/// Nothing has to be fetched.
struct NoSource;

impl Keys for NoSource {
    fn authority(&self, _: &Discovery) -> Option<Arc<Authority>> {
        None
    }

    fn refresh<'a>(&'a self, _: &'a Arc<Discovery>, _: &'a str) -> BoxFuture<'a, ()> {
        future::ready(()).boxed()
    }

    fn is_current(&self, _: &Discovery) -> bool {
        true
    }
}
