//! Proxies that ask nobody, because only those get through them that have asked: behind an edge that asks, an ALLOW policy
//! of Istio lets the accounts of the edge through, and nobody else.
//!
//! Without such a policy whatever runs in the mesh reaches the API, with identity headers of its choice; so nothing counts
//! here that is not certain. It takes an RBAC filter whose every policy names principals, by a certificate that an authority
//! vouches for, before any filter that might answer, and no route that says otherwise. Of patterns only those count that
//! stay within one namespace.

use std::collections::BTreeSet;

use super::filters::Chain;
use super::node::Node;
use super::tables::Tables;
use super::tls::Peers;
use super::{Findings, Place, Rule};

/// Notes who alone gets through a chain of HTTP filters without a check; whether that can be told.
pub(super) fn requests((chain, tables): (&Chain<'_>, &Tables<'_>), place: &Place, findings: &mut Findings) -> bool {
    if !tables.unseen.is_empty() {
        return false;
    }
    let sure = chain.filters().iter().take_while(|filter| filter.leaves_answers_to_others());
    let sure = sure.filter(|filter| filter.is_rbac() && filter.is_always_on());
    let mut sure = sure.filter(|filter| !tables.seen.iter().any(|table| filter.is_mentioned(table)));
    sure.any(|filter| noted((&filter.config, chain.peers), place, findings))
}

