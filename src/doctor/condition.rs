//! The condition of a check in Istio: an RBAC filter before it, whose shadow rules mark the requests that an
//! AuthorizationPolicy with `action: CUSTOM` matches.
//!
//! What such rules come to is found out as far as it does not depend on the request: a rule may match every request,
//! none, or some. Rules about what nobody can have there match none: a principal on a connection without client
//! certificates, the claims of a token before the filter that reads tokens. A policy whose provider Istio cannot use
//! becomes a rule that refuses.
//!
//! Conditions of others are not judged: whether a client can meet them, or see to it that they are not met, cannot be told.

use super::check::refuses_the_rest;
use super::filters::{Chain, Filter};
use super::node::Node;
use super::{Findings, Place, Rule};

/// Which requests a rule matches. Alternatives come to the greatest, and conditions that must all hold to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Matches {
    None,
    Some,
    All,
}

impl Matches {
    const fn but_not(self) -> Self {
        match self {
            Self::None => Self::All,
            Self::Some => Self::Some,
            Self::All => Self::None,
        }
    }
}

/// The name under which RBAC filters keep their metadata.
const RBAC: &str = "envoy.filters.http.rbac";

/// What requests can have when they come to the rules.
struct Ground<'c, 'a> {
    chain: &'c Chain<'a>,
    before: usize,
}

/// Where a check stands: its chain, its place in it, the routes behind it as far as they are seen, and for people.
pub(super) type Standing<'s, 'a> = (&'s Chain<'a>, usize, &'s [Node<'a>], &'s Place);

/// Looks at the condition of the check that is the filter at this place of the chain.
pub(super) fn examine<'a>(check: &Filter<'a>, (chain, at, routes, place): Standing<'_, 'a>, findings: &mut Findings) {
    let condition = check.config.field("filter_enabled_metadata");
    let Some(condition) = condition.filter(|_| !refuses_the_rest(&check.config)) else { return };
    let where_it_stands = (place, &check.config, "filter_enabled_metadata");
    let Some(marks) = Marks::read(&condition) else {
        let found = "requests without certain metadata pass unchecked";
        return findings.add(Rule::ConditionUnknown, where_it_stands, found);
    };
    let ground = Ground { chain, before: at };
    if let Some(filter) = marks.others(&ground) {
        let found = format!("filter `{}` may write the metadata of {RBAC}", filter.name);
        findings.add(Rule::ConditionUnknown, where_it_stands, found);
    }
    verdict(&marks.policies(&ground), where_it_stands, findings);
    for table in routes {
        table.walk(&mut |node| {
            if let Some(filter) = marks.unset(node, &ground) {
                let found = format!("filter `{}`, which marks what is checked, does not do so here", filter.name);
                findings.add(Rule::RouteUnprotected, (place, node, "typed_per_filter_config"), found);
            }
        });
    }
}

/// What policies come to.
fn verdict(policies: &[(&str, Matches)], where_it_stands: (&Place, &Node<'_>, &str), findings: &mut Findings) {
    let names: Vec<String> = policies.iter().map(|(name, _)| called(name)).collect();
    match policies.iter().map(|(_, matches)| *matches).max() {
        Some(Matches::All) => {}
        Some(Matches::Some) => {
            let found = format!("requests that {} does not match pass unchecked", names.join(", "));
            findings.add(Rule::FilterConditional, where_it_stands, found);
        }
        Some(Matches::None) => {
            let found = format!("{} matches no request, so that all pass unchecked", names.join(", "));
            findings.add(Rule::ConditionUnmet, where_it_stands, found);
        }
        None => {
            let found = "nothing before the check sets the metadata, so that all requests pass unchecked";
            findings.add(Rule::ConditionUnmet, where_it_stands, found);
        }
    }
}

/// Policies that Istio could not carry out, and refuses instead; whether there are any.
pub(super) fn refusals(chain: &Chain<'_>, place: &Place, findings: &mut Findings) -> bool {
    let mut any = false;
    for filter in chain.filters().iter().filter(|filter| filter.is_rbac()) {
        let rules = filter.config.at(&["rules", "policies"]);
        for name in rules.iter().flat_map(Node::members).map(|(name, _)| name) {
            if !name.ends_with("-deny-due-to-bad-CUSTOM-action") {
                continue;
            }
            let found = format!("what {} matches is refused, and everything else passes unchecked", called(name));
            findings.add(Rule::ProviderUnusable, (place, &filter.config, "rules"), found);
            any = true;
        }
    }
    any
}

/// The metadata by which a check tells the requests that it is about.
struct Marks<'a> {
    key: &'a str,
    name: &'a str,
    /// More may follow the name.
    is_prefix: bool,
}

impl<'a> Marks<'a> {
    /// That of an RBAC filter; `None` if it is another's.
    fn read(condition: &Node<'a>) -> Option<Self> {
        if condition.text("filter") != RBAC || condition.is_on("invert") {
            return None;
        }
        let path = condition.list("path");
        let [step] = path.as_slice() else { return None };
        let value = condition.at(&["value", "string_match"])?;
        let prefix = value.field("prefix");
        let name = prefix.clone().or_else(|| value.field("exact"))?;
        Some(Self { key: step.text("key"), name: name.value.as_str()?, is_prefix: prefix.is_some() })
    }

    /// Whether the name of a policy is one that the check asks for.
    fn want(&self, policy: &str) -> bool {
        if self.is_prefix { policy.starts_with(self.name) } else { policy == self.name }
    }

