//! Verified tokens, remembered: a token is parsed and its signature checked once per application.
//!
//! A lock-free map in two generations. Lookups look into the young map, then into the old one, and move what they
//! find there to the young one. When the young map is full it becomes the old one and the previous old one is
//! dropped whole: memory is bounded by the capacity, and what is used stays. Readers never wait for a writer.
//!
//! The hash is keyed per process, so that nobody can aim at a bucket, and it is never trusted: the token's bytes and
//! the application are compared on every hit. An entry proves a past verification only; the caller of [`TokenCache`]
//! checks time, key and issuer on every use.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use papaya::HashMap;

use crate::clock::UnixTime;
use crate::token::{Authority, IssuerTemplate, Profile, RawToken, Version};

use super::decision::Authenticated;

/// A token that was verified once.
pub struct Entry {
    token: Box<[u8]>,
    /// The application's profile as it was then. Another one, and the entry is void.
    pub profile: Arc<Profile>,
    /// What verified it.
    pub key: Arc<KeyMark>,
    /// Who it speaks for.
    pub authenticated: Arc<Authenticated>,
}

/// By what a token was verified: the key, and the issuer that it spoke for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMark {
    /// `kid`.
    pub kid: Arc<str>,
    /// The version of the token, which names the source of the key.
    pub version: Version,
    /// Hash of the key and of what binds it.
    pub fingerprint: [u8; 32],
    /// The issuer as it was then,
    pub issuer: IssuerTemplate,
    /// and its cloud.
    pub cloud_instance: Option<Box<str>>,
}

impl KeyMark {
    /// That of the authority's key of this id, if it has one.
    #[must_use]
    pub fn of(authority: &Authority, (kid, version): (&Arc<str>, Version), now: UnixTime) -> Option<Self> {
        let fingerprint = *authority.keys.find(kid, now)?.fingerprint();
        let (issuer, cloud_instance) = (authority.issuer.clone(), authority.cloud_instance.clone());
        Some(Self { kid: Arc::clone(kid), version, fingerprint, issuer, cloud_instance })
    }

    /// Whether [`KeyMark::of`] would make the same.
    #[must_use]
    pub fn is_of(&self, authority: &Authority, (kid, version): (&Arc<str>, Version), now: UnixTime) -> bool {
        self.kid == *kid && self.version == version && self.holds(authority, now)
    }

    /// Whether all that is still so.
    #[must_use]
    pub fn holds(&self, authority: &Authority, now: UnixTime) -> bool {
        authority.issuer == self.issuer
            && authority.cloud_instance == self.cloud_instance
            && authority.keys.find(&self.kid, now).is_some_and(|key| key.fingerprint() == &self.fingerprint)
    }
}

/// Where a token is to be looked for: made once per request.
#[derive(Clone, Copy, Debug)]
pub struct Slot(u64);

/// Entries that room is made for beforehand, at most: some hundred KiB.
const MAX_ROOM: usize = 16 * 1024;

type Generation = HashMap<u64, Arc<Entry>, foldhash::quality::RandomState>;

struct Generations {
    young: Arc<Generation>,
    old: Arc<Generation>,
}

/// Remembers at most `capacity` verified tokens.
pub struct TokenCache {
    generations: ArcSwap<Generations>,
    inserted: AtomicUsize,
    half: usize,
    hasher: foldhash::quality::RandomState,
}

impl TokenCache {
    /// A cache for at most `capacity` tokens; at least two.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let half = (capacity / 2).max(1);
        Self {
            generations: ArcSwap::from_pointee(Generations { young: Arc::new(empty(half)), old: Arc::new(empty(0)) }),
            inserted: AtomicUsize::new(0),
            half,
            hasher: foldhash::quality::RandomState::default(),
        }
    }

    /// Hashes a token once, for [`TokenCache::find`] and [`TokenCache::remember`].
    #[must_use]
    pub fn slot(&self, token: &RawToken, profile: &Profile) -> Slot {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(token.expose());
        hasher.write(profile.id.0.as_bytes());
        Slot(hasher.finish())
    }

    /// The entry of exactly this token under exactly this profile.
    #[must_use]
    pub fn find(&self, slot: Slot, token: &RawToken, profile: &Arc<Profile>) -> Option<Arc<Entry>> {
        let generations = self.generations.load();
        let found = generations.young.pin().get(&slot.0).cloned();
        let entry = match found {
            Some(entry) => entry,
            None => {
                let entry = generations.old.pin().get(&slot.0).cloned()?;
                self.insert(slot, Arc::clone(&entry));
                entry
            }
        };
        (*entry.token == *token.expose() && Arc::ptr_eq(&entry.profile, profile)).then_some(entry)
    }

    /// Remembers a verified token.
    pub fn remember(&self, slot: Slot, token: &RawToken, entry: Verified) -> Arc<Entry> {
        let Verified { profile, key, authenticated } = entry;
        let entry = Arc::new(Entry { token: token.expose().into(), profile, key, authenticated });
        self.insert(slot, Arc::clone(&entry));
        entry
    }

    fn insert(&self, slot: Slot, entry: Arc<Entry>) {
        let generations = self.generations.load();
        generations.young.pin().insert(slot.0, entry);
        if self.inserted.fetch_add(1, Ordering::Relaxed) >= self.half {
            self.inserted.store(0, Ordering::Relaxed);
            self.generations.store(Arc::new(Generations {
                young: Arc::new(empty(self.half)),
                old: Arc::clone(&generations.young),
            }));
        }
    }

    /// How many entries there are; counts those in both generations twice.
    #[must_use]
    pub fn len(&self) -> usize {
        let generations = self.generations.load();
        generations.young.len().saturating_add(generations.old.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is remembered of a verified token besides its bytes.
pub struct Verified {
    /// The profile it was verified under.
    pub profile: Arc<Profile>,
    /// The key that signed it.
    pub key: Arc<KeyMark>,
    /// Who it speaks for.
    pub authenticated: Arc<Authenticated>,
}

/// Room for as many entries as there will be, within reason: a map that grows under load copies itself meanwhile.
fn empty(entries: usize) -> Generation {
    HashMap::with_capacity_and_hasher(entries.min(MAX_ROOM), foldhash::quality::RandomState::default())
}
