//! Who owns a host at a shared gateway.
//!
//! A host belongs to the namespace that the installer pinned it to, itself or by a wildcard above it. Else to that of the
//! oldest enforcing policy that names it, or a wildcard above it: whoever comes later takes nothing, neither the host nor one
//! below a wildcard. A policy that only records owns a host if nobody enforces there.
//!
//! Whoever attaches a policy to a Gateway and lets routes of a namespace hang there gives their hosts away to it: a policy of
//! such a route takes its host, if that route came first of all that serve the host on Gateways of the giver's namespace, and
//! the giver has not named that very host before. A route that a listener takes by labels of its namespace may be one that
//! it does not take, so nothing is given to it.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::policy::host::HostPattern;
use crate::policy::pins::Pins;
use crate::policy::rules::{Mode, Seniority};

use super::policy::ReadPolicy;

/// Who names a host.
pub(super) type Named = HashMap<HostPattern, Vec<Arc<ReadPolicy>>, RandomState>;

/// Who owns a host.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) namespace: &'a str,
    /// The policy that was first; `None`: the host is pinned.
    pub(super) by: Option<First<'a>>,
}

/// The policy by which a host is owned.
#[derive(Clone, Copy)]
pub(super) struct First<'a> {
    pub(super) policy: &'a Seniority,
    /// What it names: the host, or a wildcard above it.
    pub(super) at: &'a HostPattern,
}

/// Who owns the host, if anybody names it.
pub(super) fn of<'a>(host: &'a HostPattern, named: &'a Named, pins: &'a Pins) -> Option<Owner<'a>> {
    if let Some(namespace) = pins.of_pattern(host) {
        return Some(Owner { namespace, by: None });
    }
    let (at, here) = named.get_key_value(host)?;
    // That of everything takes a selector, and so is at no gateway.
    let claims = || {
        let above = host.above().filter_map(|pattern| named.get_key_value(&pattern));
        let all = std::iter::once((at, here)).chain(above);
        all.flat_map(|(at, by)| by.iter().map(move |read| Claim { at, read }))
    };
    let enforcing = || claims().filter(|claim| claim.read.policy.mode == Mode::Enforce);
    let first =
        enforcing().min_by_key(Claim::age).or_else(|| claims().filter(|one| one.at == at).min_by_key(Claim::age))?;
    let here = || enforcing().filter(|claim| claim.at == at);
    if !here().any(|claim| claim.is_given_by(&first)) {
        return Some(first.owner());
    }
    let either = here().filter(|claim| claim.is_beside(&first) || claim.is_given_by(&first));
    Some(either.min_by_key(Claim::age).unwrap_or(first).owner())
}

/// A policy names a host, or a wildcard above it.
#[derive(Clone, Copy)]
struct Claim<'a> {
    at: &'a HostPattern,
    read: &'a ReadPolicy,
}

impl<'a> Claim<'a> {
    /// The least has it.
    fn age(&self) -> &'a Seniority {
        &self.read.policy.seniority
    }

    /// Whether the policies are of one namespace.
    fn is_beside(&self, first: &Self) -> bool {
        self.read.policy.id().namespace == first.read.policy.id().namespace
    }

    fn is_given_by(&self, first: &Self) -> bool {
        self.at != first.at && self.read.claims.hangs_below(self.at, (&first.read.claims, first.at))
    }

    fn owner(&self) -> Owner<'a> {
        let policy = &self.read.policy.seniority;
        Owner { namespace: &policy.id.namespace, by: Some(First { policy, at: self.at }) }
    }
}
