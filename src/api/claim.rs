//! Which hosts a policy speaks for: those that it lists, those of its targets, or what both have in common.
//!
//! What is wrong with the fields themselves spoils the hosts of the whole namespace, since nobody knows which one was
//! meant. A target that is not there, or gives no host, is sound: the policy speaks for nothing there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::policy::host::HostPattern;
use crate::policy::rules::Poison;

use super::fault::FieldPath;
use super::policy::poison;
use super::read::Node;
use super::topology::Reached;

/// Hosts that one policy lists.
pub(super) const HOSTS: RangeInclusive<usize> = 1..=64;

const EVERYBODY: &str = "since it would cover the hosts of everybody";

/// The hosts that a policy speaks for.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Everywhere.
    pub hosts: Vec<HostPattern>,
    /// In its own namespace, beside those.
    pub inside: Vec<HostPattern>,
    /// The targets that they come from, by their positions; those that are not here are listed.
    sources: BTreeMap<HostPattern, Vec<usize>>,
    /// A host or a target is broken.
    pub poison: Option<Poison>,
}

impl Claims {
    /// The fields that a host comes from.
    pub(super) fn places(&self, host: &HostPattern) -> Vec<FieldPath> {
        let spec = FieldPath::root().field("spec");
        match self.sources.get(host) {
            Some(targets) => targets.iter().map(|at| spec.field("targetRefs").index(*at)).collect(),
            None => vec![spec.field("hosts")],
        }
    }
}

/// Reads the hosts. `reached`: what its targets come to, if it has sound ones.
pub(super) fn read(spec: &Node<'_, '_>, reached: Option<&[Reached]>, has_selector: bool) -> Claims {
    let (node, before) = (spec.field("hosts"), spec.faults().count());
    let targets = spec.field("targetRefs");
    let hint = "list the hosts, as in [orders.example.com], or name `targetRefs`; [\"*\"] only with a selector";
    let listed = (node.is_present() || (!targets.is_present() && node.need(hint))).then(|| listed(&node, has_selector));
    if targets.is_present() && reached.is_none() {
        // Whoever asks for what the targets come to reads them aside: here their faults are told.
        let (Some(_) | None) = super::target::read(spec, targets.faults().object());
    }
    let poison = poison(spec.faults(), before);
    let claims = match reached {
        // A list beside broken targets is closed with the namespace: it must not fall to others.
        None => Claims { hosts: listed.unwrap_or_default(), ..Claims::default() },
        Some(reached) => attached((&node, listed.as_deref()), (&targets, reached), has_selector),
    };
    let boundless = reached.into_iter().flatten().filter(|reached| reached.is_boundless);
    let mut boundless =
        boundless.filter_map(|reached| reached.problem.as_deref()).map(|problem| Poison(problem.into()));
    Claims { poison: poison.or_else(|| boundless.next()), ..claims }
}

/// The sound hosts of the list.
fn listed(node: &Node<'_, '_>, has_selector: bool) -> Vec<HostPattern> {
    let mut hosts = Vec::new();
    for (at, item) in node.list(&HOSTS).into_iter().flatten().enumerate() {
        let item = node.item(at, item);
        if !item.need("write a host") {
            continue;
        }
        match item.parse(512, HostPattern::parse) {
            Some(HostPattern::Any) if !has_selector => item.fault(format!("`*` needs a selector, {EVERYBODY}")),
            Some(host) if hosts.contains(&host) => item.fault(format!("names `{host}` twice")),
            Some(host) => hosts.push(host),
            None => {}
        }
    }
    hosts
}

/// The hosts of the targets, as far as the list covers them, if there is one.
fn attached(
    (list, listed): (&Node<'_, '_>, Option<&[HostPattern]>),
    (targets, reached): (&Node<'_, '_>, &[Reached]),
    has_selector: bool,
) -> Claims {
    let mut claims = Claims::default();
    for (at, (item, reached)) in targets.list(&super::target::TARGETS).into_iter().flatten().zip(reached).enumerate() {
        let item = targets.item(at, item);
        match &reached.problem {
            Some(problem) if reached.is_boundless => item.fault(&**problem),
            Some(problem) => item.target_fault(&**problem),
            None => {}
        }
        let (mut hosts, inside) = (narrowed(&reached.hosts, listed), narrowed(&reached.inside, listed));
        if !has_selector && hosts.remove(&HostPattern::Any) {
            let why =
                "covers every host, since neither the route nor its listener names one; give one of them a host name";
            item.target_fault(format!("{why}, list `hosts`, or write a selector, {EVERYBODY}"));
        }
        for host in hosts.iter().chain(&inside) {
            claims.sources.entry(host.clone()).or_default().push(at);
        }
        claims.hosts.extend(hosts);
        claims.inside.extend(inside);
    }
    let all_there = reached.iter().all(|reached| reached.problem.is_none());
    for host in listed.into_iter().flatten() {
        let met =
            |reached: &Reached| reached.hosts.iter().chain(&reached.inside).any(|other| host.meet(other).is_some());
        match (reached.iter().any(met), all_there) {
            (true, _) => {}
            (false, true) => {
                list.target_fault(format!("`{host}` is no host of a target, so that the policy is not enforced there"));
            }
            // It was said aloud, and what would say otherwise is missing: it must not fall to others meanwhile.
            (false, false) => claims.hosts.push(host.clone()),
        }
    }
    for hosts in [&mut claims.hosts, &mut claims.inside] {
        hosts.sort();
        hosts.dedup();
    }
    claims
}

fn narrowed(hosts: &BTreeSet<HostPattern>, listed: Option<&[HostPattern]>) -> BTreeSet<HostPattern> {
    match listed {
        None => hosts.clone(),
        Some(listed) => hosts.iter().flat_map(|host| listed.iter().filter_map(|one| one.meet(host))).cloned().collect(),
    }
}
