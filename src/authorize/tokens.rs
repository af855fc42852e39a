//! From the token of a request to a caller: the cache, the keys, the verification, in that order.
//!
//! Nothing here waits. When a token names a key that is not known yet, [`NeedsKey`] says which one, and the caller of
//! this room decides how long to wait for it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::clock::UnixTime;
use crate::reason::ReasonCode;
use crate::request::Request;
use crate::token::revocation::Revocations;
use crate::token::{self, Authority, Discovery, KeySource, KnownHeader, Profile, RawToken, TokenRejection};

use super::cache::{Entry, KeyMark, TokenCache, Verified};
use super::decision::Authenticated;
use super::ports::Keys;

/// A token names a signing key that its source does not list yet.
#[derive(Debug)]
pub struct NeedsKey {
    /// Where the key must come from.
    pub source: Arc<Discovery>,
    /// The `kid` of the token; bounded by the token room.
    pub kid: Box<str>,
}

/// What came of looking at a request's token.
#[derive(Clone)]
pub enum Presented {
    /// A verified caller; `cached` if it was verified earlier.
    Caller {
        /// The caller.
        authenticated: Arc<Authenticated>,
        /// Whether the cache had it.
        cached: bool,
    },
    /// No acceptable token.
    Rejected(TokenRejection),
}

impl Presented {
    /// The same, unless the caller's token was revoked; asked anew for every request.
    #[must_use]
    pub fn unless_revoked(self, revocations: &Revocations) -> Self {
        match self {
            Self::Caller { authenticated, .. } if revocations.covers(&authenticated.caller) => {
                Self::Rejected(TokenRejection::new(ReasonCode::TokenRevoked, "a TokenRevocation covers it"))
            }
            Self::Caller { .. } | Self::Rejected(_) => self,
        }
    }
}

/// Whether an unknown key is worth a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Report it, so that somebody can fetch it.
    AskForKeys,
    /// Decide with the keys at hand.
    DecideNow,
}

/// Verifies tokens, once each.
pub struct Tokens {
    cache: TokenCache,
    keys: Arc<dyn Keys>,
    last: ArcSwapOption<Signer>,
}

/// What the token that was verified last has in common with the next one, most likely.
struct Signer {
    header: KnownHeader,
    mark: Arc<KeyMark>,
}

impl Tokens {
    /// Remembers at most `capacity` tokens and takes keys from `keys`.
    #[must_use]
    pub fn new(capacity: usize, keys: Arc<dyn Keys>) -> Self {
        Self { cache: TokenCache::new(capacity), keys, last: ArcSwapOption::empty() }
    }

    /// Waits for a key; see [`Keys::refresh`].
    pub async fn fetch(&self, need: &NeedsKey) {
        self.keys.refresh(&need.source, &need.kid).await;
    }

