//! Hosts that the installer gave to a namespace: nobody else speaks for them, by whatever name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::host::{Host, HostPattern, parents};

type Names = HashMap<Arc<str>, Arc<str>, foldhash::fast::RandomState>;

/// Whose hosts are, as far as the installer said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    exact: Names,
    wildcards: Names,
}

impl Pins {
    /// The namespace that a policy's host is pinned to: by itself, else by the nearest wildcard above it.
    #[must_use]
    pub fn of_pattern(&self, pattern: &HostPattern) -> Option<&str> {
        match pattern {
            HostPattern::Exact(name) => self.find(&self.exact, name),
            HostPattern::Wildcard(suffix) => self.find(&self.wildcards, suffix),
            // takes a selector, and so is at no gateway
            HostPattern::Any => None,
        }
    }

    /// The namespace that a request's host is pinned to.
    #[must_use]
    pub fn of_host(&self, host: &Host<'_>) -> Option<&str> {
        self.find(&self.exact, host.as_str())
    }

    fn find<'a>(&'a self, own: &'a Names, name: &str) -> Option<&'a str> {
        if self.exact.is_empty() && self.wildcards.is_empty() {
            return None;
        }
        let above = || parents(name).find_map(|parent| self.wildcards.get(parent));
        own.get(name).or_else(above).map(|namespace| &**namespace)
    }
}

impl From<&BTreeMap<HostPattern, Arc<str>>> for Pins {
    fn from(given: &BTreeMap<HostPattern, Arc<str>>) -> Self {
        let mut pins = Self::default();
        for (pattern, namespace) in given {
            let (names, name) = match pattern {
                HostPattern::Exact(name) => (&mut pins.exact, name),
                HostPattern::Wildcard(suffix) => (&mut pins.wildcards, suffix),
                HostPattern::Any => continue,
            };
            names.insert(Arc::clone(name), Arc::clone(namespace));
        }
        pins
    }
}
