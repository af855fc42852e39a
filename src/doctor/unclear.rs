//! What a document says in a way that can be read as two things.
//!
//! Envoy takes `yes`, `"true"` and `t` for `true`, other readers take them for text; and where a field is there as
//! `failure_mode_allow` and as `failureModeAllow`, which one counts depends on chance. Such a field is a finding by itself,
//! wherever it stands: everybody who reads the file must read the same.

use super::node::{Node, camel, switch};
use super::{Findings, Place, Rule};

/// The switches that are looked at anywhere in this room.
const SWITCHES: [&str; 13] = [
    "clear_route_cache",
    "disabled",
    "disallow_all",
    "disallow_system",
    "failure_mode_allow",
    "invert",
    "is_optional",
    "merge_slashes",
    "normalize_path",
    "pass_through_mode",
    "shadow_mode",
    "use_remote_address",
    "validate_mutations",
];
/// Maps whose names and values are somebody's own.
const MAPS: [&str; 5] = ["context_extensions", "filter_metadata", "json_format", "labels", "static_layer"];

/// Looks at everything.
pub(super) fn examine(document: &Node<'_>, findings: &mut Findings) {
    let place = Place::of("configuration");
    for (name, member) in document.members() {
        if MAPS.iter().any(|map| is(name, map)) {
            continue;
        }
        if let Some(value) = SWITCHES.iter().find(|switch| is(name, switch)).and_then(|_| no_switch(&member)) {
            let found = format!("{value} is neither `true` nor `false`; Envoy may take it for either");
            findings.add(Rule::Unclear, (&place, &member, ""), found);
        }
        let other = camel(name);
        if other != name && document.value.get(&other).is_some() {
            let found = format!("`{name}` is there as `{other}`, too, and Envoy may take either");
            findings.add(Rule::Unclear, (&place, &member, ""), found);
        }
        examine(&member, findings);
    }
    document.items().for_each(|item| examine(&item, findings));
}

fn is(name: &str, field: &str) -> bool {
    name == field || name == camel(field)
}

/// What stands where a switch should.
fn no_switch(member: &Node<'_>) -> Option<String> {
    let is_plain = member.value.is_null() || switch(member.value).is_some();
    (!is_plain).then(|| format!("`{}`", member.value).replace('"', ""))
}
