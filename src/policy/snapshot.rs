//! All hosts at one moment: what a request is decided by. Built whole, never changed.

use std::collections::HashMap;
use std::sync::Arc;

use super::host::{Host, HostPattern};
use super::rules::Poison;
use super::table::HostTable;

type Tables = HashMap<Arc<str>, Arc<HostTable>, foldhash::fast::RandomState>;

/// The tables of all hosts.
#[derive(Debug, Default)]
pub struct Snapshot {
    exact: Tables,
    wildcards: Tables,
    any: Option<Arc<HostTable>>,
    poison: Option<Poison>,
}

impl Snapshot {
    /// Takes the tables; of two for one pattern the later one. With `poison` every request is denied.
    #[must_use]
    pub fn new(tables: impl IntoIterator<Item = (HostPattern, Arc<HostTable>)>, poison: Option<Poison>) -> Self {
        let mut snapshot = Self { poison, ..Self::default() };
        for (pattern, table) in tables {
            match pattern {
                HostPattern::Exact(name) => drop(snapshot.exact.insert(name, table)),
                HostPattern::Wildcard(suffix) => drop(snapshot.wildcards.insert(suffix, table)),
                HostPattern::Any => snapshot.any = Some(table),
            }
        }
        snapshot
    }

    /// The table for a host: its own, else that of the longest wildcard, else that of `*`.
    #[must_use]
    pub fn table(&self, host: &Host<'_>) -> Option<&HostTable> {
        self.find(host, &|_| true)
    }

    /// The table that decides for a host: the first of those in the order of [`Snapshot::table`] that does more than
    /// record. Else whoever wants to watch one host below a wildcard would open it.
    #[must_use]
    pub fn deciding(&self, host: &Host<'_>) -> Option<&HostTable> {
        self.find(host, &HostTable::decides)
    }

    fn find<'a>(&'a self, host: &Host<'_>, wanted: &dyn Fn(&HostTable) -> bool) -> Option<&'a HostTable> {
        let good = |table: Option<&'a Arc<HostTable>>| table.map(Arc::as_ref).filter(|table| wanted(table));
        let wildcard = || host.parents().find_map(|parent| good(self.wildcards.get(parent)));
        good(self.exact.get(host.as_str())).or_else(wildcard).or_else(|| good(self.any.as_ref()))
    }

    /// Why every request is denied, if it is.
    #[must_use]
    pub const fn poison(&self) -> Option<&Poison> {
        self.poison.as_ref()
    }

    /// All tables in a stable order, for listings.
    #[must_use]
    pub fn tables(&self) -> Vec<(HostPattern, &HostTable)> {
        let exact = self.exact.iter().map(|(name, table)| (HostPattern::Exact(name.clone()), &**table));
        let wildcards = self.wildcards.iter().map(|(name, table)| (HostPattern::Wildcard(name.clone()), &**table));
        let any = self.any.iter().map(|table| (HostPattern::Any, &**table));
        let mut all: Vec<_> = exact.chain(wildcards).chain(any).collect();
        all.sort_by(|(left, _), (right, _)| left.cmp(right));
        all
    }
}
