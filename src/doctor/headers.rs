//! Which headers travel with a question and its answer: what the authorizer gets to see, and what the client says of
//! itself under the names by which the authorizer speaks.

use crate::answer::identity_headers;
use crate::policy::overrides;

use super::condition::Standing;
use super::filters::Filter;
use super::matcher;
use super::node::Node;
use super::{Findings, Place, Rule};

/// The header without which there is no decision. Over HTTP it is always sent.
const NEEDED: &str = "authorization";

/// Names that are the authorizer's as well, and that no answer of it holds: it speaks for all that begin so.
const OTHERS: [&str; 4] = ["x-entrance-groups", "x-entrance-a", "x-entrance-0", "x-entrance-any.name~at-all"];

/// Names that some servers take for ours.
const ALIKE: [&str; 2] = ["x_entrance_roles", "x~entrance~roles"];

/// The names under which the authorizer tells upstreams who is there.
fn identity() -> impl Iterator<Item = &'static str> {
    identity_headers::CALLER.into_iter().chain([identity_headers::DECISION])
}

/// Looks at the check that stands there.
pub(super) fn examine<'a>(check: &Filter<'a>, standing: Standing<'_, 'a>, findings: &mut Findings) {
    let (.., place) = standing;
    seen(&check.config, place, findings);
    carried_out(&check.config, place, findings);
    if let Some(http) = check.config.field("http_service") {
        replaced(&http, place, findings);
        if !is_taken_away(standing) {
            findings.add(Rule::IdentityKept, (place, &http, "authorization_response"), kept(&http));
        }
    }
}

/// What of a client's identity headers is left where nothing takes them away: what the answer replaces is not.
fn kept(http: &Node<'_>) -> String {
    let allowed = http.at(&["authorization_response", "allowed_upstream_headers"]);
    let is_told = allowed.is_some_and(|list| identity().all(|name| matcher::covers(&list, name) == Some(true)));
    let name = if is_told { OTHERS[0] } else { "x-entrance-roles" };
    format!("what a client sends as `{name}` reaches the upstream")
}

/// Which headers the authorizer gets to see.
fn seen(check: &Node<'_>, place: &Place, findings: &mut Findings) {
    let http = check.field("http_service");
    let of_request = http.as_ref().and_then(|http| http.at(&["authorization_request", "allowed_headers"]));
    let allowed = check.field("allowed_headers").or(of_request);
    if let Some(list) = &allowed {
        let needed = http.is_none().then_some(NEEDED);
        withheld((list, false), (needed, place), findings);
    } else if http.is_some() {
        let found = "over HTTP only `authorization` is sent";
        findings.add(Rule::OverridesWithheld, (place, check, "allowed_headers"), found);
    }
    if let Some(list) = check.field("disallowed_headers") {
        withheld((&list, true), (Some(NEEDED), place), findings);
    }
}

/// What Envoy does of what the authorizer says about identity headers: it leaves undone in silence what its rules forbid.
fn carried_out(check: &Node<'_>, place: &Place, findings: &mut Findings) {
    let Some(rules) = check.field("decoder_header_mutation_rules") else { return };
    let covers = |field: &str, name: &str| {
        rules.at(&[field, "regex"]).and_then(|regex| matcher::matches_whole(regex.value.as_str()?, name))
    };
    let is_refused = |name: &&str| {
        let is_named =
            rules.field("disallow_expression").is_some() && covers("disallow_expression", name) != Some(false);
        is_named || (rules.is_on("disallow_all") && covers("allow_expression", name) != Some(true))
    };
    if let Some(name) = identity().chain(OTHERS).chain(ALIKE).find(is_refused) {
        let found = format!("`{name}` is neither set nor taken away when the authorizer says so");
        findings.add(Rule::MutationsWithheld, (place, &rules, ""), found);
    }
}

/// Headers that Envoy puts in place of the client's, over HTTP.
fn replaced(http: &Node<'_>, place: &Place, findings: &mut Findings) {
    let added = http.at(&["authorization_request", "headers_to_add"]);
    for header in added.iter().flat_map(Node::items).filter(|header| header.text("key").eq_ignore_ascii_case(NEEDED)) {
        let found = format!("`{NEEDED}` of the client is replaced: whoever asks is taken for the same caller");
        findings.add(Rule::HeadersWithheld, (place, &header, ""), found);
    }
}

/// Headers that ask for another method or path, also as servers spell them that take `_` and `-` for one.
fn overrides() -> Vec<String> {
    let names: Vec<String> = overrides::names().map(str::to_owned).collect();
    let others: Vec<String> = names.iter().map(|name| name.replace('_', "-")).collect();
    let others: Vec<String> = others.into_iter().filter(|name| !names.contains(name)).collect();
    names.into_iter().chain(others).collect()
}

/// Looks at a list, by which a header is withheld if it is covered, or if it is not. What cannot be told is none.
fn withheld((list, if_covered): (&Node<'_>, bool), (needed, place): (Option<&str>, &Place), findings: &mut Findings) {
    let found = if if_covered { "among them" } else { "not among them" };
    let is_withheld = |name: &&str| matcher::covers(list, name) == Some(if_covered);
    if let Some(name) = needed.filter(is_withheld) {
        findings.add(Rule::HeadersWithheld, (place, list, ""), format!("`{name}` is {found}"));
    }
    let overrides: Vec<String> = overrides().into_iter().filter(|name| is_withheld(&name.as_str())).collect();
    if !overrides.is_empty() {
        let found = format!("{found}: `{}`", overrides.join("`, `"));
        findings.add(Rule::OverridesWithheld, (place, list, ""), found);
    }
}

/// Whether something before the check takes away identity headers of the client.
fn is_taken_away((chain, before, routes, _): Standing<'_, '_>) -> bool {
    let filters =
        chain.filters().iter().take(before).filter(|filter| filter.mutates_headers() && filter.is_always_on());
    let filters = filters.filter(|filter| !routes.iter().any(|table| filter.is_switched_off(table)));
    let lists = filters.filter_map(|filter| filter.config.at(&["mutations", "request_mutations"]));
    let mutations = chain.early_mutations.iter().cloned().chain(lists.flat_map(|list| list.items()));
    let removed: Vec<_> = mutations.filter_map(|mutation| mutation.at(&["remove_on_match", "key_matcher"])).collect();
    let is_removed = |name| removed.iter().any(|matcher| matcher::matches(matcher, name) == Some(true));
    identity().chain(OTHERS).all(is_removed)
}