    /// The policies that set it, and which requests each of them matches.
    fn policies(&self, ground: &Ground<'_, 'a>) -> Vec<(&'a str, Matches)> {
        let markers = self.markers(ground).filter(|filter| filter.is_always_on());
        markers.flat_map(|filter| self.of(&filter.config, ground)).collect()
    }

    /// The filters that set it.
    fn markers<'g>(&self, ground: &Ground<'g, 'a>) -> impl Iterator<Item = &'g Filter<'a>> + use<'g, 'a> {
        let stats = self.key.strip_suffix("shadow_effective_policy_id");
        let before = ground.chain.filters().iter().take(ground.before).filter(|filter| filter.is_rbac());
        before.filter(move |filter| stats == Some(filter.config.text("shadow_rules_stat_prefix")))
    }

    /// The policies of an RBAC filter's settings that set it.
    fn of(&self, settings: &Node<'a>, ground: &Ground<'_, 'a>) -> Vec<(&'a str, Matches)> {
        // Where a matcher stands beside rules, it takes their place.
        let rules = settings.field("shadow_rules").filter(|_| settings.field("shadow_matcher").is_none());
        let policies = rules.and_then(|rules| rules.field("policies"));
        let policies = policies.iter().flat_map(Node::members).filter(|(name, _)| self.want(name));
        policies.map(|(name, policy)| (name, ground.policy(&policy))).collect()
    }

    /// A filter before the check that may write the same metadata for other reasons: one that is no RBAC filter and names
    /// theirs, or one with policies of others.
    fn others<'g>(&self, ground: &Ground<'g, 'a>) -> Option<&'g Filter<'a>> {
        let mut strangers = ground.chain.filters().iter().take(ground.before).filter(|filter| !filter.is_rbac());
        let stranger = strangers.find(|filter| {
            let mut is_named = false;
            filter.config.walk(&mut |node| is_named |= node.value.as_str().is_some_and(|text| text.contains(RBAC)));
            is_named
        });
        stranger.or_else(|| {
            self.markers(ground).find(|filter| {
                let policies = filter.config.at(&["shadow_rules", "policies"]);
                let mut policies = policies.iter().flat_map(Node::members);
                filter.config.field("shadow_matcher").is_some()
                    || policies.any(|(name, rule)| !self.want(name) && ground.policy(&rule) != Matches::None)
            })
        })
    }

    /// The filter that a route, or what holds routes, keeps from setting it.
    fn unset<'g>(&self, node: &Node<'a>, ground: &Ground<'g, 'a>) -> Option<&'g Filter<'a>> {
        let overrides = node.field("typed_per_filter_config")?;
        self.markers(ground).find(|filter| {
            let Some((kind, settings)) = overrides.typed(filter.name) else { return false };
            let inner = settings.typed("config").filter(|_| kind == "FilterConfig" && !settings.is_on("disabled"));
            let (kind, settings) = inner.unwrap_or((kind, settings));
            match (kind, settings.field("rbac")) {
                ("RBACPerRoute", Some(rbac)) => {
                    self.of(&rbac, ground).iter().all(|(_, is_set)| *is_set != Matches::All)
                }
                ("RBACPerRoute", None) => true,
                _ => settings.is_on("disabled"),
            }
        })
    }
}

impl Ground<'_, '_> {
    fn policy(&self, policy: &Node<'_>) -> Matches {
        let any = |name: &str| policy.list(name).iter().map(|rule| self.rule(rule)).max().unwrap_or(Matches::None);
        // An expression beside them is not read.
        let is_plain = ["condition", "checked_condition"].iter().all(|name| policy.field(name).is_none());
        let condition = if is_plain { Matches::All } else { Matches::Some };
        any("permissions").min(any("principals")).min(condition)
    }

    /// A permission or a principal: their fields have names of their own.
    fn rule(&self, rule: &Node<'_>) -> Matches {
        let of = |list: Node<'_>| list.items().map(|rule| self.rule(&rule)).collect::<Vec<_>>();
        let list = |one: [&str; 2], other: [&str; 2]| rule.at(&one).or_else(|| rule.at(&other)).map(of);
        if let Some(all) = list(["and_rules", "rules"], ["and_ids", "ids"]) {
            return all.into_iter().min().unwrap_or(Matches::All);
        }
        if let Some(any) = list(["or_rules", "rules"], ["or_ids", "ids"]) {
            return any.into_iter().max().unwrap_or(Matches::None);
        }
        if let Some(not) = rule.field("not_rule").or_else(|| rule.field("not_id")) {
            return self.rule(&not).but_not();
        }
        let is_impossible = (rule.field("authenticated").is_some() && !self.chain.has_certificates())
            || (rule
                .at(&["metadata"])
                .is_some_and(|metadata| metadata.text("filter") == "envoy.filters.http.jwt_authn")
                && !self.chain.filters().iter().take(self.before).any(Filter::reads_tokens));
        match (rule.is_surely_on("any"), is_impossible) {
            (true, _) => Matches::All,
            (false, true) => Matches::None,
            (false, false) => Matches::Some,
        }
    }
}

/// `istio-ext-authz-PROVIDER-ns[NAMESPACE]-policy[NAME]-rule[0]` as people know it.
fn called(policy: &str) -> String {
    let parts = policy.split_once("-ns[").and_then(|(_, rest)| rest.split_once("]-policy["));
    let parts = parts.and_then(|(namespace, rest)| Some((namespace, rest.split_once("]-rule[")?.0)));
    match parts {
        Some((namespace, name)) => format!("AuthorizationPolicy `{namespace}/{name}`"),
        None => format!("policy `{policy}`"),
    }
}