/// The same for connections, which these network filters see.
pub(super) fn connections(filters: &[Node<'_>], (peers, place): (Peers, &Place), findings: &mut Findings) -> bool {
    let typed = filters.iter().filter_map(|filter| filter.typed("typed_config"));
    let mut rules = typed.filter(|(kind, _)| *kind == "RBAC");
    rules.any(|(_, settings)| noted((&settings, peers), place, findings))
}

/// Notes whom an RBAC filter lets through, if that are principals, and nobody else.
fn noted((settings, peers): (&Node<'_>, Peers), place: &Place, findings: &mut Findings) -> bool {
    let Some(names) = admitted(settings) else { return false };
    let names = names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let found = match peers {
        Peers::Proven => format!("asks nobody, and lets through only {names}, by certificate"),
        Peers::InClear => format!(
            "asks nobody, and lets nobody through: connections are in clear, and {names} would need a certificate"
        ),
        Peers::Unasked | Peers::Claimed => return false,
    };
    findings.add(Rule::EdgeOnly, (place, settings, "rules"), found);
    true
}

/// The principals that an RBAC filter lets through; `None` if it may let others through, too.
fn admitted(settings: &Node<'_>) -> Option<BTreeSet<String>> {
    // Where a matcher stands beside rules, it takes their place.
    let rules = settings.field("rules").filter(|_| settings.field("matcher").is_none())?;
    if rules.choice("action", &["ALLOW", "DENY", "LOG"]) != "ALLOW" {
        return None;
    }
    let policies = rules.field("policies")?;
    all(policies.members().map(|(_, policy)| all(policy.list("principals").iter().map(named))))
}

/// All that several things name; `None` if one of them does not tell, or if there is none.
fn all(each: impl Iterator<Item = Option<BTreeSet<String>>>) -> Option<BTreeSet<String>> {
    let each = each.collect::<Option<Vec<_>>>()?;
    (!each.is_empty()).then(|| each.into_iter().flatten().collect())
}

/// Whom a principal of a policy can be.
fn named(principal: &Node<'_>) -> Option<BTreeSet<String>> {
    if let Some(ids) = principal.at(&["and_ids", "ids"]) {
        // The others can only take away.
        return ids.items().find_map(|id| named(&id));
    }
    if let Some(ids) = principal.at(&["or_ids", "ids"]) {
        return all(ids.items().map(|id| named(&id)));
    }
    let name = principal.at(&["authenticated", "principal_name"])?;
    let exact = Some(name.text("exact")).filter(|exact| !exact.is_empty()).map(str::to_owned);
    let prefix = Some(name.text("prefix")).filter(|prefix| is_of_one_namespace(prefix));
    exact.or_else(|| prefix.map(|prefix| format!("{prefix}*"))).map(|name| BTreeSet::from([name]))
}

/// Whether accounts that begin so are all of one namespace: `spiffe://cluster.local/ns/edge/`.
fn is_of_one_namespace(prefix: &str) -> bool {
    let mut steps = prefix.strip_prefix("spiffe://").unwrap_or_default().splitn(4, '/');
    let [domain, kind, namespace, rest] = [steps.next(), steps.next(), steps.next(), steps.next()];
    let is_said = |step: Option<&str>| step.is_some_and(|step| !step.is_empty());
    is_said(domain) && kind == Some("ns") && is_said(namespace) && rest.is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::admitted;
    use crate::doctor::node::Node;

    fn told(settings: &Value) -> Option<String> {
        admitted(&Node::root(settings)).map(|names| names.into_iter().collect::<Vec<_>>().join(" "))
    }

    fn by(principals: Value) -> Value {
        json!({"rules": {"action": "ALLOW", "policies": {"one": {"permissions": [{"any": true}], "principals": principals}}}})
    }

    fn name(matcher: Value) -> Value {
        json!({"authenticated": {"principal_name": matcher}})
    }

    #[test]
    fn a_principal_is_who_a_certificate_names_and_nobody_else() {
        let edge = name(json!({"exact": "spiffe://cluster.local/ns/edge/sa/edge"}));
        let one = Some("spiffe://cluster.local/ns/edge/sa/edge");
        let any = json!({"any": true});
        for (principals, names) in [
            (json!([edge]), one),
            // As istiod writes it.
            (json!([{"and_ids": {"ids": [{"or_ids": {"ids": [edge]}}]}}]), one),
            (json!([{"andIds": {"ids": [any, edge]}}]), one),
            (json!([edge, name(json!({"exact": "a"}))]), Some("a spiffe://cluster.local/ns/edge/sa/edge")),
            (json!([edge, any]), None),
            (json!([{"or_ids": {"ids": [edge, any]}}]), None),
            (json!([{"or_ids": {"ids": []}}]), None),
            (json!([{"and_ids": {"ids": [any]}}]), None),
            (json!([{"not_id": edge}]), None),
            (json!([{"authenticated": {}}]), None),
            (json!([{"source_ip": {"address_prefix": "10.0.0.1", "prefix_len": 32}}]), None),
            (json!([]), None),
            (json!([name(json!({"exact": ""}))]), None),
            (
                json!([name(json!({"prefix": "spiffe://cluster.local/ns/edge/"}))]),
                Some("spiffe://cluster.local/ns/edge/*"),
            ),
            (json!([name(json!({"prefix": "spiffe://cluster.local/ns/edge"}))]), None),
            (json!([name(json!({"prefix": "spiffe://cluster.local/ns/"}))]), None),
            (json!([name(json!({"prefix": "spiffe://cluster.local/ns//sa/edge"}))]), None),
            (json!([name(json!({"prefix": "spiffe:///ns/edge/"}))]), None),
            (json!([name(json!({"prefix": "cluster.local/ns/edge/"}))]), None),
            (json!([name(json!({"prefix": ""}))]), None),
            (json!([name(json!({"suffix": "/sa/edge"}))]), None),
            (json!([name(json!({"safe_regex": {"regex": ".+"}}))]), None),
        ] {
            assert_eq!(told(&by(principals.clone())).as_deref(), names, "{principals}");
        }
    }

    #[test]
    fn every_policy_that_lets_through_counts() {
        let edge = by(json!([name(json!({"exact": "edge"}))]));
        assert_eq!(told(&edge).as_deref(), Some("edge"));
        let with = |pointer: &str, value: Value| {
            let mut settings = edge.clone();
            let (above, member) = pointer.rsplit_once('/').unwrap();
            settings.pointer_mut(above).unwrap()[member] = value;
            told(&settings)
        };
        let open = json!({"permissions": [{"any": true}], "principals": [{"any": true}]});
        assert_eq!(with("/rules/policies/two", open), None);
        assert_eq!(with("/rules/policies", json!({})), None);
        for action in [json!("DENY"), json!("LOG"), json!(1), json!("else")] {
            assert_eq!(with("/rules/action", action.clone()), None, "{action}");
        }
        assert_eq!(with("/rules/action", json!("allow")).as_deref(), Some("edge"));
        assert_eq!(with("/matcher", json!({"on_no_match": {}})), None);
        assert_eq!(told(&json!({"shadow_rules": edge["rules"]})), None);
        assert_eq!(told(&json!({})), None);
    }
}
