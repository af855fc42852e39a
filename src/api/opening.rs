//! Hosts for which requests pass unchecked, found by the hosts that policies name.
//!
//! Requests go to the narrowest name that a place has for their host. So what is open for a wildcard is not open for a host
//! that another name of the place covers more closely.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::policy::host::HostPattern;

/// A host that is open.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Open {
    pub(super) host: HostPattern,
    /// By which route, and why.
    pub(super) problem: Arc<str>,
    /// Where, by the position of its names.
    pub(super) place: usize,
}

/// The host names of a place where requests choose among routes.
pub(super) type Names = HashSet<HostPattern, RandomState>;

/// All that is open.
#[derive(Default)]
pub(super) struct Openings {
    /// In order: those for one host before those for more.
    all: Vec<Open>,
    places: Vec<Names>,
    /// Positions of those for this very host.
    at: HashMap<HostPattern, Vec<usize>, RandomState>,
    /// Positions of those for a host below this wildcard.
    below: HashMap<HostPattern, Vec<usize>, RandomState>,
}

impl Openings {
    pub(super) fn new(open: BTreeSet<Open>, places: Vec<Names>) -> Self {
        let mut openings = Self { all: open.into_iter().collect(), places, ..Self::default() };
        for (position, open) in openings.all.iter().enumerate() {
            openings.at.entry(open.host.clone()).or_default().push(position);
            for wildcard in open.host.above() {
                openings.below.entry(wildcard).or_default().push(position);
            }
        }
        openings
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What concerns a host of a policy: requests for it, or for a part of it, are among those.
    pub(super) fn of<'o>(&'o self, host: &HostPattern) -> impl Iterator<Item = &'o Open> + use<'o> {
        let wider: Vec<HostPattern> = host.above().chain([HostPattern::Any]).filter(|wider| wider != host).collect();
        let within = [self.below.get(host), self.at.get(host)].into_iter().flatten().flatten();
        let around = wider.clone().into_iter().filter_map(|pattern| self.at.get(&pattern)).flatten();
        let nearer: Vec<HostPattern> = std::iter::once(host.clone()).chain(wider).collect();
        let around = around.filter_map(|position| self.all.get(*position)).filter(move |open| {
            let names = self.places.get(open.place);
            let mut nearer = nearer.iter().take_while(|pattern| **pattern != open.host);
            !nearer.any(|pattern| names.is_some_and(|names| names.contains(pattern)))
        });
        within.filter_map(|position| self.all.get(*position)).chain(around)
    }
}
