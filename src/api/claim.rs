//! Which hosts a policy speaks for: those that it lists, those of its targets, or what both have in common.
//!
//! What is wrong with the fields themselves spoils the hosts of the whole namespace, since nobody knows which one was
//! meant. A target that is not there, or gives no host, is sound: the policy speaks for nothing there.
//!
//! What is listed never falls to others. An exact host of the list counts whatever the targets come to; a wildcard is
//! narrowed to what they have, as long as nothing is missing that may have more of it, and they have anything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::policy::host::HostPattern;
use crate::policy::rules::Poison;

use super::field_path::FieldPath;
use super::object::ObjectId;
use super::read::Node;
use super::topology::{Gate, Reached, Way};

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
    /// The listeners by which they come, as far as they do.
    gates: BTreeMap<HostPattern, Vec<Gate>>,
    /// A host or a target is broken.
    pub poison: Option<Poison>,
}

impl Claims {
    /// Whether a host comes by a route on a listener to which the others are attached with theirs, and the route came first.
    pub(super) fn hangs_below(&self, host: &HostPattern, (others, at): (&Self, &HostPattern)) -> bool {
        let is_whole = |gate: &&Gate| gate.by == Way::Whole;
        let is_there = |one: &Gate, other: &Gate| one.listener == other.listener && one.gateway == other.gateway;
        let mut first = self.gates(host).filter(|gate| gate.by == Way::Route);
        first.any(|gate| others.gates(at).filter(is_whole).any(|other| is_there(gate, other)))
    }

    /// A route of another namespace that came first for a host.
    pub(super) fn elder(&self, host: &HostPattern) -> Option<&ObjectId> {
        self.gates(host).find_map(|gate| match &gate.by {
            Way::After(route) => Some(route),
            Way::Whole | Way::Route | Way::Labels => None,
        })
    }

    fn gates(&self, host: &HostPattern) -> impl Iterator<Item = &Gate> {
        self.gates.get(host).into_iter().flatten()
    }

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
    let poison = spec.faults().poison_after(before);
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

/// The hosts of the targets, as far as the list covers them, if there is one; and what is listed and must not be narrowed.
fn attached(
    (list, listed): (&Node<'_, '_>, Option<&[HostPattern]>),
    (targets, reached): (&Node<'_, '_>, &[Reached]),
    has_selector: bool,
) -> Claims {
    let mut claims = Claims::default();
    for (at, (item, one)) in targets.list(&super::target::TARGETS).into_iter().flatten().zip(reached).enumerate() {
        let item = targets.item(at, item);
        match &one.problem {
            Some(problem) if one.is_boundless => item.fault(&**problem),
            Some(problem) => item.target_fault(&**problem),
            None => {}
        }
        for host in listed.into_iter().flatten().filter(|host| waits(host, one, reached)) {
            let stays = "stays with this policy as a whole";
            item.target_fault(format!(
                "is a Service to which no route leads, and none of its names is one of `{host}`, which {stays}"
            ));
        }
        let (mut hosts, inside) = (narrowed(&one.hosts, listed), narrowed(&one.inside, listed));
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
        for (host, gates) in &one.gates {
            for host in narrowed(&BTreeSet::from([host.clone()]), listed) {
                claims
                    .gates
                    .entry(host)
                    .and_modify(|known| known.extend_from_slice(gates))
                    .or_insert_with(|| gates.clone());
            }
        }
    }
    claims.hosts.extend(whole(list, listed.unwrap_or_default(), reached));
    for hosts in [&mut claims.hosts, &mut claims.inside] {
        hosts.sort();
        hosts.dedup();
    }
    claims
}

/// The listed hosts that count as they stand, and not only as far as targets have them. They were said aloud, so that they
/// must not fall to others: neither while something is missing that may lead to a part of them, nor if nothing does.
fn whole(list: &Node<'_, '_>, listed: &[HostPattern], reached: &[Reached]) -> Vec<HostPattern> {
    let mut whole = Vec::new();
    for host in listed {
        let met = reached.iter().any(|reached| reached.meets(host));
        let told = reached.iter().any(|one| one.problem.is_some() || waits(host, one, reached));
        if !met && !told {
            let stays = "it stays with this policy, so that it falls to no other";
            let hint = "leave it out, or attach the policy to what leads there";
            list.target_fault(format!("`{host}` is no host of a target; {stays}: {hint}"));
        }
        if !met || told {
            whole.push(host.clone());
        }
    }
    whole
}

/// Whether a route to this Service is missing that would say what the policy means by a listed host. One that has no parts
/// needs no more than one target that has it.
fn waits(host: &HostPattern, one: &Reached, all: &[Reached]) -> bool {
    let is_explained = || matches!(host, HostPattern::Exact(_)) && all.iter().any(|reached| reached.meets(host));
    one.is_unled && !one.meets(host) && !is_explained()
}

fn narrowed(hosts: &BTreeSet<HostPattern>, listed: Option<&[HostPattern]>) -> BTreeSet<HostPattern> {
    match listed {
        None => hosts.clone(),
        Some(listed) => hosts.iter().flat_map(|host| listed.iter().filter_map(|one| one.meet(host))).cloned().collect(),
    }
}