    /// How many tokens are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.cache.len()
    }

    /// Looks at the token of `request` for the application of `profile`.
    ///
    /// # Errors
    /// [`NeedsKey`] only with [`Patience::AskForKeys`].
    pub fn present(
        &self,
        request: &Request<'_>,
        profile: &Arc<Profile>,
        at: (UnixTime, Patience),
    ) -> Result<Presented, NeedsKey> {
        let raw = match token::credential(request.headers) {
            Ok(raw) => raw,
            Err(rejection) => return Ok(Presented::Rejected(rejection)),
        };
        let (now, patience) = at;
        let slot = self.cache.slot(&raw, profile);
        if let Some(entry) = self.cache.find(slot, &raw, profile).filter(|entry| self.key_lives(entry, now)) {
            return Ok(match token::recheck(&entry.authenticated.caller, profile, now) {
                Ok(()) => Presented::Caller { authenticated: Arc::clone(&entry.authenticated), cached: true },
                Err(rejection) => Presented::Rejected(rejection),
            });
        }
        self.verify(&raw, profile, (now, patience)).map(|verified| match verified {
            Ok(verified) => {
                let entry = self.cache.remember(slot, &raw, verified);
                Presented::Caller { authenticated: Arc::clone(&entry.authenticated), cached: false }
            }
            Err(rejection) => Presented::Rejected(rejection),
        })
    }

    /// Everything from the bytes on. The outer error asks for a key, the inner one is the token's own fault.
    fn verify(
        &self,
        raw: &RawToken,
        profile: &Arc<Profile>,
        at: (UnixTime, Patience),
    ) -> Result<Result<Verified, TokenRejection>, NeedsKey> {
        let (now, patience) = at;
        let last = self.last.load();
        let known = last.as_ref().map(|signer| &signer.header);
        let token = match token::inspect_knowing(raw, profile, known) {
            Ok(token) => token,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let version = token.version();
        // INVARIANT: `inspect` lets pass only tenants and versions of the profile, and each of these has a source.
        let Some(source) = profile.source(token.tenant(), version) else {
            return Ok(Err(TokenRejection::new(ReasonCode::TenantNotAllowed, "no key source for the tenant")));
        };
        let authority = self.authority(source);
        if let (None, KeySource::Discovered(discovery)) = (&authority, source)
            && let Err(rejection) = token.expects(discovery)
        {
            return Ok(Err(rejection));
        }
        if let (KeySource::Discovered(source), Patience::AskForKeys) = (source, patience)
            && authority.as_ref().is_none_or(|authority| token.needs_key(authority, now))
        {
            return Err(NeedsKey { source: Arc::clone(source), kid: token.kid().into() });
        }
        let Some(authority) = authority else {
            return Ok(Err(TokenRejection::new(ReasonCode::KeysUnavailable, "keys were never fetched")));
        };
        let (kid, header) = (token.shared_kid(), token.header(known));
        let verified = token.verify(&authority, now).map_err(|rejection| self.doubted(rejection, source));
        Ok(verified.and_then(|caller| {
            let named = (&kid, version);
            let key = match last.as_ref().filter(|signer| signer.mark.is_of(&authority, named, now)) {
                Some(signer) => Arc::clone(&signer.mark),
                None => KeyMark::of(&authority, named, now)
                    .map(Arc::new)
                    .ok_or_else(|| TokenRejection::new(ReasonCode::KidUnknown, "the key is gone"))?,
            };
            self.signed(&last, (header, &key));
            let authenticated = Arc::new(Authenticated::new(caller, profile.id.clone()));
            Ok(Verified { profile: Arc::clone(profile), key, authenticated })
        }))
    }

    /// That a key is unknown is the token's fault only if its source could be asked: a key may be new.
    fn doubted(&self, rejection: TokenRejection, source: &KeySource) -> TokenRejection {
        match source {
            KeySource::Discovered(discovery)
                if rejection.reason() == ReasonCode::KidUnknown && !self.keys.is_current(discovery) =>
            {
                TokenRejection::new(
                    ReasonCode::KeysUnavailable,
                    "no key of this `kid` yet, and its source does not answer",
                )
            }
            KeySource::Discovered(_) | KeySource::Static(_) => rejection,
        }
    }

    /// Remembers header and key of a token that was verified, unless they are those of the `last` one.
    fn signed(&self, last: &Option<Arc<Signer>>, (header, mark): (Option<KnownHeader>, &Arc<KeyMark>)) {
        let header = match (header, last) {
            (None, Some(last)) if Arc::ptr_eq(&last.mark, mark) => return,
            (None, None) => return,
            (Some(header), _) => header,
            (None, Some(last)) => last.header.clone(),
        };
        self.last.store(Some(Arc::new(Signer { header, mark: Arc::clone(mark) })));
    }

    /// A cached verification counts as long as what made it would still be accepted.
    fn key_lives(&self, entry: &Entry, now: UnixTime) -> bool {
        let caller = &entry.authenticated.caller;
        let Some(source) = entry.profile.source(caller.tenant, entry.key.version) else { return false };
        self.authority(source).is_some_and(|authority| entry.key.holds(&authority, now))
    }

    fn authority(&self, source: &KeySource) -> Option<Arc<Authority>> {
        match source {
            KeySource::Static(authority) => Some(Arc::clone(authority)),
            KeySource::Discovered(discovery) => self.keys.authority(discovery),
        }
    }
}
