//! The condition of a check in Istio: an RBAC filter before it, whose shadow rules mark the requests that an
//! AuthorizationPolicy with `action: CUSTOM` matches.
//!
//! What such rules come to is found out as far as it does not depend on the request: a rule may match every request,
//! none, or some. Rules about what nobody can have there match none: a principal on a connection without client
//! certificates, the claims of a token before the filter that reads tokens. A policy whose provider Istio cannot use
//! becomes a rule that refuses.

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

/// What requests can have when they come to the rules.
struct Ground<'c, 'a> {
    chain: &'c Chain<'a>,
    before: usize,
}

/// Looks at the condition of the check that is the filter at this place of the chain.
pub(super) fn examine(check: &Filter<'_>, (chain, at, place): (&Chain<'_>, usize, &Place), findings: &mut Findings) {
    let Some(condition) = check.config.field("filter_enabled_metadata") else { return };
    let where_it_stands = (place, &check.config, "filter_enabled_metadata");
    let Some(marks) = Marks::read(&condition) else {
        let found = "requests without certain metadata pass unchecked";
        return findings.add(Rule::FilterConditional, where_it_stands, found);
    };
    let policies = marks.policies(&Ground { chain, before: at });
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
    prefix: &'a str,
}

impl<'a> Marks<'a> {
    /// That of an RBAC filter; `None` if it is another's.
    fn read(condition: &Node<'a>) -> Option<Self> {
        if condition.text("filter") != "envoy.filters.http.rbac" || condition.is_on("invert") {
            return None;
        }
        let path = condition.list("path");
        let [step] = path.as_slice() else { return None };
        let value = condition.at(&["value", "string_match"])?;
        let prefix = value.field("prefix").or_else(|| value.field("exact"))?;
        Some(Self { key: step.text("key"), prefix: prefix.value.as_str()? })
    }

    /// The policies that set it, and which requests each of them matches.
    fn policies(&self, ground: &Ground<'_, 'a>) -> Vec<(&'a str, Matches)> {
        let before = ground.chain.filters().iter().take(ground.before).filter(|filter| filter.is_rbac());
        let shadow = before.filter(|filter| {
            let stats = filter.config.text("shadow_rules_stat_prefix");
            self.key.strip_prefix(stats) == Some("shadow_effective_policy_id")
        });
        let policies = shadow.filter_map(|filter| filter.config.at(&["shadow_rules", "policies"]));
        policies
            .flat_map(|policies| policies.members().collect::<Vec<_>>())
            .filter(|(name, _)| name.starts_with(self.prefix))
            .map(|(name, policy)| (name, ground.policy(&policy)))
            .collect()
    }
}

impl Ground<'_, '_> {
    fn policy(&self, policy: &Node<'_>) -> Matches {
        let any = |name: &str| policy.list(name).iter().map(|rule| self.rule(rule)).max().unwrap_or(Matches::None);
        any("permissions").min(any("principals"))
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
        let is_impossible = (rule.field("authenticated").is_some() && !self.chain.is_certified)
            || (rule
                .at(&["metadata"])
                .is_some_and(|metadata| metadata.text("filter") == "envoy.filters.http.jwt_authn")
                && !self.chain.filters().iter().take(self.before).any(Filter::reads_tokens));
        match (rule.is_on("any"), is_impossible) {
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
