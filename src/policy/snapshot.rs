//! All hosts at one moment: what a request is decided by. Never changed: another moment is another snapshot, which
//! shares with the one before what is the same.

use std::collections::HashMap;
use std::sync::Arc;

use crate::request::Named;

use super::host::{Host, HostPattern};
use super::pins::Pins;
use super::rules::Poison;
use super::scope::{ScopeFault, Scopes};
use super::table::HostTable;

type Tables = HashMap<Arc<str>, Arc<HostTable>, foldhash::fast::RandomState>;

/// A host, and the table that it has from here on; `None`: it has none any more.
pub type Change = (HostPattern, Option<Arc<HostTable>>);

/// The tables of all hosts.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    exact: Tables,
    wildcards: Tables,
    any: Option<Arc<HostTable>>,
    pins: Arc<Pins>,
    scopes: Arc<Scopes>,
    poison: Option<Poison>,
}

/// The tables that speak for a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speaking<'a> {
    /// The nearest: its shadow policies record.
    pub nearest: Option<&'a HostTable>,
    /// The one that decides.
    pub deciding: Option<&'a HostTable>,
}

impl Snapshot {
    /// Takes the tables; of two for one pattern the later one. With `poison` every request is denied.
    #[must_use]
    pub fn new(tables: impl IntoIterator<Item = (HostPattern, Arc<HostTable>)>, poison: Option<Poison>) -> Self {
        let empty = Self { poison, ..Self::default() };
        empty.amended(tables.into_iter().map(|(pattern, table)| (pattern, Some(table))))
    }

    /// The same with other tables for some hosts.
    #[must_use]
    pub fn amended(&self, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut next = self.clone();
        for (pattern, table) in changes {
            match pattern {
                HostPattern::Exact(name) => put(&mut next.exact, name, table),
                HostPattern::Wildcard(suffix) => put(&mut next.wildcards, suffix, table),
                HostPattern::Any => next.any = table,
            }
        }
        next
    }

    /// The same with these pins.
    #[must_use]
    pub fn pinned(self, pins: Arc<Pins>) -> Self {
        Self { pins, ..self }
    }

    /// The same with these scopes.
    #[must_use]
    pub fn scoped(mut self, scopes: Arc<Scopes>) -> Self {
        self.scopes = scopes;
        self
    }

    /// The tables for a request: of the scope that the proxy names, else of the host. Where the nearest only records,
    /// the first that decides for the host does: else whoever wants to watch one host below a wildcard, or one route,
    /// would open it.
    ///
    /// # Errors
    /// The proxy names what is not there.
    pub fn speaking(&self, host: &Host<'_>, named: &Named<'_>) -> Result<Speaking<'_>, ScopeFault> {
        let nearest = match self.scopes.find(named)? {
            Some(scope) => Some(scope),
            None => self.table(host),
        };
        let deciding = nearest.filter(|table| table.decides()).or_else(|| self.deciding(host));
        Ok(Speaking { nearest, deciding })
    }

    /// The table of just this pattern.
    #[must_use]
    pub fn at(&self, pattern: &HostPattern) -> Option<&Arc<HostTable>> {
        match pattern {
            HostPattern::Exact(name) => self.exact.get(name),
            HostPattern::Wildcard(suffix) => self.wildcards.get(suffix),
            HostPattern::Any => self.any.as_ref(),
        }
    }

    /// The table for a host: its own, else that of the longest wildcard, else that of `*`. For a host that is pinned to a
    /// namespace nobody else speaks, not by a wildcard above the pin either.
    #[must_use]
    pub fn table(&self, host: &Host<'_>) -> Option<&HostTable> {
        self.find(host, &|_| true)
    }

    /// The table that decides for a host: the first of those in the order of [`Snapshot::table`] that does more than
    /// record.
    #[must_use]
    pub fn deciding(&self, host: &Host<'_>) -> Option<&HostTable> {
        self.find(host, &HostTable::decides)
    }

    fn find<'a>(&'a self, host: &Host<'_>, wanted: &dyn Fn(&HostTable) -> bool) -> Option<&'a HostTable> {
        let pin = self.pins.of_host(host);
        let may = |table: &HostTable| pin.is_none_or(|namespace| table.is_of(namespace)) && wanted(table);
        let good = |table: Option<&'a Arc<HostTable>>| table.map(Arc::as_ref).filter(|table| may(table));
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
        let mut all: Vec<_> = self.all().collect();
        all.sort_by(|(left, _), (right, _)| left.cmp(right));
        all
    }

    /// All tables in any order.
    pub fn all(&self) -> impl Iterator<Item = (HostPattern, &HostTable)> {
        let exact = self.exact.iter().map(|(name, table)| (HostPattern::Exact(name.clone()), &**table));
        let wildcards = self.wildcards.iter().map(|(name, table)| (HostPattern::Wildcard(name.clone()), &**table));
        let any = self.any.iter().map(|table| (HostPattern::Any, &**table));
        exact.chain(wildcards).chain(any)
    }
}

fn put(tables: &mut Tables, name: Arc<str>, table: Option<Arc<HostTable>>) {
    match table {
        Some(table) => drop(tables.insert(name, table)),
        None => drop(tables.remove(&name)),
    }
}
